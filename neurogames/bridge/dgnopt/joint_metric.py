"""Curvature of several layers of one stage that cooperate: Kronecker products on and off the diagonal.

Layers i and j that see the same rows at the same places have P_ij X = B_ij X A_ij', A_ij = E[a_i a_j'],
B_ij = E[g_i g_j']; own blocks are damped as KFAC damps them. The whole matrix C is then positive definite, since block
by block it is a Kronecker product of two positive definite matrices. Two layers u, v are solved exactly at KFAC's cost:

    C^-1 (G_u, G_v):  e = G_u - P_uv P_vv^-1 G_v,   k_u = S^-1 e,   k_v = P_vv^-1 G_v - P_vv^-1 P_vu k_u,
    S = P_uu - P_uv P_vv^-1 P_vu = A_uu x B_uu - A' x B',      A' = A_uv A_vv^-1 A_vu,   B' = B_uv B_vv^-1 B_vu.

W_A with W_A'A_uu W_A = I and W_A'A'W_A = diag(a), W_B alike, give S^-1 = (W_B x W_A) diag(1/(1 - a_i b_j)) (...)'. The
paper's proposition 5 puts (A_uu - A') x (B_uu - B') in place of S, which leaves out two terms that are positive: it
underestimates S, and steps are overlong. More than two layers are solved by conjugate gradients with own blocks as
preconditioner.

EKFAC knows the own blocks better: S_i + damping in place of the damped product. With the diagonal R that turns one into
the other in the eigenbasis, the matrix is R C R, so that only what goes in and comes out is scaled.

Reference: arXiv 2105.03788, equations (11), (14) and (15).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neurogames.bridge.dgnopt.metric import LayerMetric, StageMetric
from neurogames.bridge.dgnopt.rows import Rows, row_chunks

Factors = tuple[Tensor, Tensor]
_TOLERANCE = 1e-6
_MOST_ROUNDS = 200


@dataclass(frozen=True, eq=False)
class JointCurvature:
    """C, block by block.

    Attributes:
        own: A_i and B_i of each layer, damped.
        cross: A_ij and B_ij for i < j; pairs that are not there do not see each other.
    """

    own: tuple[Factors, ...]
    cross: Mapping[tuple[int, int], Factors]

    def multiply(self, moves: Sequence[Tensor]) -> list[Tensor]:
        """C X for X_i (..., d_out, d_in)."""
        found = [B @ X @ A for X, (A, B) in zip(moves, self.own, strict=True)]
        for (i, j), (A, B) in self.cross.items():
            found[i] = found[i] + B @ moves[j] @ A.mT
            found[j] = found[j] + B.mT @ moves[i] @ A
        return found


def cross_factors(one: tuple[Tensor, Tensor], two: tuple[Tensor, Tensor]) -> Factors | None:
    """A_uv = E[a_u a_v'] and B_uv = E[g_u g_v'] of a batch; None where the layers have different places.

    Args:
        one: a_u (rows, shared, d_in) and g_u (rows, shared, d_out).
        two: the same of the other layer.

    >>> ones = torch.ones(4, 1, 1), torch.ones(4, 1, 1)
    >>> cross_factors(ones, ones)
    (tensor([[1.]]), tensor([[1.]]))
    """
    (a, g), (b, h) = one, two
    if a.shape[:2] != b.shape[:2]:
        return None
    A = a.flatten(0, 1).T @ b.flatten(0, 1) / (len(a) * a.shape[1])
    return A, g.flatten(0, 1).T @ h.flatten(0, 1) / len(a)


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
        parts = []
        for some in zip(*(row_chunks(own, entries) for own in rows), strict=True):
            u = [own.slopes() for own in some]
            pairs = zip(u, self.direction(u), strict=True)
            parts.append(torch.stack([torch.einsum("rjoi,rkoi->rjk", a, b) for a, b in pairs]).sum(dim=0))
        return torch.cat(parts)

    def _scaled(self, slopes: Sequence[Tensor]) -> list[Tensor]:
        """R^-1 G."""
        if self.scales is None:
            return list(slopes)
        return [scale.direction(slope) for scale, slope in zip(self.scales, slopes, strict=True)]


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
        return cls(schur, LayerMetric(None, _root(A_v), _root(B_v)), over_a, over_b)

    def solve(self, slopes: Sequence[Tensor]) -> list[Tensor]:
        """C^-1 G."""
        u, v = slopes
        k_u = self.schur.direction(u - self.outputs @ v @ self.inputs.mT)
        return [k_u, self.own.direction(v) - self.outputs.mT @ k_u @ self.inputs]


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
            schur.append(LayerMetric(None, _root(A_u - over_a @ A_uv.mT), _root(B_u - over_b @ B_uv.mT)))
        return cls((schur[0], schur[1]), (over[0], over[1]))

    def solve(self, slopes: Sequence[Tensor]) -> list[Tensor]:
        """k_u = S_u^-1 (P_u - P_uv P_vv^-1 P_v), and the same for v."""
        pairs = zip(self.schur, self.over, slopes, reversed(slopes), strict=True)
        return [schur.direction(u - B @ v @ A.mT) for schur, (A, B), u, v in pairs]


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
        return cls(curvature, tuple(LayerMetric(None, _root(A), _root(B)) for A, B in curvature.own))

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


def _inner(one: Sequence[Tensor], two: Sequence[Tensor]) -> Tensor:
    """Sum over layers of inner products, (..., 1, 1)."""
    parts = [(a * b).sum(dim=(-2, -1), keepdim=True) for a, b in zip(one, two, strict=True)]
    return torch.stack(parts).sum(dim=0)


def _ratio(over: Tensor, under: Tensor) -> Tensor:
    """A quotient, 0 where both have come to an end."""
    return torch.where(under > 0, over / under.where(under > 0, torch.ones_like(under)), torch.zeros_like(over))


def _root(factor: Tensor) -> Tensor:
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
    root = _root(own.double())
    values, vectors = torch.linalg.eigh(root.mT @ other.double() @ root)
    kept = values.clamp(0, 1 - torch.finfo(own.dtype).eps)
    return kept.to(own.dtype), (root @ vectors).to(own.dtype)
