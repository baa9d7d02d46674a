"""The cost-to-go around a trajectory, row by row and of low rank, backward from stage to stage.

Up to second order in dx the cost-to-go of a row is V_x'dx + |Z'dx|^2 / 2. Pulled back through the network without any
move of a layer, the terminal columns and the slope of the loss become Zbar and p: ordinary backward passes. Moves of
later layers only mix columns and take part of them off, so that it is enough to know

    Z_t = Zbar_t M_t,        V_x,t = p_t - Zbar_t b_t,        M_t (rank, rank),  b_t (rank,).

With gains k and K = C^-1 q_u q_x' of the layers of stage t, where u = Ubar are the slopes of Zbar in their weights,

    E = I - M'(Ubar' C^-1 Ubar) M,     M <- M E^(1/2),     b <- b + M M'(Ubar'k)            C is the curvature

is V_x = Q_x - Q_xu k and V_xx = Q_xx - Q_xu K. For gains K = H q_u q_x', k = H Q_u of another matrix H than C^-1,

    E = I - M'(2 sym(Ubar'H Ubar) - Ubar'H'C H Ubar) M,    b <- b + M M'(Ubar'k + Ubar'H'(Q_u - C k)).

Where E has an eigenvalue below 0, the curvature is less than these columns ask for: the quadratic is not convex there.
The column is cut there (its feedback ends at this stage), and counted as clamped.

References: arXiv 2105.03788, equations (10) and (11); the recursion of its value in the group-rational game, and both
with gains that are approximate, follow from inserting the moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Value:
    """Cost-to-go of one player, or of all together.

    Attributes:
        mixing: M (rows, rank, rank).
        taken: b (rows, rank).
        clamped: number of columns of rows that were cut, over all stages so far.
        columns: number of columns of rows that were looked at.
    """

    mixing: Tensor
    taken: Tensor
    clamped: Tensor
    columns: int = 0

    @classmethod
    def terminal(cls, rows: int, rank: int, like: Tensor) -> Value:
        """The cost itself: M = I, b = 0.

        >>> Value.terminal(rows=1, rank=2, like=torch.zeros(())).mixing
        tensor([[[1., 0.],
                 [0., 1.]]])
        """
        mixing = torch.eye(rank, dtype=like.dtype, device=like.device).expand(rows, rank, rank)
        return cls(mixing, mixing.new_zeros(rows, rank), torch.zeros((), dtype=torch.int64, device=like.device))

    @property
    def weights(self) -> Tensor:
        """M M' (rows, rank, rank): V_xx = Zbar M M' Zbar'."""
        return self.mixing @ self.mixing.mT

    def before(self, contraction: Tensor, slope: Tensor) -> Value:
        """The cost-to-go one stage earlier.

        Args:
            contraction: Ubar'C^-1 Ubar, or what stands in its place, (rows, rank, rank).
            slope: Ubar'k, or what stands in its place, (rows, rank).

        >>> value = Value.terminal(1, 1, torch.zeros(()))
        >>> earlier = value.before(torch.tensor([[[0.75]]]), torch.tensor([[0.2]]))
        >>> earlier.mixing.item(), round(earlier.taken.item(), 3), earlier.clamped.item()
        (0.5, 0.2, 0)
        """
        M = self.mixing
        inner = M.mT @ contraction @ M
        rank = M.shape[-1]
        E = torch.eye(rank, dtype=M.dtype, device=M.device) - 0.5 * (inner + inner.mT)
        if rank == 1:
            kept = (E >= 0).to(M.dtype)
            clamped = (E < 0).sum()
            root = E.clamp_min(0).sqrt()
        else:
            values, vectors = torch.linalg.eigh(E)
            clamped = (values < 0).sum()
            root = vectors * values.clamp_min(0).sqrt().unsqueeze(-2) @ vectors.mT
            kept = vectors * (values >= 0).to(M.dtype).unsqueeze(-2) @ vectors.mT
        taken = self.taken + (M @ kept @ M.mT @ slope.unsqueeze(-1)).squeeze(-1)
        return Value(M @ root, taken, self.clamped + clamped, self.columns + M.shape[0] * rank)
