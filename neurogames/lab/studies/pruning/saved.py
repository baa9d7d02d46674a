"""Pruning a saved network by the participation game of its units, without training it further.

The game is the second-order one ("taylor") at one price of full participation, in units of the loss. Its equilibrium
gives every unit a share; units with next to none leave, the shares of the others are multiplied into the weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from neurogames._arguments import integer, number
from neurogames.bridge.extraction.participation_game import participation_game
from neurogames.bridge.gates.gates import insert_gates
from neurogames.bridge.pruning.prune import Pruned, prune
from neurogames.bridge.pruning.work import measured_speed, multiply_adds
from neurogames.lab.data.images import Images, fitting_rows, load_images
from neurogames.lab.data.models import load_model
from neurogames.lab.studies.pruning.game import GameEquilibrium, at_price, game_equilibrium, median_worth, rises
from neurogames.lab.studies.pruning.settings import PruningSettings

_EXAMPLES, _BATCH = 32, 2000


@dataclass(frozen=True, eq=False)
class SavedPruning:
    """What has become of a saved network.

    Attributes:
        pruned: the smaller network, and which units are left.
        source: how the file described the network, see :class:`neurogames.lab.data.models.LoadedModel`.
        equilibrium: the equilibrium by which it was pruned.
        price: price of full participation.
        extraction_seconds: time of taking the game from the network.
        dominated: indices of the units that are strictly dominated, by name of module.
        accuracy: on the test rows, before and after.
        units: number of units, before and after.
        multiply_adds: of one image, before and after.
        speed: how many times faster the smaller network is, measured.
        rise: of the loss on the rows of the game from the network as it was to the equilibrium: predicted, and real.
    """

    pruned: Pruned
    source: str
    equilibrium: GameEquilibrium
    price: float
    extraction_seconds: float
    dominated: dict[str, list[int]]
    accuracy: tuple[float, float]
    units: tuple[int, int]
    multiply_adds: tuple[int, int]
    speed: float
    rise: tuple[float, float]


def _silent(*_: object) -> None:
    """Progress that nobody asked for."""


def prune_saved(
    path: str | Path,
    data: str,
    *,
    price: float | None = None,
    threshold: float = 0.01,
    rows: int | None = None,
    activation: str | None = None,
    on_progress: Callable[[str, int, int], object] = _silent,
) -> SavedPruning:
    """Prune the network of a file by the game of its units.

    Args:
        path: a file that :func:`neurogames.lab.data.models.load_model` reads.
        data: images by name, scaled to mean 0 and standard deviation 1; a network that takes vectors gets their pixels.
        price: of full participation, in units of the loss; the worth of the median unit if not given.
        threshold: units with a smaller share leave.
        rows: training rows on which the game is taken; 5,000 if not given.
        activation: what stands between the layers where the file holds numbers only, as for ``load_model``.
        on_progress: called as ``on_progress(stage, done, total)`` with counts of stages.

    Returns:
        The smaller network, with what is certain about the equilibrium, and what it costs.

    Raises:
        ValueError: if the file or the data cannot be read, or do not go together, or an option is out of range.
    """
    if price is not None:
        number("price", price, "a price >= 0", lambda value: value >= 0)
    number("threshold", threshold, "a share in [0, 1]", lambda value: 0 <= value <= 1)
    rows = integer("rows", PruningSettings().game_rows if rows is None else rows, minimum=1)
    loaded = load_model(path, activation=activation)
    model, images = loaded.model, load_images(data)
    inputs, tests = fitting_rows(model, images)
    game_rows = inputs[:rows], images.targets[:rows]
    on_progress("taking the game", 0, 4)
    began = time.perf_counter()
    free = participation_game(model, nn.functional.cross_entropy, game_rows)
    seconds = time.perf_counter() - began
    price = median_worth(free) if price is None else price
    on_progress("solving the game", 1, 4)
    found = game_equilibrium(at_price(free, price))
    on_progress("pruning", 2, 4)
    pruned = prune(model, found.profile, inputs[:_EXAMPLES], threshold=threshold)
    on_progress("measuring", 3, 4)
    losses = [_loss(one, *game_rows) for one in (model, pruned.model)]
    return SavedPruning(
        pruned=pruned,
        source=loaded.source,
        equilibrium=found,
        price=price,
        extraction_seconds=seconds,
        dominated=_by_module(model, found.dominated > 0),
        accuracy=(_accuracy(model, tests, images), _accuracy(pruned.model, tests, images)),
        units=(found.profile.size, sum(map(len, pruned.kept.values()))),
        multiply_adds=(multiply_adds(model, inputs[:1]), multiply_adds(pruned.model, inputs[:1])),
        speed=measured_speed(model, pruned.model, inputs[:_BATCH], repeats=20),
        rise=(float(rises(free, found.profile)), losses[1] - losses[0]),
    )


@torch.no_grad()
def _loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    outputs = torch.cat([model(rows) for rows in inputs.split(_BATCH)])
    return float(nn.functional.cross_entropy(outputs, targets))


@torch.no_grad()
def _accuracy(model: nn.Module, inputs: Tensor, images: Images) -> float:
    outputs = torch.cat([model(rows) for rows in inputs.split(_BATCH)])
    return float((outputs.argmax(dim=1) == images.test_targets).double().mean())


def _by_module(model: nn.Module, chosen: np.ndarray) -> dict[str, list[int]]:
    """Indices of the chosen units within their modules."""
    gates = insert_gates(model)
    try:
        return {name: np.flatnonzero(part).tolist() for name, part in gates.split(chosen).items() if part.any()}
    finally:
        gates.remove()
