"""Updates of layers as a game in normal form, against losses measured one by one."""

from __future__ import annotations

import copy
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge import normal_form
from neurogames.engine import solve_nash
from tests.bridge.cases import mlp


@pytest.fixture
def case():
    torch.manual_seed(0)
    return mlp(nn.Tanh, 3, 4, 4, 2), (torch.randn(9, 3), torch.randn(9, 2))


def layers_of(model):
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]


def test_payoffs_are_the_losses_of_networks_that_are_changed_one_by_one(case):
    model, (rows, goals) = case
    rates = {"stay": 0.0, "step": 0.1, "long": 2.0}
    names = layers_of(model)
    shift = {"shift": {"bias": torch.ones(2)}}
    game = normal_form(model, {names[0]: rates, names[1]: rates, names[2]: rates | shift}, functional.mse_loss, case[1])
    functional.mse_loss(model(rows), goals).backward()
    for places in product(range(3), range(3), range(4)):
        changed = copy.deepcopy(model)
        with torch.no_grad():
            for name, place in zip(names, places, strict=True):
                own, origin = changed.get_submodule(name), model.get_submodule(name)
                if place == 3:
                    own.bias += 1.0
                else:
                    own.weight -= list(rates.values())[place] * origin.weight.grad
                    own.bias -= list(rates.values())[place] * origin.bias.grad
            loss = functional.mse_loss(changed(rows), goals)
        for payoffs in game.payoffs:
            assert payoffs[places] == pytest.approx(-loss.item(), rel=1e-5)
    assert game.labels.players == tuple(names)
    assert game.labels.actions[2] == ("stay", "step", "long", "shift")


def test_the_best_joint_update_is_an_equilibrium(case):
    model, data = case
    rates = {"stay": 0.0, "step": 0.3, "long": 3.0}
    game = normal_form(model, dict.fromkeys(layers_of(model)[:2], rates), functional.mse_loss, data)
    best = np.unravel_index(game.payoffs[0].argmax(), game.n_actions)
    assert any(tuple(int(mixed.argmax()) for mixed in profile) == best for profile in solve_nash(game, "pure"))


class Stubborn(nn.Module):
    """Calls what has no rule for a batch of networks."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x):
        y = self.layer(x)
        return y * (1.0 if self.layer.weight.detach().sum().item() > 0 else 2.0)


def test_a_model_that_cannot_be_batched_is_measured_one_by_one():
    torch.manual_seed(0)
    model, data = Stubborn(), (torch.randn(5, 2), torch.randn(5, 1))
    game = normal_form(model, {"layer": {"stay": 0.0, "step": 1.0}}, functional.mse_loss, data)
    assert game.payoffs[0][0] == pytest.approx(-functional.mse_loss(model(data[0]), data[1]).item(), rel=1e-6)


@pytest.mark.parametrize(
    ("updates", "words"),
    [
        ({"9": {"stay": 0.0}}, "layers with parameters"),
        ({"0": {"back": -1.0}}, "a learning rate"),
        ({"0": {"far": {"weight": torch.ones(1)}}}, r"a change of shape \(4, 3\)"),
        ({"0": {"far": {"gain": torch.ones(1)}}}, "parameters of '0': weight, bias"),
        ({"4": {"far": {"bias": torch.full((2,), torch.inf)}}}, "not finite at"),
        ({"0": {str(k): 0.0 for k in range(400)}, "2": {str(k): 0.0 for k in range(400)}}, "at most 100000"),
    ],
)
def test_what_is_no_update_is_refused(case, updates, words):
    model, data = case
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=f"^updates: .*{words}"):
        normal_form(model, updates, functional.mse_loss, data)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
