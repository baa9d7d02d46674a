"""Worths, values and scores of units as Captum has them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from neurogames.bridge.coalitions.coalition_values import coalition_game
from neurogames.bridge.coalitions.unit_scores import gradient_activation
from neurogames.engine.coalitions.values import shapley

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning")


def network(hidden=5):
    torch.manual_seed(hidden)
    model = nn.Sequential(nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, 6), nn.Tanh(), nn.Linear(6, 3)).eval()
    return model, torch.randn(25, 4), torch.randint(3, (25,))


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_exact_shapley_values_agree_with_those_over_all_orders(metric):
    model, inputs, labels = network()
    with torch.no_grad():
        hidden = model[:2](inputs)

    def worths(masks):
        outputs = model[2:]((hidden * masks[:, None]).flatten(0, 1)).unflatten(0, (len(masks), -1))
        if metric == "accuracy":
            return (outputs.argmax(dim=2) == labels).float().mean(dim=1)
        return outputs.log_softmax(dim=2)[:, torch.arange(25), labels].mean(dim=1)

    with torch.no_grad():
        theirs = captum.ShapleyValues(worths).attribute(torch.ones(1, 5), perturbations_per_eval=8)[0].numpy()
    ours = shapley(coalition_game(model, "1", (inputs, labels), metric=metric)).values
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_worth_of_all_but_one_unit_agrees_with_layer_ablation():
    model, inputs, labels = network(8)
    game = coalition_game(model, "1", (inputs, labels), metric="logit")
    ablation = captum.LayerFeatureAblation(model, model[1])
    with torch.no_grad():
        theirs = ablation.attribute(inputs, target=labels).mean(dim=0).numpy()
    ours = game.value([True] * 8) - game.value(~np.eye(8, dtype=bool))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_gradient_times_activation_agrees_with_captums():
    model, inputs, labels = network(8)
    theirs = captum.LayerGradientXActivation(model, model[1]).attribute(inputs, target=labels)
    np.testing.assert_allclose(
        gradient_activation(model, "1", (inputs, labels)), theirs.detach().abs().mean(dim=0).numpy(), rtol=1e-5
    )
    torch.manual_seed(0)
    maps = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(12, 3)).eval()
    images = torch.randn(25, 1, 3, 3)
    theirs = captum.LayerGradientXActivation(maps, maps[0]).attribute(images, target=labels).detach()
    np.testing.assert_allclose(
        gradient_activation(maps, "0", (images, labels)), theirs.sum(dim=(2, 3)).abs().mean(dim=0).numpy(), rtol=1e-5
    )
