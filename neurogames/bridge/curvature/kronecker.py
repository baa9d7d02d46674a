"""Kronecker factors of the Fisher matrix of one layer, their average over steps and their damped inverse.

With the arrays of ``layer_arrays``, inputs a_rs and gradients g_rs of the loss of row r alone at the outputs, the
gradient of the weights of row r is G_r = sum_s g_rs a_rs'. KFAC takes the Fisher matrix F = E[vec(G_r) vec(G_r)'] to
be a Kronecker product of two small matrices,

    F G  ~  B G A,    expand:  A = mean_rs a_rs a_rs',      B = mean_r sum_s g_rs g_rs',
                      reduce:  A = mean_r a_r a_r' with a_r = mean_s a_rs,    B = mean_r g_r g_r' with g_r = sum_s g_rs.

Without sharing both are the same. Expand is exact for one linear layer whose places s have losses of their own, reduce
for one whose outputs are averaged over the places before the loss.

References: J. Martens and R. Grosse, arXiv 1503.05671; sharing: R. Eschenhagen et al., arXiv 2311.00636.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from neurogames._arguments import invalid_argument, number

Sharing = Literal["expand", "reduce"]


@dataclass(frozen=True, eq=False)
class KroneckerFactors:
    """A curvature matrix that maps G to B G A.

    Attributes:
        inputs: A (d_in, d_in), symmetric; with the entry for the bias last where the layer has one.
        outputs: B (d_out, d_out), symmetric.
    """

    inputs: Tensor
    outputs: Tensor

    def multiply(self, gradient: Tensor) -> Tensor:
        """B G A for G (d_out, d_in).

        >>> factors = KroneckerFactors(2 * torch.eye(3), torch.diag(torch.tensor([1.0, 5.0])))
        >>> factors.multiply(torch.ones(2, 3))
        tensor([[ 2.,  2.,  2.],
                [10., 10., 10.]])
        """
        return self.outputs @ gradient @ self.inputs

    def multiply_mean(self, inputs: Tensor, gradients: Tensor) -> Tensor:
        """B G A for G = mean_r sum_s g_rs a_rs', which is never formed: cheaper than ``multiply`` for small batches.

        >>> factors = KroneckerFactors(2 * torch.eye(3), torch.eye(2))
        >>> factors.multiply_mean(torch.ones(4, 1, 3), torch.ones(4, 1, 2))
        tensor([[2., 2., 2.],
                [2., 2., 2.]])
        """
        back = gradients.flatten(0, 1) @ self.outputs
        return back.T.div_(len(inputs)) @ (inputs.flatten(0, 1) @ self.inputs)

    def average_(self, inputs: Tensor, gradients: Tensor, *, decay: float, sharing: Sharing = "expand") -> None:
        """Average with the factors of a batch, in place: A <- decay A + (1 - decay) A of the batch, B alike.

        Args:
            inputs: a (rows, shared, d_in).
            gradients: g (rows, shared, d_out), each of the loss of its row alone.
            decay: in [0, 1); with 0 what was there is forgotten, whatever it was.
            sharing: "expand" or "reduce".
        """
        a = inputs.mean(dim=1) if sharing == "reduce" else inputs.flatten(0, 1)
        g = gradients.sum(dim=1) if sharing == "reduce" else gradients.flatten(0, 1)
        self.inputs.addmm_(a.T, a, beta=decay, alpha=(1 - decay) / len(a))
        self.outputs.addmm_(g.T, g, beta=decay, alpha=(1 - decay) / len(inputs))


def kronecker_factors(inputs: Tensor, gradients: Tensor, *, sharing: Sharing = "expand") -> KroneckerFactors:
    """Kronecker factors of the Fisher matrix of a layer, from one batch.

    Args:
        inputs: a (rows, shared, d_in), as ``layer_inputs`` gives them.
        gradients: g (rows, shared, d_out), of the loss of each row alone: for a loss that is a mean over rows, what
            autograd gives times the number of rows.
        sharing: "expand" or "reduce", how weights that are used at several places of a row are counted.

    Returns:
        A and B.

    Raises:
        ValueError: the arrays do not fit each other, or ``sharing`` is another word.

    >>> found = kronecker_factors(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0]]]))
    >>> found.inputs, found.outputs
    (tensor([[1., 2.],
            [2., 4.]]), tensor([[9.]]))
    """
    if inputs.ndim != 3 or gradients.ndim != 3 or inputs.shape[:2] != gradients.shape[:2] or inputs.numel() == 0:
        got = f"shape {tuple(gradients.shape)} beside inputs of shape {tuple(inputs.shape)}"
        raise invalid_argument("gradients", got, "(rows, shared, d_out) beside inputs (rows, shared, d_in)")
    if sharing not in ("expand", "reduce"):
        raise invalid_argument("sharing", sharing, "'expand' or 'reduce'")
    factors = KroneckerFactors(
        inputs.new_empty(inputs.shape[2], inputs.shape[2]), gradients.new_empty(gradients.shape[2], gradients.shape[2])
    )
    factors.average_(inputs, gradients, decay=0.0, sharing=sharing)
    return factors


def damped_inverse(factors: KroneckerFactors, damping: float) -> KroneckerFactors:
    """The inverse of a damped Kronecker product, by factors: (B + sqrt(damping)/p I)^-1 and (A + sqrt(damping) p I)^-1.

    p^2 = mean eigenvalue of A / mean eigenvalue of B, so that each factor is damped in its own scale; the product is
    B x A + damping I and two terms between them.

    Args:
        factors: A and B, positive semi-definite.
        damping: > 0.

    Returns:
        The two inverses, symmetric.

    Raises:
        ValueError: ``damping`` is out of range.

    >>> inverse = damped_inverse(KroneckerFactors(torch.eye(2), torch.eye(2)), damping=1.0)
    >>> inverse.multiply(torch.ones(2, 2))
    tensor([[0.2500, 0.2500],
            [0.2500, 0.2500]])

    Reference: J. Martens and R. Grosse, arXiv 1503.05671, section 6.3.
    """
    damping = number("damping", damping, "a number > 0", lambda value: value > 0)
    scales = [factor.diagonal().double().mean() for factor in (factors.inputs, factors.outputs)]
    balance = (scales[0] / scales[1]).sqrt()
    balance = balance.where(balance.isfinite() & (balance > 0), torch.ones_like(balance))
    return KroneckerFactors(
        _inverse(factors.inputs, damping**0.5 * balance), _inverse(factors.outputs, damping**0.5 / balance)
    )


def _inverse(factor: Tensor, shift: Tensor) -> Tensor:
    """(factor + shift I)^-1, in 64 bits: the shift may be below the rounding of the largest eigenvalue in 32."""
    shifted = factor.double()
    shifted = shifted.clone() if shifted is factor else shifted
    shifted.diagonal().add_(shift)
    return torch.cholesky_inverse(torch.linalg.cholesky(shifted)).to(factor.dtype)
