"""Use 3, coordination and step size: how much larger a step layers bear one after another than all at once.

With g the gradient at a point, H the Hessian and H_pp the block of layer p, a step of size a of all layers at once
lowers the loss to second order while a < 2 |g|^2 / g'Hg. Layers that move one after another, each by its own fresh
gradient, bear about a < 2 |g|^2 / sum_p g_p'H_pp g_p. So the ratio of largest steps is predicted to be

    g'Hg / sum_p g_p'H_pp g_p

Registered before the run. The largest step at which the loss does not rise is searched from below, by doubling and then
by bisection to a factor of 1.1, for one sweep from checkpoints of trainings, both ways; second, for ten sweeps. The
control predicts the ratio by the largest eigenvalues, of H over that of the largest block. The quantity is the mean
absolute error of the logarithm of the ratio, mean over networks and checkpoints; the unit is the repetition. The claim
counts as supported if the prediction's error is smaller than that of the control and than that of the constant ratio 1,
with 95 % t intervals that exclude 0. Checkpoints at which a curvature is not positive have no prediction, and are left
out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn
from torch.nn import functional

from neurogames.bridge.extraction.network_players import joint_player, network_players
from neurogames.bridge.extraction.own_curvature import own_curvature
from neurogames.bridge.extraction.player_loss import player_loss
from neurogames.bridge.modules.evaluation import copy_module
from neurogames.lab.studies.layers.networks import Rows, build_network, cut, study_rows, trained_network
from neurogames.lab.studies.layers.settings import NETWORKS, LayersSettings

_SWEEPS = (1, 10)
_LOWEST, _DOUBLINGS, _HALVINGS = 0.02, 20, 3  # from this multiple of the predicted step on


def measure_steps(seed: int, *, settings: LayersSettings) -> xr.Dataset:
    """Measure the largest steps at checkpoints, and predict their ratio.

    Returns:
        Over (network, point, sweeps): ``largest_together`` and ``largest_in_turn``. Over (network, point):
        ``predicted_ratio``, ``eigenvalue_ratio`` (NaN where the curvature along the gradient is not positive),
        ``predicted_together``, 2 |g|^2 / g'Hg, and ``eigenvalue_step``, 2 / the largest eigenvalue.
    """
    rows = study_rows(settings, seed)
    used = cut(rows.training, 0, settings.curvature_rows)
    shape = (len(NETWORKS), len(settings.checkpoints))
    largest, predicted = np.empty((*shape, len(_SWEEPS), 2)), np.empty((*shape, 4))
    for place, kind in enumerate(NETWORKS):
        start = build_network(kind, rows, seed)
        found: dict[int, nn.Module] = {0: copy_module(start)}

        def keep(epoch: int, network: nn.Module, found: dict[int, nn.Module] = found) -> None:
            if epoch in settings.checkpoints:
                found[epoch] = copy_module(network)

        trained_network(start, rows.training, epochs=settings.epochs, seed=seed, on_epoch=keep)
        for point, epoch in enumerate(settings.checkpoints):
            predicted[place, point] = predicted_ratios(found[epoch], used)
            first = _LOWEST * abs(predicted[place, point, 2])
            for column, sweeps in enumerate(_SWEEPS):
                largest[place, point, column] = [
                    largest_step(found[epoch], used, first, sweeps, in_turn=in_turn) for in_turn in (False, True)
                ]
    values: dict[str, Any] = {
        name: (("network", "point", "sweeps"), largest[..., column])
        for column, name in enumerate(("largest_together", "largest_in_turn"))
    }
    names = ("predicted_ratio", "eigenvalue_ratio", "predicted_together", "eigenvalue_step")
    values |= {name: (("network", "point"), predicted[..., column]) for column, name in enumerate(names)}
    places = {"network": list(NETWORKS), "point": list(settings.checkpoints), "sweeps": list(_SWEEPS)}
    return xr.Dataset(values, places)


def predicted_ratios(model: nn.Module, rows: Rows) -> tuple[float, float, float, float]:
    """Return g'Hg by the sum of blocks, the ratio of largest eigenvalues, 2 |g|^2 / g'Hg, and 2 / that of H."""
    with player_loss(model, functional.cross_entropy, rows) as found, torch.no_grad():
        players = network_players(found.model, "layer")
        everybody = joint_player(players)
        _, slope = found.slope(everybody, everybody.own(found.weights))
        parts = everybody.moved({name: value.double() for name, value in found.weights.items()}, slope)
        whole = _bent(found.hessian(everybody).products, slope)
        blocks = sum(_bent(found.hessian(player).products, player.own(parts)) for player in players)
        largest = own_curvature(found, everybody)[1]
        own = max(own_curvature(found, player)[1] for player in players)
    ratio = whole / blocks if whole > 0 and blocks > 0 else math.nan
    step = 2 * float(slope.square().sum()) / whole
    return ratio, largest / own if largest > 0 and own > 0 else math.nan, step, 2 / largest


def largest_step(model: nn.Module, rows: Rows, first: float, sweeps: int, *, in_turn: bool) -> float:
    """The largest step up to which the loss does not rise over some sweeps, to a factor of 2^(1/8).

    Args:
        model: stays as it is.
        rows: all in each gradient.
        first: smallest step that is tried; it is doubled until the loss rises.
        sweeps: how often each layer moves.
        in_turn: layers move one after another, each by its fresh gradient, from the input on; else all at once.
    """
    start = {name: value.detach() for name, value in model.named_parameters()}
    names = list(start)
    groups = [names[place : place + 2] for place in range(0, len(names), 2)] if in_turn else [names]

    def loss(weights: dict[str, Tensor]) -> Tensor:
        return functional.cross_entropy(torch.func.functional_call(model, weights, (rows[0],)), rows[1])

    before = float(loss(start))

    def rises(step: float) -> bool:
        weights = dict(start)
        for _ in range(sweeps):
            for group in groups:
                given = {name: weights[name].clone().requires_grad_() for name in group}
                slopes = torch.autograd.grad(loss({**weights, **given}), list(given.values()))
                moved = {name: weights[name] - step * slope for name, slope in zip(group, slopes, strict=True)}
                weights = {**weights, **moved}
        return not float(loss(weights)) <= before

    step = first
    for _ in range(_DOUBLINGS):
        if rises(step):
            break
        step *= 2
    low, high = step / 2, step
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if rises(middle) else (middle, high)
    return math.sqrt(low * high)


def _bent(products: Callable[[Tensor], Tensor], vector: Tensor) -> float:
    """Return v'Hv."""
    bent = products(vector[None].float())[0]
    return float(bent.double() @ vector)
