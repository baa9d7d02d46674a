"""Cheap scores of the units of a layer, without coalitions: what they give, and how much the worth hangs on it.

With a_rjp the value of unit j for row r at position p, over R rows::

    magnitude            (1/R) sum_r  mean_p |a_rjp|
    gradient activation  (1/R) sum_r  |sum_p a_rjp dw_r / da_rjp|

where w_r is the worth of row r. The sum inside is, to first order, what the row loses when the unit is set to zero.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.coalitions.row_worths import check_metric, counted_rows, row_score
from neurogames.bridge.modules.adapted_model import Forward, adapted, adapted_pair
from neurogames.bridge.modules.data import finite_rows
from neurogames.bridge.modules.evaluation import gradients_on
from neurogames.bridge.modules.hooks import device_of, frozen_copy, known_module, on_output, record
from neurogames.bridge.modules.units import find_unit_axis

_ROWS = 256  # rows do not act on each other, so that they can come in parts


def activation_magnitude(
    model: nn.Module, layer: str, inputs: Any, *, unit_axis: int | None = None, forward: Forward | None = None
) -> NDArray[np.float64]:
    """Mean absolute value of every unit of a layer.

    Args:
        model: any network with one tensor of inputs, rows first; it is run in evaluation mode and left as it was.
        layer: name of a module that is called once and gives a tensor with rows and units.
        inputs: (rows, ...), at least one row.
        unit_axis: axis of the layer's output on which units stand, as in ``coalition_game``.
        forward: calls the model with its inputs, as in ``coalition_game``.

    Returns:
        (units,) scores.

    Raises:
        ValueError: no such layer, or one without units; no rows.

    >>> activation_magnitude(nn.Sequential(nn.Identity()), "0", torch.tensor([[1.0, 0.0], [-3.0, 0.0]]))
    array([2., 0.])
    """
    model, inputs = adapted(model, inputs, forward)
    known_module(model, layer)
    inputs = finite_rows(inputs)
    own = frozen_copy(model)
    sums: list[Tensor] = []
    for block in torch.split(inputs.to(device_of(own)), _ROWS):
        values, _ = record(own, layer, None, block)
        if not sums:
            axis = find_unit_axis(own, layer, given=unit_axis, ndim=values.ndim)
        sums.append(_by_unit(values.abs(), axis).double().mean(dim=2).sum(dim=0))
    return _mean(sums, len(inputs))


@gradients_on()
def gradient_activation(
    model: nn.Module,
    layer: str,
    data: Any,
    *,
    metric: Literal["logit", "loss"] = "logit",
    unit_axis: int | None = None,
    forward: Forward | None = None,
) -> NDArray[np.float64]:
    """Absolute gradient times activation of every unit of a layer.

    Args:
        model: any network with one tensor of inputs and one of outputs, rows first; it is left as it was.
        layer: name of a module that is called once and gives a tensor with rows and units.
        data: inputs (rows, ...) and targets (rows, ...): as in ``coalition_game``, floating numbers with "loss" only.
        metric: of a row: its "logit" of the right class, or minus its "loss", as in ``coalition_game``.
        unit_axis: axis of the layer's output on which units stand, as in ``coalition_game``.
        forward: calls the model with its inputs, as in ``coalition_game``.

    Returns:
        (units,) scores.

    Raises:
        ValueError: what ``coalition_game`` refuses.

    >>> model = nn.Sequential(nn.Identity(), nn.Linear(2, 2, bias=False))
    >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, 0.0], [0.0, -2.0]]))
    >>> gradient_activation(model, "0", (torch.tensor([[1.0, 3.0], [1.0, 3.0]]), torch.tensor([0, 1])))
    array([0.5, 3. ])

    Reference: P. Molchanov, S. Tyree, T. Karras, T. Aila and J. Kautz, Pruning convolutional neural networks for
    resource efficient inference (2017), equation 7.
    """
    if metric not in ("logit", "loss"):
        raise invalid_argument("metric", metric, "'logit' or 'loss'")
    model, inputs, targets = adapted_pair(model, data, forward)
    known_module(model, layer)
    inputs, targets = counted_rows(metric, inputs, targets)
    own = frozen_copy(model)
    inputs, targets = inputs.to(device_of(own)), targets.to(device_of(own))
    values, outputs = record(own, layer, None, inputs[:1])
    axis = find_unit_axis(own, layer, given=unit_axis, ndim=values.ndim)
    check_metric(metric, outputs, targets)
    score = row_score(metric, targets)
    sums: list[Tensor] = []
    for rows, expected in zip(torch.split(inputs, _ROWS), torch.split(targets, _ROWS), strict=True):
        kept: list[Tensor] = []

        def cut(output: Tensor, kept: list[Tensor] = kept) -> Tensor:
            kept.append(output.detach().requires_grad_())
            return kept[0].clone()  # what comes next may write into it

        with on_output(own, layer, cut), torch.enable_grad():
            outputs = own(rows.clone())
            (gradient,) = torch.autograd.grad(score(outputs.unsqueeze(1), expected).sum(), kept)
        products = (gradient * kept[0].detach()).double()
        sums.append(_by_unit(products, axis).sum(dim=2).abs().sum(dim=0))
    return _mean(sums, len(inputs))


def _by_unit(values: Tensor, axis: int) -> Tensor:
    """Values of a layer as (rows, units, positions)."""
    moved = values.movedim(axis, 1)
    return moved.reshape(*moved.shape[:2], -1)


def _mean(sums: list[Tensor], rows: int) -> NDArray[np.float64]:
    """Mean over rows of sums over some of them."""
    return (torch.stack(sums).sum(dim=0) / rows).cpu().numpy()
