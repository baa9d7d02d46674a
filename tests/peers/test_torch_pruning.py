"""Agreement with torch-pruning on the shapes and the function of networks that lose the same channels."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.pruning.prune import prune
from neurogames.bridge.pruning.work import count_parameters, multiply_adds

torch_pruning = pytest.importorskip("torch_pruning")


def plain():
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(32, 10), nn.ReLU(), nn.Linear(10, 3)),
    )


class Block(nn.Module):
    """Basic block of a residual network."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.short = nn.Sequential()
        if stride > 1:
            self.short = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        return functional.relu(self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x))))) + self.short(x))


class ResNet(nn.Module):
    """A small residual network: stem, two blocks, one of which narrows the image."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.one, self.two = Block(8, 8, 1), Block(8, 12, 2)
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        return self.head(functional.adaptive_avg_pool2d(self.two(self.one(self.stem(x))), 1).flatten(1))


CASES = {
    "plain": (plain, {"0": [0, 3], "4": [1, 2, 7], "8": [0, 9]}, [["0"], ["4"], ["8"]]),
    "resnet": (
        ResNet,
        {
            "stem.0": [0, 5],
            "one.conv1": [1, 2, 3],
            "one.conv2": [0, 5],
            "two.conv1": [4],
            "two.conv2": [3, 4, 11],
            "two.short.0": [3, 4, 11],
        },
        [["stem.0", "one.conv2"], ["one.conv1"], ["two.conv1"], ["two.conv2", "two.short.0"]],
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_same_channels_leave_the_same_network(case):
    make, gone, coupled = CASES[case]
    torch.manual_seed(0)
    model = make().eval()
    x = torch.randn(2, 1, 8, 8)
    shares = {
        name: np.where(np.isin(np.arange(len(model.get_submodule(name).weight)), list_), 0.0, 1.0)
        for name, list_ in gone.items()
    }
    mine = prune(model, shares, x)
    theirs = copy.deepcopy(model)
    for names in coupled:
        graph = torch_pruning.DependencyGraph().build_dependency(theirs, example_inputs=x)
        layer = theirs.get_submodule(names[0])
        act = (
            torch_pruning.prune_linear_out_channels
            if isinstance(layer, nn.Linear)
            else torch_pruning.prune_conv_out_channels
        )
        group = graph.get_pruning_group(layer, act, idxs=gone[names[0]])
        touched = {dep.target.module for dep, _ in group}
        assert {theirs.get_submodule(name) for name in names} <= touched
        group.prune()
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in mine.model.state_dict().items()} == shapes
    assert not mine.pinned
    # Fresh norms leave 0 where a channel is 0, so both have the function of the silenced network.
    torch.testing.assert_close(mine.model(x), theirs(x))
    _, parameters = torch_pruning.utils.count_ops_and_params(theirs, x)
    assert count_parameters(mine.model) == parameters
    assert multiply_adds(mine.model, x) == mine.multiply_adds[1] == multiply_adds(theirs, x)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_only_here_what_a_silent_unit_leaves_behind_is_kept():
    """The difference in purpose: torch-pruning loses what a channel holds (sigmoid(0) = 1/2), and cuts a LayerNorm."""
    torch.manual_seed(0)
    x = torch.randn(5, 4)
    model = nn.Sequential(nn.Linear(4, 6), nn.Sigmoid(), nn.Linear(6, 2))
    silenced = copy.deepcopy(model)
    with torch.no_grad():
        silenced[0].weight[:3] = 0.0
        silenced[0].bias[:3] = 0.0
    theirs = copy.deepcopy(silenced)
    graph = torch_pruning.DependencyGraph().build_dependency(theirs, example_inputs=x)
    graph.get_pruning_group(theirs[0], torch_pruning.prune_linear_out_channels, idxs=[0, 1, 2]).prune()
    mine = prune(model, {"0": [0, 0, 0, 1, 1, 1]}, x)
    torch.testing.assert_close(mine.model(x), silenced(x))
    assert not torch.allclose(theirs(x), silenced(x), atol=1e-2)
    normed = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 2))
    theirs = copy.deepcopy(normed)
    graph = torch_pruning.DependencyGraph().build_dependency(theirs, example_inputs=x)
    graph.get_pruning_group(theirs[0], torch_pruning.prune_linear_out_channels, idxs=[0, 1, 2]).prune()
    assert theirs[1].normalized_shape == (3,)
    assert prune(normed, {"0": [0, 0, 0, 1, 1, 1]}, x).pinned["0"][0] == "it feeds layer_norm of '1'"
