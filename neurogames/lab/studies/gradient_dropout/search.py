"""The search for annealing: networks of every cell, trained with the law and with masks, from one start.

Each way of training has variables of its own, so that the law can be stored before any network with masks is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from neurogames.bridge import Ensemble, train_ensemble
from neurogames.lab.data.images import Images
from neurogames.lab.data.preparation import Prepared
from neurogames.lab.studies.gradient_dropout.course import FEEDBACK, PLAIN, Rows, composing_share, planted_rows
from neurogames.lab.studies.gradient_dropout.repetition import shortcut_kind
from neurogames.lab.studies.gradient_dropout.settings import FIT_TIMES, GradientDropoutSettings, Recipe

GRID = ("strength", "recipe", "batch_size", "keep_prob")
COURSES, ENDS = ("broken", "fit"), ("intact", "composing_share")


class Network(NamedTuple):
    """What tells the networks of one training from each other."""

    way: str
    keep_prob: float


def measure_cells(
    data: Prepared | Images, ways: Sequence[str], settings: GradientDropoutSettings, seed: int
) -> xr.Dataset:
    """Train networks in every cell, in some of the ways, and measure them.

    Args:
        data: a prepared table, or images.
        ways: some of "plain", "law", "dropout" and "gaussian".
        settings: those of the study.
        seed: of the shortcut and of the networks.

    Returns:
        Over strength, recipe (optimizer and rate), batch_size and keep_prob (plain training has none), for every way:
        over fit_time ``broken_WAY``, the error with the shortcut broken, and ``fit_WAY``, the loss on training rows;
        at the end ``intact_WAY``, the error with the shortcut as in training, and ``composing_share_WAY``, that of
        units of the last hidden layer. A network that diverged has NaN.
    """
    networks = [Network(way, keep) for way in ways for keep in ((1.0,) if way == PLAIN else settings.keep_probs)]
    found: list[dict[str, NDArray[np.float64]]] = []
    for strength in settings.strengths:
        rows, network_seed = planted_rows(data, strength=strength, kind=shortcut_kind(data), seed=seed)
        found += [
            _train(rows, networks, recipe, batch_size, network_seed, settings)
            for recipe, batch_size in product(settings.recipes, settings.batch_sizes)
        ]
    shape = (len(settings.strengths), len(settings.recipes), len(settings.batch_sizes), len(networks))
    variables = {}
    for name in (*COURSES, *ENDS):
        whole = np.stack([one[name] for one in found])
        values = whole.reshape(*shape, *whole.shape[2:])
        times = ("fit_time",) if name in COURSES else ()
        for way in ways:
            places = [place for place, network in enumerate(networks) if network.way == way]
            part = values[:, :, :, places]
            if way == PLAIN:
                variables[f"{name}_{way}"] = ((*GRID[:3], *times), part[:, :, :, 0])
            else:
                variables[f"{name}_{way}"] = ((*GRID, *times), part)
    coordinates = {
        "strength": list(settings.strengths),
        "recipe": [recipe.name for recipe in settings.recipes],
        "batch_size": list(settings.batch_sizes),
        "keep_prob": list(settings.keep_probs),
        "fit_time": list(FIT_TIMES),
    }
    return xr.Dataset(variables, coordinates)


def _train(
    rows: Rows,
    networks: Sequence[Network],
    recipe: Recipe,
    batch_size: int,
    seed: int,
    settings: GradientDropoutSettings,
) -> dict[str, NDArray[np.float64]]:
    """Train the networks of some cells that differ in way and keep probability; (networks, ...) by name."""
    seen: dict[str, list[NDArray[np.float64]]] = {name: [] for name in COURSES}

    def note(_: float, ensemble: Ensemble) -> None:
        seen["broken"].append(errors(ensemble, rows.broken_inputs, rows.test_targets))
        seen["fit"].append(losses(ensemble, rows.inputs, rows.targets))

    trained = train_ensemble(
        rows.inputs,
        rows.targets,
        seeds=[seed] * len(networks),
        hidden=settings.hidden,
        loss=rows.loss,
        keep_prob=[network.keep_prob for network in networks],
        feedback=[FEEDBACK[network.way] for network in networks],
        learning_rate=recipe.learning_rate,
        epochs=settings.epochs,
        batch_size=batch_size,
        optimizer=recipe.optimizer,
        record_at=FIT_TIMES,
        on_record=note,
    )
    courses = {name: np.where(trained.finished[:, None], np.stack(values, 1), np.nan) for name, values in seen.items()}
    ends = {
        "intact": errors(trained.ensemble, rows.test_inputs, rows.test_targets),
        "composing_share": composing_share(trained.ensemble, rows),
    }
    return courses | {name: np.where(trained.finished, values, np.nan) for name, values in ends.items()}


@torch.no_grad()
def errors(ensemble: Ensemble, inputs: Tensor, targets: Tensor) -> NDArray[np.float64]:
    """Return mean squared errors, or shares of wrong classes, (networks,)."""
    outputs = ensemble(inputs)
    if targets.is_floating_point():
        return (outputs[..., 0] - targets).square().double().mean(dim=1).numpy()
    return (outputs.argmax(dim=-1) != targets).double().mean(dim=1).numpy()


@torch.no_grad()
def losses(ensemble: Ensemble, inputs: Tensor, targets: Tensor) -> NDArray[np.float64]:
    """Return mean squared errors, or cross-entropies, (networks,)."""
    outputs = ensemble(inputs)
    if targets.is_floating_point():
        return (outputs[..., 0] - targets).square().double().mean(dim=1).numpy()
    wanted = targets.expand(outputs.shape[:2])
    return functional.cross_entropy(outputs.movedim(-1, 1), wanted, reduction="none").double().mean(dim=1).numpy()
