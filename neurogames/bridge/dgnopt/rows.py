"""What a layer did to each row, in its own coordinates or in those of an eigenbasis.

The slopes of one row are sums over places of z a', of its inputs and the columns z^j of its value; so is the gradient
of its loss, p a'. Once a share b_j of each column is taken off the value, p - sum_j b_j z^j stands in place of p.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

ENTRIES = 2**23  # of the slopes of single rows that are in memory at once


@dataclass(frozen=True, eq=False)
class Rows:
    """Arrays of a layer.

    Attributes:
        inputs: a (rows, shared, d_in).
        columns: z (rank, rows, shared, d_out), columns of the value's root at the layer's outputs.
        gradients: p (rows, shared, d_out), slopes of the cost of each row; None where they are the only column.
        is_sum: whether the slope of the cost in the weights is known to be the mean over rows of p a'.
        turned: whether they are in the coordinates of an eigenbasis.
    """

    inputs: Tensor
    columns: Tensor
    gradients: Tensor | None = field(default=None)
    is_sum: bool = False
    turned: bool = False

    def slopes(self) -> Tensor:
        """Slopes u of each row, (rows, rank, d_out, d_in)."""
        return torch.einsum("jrso,rsi->rjoi", self.columns, self.inputs)

    def mean_slope(self, weights: Tensor) -> Tensor:
        """Mean over rows of sum_j weights_rj u_rj, (d_out, d_in)."""
        combined = torch.einsum("jrso,rj->rso", self.columns, weights / len(self.inputs))
        if self.inputs.shape[1] == 1:
            return combined[:, 0].T @ self.inputs[:, 0]
        kept = combined.new_zeros(combined.shape[2], self.inputs.shape[2])
        return torch.addbmm(kept, combined.mT, self.inputs, beta=0)  # patches are no rows of one matrix

    def along(self, direction: Tensor) -> Tensor:
        """<u_rj, direction>, (rows, rank)."""
        return torch.einsum("jrso,rso->rj", self.columns, self.inputs @ direction.T)

    def gradient(self, taken: Tensor | None) -> Tensor:
        """Slopes of the value at the outputs, p - sum_j taken_rj z^j, (rows, shared, d_out)."""
        if self.gradients is None:
            return self.columns[0] if taken is None else self.columns[0] * (1 - taken)[:, :, None]
        if taken is None:
            return self.gradients
        return self.gradients - torch.einsum("jrso,rj->rso", self.columns, taken)

    def mean_gradient(self, taken: Tensor | None) -> Tensor:
        """Mean over rows of these times a, (d_out, d_in)."""
        return self.gradient(taken).div(len(self.inputs)).flatten(0, 1).T @ self.inputs.flatten(0, 1)

    def average_squares_(self, kept: Tensor, taken: Tensor | None, *, decay: float) -> None:
        """Average with the mean over rows of their squares, for one place a row: kept <- decay kept + (1 - decay) mean.

        Args:
            kept: (d_out, d_in); with decay 0 what was there is forgotten, whatever it was.
            taken: b (rows, rank).
            decay: in [0, 1).
        """
        squares = self.gradient(taken)[:, 0].square(), self.inputs[:, 0].square()
        kept.addmm_(squares[0].T, squares[1], beta=decay, alpha=(1 - decay) / len(self.inputs))

    def gram(self, weights: Tensor | None) -> Tensor:
        """<u_j, u_k / weights> of each row, (rows, rank, rank); for one place a row or few slopes."""
        a, z = self.inputs, self.columns
        if a.shape[1] > 1:
            return gram_of_slopes(self.slopes(), weights)
        a, z = a[:, 0], z[:, :, 0]
        if weights is None or weights.ndim == 0:
            gram = torch.einsum("jro,kro,r->rjk", z, z, a.square().sum(dim=1))
            return gram if weights is None else gram / weights
        return torch.einsum("jro,kro,ro->rjk", z, z, a.square() @ (1 / weights).T)

    def chunk(self, rows: slice) -> Rows:
        """Some of the rows."""
        gradients = None if self.gradients is None else self.gradients[rows]
        return Rows(self.inputs[rows], self.columns[:, rows], gradients, turned=self.turned)

    def turn(self, inputs: Tensor, outputs: Tensor) -> Rows | RowSlopes:
        """The same in the coordinates of an eigenbasis U_A, U_B; as they are where that would need too much memory.

        >>> rows = Rows(torch.ones(1, 1, 2), torch.ones(1, 1, 1, 1))
        >>> rows.turn(torch.eye(2), -torch.eye(1)).slopes()
        tensor([[[[-1., -1.]]]])
        """
        shared, (d_in, d_out) = self.inputs.shape[1], (len(inputs), len(outputs))
        arrays = self.columns if self.gradients is None else torch.cat([self.columns, self.gradients.unsqueeze(0)])
        if shared == 1:
            z = arrays @ outputs
            rank = len(self.columns)
            return Rows(self.inputs @ inputs, z[:rank], None if self.gradients is None else z[rank], turned=True)
        if len(self.inputs) * len(arrays) * d_in * d_out > ENTRIES:
            return self
        # Either the arrays are turned or the slopes that they make: whichever is less work.
        if shared * (d_in**2 + d_out**2) < d_out * d_in * (d_in + d_out):
            u = (arrays @ outputs).mT @ (self.inputs @ inputs)
        else:
            u = outputs.T @ (arrays.mT @ self.inputs) @ inputs
        return RowSlopes(u, self.gradients is None)


@dataclass(frozen=True, eq=False)
class RowSlopes:
    """The slopes of each row in the coordinates of an eigenbasis.

    Attributes:
        arrays: u (rank, rows, d_out, d_in) of the columns, and behind them those of the gradient.
        alone: whether the only column is the gradient.
    """

    arrays: Tensor
    alone: bool
    turned = True

    @property
    def columns(self) -> Tensor:
        """Those of the columns."""
        return self.arrays if self.alone else self.arrays[:-1]

    def slopes(self) -> Tensor:
        """Slopes u of each row, (rows, rank, d_out, d_in)."""
        return self.columns.transpose(0, 1)

    def mean_slope(self, weights: Tensor) -> Tensor:
        """Mean over rows of sum_j weights_rj u_rj, (d_out, d_in)."""
        found: Tensor = torch.tensordot(weights.T / len(weights), self.columns, dims=2)
        return found

    def along(self, direction: Tensor) -> Tensor:
        """<u_rj, direction>, (rows, rank)."""
        return (self.columns.flatten(2) @ direction.flatten()).T

    def average_squares_(self, kept: Tensor, taken: Tensor | None, *, decay: float) -> None:
        """Average with the mean over rows of the squares of the value's slopes; see ``Rows``."""
        now = self._mean_square(taken)
        kept.copy_(torch.lerp(now, kept, decay) if decay else now)

    def _mean_square(self, taken: Tensor | None) -> Tensor:
        """Mean over rows of the squares of the value's slopes, (d_out, d_in)."""
        rows = self.arrays.shape[1]
        if not self.alone:
            slopes = self.arrays[-1]
            slopes = slopes if taken is None else slopes - torch.einsum("jroi,rj->roi", self.columns, taken)
            return slopes.square().mean(dim=0)
        weights = self.arrays.new_ones(rows) if taken is None else (1 - taken[:, 0]).square()
        found: Tensor = torch.tensordot(weights / rows, self._squares[0], dims=1)
        return found

    def gram(self, weights: Tensor | None) -> Tensor:
        """<u_j, u_k / weights> of each row, (rows, rank, rank)."""
        if len(self.columns) > 1 or weights is None or weights.ndim == 0:
            return gram_of_slopes(self.slopes(), weights)
        return (self._squares[0].flatten(1) @ (1 / weights).flatten())[:, None, None]

    @cached_property
    def _squares(self) -> Tensor:
        """Their squares."""
        return self.arrays.square()


def gram_of_slopes(slopes: Tensor, weights: Tensor | None) -> Tensor:
    """<u_j, u_k / weights> of each row for u (rows, rank, d_out, d_in), (rows, rank, rank)."""
    if slopes.shape[1] == 1:
        squares = slopes.flatten(1).square()
        if weights is None or weights.ndim == 0:
            sums = squares.sum(dim=1)
            sums = sums if weights is None else sums / weights
        else:
            sums = squares @ (1 / weights).flatten()
        return sums[:, None, None]
    scaled = slopes if weights is None else slopes / weights
    return torch.einsum("rjoi,rkoi->rjk", slopes, scaled)


def row_chunks(rows: Rows, entries: int) -> list[Rows]:
    """Rows in parts whose slopes, so many entries a row, fit into memory."""
    size = max(1, ENTRIES // entries)
    return [rows.chunk(slice(first, first + size)) for first in range(0, len(rows.inputs), size)]
