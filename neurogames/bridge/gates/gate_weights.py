"""The parameters of its own with which a gated unit's share can be merged.

A share that multiplies the output of a unit can as well multiply the unit's own parameters theta_i: its row of the
weight and its bias; gamma_i and beta_i where a norm stands between; the columns of the projection that read a head.
Units lead in all arrays here.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.modules.graph import is_turned_linear


def by_head(weight: Tensor, heads: int) -> Tensor:
    """View of a projection's weight (outputs, heads * width) as (heads, outputs, width).

    >>> by_head(torch.arange(8.0).reshape(2, 4), 2)[1]
    tensor([[2., 3.],
            [6., 7.]])
    """
    return weight.view(weight.shape[0], heads, -1).transpose(0, 1)


def own_weights(module: nn.Module, place: Any) -> list[Tensor]:
    """The units' own parameters, as views (units, ...).

    Args:
        module: the Linear, Conv or MultiheadAttention.
        place: what the gate multiplies: the module, the norm behind it, or the projection of the heads.

    >>> layer = nn.Conv2d(3, 5, 2)
    >>> [tuple(weight.shape) for weight in own_weights(layer, layer)]
    [(5, 3, 2, 2), (5,)]
    """
    if isinstance(module, nn.MultiheadAttention):
        return [by_head(place.weight, module.num_heads)]
    rows = place.weight.t() if is_turned_linear(place) else place.weight
    return [weight for weight in (rows, place.bias) if weight is not None]


def unit_factors(module: Any) -> NDArray[np.float64]:
    """Vectors theta_i that stand for units: incoming rows with the bias; for heads, the columns that read them.

    Args:
        module: the Linear, Conv or MultiheadAttention.

    Returns:
        (units, d).

    >>> unit_factors(nn.Conv2d(3, 5, 2)).shape
    (5, 13)
    """
    if isinstance(module, nn.MultiheadAttention):
        projection = getattr(module.out_proj, "inner", module.out_proj)
        rows = by_head(projection.weight, module.num_heads).flatten(1)
    else:
        rows = module.weight.t() if is_turned_linear(module) else module.weight.flatten(1)
        rows = rows if module.bias is None else torch.cat([rows, module.bias.unsqueeze(1)], dim=1)
    return rows.detach().cpu().double().numpy()


def own_norms(module: nn.Module, place: Any) -> Tensor:
    """(units,) norms |theta_i|."""
    squares = [weight.reshape(weight.shape[0], -1).square().sum(dim=1) for weight in own_weights(module, place)]
    return torch.stack(squares).sum(dim=0).sqrt()


def multiply(module: nn.Module, place: Any, factor: Tensor) -> None:
    """Multiply every unit's own parameters, in place, by its factor (units,)."""
    for weight in own_weights(module, place):
        weight.mul_(factor.reshape(-1, *[1] * (weight.ndim - 1)))


def refuse_fixed(model: nn.Module, owners: list[tuple[nn.Module, Any]]) -> None:
    """Refuse units whose parameters cannot be scaled: there are none, or they are computed, or others use them too.

    Args:
        model: the model.
        owners: pairs of module and place.

    Raises:
        ValueError: if one of them cannot be scaled.
    """
    used = Counter(
        id(weight) for module in model.modules() for weight in module._parameters.values() if weight is not None
    )
    for _, place in owners:
        if place._parameters.get("weight") is None:
            got = f"{type(place).__name__} without a weight parameter"
            raise invalid_argument("model", got, "units whose own parameters can be scaled")
        if any(used[id(weight)] > 1 for weight in place._parameters.values()):
            raise invalid_argument(
                "model", f"{type(place).__name__} whose weights are used elsewhere too", "weights of its own"
            )
