"""What each layer of a network could gain alone, without the curvatures that a whole analysis takes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from neurogames.bridge.extraction.network_players import Player, joint_player, network_players
from neurogames.bridge.extraction.player_loss import PlayerLoss, player_loss
from neurogames.bridge.extraction.unilateral import Replies
from neurogames.lab.studies.layers.networks import Rows

_ENOUGH = 1e-4


@dataclass(frozen=True, eq=False)
class LayerGains:
    """Gains of layers, from the input on; NaN for layers that were not asked for.

    Attributes:
        gain: (layers,) on the rows on which the deviation was found.
        held_out_gain: (layers,) of the same deviation on other rows.
        held_out_stderr: (layers,) its standard error over these rows.
        relative_gradient: (layers,) norm of the gradient by that of the layer's parameters.
    """

    gain: NDArray[np.float64]
    held_out_gain: NDArray[np.float64]
    held_out_stderr: NDArray[np.float64]
    relative_gradient: NDArray[np.float64]


def layer_gains(
    model: nn.Module, rows: Rows, held_out: Rows, *, steps: int, layers: Collection[int] | None = None
) -> LayerGains:
    """Search for the best deviation of layers under the cross-entropy, from the present weights, all with one budget.

    The exact best reply of the last layer, which ``nash_gap`` finds, fits few rows with weights of any size: it gains
    the whole loss there, and loses on other rows. So the same bounded search is made for every layer here.

    Args:
        model: stays as it is.
        rows: on which deviations are found.
        held_out: on which they are tried.
        steps: most steps of L-BFGS.
        layers: positions of layers from 0; all if not given.
    """
    with (
        player_loss(model, functional.cross_entropy, rows) as found,
        player_loss(model, functional.cross_entropy, held_out) as other,
        torch.no_grad(),
    ):
        players = network_players(found.model, "layer")
        asked = range(len(players)) if layers is None else layers
        present, relative = _relative_gradients(found, players)
        replies = Replies(found, present, "classes", _ENOUGH, 0, steps, np.random.default_rng(0), {})
        before = _row_losses(other, None, None)
        gain, mean, stderr = (np.full(len(players), np.nan) for _ in range(3))
        for place in asked:
            reply = replies.search(players[place])
            after = _row_losses(other, players[place], reply.vector)
            gain[place] = present - reply.loss
            mean[place] = float((before - after).mean())
            stderr[place] = float((before - after).std(ddof=1)) / np.sqrt(len(before))
    return LayerGains(gain, mean, stderr, relative)


def _relative_gradients(found: PlayerLoss, players: tuple[Player, ...]) -> tuple[float, NDArray[np.float64]]:
    everybody = joint_player(players)
    present, slope = found.slope(everybody, everybody.own(found.weights))
    slopes = everybody.moved({name: value.double() for name, value in found.weights.items()}, slope)
    ratios = [float(player.own(slopes).norm() / player.own(found.weights).double().norm()) for player in players]
    return present, np.array(ratios)


def _row_losses(found: PlayerLoss, player: Player | None, vector: torch.Tensor | None) -> NDArray[np.float64]:
    moved = {} if player is None or vector is None else player.moved(found.weights, vector)
    outputs = found.outputs(moved, found.inputs)
    return np.asarray(functional.cross_entropy(outputs, found.targets, reduction="none").double().numpy())
