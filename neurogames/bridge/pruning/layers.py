"""Linear layers and convolutions in one form, and what is left of them without some rows and columns.

The weight of every kind is read as (groups, outputs of a group, inputs of a group, *kernel); a Linear is one group
without kernel. In the weight of a transposed convolution inputs lead.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from neurogames.bridge.modules.graph import layer_types, turned_linear

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def is_layer(module: Any) -> bool:
    """Whether a module is a Linear or convolution, or of a class made from one."""
    return isinstance(module, layer_types())


def group_count(layer: Any) -> int:
    """Number of groups in which a convolution mixes channels; 1 for a Linear."""
    return int(getattr(layer, "groups", 1))


def is_depthwise(layer: Any) -> bool:
    """Whether every output channel of a convolution reads the input channel of its own number, and no other."""
    return group_count(layer) > 1 and layer.groups == layer.in_channels == layer.out_channels


def channel_axis(layer: Any) -> int:
    """Axis of channels in what a layer reads and gives, from the end."""
    return 1 - layer.weight.ndim if isinstance(layer, nn.modules.conv._ConvNd) else -1


def by_groups(layer: Any) -> Tensor:
    """View of a layer's weight as (groups, outputs of a group, inputs of a group, *kernel).

    >>> by_groups(nn.Conv2d(4, 6, 3, groups=2)).shape, by_groups(nn.ConvTranspose1d(4, 6, 3, groups=2)).shape
    (torch.Size([2, 3, 2, 3, 3]), torch.Size([2, 3, 2, 3]))
    """
    weight: Tensor = layer.weight.unflatten(0, (group_count(layer), -1))
    return weight.transpose(1, 2) if _inputs_lead(layer) else weight


def shrink_layer(layer: Any, rows: Tensor, columns: Tensor, constants: Tensor) -> None:
    """Keep some rows and columns of a layer, in place; what the other columns held goes into the bias.

    Args:
        layer: a Linear or convolution.
        rows: (outputs,) whether each stays.
        columns: (inputs,) whether each stays; groups that are neither read nor feed anything leave, and all others
            keep as many inputs and as many outputs.
        constants: (inputs,) values of the columns that leave.

    >>> layer = nn.Linear(2, 1)
    >>> was = layer.weight[0, 1] * 3 + layer.bias[0]
    >>> shrink_layer(layer, torch.tensor([True]), torch.tensor([True, False]), torch.tensor([0.0, 3.0]))
    >>> layer, torch.allclose(layer.bias[0], was)
    (Linear(in_features=1, out_features=1, bias=True), True)
    """
    if rows.all() and columns.all():
        return
    groups = group_count(layer)
    weight = by_groups(layer)
    of_rows, of_columns = rows.view(groups, -1), columns.view(groups, -1)
    if not columns.all():
        held = constants.masked_fill(columns, 0.0).double().to(weight.device).view(groups, -1, 1)
        total = weight.double().flatten(3).sum(3) if weight.ndim > 3 else weight.double()
        _add_to_bias(layer, (total @ held).flatten())
    parts = [
        weight[k][of_rows[k]][:, of_columns[k]]
        for k in range(groups)
        if bool(of_rows[k].any()) or bool(of_columns[k].any())
    ]
    kept = torch.stack(parts)
    exchange(layer, "weight", (kept.transpose(1, 2) if _inputs_lead(layer) else kept).flatten(0, 1))
    if layer.bias is not None:
        exchange(layer, "bias", layer.bias[rows])
    stay = dict.fromkeys(("in_features", "in_channels", "nx"), columns)
    stay |= dict.fromkeys(("out_features", "out_channels", "nf"), rows)
    sizes = {key: int(of_key.sum()) for key, of_key in stay.items()} | {"groups": len(parts)}
    for key in sizes.keys() & vars(layer).keys():
        setattr(layer, key, sizes[key])


def exchange(module: Any, key: str, values: Tensor) -> None:
    """Put other values into a parameter or buffer."""
    old = getattr(module, key)
    new = values.detach().clone()
    setattr(module, key, nn.Parameter(new, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else new)


def _inputs_lead(layer: Any) -> bool:
    """Whether the first axis of the weight is that of the inputs."""
    return isinstance(layer, (*TRANSPOSED, *turned_linear()))


def _add_to_bias(layer: Any, values: Tensor) -> None:
    """Add to the bias of a layer, which may have none yet."""
    if layer.bias is not None:
        layer.bias.data.copy_(layer.bias.double() + values)
    elif values.any():
        layer.bias = nn.Parameter(values.to(layer.weight.dtype), requires_grad=layer.weight.requires_grad)
