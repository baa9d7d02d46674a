"""Curvature of one layer: gains are slopes divided by it, in a basis in which it is diagonal.

Slopes of a layer have the form G (..., d_out, d_in) of ``layer_arrays``. A metric is a symmetric operator

    C G = U_B^-T ( D * (U_B^-1 G U_A^-T) ) U_A^-1,        C^-1 G = U_B ( (U_B' G U_A) / D ) U_A',

with D (d_out, d_in) > 0; U_A and U_B are orthogonal for KFAC and EKFAC, the identity for a diagonal, and D = 1 for
gradient descent. The slopes of one row are sums over places of z a', of its inputs and the columns z^j of its value:

    gram_jk = <u_j, C^-1 u_k>,      u_j = sum_s z_s^j a_s'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

_ENTRIES = 2**23  # of the slopes of single rows that are in memory at once


@dataclass(frozen=True, eq=False)
class Rows:
    """What a layer did to each row.

    Attributes:
        inputs: a (rows, shared, d_in).
        columns: z (rank, rows, shared, d_out), columns of the value's root at the layer's outputs.
    """

    inputs: Tensor
    columns: Tensor

    def slopes(self) -> Tensor:
        """Slopes u of each row, (rows, rank, d_out, d_in)."""
        return torch.einsum("jrso,rsi->rjoi", self.columns, self.inputs)

    def mean_slope(self, weights: Tensor) -> Tensor:
        """Mean over rows of sum_j weights_rj u_rj, (d_out, d_in)."""
        combined = torch.einsum("jrso,rj->rso", self.columns, weights) / len(self.inputs)
        return combined.flatten(0, 1).T @ self.inputs.flatten(0, 1)

    def along(self, direction: Tensor) -> Tensor:
        """<u_rj, direction>, (rows, rank)."""
        return torch.einsum("jrso,rso->rj", self.columns, self.inputs @ direction.T)

    def chunk(self, rows: slice) -> Rows:
        """Some of the rows."""
        return Rows(self.inputs[rows], self.columns[:, rows])


class StageMetric(Protocol):
    """Curvature of all layers of one stage that act together."""

    @property
    def exact(self) -> bool:
        """Whether ``direction`` is the inverse of ``curve``."""
        ...

    def direction(self, slopes: Sequence[Tensor]) -> list[Tensor]:
        """Gains for slopes (..., d_out, d_in) of each layer."""
        ...

    def curve(self, moves: Sequence[Tensor]) -> list[Tensor]:
        """The curvature times moves of all layers."""
        ...

    def gram(self, rows: Sequence[Rows]) -> Tensor:
        """<u_j, C^-1 u_k> of each row, (rows, rank, rank)."""
        ...


@dataclass(frozen=True, eq=False)
class LayerMetric:
    """Curvature of one layer.

    Attributes:
        weights: D (d_out, d_in), or one number () for all; None for ones.
        inputs: U_A (d_in, d_in); None for the identity.
        outputs: U_B (d_out, d_out); None for the identity.

    >>> metric = LayerMetric(torch.tensor([[2.0, 4.0]]))
    >>> metric.direction(torch.ones(1, 2))
    tensor([[0.5000, 0.2500]])
    """

    weights: Tensor | None = None
    inputs: Tensor | None = None
    outputs: Tensor | None = None

    def direction(self, slope: Tensor) -> Tensor:
        """C^-1 G for G (..., d_out, d_in)."""
        turned = slope if self.outputs is None else self.outputs.T @ slope
        turned = turned if self.inputs is None else turned @ self.inputs
        turned = turned if self.weights is None else turned / self.weights
        turned = turned if self.outputs is None else self.outputs @ turned
        return turned if self.inputs is None else turned @ self.inputs.T

    def curve(self, move: Tensor) -> Tensor:
        """C X for X (..., d_out, d_in), where the bases are orthogonal."""
        return LayerMetric(None if self.weights is None else 1 / self.weights, self.inputs, self.outputs).direction(
            move
        )

    def gram(self, rows: Rows) -> Tensor:
        """<u_j, C^-1 u_k> of each row, (rows, rank, rank)."""
        a = rows.inputs if self.inputs is None else rows.inputs @ self.inputs
        z = rows.columns if self.outputs is None else rows.columns @ self.outputs
        if a.shape[1] == 1:
            a, z = a[:, 0], z[:, :, 0]
            if self.weights is None or self.weights.ndim == 0:
                gram = torch.einsum("jro,kro,r->rjk", z, z, a.square().sum(dim=1))
                return gram if self.weights is None else gram / self.weights
            return torch.einsum("jro,kro,ro->rjk", z, z, a.square() @ (1 / self.weights).T)
        parts = []
        for part in row_chunks(Rows(a, z), a.shape[2] * z.shape[3] * len(z)):
            u = part.slopes()
            parts.append(torch.einsum("rjoi,rkoi->rjk", u, u if self.weights is None else u / self.weights))
        return torch.cat(parts)


@dataclass(frozen=True, eq=False)
class SeparateMetric:
    """Layers that do not see each other: the curvature between them is 0 (P_uv = 0)."""

    layers: tuple[LayerMetric, ...]
    exact: bool = True

    def direction(self, slopes: Sequence[Tensor]) -> list[Tensor]:
        """Gains, layer by layer."""
        return [layer.direction(slope) for layer, slope in zip(self.layers, slopes, strict=True)]

    def curve(self, moves: Sequence[Tensor]) -> list[Tensor]:
        """The curvature times moves, layer by layer."""
        return [layer.curve(move) for layer, move in zip(self.layers, moves, strict=True)]

    def gram(self, rows: Sequence[Rows]) -> Tensor:
        """Sum over layers of their own."""
        grams = [layer.gram(own) for layer, own in zip(self.layers, rows, strict=True)]
        return torch.stack(grams).sum(dim=0)


def row_chunks(rows: Rows, entries: int) -> list[Rows]:
    """Rows in parts whose slopes, so many entries a row, fit into memory."""
    size = max(1, _ENTRIES // entries)
    return [rows.chunk(slice(first, first + size)) for first in range(0, len(rows.inputs), size)]
