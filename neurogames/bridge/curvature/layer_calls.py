"""Recorded calls of a layer, and how they come together to its arrays.

A pass is a list of calls that one backward pass went through. Calls for the same rows are places of these rows; calls
for different rows, and passes, are more rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from neurogames.bridge.curvature.layer_arrays import layer_inputs, layer_outputs


class Call(NamedTuple):
    """One call of a layer, and what came back to its output.

    Attributes:
        inputs: what the layer was called with; None where nobody wants arrays.
        version: of the inputs, which changes when they are overwritten.
        own_rows: rows of the layer's inputs.
        rows: rows of the model's inputs.
        places: at how many places the weights were used.
        gradient: at the output; None where nobody wants arrays.
    """

    inputs: Tensor | None
    version: int
    own_rows: int
    rows: int
    places: int
    gradient: Tensor | None = None


def of_passes(name: str, layer: Any, passes: list[list[Call]]) -> tuple[Tensor, Tensor, int]:
    """Arrays of all passes and the number of rows of the model; where the layer sees others, each place is a row."""
    parts = [_together(name, layer, calls) for calls in passes]
    inputs, gradients, rows = parts[0] if len(parts) == 1 else _joined(parts)
    if rows != len(inputs):
        inputs, gradients = (part.flatten(0, 1).unsqueeze(1) for part in (inputs, gradients))
    return inputs, gradients, rows


def _together(name: str, layer: Any, calls: list[Call]) -> tuple[Tensor, Tensor, int]:
    """Inputs and output gradients of the calls of one backward pass, and the number of rows of the model."""
    dtype, parts = layer.weight.dtype, []
    for call in calls:
        inputs: Any = call.inputs
        gradient: Any = call.gradient
        if inputs._version != call.version:
            raise RuntimeError(f"inputs of layer {name!r} were overwritten between the backward pass and the step")
        parts.append((layer_inputs(layer, inputs.to(dtype)), layer_outputs(layer, gradient.to(dtype))))
    if len(parts) == 1:
        return (*parts[0], rows_of(calls))
    if _have_same_rows(calls):
        inputs, gradients = (torch.cat(each, dim=1) for each in zip(*parts, strict=True))
        return inputs, gradients, rows_of(calls)
    return _joined([(*part, rows_of([call])) for part, call in zip(parts, calls, strict=True)])


def _have_same_rows(calls: list[Call]) -> bool:
    """Whether calls of one backward pass may be places of the same rows."""
    return len({(call.own_rows, call.rows) for call in calls}) == 1


def rows_of(calls: list[Call]) -> int:
    """Rows of the model in one backward pass."""
    return calls[0].rows if _have_same_rows(calls) else sum(call.rows for call in calls)


def _joined(parts: list[tuple[Tensor, Tensor, int]]) -> tuple[Tensor, Tensor, int]:
    """Arrays of different rows behind each other; where the numbers of places differ, each place is a row."""
    if len({part[0].shape[1] for part in parts}) > 1:
        parts = [(a.flatten(0, 1).unsqueeze(1), g.flatten(0, 1).unsqueeze(1), rows) for a, g, rows in parts]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts]), sum(p[2] for p in parts)
