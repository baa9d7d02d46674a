"""The eigenbasis of the Kronecker factors, and exact second moments of a layer's gradients in it (EKFAC).

With A = U_A diag U_A' and B = U_B diag U_B', the gradient of row r has the coordinates U_B' G_r U_A. KFAC takes their
second moments to be products of eigenvalues of A and B; EKFAC measures them,

    S_ij = mean_r (U_B' G_r U_A)_ij^2,

which is the best diagonal in this basis: F ~ (U_B x U_A) diag(S) (U_B x U_A)'. It is exact per row, also where weights
are shared over places, and right in any orthogonal basis: bases may be old, S is of today.

Reference: T. George, C. Laurent, X. Bouthillier, N. Ballas and P. Vincent, arXiv 1806.03884.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from neurogames.bridge.curvature.kronecker import KroneckerFactors

_ENTRIES = 2**23  # of the gradients of single rows that are in memory at once


class Moments(NamedTuple):
    """Moments of the gradients of single rows in an eigenbasis.

    Attributes:
        first: mean_r U_B' G_r U_A (d_out, d_in).
        second: S, their mean squares (d_out, d_in).
    """

    first: Tensor
    second: Tensor


@dataclass(frozen=True, eq=False)
class Eigenbasis:
    """Eigenvectors of the Kronecker factors of a layer.

    Attributes:
        inputs: U_A (d_in, d_in), its columns the eigenvectors of A.
        outputs: U_B (d_out, d_out), its columns the eigenvectors of B.
    """

    inputs: Tensor
    outputs: Tensor

    def rotate(self, gradient: Tensor) -> Tensor:
        """U_B' G U_A, the coordinates of G (d_out, d_in)."""
        return self.outputs.T @ gradient @ self.inputs

    def rotate_mean(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """U_B' G U_A for G = mean_r sum_s g_rs a_rs', which is never formed: cheaper than ``rotate`` for small batches.

        >>> Eigenbasis(torch.eye(2), torch.eye(1)).rotate_mean(torch.ones(4, 1, 2), torch.ones(4, 1, 1))
        tensor([[1., 1.]])
        """
        turned = gradients.flatten(0, 1) @ self.outputs
        return turned.div_(len(inputs)).T @ (inputs.flatten(0, 1) @ self.inputs)

    def rotate_back(self, coordinates: Tensor) -> Tensor:
        """U_B X U_A', what has the coordinates X (d_out, d_in).

        >>> basis = eigenbasis(KroneckerFactors(torch.tensor([[2.0, 1.0], [1.0, 2.0]]), torch.ones(1, 1)))
        >>> torch.allclose(basis.rotate_back(basis.rotate(torch.tensor([[3.0, 4.0]]))), torch.tensor([[3.0, 4.0]]))
        True
        """
        return self.outputs @ coordinates @ self.inputs.T

    def moments(self, inputs: Tensor, gradients: Tensor) -> Moments:
        """Moments of the gradients of single rows, without a loop over rows.

        Args:
            inputs: a (rows, shared, d_in).
            gradients: g (rows, shared, d_out), each of the loss of its row alone.

        Returns:
            The first and second moments.

        >>> basis = Eigenbasis(torch.eye(2), torch.eye(1))
        >>> basis.moments(torch.tensor([[[1.0, 2.0]], [[1.0, 0.0]]]), torch.tensor([[[1.0]], [[3.0]]]))
        Moments(first=tensor([[2., 1.]]), second=tensor([[5., 2.]]))
        """
        second = inputs.new_empty(len(self.outputs), len(self.inputs))
        return Moments(self.average_moments_(second, inputs, gradients, decay=0.0), second)

    def average_moments_(self, kept: Tensor, inputs: Tensor, gradients: Tensor, *, decay: float) -> Tensor:
        """Average second moments with those of a batch, in place: S <- decay S + (1 - decay) S of the batch.

        Args:
            kept: S (d_out, d_in).
            inputs: a (rows, shared, d_in).
            gradients: g (rows, shared, d_out), each of the loss of its row alone.
            decay: in [0, 1); with 0 what was there is forgotten, whatever it was.

        Returns:
            The first moments of the batch (d_out, d_in).
        """
        rows, shared = inputs.shape[:2]
        weight = (1 - decay) / rows
        if shared == 1:
            a, g = inputs[:, 0] @ self.inputs, gradients[:, 0] @ self.outputs
            first = (g / rows).T @ a
            kept.addmm_(g.square_().T, a.square_(), beta=decay, alpha=weight)
            return first
        d_in, d_out = len(self.inputs), len(self.outputs)
        first, squares = torch.zeros_like(kept), torch.zeros_like(kept)
        # Either the arrays are turned or the gradients that they make: whichever is less work.
        arrays_first = shared * (d_in**2 + d_out**2) < d_out * d_in * (d_in + d_out)
        chunk = max(1, _ENTRIES // (d_in * d_out))
        for a, g in zip(inputs.split(chunk), gradients.split(chunk), strict=True):
            if arrays_first:
                turned = (g @ self.outputs).mT @ (a @ self.inputs)
            else:
                turned = self.outputs.T @ (g.mT @ a) @ self.inputs
            first += turned.sum(dim=0)
            squares += turned.square_().sum(dim=0)
        kept.copy_(torch.add(squares * weight, kept, alpha=decay) if decay else squares.mul_(weight))
        return first.div_(rows)

    def precondition(self, gradient: Tensor, second: Tensor, damping: float) -> Tensor:
        """(F + damping I)^-1 G for G (d_out, d_in), with the second moments S (d_out, d_in) and damping > 0.

        >>> Eigenbasis(torch.eye(2), torch.eye(1)).precondition(torch.ones(1, 2), torch.tensor([[1.0, 3.0]]), 1.0)
        tensor([[0.5000, 0.2500]])
        """
        return self.rotate_back(self.rotate(gradient).div_(second + damping))


def eigenbasis(factors: KroneckerFactors) -> Eigenbasis:
    """Eigenvectors of both Kronecker factors, by rising eigenvalue.

    >>> eigenbasis(KroneckerFactors(torch.diag(torch.tensor([2.0, 1.0])), torch.ones(1, 1))).inputs.abs()
    tensor([[0., 1.],
            [1., 0.]])
    """
    return Eigenbasis(_eigenvectors(factors.inputs), _eigenvectors(factors.outputs))


def _eigenvectors(factor: Tensor) -> Tensor:
    """Columns of eigenvectors; in 64 bits where the solver fails in 32, as it may where eigenvalues are alike."""
    try:
        vectors: Tensor = torch.linalg.eigh(factor).eigenvectors
    except RuntimeError:
        vectors = torch.linalg.eigh(factor.double()).eigenvectors.to(factor.dtype)
    return vectors
