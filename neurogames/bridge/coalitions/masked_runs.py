"""The three ways in which a network with replaced units is run; ``masked_network`` chooses among them.

Each maps sets of units, boolean (m, n), and a slice of the rows to outputs (rows, m, ...).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from neurogames.bridge.modules.hooks import on_output


@dataclass(frozen=True, eq=False)
class Rest:
    """What comes behind the cut.

    Attributes:
        after: from the values at the cut, or from what the reader makes of them, to the outputs.
        also: what else ``after`` reads, and whether by row.
    """

    after: fx.GraphModule
    also: tuple[tuple[Tensor | None, bool], ...]

    @property
    def is_empty(self) -> bool:
        """Whether the outputs are what goes in."""
        return len(self.after.graph.nodes) == 2

    def outputs(self, stacked: Tensor, rows: slice) -> Tensor:
        """Outputs for values (rows, m, ...), stacked as rows; all is copied, as a network may write into it."""
        sets = stacked.shape[1]
        others = [_copied(value, by_row, rows, sets) for value, by_row in self.also]
        found: Tensor = self.after(stacked.flatten(0, 1), *others)
        return torch.unflatten(found, 0, stacked.shape[:2])


@dataclass(frozen=True, eq=False)
class Stacked:
    """A network behind the cut, for masked values stacked as rows."""

    values: Tensor  # (rows, columns, ...) at the cut; each unit owns as many neighbouring columns
    filler: Tensor  # (rows or 1, columns, ...) their replacement
    unit_axis: int  # the axis of the columns, from the front
    rest: Rest
    n_units: int
    row_bytes: int  # needed for each row and set
    set_bytes: int  # needed for each set

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.values)

    @property
    def device(self) -> torch.device:
        """Where it is run."""
        return self.values.device

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
        return self.rest.outputs(stacked, rows)


@dataclass(frozen=True, eq=False)
class Folded:
    """A network behind the cut, the next Linear of which takes the masks into its weights."""

    weight: Tensor  # (features, columns)
    base: Tensor  # (rows or 1, features) what the Linear makes of the replacement
    difference: Tensor  # (columns, rows) values - replacement
    rest: Rest
    n_units: int
    row_bytes: int  # needed for each row and set
    set_bytes: int  # needed for each set

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.difference.shape[1]

    @property
    def device(self) -> torch.device:
        """Where it is run."""
        return self.weight.device

    @torch.no_grad()
    def outputs(self, members: Tensor, rows: slice) -> Tensor:
        """Outputs (rows, m, ...) of m sets of units (m, n)."""
        columns = _spread(members, self.weight.shape[1])
        masked = (self.weight * columns.unsqueeze(1)).flatten(0, 1)  # (m * features, columns)
        difference, base = self.difference[:, rows], _of(self.base, rows)
        if self.rest.is_empty:  # in and out: nothing comes after, and rows last suits the score
            return torch.unflatten(masked @ difference, 0, (len(members), -1)).add_(base.T).permute(2, 0, 1)
        product = torch.unflatten(difference.T @ masked.T, 1, (len(members), -1)).add_(base.unsqueeze(1))
        return self.rest.outputs(product, rows)

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
            each = (self.n_units, -1)
            by_unit = torch.unflatten(difference, 0, each).mT @ torch.unflatten(self.weight.T, 0, each)
            row = torch.arange(len(orders), device=orders.device).repeat_interleave(self.n_units)
            parts = by_unit.flatten(0, 1).index_select(0, places * len(orders) + row)
        sums = parts.new_empty(len(orders), self.n_units + 1, parts.shape[1])
        sums[:, 0] = _of(self.base, rows)
        sums[:, 1:] = torch.unflatten(parts, 0, orders.shape)
        product = sums.cumsum_(dim=1)[:, sizes]
        return product if self.rest.is_empty else self.rest.outputs(product, rows)


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
    row_bytes: int = 0  # all rows come together
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
                outputs: Tensor = self.model(self.inputs.clone())
                return outputs
            with on_output(self.model, self.until, lambda output: kept.append(output.clone())):
                self.model(self.inputs.clone())
        return kept[0]


MaskedNetwork = Stacked | Folded | Whole


def _spread(members: Tensor, columns: int) -> Tensor:
    """Sets (..., units) as sets (..., columns), each unit owning as many neighbours."""
    units = members.shape[-1]
    return members if units == columns else members.repeat_interleave(columns // units, dim=-1)


def _copied(value: Any, by_row: bool, rows: slice, sets: int) -> Any:
    """What else is read, once for each set where it belongs to rows."""
    if not isinstance(value, Tensor):
        return value
    return value[rows].repeat_interleave(sets, 0) if by_row else value.clone()


def _of(tensor: Tensor, rows: slice) -> Tensor:
    """Some rows of what has one entry for each row, or a single one for all."""
    return tensor if len(tensor) == 1 else tensor[rows]
