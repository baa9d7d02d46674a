"""What the code of a model asks of the numbers of channels that leave, beyond what meets entry by entry.

- A grouped convolution keeps as many inputs and as many outputs in each of its groups; a whole group may leave.
- Code that splits channels (chunk, a reshape that shuffles them, one that makes heads) may ask for as many of each
  part. This shows when the smaller network runs. Then channels are **tied**: those at the same place of each part leave
  together, or if this does not help, those of a whole part.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from neurogames.bridge.pruning.channels import Flow, Step, compact, restrict
from neurogames.bridge.pruning.layers import group_count, is_depthwise
from neurogames.bridge.pruning.operations import MOVES

_WAYS = 2  # by place, by part


class Ties:
    """Couplings that the code of a model asks for, by kind of operation.

    Operations of one kind (the same name, number and form of results) mostly come from one line of code in a loop, and
    are tied alike.
    """

    def __init__(self) -> None:
        self._ways: dict[tuple[Any, ...], int] = {}

    def add(self, steps: list[Step], number: int) -> bool:
        """Tie the channels of an operation that did not do the same, or in another way if that was tried; say if so."""
        kind = _kind(steps[number])
        if kind is None or self._ways.get(kind, 0) >= _WAYS:
            return False
        self._ways[kind] = self._ways.get(kind, 0) + 1
        return True

    def apply(self, flow: Flow) -> None:
        """Couple what is tied."""
        for step in flow.steps if self._ways else ():
            kind = _kind(step)
            if kind is not None and kind in self._ways:
                for left, right in _tied(step, self._ways[kind]):
                    flow.couple(left, right, f"{step.name} joins it with what belongs to no unit")


def tie_groups(model: nn.Module, flow: Flow) -> None:
    """Couple channels at the same place of each group of a grouped convolution, so that the groups stay alike."""
    for _, columns, rows in _grouped(model, flow):
        for labels in (columns, rows):
            flow.couple(labels[:1], labels, "a grouped convolution joins it with what belongs to no unit")


def unbalanced(
    model: nn.Module, flow: Flow, leaving: Tensor, quiet: list[int], shares: dict[int, float]
) -> dict[int, str]:
    """Silent units, by label, that have to stay so that the groups of a convolution stay alike, and why."""
    groups, silent = flow.groups(), torch.tensor(quiet, dtype=torch.long)
    for name, columns, rows in _grouped(model, flow):
        gone = leaving[columns], leaving[rows]
        staying = ~(gone[0].all(1) & gone[1].all(1))
        for labels, out in zip((columns[staying], rows[staying]), (gone[0][staying], gone[1][staying]), strict=True):
            fewest = int(out.sum(1).min()) if len(out) else 0
            found: dict[int, str] = {}
            for of_group, absent in zip(labels, out, strict=True):
                most_needed = sorted(of_group[absent].tolist(), key=lambda label: -shares.get(label, 0.0))
                for label in most_needed[: len(most_needed) - fewest]:
                    mates = silent[torch.from_numpy(groups[quiet] == groups[label])].tolist()
                    found.update(dict.fromkeys(mates, f"the groups of {name!r} keep as many channels each"))
            if found:
                return found
    return {}


def hindrance(full: list[Step], small: list[Step], leaving: Tensor) -> int | None:
    """Number of the first operation of the whole model without its like in the cut one; None if there is none."""
    for number, (before, after) in enumerate(itertools.zip_longest(full, small[: len(full)])):
        if after is None or not _alike(before, after, leaving):
            return number
    return None


def _alike(full: Step, small: Step, leaving: Tensor) -> bool:
    """Whether a step of the cut model is that of the whole model on what remains."""
    before, after = full.labels, small.labels
    if (full.name, full.numbers, len(before)) != (small.name, small.numbers, len(after)):
        return False
    expected = (restrict(labels, leaving) for labels in before)
    return all(want is not None and want.equal(labels) for want, labels in zip(expected, after, strict=True))


def _grouped(model: nn.Module, flow: Flow) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Grouped convolutions that ran: name, labels of the inputs and outputs (groups, channels of a group)."""
    for name in flow.started:
        layer = model.get_submodule(name)
        groups = group_count(layer)
        if groups > 1 and not is_depthwise(layer):
            yield name, flow.reads[name][0].view(groups, -1), flow.rows[name].view(groups, -1)


def _kind(step: Step) -> tuple[Any, ...] | None:
    """What operations that are tied alike have in common; None if there is nothing to tie."""
    if not MOVES.fullmatch(step.name):
        return None
    forms = [tuple(i - label.ndim for i, size in enumerate(compact(label).shape) if size > 1) for label in step.outputs]
    if len(forms) > 1 and len({label.shape for label in step.outputs}) == 1 and any(forms):
        return (step.name, tuple(forms))
    if len(forms) == 1 and len(forms[0]) > 1:
        return (step.name, tuple(forms), step.outputs[0].ndim)
    return None


def _tied(step: Step, way: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Labels to be coupled in one of the ways."""
    if len(step.outputs) > 1:
        if way == 1:
            for other in step.outputs[1:]:
                yield step.outputs[0], other
        return
    labels = compact(step.outputs[0])
    axes = [axis for axis, size in enumerate(labels.shape) if size > 1]
    first = labels
    for axis in axes[:-1] if way == 1 else axes[1:]:
        first = first.narrow(axis, 0, 1)
    yield labels, first
