"""The exact Hessian and the Gauss-Newton matrix of the loss in the gates of a network, as operators.

With J_r = d outputs / d s of row r (outputs x gates) and L the mean over rows of losses l_r(outputs), the Hessian is

    d2L/ds2 = 1/R sum_r J_r' (d2 l_r / d outputs2) J_r    +    1/R sum_r sum_k (d l_r / d output_k) d2 output_k / ds2,

whose first part is the Gauss-Newton matrix. For cross-entropy it is the Fisher matrix, with all classes and no draws;
for squared error 2/C J'J. It is positive semidefinite where l is convex in the outputs; where it is not, negative
eigenvalues of d2 l_r are cut to 0. Products are summed over rows in 64 bits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import jacrev, vjp, vmap

from neurogames.bridge.curvature.operator import CurvatureOperator
from neurogames.bridge.gates.gated_loss import GatedLoss

_VECTORS = 16  # at once


def gate_hessian(gated: GatedLoss) -> CurvatureOperator:
    """The exact Hessian of the loss in the gates (n, n), between modules too.

    Every product is two passes over the rows, forward and back, for some vectors at once.

    Args:
        gated: the loss, for as long as its ``with`` block is open.

    Returns:
        The operator, in the order of players.

    >>> from torch import nn
    >>> from neurogames.bridge.gates.gated_loss import gated_loss
    >>> model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    >>> _ = [layer.weight.data.fill_(1.0) for layer in model]
    >>> with gated_loss(model, nn.functional.mse_loss, (torch.ones(1, 1), torch.full((1, 1), 5.0))) as gated:
    ...     gate_hessian(gated).to_dense()  # L = (s_1 s_2 - 5)^2
    tensor([[ 2., -6.],
            [-6.,  2.]], dtype=torch.float64)
    """

    def products(vectors: Tensor) -> Tensor:
        given = vectors.to(gated.shares[0])
        result = torch.zeros(vectors.shape, dtype=torch.float64)
        for inputs, targets in gated.chunks(4 * _VECTORS * gated.row_bytes):
            with torch.enable_grad():
                shares = torch.cat(gated.shares).requires_grad_()
                mean = gated.loss(gated.outputs(torch.split(shares, list(gated.gates.sizes)), inputs), targets)
                (slope,) = torch.autograd.grad(mean, shares, create_graph=True)
                for part, total in zip(torch.split(given, _VECTORS), torch.split(result, _VECTORS), strict=True):
                    (bent,) = torch.autograd.grad(
                        slope, shares, part, is_grads_batched=True, retain_graph=True, materialize_grads=True
                    )
                    total += bent.double().cpu() * (len(inputs) / len(gated.inputs))
        return result

    return _operator(gated, products)


def gate_gauss_newton(gated: GatedLoss) -> CurvatureOperator:
    """The Gauss-Newton matrix of the loss in the gates (n, n), between modules too.

    Every product is two passes back over the rows for each vector, after one forward and one back for all.

    Args:
        gated: the loss, for as long as its ``with`` block is open.

    Returns:
        The operator, in the order of players; its block of one module is that of ``gate_curvature``.

    >>> from torch import nn
    >>> from neurogames.bridge.gates.gated_loss import gated_loss
    >>> model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    >>> _ = [layer.weight.data.fill_(1.0) for layer in model]
    >>> with gated_loss(model, nn.functional.mse_loss, (torch.ones(1, 1), torch.full((1, 1), 5.0))) as gated:
    ...     gate_gauss_newton(gated).to_dense().numpy().round(3)  # L = (s_1 s_2 - 5)^2
    array([[2., 2.],
           [2., 2.]])

    Reference: N. Schraudolph, Fast curvature matrix-vector products for second-order gradient descent, Neural
    Computation 14 (2002).
    """

    def products(vectors: Tensor) -> Tensor:
        given = vectors.to(gated.shares[0])
        result = torch.zeros(vectors.shape, dtype=torch.float64)
        for inputs, targets in gated.chunks(4 * gated.row_bytes):

            def along(*shares: Tensor, inputs: Tensor = inputs) -> Tensor:
                return gated.outputs(shares, inputs)

            taken: Any = vjp(along, *gated.shares)
            values, pull = taken
            # J v as the transpose of u -> J'u: forward differentiation knows fewer operations.
            taken = vjp(pull, torch.zeros_like(values))
            _, push = taken
            roots, _, _ = output_roots(gated, values.detach(), targets)
            for vector, total in zip(given, result, strict=True):
                (moved,) = push(torch.split(vector, list(gated.gates.sizes)))
                sizes = (roots * moved).flatten(2).sum(dim=2)  # (k, rows)
                bent = (sizes.reshape(*sizes.shape, *[1] * (values.ndim - 1)) * roots).sum(dim=0)
                total += torch.cat(pull(bent)).double().cpu()
        return result / len(gated.inputs)

    return _operator(gated, products)


def output_roots(gated: GatedLoss, values: Tensor, targets: Tensor) -> tuple[Tensor, float, float]:
    """Square roots of the curvature of the loss in the outputs, row by row.

    Args:
        gated: the loss.
        values: (rows, ...) outputs.
        targets: (rows, ...).

    Returns:
        Roots (k, rows, ...) whose outer products add up to d2 l_r / d outputs2 without its negative part; the sum of
        the sizes of the negative eigenvalues, and of all.
    """
    flat = values.flatten(1)

    def row_loss(row: Tensor, target: Tensor) -> Tensor:
        return gated.row_loss(row.reshape(values.shape[1:]), target)

    curvature = vmap(jacrev(jacrev(row_loss)))(flat, targets)
    if torch.equal(curvature, torch.diag_embed(curvature.diagonal(dim1=1, dim2=2))):
        sizes = curvature.diagonal(dim1=1, dim2=2)  # as of squared error, where outputs may be many
        vectors = torch.eye(flat.shape[1], dtype=flat.dtype, device=flat.device)
    else:
        sizes, vectors = torch.linalg.eigh(curvature)
    kept = (sizes > 10 * torch.finfo(sizes.dtype).eps * sizes.abs().max()).any(dim=0)
    kept[-1] = True  # vmap wants at least one
    roots = (vectors * sizes.clamp(min=0.0).sqrt().unsqueeze(1))[..., kept]
    shaped = roots.permute(2, 0, 1).reshape(-1, *values.shape)
    return shaped, float(sizes.clamp(max=0.0).abs().sum()), float(sizes.abs().sum())


def _operator(gated: GatedLoss, products: Any) -> CurvatureOperator:
    """The operator on all gates, whose products are sums in 64 bits."""
    return CurvatureOperator(gated.gates.n_players, products, torch.float64, torch.device("cpu"))
