"""One stack of gated networks: what a joint training trains, and where its rules find the gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurogames.bridge.gates.gates import Gates, insert_gates
from neurogames.bridge.modules.data import Data, Loss
from neurogames.bridge.modules.evaluation import copy_module
from neurogames.bridge.modules.stacked_modules import stack_modules
from neurogames.bridge.modules.units import Unit
from neurogames.bridge.training.network import StackNetwork


@dataclass(frozen=True, eq=False)
class GatedStack:
    """Gated copies of some modules, stacked.

    Attributes:
        models: the modules without gates, as they came.
        units: what is gated.
        gates: where the gates stand, the same in all.
        network: the stack; its parameters hold the gates too.
        shares: (runs, n) all gates as one tensor, of which those among the parameters are views.
    """

    models: tuple[nn.Module, ...]
    units: Unit | Sequence[Unit]
    gates: Gates
    network: StackNetwork
    shares: Tensor

    @property
    def gate_names(self) -> tuple[str, ...]:
        """Names of the gates among the parameters, one for each gated module."""
        return self.gates.parameter_names

    def by_layer(self, values: Tensor) -> tuple[Tensor, ...]:
        """Cut (runs, n) into the parts (runs, units) of the gated modules."""
        return torch.split(values, list(self.gates.sizes), dim=1)

    def slopes(self) -> Tensor:
        """(runs, n) slopes dL/ds that the gates hold from the last step."""
        gates = [self.network.parameters[name] for name in self.gate_names]
        return self._joined([torch.zeros_like(gate) if gate.grad is None else gate.grad for gate in gates])

    def slopes_on(self, loss: Loss, data: Data) -> Tensor:
        """(runs, n) slopes dL/ds on some rows, in evaluation mode."""
        gates = [self.network.parameters[name] for name in self.gate_names]
        losses = self.network.losses(loss, *data, training=False, exchanged={})
        return self._joined(torch.autograd.grad(losses.sum(), gates, materialize_grads=True))

    def model(self, run: int) -> nn.Module:
        """A copy of one of the modules with the weights of the stack, without gates."""
        module = copy_module(self.models[run])
        gates = insert_gates(module, self.units)
        self.network.stack.fill(module, run)
        gates.remove()
        return module

    def _joined(self, slopes: Sequence[Tensor]) -> Tensor:
        """(runs, n) of slopes by module, which have no axis of runs where there is one run."""
        return torch.cat(list(slopes), dim=-1).view_as(self.shares)


def gated_stack(models: Sequence[nn.Module], units: Unit | Sequence[Unit]) -> GatedStack:
    """Stack gated copies of modules of one architecture.

    Args:
        models: the modules; they stay as they are.
        units: what is gated, as in ``insert_gates``.

    Returns:
        The stack, every unit taking part in full.

    Raises:
        ValueError: if a kind of unit is not known, or there is nothing to gate.

    >>> stack = gated_stack([nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))] * 2, "neurons")
    >>> stack.shares.shape, stack.gate_names
    (torch.Size([2, 4]), ('0.participation',))
    """
    gated = [copy_module(model) for model in models]
    gates, *_ = [insert_gates(model, units) for model in gated]
    stack = stack_modules(gated)
    shares = torch.cat([stack.parameters[name].detach() for name in gates.parameter_names], dim=1)
    for name, part in zip(gates.parameter_names, torch.split(shares, list(gates.sizes), dim=1), strict=True):
        stack.parameters[name].data = part  # the gates are one tensor, so that one operation moves them all
    return GatedStack(tuple(models), units, gates, StackNetwork.of(stack), shares)
