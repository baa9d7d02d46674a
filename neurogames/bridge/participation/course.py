"""A joint training under way: one stack of gated networks, what revises its gates, and how it stands.

``joint_training`` drives it; the rules are in ``rules``.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neurogames._arguments import invalid_argument, number
from neurogames.bridge.gates.gate_hooks import GatedProjection
from neurogames.bridge.gates.gates import Gates, insert_gates
from neurogames.bridge.modules.stacked_modules import StackedModules, stack_modules
from neurogames.bridge.participation.certificate import fee_certificate
from neurogames.bridge.participation.price_path import FIRST_EXIT, LAST_EXIT, UnitBudget, price_path
from neurogames.bridge.participation.rules import (
    IncomingWeights,
    PaperCosts,
    RunningCurvature,
    congested_fees,
    fee_residual,
)
from neurogames.bridge.participation.training_result import ParticipationTraining
from neurogames.engine.schedules import Parameter, Schedule

Loss = Callable[[Tensor, Tensor], Tensor]
_COUNT_EVERY = 4
_MOST_LEAVE = 0.1


@dataclass(frozen=True, eq=False)
class Run:
    """What one run starts from and is charged."""

    model: nn.Module
    price: Parameter | UnitBudget
    ridge: float
    competition: float


@dataclass(frozen=True, eq=False)
class Course:
    """A training under way: the stack, its gates layer by layer, and what revises them."""

    bare: tuple[nn.Module, ...]
    gates: Gates
    units: str | Sequence[str]
    stack: StackedModules
    leaves: dict[str, Tensor]  # the stack's parameters; those of a single run without their axis of runs
    shares: Tensor  # (runs, n), of which the gates among the leaves are views
    curvature: RunningCurvature
    costs: PaperCosts | None
    prices: tuple[Schedule | UnitBudget, ...]
    cleared: Tensor  # (runs, 1) the last price that cleared where a unit budget is given, else 0
    congestion: float
    rate: Schedule | None  # of the weights; None where the optimizer's does not change
    optimizer: torch.optim.Adam
    loss: Loss
    history: list[dict[str, Tensor]]

    @classmethod
    def opened(
        cls,
        runs: Sequence[Run],
        loss: Loss,
        rule: str,
        units: str | Sequence[str],
        learning_rate: Parameter,
        *,
        congestion: float = 0.0,
        weight_decay: float = 0.0,
    ) -> Course:
        """Stack gated copies of the models."""
        gated = [copy.deepcopy(run.model) for run in runs]
        gates = [insert_gates(model, units) for model in gated]
        stack = stack_modules(gated)
        gate_names = gates[0].parameter_names
        shares = torch.cat([stack.parameters[name].detach() for name in gate_names], dim=1)
        for name, part in zip(gate_names, shares.split(gates[0].sizes, dim=1), strict=True):
            stack.parameters[name].data = part  # the gates are one tensor, so that one operation moves them all
        leaves = stack.parameters
        if len(runs) == 1:  # an axis of one run would cost every parameter a view in each step
            leaves = {name: value.detach().squeeze(0).requires_grad_() for name, value in leaves.items()}
        column = partial(torch.tensor, dtype=shares.dtype, device=shares.device)
        costs = None
        if rule == "paper":
            for name in gates[0].modules:
                if f"{name}.weight" not in stack.parameters:
                    raise invalid_argument(
                        "units", units, "neurons or filters for rule 'paper': heads have no theta of their own"
                    )
            prices = [number("price", run.price, "a number") for run in runs]
            ridges, competitions = [run.ridge for run in runs], [run.competition for run in runs]
            costs = PaperCosts(*(column(values)[:, None] for values in (ridges, prices, competitions)))
        return cls(
            bare=tuple(run.model for run in runs),
            gates=gates[0],
            units=units,
            stack=stack,
            leaves=leaves,
            shares=shares,
            curvature=RunningCurvature(shares),
            costs=costs,
            prices=tuple(price_path(run.price, rule) for run in runs),
            cleared=shares.new_zeros(len(runs), 1),
            congestion=congestion,
            rate=learning_rate if callable(learning_rate) else None,
            optimizer=torch.optim.Adam(
                [value for name, value in leaves.items() if name not in gate_names],
                lr=0.0 if callable(learning_rate) else _positive(learning_rate),
                weight_decay=weight_decay,
                fused=True,
            ),
            loss=loss,
            history=[],
        )

    def price_at(self, done: float) -> Tensor:
        """(runs, 1) prices at a share of training: those given, or the last that cleared."""
        given = [0.0 if isinstance(price, UnitBudget) else float(price(min(done, 1.0))) for price in self.prices]
        return self.cleared + self.cleared.new_tensor(given)[:, None]

    def losses(
        self, inputs: Tensor, targets: Tensor, *, training: bool, exchanged: dict[str, Tensor] | None = None
    ) -> Tensor:
        """(runs,) mean losses, with some leaves exchanged for other tensors."""
        if self.stack.runs == 1:
            values = {**self.leaves, **self._only_buffers, **(exchanged or {})}
            return self.loss(self.stack.only(inputs, values, training=training), targets).unsqueeze(0)
        outputs = self.stack(inputs, training=training, exchanged=exchanged)
        return torch.func.vmap(self.loss, in_dims=(0, None))(outputs, targets)

    def step(self, inputs: Tensor, targets: Tensor, done: float, step: int, participation_rate: float) -> Tensor:
        """One step of the weights, and of the paper's gates; the losses (runs,) before it."""
        for leaf in self.leaves.values():
            leaf.grad = None
        exchanged: dict[str, Tensor] = {}
        if self.costs is not None:  # before the loss, which reads the same weights while they are in the cache
            drain = self.costs.drain(self.shares, self._incoming)
        elif step % _COUNT_EVERY == 0:
            exchanged = self._gates_by_row(len(inputs))
        else:  # the gates do not move by slopes, so that these are asked for only now and then
            exchanged = {name: self.leaves[name].detach() for name in self.gates.parameter_names}
        losses = self.losses(inputs, targets, training=True, exchanged=exchanged)
        losses.backward(torch.ones_like(losses))
        if self.rate is not None:
            self.optimizer.param_groups[0]["lr"] = float(self.rate(done))
        with torch.no_grad():
            if self.costs is not None:
                slopes = torch.cat([self.leaves[name].grad for name in self.gates.parameter_names], dim=-1)
                self.shares.add_(slopes.view_as(drain).sub_(drain), alpha=participation_rate).clamp_(0, 1)
            elif step % _COUNT_EVERY == 0:
                self._count(exchanged, len(inputs))
        self.optimizer.step()
        return losses.detach()

    def _gates_by_row(self, rows: int) -> dict[str, Tensor]:
        """One gate (..., rows, units) for each row of a batch; heads stand in a weight and cannot have that."""
        by_row = {}
        for name, place in zip(self.gates.parameter_names, self.gates.places, strict=True):
            if not isinstance(self.stack.template.get_submodule(place), GatedProjection):
                gate = self.leaves[name].detach().unsqueeze(-2)
                by_row[name] = gate.expand(*gate.shape[:-2], rows, -1).requires_grad_()
        return by_row

    def _count(self, by_row: dict[str, Tensor], rows: int) -> None:
        """Count the slopes of a mini-batch."""
        squares = []
        for name in self.gates.parameter_names:
            # Without slopes by row, rows E[g_i^2] over mini-batches of so many rows estimates the same, less surely.
            slopes = by_row[name].grad if name in by_row else self.leaves[name].grad.unsqueeze(-2)
            squares.append(torch.linalg.vecdot(slopes, slopes, dim=-2) * rows)
        self.curvature.add(torch.cat(squares, dim=-1))

    @torch.no_grad()
    def decide(self, done: float) -> None:
        """Let units leave, for good, in the order of the least price that is too high for them, few at a time.

        Where the price is given, those leave for whom it is too high; where a unit budget is, as many as are above it,
        and the price is the last that one of these would have paid. Units that stand in for each other are each worth
        little while the others stay. Leaving one after another they are worth more in the end; all at once they would
        leave together.
        """
        if self.costs is not None or not FIRST_EXIT <= done < LAST_EXIT:
            return
        taking_part = self.shares > 0
        bids = self.curvature.value / 2 / self._fees(torch.ones_like(self.cleared))
        bids = bids.masked_fill(~taking_part, torch.inf)
        ranked, order = bids.sort(dim=1, stable=True)
        count, unwilling = taking_part.sum(dim=1).tolist(), (bids < self.price_at(done)).sum(dim=1).tolist()
        for run, price in enumerate(self.prices):
            if isinstance(price, UnitBudget):
                leaving = max(count[run] - price.units_at(done, self.gates.n_players), 0)
                if leaving:
                    self.cleared[run] = ranked[run, leaving - 1]
            else:
                leaving = min(unwilling[run], max(int(count[run] * _MOST_LEAVE), 1))
            self.shares[run, order[run, :leaving]] = 0.0

    def _fees(self, price: Tensor) -> Tensor:
        """(runs, n) what the units pay for taking part at prices (runs, 1)."""
        return congested_fees(price, self.shares > 0, self.gates.sizes, self.congestion)

    @functools.cached_property
    def _incoming(self) -> IncomingWeights:
        """Views of the weights and biases that lead to the gated units."""
        held = self.stack.parameters
        weights = [held[f"{name}.weight"].detach() for name in self.gates.modules]
        biases = [
            held[f"{name}.bias"].detach() if f"{name}.bias" in held else torch.zeros_like(part)
            for name, part in zip(self.gates.modules, self.shares.split(self.gates.sizes, dim=1), strict=True)
        ]
        return IncomingWeights(tuple(weight.view(*weight.shape[:2], -1) for weight in weights), tuple(biases))

    @functools.cached_property
    def _only_buffers(self) -> dict[str, Tensor]:
        """Buffers of a single run, views of the stack's."""
        return {name: value.squeeze(0) for name, value in self.stack.buffers.items()}

    def note(self, loss: Tensor, inputs: Tensor, targets: Tensor, done: float) -> None:
        """Write down how the runs stand after an epoch of mean loss (runs,)."""
        residual, fraction_off_best_response = self.check(inputs, targets, done)
        price = self.price_at(done).squeeze(1)
        self.history.append(
            {
                "participation": self.shares.clone(),
                "loss": loss,
                "price": price,
                "residual": residual,
                "fraction_off_best_response": fraction_off_best_response,
            }
        )

    def check(self, inputs: Tensor, targets: Tensor, done: float) -> tuple[Tensor, Tensor]:
        """Residual and share of fraction_off_best_response units, each (runs,)."""
        gates = [self.leaves[name] for name in self.gates.parameter_names]
        slopes = torch.autograd.grad(self.losses(inputs, targets, training=False).sum(), gates)
        with torch.no_grad():
            slope = torch.cat(slopes, dim=-1).view_as(self.shares)
            if self.costs is not None:
                moves = self.costs.residual(slope, self.shares, self._incoming)
                return moves.amax(dim=1), (moves > 0.01).double().mean(dim=1)
            moves = fee_residual(slope, self.curvature.value, self.shares, self._fees(self.price_at(done)))
            taking_part = self.shares.sum(dim=1).clamp(min=1)
            return moves.amax(dim=1), (moves == 1).sum(dim=1) / taking_part

    def closed(self, inputs: Tensor, targets: Tensor, tolerance: float) -> ParticipationTraining:
        """Take the networks out of the stack and say how it went."""
        record = {
            name: torch.stack([epoch[name] for epoch in self.history]).double().cpu().numpy()
            for name in self.history[0]
        }
        models, certificates, status = [], [], []
        for run in range(self.stack.runs):
            module = copy.deepcopy(self.bare[run])
            gates = insert_gates(module, self.units)
            self.stack.fill(module, run)
            gates.remove()
            models.append(module)
            price, finite = record["price"][-1, run], np.isfinite(record["loss"][-1, run])
            certificate = None
            charged = price > 0 or isinstance(self.prices[run], UnitBudget)  # dead units leave at a price of 0
            if self.costs is None and charged and finite:
                profile = record["participation"][-1, run]
                data = inputs, targets
                certificate = fee_certificate(
                    module, profile, price, self.loss, data, congestion=self.congestion, units=self.units
                )
            certificates.append(certificate)
            residual = record["residual"][-1, run] if certificate is None else certificate.residual
            status.append(_status(residual, tolerance) if finite else "diverged: the loss is not finite")
        return ParticipationTraining(
            tuple(models),
            record["participation"][-1],
            certificate=tuple(certificates),
            status=tuple(status),
            **record,
        )


def _status(residual: float, tolerance: float) -> str:
    """What a residual says."""
    if residual <= tolerance:
        return "converged"
    return f"not converged: residual {residual:.2g} above {tolerance:.2g}"


def _positive(value: Any) -> float:
    return number("learning_rate", value, "a number > 0", lambda result: result > 0)
