"""The composition of layers as open games, against autograd."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.extraction.open_network import open_game
from tests.bridge.cases import CASES, mlp


class Branches(nn.Module):
    """One value read by three operations, a module called twice, and a module whose value nobody reads."""

    def __init__(self):
        super().__init__()
        self.first, self.twice, self.last = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(8, 2)

    def forward(self, x):
        x = self.first(x)
        left, right = torch.tanh(self.twice(x)), functional.relu(x, inplace=False) * x
        return self.last(torch.cat([self.twice(left), right], dim=1))


def autograd(model, loss, rows):
    model.eval().zero_grad()
    loss(model(rows[0]), rows[1]).backward()
    return {name: each.grad for name, each in model.named_parameters()}


@pytest.mark.parametrize("name", CASES)
def test_payoffs_of_the_composition_are_the_gradients_of_the_whole_network(name):
    case = CASES[name]
    model, rows = case.model(dtype=torch.float64), case.data(dtype=torch.float64)
    network = open_game(model)
    found, expected = network.gradients(case.loss, *rows), autograd(model, case.loss, rows)
    assert found.keys() == expected.keys()
    for key, slope in found.items():
        torch.testing.assert_close(slope, expected[key], rtol=1e-6, atol=1e-12)
    (outputs,) = network.game.play(network.profile, (rows[0],))
    torch.testing.assert_close(outputs, model.eval()(rows[0]))


def test_branches_and_a_module_that_is_called_twice_add_up():
    torch.manual_seed(0)
    model, rows = Branches().double(), (torch.randn(6, 3).double(), torch.randn(6, 2).double())
    network = open_game(model)
    assert network.modules == ("first", "twice", "twice", "last")
    expected = autograd(model, functional.mse_loss, rows)
    for key, slope in network.gradients(functional.mse_loss, *rows).items():
        torch.testing.assert_close(slope, expected[key], rtol=1e-6, atol=1e-12)


def test_the_only_best_response_is_the_gradient_step_of_every_layer():
    torch.manual_seed(0)
    model, rows = mlp(nn.Tanh, 3, 4, 2).double(), (torch.randn(6, 3).double(), torch.randn(6, 2).double())
    network = open_game(model, learning_rate=0.05)

    def context(moves):
        outputs = moves[0].detach().requires_grad_()
        return torch.autograd.grad(functional.mse_loss(outputs, rows[1]), outputs)

    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    autograd(model, functional.mse_loss, rows)
    optimizer.step()
    stepped = tuple(dict(model.get_submodule(name).named_parameters()) for name in network.modules)
    respond = network.game.best_response
    assert respond((rows[0],), context, network.profile, stepped)
    assert not respond((rows[0],), context, network.profile, network.profile)
    half = (stepped[0], network.profile[1])
    assert not respond((rows[0],), context, network.profile, half)


def test_the_learning_rate_is_a_tenth_where_none_is_given():
    inputs = torch.ones(1, 1)
    network = open_game(nn.Sequential(nn.Linear(1, 1, bias=False)))
    (start,) = network.profile
    for rate, best in ((0.1, True), (0.11, False)):
        reply = {"weight": start["weight"] - rate}  # the slope is 1
        assert network.game.best_response((inputs,), lambda _: (inputs,), network.profile, (reply,)) is best


def test_a_mask_on_what_comes_back_to_a_layer_is_gradient_dropout_of_its_units():
    torch.manual_seed(0)
    model, rows = mlp(nn.ReLU, 3, 5, 2).double(), (torch.randn(6, 3).double(), torch.randn(6, 2).double())
    mask = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0]).double()
    found = open_game(model, feedback={"0": lambda utility: utility * mask}).gradients(functional.mse_loss, *rows)
    expected = autograd(model, functional.mse_loss, rows)
    torch.testing.assert_close(found["0.weight"], expected["0.weight"] * mask[:, None])
    torch.testing.assert_close(found["2.weight"], expected["2.weight"])


class Loose(nn.Module):
    """A parameter that no module holds."""

    def __init__(self):
        super().__init__()
        self.scale, self.layer = nn.Parameter(torch.ones(3)), nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x * self.scale)


class Shifted(nn.Module):
    """A buffer that no module holds: it learns nothing, and nobody has to."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.register_buffer("shift", torch.ones(3))

    def forward(self, x):
        return self.layer(x + self.shift)


def test_a_buffer_may_be_used_by_itself():
    assert open_game(Shifted()).modules == ("layer",)


class Counting(nn.Module):
    """Control flow that cannot be recorded."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(x) if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (Loose(), {}, "model: got \"'scale' used outside of a module\""),
        (Counting(), {}, "model: got 'Counting', expected a module that torch.fx can record"),
        (nn.Bilinear(2, 3, 1), {}, "model: got "),
        (nn.Sequential(nn.Linear(2, 2)), {"feedback": {"1": abs}}, "feedback: got '1'"),
        (nn.Sequential(nn.Linear(2, 2)), {"learning_rate": 0.0}, "learning_rate: got 0.0"),
        (3, {}, "model: got 3, expected a torch module"),
    ],
)
def test_what_cannot_be_taken_apart_is_refused_in_one_line(model, options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        open_game(model, **options)
