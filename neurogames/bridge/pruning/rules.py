"""What each kind of operation does to the labels and constants of the tensors it works on, one rule per kind.

A rule is applied right after its operation: it notes labels and constants for what came out, and tells the flow which
channels are read, coupled or blocked. Where tensors meet entry by entry is in ``meeting``, attention in ``attention``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neurogames.bridge.pruning.channels import (
    along,
    compact,
    members,
    never,
    swapped,
    tensors_in,
    uniform_along,
)
from neurogames.bridge.pruning.known_tensors import KnownTensors
from neurogames.bridge.pruning.layers import TRANSPOSED, channel_axis, is_depthwise, is_layer
from neurogames.bridge.pruning.operations import REDUCTIONS, spatial_axes


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
        # Labels and constants are expanded, and a view of what is not one block of memory is refused.
        func = torch.Tensor.reshape if self.name == "view" else self.func
        return func(*swapped(self.args, lambda _: next(given)), **swapped(self.kwargs, lambda _: next(given)))

    def argument(self, position: int, name: str, default: Any) -> Any:
        """One of its arguments."""
        return self.kwargs.get(name, self.args[position] if len(self.args) > position else default)


def plain_layer(known: KnownTensors, step: Operation) -> str | None:
    """Name of the plain Linear or convolution that is called here; only a call is seen by hooks, and so by gates."""
    weight, bias = _weights(step)
    owner, module = known.owner(weight)
    if not is_layer(module) or weight is not module.weight or known.calls[-1:] != [module]:
        return None
    return owner if bias is module.bias else None


def fed(name: str) -> int:
    """Which tensor of a layer's operation is what the layer reads; the bias leads in ``addmm``."""
    return int(name == "addmm")


def _weights(step: Operation) -> tuple[Tensor | None, Tensor | None]:
    """Weight and bias of a layer's operation."""
    if step.name == "addmm":
        return step.argument(2, "mat2", None), step.argument(0, "input", None)
    return step.argument(1, "weight", None), step.argument(2, "bias", None)


def read(known: KnownTensors, owner: str, step: Operation, result: Tensor) -> None:
    """Read channels and start new ones; a depthwise convolution couples them."""
    flow, module = known.flow, known.owner(_weights(step)[0])[1]
    axis = channel_axis(module)
    columns = along(flow, known.labels(step.tensors[fed(step.name)]), axis, repr(owner))
    rows = flow.rows[owner]
    if owner not in flow.started:
        flow.started.append(owner)
    constants = never(result)
    if is_depthwise(module):
        flow.couple(columns, rows, f"{owner!r} reads it depthwise")
        if not known.training:
            constants = step.again(step.constants)
    else:
        _record(known, owner, columns, step, module)
    labels = rows.view([-1] + [1] * (-1 - axis)).expand(result.shape)
    known.note(result, labels, known.silenced(owner, constants, axis))


def _record(known: KnownTensors, owner: str, columns: Tensor, step: Operation, module: Any) -> None:
    """Record which channels a layer reads, at which constants."""
    flow = known.flow
    if known.training:
        if owner in flow.reads:
            flow.couple(flow.reads[owner][0], columns, f"{owner!r} reads it in turn with what belongs to no unit")
        else:  # it runs in training only, where nothing is constant
            flow.reads[owner] = (columns, torch.zeros(len(columns), dtype=step.constants[fed(step.name)].dtype))
        return
    given = _held(step, module)
    for label in members(columns[given.isnan()]):
        flow.living.setdefault(label, owner)
    if owner in flow.reads:
        before, constants = flow.reads[owner]
        flow.couple(before, columns, f"{owner!r} reads it in turn with what belongs to no unit")
        flow.block(columns[(constants - given).nan_to_num(0.0) != 0], f"{owner!r} reads it at two constants")
    flow.reads[owner] = (columns, given)


def _held(step: Operation, module: Any) -> Tensor:
    """Constants that the columns of a layer hold; NaN where one cannot go into the bias."""
    axis = channel_axis(module)
    given = uniform_along(step.constants[fed(step.name)], axis).cpu()
    padding = 0 if axis == -1 else step.argument(4, "padding", 0)
    padded = padding == "same" or any(torch.as_tensor(0 if padding == "valid" else padding).reshape(-1))
    if padded or isinstance(module, TRANSPOSED):
        # The border is 0, whatever the channel holds; a transposed convolution spreads a constant unevenly.
        given = given.masked_fill(given != 0, torch.nan)
    return given


def move(known: KnownTensors, step: Operation, outputs: tuple[Tensor, ...]) -> None:
    """Move labels and constants as the entries are moved; an index that is a tensor stays itself."""
    index = [tensor not in known and not tensor.is_floating_point() for tensor in step.tensors]
    labels = [
        tensor.cpu() if stays else known.labels(tensor) for tensor, stays in zip(step.tensors, index, strict=True)
    ]
    moved, settled = tensors_in(step.again(labels)), tensors_in(step.again(step.constants))
    for tensor, label, constant in zip(outputs, moved, settled, strict=True):
        known.note(tensor, label, constant)


def normalize_groups(known: KnownTensors, step: Operation, result: Tensor) -> None:
    """GroupNorm: the channels of a group act on each other, so that they leave together, and change nothing else."""
    flow, owner = known.flow, next(iter(known.owners(step.tensors)), "")
    labels = known.labels(step.tensors[0])
    entries = along(flow, labels, 1, f"{owner!r}")
    known.entries(owner, entries)
    of_groups = entries.reshape(int(step.argument(1, "num_groups", 1)), -1)
    flow.couple(of_groups[:, :1], of_groups, f"{owner!r} norms it with what belongs to no unit")
    constants = never(result) if known.training else step.again(step.constants)
    known.note(result, labels, known.silenced(owner, constants, 1 - result.ndim))


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
    if step.name not in REDUCTIONS:
        return False
    axes = step.argument(1, "dim", ())
    axes = [axes] if isinstance(axes, int) else list(axes or ())
    labels = known.labels(step.tensors[0])
    small = compact(labels)
    if not axes or any(small.shape[axis] > 1 for axis in axes):
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
