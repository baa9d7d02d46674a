"""Curvature of the loss in the gates: the Gauss-Newton matrix of each module, and a check of what it leaves out.

``gate_operators`` says what the two matrices are. The blocks of single modules are computed here as dense matrices;
curvature between modules is left out, and ``clipped`` says how much negative curvature of the loss in the outputs was
cut. Inside the block of a module on whose gates the outputs depend piecewise linearly (through ReLU or max pooling),
the second part of the Hessian is 0 and the block is exact; gates stand before the nonlinearity, so a tanh bends.
``smallest_curvature`` says how negative the whole Hessian is: between layers it is indefinite as a rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.func import vjp, vmap

from neurogames.bridge.curvature.gate_operators import gate_hessian, output_roots
from neurogames.bridge.curvature.lanczos import eigenvalue_ends
from neurogames.bridge.gates.gated_loss import GatedLoss, gated_loss
from neurogames.bridge.modules.adapted_model import Forward
from neurogames.bridge.modules.data import Loss
from neurogames.bridge.modules.units import Unit

_ROUNDING = 1e-6


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
    data: Any,
    *,
    units: Unit | Sequence[Unit] = ("neurons", "filters"),
    modules: Sequence[str] | None = None,
    forward: Forward | None = None,
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
        forward: calls the model with its inputs, as in ``participation_game``.

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
    with gated_loss(model, loss, data, units=units, modules=modules, forward=forward) as gated:
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
            taken: Any = vjp(
                lambda *shares, inputs=inputs: vmap(gated.row_outputs)(shares, inputs),
                *(part.expand(len(inputs), -1) for part in gated.shares),
            )
            values, pull = taken
            roots, cut, total = output_roots(gated, values, targets)
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


def smallest_curvature(
    model: nn.Module,
    loss: Loss,
    data: Any,
    *,
    units: Unit | Sequence[Unit] = ("neurons", "filters"),
    modules: Sequence[str] | None = None,
    forward: Forward | None = None,
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
        forward: calls the model with its inputs, as in ``participation_game``.

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
    with gated_loss(model, loss, data, units=units, modules=modules, forward=forward) as gated:
        hessian, starts = gate_hessian(gated), np.cumsum((0, *gated.gates.sizes)).tolist()
        smallest, largest = eigenvalue_ends(hessian)
        by_module = {
            name: eigenvalue_ends(hessian.block(slice(first, last)))[0]
            for name, first, last in zip(gated.gates.modules, starts[:-1], starts[1:], strict=True)
        }
    lost = [name for name, value in {"the whole": smallest, **by_module}.items() if np.isnan(value)]
    status = f"Lanczos iteration did not converge for {', '.join(lost)}" if lost else "ok"
    return SmallestCurvature(smallest, largest, by_module, status)
