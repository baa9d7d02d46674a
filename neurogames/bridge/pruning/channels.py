"""Which channels of which tensors belong together, found by following labels through one run of a model.

Every output row of a Linear or convolution is a **channel** with a number of its own, from 1. A tensor carries, next
to its values, an integer array of the same shape that says to which channel each entry belongs (0: to none), and an
array of **constants**: the value an entry has for every input, or NaN where it depends on the input. Channels that are
said to be silent start with the constant 0. Then, operation by operation:

- what only moves entries (flatten, view, permute, cat, chunk, indexing, ...) is applied to the labels themselves;
- elementwise maps, pooling, batch normalisation, dropout and depthwise convolutions keep the labels and are applied to
  the constants; where two tensors meet, the labels that meet are **coupled**;
- a Linear or convolution reads channels and starts new ones; what it reads is recorded. Channels that it reads in one
  column (behind PixelShuffle) are coupled, those of one group of a GroupNorm and of one head of attention as well;
- a parameter that meets channels one by one (a LayerScale) is recorded, so that its entries leave with them;
- the model's output and every operation not known here **block** the channels that reach them.

Coupled channels form groups, which can only leave the network together. The model runs as it is, on real inputs, so
that control flow by shapes is no obstacle; a branch on values that depend on the input is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from neurogames.bridge.modules.units import unit_count
from neurogames.bridge.pruning.layers import is_layer


@dataclass(frozen=True)
class Step:
    """One operation of a run: its name, its plain numbers if they matter, and the labels that went in and came out."""

    name: str
    numbers: tuple[Any, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def labels(self) -> tuple[Tensor, ...]:
        """All of them, those that went in first."""
        return (*self.inputs, *self.outputs)


@dataclass(eq=False)
class Flow:
    """What a run has shown.

    Attributes:
        rows: labels of the output rows, by name of Linear or convolution.
        started: names of the Linear and convolutions that ran as plain layers, in order.
        reads: labels and constants of the input columns, by name of Linear or convolution; not of a depthwise one.
        entries: labels of the channels that a module scales one by one (BatchNorm, GroupNorm, PReLU).
        scales: axis and labels of other parameters that meet channels one by one, by module and key.
        blocked: why a channel has to stay, by label.
        living: where a channel is read although it is not constant, by label.
        coupled: pairs of labels that stay or leave together.
        odd: names of modules whose tensors are used in other ways than by calling them.
        steps: the operations in order.
        output: what the model returned.
    """

    rows: Mapping[str, Tensor]
    started: list[str] = field(default_factory=list)
    reads: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    entries: dict[str, Tensor] = field(default_factory=dict)
    scales: dict[tuple[str, str], tuple[int, Tensor]] = field(default_factory=dict)
    blocked: dict[int, str] = field(default_factory=dict)
    living: dict[int, str] = field(default_factory=dict)
    coupled: list[Tensor] = field(default_factory=list)
    odd: set[str] = field(default_factory=set)
    steps: list[Step] = field(default_factory=list)
    output: Any = None

    def block(self, labels: Tensor, why: str) -> None:
        """Let channels stay; the first reason counts."""
        for label in members(labels):
            self.blocked.setdefault(label, why)

    def couple(self, left: Tensor, right: Tensor, why: str) -> None:
        """Let channels that meet stay or leave together; what meets an entry of no channel stays."""
        pairs = _pairs(left, right)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        self.block(pairs[(pairs == 0).any(1)], why)
        self.coupled.append(pairs[(pairs != 0).all(1)])

    def groups(self) -> NDArray[np.int64]:
        """Number of the group of coupled channels to which each label belongs."""
        size = 1 + max((int(labels.max()) for labels in self.rows.values() if len(labels)), default=0)
        pairs = torch.cat([*self.coupled, torch.zeros((0, 2), dtype=torch.long)]).numpy()
        links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
        return connected_components(links, directed=False)[1].astype(np.int64)


def number_rows(model: nn.Module) -> dict[str, Tensor]:
    """Give every output row of every Linear and convolution a label of its own, from 1.

    >>> number_rows(nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)))
    {'0': tensor([1, 2]), '2': tensor([3])}
    """
    rows: dict[str, Tensor] = {}
    start = 1
    for name, module in model.named_modules():
        if is_layer(module):
            count = unit_count(module)
            rows[name] = torch.arange(start, start + count)
            start += count
    return rows


def restrict(labels: Tensor, removed: Tensor) -> Tensor | None:
    """Labels that remain when the removed ones (bool by label) leave as whole slices of a tensor; None if they do not.

    >>> removed = torch.tensor([False, False, True, False])
    >>> restrict(torch.tensor([[1, 2, 3], [1, 2, 3]]), removed)
    tensor([[1, 3],
            [1, 3]])
    >>> restrict(torch.tensor([[1, 2], [3, 1]]), removed) is None
    True
    """
    small = compact(labels)
    gone = removed[small]
    if not gone.any():
        return labels
    shape = list(labels.shape)
    for axis in range(gone.ndim):
        others = [other for other in range(gone.ndim) if other != axis]
        slices = gone.all(dim=others) if others else gone  # over no axis at all, all() would take every axis
        if small.shape[axis] > 1:
            keep = (~slices).nonzero()[:, 0]
            small, gone = small.index_select(axis, keep), gone.index_select(axis, keep)
            shape[axis] = len(keep)
    return None if gone.any() else small.expand(shape)


def tensors_in(tree: Any) -> Iterator[Tensor]:
    """Tensors in nested tuples, lists and mappings, in order."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from tensors_in(value)
    elif isinstance(tree, (tuple, list)):
        for value in tree:
            yield from tensors_in(value)


def is_plain(tree: Any) -> bool:
    """Whether a tree holds no objects but tensors, numbers, texts and None, so that no tensor hides in it."""
    if isinstance(tree, Mapping):
        return all(map(is_plain, tree.values()))
    if isinstance(tree, (tuple, list)):
        return all(map(is_plain, tree))
    return tree is None or isinstance(tree, (Tensor, int, float, str))


def swapped(tree: Any, swap: Any) -> Any:
    """The same tree with every tensor exchanged."""
    if isinstance(tree, Tensor):
        return swap(tree)
    if isinstance(tree, Mapping):
        return {key: swapped(value, swap) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)) and not isinstance(tree, torch.Size):
        return type(tree)(swapped(value, swap) for value in tree)
    return tree


def members(labels: Tensor) -> list[int]:
    """Labels of channels that occur."""
    return [label for label in torch.unique(compact(labels)).tolist() if label]


def never(tensor: Tensor) -> Tensor:
    """NaN in the shape of a tensor: no entry is constant."""
    dtype = tensor.dtype if tensor.is_floating_point() else None
    return torch.full((), torch.nan, dtype=dtype, device=tensor.device).expand(tensor.shape)


def compact(values: Tensor) -> Tensor:
    """One entry for each axis along which the entries are all the same."""
    for axis in range(values.ndim):
        if values.shape[axis] > 1 and values.stride(axis) == 0:
            values = values.narrow(axis, 0, 1)
    for axis in range(values.ndim):
        if values.shape[axis] > 1:
            first = values.narrow(axis, 0, 1)
            if bool((values == first).all()):
                values = first
    return values


def along(flow: Flow, labels: Tensor, axis: int, reader: str) -> Tensor:
    """Labels along one axis; those that share an entry of it are coupled, those that are in several stay.

    >>> flow = Flow({})
    >>> along(flow, torch.tensor([[1, 2], [3, 4]]), 0, "reader"), flow.coupled[0].tolist()
    (tensor([1, 3]), [[1, 2], [3, 4]])
    """
    small = compact(labels)
    if small.shape[axis] == 1:
        small = small.expand([size if i == axis % labels.ndim else -1 for i, size in enumerate(labels.shape)])
    flat = small.movedim(axis, 0).reshape(labels.shape[axis], -1)
    first = flat[:, 0]
    if bool((flat == first[:, None]).all()):
        return first
    places = _pairs(torch.arange(len(flat))[:, None], flat)
    found = places[places[:, 1] != 0, 1]
    if len(torch.unique(found)) < len(found):
        flow.block(labels, f"{reader} reads it mixed with others")
        return torch.zeros_like(first)
    flow.couple(first[:, None], flat, f"{reader} reads it together with what belongs to no unit")
    return first


def uniform_along(constants: Tensor, axis: int) -> Tensor:
    """Constants along one axis; NaN where they change along another."""
    flat = constants.movedim(axis, 0).reshape(constants.shape[axis], -1)
    return flat[:, 0].masked_fill((flat != flat[:, :1]).any(1), torch.nan)


def _pairs(left: Tensor, right: Tensor) -> Tensor:
    """Pairs (m, 2) of numbers >= 0 that meet when two tensors are broadcast, each once."""
    base = 1 + max((int(part.max()) for part in (left, right) if part.numel()), default=0)
    found = torch.unique(left * base + right)
    return torch.stack([found // base, found % base], -1)
