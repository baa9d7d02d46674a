"""Taking units away one after the other, and in what order.

A removal curve is the worth v_k of the network without the first k units of an order, k = 0..n. Its area::

    A = (1/n) sum_{k=1..n}  ((v_{k-1} + v_k) / 2 - v_n) / (v_0 - v_n)

is 1/2 if every unit counts alike, near 0 if the order begins with the units that matter, near 1 if it ends with them.
Orders here begin with the most valuable unit; reversed, they say in which order to prune.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from neurogames._arguments import given_array, instance, invalid_argument
from neurogames.bridge.coalitions.coalition_values import NetworkCoalitionGame
from neurogames.bridge.coalitions.unit_scores import activation_magnitude, gradient_activation
from neurogames.bridge.modules.adapted_model import Forward, adapted_pair
from neurogames.bridge.modules.evaluation import gradients_on
from neurogames.engine.coalitions.transforms import evaluate
from neurogames.engine.coalitions.values import banzhaf, shapley
from neurogames.games.coalition import CoalitionGame, coalition_game


@dataclass(frozen=True, eq=False)
class RemovalCurve:
    """Worth of what is left.

    Attributes:
        order: (n,) the units in the order of removal.
        worths: (n + 1,) worths after removing the first 0..n units.
    """

    order: NDArray[np.intp]
    worths: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Area under the curve, 1/2 for units that count alike; NaN if all units together count nothing."""
        first, last = self.worths[0], self.worths[-1]
        if first == last:
            return float("nan")
        return float(((self.worths[:-1] + self.worths[1:]) / 2 - last).mean() / (first - last))


def removal_curve(game: CoalitionGame, order: ArrayLike) -> RemovalCurve:
    """Worths while players leave in an order.

    Args:
        game: any coalition game; of a network, :func:`neurogames.bridge.coalitions.coalition_values.coalition_game`.
        order: (n,) every player once, the first to leave first.

    Returns:
        The curve; all its worths are asked for together.

    Raises:
        ValueError: if the order does not name every player once.

    >>> from neurogames.games.coalition import UnanimityGame
    >>> game = UnanimityGame([[True, False, False], [False, True, False], [False, False, True]], [3.0, 2.0, 1.0])
    >>> curve = removal_curve(game, [0, 1, 2])
    >>> curve.worths, round(curve.area, 3), round(removal_curve(game, [2, 1, 0]).area, 3)
    (array([6., 3., 1., 0.]), 0.389, 0.611)
    """
    game = coalition_game(game)
    n = game.n_players
    players = given_array("order", order)
    if players.dtype.kind not in "iu" or players.shape != (n,) or not np.array_equal(np.sort(players), np.arange(n)):
        raise invalid_argument("order", order, f"each of the players 0..{n - 1} once")
    places = np.argsort(players)
    left = places >= np.arange(n + 1)[:, None]
    return RemovalCurve(players.astype(np.intp), evaluate(game, left))


@gradients_on()
def removal_orders(
    game: NetworkCoalitionGame,
    model: nn.Module,
    data: Any,
    *,
    budget: int,
    rng: np.random.Generator,
    forward: Forward | None = None,
) -> dict[str, NDArray[np.intp]]:
    """Orders of the units of a layer by several measures of their value, the most valuable first.

    Args:
        game: the coalition game of the layer.
        model: the network it was made of.
        data: inputs and targets the scores are computed on. Use rows other than those on which the curves are to be
            drawn, in ``game`` as well, or the values will have seen what they are tested on.
        budget: coalitions for each of the two values of players.
        rng: numpy Generator that draws coalitions and the random order.
        forward: calls the model with its inputs, as in ``coalition_game``.

    Returns:
        "Shapley", "Banzhaf", "magnitude", "gradient x activation", "random" -> (n,) order. Gradients are those of the
        right logit for class ids, and of the squared error for numbers.

    Raises:
        ValueError: if the budget is too small for the regression, or data and network do not fit.

    >>> import torch
    >>> from neurogames.bridge.coalitions.coalition_values import coalition_game
    >>> model = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 2))
    >>> data = torch.randn(9, 2), torch.arange(9) % 2
    >>> game = coalition_game(model, "1", data, metric="loss")
    >>> orders = removal_orders(game, model, data, budget=32, rng=np.random.default_rng(0))
    >>> [sorted(order.tolist()) == [0, 1, 2, 3, 4] for order in orders.values()]
    [True, True, True, True, True]
    """
    instance("rng", rng, np.random.Generator, "a numpy Generator")
    model, inputs, targets = adapted_pair(model, data, forward)
    metric: Literal["logit", "loss"] = "loss" if targets.is_floating_point() else "logit"
    scores = {
        "Shapley": shapley(game, budget, rng=rng).values,
        "Banzhaf": banzhaf(game, budget, rng=rng).values,
        "magnitude": activation_magnitude(model, game.layer, inputs, unit_axis=game.unit_axis),
        "gradient x activation": gradient_activation(
            model, game.layer, (inputs, targets), metric=metric, unit_axis=game.unit_axis
        ),
        "random": rng.random(game.n_players),
    }
    return {name: np.argsort(-score, kind="stable") for name, score in scores.items()}
