"""How units revise their participation while weights are trained: the paper's rule, and one that can be solved.

Words: g_i = dL/ds_i, the slope of the loss in unit i's gate; G_ij = <theta_i, theta_j> over incoming weights and bias
inside a layer.

**Paper** (arXiv 2512.22106): every gate climbs its own utility by projected gradient,

    s_i <- clip(s_i + rate (g_i - 2 beta G_ii s_i - gamma - eta sum_{j != i} s_j G_ij), 0, 1),

with the sign as printed, so that a unit is paid for RAISING the loss. Where the weights are at rest g_i s_i = 0, and
any cost makes 0 the best response of all.

**Equilibrium** (ours): all share one interest, the loss, and whoever takes part pays a fee,

    U_i = -L(s, theta) - fee_l 1[s_i > 0],        fee_l = price (x_l / x)^congestion,

with x_l the share of the units of layer l that take part, and x that of all units: whoever stands in a layer that has
emptied less than the network pays more than the price. The fee is counted in units of the loss. A price per unit of
s_i could be escaped by s_i -> s_i / c and theta_i -> c theta_i, which change no network; the fee cannot. As that
rescaling leaves one of the two free, gates are 0 or 1 and theta_i carries the size. A unit leaves, for good, when what
it is worth to the others is less than its fee: by the second-order model of the loss in its gate, at weights near rest
(g_i = 0),

    worth_i = L(s_i = 0) - L(s_i = 1) = -g_i + h_i / 2 = h_i / 2,     h_i = E[(d l_r / d s_i)^2],

with the empirical Fisher curvature h_i, the mean over the rows r of the squared slope of the row's own loss l_r. Where
weights decay, rest is at g_i = -decay |theta_i|^2; that small slope is not counted. The price is given, or it is what
clears when so many may stay (``price_path``).

With congestion 0 this is an exact potential game: -L - price #{i: s_i > 0} rises by what the mover gains. Otherwise the
fee of one layer depends on who stays in the others, and there is no such potential; that nobody gains by leaving is
certified in both.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_MEMORY = 0.96


@dataclass(frozen=True, eq=False)
class IncomingWeights:
    """theta_i of all units of some layers.

    Attributes:
        weights: per layer (runs, units, d).
        biases: per layer (runs, units), zeros where it has none.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    def squares(self) -> Tensor:
        """(runs, n) |theta_i|^2, n units in all."""
        # The first layer is read last: an optimizer ends with the last one, and a forward pass begins with the first.
        norms = [torch.linalg.vector_norm(weight, dim=2) for weight in reversed(self.weights)]
        return torch.cat(norms[::-1], dim=1).square_().add_(torch.cat(self.biases, dim=1).square_())

    def pull(self, shares: Tensor) -> Tensor:
        """(runs, n) sum over all j of the layer of s_j <theta_i, theta_j>, through v = sum_j s_j theta_j."""
        parts = shares.split([bias.shape[1] for bias in self.biases], dim=1)
        found = []
        for part, weight, bias in zip(parts, self.weights, self.biases, strict=True):
            sum_of_rows = torch.bmm(part.unsqueeze(1), weight)
            along = torch.bmm(weight, sum_of_rows.mT).squeeze(2)
            found.append(along.addcmul_(bias, torch.linalg.vecdot(part, bias).unsqueeze(1)))
        return torch.cat(found, dim=1)


@dataclass(frozen=True, eq=False)
class PaperCosts:
    """Costs of the paper's utility: beta, gamma and eta for each run, (runs, 1)."""

    ridge: Tensor
    price: Tensor
    competition: Tensor

    def drain(self, shares: Tensor, incoming: IncomingWeights) -> Tensor:
        """What the costs take from dU_i/ds_i, (runs, n).

        Args:
            shares: (runs, n) s_i.
            incoming: theta_i.
        """
        squares = incoming.squares()
        drain = torch.addcmul(self.price, self.ridge * shares, squares, value=2)
        if self._competes:
            drain.addcmul_(self.competition, incoming.pull(shares).addcmul_(shares, squares, value=-1))
        return drain

    @functools.cached_property
    def _competes(self) -> bool:
        return bool(self.competition.any())

    def residual(self, slope: Tensor, shares: Tensor, incoming: IncomingWeights) -> Tensor:
        """abs(BR_i(s) - s_i), (runs, n); an indifferent unit stays where it is.

        Args:
            slope: (runs, n) dL/ds_i.
            shares: (runs, n) s_i.
            incoming: theta_i.
        """
        curvature = 2 * self.ridge * incoming.squares()
        free = slope - self.drain(shares, incoming) + curvature * shares
        bent = (free / curvature.clamp(min=torch.finfo(free.dtype).tiny)).clamp(0, 1)
        straight = torch.where(free == 0, shares, (free > 0).to(shares))
        return (torch.where(curvature > 0, bent, straight) - shares).abs()


class RunningCurvature:
    """Running mean over mini-batches of h_i, as if there had been nothing before the first."""

    def __init__(self, like: Tensor) -> None:
        self._sum = torch.zeros_like(like)
        self._weight = 0.0

    def add(self, squares: Tensor) -> None:
        """Count one mini-batch with mean squares (runs, n)."""
        self._sum.mul_(_MEMORY).add_(squares, alpha=1 - _MEMORY)
        self._weight = _MEMORY * self._weight + (1 - _MEMORY)

    @property
    def value(self) -> Tensor:
        """(runs, n) curvatures h_i."""
        return self._sum / max(self._weight, 1e-12)


def congested_fees(price: Tensor, taking_part: Tensor, sizes: Sequence[int], congestion: float) -> Tensor:
    """What each unit pays for taking part, price (x_l / x)^congestion, (runs, n).

    Args:
        price: (runs, 1).
        taking_part: (runs, n), true for units that take part.
        sizes: units of each layer, n in all.
        congestion: 0 for one fee for all, more for a fee that evens out the layers.

    >>> stay = torch.tensor([[True, True, True, True, False, True]])
    >>> congested_fees(torch.tensor([[0.5]]), stay, (4, 2), 1.0)
    tensor([[0.6000, 0.6000, 0.6000, 0.6000, 0.3000, 0.3000]])
    """
    present = taking_part.to(price)
    parts = present.split(list(sizes), dim=1)
    fullness = torch.cat([part.mean(dim=1, keepdim=True).expand_as(part) for part in parts], dim=1)
    mean = present.mean(dim=1, keepdim=True).clamp(min=torch.finfo(price.dtype).tiny)
    return price * (fullness / mean) ** congestion


def fee_residual(slope: Tensor, curvature: Tensor, shares: Tensor, fee: Tensor) -> Tensor:
    """abs(BR_i(s) - s_i) of the equilibrium rule, (runs, units), under the second-order model.

    A unit that takes part compares leaving with its best place in (0, 1]; one that has left may not come back.

    Args:
        slope: (runs, units) dL/ds_i at s.
        curvature: (runs, units) h_i.
        shares: (runs, units) 0 or 1.
        fee: (runs, units) what taking part costs.
    """
    place = (1 - slope / curvature.clamp(min=torch.finfo(slope.dtype).tiny)).clamp(0, 1)
    gain = slope * (1 - place) - 0.5 * curvature * (1 - place).square()
    worth = curvature / 2 - slope + gain
    return torch.where(shares > 0, torch.where(worth < fee, shares, 1 - place), 0.0)
