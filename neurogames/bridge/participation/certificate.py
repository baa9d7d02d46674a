"""Whether a trained network's participation is an equilibrium, by running the network without each unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurogames._arguments import number
from neurogames.bridge.gates.gated_loss import gated_loss
from neurogames.bridge.gates.gates import insert_gates
from neurogames.bridge.modules.evaluation import copy_module
from neurogames.bridge.modules.units import Unit


@dataclass(frozen=True, eq=False)
class FeeCertificate:
    """What every unit is worth, and whether it would rather do something else.

    Attributes:
        worth: (n,) L(s_i = 0) - L(s), exact, for units that take part; NaN for those that have left.
        fee: (n,) what taking part costs each unit; NaN for those that have left.
        move: (n,) BR_i(s) - s_i; -s_i where leaving is best. The place of a unit that stays is read off the parabola
            through its exact loss at 0, its exact loss and its exact slope.
        regret: the most that a unit could gain by leaving, max_i (fee_i - worth_i), at least 0, in units of the loss.
    """

    worth: NDArray[np.float64]
    fee: NDArray[np.float64]
    move: NDArray[np.float64]
    regret: float

    @property
    def residual(self) -> float:
        """Greatest absolute move."""
        return float(np.abs(self.move).max(initial=0.0))


def fee_certificate(
    model: nn.Module,
    profile: ArrayLike,
    price: float,
    loss: Callable[[Tensor, Tensor], Tensor],
    data: tuple[Tensor, Tensor],
    *,
    congestion: float = 0.0,
    units: Unit | Sequence[Unit] = ("neurons", "filters"),
) -> FeeCertificate:
    """Check a profile of the game U_i = -L(s) - fee_i 1[s_i > 0], in which whoever has left stays away.

    The fee of the units of layer l is price (x_l / x)^congestion, with x_l the share of its units and x the share
    of all units that take part.

    It uses nothing of the training but the network, and costs one pass over the rows for each unit that takes part.

    Args:
        model: any module without gates; left as it is.
        profile: (n,) shares in [0, 1], in the order of ``insert_gates(model, units)``.
        price: the fee >= 0 of a unit in a layer as full as the network as a whole, in units of the loss.
        loss: (outputs, targets) -> mean loss.
        data: inputs (rows, ...) and targets (rows, ...).
        congestion: how much more the units of fuller layers pay, >= 0; 0: all pay the price.
        units: what is gated.

    Returns:
        Worths, fees, moves and regret.

    Raises:
        ValueError: if the profile does not fit the model, or the data do not; if price or congestion is below 0.

    >>> import torch
    >>> model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Identity(), nn.Linear(2, 1, bias=False))
    >>> with torch.no_grad():
    ...     model[0].weight[:], model[2].weight[:] = 1.0, torch.tensor([[1.0, 0.0]])
    >>> rows = torch.tensor([[1.0], [-1.0]])
    >>> found = fee_certificate(model, [1.0, 1.0], 0.5, nn.functional.mse_loss, (rows, rows))
    >>> found.worth, found.move, found.regret
    (array([1., 0.]), array([ 0., -1.]), 0.5)
    """
    price = number("price", price, "a fee >= 0", lambda value: value >= 0)
    congestion = number("congestion", congestion, "a number >= 0", lambda value: value >= 0)
    gated_model = copy_module(model)
    gates = insert_gates(gated_model, units)
    gates.assign(profile)
    with gated_loss(gated_model, loss, data) as gated:
        full, slopes = gated.slope()
        worth = np.concatenate(
            [
                _worths(gated.losses, layer, part, full)
                for layer, part in enumerate(gates.split(gates.profile()).values())
            ]
        )
    shares, slope = gates.profile(), np.concatenate([part.numpy() for part in slopes])
    present = shares > 0
    fullness = np.bincount(gates.blocks, present) / gates.sizes
    fee = price * (fullness / max(present.mean(), 1e-12))[gates.blocks] ** congestion
    # L(x) = L(s) + g (x - s) + h (x - s)^2 / 2 through x = 0 gives h = 2 (worth + g s) / s^2.
    size = np.where(present, shares, 1.0)
    curvature = 2 * (worth + slope * size) / size**2
    bent = present & (curvature > 1e-12)
    place = np.where(slope > 0, 0.0, np.where(slope < 0, 1.0, shares))  # where the parabola has no bottom: an end
    place[bent] = np.clip(size[bent] - slope[bent] / curvature[bent], 0.0, 1.0)
    gain = np.maximum(slope * (size - place) - curvature * (size - place) ** 2 / 2, 0.0)
    leaves = worth + gain < fee
    move = np.where(present, np.where(leaves, -shares, place - shares), 0.0)
    regret = max(0.0, float((fee - worth)[present].max(initial=0.0)))
    return FeeCertificate(np.where(present, worth, np.nan), np.where(present, fee, np.nan), move, regret)


def _worths(
    losses: Callable[[int, NDArray[np.float64]], NDArray[np.float64]],
    layer: int,
    shares: NDArray[np.float64],
    full: float,
) -> NDArray[np.float64]:
    """Rise of the loss when one unit of a module leaves; 0 for those that have left."""
    worth = np.zeros(shares.size)
    present = np.flatnonzero(shares)
    if present.size:
        without = np.repeat(shares[None], present.size, axis=0)
        without[np.arange(present.size), present] = 0.0
        worth[present] = losses(layer, without) - full
    return worth
