"""The curvature of two layers of one stage, inverted at the cost of Kronecker factors: exactly, or as in the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neurogames.bridge.dgnopt.joint_curvature import Factors, JointCurvature
from neurogames.bridge.dgnopt.metric import LayerMetric
from neurogames.bridge.dgnopt.rows import Rows, gram_of_slopes


@dataclass(frozen=True, eq=False)
class PairSolver:
    """C^-1 of two layers.

    Attributes:
        schur: S, in the bases W_A and W_B.
        own: P_vv.
        inputs: A_uv A_vv^-1.
        outputs: B_uv B_vv^-1.
    """

    schur: LayerMetric
    own: LayerMetric
    inputs: Tensor
    outputs: Tensor

    @classmethod
    def of(cls, curvature: JointCurvature) -> PairSolver:
        """Diagonalise.

        >>> two = (2 * torch.eye(1), torch.eye(1))
        >>> curvature = JointCurvature((two, two), {(0, 1): (torch.eye(1), torch.eye(1))})
        >>> solver = PairSolver.of(curvature)
        >>> [round(part.item(), 4) for part in curvature.multiply(solver.solve([torch.ones(1, 1), torch.zeros(1, 1)]))]
        [1.0, 0.0]
        """
        (A_u, B_u), (A_v, B_v) = curvature.own
        A, B = curvature.cross[0, 1]
        over_a, over_b = _over(A, A_v), _over(B, B_v)
        (a, W_A), (b, W_B) = _together(A_u, over_a @ A.mT), _together(B_u, over_b @ B.mT)
        schur = LayerMetric(1 - b[:, None] * a, W_A, W_B)
        return cls(schur, LayerMetric(None, inverse_root(A_v), inverse_root(B_v)), over_a, over_b)

    def solve(self, slopes: Sequence[Tensor]) -> list[Tensor]:
        """C^-1 G."""
        u, v = slopes
        k_u = self.schur.direction(u - self.outputs @ v @ self.inputs.mT)
        return [k_u, self.own.direction(v) - self.outputs.mT @ k_u @ self.inputs]

    def gram(self, one: Rows, two: Rows) -> Tensor:
        """<u_j, C^-1 u_k> of each row for one place a row, (rows, rank, rank): e = u - P_uv P_vv^-1 v has rank 2."""
        (A, B), (over_a, over_b) = self._bases, (self.inputs, self.outputs)
        (a, z), (b, y) = ((own.inputs[:, 0], own.columns[:, :, 0]) for own in (one, two))
        a, z, b_over, y_over = a @ A, z @ B, b @ over_a.mT @ A, y @ over_b.mT @ B
        D = (1 / self._weights).mT
        mixed = torch.einsum("jro,kro,ro->rjk", z, y_over, (a * b_over) @ D)
        parts = [
            torch.einsum("jro,kro,ro->rjk", z, z, a.square() @ D),
            torch.einsum("jro,kro,ro->rjk", y_over, y_over, b_over.square() @ D),
            self.own.gram(two),
        ]
        return sum(parts, -mixed - mixed.mT)

    def gram_of_slopes(self, slopes: Sequence[Tensor], bases: Sequence[tuple[Tensor, Tensor]] | None = None) -> Tensor:
        """The same from slopes of single rows u and v (rows, rank, d_out, d_in), each turned once.

        Args:
            slopes: of both layers.
            bases: U_A and U_B, where slopes are coordinates in them.
        """
        (A, B), (L_A, L_B) = self._bases, (self.own.inputs, self.own.outputs)
        assert L_A is not None
        assert L_B is not None
        ways = [(B.mT, A), (B.mT @ self.outputs, self.inputs.mT @ A), (L_B.mT, L_A)]
        if bases is not None:
            turns = [bases[0], bases[1], bases[1]]
            ways = [(left @ U_B, U_A.mT @ right) for (left, right), (U_A, U_B) in zip(ways, turns, strict=True)]
        u, v = slopes
        e, own = left_right(u, *ways[0]) - left_right(v, *ways[1]), left_right(v, *ways[2])
        return gram_of_slopes(e, self._weights) + gram_of_slopes(own, None)

    @property
    def _bases(self) -> Factors:
        """W_A and W_B."""
        assert self.schur.inputs is not None
        assert self.schur.outputs is not None
        return self.schur.inputs, self.schur.outputs

    @property
    def _weights(self) -> Tensor:
        """Eigenvalues of S in these bases, (d_out, d_in)."""
        assert self.schur.weights is not None
        return self.schur.weights


@dataclass(frozen=True, eq=False)
class PaperSolver:
    """The gains of equation (11) with the Schur complements of proposition 5, for two layers.

    Attributes:
        schur: S of each layer, as the paper has it.
        over: A_ij A_jj^-1 and B_ij B_jj^-1 for each layer i and the other one j.
    """

    schur: tuple[LayerMetric, LayerMetric]
    over: tuple[Factors, Factors]

    @classmethod
    def of(cls, curvature: JointCurvature) -> PaperSolver:
        """Invert."""
        A, B = curvature.cross[0, 1]
        schur: list[LayerMetric] = []
        over: list[Factors] = []
        sides: list[tuple[Factors, Factors, Factors]] = [
            (curvature.own[0], curvature.own[1], (A, B)),
            (curvature.own[1], curvature.own[0], (A.mT, B.mT)),
        ]
        for (A_u, B_u), (A_v, B_v), (A_uv, B_uv) in sides:
            over_a, over_b = _over(A_uv, A_v), _over(B_uv, B_v)
            over.append((over_a, over_b))
            schur.append(LayerMetric(None, inverse_root(A_u - over_a @ A_uv.mT), inverse_root(B_u - over_b @ B_uv.mT)))
        return cls((schur[0], schur[1]), (over[0], over[1]))

    def solve(self, slopes: Sequence[Tensor]) -> list[Tensor]:
        """k_u = S_u^-1 (P_u - P_uv P_vv^-1 P_v), and the same for v."""
        pairs = zip(self.schur, self.over, slopes, reversed(slopes), strict=True)
        return [schur.direction(u - B @ v @ A.mT) for schur, (A, B), u, v in pairs]


def left_right(slopes: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """P X Q of each slope (..., d_out, d_in)."""
    return left @ (slopes @ right)


def inverse_root(factor: Tensor) -> Tensor:
    """U with U U' = factor^-1; in 64 bits, since damping may be small beside the largest eigenvalue."""
    lower = torch.linalg.cholesky(factor.double())
    eye = torch.eye(len(lower), dtype=lower.dtype, device=lower.device)
    inverse: Tensor = torch.linalg.solve_triangular(lower, eye, upper=False)
    return inverse.mT.to(factor.dtype)


def _over(across: Tensor, own: Tensor) -> Tensor:
    """A_uv A_vv^-1."""
    lower = torch.linalg.cholesky(own.double())
    return torch.cholesky_solve(across.mT.double(), lower).mT.to(across.dtype)


def _together(own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues a in [0, 1) and W with W'own W = I and W'other W = diag(a)."""
    root = inverse_root(own.double())
    values, vectors = torch.linalg.eigh(root.mT @ other.double() @ root)
    kept = values.clamp(0, 1 - torch.finfo(own.dtype).eps)
    return kept.to(own.dtype), (root @ vectors).to(own.dtype)
