"""Operations that combine tensors entry by entry: which channels meet there, and what stays constant."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import torch
from torch import Tensor

from neurogames.bridge.pruning.channels import along, compact
from neurogames.bridge.pruning.known_tensors import KnownTensors
from neurogames.bridge.pruning.layers import is_layer
from neurogames.bridge.pruning.operations import CHANNELWISE, PRODUCTS
from neurogames.bridge.pruning.rules import Operation


def map_entries(known: KnownTensors, step: Operation, result: Tensor) -> None:
    """Map constants entry by entry; couple the channels that meet."""
    owner, operands = "", step.constants
    if step.name in CHANNELWISE:
        labels, operands = known.labels(step.tensors[0]), operands[:1]
        owner = next(iter(known.owners(step.tensors)), "")
        if step.name == "prelu" and step.tensors[-1].numel() == 1:
            owner = ""
        if owner:
            known.entries(owner, along(known.flow, labels, 1, repr(owner)))
    else:
        labels = _meet(known, step, result.shape)
    if known.training:  # batch statistics and dropout are not to be drawn again
        known.note(result, labels, None)
        return
    mapped = step.again(constant.clone() for constant in step.constants)
    # Not every function of NaN is NaN.
    mapped = mapped.masked_fill(_any(operand.isnan() for operand in operands), torch.nan)
    if PRODUCTS.fullmatch(step.name):
        mapped = mapped.masked_fill(_any(operand == 0 for operand in operands), 0.0)
    known.note(result, labels, known.silenced(owner, mapped, 1 - result.ndim))


def _meet(known: KnownTensors, step: Operation, shape: torch.Size) -> Tensor:
    """Labels of the entrywise combination of several tensors.

    What is broadcast along every axis in which the channels of the others differ meets all of them alike and
    couples with none: it is read, if it belongs to a channel.
    """
    flow = known.flow
    labels = [known.labels(tensor) for tensor in step.tensors]
    small = [compact(label.expand(shape)) for label in labels]
    varied = [[axis for axis, size in enumerate(label.shape) if size > 1] for label in small]
    widest = max(range(len(small)), key=lambda i: (len(varied[i]), small[i].any().item()))
    result = small[widest]
    for i, label in enumerate(small):
        if i == widest or (label.shape == result.shape and label.equal(result)):
            continue
        origin = (1,) * (len(shape) - labels[i].ndim) + tuple(labels[i].shape)
        meets = [axis for axis in varied[widest] if origin[axis] != 1]
        if varied[widest] and not meets:
            flow.block(label, f"{step.name} spreads it over other channels")
        elif not varied[i] and not label.any() and varied[widest]:
            _meet_no_channel(known, step, step.tensors[i], result, meets)
        else:
            flow.couple(result, label, f"{step.name} joins it with what belongs to no unit")
            # An entry keeps a label if either has one, so that later readers know whom they read.
            result = torch.where(result == 0, label, result)
    return result.expand(shape)


def _meet_no_channel(known: KnownTensors, step: Operation, other: Tensor, labels: Tensor, meets: list[int]) -> None:
    """Join channels with a tensor of none: a parameter loses entries with them, along other axes slices stay whole."""
    flow = known.flow
    name, module, key = known.place(other)
    if len(meets) == 1 and module is not None and not is_layer(module) and name not in flow.entries:
        entries = along(flow, labels, meets[0], f"{step.name} with {key!r} of {name!r}")
        axis = meets[0] - labels.ndim + other.ndim
        known.scales(name, key, axis, entries)
    elif len(meets) < sum(size > 1 for size in labels.shape):
        first = labels
        for axis in meets:
            first = first.narrow(axis, 0, 1)
        flow.couple(labels, first, f"{step.name} joins it with what belongs to no unit")
    else:
        flow.block(labels, f"{step.name} joins it with what belongs to no unit")


def _any(flags: Iterable[Tensor]) -> Tensor:
    """Where any of the flags is up."""
    return functools.reduce(torch.logical_or, flags)
