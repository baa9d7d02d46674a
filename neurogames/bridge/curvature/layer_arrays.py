"""The one form of a layer's inputs, outputs and weights, for Linear and convolutions alike.

    inputs   a  (rows, shared, d_in [+ 1])    1 at the end where the layer has a bias
    outputs  z  (rows, shared, d_out)         also gradients dL/dz at the outputs
    weights  W  (d_out, d_in [+ 1])           the bias as last column

so that z = a W' and dL/dW = sum over rows and shared of g a'. For a convolution, "shared" are the positions of the
kernel, in the order of the output, and d_in = channels * kernel, in the order of the weight.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurogames._arguments import invalid_argument
from neurogames.bridge.modules.units import UNIT_KINDS, layers_of, space_axes

_KINDS = UNIT_KINDS["neurons"] + UNIT_KINDS["filters"]


def layer_inputs(layer: nn.Module, inputs: Tensor) -> Tensor:
    """Inputs of a layer in the one form.

    Args:
        layer: a Linear, or a convolution without groups.
        inputs: (rows, ..., features), or (rows, channels, *space): what the layer is called with.

    Returns:
        (rows, shared, d_in), or (rows, shared, d_in + 1) with ones at the end where the layer has a bias.

    Raises:
        ValueError: the layer is of another kind, or the inputs are not a batch for it.

    >>> layer, x = nn.Conv2d(3, 5, 2, stride=2, padding=1), torch.randn(4, 3, 6, 6)
    >>> a = layer_inputs(layer, x)
    >>> a.shape
    torch.Size([4, 16, 13])
    >>> torch.allclose(a @ layer_weights(layer).T, layer_outputs(layer, layer(x)), atol=1e-5)
    True
    """
    _check(layer, inputs, "inputs", rows_first=True)
    own: Any = layer
    if space_axes(layer):
        return _patches(own, inputs).mT
    rows = inputs.reshape(len(inputs), -1, inputs.shape[-1])
    return rows if own.bias is None else torch.cat([rows, rows.new_ones(*rows.shape[:2], 1)], dim=2)


def layer_outputs(layer: nn.Module, outputs: Tensor) -> Tensor:
    """Outputs of a layer, or gradients at them, in the one form.

    Args:
        layer: a Linear, or a convolution without groups.
        outputs: (rows, ..., features), or (rows, channels, *space): what the layer returns.

    Returns:
        (rows, shared, d_out).

    Raises:
        ValueError: the layer is of another kind, or the outputs are not those of a batch.

    >>> layer_outputs(nn.Conv1d(3, 5, 2), torch.randn(4, 5, 7)).shape
    torch.Size([4, 7, 5])
    """
    _check(layer, outputs, "outputs", rows_first=True)
    moved = outputs.movedim(-1 - space_axes(layer), -1)
    return moved.reshape(len(moved), -1, moved.shape[-1])


def layer_weights(layer: nn.Module, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Weights and bias of a layer, or gradients of both, in the one form.

    Args:
        layer: a Linear, or a convolution without groups.
        weight: a tensor of the shape of its weight; that itself when left out.
        bias: the same for the bias.

    Returns:
        (d_out, d_in), or (d_out, d_in + 1) where the layer has a bias.

    Raises:
        ValueError: the layer is of another kind.

    >>> layer_weights(nn.Conv2d(3, 5, 2)).shape
    torch.Size([5, 13])
    """
    _check(layer)
    own: Any = layer
    rows = (own.weight if weight is None else weight).flatten(1)
    bias = own.bias if bias is None else bias
    return rows if bias is None else torch.cat([rows, bias.unsqueeze(1)], dim=1)


def recordable_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Layers whose arrays have the one form and can be recorded: Linear, and convolutions without groups.

    Left out are weights that are shared with another module, computed from others, frozen or of half precision, and
    what attention uses without calling it.

    >>> tied = nn.Linear(4, 4)
    >>> model = nn.Sequential(nn.Linear(4, 4), nn.Conv1d(4, 4, 1, groups=2), tied, nn.Sequential(nn.Linear(4, 2)))
    >>> list(recordable_layers(model))
    ['0', '2', '3.0']
    """
    owners: dict[nn.Parameter, int] = {}
    for module in model.modules():
        for parameter in module._parameters.values():
            if parameter is not None:
                owners[parameter] = owners.get(parameter, 0) + 1

    def recordable(layer: Any) -> bool:
        weight, bias = layer._parameters.get("weight"), layer._parameters.get("bias")
        return (
            getattr(layer, "groups", 1) == 1
            and weight is not None
            and weight.requires_grad
            and weight.dtype in (torch.float32, torch.float64)
            and owners[weight] == 1
            and (layer.bias is None or (bias is not None and bias.requires_grad and owners[bias] == 1))
        )

    return {name: layer for name, layer in layers_of(model, _KINDS).items() if recordable(layer)}


def _check(layer: nn.Module, values: Tensor | None = None, name: str = "", *, rows_first: bool = False) -> None:
    """Refuse layers of other kinds, and values that are no batch."""
    if not isinstance(layer, _KINDS) or getattr(layer, "groups", 1) > 1:
        groups = f" with {layer.groups} groups" if getattr(layer, "groups", 1) > 1 else ""
        raise invalid_argument("layer", f"{type(layer).__name__}{groups}", "a Linear, or a convolution without groups")
    axes = 2 + space_axes(layer)
    if rows_first and values is not None and (values.ndim < axes or (axes > 2 and values.ndim > axes)):
        raise invalid_argument(name, f"shape {tuple(values.shape)}", f"{axes} axes, rows first")


def _patches(layer: Any, inputs: Tensor) -> Tensor:
    """What a convolution multiplies its weights with, (rows, channels * kernel [+ 1], positions).

    Views of the windows are written once, beside the ones: half the time of ``unfold`` and a ``cat``.
    """
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    windows = functional.pad(inputs, layer._reversed_padding_repeated_twice, mode=mode)
    for axis, (size, stride, dilation) in enumerate(zip(layer.kernel_size, layer.stride, layer.dilation, strict=True)):
        windows = windows.unfold(2 + axis, (size - 1) * dilation + 1, stride)[..., ::dilation]
    # (rows, channels, *positions, *kernel): the channels with their kernel, then positions together.
    space = space_axes(layer)
    ordered = windows.movedim(tuple(range(2, 2 + space)), tuple(range(-space, 0)))
    width, places = math.prod(ordered.shape[1 : 2 + space]), math.prod(ordered.shape[2 + space :])
    columns = inputs.new_empty(len(inputs), width + (layer.bias is not None), places)
    columns[:, :width].view(ordered.shape).copy_(ordered)
    columns[:, width:] = 1
    return columns
