"""What the loop trains: one module, or a stack of modules of one architecture that see the same rows."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from neurogames.bridge.modules.data import Loss
from neurogames.bridge.modules.stacked_modules import StackedModules


class Network(Protocol):
    """Parameters, and the losses that they give on some rows."""

    @property
    def runs(self) -> int:
        """Number of modules."""

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """Leaf tensors by name; those of several modules have a leading axis of runs."""

    @property
    def buffers(self) -> Mapping[str, Tensor]:
        """Tensors that change without slopes, such as running means."""

    def losses(
        self, loss: Loss, inputs: Tensor, targets: Tensor, *, training: bool, exchanged: Mapping[str, Tensor]
    ) -> Tensor:
        """(runs,) mean losses, with the tensors ``exchanged`` in place of parameters of these names."""


@dataclass(frozen=True, eq=False)
class ModuleNetwork:
    """One module, run as it is, with its hooks.

    >>> network = ModuleNetwork(nn.Linear(3, 1))
    >>> rows, targets = torch.zeros(5, 3), torch.zeros(5, 1)
    >>> network.losses(nn.functional.mse_loss, rows, targets, training=True, exchanged={}).shape
    torch.Size([1])
    """

    module: nn.Module

    @property
    def runs(self) -> int:
        """One."""
        return 1

    @functools.cached_property
    def parameters(self) -> dict[str, Tensor]:
        """The module's parameters."""
        return dict(self.module.named_parameters())

    @functools.cached_property
    def buffers(self) -> dict[str, Tensor]:
        """The module's buffers, also those that its ``state_dict`` leaves out."""
        return dict(self.module.named_buffers())

    def losses(
        self, loss: Loss, inputs: Tensor, targets: Tensor, *, training: bool, exchanged: Mapping[str, Tensor]
    ) -> Tensor:
        """(1,) mean loss."""
        if self.module.training != training:
            self.module.train(training)
        outputs: Any = (
            torch.func.functional_call(self.module, dict(exchanged), (inputs,)) if exchanged else self.module(inputs)
        )
        return loss(outputs, targets).unsqueeze(0)


@dataclass(frozen=True, eq=False)
class StackNetwork:
    """Modules of one architecture as one.

    Attributes:
        stack: the modules.
        parameters: the stack's parameters; those of a single run are views without the axis of runs, as that axis
            would cost each of them an operation in every step.
    """

    stack: StackedModules
    parameters: dict[str, Tensor]

    @classmethod
    def of(cls, stack: StackedModules) -> StackNetwork:
        """Train the modules of a stack.

        >>> from neurogames.bridge.modules.stacked_modules import stack_modules
        >>> StackNetwork.of(stack_modules([nn.Linear(3, 2)])).parameters["weight"].shape
        torch.Size([2, 3])
        """
        if stack.runs > 1:
            return cls(stack, stack.parameters)
        return cls(
            stack, {name: value.detach().squeeze(0).requires_grad_() for name, value in stack.parameters.items()}
        )

    @property
    def runs(self) -> int:
        """Number of modules in the stack."""
        return self.stack.runs

    @property
    def buffers(self) -> dict[str, Tensor]:
        """The stack's buffers, (runs, ...)."""
        return self.stack.buffers

    def losses(
        self, loss: Loss, inputs: Tensor, targets: Tensor, *, training: bool, exchanged: Mapping[str, Tensor]
    ) -> Tensor:
        """(runs,) mean losses; each module sees all rows."""
        if self.runs == 1:
            values = {**self.parameters, **self._only_buffers, **exchanged}
            return loss(self.stack.only(inputs, values, training=training), targets).unsqueeze(0)
        outputs = self.stack(inputs, training=training, exchanged=exchanged)
        return torch.func.vmap(loss, in_dims=(0, None))(outputs, targets)

    @functools.cached_property
    def _only_buffers(self) -> dict[str, Tensor]:
        """Buffers of a single run, views of the stack's."""
        return {name: value.squeeze(0) for name, value in self.stack.buffers.items()}
