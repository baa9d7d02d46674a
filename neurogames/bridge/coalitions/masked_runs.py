"""The three ways in which a network with replaced units is run; ``masked_network`` chooses among them.

Each maps sets of units, boolean (m, n), and a slice of the rows to outputs (rows, m, ...).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, fx, nn

from neurogames.bridge.modules.hooks import on_output


class MaskedNetwork(Protocol):
    """A network some units of which can be replaced."""

    @property
    def n_units(self) -> int:
        """Number of units n."""
        ...

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it is run."""
        ...

    @property
    def row_bytes(self) -> int:
        """Bytes needed for each row and set; 0 if all rows must come together."""
        ...

    @property
    def set_bytes(self) -> int:
        """Bytes needed for each set."""
        ...

    def outputs(self, members: Tensor, rows: slice) -> Tensor:
        """Outputs (rows, m, ...) of m sets of units, boolean (m, n)."""
        ...


@dataclass(frozen=True, eq=False)
class Stacked:
    """A network behind the cut, for masked values stacked as rows."""

    values: Tensor  # (rows, columns, ...) at the cut; each unit owns as many neighbouring columns
    filler: Tensor  # (rows or 1, columns, ...) their replacement
    unit_axis: int  # the axis of the columns, from the front
    after: fx.GraphModule
    also: tuple[tuple[Tensor | None, bool], ...]  # what else ``after`` reads, and whether by row
    n_units: int
    n_rows: int
    device: torch.device
    row_bytes: int
    set_bytes: int

    @torch.no_grad()
    def outputs(self, members: Tensor, rows: slice) -> Tensor:
        """Outputs (rows, m, ...) of m sets of units (m, n)."""
        return self._masked(members.unsqueeze(0), rows)

    @property
    def order_bytes(self) -> int:
        """Bytes needed on top for each row and number of units along an order."""
        return 0

    @torch.no_grad()
    def along(self, orders: Tensor, rows: slice, sizes: slice) -> Tensor:
        """Outputs (rows, some, ...) with the first units, so many as ``sizes`` says, of each row's order (rows, n)."""
        numbers = torch.arange(sizes.start, sizes.stop, device=orders.device)
        return self._masked(orders.argsort(dim=1).unsqueeze(1) < numbers.unsqueeze(1), rows)

    def _masked(self, members: Tensor, rows: slice) -> Tensor:
        """Outputs (rows, m, ...) of m sets of units for each row, or of the same for all, (rows or 1, m, n)."""
        columns = _spread(members, self.values.shape[self.unit_axis])
        before, behind = self.unit_axis - 1, self.values.ndim - 1 - self.unit_axis
        mask = columns.reshape(*columns.shape[:2], *(1,) * before, -1, *(1,) * behind)
        stacked = torch.where(mask, self.values[rows].unsqueeze(1), _of(self.filler, rows).unsqueeze(1))
        return _rest(self.after, self.also, stacked, rows)


@dataclass(frozen=True, eq=False)
class Folded:
    """A network behind the cut, the next Linear of which takes the masks into its weights."""

    weight: Tensor  # (features, columns)
    base: Tensor  # (rows or 1, features) what the Linear makes of the replacement
    difference: Tensor  # (columns, rows) values - replacement
    after: fx.GraphModule
    also: tuple[tuple[Tensor | None, bool], ...]
    n_units: int
    n_rows: int
    device: torch.device
    row_bytes: int
    set_bytes: int

    @torch.no_grad()
    def outputs(self, members: Tensor, rows: slice) -> Tensor:
        """Outputs (rows, m, ...) of m sets of units (m, n)."""
        columns = _spread(members, self.weight.shape[1])
        masked = (self.weight * columns.unsqueeze(1)).flatten(0, 1)  # (m * features, columns)
        difference, base = self.difference[:, rows], _of(self.base, rows)
        if len(self.after.graph.nodes) == 2:  # in and out: nothing comes after, and rows last suits the score
            return (masked @ difference).unflatten(0, (len(members), -1)).add_(base.T).permute(2, 0, 1)
        product = (difference.T @ masked.T).unflatten(1, (len(members), -1)).add_(base.unsqueeze(1))
        return _rest(self.after, self.also, product, rows)

    @property
    def order_bytes(self) -> int:
        """Bytes needed on top for each row and number of units along an order."""
        return 3 * self.weight[:, :1].nbytes

    @torch.no_grad()
    def along(self, orders: Tensor, rows: slice, sizes: slice) -> Tensor:
        """Outputs (rows, some, ...) with the first units, so many as ``sizes`` says, of each row's order (rows, n).

        A unit that joins adds its part to what the Linear makes of those before it, so that nothing is masked.
        """
        places, difference = orders.flatten(), self.difference[:, rows]
        if len(difference) == self.n_units:
            parts = self.weight.T.contiguous().index_select(0, places)
            parts *= difference.T.gather(1, orders).reshape(-1, 1)
        else:  # the columns of a unit are added up first
            by_unit = difference.unflatten(0, (self.n_units, -1)).mT @ self.weight.T.unflatten(0, (self.n_units, -1))
            row = torch.arange(len(orders), device=orders.device).repeat_interleave(self.n_units)
            parts = by_unit.flatten(0, 1).index_select(0, places * len(orders) + row)
        sums = parts.new_empty(len(orders), self.n_units + 1, parts.shape[1])
        sums[:, 0] = _of(self.base, rows)
        sums[:, 1:] = parts.unflatten(0, orders.shape)
        product = sums.cumsum_(dim=1)[:, sizes]
        return product if len(self.after.graph.nodes) == 2 else _rest(self.after, self.also, product, rows)


@dataclass(frozen=True, eq=False)
class Whole:
    """A network that is run whole for each set, on all rows: right for any network."""

    model: nn.Module
    layer: str
    until: str | None
    inputs: Tensor
    filler: Tensor  # (rows or 1, units, ...)
    unit_axis: int
    n_units: int
    row_bytes: int = 0
    set_bytes: int = 1

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.inputs)

    @property
    def device(self) -> torch.device:
        """Where it is run."""
        return self.inputs.device

    @torch.no_grad()
    def outputs(self, members: Tensor, rows: slice) -> Tensor:
        """Outputs (rows, m, ...) of m sets of units (m, n)."""
        return torch.stack([self._run(member)[rows] for member in members], dim=1)

    def _run(self, member: Tensor) -> Tensor:
        """Outputs (rows, ...) for one set (n,)."""
        mask = member.reshape(-1, *(1,) * (self.filler.ndim - 1 - self.unit_axis))
        kept: list[Tensor] = []
        with on_output(self.model, self.layer, lambda output: torch.where(mask, output, self.filler)):
            if self.until is None:
                return self.model(self.inputs.clone())
            with on_output(self.model, self.until, lambda output: kept.append(output.clone())):
                self.model(self.inputs.clone())
        return kept[0]


def _spread(members: Tensor, columns: int) -> Tensor:
    """Sets (..., units) as sets (..., columns), each unit owning as many neighbours."""
    units = members.shape[-1]
    return members if units == columns else members.repeat_interleave(columns // units, dim=-1)


def _rest(after: fx.GraphModule, also: tuple[tuple[Any, bool], ...], stacked: Tensor, rows: slice) -> Tensor:
    """Outputs for values (rows, m, ...), stacked as rows; all is copied, as a network may write into what it reads."""
    sets = stacked.shape[1]
    others = [
        value if not isinstance(value, Tensor) else value[rows].repeat_interleave(sets, 0) if by_row else value.clone()
        for value, by_row in also
    ]
    return after(stacked.flatten(0, 1), *others).unflatten(0, stacked.shape[:2])


def _of(tensor: Tensor, rows: slice) -> Tensor:
    """Some rows of what has one entry for each row, or a single one for all."""
    return tensor if len(tensor) == 1 else tensor[rows]
