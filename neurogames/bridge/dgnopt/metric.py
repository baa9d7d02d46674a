"""Curvature of one layer: gains are slopes divided by it, in a basis in which it is diagonal.

Slopes of a layer have the form G (..., d_out, d_in) of ``layer_arrays``. A metric is a symmetric operator

    C G = U_B^-T ( D * (U_B^-1 G U_A^-T) ) U_A^-1,        C^-1 G = U_B ( (U_B' G U_A) / D ) U_A',

with D (d_out, d_in) > 0; U_A and U_B are orthogonal for KFAC and EKFAC, the identity for a diagonal, and D = 1 for
gradient descent. U_B' G U_A are the coordinates of G: the sweep divides there, and turns back what layers move by only.

    gram_jk = <u_j, C^-1 u_k>,      u_j = sum_s z_s^j a_s',      the slopes of one row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neurogames.bridge.dgnopt.rows import Rows, row_chunks


class StageMetric(ABC):
    """Curvature of all layers of one stage that act together.

    Coordinates are the slopes themselves, unless a metric has its own.
    """

    exact: bool = True

    @abstractmethod
    def direction(self, slopes: Sequence[Tensor]) -> list[Tensor]:
        """Gains for slopes (..., d_out, d_in) of each layer."""

    @abstractmethod
    def curve(self, moves: Sequence[Tensor]) -> list[Tensor]:
        """The curvature times moves of all layers."""

    @abstractmethod
    def gram(self, rows: Sequence[Any]) -> Tensor:
        """<u_j, C^-1 u_k> of each row, (rows, rank, rank); where ``direction`` is the inverse of ``curve``."""

    def divide(self, slopes: Sequence[Tensor]) -> list[Tensor]:
        """Coordinates of gains from those of slopes."""
        return self.direction(slopes)

    def back(self, moves: Sequence[Tensor]) -> list[Tensor]:
        """Moves from their coordinates."""
        return list(moves)

    def mean_slope(self, rows: Sequence[Any], weights: Tensor) -> list[Tensor]:
        """Coordinates of the mean over rows of sum_j weights_rj u_rj of each layer."""
        return [own.mean_slope(weights) for own in rows]

    def along(self, rows: Sequence[Any], moves: Sequence[Tensor]) -> Tensor:
        """<u_rj, move> summed over layers, (rows, rank), for coordinates of moves."""
        return torch.stack([own.along(move) for own, move in zip(rows, moves, strict=True)]).sum(dim=0)


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
        return self.back(self.divide(self.turn(slope)))

    def curve(self, move: Tensor) -> Tensor:
        """C X for X (..., d_out, d_in), where the bases are orthogonal."""
        return LayerMetric(None if self.weights is None else 1 / self.weights, self.inputs, self.outputs).direction(
            move
        )

    def turn(self, slope: Tensor) -> Tensor:
        """Coordinates U_B' G U_A."""
        turned = slope if self.outputs is None else self.outputs.T @ slope
        return turned if self.inputs is None else turned @ self.inputs

    def back(self, coordinates: Tensor) -> Tensor:
        """U_B X U_A'."""
        turned = coordinates if self.outputs is None else self.outputs @ coordinates
        return turned if self.inputs is None else turned @ self.inputs.T

    def divide(self, coordinates: Tensor) -> Tensor:
        """X / D."""
        return coordinates if self.weights is None else coordinates / self.weights

    def mean_slope(self, rows: Any, weights: Tensor) -> Tensor:
        """Coordinates of the mean over rows of sum_j weights_rj u_rj."""
        found: Tensor = rows.mean_slope(weights)
        return found if rows.turned else self.turn(found)

    def along(self, rows: Any, move: Tensor) -> Tensor:
        """<u_rj, move>, (rows, rank), for coordinates of a move."""
        found: Tensor = rows.along(move if rows.turned else self.back(move))
        return found

    def gram(self, rows: Any) -> Tensor:
        """<u_j, C^-1 u_k> of each row, (rows, rank, rank)."""
        if rows.turned or (self.inputs is None and self.outputs is None and rows.inputs.shape[1] == 1):
            found: Tensor = rows.gram(self.weights)
            return found
        a = rows.inputs if self.inputs is None else rows.inputs @ self.inputs
        z = rows.columns if self.outputs is None else rows.columns @ self.outputs
        own = Rows(a, z, turned=True)
        if a.shape[1] == 1:
            return own.gram(self.weights)
        return torch.cat([part.gram(self.weights) for part in row_chunks(own, a.shape[2] * z.shape[3] * len(z))])


@dataclass(frozen=True, eq=False)
class SeparateMetric(StageMetric):
    """Layers that do not see each other: the curvature between them is 0 (P_uv = 0)."""

    layers: tuple[LayerMetric, ...]

    def direction(self, slopes: Sequence[Tensor]) -> list[Tensor]:
        """Gains, layer by layer."""
        return [layer.direction(slope) for layer, slope in zip(self.layers, slopes, strict=True)]

    def curve(self, moves: Sequence[Tensor]) -> list[Tensor]:
        """The curvature times moves, layer by layer."""
        return [layer.curve(move) for layer, move in zip(self.layers, moves, strict=True)]

    def gram(self, rows: Sequence[Any]) -> Tensor:
        """Sum over layers of their own."""
        grams = [layer.gram(own) for layer, own in zip(self.layers, rows, strict=True)]
        return torch.stack(grams).sum(dim=0)

    def divide(self, slopes: Sequence[Tensor]) -> list[Tensor]:
        """Divide by D, layer by layer."""
        return [layer.divide(slope) for layer, slope in zip(self.layers, slopes, strict=True)]

    def back(self, moves: Sequence[Tensor]) -> list[Tensor]:
        """Turn back, layer by layer."""
        return [layer.back(move) for layer, move in zip(self.layers, moves, strict=True)]

    def mean_slope(self, rows: Sequence[Any], weights: Tensor) -> list[Tensor]:
        """Coordinates, layer by layer."""
        return [layer.mean_slope(own, weights) for layer, own in zip(self.layers, rows, strict=True)]

    def along(self, rows: Sequence[Any], moves: Sequence[Tensor]) -> Tensor:
        """Sum over layers."""
        parts = [layer.along(own, move) for layer, own, move in zip(self.layers, rows, moves, strict=True)]
        return torch.stack(parts).sum(dim=0)
