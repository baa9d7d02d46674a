from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from scipy import stats
from torch import nn

from neurogames.bridge.ensembles.networks import Ensemble, initial_ensemble


@pytest.fixture
def ensemble() -> Ensemble:
    return initial_ensemble((3, 6, 5, 2), seeds=[4, 5, 6])


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(7, 3, generator=torch.Generator().manual_seed(0))


def test_an_ensemble_computes_what_its_networks_compute_one_by_one(ensemble, inputs):
    expected = torch.stack([ensemble.network(k)(inputs) for k in range(3)])
    torch.testing.assert_close(ensemble(inputs), expected.detach())
    own = inputs + torch.arange(3.0)[:, None, None]
    expected = torch.stack([ensemble.network(k)(own[k]) for k in range(3)])
    torch.testing.assert_close(ensemble(own), expected.detach())


def test_activations_are_those_of_the_plain_models(ensemble, inputs):
    hidden = ensemble.activations(inputs)
    assert [tuple(a.shape) for a in hidden] == [(3, 7, 6), (3, 7, 5)]
    for k in range(3):
        model = ensemble.network(k)
        torch.testing.assert_close(hidden[0][k], model[:2](inputs).detach())
        torch.testing.assert_close(hidden[1][k], model[:4](inputs).detach())


@pytest.mark.parametrize("layer", [0, 1])
def test_forward_from_a_hidden_layer_completes_the_forward_pass(ensemble, inputs, layer):
    hidden = ensemble.activations(inputs)[layer]
    torch.testing.assert_close(ensemble.forward_from(layer, hidden), ensemble(inputs))
    silenced = hidden.clone()
    silenced[:, :, 0] = 0
    continued = nn.Sequential(*list(ensemble.network(1))[2 * layer + 2 :])
    torch.testing.assert_close(ensemble.forward_from(layer, silenced)[1], continued(silenced[1]).detach())


def test_stack_and_network_undo_each_other(ensemble):
    again = Ensemble.stack([ensemble.network(k) for k in range(3)])
    for before, after in zip(ensemble.weights + ensemble.biases, again.weights + again.biases, strict=True):
        assert torch.equal(before, after)


def test_network_and_copy_share_no_memory_with_the_ensemble(ensemble):
    before = ensemble.weights[0].clone()
    with torch.no_grad():
        ensemble.network(0)[0].weight.fill_(9.0)
        ensemble.copy().weights[0].fill_(9.0)
    assert torch.equal(ensemble.weights[0], before)


@pytest.mark.parametrize(
    ("index", "expected"), [([2, 0], [2, 0]), (slice(1, None), [1, 2]), (torch.tensor([True, False, True]), [0, 2])]
)
def test_select_takes_the_networks_in_the_order_asked_for(ensemble, inputs, index, expected):
    part = ensemble.select(index)
    assert len(part) == len(expected)
    torch.testing.assert_close(part(inputs), ensemble(inputs)[expected])


def test_an_ensemble_knows_its_size_and_is_frozen(ensemble):
    assert len(ensemble) == 3
    assert ensemble.widths == (3, 6, 5, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        ensemble.weights = ()


def test_a_linear_model_is_an_ensemble_without_hidden_layers(inputs):
    linear = initial_ensemble((3, 2), seeds=[0])
    assert linear.activations(inputs) == []
    torch.testing.assert_close(linear(inputs)[0], inputs @ linear.weights[0][0] + 0.01)
    with pytest.raises(ValueError, match="layer: got 0"):
        linear.forward_from(0, inputs[None])


def test_initial_weights_are_xavier_uniform_and_biases_a_hundredth():
    ensemble = initial_ensemble((8, 24, 1), seeds=range(200))
    for weight, fans in zip(ensemble.weights, (8 + 24, 24 + 1), strict=True):
        bound = math.sqrt(6 / fans)
        law = stats.uniform(-bound, 2 * bound)
        assert stats.kstest(weight.flatten().numpy(), law.cdf).pvalue > 1e-3
    assert all((bias == 0.01).all() for bias in ensemble.biases)


def test_an_initial_network_depends_on_its_own_seed_only():
    many, one = initial_ensemble((3, 4, 1), seeds=[7, 8, 9]), initial_ensemble((3, 4, 1), seeds=[8])
    assert torch.equal(many.weights[0][1], one.weights[0][0])
    assert not torch.equal(many.weights[0][0], many.weights[0][1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e, x: e(x[:, :2]), r"inputs: got 'shape \(7, 2\)', expected shape \(rows, 3\)"),
        (lambda e, x: e(x.expand(2, 7, 3)), r"inputs: got 'shape \(2, 7, 3\)'"),
        (lambda e, x: e.forward_from(2, x), r"layer: got 2, expected an integer in \[0, 1\]"),
        (lambda e, _x: e.network(3), "k: got 3"),
        (lambda e, _x: Ensemble(e.weights, e.biases[:2]), "weights, biases"),
        (lambda e, _x: Ensemble(e.weights[::-1], e.biases), "layer 0"),
        (lambda _e, _x: Ensemble.stack([]), "models: got 'none'"),
        (lambda _e, _x: Ensemble.stack([nn.Sequential(nn.Linear(2, 1), nn.Tanh(), nn.Linear(1, 1))]), "models"),
        (lambda e, _x: Ensemble.stack([e.network(0), initial_ensemble((3, 1), seeds=[0]).network(0)]), "2 different"),
        (lambda _e, _x: initial_ensemble((3,), seeds=[0]), "widths"),
        (lambda _e, _x: initial_ensemble((3, 0, 1), seeds=[0]), "widths: got 0"),
        (lambda _e, _x: initial_ensemble((3, 1), seeds=[]), "seeds: got 'none'"),
        (lambda _e, _x: initial_ensemble((3, 1), seeds=[0.5]), "seeds: got 0.5"),
        (lambda _e, _x: initial_ensemble((3, 1), seeds=torch.tensor([[1]])), r"seeds: got \[1\]"),
        (lambda _e, _x: initial_ensemble((3, 1), seeds=[0], dtype=torch.float16), "dtype: got torch.float16"),
        (lambda e, x: e(x.double()), "inputs: got 'torch.float64 on cpu', expected torch.float32 on cpu"),
    ],
)
def test_wrong_input_is_refused_with_what_came_and_what_was_expected(ensemble, inputs, call, message):
    with pytest.raises(ValueError, match=message):
        call(ensemble, inputs)
