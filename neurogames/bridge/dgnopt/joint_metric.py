"""The metric of several layers of one stage that cooperate, and its inverse for any number of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neurogames.bridge.dgnopt.joint_curvature import JointCurvature
from neurogames.bridge.dgnopt.metric import LayerMetric, StageMetric
from neurogames.bridge.dgnopt.pair_solver import PairSolver, PaperSolver, inverse_root
from neurogames.bridge.dgnopt.rows import Rows, row_chunks

_TOLERANCE = 1e-6
_MOST_ROUNDS = 200


@dataclass(frozen=True, eq=False)
class JointMetric(StageMetric):
    """Layers that act together.

    Attributes:
        curvature: C.
        solver: C^-1, or what stands in its place.
        scales: R of each layer; None for none.
        exact: whether the solver is the inverse.
    """

    curvature: JointCurvature
    solver: Solver
    scales: tuple[LayerMetric, ...] | None = None
    exact: bool = True

    def direction(self, slopes: Sequence[Tensor]) -> list[Tensor]:
        """R^-1 C^-1 R^-1 G."""
        return self._scaled(self.solver.solve(self._scaled(slopes)))

    def curve(self, moves: Sequence[Tensor]) -> list[Tensor]:
        """R C R X."""
        if self.scales is None:
            return self.curvature.multiply(moves)
        scaled = [scale.curve(move) for scale, move in zip(self.scales, moves, strict=True)]
        found = self.curvature.multiply(scaled)
        return [scale.curve(move) for scale, move in zip(self.scales, found, strict=True)]

    def gram(self, rows: Sequence[Rows]) -> Tensor:
        """<u_j, C^-1 u_k> of each row, from the slopes of single rows."""
        entries = sum(own.inputs.shape[2] * own.columns.shape[3] * len(own.columns) for own in rows)
        solver, scales = self.solver, self.scales
        if isinstance(solver, PairSolver):
            if scales is None and all(own.inputs.shape[1] == 1 for own in rows):
                return solver.gram(*rows)
            return torch.cat([self._pair_gram(solver, some) for some in _chunks(rows, entries)])
        parts = []
        for some in _chunks(rows, entries):
            u = [own.slopes() for own in some]
            pairs = zip(u, self.direction(u), strict=True)
            parts.append(torch.stack([torch.einsum("rjoi,rkoi->rjk", a, b) for a, b in pairs]).sum(dim=0))
        return torch.cat(parts)

    def _pair_gram(self, solver: PairSolver, rows: Sequence[Rows]) -> Tensor:
        """The same of two layers."""
        if self.scales is None:
            return solver.gram_of_slopes([own.slopes() for own in rows])
        slopes, bases = [], []
        for own, scale in zip(rows, self.scales, strict=True):
            assert scale.inputs is not None
            assert scale.outputs is not None
            seen = own.turn(scale.inputs, scale.outputs)
            turned = seen.slopes() if seen.turned else scale.turn(seen.slopes())
            slopes.append(scale.divide(turned))
            bases.append((scale.inputs, scale.outputs))
        return solver.gram_of_slopes(slopes, bases)

    def _scaled(self, slopes: Sequence[Tensor]) -> list[Tensor]:
        """R^-1 G."""
        if self.scales is None:
            return list(slopes)
        return [scale.direction(slope) for scale, slope in zip(self.scales, slopes, strict=True)]


@dataclass(frozen=True, eq=False)
class ConjugateGradients:
    """C^-1 of any number of layers, to a relative residual of 1e-6 in single precision and 1e-12 in double.

    Attributes:
        curvature: C.
        own: its diagonal blocks.
    """

    curvature: JointCurvature
    own: tuple[LayerMetric, ...]

    @classmethod
    def of(cls, curvature: JointCurvature) -> ConjugateGradients:
        """Invert the own blocks."""
        return cls(curvature, tuple(LayerMetric(None, inverse_root(A), inverse_root(B)) for A, B in curvature.own))

    def solve(self, slopes: Sequence[Tensor]) -> list[Tensor]:
        """C^-1 G, for leading axes of G (..., d_out, d_in) side by side."""
        tolerance = _TOLERANCE if slopes[0].dtype == torch.float32 else _TOLERANCE**2
        X = [torch.zeros_like(slope) for slope in slopes]
        R = list(slopes)
        Z = self._precondition(R)
        P, rz = Z, _inner(R, Z)
        bound = rz * tolerance**2
        for _ in range(_MOST_ROUNDS):
            if bool((rz <= bound).all()):
                break
            Q = self.curvature.multiply(P)
            step = _ratio(rz, _inner(P, Q))
            X = [x + step * p for x, p in zip(X, P, strict=True)]
            R = [r - step * q for r, q in zip(R, Q, strict=True)]
            Z = self._precondition(R)
            before, rz = rz, _inner(R, Z)
            P = [z + _ratio(rz, before) * p for z, p in zip(Z, P, strict=True)]
        return X

    def _precondition(self, slopes: Sequence[Tensor]) -> list[Tensor]:
        """Divide by the own blocks."""
        return [own.direction(slope) for own, slope in zip(self.own, slopes, strict=True)]


Solver = PairSolver | PaperSolver | ConjugateGradients


def _chunks(rows: Sequence[Rows], entries: int) -> Iterator[tuple[Rows, ...]]:
    """Rows of all layers in parts."""
    return zip(*(row_chunks(own, entries) for own in rows), strict=True)


def _inner(one: Sequence[Tensor], two: Sequence[Tensor]) -> Tensor:
    """Sum over layers of inner products, (..., 1, 1)."""
    parts = [(a * b).sum(dim=(-2, -1), keepdim=True) for a, b in zip(one, two, strict=True)]
    return torch.stack(parts).sum(dim=0)


def _ratio(over: Tensor, under: Tensor) -> Tensor:
    """A quotient, 0 where both have come to an end."""
    return torch.where(under > 0, over / under.where(under > 0, torch.ones_like(under)), torch.zeros_like(over))
