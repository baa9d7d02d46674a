"""Which gradients are the sums over the recorded rows, and whether all are finite: asked of the device only once."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from neurogames.bridge.curvature.layer_recorder import LayerArrays

_ALIKE = 1e-3  # how far a gradient may be from the sum over rows, relative to it, to be taken for it

Layers = Mapping[str, tuple[nn.Module, nn.Parameter, nn.Parameter | None]]


def sums_over_rows(
    layers: Layers, slopes: Mapping[nn.Parameter, Tensor], arrays: Mapping[str, LayerArrays]
) -> set[str] | None:
    """Layers whose gradient is G = sum_rs g a', by its product with one vector.

    A gradient that was clipped is none, nor is one with other parts, such as those of a second use of the weights.

    Args:
        layers: module, weight and bias by name.
        slopes: gradients of all parameters.
        arrays: of the layers among them that were recorded.

    Returns:
        Names of layers; None where a gradient or an array is not finite.
    """
    norms, rest = [], dict(slopes)
    for name, (inputs, gradients, _) in arrays.items():
        _, weight, bias = layers[name]
        vector = torch.arange(inputs.shape[2], dtype=weight.dtype, device=weight.device).square_().cos_()
        matrix = rest.pop(weight).flatten(1)
        product = matrix @ vector[: matrix.shape[1]]
        if bias is not None:
            product.add_(rest.pop(bias) * vector[-1])
        summed = gradients.flatten(0, 1).T @ (inputs.flatten(0, 1) @ vector)
        norms += [torch.linalg.vector_norm(product), torch.linalg.vector_norm(product - summed)]
    norms += torch._foreach_norm(list(rest.values())) if rest else []
    found = torch.stack(norms).tolist() if norms else []
    if not all(map(math.isfinite, found)):
        return None
    return {name for name, size, error in zip(arrays, found[::2], found[1::2], strict=False) if error <= _ALIKE * size}
