"""What pruning usually takes for a unit's importance: the size of its weights, or the slope of the loss in its gate.

Both are divided by their mean over the unit's layer, the usual way to compare units of different layers. They are the
controls of the participation game, in which a unit is worth what the loss would rise without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurogames._arguments import instance, invalid_argument
from neurogames.bridge.gates.gates import Gates, insert_gates
from neurogames.bridge.modules.data import Data, Loss, data_pair, try_rows
from neurogames.bridge.modules.evaluation import copy_module, gradients_on
from neurogames.bridge.modules.graph import is_turned_linear
from neurogames.bridge.modules.units import Unit


def magnitude_importance(
    model: nn.Module, units: Unit | Sequence[Unit] = ("neurons", "filters")
) -> NDArray[np.float64]:
    """|w_i| / mean over the layer of |w_j|, with w_i the incoming weights of unit i.

    Args:
        model: any module; left as it is.
        units: which units, as in :func:`neurogames.bridge.insert_gates`.

    Returns:
        (n,) importances, in the order of the gates.

    Raises:
        ValueError: if there are no such units.

    >>> model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1))
    >>> with torch.no_grad():
    ...     _ = model[0].weight.copy_(torch.tensor([[1.0], [-3.0]]))
    >>> magnitude_importance(model)
    array([0.5, 1.5])

    Reference: H. Li et al., Pruning filters for efficient ConvNets, arXiv 1608.08710, section 3.1, with the 2-norm.
    """
    instance("model", model, nn.Module, "a torch module")
    gates = insert_gates(copy_module(model).eval(), units)
    layers: list[Any] = [gates.model.get_submodule(name) for name in gates.modules]
    weights = [layer.weight.t() if is_turned_linear(layer) else layer.weight.flatten(1) for layer in layers]
    return _by_layer([weight.detach().norm(dim=1) for weight in weights])


@gradients_on()
def taylor_importance(
    model: nn.Module,
    loss: Loss,
    data: Data,
    units: Unit | Sequence[Unit] = ("neurons", "filters"),
    *,
    batch_size: int = 128,
) -> NDArray[np.float64]:
    """E|dL/ds_i| over mini-batches / its mean over the layer, the first-order Taylor criterion.

    Args:
        model: any module; left as it is, and run in evaluation mode.
        loss: (outputs, targets) -> mean loss.
        data: inputs (rows, ...) and targets (rows, ...).
        units: which units, as in :func:`neurogames.bridge.insert_gates`.
        batch_size: rows of a mini-batch; over all rows at once the slopes of a trained network vanish.

    Returns:
        (n,) importances, in the order of the gates.

    Raises:
        ValueError: if there are no such units, or data are no finite rows.

    >>> model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Linear(2, 1, bias=False))
    >>> _ = nn.init.ones_(model[0].weight), model[1].weight.data.copy_(torch.tensor([[1.0, 3.0]]))
    >>> taylor_importance(model, nn.functional.mse_loss, (torch.ones(4, 1), torch.zeros(4, 1)))  # L = (s_1 + 3 s_2)^2
    array([0.5, 1.5])

    Reference: P. Molchanov et al., Pruning convolutional neural networks for resource efficient inference,
    arXiv 1611.06440, eq. 7 and 8 (there on feature maps, whose slope times value is the slope of their gate).
    """
    instance("model", model, nn.Module, "a torch module")
    if not callable(loss):
        raise invalid_argument("loss", loss, "a function of outputs and targets")
    inputs, targets = data_pair(data)
    try_rows(model, loss, (inputs, targets))
    gates: Gates = insert_gates(copy_module(model).eval(), units)
    shares = gates.parameters()
    total = [torch.zeros_like(share) for share in shares]
    for rows, labels in zip(torch.split(inputs, batch_size), torch.split(targets, batch_size), strict=True):
        slopes = torch.autograd.grad(loss(gates.model(rows), labels), shares)
        for part, slope in zip(total, slopes, strict=True):
            part += slope.abs() * len(rows)
    return _by_layer(total)


def _by_layer(parts: Sequence[Tensor]) -> NDArray[np.float64]:
    """Importances relative to the mean of their layer; a layer without any keeps its zeros."""
    return np.concatenate([(part / part.mean().clamp(min=1e-30)).double().cpu().numpy() for part in parts])
