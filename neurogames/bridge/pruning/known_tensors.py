"""What is known of the tensors of one run while it goes on: labels, constants, and the modules they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from neurogames.bridge.pruning.channels import Flow, never


class KnownTensors:
    """Labels and constants of the tensors that come from a model's inputs, and the owners of its parameters.

    A tensor is in it once labels and constants were noted for it; they are forgotten when the tensor is.

    Args:
        model: the module that runs.
        flow: what the run has shown so far; written to where channels turn out to be changed unseen.
        silent: by name of module, the channels (bool) whose output counts as 0.
        training: whether the run is one in training mode, in which nothing counts as constant.

    Attributes:
        flow: as given.
        training: as given.
        calls: modules that are being called, the innermost last.

    >>> known = KnownTensors(nn.Linear(2, 1), Flow({}), {})
    >>> seen, other = known.note(torch.ones(2), torch.tensor([1, 2]), None), torch.ones(2)
    >>> known.labels(seen), known.constants(seen), known.labels(other), known.constants(other)
    (tensor([1, 2]), tensor([nan, nan]), tensor([0, 0]), tensor([1., 1.]))
    """

    def __init__(self, model: nn.Module, flow: Flow, silent: Mapping[str, Tensor], *, training: bool = False) -> None:
        self.flow = flow
        self.training = training
        self.calls: list[nn.Module] = []
        self._silent = {} if training else silent
        self._noted = WeakTensorKeyDictionary()
        self._owners: dict[int, tuple[str, Any, str]] = {}
        shared = set()
        for name, module in model.named_modules():
            for key, tensor in (*module._parameters.items(), *module._buffers.items()):
                if tensor is not None:
                    shared.update({id(tensor)} & self._owners.keys())
                    self._owners[id(tensor)] = (name, module, key)
        for number in shared:
            del self._owners[number]

    def __contains__(self, tensor: Tensor) -> bool:
        return tensor in self._noted

    def owner(self, tensor: Tensor | None) -> tuple[str, Any]:
        """Name and module that a parameter or buffer belongs to; an empty name and None unless it is one module."""
        return self.place(tensor)[:2]

    def place(self, tensor: Tensor | None) -> tuple[str, Any, str]:
        """Name and module that a parameter or buffer belongs to, and its key there; empty unless it is one module."""
        return self._owners.get(id(tensor), ("", None, ""))

    def owners(self, tensors: Iterable[Tensor]) -> list[str]:
        """Names of the modules that own some of these tensors, in order."""
        return [self._owners[id(tensor)][0] for tensor in tensors if id(tensor) in self._owners]

    def start(self, argument: Tensor) -> Tensor:
        """Copy an argument of the model; it is of no channel, and never constant."""
        return self.note(argument.detach().clone(), None, None)

    def note(self, tensor: Tensor, labels: Tensor | None, constants: Tensor | None) -> Tensor:
        """Attach labels and constants to a tensor as it is now."""
        labels = _of_none(tensor) if labels is None else labels
        self._noted[tensor] = (labels, never(tensor) if constants is None else constants, tensor._version)
        return tensor

    def entries(self, owner: str, labels: Tensor) -> None:
        """Note which channels a module scales one by one."""
        if owner in self.flow.entries:
            self.flow.couple(self.flow.entries[owner], labels, f"{owner!r} meets it and what belongs to no unit")
        elif owner:
            self.flow.entries[owner] = labels

    def scales(self, owner: str, key: str, axis: int, labels: Tensor) -> None:
        """Note which channels the entries of a parameter meet along one of its axes."""
        known_axis, before = self.flow.scales.setdefault((owner, key), (axis, labels))
        if known_axis != axis:
            self.flow.block(labels, f"{key!r} of {owner!r} is used along two axes")
            self.flow.block(before, f"{key!r} of {owner!r} is used along two axes")
        elif before is not labels:
            self.flow.couple(before, labels, f"{key!r} of {owner!r} meets it and what belongs to no unit")

    def labels(self, tensor: Tensor) -> Tensor:
        """Labels of a tensor; 0 for one that does not come from the inputs."""
        return self._noted[tensor][0] if tensor in self._noted else _of_none(tensor)

    def constants(self, tensor: Tensor) -> Tensor:
        """Constants of a tensor; its own values for one that does not come from the inputs."""
        if tensor not in self._noted:
            return tensor
        labels, _, version = self._noted[tensor]
        if tensor._version != version:
            # Its memory was written to through another tensor.
            self.flow.block(labels, "it is changed in place through another tensor")
            self.note(tensor, labels, None)
        known: Tensor = self._noted[tensor][1]
        return known

    def silenced(self, owner: str, constants: Tensor, axis: int) -> Tensor:
        """Constants with the silent channels of a module, counted along an axis from the end, at 0."""
        silent = self._silent.get(owner)
        if silent is None or not silent.any():
            return constants
        return constants.masked_fill(silent.to(constants.device).view([-1] + [1] * (-1 - axis)), 0.0)


def _of_none(tensor: Tensor) -> Tensor:
    """Label 0 in the shape of a tensor."""
    return torch.zeros((), dtype=torch.long).expand(tensor.shape)
