"""Running a network with any of a layer's units replaced, from that layer on, for many sets of units at once.

Unit j is the j-th entry of a layer's output on the axis of units (``neurogames.bridge.modules.units``): a feature of
(rows, features) or (rows, tokens, features), a channel of (rows, channels, height, width). A unit inside the set S
keeps its values a; outside of it they are replaced by c::

    "zero"    c = 0
    "mean"    c = mean of a over the rows, at each position
    "sample"  c = a of another row, drawn once for each row and the same for all units

What comes before the layer is run once. If a Linear reads the values next (perhaps after operations that treat every
unit by itself), its weights W take the mask instead, c W + ((a - c) * S) W = c W + (a - c) (S * W): one product then
serves many sets. Otherwise the masked values of many sets are stacked, as if they were more rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurogames._arguments import integer, invalid_argument
from neurogames.bridge.coalitions.masked_runs import Folded, MaskedNetwork, Rest, Stacked, Whole
from neurogames.bridge.coalitions.network_graph import CutNetwork, cut_network
from neurogames.bridge.modules.data import finite_rows
from neurogames.bridge.modules.hooks import device_of, frozen_copy, known_module, on_output, record
from neurogames.bridge.modules.units import find_unit_axis

Baseline = Literal["zero", "mean", "sample"]

_CACHE_BYTES = 2**22  # on a CPU, more at once is slower, since it leaves the cache
_PROBE_ROWS = 5


def masked_network(
    model: nn.Module,
    layer: str,
    inputs: Tensor,
    *,
    until: str | None = None,
    baseline: Baseline = "zero",
    unit_axis: int | None = None,
    memory: int,
    rng: np.random.Generator | None = None,
) -> MaskedNetwork:
    """Prepare a network for replacing units of a layer.

    Args:
        model: any network with one tensor of inputs and one of outputs, rows first. It is copied and left alone.
        layer: name of a module that is called once; its output has rows and units.
        inputs: (rows, ...).
        until: name of a later module whose values are to be the outputs; the network's own when left out.
        baseline: what replaces the values of a unit outside the set.
        unit_axis: axis of the layer's output on which units stand; found by ``find_unit_axis`` when left out.
        memory: bytes for what comes and goes with a part of the rows.
        rng: draws the other rows of "sample".

    Returns:
        The network from the layer on. One that ``torch.fx`` cannot record is run as a whole, set by set.

    Raises:
        ValueError: a name is unknown, a module is not called once or gives no rows of units, the axis of units cannot
            be told, there are no rows, or something is not finite.
    """
    if baseline not in ("zero", "mean", "sample"):
        raise invalid_argument("baseline", baseline, "'zero', 'mean' or 'sample'")
    inputs = finite_rows(inputs)
    integer("memory", memory, minimum=1)
    donors = _donors(baseline, len(inputs), rng)
    for name in (layer, until):
        if name is not None:
            known_module(model, name)
    own = frozen_copy(model)
    inputs = inputs.to(device_of(own))
    probe = inputs[:_PROBE_ROWS]
    values, expected = record(own, layer, until, probe)
    axis = find_unit_axis(own, layer, given=unit_axis, ndim=values.ndim) % values.ndim
    for name, tensor in ((layer, values), (until or "outputs", expected)):
        if not tensor.isfinite().all():
            raise invalid_argument("model", f"values of {name} that are not finite", "a network with finite values")
    parts = cut_network(own, layer, until, probe, unit_axis=axis)
    if parts is not None:
        try:
            result: MaskedNetwork = _cut(parts, own, layer, values, axis, inputs, baseline, donors, memory)
            everybody = torch.ones(3, values.shape[axis], dtype=torch.bool, device=inputs.device)
            again = result.outputs(everybody, slice(0, len(probe)))
        except (RuntimeError, ValueError, IndexError, TypeError):  # stacking is too much for some networks
            again = None
        if again is not None and _alike(again, expected):
            return result
    return _whole(own, layer, axis, until, inputs, baseline, donors)


@torch.no_grad()
def mean_over_rows(
    network: MaskedNetwork, members: NDArray[np.bool_], score: Callable[[Tensor, slice], Tensor], memory: int
) -> NDArray[np.float64]:
    """Mean over all rows of a score of the outputs, for many sets of units.

    Args:
        network: the network.
        members: (m, n) sets of units.
        score: maps outputs (rows, some, ...) and the slice of rows to sums over these rows, (some, ...) float64.
        memory: bytes for what comes and goes with a part of the sets and rows.

    Returns:
        (m, ...) means.
    """
    work = memory if network.device.type != "cpu" else min(memory, _CACHE_BYTES)
    step = network.n_rows if network.row_bytes == 0 else min(network.n_rows, max(1, work // network.row_bytes))
    sets = max(1, work // (step * network.row_bytes + network.set_bytes))
    total: Tensor | None = None
    given = torch.from_numpy(members)
    for first in range(0, network.n_rows, step):
        rows = slice(first, min(first + step, network.n_rows))
        sums = [score(network.outputs(part.to(network.device), rows), rows) for part in torch.split(given, sets)]
        total = torch.cat(sums) if total is None else total + torch.cat(sums)
    assert total is not None
    return (total / network.n_rows).cpu().numpy()


@torch.no_grad()
def along_orders(
    network: Stacked | Folded, orders: NDArray[np.intp], score: Callable[[Tensor, slice], Tensor], memory: int
) -> NDArray[np.float64]:
    """Scores of every row as the units take their places in an order of its own.

    Args:
        network: the network.
        orders: (rows, n) an order of the units for each row.
        score: maps outputs (some rows, some, ...) and the slice of rows to scores (some, some rows) float64.
        memory: bytes for what comes and goes with a part of the rows.

    Returns:
        (rows, n + 1) scores with the first 0, 1, ..., n units.
    """
    work = memory if network.device.type != "cpu" else min(memory, _CACHE_BYTES)
    sizes = network.n_units + 1
    each = network.row_bytes + network.order_bytes
    step, few = max(1, work // (each * sizes)), max(1, work // each)
    given = torch.from_numpy(orders)
    scores = np.empty((network.n_rows, sizes))
    for first in range(0, network.n_rows, step):
        rows = slice(first, min(first + step, network.n_rows))
        own = given[rows].to(network.device)
        for least in range(0, sizes, few):
            part = slice(least, min(least + few, sizes))
            scores[rows, part] = score(network.along(own, rows, part), rows).T.cpu().numpy()
    return scores


def _donors(baseline: str, rows: int, rng: np.random.Generator | None) -> Tensor | None:
    """For each row another one, uniformly; None where no rows are drawn."""
    if baseline != "sample":
        return None
    if not isinstance(rng, np.random.Generator):
        raise invalid_argument("rng", rng, "a numpy Generator, since rows are drawn")
    if rows < 2:
        raise invalid_argument("inputs", "one row", "at least two rows, to replace values by those of another")
    return torch.from_numpy((np.arange(rows) + rng.integers(1, rows, size=rows)) % rows)


def _alike(again: Tensor, expected: Tensor) -> bool:
    """Whether each of several sets of all units gave what the network gives."""
    if again.shape != (len(expected), 3, *expected.shape[1:]):
        return False
    room = 1e-3 * float(expected.abs().max()) + 1e-30
    return bool(((again - expected.unsqueeze(1)).abs() <= room).all())


@torch.no_grad()
def _cut(
    parts: CutNetwork,
    model: nn.Module,
    layer: str,
    like: Tensor,
    axis: int,
    inputs: Tensor,
    baseline: Baseline,
    donors: Tensor | None,
    memory: int,
) -> Stacked | Folded:
    """Run what comes before the cut, block by block; ``like`` are values of the layer for a few rows."""
    total = like.new_zeros(1, *like.shape[1:], dtype=torch.float64)

    def add(output: Tensor) -> None:
        if baseline == "mean":  # here, since what comes next may write into the output
            total.add_(output.sum(dim=0, keepdim=True, dtype=torch.float64))

    held: list[Any] = []
    by_row: list[bool] = []
    done = 0
    with on_output(model, layer, add):
        for block in torch.split(inputs, max(1, memory // max(1, parts.bytes_before))):
            found = parts.before(block.clone())
            if not held:
                by_row = [isinstance(value, Tensor) and value.ndim > 0 and len(value) == len(block) for value in found]
                held = [
                    value.new_empty(len(inputs), *value.shape[1:]) if rows else value
                    for value, rows in zip(found, by_row, strict=True)
                ]
            for whole_value, value, rows in zip(held, found, by_row, strict=True):
                if rows:
                    whole_value[done : done + len(block)] = value
            done += len(block)
    values, *also = held
    if not values.isfinite().all():
        raise invalid_argument("model", "values that are not finite", "a network with finite values for these inputs")
    if donors is not None:
        filler = values[donors.to(values.device)]
    else:
        filler = parts.alone((total / len(inputs)).to(like.dtype))
    rest, units = Rest(parts.after, tuple(zip(also, by_row[1:], strict=True))), like.shape[axis]
    if parts.reader is None:
        size = values[0].nbytes
        return Stacked(values, filler, axis, rest, units, row_bytes=parts.bytes_after + size, set_bytes=size)
    weight, difference = parts.reader.weight.detach(), (values - filler).T.contiguous()
    return Folded(
        weight, parts.reader(filler), difference, rest, units, row_bytes=parts.bytes_after, set_bytes=weight.nbytes
    )


@torch.no_grad()
def _whole(
    model: nn.Module,
    layer: str,
    axis: int,
    until: str | None,
    inputs: Tensor,
    baseline: Baseline,
    donors: Tensor | None,
) -> Whole:
    """Run the whole network once to know what replaces the values of the layer."""
    values, outputs = record(model, layer, until, inputs)
    if not values.isfinite().all():
        raise invalid_argument("model", "values that are not finite", "a network with finite values for these inputs")
    if donors is not None:
        filler = values[donors.to(values.device)]
    else:
        filler = (
            values.double().mean(dim=0, keepdim=True).to(values) if baseline == "mean" else torch.zeros_like(values[:1])
        )
    return Whole(model, layer, until, inputs, filler, axis, values.shape[axis], set_bytes=outputs.nbytes)
