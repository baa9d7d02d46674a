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

from torch import Tensor

Factors = tuple[Tensor, Tensor]


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

    >>> import torch
    >>> ones = torch.ones(4, 1, 1), torch.ones(4, 1, 1)
    >>> cross_factors(ones, ones)
    (tensor([[1.]]), tensor([[1.]]))
    """
    (a, g), (b, h) = one, two
    if a.shape[:2] != b.shape[:2]:
        return None
    A = a.flatten(0, 1).T @ b.flatten(0, 1) / (len(a) * a.shape[1])
    return A, g.flatten(0, 1).T @ h.flatten(0, 1) / len(a)
