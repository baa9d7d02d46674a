"""The coalition filter beside the convolution before it, and its compiled mask beside the definition in torch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neurogames.bridge.coalition_filter.coalition_layers import CoalitionFilter
from neurogames.bridge.coalition_filter.coalition_operators import strong_units
from neurogames.bridge.coalition_filter.strong_coalitions import Rule, decide
from tests.benchmarks.timing import medians


def draws(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.benchmark
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rectified", [False, True], ids=["plain maps", "behind a ReLU"])
def test_forward_and_backward_beside_the_convolution(threads, rectified):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    images, upper = draws(128, 1, 28, 28), draws(128, 3, 28, 28)
    convolution = nn.Conv2d(1, 3, 3, padding=1)
    maps = convolution(images).detach()
    maps = (maps.relu() if rectified else maps).requires_grad_()

    def backward(module, inputs):
        module(inputs).backward(upper)

    alternatives = {
        "Conv2d(1, 3, 3)": lambda: backward(convolution, images),
        "x 1.0": lambda: backward(nn.Identity(), maps * 1.0),
    }
    layers = {
        f"CoalitionFilter({window}, energy={energy!r})": CoalitionFilter(window, energy=energy)
        for energy in ("ising", "gaussian")
        for window in (2, 3)
    }
    layers["CoalitionFilter(2, learnable=True)"] = CoalitionFilter(2, learnable=True)
    layers["CoalitionFilter(2, payoff='log_gibbs')"] = CoalitionFilter(2, payoff="log_gibbs")
    for name, layer in layers.items():
        alternatives[name] = lambda layer=layer: backward(layer, maps)
    print(f"\nforward and backward, 128 x 3 maps of 28 x 28, {threads} thread(s)")
    medians(alternatives, repeats=40)
    torch.set_num_threads(before)
    assert all(torch.equal(layer(maps) != 0, layer.mask(maps) & (maps != 0)) for layer in layers.values())


@pytest.mark.benchmark
def test_compiled_mask_beside_the_definition():
    torch.set_num_threads(1)
    maps = draws(384, 784)
    alternatives = {"torch's median alone": lambda: maps.median(-1)}
    for energy in ("ising", "gaussian"):
        rule = Rule(2, 0.5, energy, 1.0, 1.0)
        assert torch.equal(strong_units(maps, (28, 28), rule, 1.0).bool(), decide(maps, (28, 28), rule, 1.0).mask)
        alternatives[f"compiled, {energy}"] = lambda rule=rule: strong_units(maps, (28, 28), rule, 1.0)
        alternatives[f"definition, {energy}"] = lambda rule=rule: decide(maps, (28, 28), rule, 1.0)
    print("\nmask of 384 maps of 28 x 28, one thread")
    medians(alternatives, repeats=20)
