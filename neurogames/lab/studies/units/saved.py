"""What the units of one layer of a saved network are worth, by several measures, and what happens without them.

Values are taken on training rows and removal curves drawn on test rows, so that no order has seen the rows on which it
is tried. The Shapley values are the mean of two independent halves of the budget, whose agreement says how far their
order can be trusted; the Banzhaf values take a budget of the same size again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor, nn

from neurogames._arguments import integer, invalid_argument
from neurogames.bridge.coalitions.coalition_values import coalition_game
from neurogames.bridge.coalitions.removal import RemovalCurve, removal_curve
from neurogames.bridge.coalitions.row_worths import Metric
from neurogames.bridge.coalitions.unit_scores import activation_magnitude, gradient_activation
from neurogames.engine.coalitions.confident_values import split_half
from neurogames.engine.coalitions.paired_design import least_draws
from neurogames.engine.coalitions.values import banzhaf
from neurogames.lab.data.images import fitting_rows, load_images
from neurogames.lab.data.models import load_model

MEASURES = {
    "Shapley": "shapley",
    "Banzhaf": "banzhaf",
    "magnitude": "magnitude",
    "gradient x activation": "gradient_x_activation",
}
"""Measures by which units are ordered, and the column of the table that holds them."""


@dataclass(frozen=True, eq=False)
class SavedUnits:
    """Values of the units of one layer.

    Attributes:
        model: the network.
        source: how the file described it, see :class:`neurogames.lab.data.models.LoadedModel`.
        layer: name of the layer.
        table: one row per unit, the most valuable first: ``unit``, ``shapley`` and ``shapley_stderr``, ``banzhaf`` and
            ``banzhaf_stderr``, ``magnitude``, ``gradient_x_activation``.
        curves: removal curves on the test rows by measure, "random" included.
        calls: coalitions asked for, for Shapley and Banzhaf together.
        exact: whether the Shapley values are exact.
        top: how many of the best units the two halves were compared by.
        overlap: share of the ``top`` best units of one half that are among those of the other.
        rank_correlation: Spearman's, of the values of the two halves.
        inputs: the training rows that were used, in the shape that the network takes.
    """

    model: nn.Module
    source: str
    layer: str
    table: pd.DataFrame
    curves: dict[str, RemovalCurve]
    calls: int
    exact: bool
    top: int
    overlap: float
    rank_correlation: float
    inputs: Tensor


def _silent(*_: object) -> None:
    """Progress that nobody asked for."""


def value_saved_units(
    path: str | Path,
    data: str,
    layer: str,
    *,
    budget: int = 4000,
    top: int = 10,
    metric: Metric = "accuracy",
    rows: int = 1000,
    activation: str | None = None,
    rng: np.random.Generator,
    on_progress: Callable[[str, int, int], object] = _silent,
) -> SavedUnits:
    """Value the units of a layer of the network of a file.

    Args:
        path: a file that :func:`neurogames.lab.data.models.load_model` reads.
        data: images by name, scaled to mean 0 and standard deviation 1; a network that takes vectors gets their pixels.
        layer: name of the module whose output units are valued.
        budget: most coalitions for the Shapley values, and as many for the Banzhaf values.
        top: how many of the best units to compare between the halves of the budget; fewer if there are fewer units.
        metric: "accuracy", "loss" or "logit", see :func:`neurogames.bridge.coalitions.coalition_values.coalition_game`.
        rows: most training rows, and most test rows.
        activation: what stands between the layers where the file holds numbers only, as for ``load_model``.
        rng: numpy generator of the coalitions and of the random order.
        on_progress: called as ``on_progress(stage, done, total)`` with counts of stages.

    Returns:
        Values, curves and how stable the order is.

    Raises:
        ValueError: if the file or the data cannot be read, or do not go together, there is no such layer (those there
            are are named), or the budget is too small for the number of units.
    """
    integer("top", top, minimum=1)
    integer("rows", rows, minimum=1)
    loaded = load_model(path, activation=activation)
    model, images = loaded.model, load_images(data)
    names = [name for name, _ in model.named_modules() if name]
    if layer not in names:
        raise invalid_argument("layer", layer, f"one of {', '.join(names)}")
    inputs, tests = fitting_rows(model, images)
    seen = inputs[:rows], images.targets[:rows]
    game = coalition_game(model, layer, seen, metric=metric)
    integer("budget", budget, minimum=2 * _least_budget(game.n_players))
    trial = coalition_game(model, layer, (tests[:rows], images.test_targets[:rows]), metric=metric)
    compared = min(top, game.n_players)
    on_progress("Shapley values", 0, 4)
    split = split_half(game, budget, top=compared, rng=rng)
    first, second = split.halves
    on_progress("Banzhaf values", 1, 4)
    power = banzhaf(game, budget, rng=rng)
    errors = np.zeros(game.n_players) if first.exact else np.hypot(first.stderr, second.stderr) / 2
    on_progress("scores without a game", 2, 4)
    columns = {
        "unit": np.arange(game.n_players),
        "shapley": (first.values + second.values) / 2,
        "shapley_stderr": errors,
        "banzhaf": power.values,
        "banzhaf_stderr": power.stderr,
        "magnitude": activation_magnitude(model, layer, seen[0]),
        "gradient_x_activation": gradient_activation(model, layer, seen),
    }
    orders = {name: np.argsort(-columns[column], kind="stable") for name, column in MEASURES.items()}
    orders["random"] = rng.permutation(game.n_players)
    on_progress("removal curves", 3, 4)
    table = pd.DataFrame(columns).sort_values("shapley", ascending=False, kind="stable", ignore_index=True)
    return SavedUnits(
        model=model,
        source=loaded.source,
        layer=layer,
        table=table,
        curves={name: removal_curve(trial, order) for name, order in orders.items()},
        calls=first.budget + second.budget + power.budget,
        exact=first.exact,
        top=compared,
        overlap=split.overlap,
        rank_correlation=split.rank_correlation,
        inputs=seen[0],
    )


def _least_budget(n: int) -> int:
    """Fewest coalitions for Shapley values of n players."""
    return min(2 * int(least_draws(n).sum()), 1 << n) if n > 1 else 2
