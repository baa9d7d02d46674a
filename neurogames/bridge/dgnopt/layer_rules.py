"""How the curvature of a single layer is estimated, and what is remembered of it from step to step.

    identity    C = 1                                                       gradient descent
    diagonal    C = sqrt(v) + eps,   v <- decay v + (1 - decay) Q_u^2       RMSprop; with a mean of slopes, Adam
    kfac        C = (B + sqrt(damping)/p I) x (A + sqrt(damping) p I)       factors as in ``curvature.kronecker``
    ekfac       C = (U_B x U_A) (diag S + damping I) (U_B x U_A)'           moments as in ``curvature.eigenbasis``

A memory is a dictionary of tensors and integers, so that it can lie in the state of an optimizer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from neurogames._arguments import instance, number
from neurogames.bridge.curvature.eigenbasis import Eigenbasis, eigenbasis
from neurogames.bridge.curvature.kronecker import KroneckerFactors
from neurogames.bridge.curvature.layer_curvature import EKFACCurvature, KFACCurvature, Memory, are_few
from neurogames.bridge.dgnopt.metric import LayerMetric
from neurogames.bridge.dgnopt.rows import Rows, RowSlopes


class LayerRule(Protocol):
    """Turns what a layer did in a batch into its curvature."""

    def observe(
        self, memory: Memory, slope: Tensor | None, rows: Rows, taken: Tensor | None, *, damping: float, needed: bool
    ) -> tuple[Tensor | None, Rows | RowSlopes]:
        """Take a batch into the memory.

        Args:
            memory: of the layer; it is written to. Empty at first.
            slope: slope of the whole cost in the weights, (d_out, d_in); None where nobody asks for it.
            rows: what the layer did to each row.
            taken: b (rows, rank), what the value has lost of each column behind the layer; None for nothing.
            damping: > 0.
            needed: whether the rows are needed in the coordinates of the metric.

        Returns:
            The slope that the open gain k is made of, and the rows, both in the coordinates of the metric; rows that
            are not needed or too many may stay as they are.
        """
        ...

    def metric(self, memory: Memory, *, damping: float, players: int) -> LayerMetric:
        """The curvature; for several fictitious players that cooperate, that of their sum."""
        ...


class PlainRule(ABC):
    """A rule that looks at slopes only, of a layer or any other parameter."""

    @abstractmethod
    def smooth(self, memory: Memory, slope: Tensor) -> Tensor:
        """Take a slope into the memory; returns the slope that the open gain is made of."""

    @abstractmethod
    def metric(self, memory: Memory, *, damping: float, players: int) -> LayerMetric:
        """The curvature."""

    def observe(
        self,
        memory: Memory,
        slope: Tensor | None,
        rows: Rows,
        taken: Tensor | None,
        *,
        damping: float,  # noqa: ARG002
        needed: bool,  # noqa: ARG002
    ) -> tuple[Tensor | None, Rows | RowSlopes]:
        """Take the slope of the value into the memory."""
        if slope is None:
            return None, rows
        return self.smooth(memory, slope if taken is None else slope - rows.mean_slope(taken)), rows


@dataclass(frozen=True)
class IdentityRule(PlainRule):
    """C = 1."""

    def smooth(self, memory: Memory, slope: Tensor) -> Tensor:  # noqa: ARG002
        """Nothing to be learnt."""
        return slope

    def metric(self, memory: Memory, *, damping: float, players: int) -> LayerMetric:  # noqa: ARG002
        """C = 1 for each player: the sum of N moves N times as far."""
        return LayerMetric() if players == 1 else LayerMetric(torch.tensor(1.0 / players, dtype=torch.float64))


@dataclass(frozen=True)
class DiagonalCurvature(PlainRule):
    """C = sqrt(v) + eps of each weight, as RMSprop has it, or Adam.

    Args:
        decay: in [0, 1), weight of the past in v.
        eps: > 0.
        slope_decay: in [0, 1), weight of the past in the slope that k is made of; Adam's first beta.
        bias_correction: divide both averages by 1 - decay^step, as Adam does.

    Raises:
        ValueError: an argument is out of range.

    >>> adam = DiagonalCurvature(decay=0.999, slope_decay=0.9, bias_correction=True)
    """

    decay: float = 0.99
    eps: float = 1e-8
    slope_decay: float = 0.0
    bias_correction: bool = False

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        for name in ("decay", "slope_decay"):
            number(name, getattr(self, name), "a number in [0, 1)", lambda value: 0 <= value < 1)
        number("eps", self.eps, "a number > 0", lambda value: value > 0)
        instance("bias_correction", self.bias_correction, bool, "True or False")

    def smooth(self, memory: Memory, slope: Tensor) -> Tensor:
        """Average squares, and slopes."""
        memory["count"] = memory.get("count", 0) + 1
        square = memory.setdefault("square", torch.zeros_like(slope))
        square.mul_(self.decay).addcmul_(slope, slope, value=1 - self.decay)
        if not self.slope_decay:
            return slope
        mean: Tensor = memory.setdefault("mean", torch.zeros_like(slope))
        mean.lerp_(slope, 1 - self.slope_decay)
        return mean / (1 - self.slope_decay ** memory["count"]) if self.bias_correction else mean.clone()

    def metric(self, memory: Memory, *, damping: float, players: int) -> LayerMetric:  # noqa: ARG002
        """sqrt(v) + eps, by the number of players."""
        v = memory["square"]
        v = v / (1 - self.decay ** memory["count"]) if self.bias_correction else v
        return LayerMetric((v.sqrt() + self.eps) / players)


@dataclass(frozen=True)
class KFACRule:
    """C = damped B x damped A, in the eigenbases of A and B.

    Attributes:
        curvature: how often, and over how many steps.
    """

    curvature: KFACCurvature

    def observe(
        self, memory: Memory, slope: Tensor | None, rows: Rows, taken: Tensor | None, *, damping: float, needed: bool
    ) -> tuple[Tensor | None, Rows | RowSlopes]:
        """Average the factors, and take their eigenbases, when it is time."""
        if self.curvature.averages_next(memory):
            inverse = memory.get("inverse_inputs")
            self.curvature.observe(memory, rows.inputs, rows.gradient(taken), damping=damping)
            if memory["inverse_inputs"] is not inverse:
                self._refresh(memory, damping)
        else:
            memory["step"] += 1
        seen = rows.turn(memory["input_basis"], memory["output_basis"]) if needed or _is_short(rows) else rows
        basis = LayerMetric(None, memory["input_basis"], memory["output_basis"])
        return _slope_in(basis, slope, rows, seen, taken), seen

    def _refresh(self, memory: Memory, damping: float) -> None:
        """Take the eigenbases of the factors, and their spectra."""
        factors = KroneckerFactors(memory["inputs"], memory["outputs"])
        basis = eigenbasis(factors)
        memory["input_basis"], memory["output_basis"] = basis.inputs, basis.outputs
        memory["plain"] = spectrum((factors.inputs, factors.outputs), basis.inputs, basis.outputs)
        damped = damped_factors(factors.inputs, factors.outputs, damping)
        memory["damped"] = spectrum(damped, basis.inputs, basis.outputs)
        memory["refreshed"] = memory["step"]

    def metric(self, memory: Memory, *, damping: float, players: int) -> LayerMetric:  # noqa: ARG002
        """Eigenvalues of the damped product, with the damping at the last refresh."""
        weights = memory["damped"] if players == 1 else (memory["damped"] + (players - 1) * memory["plain"]) / players
        return LayerMetric(weights, memory["input_basis"], memory["output_basis"])


@dataclass(frozen=True)
class EKFACRule:
    """C = S + damping, in the eigenbases of A and B.

    Attributes:
        curvature: how often, and over how many steps.
    """

    curvature: EKFACCurvature

    def observe(
        self,
        memory: Memory,
        slope: Tensor | None,
        rows: Rows,
        taken: Tensor | None,
        *,
        damping: float,  # noqa: ARG002
        needed: bool,
    ) -> tuple[Tensor | None, Rows | RowSlopes]:
        """Average factors and moments, and take a new eigenbasis, when it is time."""
        rule = self.curvature
        if rule.averages_factors_next(memory):
            known = memory.get("input_basis")
            rule.average_factors(memory, rows.inputs, rows.gradient(taken))
            if memory["input_basis"] is not known:
                memory["refreshed"] = memory["step"] + 1
        averages = rule.averages_moments_next(memory)
        turns = averages or needed or _is_short(rows)
        seen = rows.turn(memory["input_basis"], memory["output_basis"]) if turns else rows
        if averages:
            self._average_moments(memory, rows, seen, taken)
        memory["step"] += 1
        basis = LayerMetric(None, memory["input_basis"], memory["output_basis"])
        return _slope_in(basis, slope, rows, seen, taken), seen

    def _average_moments(self, memory: Memory, rows: Rows, seen: Rows | RowSlopes, taken: Tensor | None) -> None:
        """Average S with that of a batch."""
        decay = self.curvature.next_moment_decay(memory)
        basis = Eigenbasis(memory["input_basis"], memory["output_basis"])
        if "moments" not in memory:
            memory["moments"] = rows.inputs.new_empty(len(basis.outputs), len(basis.inputs))
        kept = memory["moments"]
        if seen.turned:
            seen.average_squares_(kept, taken, decay=decay)
        else:
            basis.average_moments_(kept, rows.inputs, rows.gradient(taken), decay=decay)
        memory["moments_averaged"] += 1

    def metric(self, memory: Memory, *, damping: float, players: int) -> LayerMetric:
        """S + damping; for N players that cooperate S + damping / N."""
        return LayerMetric(memory["moments"] + damping / players, memory["input_basis"], memory["output_basis"])

    def congruence(self, memory: Memory, damped: Tensor, *, damping: float) -> LayerMetric:
        """R with R (damped B x damped A) R = S + damping I, diagonal in the eigenbasis."""
        ratio = ((memory["moments"] + damping) / damped).sqrt()
        return LayerMetric(ratio, memory["input_basis"], memory["output_basis"])


def damped_factors(inputs: Tensor, outputs: Tensor, damping: float) -> tuple[Tensor, Tensor]:
    """What ``curvature.kronecker.damped_inverse`` inverts.

    >>> A, B = damped_factors(4 * torch.eye(1), torch.eye(1), 0.01)
    >>> round(A.item(), 6), round(B.item(), 6)
    (4.2, 1.05)
    """
    scales = [factor.diagonal().double().mean() for factor in (inputs, outputs)]
    balance = (scales[0] / scales[1]).sqrt()
    balance = balance.where(balance.isfinite() & (balance > 0), torch.ones_like(balance))
    shifts = damping**0.5 * balance, damping**0.5 / balance
    return _shifted(inputs, shifts[0]), _shifted(outputs, shifts[1])


def spectrum(factors: tuple[Tensor, Tensor], inputs: Tensor, outputs: Tensor) -> Tensor:
    """Diagonal of B x A in a basis, (d_out, d_in).

    >>> spectrum((torch.eye(1), 2 * torch.eye(2)), torch.eye(1), torch.eye(2))
    tensor([[2.],
            [2.]])
    """
    A, B = factors
    a = (inputs * (A @ inputs)).sum(dim=0).clamp_min(0)
    b = (outputs * (B @ outputs)).sum(dim=0).clamp_min(0)
    return b[:, None] * a


def _shifted(factor: Tensor, shift: Tensor) -> Tensor:
    """A copy with so much added to the diagonal."""
    copy = factor.clone()
    copy.diagonal().add_(shift.to(factor.dtype))
    return copy


def _is_short(rows: Rows) -> bool:
    """Whether the slope of the cost is less work from the rows."""
    shared, d_in, d_out = *rows.inputs.shape[1:], rows.columns.shape[3]
    return rows.is_sum and shared == 1 and are_few(len(rows.inputs), d_in, d_out)


def _slope_in(
    metric: LayerMetric, slope: Tensor | None, rows: Rows, seen: Rows | RowSlopes, taken: Tensor | None
) -> Tensor | None:
    """Slope of the value in the coordinates of a metric."""
    if slope is None:
        return None
    if rows.is_sum and isinstance(seen, Rows) and seen.turned:
        return seen.mean_gradient(taken)
    turned = metric.turn(slope)
    return turned if taken is None else turned - metric.mean_slope(seen, taken)
