"""Many torch modules of one architecture as one: parameters and buffers with a leading axis of runs.

Run k of the stack computes what module k computes, to rounding, and shares nothing with the others but the code. The
stack is read by ``torch.func``, so any module works that ``vmap`` can follow; its buffers (running means of a
BatchNorm) are kept per run.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neurogames._arguments import instance, invalid_argument
from neurogames.bridge.modules.evaluation import copy_module, gradients_on, unfused_attention


@dataclass(frozen=True, eq=False)
class StackedModules:
    """Modules of one architecture, stacked.

    Args:
        template: the module whose code is run; its own parameters are not.
        parameters: name -> (runs, ...) leaf tensors that require gradients.
        buffers: name -> (runs, ...) tensors.
    """

    template: nn.Module
    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]

    @property
    def runs(self) -> int:
        """Number of modules in the stack."""
        return len(next(iter(self.parameters.values())))

    def __call__(
        self, inputs: Tensor, *, training: bool = False, exchanged: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Outputs (runs, rows, ...) of all modules for the same rows.

        Args:
            inputs: (rows, ...), seen by every run.
            training: whether dropout drops and BatchNorm uses the batch.
            exchanged: tensors (runs, ...) to use instead of parameters of these names.
        """
        values = {**self.parameters, **self.buffers, **(exchanged or {})}
        if self.runs == 1:  # the same numbers without what vmap costs
            alone = {name: value.squeeze(0) for name, value in values.items()}
            return self.only(inputs, alone, training=training).unsqueeze(0)
        self.template.train(training)

        def one(values: dict[str, Tensor], rows: Tensor) -> Tensor:
            result: Tensor = torch.func.functional_call(self.template, values, (rows,))
            return result

        batched = torch.func.vmap(one, in_dims=(0, None), randomness="different")
        with unfused_attention():
            outputs: Tensor = batched(values, inputs)
        return outputs

    def only(self, inputs: Tensor, values: Mapping[str, Tensor], *, training: bool = False) -> Tensor:
        """Outputs (rows, ...) with these parameters and buffers, all of them and without an axis of runs."""
        if self.template.training != training:
            self.template.train(training)
        for held, attribute, name, _ in self._places:
            held[attribute] = values[name]
        try:
            outputs: Tensor = self.template(inputs)
        finally:
            for held, attribute, _, own in self._places:
                held[attribute] = own
        return outputs

    @functools.cached_property
    def _places(self) -> list[tuple[dict[str, Any], str, str, Tensor]]:
        """Each tensor of the template: the dictionary that holds it, its key there, its name in the stack, itself."""
        names = {id(value): name for name, value in (*self.template.named_parameters(), *self.template.named_buffers())}
        return [
            (held, attribute, names[id(value)], value)
            for module in self.template.modules()
            for held in (module._parameters, module._buffers)
            for attribute, value in held.items()
            if value is not None
        ]

    @torch.no_grad()
    def fill(self, module: nn.Module, run: int) -> None:
        """Write the parameters and buffers of one run into a module of the same architecture."""
        for name, parameter in module.named_parameters():
            parameter.copy_(self.parameters[name][run])
        for name, buffer in module.named_buffers():
            buffer.copy_(self.buffers[name][run])


@gradients_on()
def stack_modules(modules: Sequence[nn.Module]) -> StackedModules:
    """Stack copies of modules.

    Args:
        modules: one for each run, of one architecture; they are left as they are.

    Returns:
        The stack.

    Raises:
        ValueError: if there are none, or their parameters differ in name or shape.

    >>> stacked = stack_modules([nn.Linear(3, 2), nn.Linear(3, 2)])
    >>> stacked(torch.zeros(5, 3)).shape
    torch.Size([2, 5, 2])
    """
    same_architecture(modules, "modules")
    with torch.no_grad():
        stacked = {
            name: torch.stack([module.get_parameter(name).detach() for module in modules]).requires_grad_()
            for name, _ in modules[0].named_parameters()
        }
        buffers = {
            name: torch.stack([module.get_buffer(name) for module in modules]) for name, _ in modules[0].named_buffers()
        }
    return StackedModules(copy_module(modules[0]), stacked, buffers)


def same_architecture(modules: Sequence[nn.Module], name: str = "models") -> None:
    """Refuse modules that cannot be stacked."""
    instance(name, modules, Sequence, "a torch module, or a sequence of them")
    if not modules or not all(isinstance(module, nn.Module) for module in modules):
        raise invalid_argument(name, modules, "a torch module, or a sequence of them")
    first = _shapes(modules[0])
    for module in modules:
        if _shapes(module) != first:
            raise invalid_argument(name, "models that differ in their parameters", "models of one architecture")
    if not any(True for _ in modules[0].parameters()):
        raise invalid_argument(name, "a model without parameters", "models with parameters")


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    """Names and shapes of everything a module holds."""
    return {name: value.shape for name, value in (*module.named_parameters(), *module.named_buffers())}
