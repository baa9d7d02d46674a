"""Curvature of the loss in the gates: the Gauss-Newton matrix of each module, and a check of what it leaves out.

With J_r = d outputs / d s of row r (outputs x gates) and L the mean over rows of losses l_r(outputs), the Hessian is

    d2L/ds2 = 1/R sum_r J_r' (d2 l_r / d outputs2) J_r    +    1/R sum_r sum_k (d l_r / d output_k) d2 output_k / ds2,

whose first part is the Gauss-Newton matrix. For cross-entropy it is the Fisher matrix, with all classes and no draws;
for squared error 2/C J'J. It is positive semidefinite where l is convex in the outputs; where it is not, negative
eigenvalues of d2 l_r are cut to 0, and ``clipped`` says how much. The blocks of single modules are computed here;
curvature between modules is left out. Inside the block of a module on whose gates the outputs depend piecewise linearly
(through ReLU or max pooling), the second part is 0 and the block is exact; gates stand before the nonlinearity, so a
tanh bends. ``smallest_curvature`` says how negative the whole Hessian is: between layers it is indefinite as a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
from torch import Tensor, nn
from torch.func import jacrev, vjp, vmap

from neurogames.bridge.gates.gated_loss import GatedLoss, gated_loss
from neurogames.bridge.modules.data import Data, Loss
from neurogames.bridge.modules.units import Unit

_ROUNDING = 1e-6
_DENSE = 200
_VECTORS = 16
_LANCZOS = 1e-3
Product = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class GateCurvature:
    """Second-order model of the loss in the gates, module by module.

    Attributes:
        modules: names of the modules.
        profile: (n,) shares s0 at which it was taken.
        loss: L(s0).
        slope: (n,) dL/ds.
        blocks: the Gauss-Newton matrix (units, units) of each module.
        clipped: share of the curvature of the loss in the outputs that was negative and cut to 0.
    """

    modules: tuple[str, ...]
    profile: NDArray[np.float64]
    loss: float
    slope: NDArray[np.float64]
    blocks: tuple[NDArray[np.float64], ...]
    clipped: float


@dataclass(frozen=True)
class SmallestCurvature:
    """How negative the exact Hessian of the loss in the gates is.

    Attributes:
        whole: its smallest eigenvalue.
        largest: its largest eigenvalue, for comparison.
        by_module: the smallest eigenvalue of each module's own block.
        status: "ok", or what did not converge (its value is NaN).
    """

    whole: float
    largest: float
    by_module: dict[str, float]
    status: str


def gate_curvature(
    model: nn.Module,
    loss: Loss,
    data: Data,
    *,
    units: Unit | Sequence[Unit] = ("neurons", "filters"),
    modules: Sequence[str] | None = None,
) -> GateCurvature:
    """Slope and Gauss-Newton curvature of the loss in the gates.

    One pass forward, and one back for each output of a row (C - 1 for cross-entropy of C classes); besides some rows at
    a time only the blocks themselves are in memory.

    Args:
        model: any module that takes one tensor; it stays as it is. Gates that it has are used, at their present shares.
        loss: maps (outputs, targets) to the mean loss over rows; twice differentiable.
        data: inputs and targets, one row each.
        units: what to gate where the model has no gates, as in ``insert_gates``.
        modules: what to gate where the model has no gates, as in ``insert_gates``.

    Returns:
        The second-order model.

    Raises:
        ValueError: as ``gated_loss``.

    >>> model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    >>> _ = model[0].weight.data.copy_(torch.eye(2)), model[1].weight.data.copy_(torch.tensor([[1.0, 3.0]]))
    >>> found = gate_curvature(model, nn.functional.mse_loss, (torch.ones(4, 2), torch.zeros(4, 1)))
    >>> found.loss, found.slope, found.blocks[0].round(3)  # L = (s_1 + 3 s_2)^2
    (16.0, array([ 8., 24.]), array([[ 2.,  6.],
           [ 6., 18.]]))

    Reference: N. Schraudolph, Fast curvature matrix-vector products for second-order gradient descent, Neural
    Computation 14 (2002).
    """
    with gated_loss(model, loss, data, units=units, modules=modules) as gated:
        return curvature_of(gated)


def curvature_of(gated: GatedLoss) -> GateCurvature:
    """``gate_curvature`` of a loss that is at hand."""
    loss, slopes = gated.slope()
    blocks = [torch.zeros(size, size, dtype=torch.float64, device=gated.shares[0].device) for size in gated.gates.sizes]
    negative, curved = 0.0, 0.0
    with torch.no_grad():
        outputs = gated.outputs(gated.shares, gated.inputs[:1].to(gated.shares[0].device)).numel()
        row_bytes = (outputs + 2) * (gated.row_bytes + 8 * outputs + 8 * gated.gates.n_players)
        for inputs, targets in gated.chunks(row_bytes):
            values, pull = vjp(
                lambda *shares, inputs=inputs: vmap(gated.row_outputs)(shares, inputs),
                *(part.expand(len(inputs), -1) for part in gated.shares),
            )
            roots, cut, total = _output_roots(gated, values, targets)
            negative, curved = negative + cut, curved + total
            for block, part in zip(blocks, vmap(pull)(roots), strict=True):
                factor = part.flatten(0, 1)
                block += (factor.T @ factor).double()
    return GateCurvature(
        modules=gated.gates.modules,
        profile=gated.gates.profile(),
        loss=loss,
        slope=torch.cat(slopes).numpy(),
        blocks=tuple((block / len(gated.inputs)).cpu().numpy() for block in blocks),
        clipped=negative / curved if negative > _ROUNDING * curved else 0.0,
    )


def _output_roots(gated: GatedLoss, values: Tensor, targets: Tensor) -> tuple[Tensor, float, float]:
    """Square roots (k, rows, ...) of d2 l_r / d outputs2, and the sizes of its negative and of all eigenvalues."""
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


def smallest_curvature(
    model: nn.Module,
    loss: Loss,
    data: Data,
    *,
    units: Unit | Sequence[Unit] = ("neurons", "filters"),
    modules: Sequence[str] | None = None,
) -> SmallestCurvature:
    """Smallest eigenvalues of the exact Hessian of the loss in the gates, from products with it.

    Up to 200 gates the Hessian is formed; above, every step of Lanczos costs some passes over the data, so take a part
    of the rows, and eigenvalues are off by about 0.001 of the largest.

    Args:
        model: any module that takes one tensor; it stays as it is. Gates that it has are used, at their present shares.
        loss: maps (outputs, targets) to the mean loss over rows; twice differentiable.
        data: inputs and targets, one row each.
        units: what to gate where the model has no gates, as in ``insert_gates``.
        modules: what to gate where the model has no gates, as in ``insert_gates``.

    Returns:
        The eigenvalues; below 0, the second-order model leaves out curvature that is negative.

    Raises:
        ValueError: as ``gated_loss``.

    >>> model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    >>> _ = [layer.weight.data.fill_(1.0) for layer in model]
    >>> found = smallest_curvature(model, nn.functional.mse_loss, (torch.ones(1, 1), torch.full((1, 1), 5.0)))
    >>> round(found.whole, 6), found.by_module  # L = (s_1 s_2 - 5)^2
    (-4.0, {'0': 2.0, '1': 2.0})
    """
    with gated_loss(model, loss, data, units=units, modules=modules) as gated:
        n, starts = gated.gates.n_players, np.cumsum((0, *gated.gates.sizes))
        smallest, largest = _ends(gated, slice(0, n))
        by_module = {
            name: _ends(gated, slice(first, last))[0]
            for name, first, last in zip(gated.gates.modules, starts[:-1], starts[1:], strict=True)
        }
    lost = [name for name, value in {"the whole": smallest, **by_module}.items() if np.isnan(value)]
    status = f"Lanczos iteration did not converge for {', '.join(lost)}" if lost else "ok"
    return SmallestCurvature(smallest, largest, by_module, status)


def _ends(gated: GatedLoss, players: slice) -> tuple[float, float]:
    """Smallest and largest eigenvalue of the part of the Hessian that belongs to some players; NaN if not found."""
    n, chosen = gated.gates.n_players, np.arange(gated.gates.n_players)[players]

    def product(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        full = np.zeros((vectors.shape[0], n))
        full[:, chosen] = vectors
        return hessian_products(gated, full)[:, chosen]

    if chosen.size <= _DENSE:
        found = np.linalg.eigvalsh(product(np.eye(chosen.size)))
    else:
        try:
            largest = _top(product, chosen.size, 0.0)
            # Turned over and moved, so that the tolerance is one of the range and not of a value near 0.
            found = np.array([abs(largest) - _top(lambda x: -product(x), chosen.size, abs(largest)), largest])
        except ArpackError:
            return np.nan, np.nan
    return float(found[0]), float(found[-1])


def _top(product: Product, size: int, shift: float) -> float:
    """Greatest eigenvalue of a symmetric matrix plus shift times the identity, by Lanczos."""

    def shifted(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return product(x.reshape(1, -1))[0] + shift * x.reshape(-1)

    operator = LinearOperator((size, size), matvec=shifted, dtype=np.dtype(np.float64))
    first = np.cos(np.arange(size) ** 2.0)  # a fixed vector without pattern, so that a second call agrees
    return float(eigsh(operator, k=1, which="LA", v0=first, tol=_LANCZOS, maxiter=100, return_eigenvectors=False)[0])


def hessian_products(gated: GatedLoss, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Products of the exact Hessian of the loss in the gates with vectors.

    Args:
        gated: the loss.
        vectors: (m, n).

    Returns:
        (m, n) products.
    """
    given = torch.from_numpy(vectors).to(gated.shares[0])
    result = torch.zeros(vectors.shape, dtype=torch.float64)
    for inputs, targets in gated.chunks(4 * _VECTORS * gated.row_bytes):
        with torch.enable_grad():
            shares = torch.cat(gated.shares).requires_grad_()
            mean = gated.loss(gated.outputs(shares.split(gated.gates.sizes), inputs), targets)
            (slope,) = torch.autograd.grad(mean, shares, create_graph=True)
            for part, total in zip(given.split(_VECTORS), result.split(_VECTORS), strict=True):
                (bent,) = torch.autograd.grad(
                    slope, shares, part, is_grads_batched=True, retain_graph=True, materialize_grads=True
                )
                total += bent.double().cpu() * (len(inputs) / len(gated.inputs))
    return result.numpy()
