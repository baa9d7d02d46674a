"""What each kind of operation does to the labels and constants of the tensors it works on, one rule per kind.

A rule is applied right after its operation: it notes labels and constants for what came out, and tells the flow which
channels are read, coupled or blocked.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neurogames.bridge.pruning.channels import (
    LAYERS,
    Flow,
    along,
    compact,
    members,
    never,
    swapped,
    tensors_in,
    uniform_along,
)
from neurogames.bridge.pruning.known_tensors import KnownTensors
from neurogames.bridge.pruning.operations import CHANNELWISE, PRODUCTS, REDUCTIONS, spatial_axes


@dataclass(frozen=True, eq=False)
class Operation:
    """A torch operation with its tensors in order, and the constants of these before it is carried out."""

    func: Any
    name: str
    args: Any
    kwargs: Any
    tensors: tuple[Tensor, ...]
    constants: tuple[Tensor, ...]

    def again(self, tensors: Iterable[Tensor]) -> Any:
        """Carry it out with other tensors in the places of its own."""
        # New tensor objects, since an operation in place may change even the shape.
        given = (tensor.detach() for tensor in tensors)
        return self.func(*swapped(self.args, lambda _: next(given)), **swapped(self.kwargs, lambda _: next(given)))

    def argument(self, position: int, name: str, default: Any) -> Any:
        """One of its arguments."""
        return self.kwargs.get(name, self.args[position] if len(self.args) > position else default)


def plain_layer(known: KnownTensors, step: Operation) -> str | None:
    """Name of the plain Linear or convolution that is called here."""
    weight = step.argument(1, "weight", None)
    owner, module = known.owner(weight)
    if not isinstance(module, LAYERS) or weight is not module.weight:
        return None
    if step.argument(2, "bias", None) is not module.bias:
        return None
    return owner


def is_grouped(known: KnownTensors, step: Operation) -> bool:
    """Whether a convolution mixes channels in groups of more than one."""
    module = known.owner(step.argument(1, "weight", None))[1]
    groups = 1 if isinstance(module, nn.Linear) else step.argument(6, "groups", 1)
    return groups != 1 and not groups == module.in_channels == module.out_channels


def read(known: KnownTensors, owner: str, step: Operation, result: Tensor) -> None:
    """Read channels and start new ones; a depthwise convolution couples them."""
    flow, module = known.flow, known.owner(step.argument(1, "weight", None))[1]
    axis = -1 if isinstance(module, nn.Linear) else 1 - module.weight.ndim
    columns = along(known.labels(step.tensors[0]), axis)
    if columns is None:
        flow.block(known.labels(step.tensors[0]), f"{owner!r} reads it mixed with others")
        columns = torch.zeros(step.tensors[0].shape[axis], dtype=torch.long)
    rows = flow.rows[owner]
    if owner not in flow.started:
        flow.started.append(owner)
    if axis < -1 and step.argument(6, "groups", 1) > 1:
        flow.couple(columns, rows, f"{owner!r} reads it depthwise")
        flow.entries[owner] = rows
        constants = step.again(step.constants)
    else:
        constants = never(result)
        _record(flow, owner, columns, step, axis)
    labels = rows.view([-1] + [1] * (-1 - axis)).expand(result.shape)
    known.note(result, labels, known.silenced(owner, constants, axis))


def _record(flow: Flow, owner: str, columns: Tensor, step: Operation, axis: int) -> None:
    """Record which channels a layer reads, at which constants."""
    given = uniform_along(step.constants[0], axis).cpu()
    padding = 0 if axis == -1 else step.argument(4, "padding", 0)
    if padding == "same" or any(torch.as_tensor(0 if padding == "valid" else padding).reshape(-1)):
        given = given.masked_fill(given != 0, torch.nan)  # the border is 0, whatever the channel holds
    for label in members(columns[given.isnan()]):
        flow.living.setdefault(label, owner)
    if owner in flow.reads:
        before, constants = flow.reads[owner]
        flow.couple(before, columns, f"{owner!r} reads it in turn with what belongs to no unit")
        flow.block(columns[(constants - given).nan_to_num(0.0) != 0], f"{owner!r} reads it at two constants")
    flow.reads[owner] = (columns, given)


def move(known: KnownTensors, step: Operation, outputs: tuple[Tensor, ...]) -> None:
    """Move labels and constants as the entries are moved; an index that is a tensor stays itself."""
    index = [tensor not in known and not tensor.is_floating_point() for tensor in step.tensors]
    labels = [
        tensor.cpu() if stays else known.labels(tensor) for tensor, stays in zip(step.tensors, index, strict=True)
    ]
    moved, settled = tensors_in(step.again(labels)), tensors_in(step.again(step.constants))
    for tensor, label, constant in zip(outputs, moved, settled, strict=True):
        known.note(tensor, label, constant)


def map_entries(known: KnownTensors, step: Operation, result: Tensor) -> None:
    """Map constants entry by entry; couple the channels that meet."""
    owner, operands = "", step.constants
    if step.name in CHANNELWISE:
        labels, operands = known.labels(step.tensors[0]), operands[:1]
        owner = _scaled(known, step, labels)
    else:
        labels = _meet(known.flow, [known.labels(tensor) for tensor in step.tensors], result.shape, step.name)
    mapped = step.again(constant.clone() for constant in step.constants)
    # Not every function of NaN is NaN.
    mapped = mapped.masked_fill(_any(operand.isnan() for operand in operands), torch.nan)
    if PRODUCTS.fullmatch(step.name):
        mapped = mapped.masked_fill(_any(operand == 0 for operand in operands), 0.0)
    known.note(result, labels, known.silenced(owner, mapped, 1 - result.ndim))


def _scaled(known: KnownTensors, step: Operation, labels: Tensor) -> str:
    """Record the channels that a module scales one by one; give its name."""
    owner = next(iter(known.owners(step.tensors)), "")
    if not owner or (step.name == "prelu" and step.tensors[-1].numel() == 1):
        return ""
    entries = along(labels, 1)
    if entries is None:
        known.flow.block(labels, f"{owner!r} reads it mixed with others")
    elif owner in known.flow.entries:
        known.flow.couple(known.flow.entries[owner], entries, f"{owner!r} meets it and what belongs to no unit")
    else:
        known.flow.entries[owner] = entries
    return owner


def _meet(flow: Flow, labels: list[Tensor], shape: torch.Size, name: str) -> Tensor:
    """Labels of the entrywise combination of several tensors.

    What is broadcast along every axis in which the channels of the others differ meets all of them alike and
    couples with none: it is read, if it belongs to a channel.
    """
    small = [compact(label.expand(shape)) for label in labels]
    varied = [[axis for axis, size in enumerate(label.shape) if size > 1] for label in small]
    widest = max(range(len(small)), key=lambda i: (len(varied[i]), small[i].any().item()))
    result = small[widest]
    for i, label in enumerate(small):
        if i == widest or (label.shape == result.shape and label.equal(result)):
            continue
        origin = (1,) * (len(shape) - labels[i].ndim) + tuple(labels[i].shape)
        if varied[widest] and all(origin[axis] == 1 for axis in varied[widest]):
            flow.block(label, f"{name} spreads it over other channels")
            continue
        flow.couple(result, label, f"{name} joins it with what belongs to no unit")
        # An entry keeps a label if either has one, so that later readers know whom they read.
        result = torch.where(result == 0, label, result)
    return result.expand(shape)


def pool(known: KnownTensors, step: Operation, result: Tensor) -> bool:
    """Keep the labels of an operation within each channel; say whether it was one."""
    axes = spatial_axes(step.name, step.tensors[0].ndim, step.argument(1, "pad", ()))
    labels = compact(known.labels(step.tensors[0]))
    if axes is None or any(size > 1 for size in labels.shape[labels.ndim - axes :]):
        return False
    # Where a padded border meets a constant, entries differ: whoever reads them will see that.
    constants = step.again(step.constants)
    spoilt = step.constants[0].isnan().any(dim=tuple(range(-axes, 0)), keepdim=True)
    known.note(result, labels.expand(result.shape), constants.masked_fill(spoilt, torch.nan))
    return True


def reduce(known: KnownTensors, step: Operation, result: Tensor) -> bool:
    """Reduce over axes along which the channels do not change; say whether this was so."""
    axes = step.argument(1, "dim", ())
    axes = [axes] if isinstance(axes, int) else list(axes or ())
    labels = known.labels(step.tensors[0])
    small = compact(labels)
    if step.name not in REDUCTIONS or not axes or any(small.shape[axis] > 1 for axis in axes):
        return False
    labels = small.expand(labels.shape).amax(axes, keepdim=step.argument(2, "keepdim", False))
    known.note(result, labels, step.again(step.constants))
    return True


def stop(known: KnownTensors, step: Operation, outputs: tuple[Tensor, ...]) -> None:
    """Block all that goes into an operation, and start from nothing behind it."""
    owners = known.owners(step.tensors)
    for tensor in step.tensors:
        known.flow.block(known.labels(tensor), f"it feeds {step.name}" + (f" of {owners[0]!r}" if owners else ""))
    for tensor in outputs:
        known.note(tensor, None, None)


def _any(flags: Iterable[Tensor]) -> Tensor:
    """Where any of the flags is up."""
    return functools.reduce(torch.logical_or, flags)
