"""Composition by worth: beside its definition, unit by unit, for ensembles and for any module."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.ensembles.networks import initial_ensemble
from neurogames.bridge.measures.shortcut import shortcut_composition

KINDS = {
    "numbers": (1, torch.randn(40, generator=torch.Generator().manual_seed(0))),
    "classes": (3, torch.randint(3, (40,), generator=torch.Generator().manual_seed(0))),
}


def loss_of(outputs, targets):
    if targets.is_floating_point():
        return functional.mse_loss(outputs[:, 0], targets)
    return functional.cross_entropy(outputs, targets)


def without(network, place, unit, inputs, baseline):
    """Outputs with one unit of a ReLU held at a constant, the plain way."""

    def hold(_module, _inputs, output):
        output = output.clone()
        output[:, unit] = output[:, unit].mean() if baseline == "mean" else 0.0
        return output

    handle = network[place].register_forward_hook(hold)
    outputs = network(inputs)
    handle.remove()
    return outputs


@pytest.mark.parametrize("baseline", ["mean", "zero"])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_score_is_the_rise_of_the_loss_without_the_unit(kind, baseline):
    outputs, targets = KINDS[kind]
    ensemble = initial_ensemble((5, 6, 4, outputs), seeds=[0, 1, 2])
    inputs = torch.randn(40, 5, generator=torch.Generator().manual_seed(1))
    found = shortcut_composition(ensemble, inputs, targets, baseline=baseline)
    assert found.layers.tolist() == [0] * 6 + [1] * 4
    for network in range(3):
        model = ensemble.network(network)
        whole = loss_of(model(inputs), targets)
        expected = [
            loss_of(without(model, 2 * layer + 1, unit, inputs, baseline), targets) - whole
            for layer, units in enumerate((6, 4))
            for unit in range(units)
        ]
        np.testing.assert_allclose(found.scores[network].numpy(), expected, atol=2e-6)
        for layer, part in enumerate((slice(0, 6), slice(6, 10))):
            single = shortcut_composition(model, inputs, targets, layer=str(2 * layer + 1), baseline=baseline)
            np.testing.assert_allclose(single.scores[0], found.scores[network, part], atol=2e-6)
    assert torch.equal(found.composing, found.scores > 0)


def test_bad_input_is_refused():
    ensemble, inputs, targets = initial_ensemble((2, 3, 1), seeds=[0]), torch.zeros(4, 2), torch.zeros(4)
    with pytest.raises(ValueError, match="^baseline: got 'none'"):
        shortcut_composition(ensemble, inputs, targets, baseline="none")
    with pytest.raises(ValueError, match="^layer: got '1'"):
        shortcut_composition(ensemble, inputs, targets, layer="1")
    with pytest.raises(ValueError, match="^layer: got None"):
        shortcut_composition(nn.Linear(2, 1), inputs, targets)
    with pytest.raises(ValueError, match="^targets: got"):
        shortcut_composition(ensemble, inputs, torch.zeros(3))
    with pytest.raises(ValueError, match="^targets: got"):
        shortcut_composition(ensemble, inputs, torch.full((4,), 2))
