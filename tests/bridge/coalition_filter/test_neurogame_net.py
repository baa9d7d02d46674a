"""The NEUROGAME network and its controls: shapes, equal starts, equal densities, refusals."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from neurogames.bridge.coalition_filter.coalition_layers import CoalitionFilter, set_progress
from neurogames.bridge.coalition_filter.neurogame_net import (
    MagnitudeMask,
    NeuroGameNet,
    RandomMask,
    matched_mlp,
    parameter_count,
)
from neurogames.engine.schedules import linear

GATES = ("coalition", "none", "random", "magnitude")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


@pytest.mark.parametrize("shape", [(28, 28), (1, 8, 8), (3, 17, 12)])
@pytest.mark.parametrize("gate", GATES)
def test_every_gate_takes_images_of_any_size(shape, gate):
    coalitions = CoalitionFilter(3, 0.8, threshold=linear(0.0, 1.0))
    net = NeuroGameNet(shape, 7, rng=generator(), coalitions=coalitions, gate=gate, hidden=5)
    channels, height, width = (1, *shape)[-3:]
    scores = net(draws(4, channels, height, width))
    assert scores.shape == (4, 7)
    scores.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())
    set_progress(net, 0.5)
    assert coalitions.level == (0.0 if gate == "none" else 0.5)


def test_all_gates_start_from_the_same_trunk():
    nets = [NeuroGameNet((8, 8), 10, rng=generator(3), gate=gate) for gate in GATES]
    for net in nets[1:]:
        for a, b in zip(nets[0].parameters(), net.parameters(), strict=True):
            assert torch.equal(a, b)
    other = NeuroGameNet((8, 8), 10, rng=generator(4))
    assert not torch.equal(next(other.parameters()), next(nets[0].parameters()))


def test_initial_weights_follow_the_law_of_torch_and_leave_the_global_generator_alone():
    state = torch.get_rng_state()
    net = NeuroGameNet((28, 28), 10, rng=generator())
    assert torch.equal(torch.get_rng_state(), state)
    weights = net.classifier[1].weight.detach().flatten().numpy()
    assert stats.kstest(weights * 2352**0.5, stats.uniform(-1, 2).cdf).pvalue > 1e-4
    assert net.convolution.weight.abs().max() <= 1 / 3


def test_the_network_without_gate_is_the_plain_trunk():
    net = NeuroGameNet((8, 8), 10, rng=generator(), gate="none")
    images = draws(2, 1, 8, 8)
    expected = net.classifier(net.convolution(images).relu())
    assert torch.equal(net(images), expected)


@pytest.mark.parametrize("shape", [(5, 3, 9, 8), (5, 40)])
def test_controls_keep_as_many_units_of_each_map(shape):
    coalitions = CoalitionFilter(2, 0.5)
    values = draws(*shape).abs() + 0.1
    maps = values.flatten(2) if len(shape) == 4 else values
    expected = coalitions.mask(values).view(maps.shape).sum(-1)
    before = values.clone()
    for gate in (MagnitudeMask(coalitions), RandomMask(coalitions, rng=generator())):
        kept = gate(values)
        assert torch.equal(kept.view(maps.shape).count_nonzero(-1), expected)
        assert torch.equal(kept[kept != 0], values[kept != 0])
    assert torch.equal(values, before)


def test_the_magnitude_mask_keeps_the_largest_and_teaches_no_other():
    gate = MagnitudeMask(CoalitionFilter(2, 0.3))
    values = draws(4, 2, 6, 6).requires_grad_()
    kept = gate(values)
    mask = kept != 0
    for one, magnitude in zip(mask.flatten(0, 1), values.detach().abs().flatten(0, 1), strict=True):
        assert magnitude[one].min() > magnitude[~one].max()
    kept.sum().backward()
    assert torch.equal(values.grad, mask.float())


def test_the_random_mask_is_uniform_and_drawn_anew():
    coalitions = CoalitionFilter(2, 0.5)
    gate = RandomMask(coalitions, rng=generator())
    values = draws(1, 1, 4, 4).abs().repeat(2000, 1, 1, 1) + 0.1
    kept = gate(values).count_nonzero(0).flatten().numpy()
    density = coalitions.mask(values[:1]).float().mean().item()
    assert 0 < density < 1
    # the counts of one map add up, so that the chi-square of 16 places has 15 degrees of freedom
    expected = 2000 * density
    chi = ((kept - expected) ** 2 / (expected * (1 - density))).sum() * 15 / 16
    assert stats.chi2(15).sf(chi) > 1e-4
    assert not torch.equal(gate(values), gate(values))
    gate.eval()
    assert not torch.equal(gate(values), gate(values))


def test_the_random_mask_repeats_with_its_generator_and_can_be_copied():
    values = draws(3, 2, 6, 6)
    first, second = (RandomMask(CoalitionFilter(), rng=generator(5)) for _ in range(2))
    assert torch.equal(first(values), second(values))
    twin = copy.deepcopy(first)
    assert torch.equal(first(values), twin(values))


@pytest.mark.parametrize(("shape", "classes"), [((28, 28), 10), ((3, 8, 8), 2)])
@pytest.mark.parametrize("parameters", [500, 12_345, 151_272])
def test_a_matched_mlp_has_nearly_as_many_parameters(shape, classes, parameters):
    net = matched_mlp(shape, classes, parameters, rng=generator())
    unit = np.prod(shape) + 1 + classes
    assert abs(parameter_count(net) - parameters) <= max(unit / 2, abs(unit + classes - parameters))
    channels, height, width = (1, *shape)[-3:]
    assert net(draws(2, channels, height, width)).shape == (2, classes)


def test_a_coalition_net_learns_a_simple_task():
    images = draws(256, 1, 8, 8, seed=1)
    labels = (images[:, 0, :4].mean((-2, -1)) > images[:, 0, 4:].mean((-2, -1))).long()
    coalitions = CoalitionFilter(2, 0.8, threshold=linear(0.0, 1.0))
    net = NeuroGameNet((8, 8), 2, rng=generator(), coalitions=coalitions)
    descent = torch.optim.Adam(net.parameters(), lr=0.01)
    for step in range(60):
        set_progress(net, step / 60)
        descent.zero_grad()
        nn.functional.cross_entropy(net(images), labels).backward()
        descent.step()
    assert (net.eval()(images).argmax(1) == labels).float().mean() > 0.9


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="images of at least 3 x 3"):
        NeuroGameNet((2, 8), 10, rng=generator(), coalitions=CoalitionFilter(3))
    with pytest.raises(ValueError, match="image_shape: got"):
        NeuroGameNet((8,), 10, rng=generator())
    with pytest.raises(ValueError, match="gate: got 'dropout'"):
        NeuroGameNet((8, 8), 10, rng=generator(), gate="dropout")
    with pytest.raises(ValueError, match="n_classes: got 1"):
        NeuroGameNet((8, 8), 1, rng=generator())
    with pytest.raises(ValueError, match=r"rng: got 3, expected a torch\.Generator"):
        NeuroGameNet((8, 8), 2, rng=3)
    with pytest.raises(ValueError, match="coalitions: got 2"):
        MagnitudeMask(2)
    with pytest.raises(ValueError, match="parameters: got 0"):
        matched_mlp((8, 8), 2, 0, rng=generator())
