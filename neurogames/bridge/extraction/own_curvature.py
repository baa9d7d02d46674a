"""The ends of the spectrum of a player's own block of the Hessian, with and without a flat direction that is known."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neurogames.bridge.curvature.lanczos import eigenvalue_ends
from neurogames.bridge.curvature.operator import CurvatureOperator
from neurogames.bridge.extraction.network_players import Player
from neurogames.bridge.extraction.player_loss import OutOfTimeError, PlayerLoss


def own_curvature(found: PlayerLoss, player: Player, shifted: str | None = None) -> tuple[float, float, float]:
    """Smallest and largest eigenvalue, and the smallest one apart from the softmax shift.

    Args:
        found: the loss.
        player: whose block it is.
        shifted: name of the layer whose rows can all be shifted, from ``shifted_layer``.

    Returns:
        Three numbers; NaN where the deadline or the iteration ended first. The last one is the first where the player
        does not hold all rows of that layer.
    """
    try:
        hessian = found.hessian(player)
        smallest, largest = eigenvalue_ends(hessian)
        names = set() if shifted is None else {f"{shifted}.{part}".removeprefix(".") for part in ("weight", "bias")}
        if player.unit is not None or not names & set(player.parameters):
            return smallest, largest, smallest
        return smallest, largest, eigenvalue_ends(_lifted(hessian, player, found, names, abs(largest)))[0]
    except OutOfTimeError:
        return np.nan, np.nan, np.nan


def _lifted(
    hessian: CurvatureOperator, player: Player, found: PlayerLoss, names: set[str], height: float
) -> CurvatureOperator:
    """The Hessian with the directions of the shift given a curvature of ``height`` instead of 0."""

    def shift_part(vector: Tensor) -> Tensor:
        parts = player.moved({name: found.weights[name].to(vector) for name in player.parameters}, vector)
        means = {
            name: part.mean(dim=0, keepdim=True).expand_as(part) if name in names else torch.zeros_like(part)
            for name, part in parts.items()
        }
        return player.own(means)

    def products(vectors: Tensor) -> Tensor:
        along = torch.stack([shift_part(vector) for vector in vectors])
        bent = hessian.products(vectors - along)
        return bent - torch.stack([shift_part(vector) for vector in bent]) + height * along

    return CurvatureOperator(hessian.size, products, hessian.dtype, hessian.device)
