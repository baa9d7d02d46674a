"""What an optimizer remembers of the curvature of one layer, and the direction that follows: KFAC and EKFAC.

The memory is a dictionary of tensors and integers, so that it can lie in the state of an optimizer. Averages start as
plain means: the n-th batch counts 1/n until that is below 1 - decay. Bases and inverses are made anew every ``refresh``
steps, and before that at the steps 0, 1, 2, 4, 8 and so on, since those of the first batch soon are of no use.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from neurogames._arguments import integer, invalid_argument, number
from neurogames.bridge.curvature.eigenbasis import Eigenbasis, eigenbasis
from neurogames.bridge.curvature.kronecker import KroneckerFactors, Sharing, damped_inverse, kronecker_factors

Memory = MutableMapping[str, Any]


class LayerCurvature(Protocol):
    """Turns the gradient of a layer into a direction, and learns from its arrays.

    A batch whose arrays are not needed may be left out: ``memory["step"] += 1`` counts it.
    """

    @property
    def keys(self) -> frozenset[str]:
        """Entries of the memory of a layer that has been seen."""
        ...

    def averages_next(self, memory: Memory) -> bool:
        """Whether the next batch goes into an average."""
        ...

    def observe(self, memory: Memory, inputs: Tensor, gradients: Tensor, *, damping: float) -> Tensor | None:
        """Take a batch into the memory, and count a step.

        Args:
            memory: of the layer; it is written to. Empty at first.
            inputs: a (rows, shared, d_in).
            gradients: g (rows, shared, d_out), each of the loss of its row alone.
            damping: > 0.

        Returns:
            What ``direction_of_mean`` has done of its work already, and may write to.
        """
        ...

    def direction(self, memory: Memory, gradient: Tensor, *, damping: float) -> Tensor:
        """(F + damping I)^-1 G for any G (d_out, d_in)."""
        ...

    def direction_of_mean(
        self, memory: Memory, inputs: Tensor, gradients: Tensor, observed: Tensor | None, *, damping: float
    ) -> Tensor:
        """The same for G = mean_r G_r of the batch that was observed; for few arrays less work, see ``are_few``."""
        ...


@dataclass(frozen=True)
class KFACCurvature:
    """F ~ B x A with factored damping.

    Args:
        factor_interval: steps from one average of the factors to the next.
        refresh: steps from one inverse to the next.
        factor_decay: weight in [0, 1) of what was known, in the average of the factors.
        sharing: "expand" or "reduce", see ``kronecker_factors``.

    >>> import torch
    >>> curvature, memory = KFACCurvature(), {}
    >>> a, g = torch.ones(4, 1, 1), torch.ones(4, 1, 1)
    >>> curvature.observe(memory, a, g, damping=1.0)
    >>> curvature.direction(memory, torch.ones(1, 1), damping=1.0)
    tensor([[0.2500]])
    """

    factor_interval: int = 10
    refresh: int = 100
    factor_decay: float = 0.95
    sharing: Sharing = "expand"

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        _check(self)

    @property
    def keys(self) -> frozenset[str]:
        """Entries of the memory."""
        return frozenset({"step", "averaged", "inputs", "outputs", "inverse_inputs", "inverse_outputs"})

    def averages_next(self, memory: Memory) -> bool:
        """Whether the next batch goes into the factors."""
        return self.averages_factors_next(memory)

    def averages_factors_next(self, memory: Memory) -> bool:
        """Whether the next batch goes into the factors."""
        return _averages_factors(self, memory.get("step", 0))

    def observe(self, memory: Memory, inputs: Tensor, gradients: Tensor, *, damping: float) -> None:
        """Average the factors, and invert them, when it is time."""
        if _average_factors(self, memory, inputs, gradients):
            inverse = damped_inverse(KroneckerFactors(memory["inputs"], memory["outputs"]), damping)
            memory["inverse_inputs"], memory["inverse_outputs"] = inverse.inputs, inverse.outputs
        memory["step"] += 1

    def direction(self, memory: Memory, gradient: Tensor, *, damping: float) -> Tensor:  # noqa: ARG002
        """B^-1 G A^-1, with the damping at the last refresh."""
        return self._inverse(memory).multiply(gradient)

    def direction_of_mean(
        self,
        memory: Memory,
        inputs: Tensor,
        gradients: Tensor,
        observed: Tensor | None,  # noqa: ARG002
        *,
        damping: float,  # noqa: ARG002
    ) -> Tensor:
        """The same from the arrays."""
        return self._inverse(memory).multiply_mean(inputs, gradients)

    def _inverse(self, memory: Memory) -> KroneckerFactors:
        """The inverses that are remembered."""
        return KroneckerFactors(memory["inverse_inputs"], memory["inverse_outputs"])


@dataclass(frozen=True)
class EKFACCurvature:
    """F ~ (U_B x U_A) diag(S) (U_B x U_A)'.

    Args:
        factor_interval: steps from one average of the factors to the next.
        refresh: steps from one eigenbasis to the next; S begins anew with it.
        moment_interval: steps from one average of S to the next.
        factor_decay: weight in [0, 1) of what was known, in the average of the factors.
        moment_decay: the same for S.
        sharing: "expand" or "reduce", for the factors; S is exact.

    >>> import torch
    >>> curvature, memory = EKFACCurvature(), {}
    >>> a, g = torch.ones(4, 1, 1), torch.ones(4, 1, 1)
    >>> _ = curvature.observe(memory, a, g, damping=1.0)
    >>> curvature.direction(memory, torch.ones(1, 1), damping=1.0)
    tensor([[0.5000]])
    """

    factor_interval: int = 10
    refresh: int = 100
    moment_interval: int = 1
    factor_decay: float = 0.95
    moment_decay: float = 0.75
    sharing: Sharing = "expand"

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        _check(self)
        integer("moment_interval", self.moment_interval, minimum=1)
        number("moment_decay", self.moment_decay, "a number in [0, 1)", lambda value: 0 <= value < 1)

    @property
    def keys(self) -> frozenset[str]:
        """Entries of the memory."""
        names = {"step", "averaged", "inputs", "outputs", "input_basis", "output_basis", "moments", "moments_averaged"}
        return frozenset(names)

    def averages_next(self, memory: Memory) -> bool:
        """Whether the next batch goes into the factors or S."""
        return memory.get("step", 0) % self.moment_interval == 0 or self.averages_factors_next(memory)

    def averages_factors_next(self, memory: Memory) -> bool:
        """Whether the next batch goes into the factors."""
        return _averages_factors(self, memory.get("step", 0))

    def observe(
        self,
        memory: Memory,
        inputs: Tensor,
        gradients: Tensor,
        *,
        damping: float,  # noqa: ARG002
    ) -> Tensor | None:
        """Average factors and moments, and turn to a new basis, when it is time; returns U_B' G U_A if it fell out."""
        if self.averages_factors_next(memory):
            self.average_factors(memory, inputs, gradients)
        first = None
        if self.averages_moments_next(memory):
            if "moments" not in memory:
                memory["moments"] = inputs.new_empty(gradients.shape[2], inputs.shape[2])
            decay = self.next_moment_decay(memory)
            first = self._basis(memory).average_moments_(memory["moments"], inputs, gradients, decay=decay)
            memory["moments_averaged"] += 1
        memory["step"] += 1
        return first

    def average_factors(self, memory: Memory, inputs: Tensor, gradients: Tensor) -> None:
        """Average the factors, and turn to a new basis, when it is time."""
        if _average_factors(self, memory, inputs, gradients):
            basis = eigenbasis(KroneckerFactors(memory["inputs"], memory["outputs"]))
            memory["input_basis"], memory["output_basis"] = basis.inputs, basis.outputs
            memory["moments_averaged"] = 0

    def averages_moments_next(self, memory: Memory) -> bool:
        """Whether the next batch goes into S, behind ``average_factors``: it does if the basis is new."""
        averaged, step = int(memory["moments_averaged"]), int(memory["step"])
        return averaged == 0 or step % self.moment_interval == 0

    def next_moment_decay(self, memory: Memory) -> float:
        """Weight of what is known of S in its next average."""
        seen: int = memory["moments_averaged"]
        return min(self.moment_decay, seen / (seen + 1))

    def direction(self, memory: Memory, gradient: Tensor, *, damping: float) -> Tensor:
        """U_B (U_B' G U_A / (S + damping)) U_A'."""
        return self._basis(memory).precondition(gradient, memory["moments"], damping)

    def direction_of_mean(
        self,
        memory: Memory,
        inputs: Tensor,
        gradients: Tensor,
        observed: Tensor | None,
        *,
        damping: float,
    ) -> Tensor:
        """The same with U_B' G U_A at hand, or from the arrays."""
        if observed is None:
            observed = self._basis(memory).rotate_mean(inputs, gradients)
        return self._basis(memory).rotate_back(observed.div_(memory["moments"] + damping))

    def _basis(self, memory: Memory) -> Eigenbasis:
        """The basis that is remembered."""
        return Eigenbasis(memory["input_basis"], memory["output_basis"])


def are_few(places: int, d_in: int, d_out: int) -> bool:
    """Whether two square matrices act on arrays of so many places with less work than on the gradient (d_out, d_in).

    >>> are_few(128, 785, 256), are_few(128, 257, 10)
    (True, False)
    """
    return places * (d_in**2 + d_out**2 + d_in * d_out) < d_in * d_out * (d_in + d_out)


def _average_factors(
    curvature: KFACCurvature | EKFACCurvature, memory: Memory, inputs: Tensor, gradients: Tensor
) -> bool:
    """Average the factors when it is time; returns whether it is time for a new basis or inverse too."""
    step: int = memory.setdefault("step", 0)
    if step == 0:
        factors = kronecker_factors(inputs, gradients, sharing=curvature.sharing)
        memory.update(inputs=factors.inputs, outputs=factors.outputs, averaged=1)
    elif _averages_factors(curvature, step):
        decay = min(curvature.factor_decay, memory["averaged"] / (memory["averaged"] + 1))
        factors = KroneckerFactors(memory["inputs"], memory["outputs"])
        factors.average_(inputs, gradients, decay=decay, sharing=curvature.sharing)
        memory["averaged"] += 1
    return _is_refreshed(curvature, step)


def _averages_factors(curvature: KFACCurvature | EKFACCurvature, step: int) -> bool:
    """Whether the factors are averaged in a step."""
    return step % curvature.factor_interval == 0 or _is_refreshed(curvature, step)


def _is_refreshed(curvature: KFACCurvature | EKFACCurvature, step: int) -> bool:
    """Whether bases or inverses are made anew in a step."""
    return step % curvature.refresh == 0 or (step < curvature.refresh and step & (step - 1) == 0)


def _check(curvature: KFACCurvature | EKFACCurvature) -> None:
    """Refuse settings out of range."""
    integer("factor_interval", curvature.factor_interval, minimum=1)
    integer("refresh", curvature.refresh, minimum=1)
    number("factor_decay", curvature.factor_decay, "a number in [0, 1)", lambda value: 0 <= value < 1)
    if curvature.sharing not in ("expand", "reduce"):
        raise invalid_argument("sharing", curvature.sharing, "'expand' or 'reduce'")
