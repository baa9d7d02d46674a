"""Layers without some rows and columns, against the whole layer on inputs that hold constants there."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from neurogames.bridge.pruning.layers import (
    by_groups,
    channel_axis,
    exchange,
    group_count,
    is_depthwise,
    is_layer,
    shrink_layer,
)

# layer, spatial size of its inputs, what stays of its inputs, of its outputs, and of its groups
CASES = {
    "linear": (lambda **given: nn.Linear(4, 3, **given), 0, [0, 2], [1, 2], 1),
    "convolution": (lambda **given: nn.Conv2d(4, 3, (3, 2), **given), 5, [0, 2], [1, 2], 1),
    "strided, dilated": (lambda **given: nn.Conv1d(4, 3, 2, stride=2, dilation=2, **given), 7, [3], [0], 1),
    "groups": (lambda **given: nn.Conv1d(6, 4, 2, groups=2, **given), 5, [0, 2, 3, 5], [1, 2], 2),
    "a whole group": (lambda **given: nn.Conv1d(6, 4, 2, groups=2, **given), 5, [3, 4, 5], [2, 3], 1),
    "one filter each": (lambda **given: nn.Conv3d(3, 3, 2, groups=3, **given), 3, [0, 2], [0, 2], 2),
    "transposed": (lambda **given: nn.ConvTranspose2d(4, 3, 2, **given), 4, [0, 2], [1, 2], 1),
    "transposed groups": (lambda **given: nn.ConvTranspose1d(4, 6, 3, groups=2, **given), 4, [1, 2], [0, 1, 4, 5], 2),
}


def case(name, bias):
    """The layer, inputs that hold constants where columns leave, and masks of what stays."""
    torch.manual_seed(0)
    make, size, columns, rows, groups = CASES[name]
    layer = make(bias=bias).double()
    kept = [torch.zeros(count, dtype=torch.bool) for count in sizes(layer)]
    kept[0][columns], kept[1][rows] = True, True
    space = layer.weight.ndim - 2
    constants = torch.randn(len(kept[0]), dtype=torch.float64)
    if name.startswith("transposed"):  # a constant is spread unevenly there, and only 0 leaves
        constants.zero_()
    inputs = torch.randn(2, len(kept[0]), *[size] * space, dtype=torch.float64)
    inputs[:, ~kept[0]] = constants[~kept[0]].view(-1, *[1] * space)
    return layer, inputs, constants, *kept, groups


def sizes(layer):
    return (
        (layer.in_features, layer.out_features)
        if isinstance(layer, nn.Linear)
        else (layer.in_channels, layer.out_channels)
    )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_a_smaller_layer_gives_the_rows_that_stay_of_the_whole_one(name, bias):
    layer, inputs, constants, columns, rows, groups = case(name, bias)
    expected = layer(inputs)[:, rows]
    small = copy.deepcopy(layer)
    shrink_layer(small, rows, columns, constants)
    torch.testing.assert_close(small(inputs[:, columns]), expected, rtol=1e-12, atol=1e-12)
    assert sizes(small) == (int(columns.sum()), int(rows.sum()))
    assert group_count(small) == groups
    assert small.weight.requires_grad
    assert isinstance(small.weight, nn.Parameter)
    assert (small.bias is None) == (not bias and not constants.any())


def test_a_layer_that_stays_whole_is_the_same_object_inside():
    layer, _, constants, columns, rows, _ = case("linear", True)
    weight = layer.weight
    shrink_layer(layer, torch.ones_like(rows), torch.ones_like(columns), constants)
    assert layer.weight is weight


def test_rows_alone_or_columns_alone_may_leave():
    layer, inputs, constants, columns, rows, _ = case("linear", True)
    whole = layer(inputs)
    for staying in ((rows, torch.ones_like(columns)), (torch.ones_like(rows), columns)):
        small = copy.deepcopy(layer)
        shrink_layer(small, *staying, constants)
        torch.testing.assert_close(small(inputs[:, staying[1]]), whole[:, staying[0]], rtol=1e-12, atol=1e-12)


def test_parameters_that_are_frozen_stay_so_and_buffers_are_no_parameters():
    layer = nn.Linear(4, 3).requires_grad_(False)
    shrink_layer(layer, torch.tensor([True, False, True]), torch.ones(4, dtype=torch.bool), torch.zeros(4))
    assert not layer.weight.requires_grad
    norm, values = nn.BatchNorm1d(3), torch.ones(2)
    exchange(norm, "running_mean", values)
    assert not isinstance(norm.running_mean, nn.Parameter)
    norm.running_mean += 1
    assert values.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("layer", "groups", "depthwise", "axis"),
    [
        (nn.Linear(3, 3), 1, False, -1),
        (nn.Conv1d(1, 1, 2), 1, False, -2),
        (nn.Conv2d(2, 2, 2, groups=2), 2, True, -3),
        (nn.Conv2d(2, 4, 2, groups=2), 2, False, -3),
        (nn.ConvTranspose2d(4, 2, 2, groups=2), 2, False, -3),
        (nn.Conv3d(4, 4, 2, groups=2), 2, False, -4),
    ],
)
def test_what_kind_of_layer_it_is(layer, groups, depthwise, axis):
    assert is_layer(layer)
    assert (group_count(layer), is_depthwise(layer), channel_axis(layer)) == (groups, depthwise, axis)
    assert by_groups(layer).shape[:3] == (groups, sizes(layer)[1] // groups, sizes(layer)[0] // groups)
