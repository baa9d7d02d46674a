"""Pruned networks against the dense ones, and the time it takes to prune, next to torch-pruning."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from neurogames.bridge.gates.gates import insert_gates
from neurogames.bridge.pruning.prune import prune
from tests.benchmarks.timing import medians


def perceptron():
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))


def convolutional():
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64 * 49, 128), nn.ReLU(), nn.Linear(128, 10)),
    )


CASES = {
    "784-512-256-10 to 26 + 13 units": (perceptron, (784,), (26, 13)),
    "CNN 32-64-128 to 8 + 16 + 32 units": (convolutional, (1, 28, 28), (8, 16, 32)),
}


def profile_of(model, kept):
    """Shares of 1 for the first units of each layer, 0 for the others."""
    sizes = insert_gates(copy.deepcopy(model)).sizes
    return np.concatenate([np.arange(size) < number for size, number in zip(sizes, kept, strict=True)]).astype(float)


@pytest.mark.benchmark
@pytest.mark.parametrize("batch", [1, 128])
@pytest.mark.parametrize("case", CASES)
def test_pruned_network_is_faster(case, batch):
    torch.set_num_threads(1)
    make, shape, kept = CASES[case]
    torch.manual_seed(0)
    model = make().eval()
    result = prune(model, profile_of(model, kept), torch.randn(1, *shape))
    x = torch.randn(batch, *shape)
    print(f"\n{case}, batch {batch}: parameters {result.parameters}, multiply-adds a sample {result.multiply_adds}")
    with torch.no_grad():
        medians({"dense": lambda: model(x), "pruned": lambda: result.model(x)}, repeats=30 if batch > 1 else 200)
    assert result.difference < 1e-5


@pytest.mark.benchmark
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", CASES)
def test_time_to_prune(case):
    torch_pruning = pytest.importorskip("torch_pruning")
    torch.set_num_threads(1)
    make, shape, kept = CASES[case]
    torch.manual_seed(0)
    model = make().eval()
    profile, x = profile_of(model, kept), torch.randn(2, *shape)
    hidden = [module for module in model if isinstance(module, (nn.Linear, nn.Conv2d))][:-1]

    def peer():
        twin = copy.deepcopy(model)
        layers = [module for module in twin if isinstance(module, (nn.Linear, nn.Conv2d))][:-1]
        graph = torch_pruning.DependencyGraph().build_dependency(twin, example_inputs=x)
        for layer, number in zip(layers, kept, strict=True):
            conv = isinstance(layer, nn.Conv2d)
            act = torch_pruning.prune_conv_out_channels if conv else torch_pruning.prune_linear_out_channels
            graph.get_pruning_group(layer, act, idxs=list(range(number, len(layer.weight)))).prune()
        return twin

    print(f"\n{case}: to prune, one thread")
    medians({"prune, with its certificate": lambda: prune(model, profile, x), "torch-pruning": peer}, repeats=5)
    mine = prune(model, profile, x).model
    assert [len(layer.weight) for layer in mine if hasattr(layer, "weight")] == [
        len(layer.weight) for layer in peer() if hasattr(layer, "weight")
    ]
    assert len(hidden) == len(kept)
