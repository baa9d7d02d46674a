"""What a step needs of the recorded layers, and no more: arrays that go into an average, or are the shortest way.

All that must be known before anything changes is asked of the device at once: whether gradients and arrays are finite,
and which gradients are just the sums over the recorded rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.curvature.layer_curvature import LayerCurvature, Memory, are_few
from neurogames.bridge.curvature.layer_recorder import LayerArrays, LayerRecorder

ALIKE = 1e-3  # how far a gradient may be from the sum over rows, relative to it, to be taken for it

Layers = Mapping[str, tuple[nn.Module, nn.Parameter, nn.Parameter | None]]


@dataclass(frozen=True, eq=False)
class LayerBatch:
    """A layer in one step.

    Attributes:
        rows: number of rows of the model.
        arrays: inputs and gradients; None where they are not needed.
        averaged: those that go into the averages: the same, or those of drawn labels; None in other steps.
        is_sum: whether the gradient is G = sum_rs g a' of the arrays, and these are less work than G. It is not so
            where it was clipped, or where the weights have a second use.
    """

    rows: int
    arrays: LayerArrays | None
    averaged: LayerArrays | None
    is_sum: bool = False


def layer_batches(
    recorder: LayerRecorder,
    curvature: LayerCurvature,
    layers: Layers,
    slopes: Mapping[nn.Parameter, Tensor],
    memories: Mapping[Tensor, Memory],
) -> dict[str, LayerBatch] | None:
    """The layers that have a gradient.

    Args:
        recorder: of the layers.
        curvature: what averages their arrays.
        layers: module, weight and bias by name.
        slopes: gradients of all parameters.
        memories: what is remembered of the layer of a weight.

    Returns:
        Layers by name; None where a gradient or an array is not finite.

    Raises:
        ValueError: a pass forward of a layer was not seen.
    """
    batches: dict[str, LayerBatch] = {}
    tests: dict[str, tuple[Tensor, Tensor]] = {}
    others: list[Tensor] = []
    rest = dict(slopes)
    for name, (_, weight, bias) in layers.items():
        if weight not in slopes:
            continue
        seen = recorder.seen(name)
        averages = curvature.averages_next(memories.get(weight, {}))
        few = seen is not None and are_few(seen.places, weight[0].numel() + (bias is not None), len(weight))
        arrays = recorder.arrays(name) if few or averages else None
        if seen is None or (averages and arrays is None):
            got = f"a gradient of layer {name!r} whose pass forward was not seen"
            raise invalid_argument("model", got, "calls of that layer before a step, or it left out of modules")
        drawn = recorder.fisher_arrays(name) if averages else None
        batches[name] = LayerBatch(seen.rows, arrays, (drawn or arrays) if averages else None)
        others += [each.gradients for each in (arrays, drawn) if each is not None]
        if few and arrays is not None:
            tests[name] = product_and_error(
                arrays.inputs, arrays.gradients, rest.pop(weight), None if bias is None else rest.pop(bias)
            )
    others += rest.values()
    if not others:
        return batches
    norms = torch.stack(torch._foreach_norm([*others, *(each for pair in tests.values() for each in pair)])).tolist()
    if not all(map(math.isfinite, norms)):
        return None
    for name, size, error in zip(tests, norms[len(others) :: 2], norms[len(others) + 1 :: 2], strict=True):
        batches[name] = replace(batches[name], is_sum=error <= ALIKE * size)
    return batches


def product_and_error(
    inputs: Tensor, gradients: Tensor, slope: Tensor, bias_slope: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The gradient times one vector, and by how much the sum over rows times that vector is off.

    Args:
        inputs: a (rows, shared, d_in).
        gradients: g (rows, shared, d_out).
        slope: gradient of the weight, which may be the sum over rows and places of g a'.
        bias_slope: that of the bias.
    """
    vector = torch.arange(inputs.shape[2], dtype=inputs.dtype, device=inputs.device).square_().cos_()
    matrix = slope.flatten(1)
    product = matrix @ vector[: matrix.shape[1]]
    if bias_slope is not None:
        product.add_(bias_slope * vector[-1])
    return product, product - gradients.flatten(0, 1).T @ (inputs.flatten(0, 1) @ vector)
