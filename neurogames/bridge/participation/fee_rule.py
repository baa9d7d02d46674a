"""The rule that can be solved: whoever takes part pays a fee, and leaves when it is worth less than that.

All units share one interest, the loss, and whoever takes part pays,

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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.gates.gate_hooks import GatedProjection
from neurogames.bridge.modules.data import Data, Loss
from neurogames.bridge.participation.certificate import FeeCertificate, fee_certificate
from neurogames.bridge.participation.gated_stack import GatedStack
from neurogames.bridge.participation.participation_rule import ParticipationRule, RuleSettings, Run
from neurogames.bridge.participation.price_path import FIRST_EXIT, LAST_EXIT, LEAST_STEPS, UnitBudget, price_path
from neurogames.bridge.training.rule import Moment
from neurogames.engine.schedules import Schedule

_COUNT_EVERY = 4
_DECISIONS = 200
_MEMORY = 0.96
_MOST_LEAVE = 0.1


class RunningCurvature:
    """Running mean over mini-batches of h_i, as if there had been nothing before the first."""

    def __init__(self, like: Tensor) -> None:
        self._sum = torch.zeros_like(like)
        self._weight = 0.0

    def add(self, squares: Tensor) -> None:
        """Count one mini-batch with mean squares (runs, n)."""
        self._sum.mul_(_MEMORY).add_(squares, alpha=1 - _MEMORY)
        self._weight = _MEMORY * self._weight + (1 - _MEMORY)

    def state_dict(self) -> dict[str, Any]:
        """The sum and the weight so far."""
        return {"sum": self._sum, "weight": self._weight}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self._sum.copy_(state["sum"])
        self._weight = float(state["weight"])

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
    parts = torch.split(present, list(sizes), dim=1)
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


@dataclass(frozen=True, eq=False)
class FeeRule(ParticipationRule):
    """The rule for a stack of networks.

    Attributes:
        stack: the networks.
        prices: of each run.
        congestion: how much more the units of fuller layers pay.
        decide_every: steps from one decision to the next.
        curvature: running h_i of all units.
        cleared: (runs, 1) the last price that cleared where a unit budget is given, else 0.
    """

    stack: GatedStack
    prices: tuple[Schedule | UnitBudget, ...]
    congestion: float
    decide_every: int
    curvature: RunningCurvature
    cleared: Tensor
    _by_row: dict[str, Tensor] = field(init=False, default_factory=dict)

    @classmethod
    def of(cls, stack: GatedStack, runs: Sequence[Run], settings: RuleSettings) -> FeeRule:
        """The rule for these runs, or an error where they are charged otherwise.

        Raises:
            ValueError: if a run has costs of the paper's rule, a price below 0, or a unit budget above the number of
                units or out of reach in so many steps.
        """
        for run in runs:
            for name, cost in (("ridge", run.ridge), ("competition", run.competition)):
                if cost != 0:
                    raise invalid_argument(name, cost, "0: it is a cost of rule 'paper'")
            if isinstance(run.price, UnitBudget):
                _check_unit_budget(run.price, stack.gates.n_players, settings.steps)
        return cls(
            stack,
            tuple(price_path(run.price) for run in runs),
            settings.congestion,
            max(1, settings.steps // _DECISIONS),
            RunningCurvature(stack.shares),
            stack.shares.new_zeros(len(runs), 1),
        )

    @property
    def own_parameters(self) -> tuple[str, ...]:
        """The gates."""
        return self.stack.gate_names

    def exchange(self, moment: Moment) -> dict[str, Tensor]:
        """One gate for each row where curvature is counted in this step; else gates that are asked for no slopes."""
        parameters, gates = self.stack.network.parameters, self.stack.gates
        if moment.step % _COUNT_EVERY:
            return {name: parameters[name].detach() for name in gates.parameter_names}
        self._by_row.clear()
        for name, place in zip(gates.parameter_names, gates.places, strict=True):
            # Heads stand in a weight and cannot have a gate for each row.
            if not isinstance(self.stack.network.stack.template.get_submodule(place), GatedProjection):
                gate = parameters[name].detach().unsqueeze(-2)
                self._by_row[name] = gate.expand(*gate.shape[:-2], moment.rows, -1).requires_grad_()
        return dict(self._by_row)

    def step(self, moment: Moment) -> None:
        """Count the slopes of this step, and let units leave where it is time for that."""
        if moment.step % _COUNT_EVERY == 0:
            self._count(moment.rows)
        if moment.step % self.decide_every == 0:
            self.decide(moment.progress)

    def _count(self, rows: int) -> None:
        """Count the slopes of a mini-batch."""
        squares = []
        for name in self.stack.gate_names:
            # Without slopes by row, rows E[g_i^2] over mini-batches of so many rows estimates it with more noise.
            gate = self._by_row.get(name, self.stack.network.parameters[name])
            slopes = torch.zeros_like(gate) if gate.grad is None else gate.grad
            slopes = slopes if name in self._by_row else slopes.unsqueeze(-2)
            squares.append(torch.linalg.vecdot(slopes, slopes, dim=-2) * rows)
        self.curvature.add(torch.cat(squares, dim=-1))

    def decide(self, progress: float) -> None:
        """Let units leave, for good, in the order of the least price that is too high for them, few at a time.

        Where the price is given, those leave for whom it is too high; where a unit budget is, as many as are above it,
        and the price is the last that one of these would have paid. Units that stand in for each other are each worth
        little while the others stay. Leaving one after another they are worth more in the end; all at once they would
        leave together.
        """
        if not FIRST_EXIT <= progress < LAST_EXIT:
            return
        shares = self.stack.shares
        taking_part = shares > 0
        bids = self.curvature.value / 2 / self._fees(torch.ones_like(self.cleared))
        bids = bids.masked_fill(~taking_part, torch.inf)
        ranked, order = bids.sort(dim=1, stable=True)
        count, unwilling = taking_part.sum(dim=1).tolist(), (bids < self.price_at(progress)).sum(dim=1).tolist()
        for run, price in enumerate(self.prices):
            if isinstance(price, UnitBudget):
                leaving = max(count[run] - price.units_at(progress, self.stack.gates.n_players), 0)
                if leaving:
                    self.cleared[run] = ranked[run, leaving - 1]
            else:
                leaving = min(unwilling[run], max(int(count[run] * _MOST_LEAVE), 1))
            shares[run, order[run, :leaving]] = 0.0

    def price_at(self, progress: float) -> Tensor:
        """(runs, 1) prices at a share of training: those given, or the last that cleared."""
        given = [0.0 if isinstance(price, UnitBudget) else float(price(min(progress, 1.0))) for price in self.prices]
        return self.cleared + self.cleared.new_tensor(given)[:, None]

    def residual(self, slope: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        """Greatest distance from the best response, and the share of the participants who would leave."""
        shares = self.stack.shares
        moves = fee_residual(slope, self.curvature.value, shares, self._fees(self.price_at(progress)))
        return moves.amax(dim=1), (moves == 1).sum(dim=1) / shares.sum(dim=1).clamp(min=1)

    def certificate(
        self, run: int, model: nn.Module, profile: NDArray[np.float64], price: float, loss: Loss, data: Data
    ) -> FeeCertificate | None:
        """Check the end of a run by removal of each unit, where there is a price or a unit budget."""
        if price > 0 or isinstance(self.prices[run], UnitBudget):  # dead units leave at a price of 0
            return fee_certificate(
                model, profile, price, loss, data, congestion=self.congestion, units=self.stack.units
            )
        return None

    def state_dict(self) -> dict[str, Any]:
        """Running curvature, and the prices that cleared."""
        return {"curvature": self.curvature.state_dict(), "cleared": self.cleared}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self.curvature.load_state_dict(state["curvature"])
        self.cleared.copy_(state["cleared"])

    def _fees(self, price: Tensor) -> Tensor:
        """(runs, n) what the units pay for taking part at prices (runs, 1)."""
        return congested_fees(price, self.stack.shares > 0, self.stack.gates.sizes, self.congestion)


def _check_unit_budget(budget: UnitBudget, n_units: int, steps: int) -> None:
    """Refuse a unit budget above the number of units, or one that cannot be reached in time."""
    if budget.units > n_units:
        raise invalid_argument("price", budget, f"at most the {n_units} units there are")
    if steps < LEAST_STEPS:
        got = f"{steps} steps in all"
        raise invalid_argument("epochs", got, f"at least {LEAST_STEPS} steps for a price that clears")
