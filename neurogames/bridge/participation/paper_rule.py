"""The paper's rule: every gate climbs its own utility.

With G_ij = <theta_i, theta_j> over incoming weights and bias inside a layer, and g_i = dL/ds_i, each step is

    s_i <- clip(s_i + rate (g_i - 2 beta G_ii s_i - gamma - eta sum_{j != i} s_j G_ij), 0, 1),

with the sign as printed, so that a unit is paid for RAISING the loss. Where the weights are at rest g_i s_i = 0, and
any cost makes 0 the best response of all.

Reference: Pruning as a Game, arXiv 2512.22106, eq. 16-18.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurogames._arguments import invalid_argument, number
from neurogames.bridge.modules.data import Data, Loss
from neurogames.bridge.participation.gated_stack import GatedStack
from neurogames.bridge.participation.participation_rule import ParticipationRule, RuleSettings, Run
from neurogames.bridge.training.rule import Moment

_MOVES = 0.01
"""Distance from its best response above which a unit is counted as off it."""


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
        parts = torch.split(shares, [bias.shape[1] for bias in self.biases], dim=1)
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


@dataclass(eq=False)
class PaperRule(ParticipationRule):
    """The rule for a stack of networks.

    Attributes:
        stack: the networks.
        costs: beta, gamma and eta of each run.
        rate: of the gates.
    """

    stack: GatedStack
    costs: PaperCosts
    rate: float
    _drain: Tensor = field(init=False)

    @classmethod
    def of(cls, stack: GatedStack, runs: Sequence[Run], settings: RuleSettings) -> PaperRule:
        """The rule for these runs, or an error where they are charged otherwise.

        Raises:
            ValueError: if the price is no number, the congestion is not 0, or heads are gated.
        """
        if settings.congestion != 0:
            raise invalid_argument("congestion", settings.congestion, "0: it belongs to rule 'equilibrium'")
        for name in stack.gates.modules:
            if f"{name}.weight" not in stack.network.parameters:
                expected = "neurons or filters for rule 'paper', each with a weight of its own: heads have none"
                raise invalid_argument("units", stack.units, expected)
        prices = [number("price", run.price, "a number for rule 'paper'") for run in runs]
        ridges, competitions = [run.ridge for run in runs], [run.competition for run in runs]
        costs = PaperCosts(*(stack.shares.new_tensor(values)[:, None] for values in (ridges, prices, competitions)))
        return cls(stack, costs, settings.participation_rate)

    @property
    def own_parameters(self) -> tuple[str, ...]:
        """The gates."""
        return self.stack.gate_names

    def exchange(self, moment: Moment) -> dict[str, Tensor]:  # noqa: ARG002
        """Nothing; what the costs take is computed here, as the loss reads the same weights while they are cached."""
        self._drain = self.costs.drain(self.stack.shares, self.incoming)
        return {}

    def step(self, moment: Moment) -> None:  # noqa: ARG002
        """Move every gate along its utility."""
        force = self.stack.slopes().sub_(self._drain)
        self.stack.shares.add_(force, alpha=self.rate).clamp_(0, 1)

    def price_at(self, progress: float) -> Tensor:  # noqa: ARG002
        """(runs, 1) gamma."""
        return self.costs.price

    def residual(self, slope: Tensor, progress: float) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Greatest distance from the best response, and the share of units farther from theirs than 0.01."""
        moves = self.costs.residual(slope, self.stack.shares, self.incoming)
        return moves.amax(dim=1), (moves > _MOVES).double().mean(dim=1)

    def certificate(
        self, run: int, model: nn.Module, profile: NDArray[np.float64], price: float, loss: Loss, data: Data
    ) -> None:
        """None: no fee is paid."""

    @functools.cached_property
    def incoming(self) -> IncomingWeights:
        """Views of the weights and biases that lead to the gated units."""
        held = self.stack.network.stack.parameters
        weights = [held[f"{name}.weight"].detach() for name in self.stack.gates.modules]
        biases = [
            held[f"{name}.bias"].detach() if f"{name}.bias" in held else torch.zeros_like(part)
            for name, part in zip(self.stack.gates.modules, self.stack.by_layer(self.stack.shares), strict=True)
        ]
        return IncomingWeights(tuple(weight.view(*weight.shape[:2], -1) for weight in weights), tuple(biases))
