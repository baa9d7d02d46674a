"""How the curvature of a single layer is estimated, and what is remembered of it from step to step.

    identity    C = 1                                                       gradient descent
    diagonal    C = sqrt(v) + eps,   v <- decay v + (1 - decay) Q_u^2       RMSprop; with a mean of slopes, Adam
    kfac        C = (B + sqrt(damping)/p I) x (A + sqrt(damping) p I)       factors as in ``curvature.kronecker``
    ekfac       C = (U_B x U_A) (diag S + damping I) (U_B x U_A)'           moments as in ``curvature.eigenbasis``

A memory is a dictionary of tensors and integers, so that it can lie in the state of an optimizer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from neurogames._arguments import instance, number
from neurogames.bridge.curvature.eigenbasis import eigenbasis
from neurogames.bridge.curvature.kronecker import KroneckerFactors
from neurogames.bridge.curvature.layer_curvature import EKFACCurvature, KFACCurvature, Memory
from neurogames.bridge.dgnopt.metric import LayerMetric


class LayerRule(Protocol):
    """Turns what a layer did in a batch into its curvature."""

    def observe(self, memory: Memory, slope: Tensor, inputs: Tensor, gradients: Tensor, *, damping: float) -> Tensor:
        """Take a batch into the memory.

        Args:
            memory: of the layer; it is written to, but its tensors are not. Empty at first.
            slope: Q_u (d_out, d_in).
            inputs: a (rows, shared, d_in).
            gradients: slopes of the value of each row at the outputs, (rows, shared, d_out).
            damping: > 0.

        Returns:
            The slope that the open gain k is made of.
        """
        ...

    def metric(self, memory: Memory, *, damping: float, players: int) -> LayerMetric:
        """The curvature; for several fictitious players that cooperate, that of their sum."""
        ...


@dataclass(frozen=True)
class IdentityRule:
    """C = 1."""

    def observe(
        self,
        memory: Memory,  # noqa: ARG002
        slope: Tensor,
        inputs: Tensor,  # noqa: ARG002
        gradients: Tensor,  # noqa: ARG002
        *,
        damping: float,  # noqa: ARG002
    ) -> Tensor:
        """Nothing to be learnt."""
        return slope

    def metric(self, memory: Memory, *, damping: float, players: int) -> LayerMetric:  # noqa: ARG002
        """C = 1 for each player: the sum of N moves N times as far."""
        return LayerMetric() if players == 1 else LayerMetric(torch.tensor(1.0 / players, dtype=torch.float64))


@dataclass(frozen=True)
class DiagonalCurvature:
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

    def observe(
        self,
        memory: Memory,
        slope: Tensor,
        inputs: Tensor,  # noqa: ARG002
        gradients: Tensor,  # noqa: ARG002
        *,
        damping: float,  # noqa: ARG002
    ) -> Tensor:
        """Average squares, and slopes."""
        memory["count"] = memory.get("count", 0) + 1
        square = memory.get("square", torch.zeros_like(slope))
        memory["square"] = (square * self.decay).addcmul_(slope, slope, value=1 - self.decay)
        if not self.slope_decay:
            return slope
        mean: Tensor = memory.get("mean", torch.zeros_like(slope)).lerp(slope, 1 - self.slope_decay)
        memory["mean"] = mean
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

    def observe(self, memory: Memory, slope: Tensor, inputs: Tensor, gradients: Tensor, *, damping: float) -> Tensor:
        """Average the factors, and take their eigenbases, when it is time."""
        inverse = memory.get("inverse_inputs")
        own_averages(memory, self.curvature)
        self.curvature.observe(memory, inputs, gradients, damping=damping)
        if memory["inverse_inputs"] is not inverse:
            factors = KroneckerFactors(memory["inputs"], memory["outputs"])
            basis = eigenbasis(factors)
            memory["input_basis"], memory["output_basis"] = basis.inputs, basis.outputs
            memory["plain"] = spectrum((factors.inputs, factors.outputs), basis.inputs, basis.outputs)
            damped = damped_factors(factors.inputs, factors.outputs, damping)
            memory["damped"] = spectrum(damped, basis.inputs, basis.outputs)
            memory["refreshed"] = memory["step"]
        return slope

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

    def observe(self, memory: Memory, slope: Tensor, inputs: Tensor, gradients: Tensor, *, damping: float) -> Tensor:
        """Average factors and moments, and take a new eigenbasis, when it is time."""
        basis = memory.get("input_basis")
        own_averages(memory, self.curvature)
        self.curvature.observe(memory, inputs, gradients, damping=damping)
        if memory["input_basis"] is not basis:
            memory["refreshed"] = memory["step"]
        return slope

    def metric(self, memory: Memory, *, damping: float, players: int) -> LayerMetric:
        """S + damping; for N players that cooperate S + damping / N."""
        return LayerMetric(memory["moments"] + damping / players, memory["input_basis"], memory["output_basis"])

    def congruence(self, memory: Memory, damped: Tensor, *, damping: float) -> LayerMetric:
        """R with R (damped B x damped A) R = S + damping I, diagonal in the eigenbasis."""
        ratio = ((memory["moments"] + damping) / damped).sqrt()
        return LayerMetric(ratio, memory["input_basis"], memory["output_basis"])


def own_averages(memory: Memory, curvature: KFACCurvature | EKFACCurvature) -> None:
    """Copy the averages that the next batch is written to, so that a copy of the memory keeps what it holds.

    >>> curvature, memory = KFACCurvature(), {"step": 10, "inputs": torch.ones(1, 1), "outputs": torch.ones(1, 1)}
    >>> before = dict(memory)
    >>> own_averages(memory, curvature)
    >>> memory["inputs"] is before["inputs"]
    False
    """
    names = ["inputs", "outputs"] if curvature.averages_factors_next(memory) else []
    if isinstance(curvature, EKFACCurvature) and curvature.averages_next(memory):
        names.append("moments")
    for name in names:
        if name in memory:
            memory[name] = memory[name].clone()


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
