"""Removal curves, the orders behind them, and the cheap scores of units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from neurogames.bridge.coalitions.coalition_values import coalition_game
from neurogames.bridge.coalitions.removal import removal_curve, removal_orders
from neurogames.bridge.coalitions.unit_scores import activation_magnitude, gradient_activation
from neurogames.games.coalition import FunctionCoalitionGame, TabularCoalitionGame


def test_a_curve_is_the_worth_of_what_is_left():
    game = TabularCoalitionGame(np.random.default_rng(0).normal(size=32))
    order = np.array([3, 0, 4, 1, 2])
    curve = removal_curve(game, order)
    for k in range(6):
        left = np.ones(5, dtype=bool)
        left[order[:k]] = False
        assert curve.worths[k] == game.value(left)


def test_the_area_is_a_half_for_players_that_count_alike_and_the_two_orders_share_one():
    alike = FunctionCoalitionGame(7, lambda coalitions: 3.0 + coalitions.sum(axis=1))
    assert removal_curve(alike, np.arange(7)).area == pytest.approx(0.5)
    weights = np.random.default_rng(0).random(7)
    additive = FunctionCoalitionGame(7, lambda coalitions: coalitions @ weights - 2)
    best = np.argsort(-weights)
    first, last = removal_curve(additive, best).area, removal_curve(additive, best[::-1]).area
    assert first < 0.5 < last
    assert first + last == pytest.approx(1)


def test_the_area_of_a_game_without_worth_is_undefined():
    assert np.isnan(removal_curve(FunctionCoalitionGame(3, lambda rows: np.ones(len(rows))), [0, 1, 2]).area)


@pytest.mark.parametrize("order", [[0, 1], [0, 1, 1], [1, 2, 3], [0.0, 1.0, 2.0], [[0, 1, 2]]])
def test_orders_that_are_none_are_refused(order):
    with pytest.raises(ValueError, match="^order"):
        removal_curve(FunctionCoalitionGame(3, lambda rows: rows.sum(axis=1)), order)


def planted():
    """A network with one unit that decides, some that matter less, and a loud one that nothing reads."""
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].weight[0, 0] = 3.0
        model[0].weight[1, 0] = 1.0
        model[0].bias.copy_(torch.tensor([0.0, 0.0, 0.1, 0.1, 0.1, 50.0]))
        model[2].weight.copy_(torch.tensor([[-1.0, -1.0, 0.01, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]]))
        model[2].bias.copy_(torch.tensor([0.5, 0.0]))
    inputs = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
    return model, (inputs, (inputs[:, 0] > 0).long())


def test_values_find_the_unit_that_decides_where_magnitude_is_misled():
    model, data = planted()
    game = coalition_game(model, "1", data)
    orders = removal_orders(game, model, data, budget=64, rng=np.random.default_rng(0))
    assert list(orders) == ["Shapley", "Banzhaf", "magnitude", "gradient x activation", "random"]
    assert all(sorted(order) == list(range(6)) for order in orders.values())
    assert orders["Shapley"][0] == orders["Banzhaf"][0] == orders["gradient x activation"][0] == 0
    assert orders["magnitude"][0] == 5
    areas = {name: removal_curve(game, order).area for name, order in orders.items()}
    assert areas["Shapley"] < areas["magnitude"]


def test_magnitude_is_the_mean_absolute_value_over_rows_and_positions():
    model = nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(12, 2)).train()
    inputs = torch.randn(300, 1, 3, 3)  # more than one part
    with torch.no_grad():
        expected = model[0](inputs).abs().mean(dim=(0, 2, 3)).numpy()
    np.testing.assert_allclose(activation_magnitude(model, "0", inputs), expected, rtol=1e-5)
    assert model.training


@pytest.mark.parametrize("metric", ["logit", "loss"])
def test_gradient_activation_is_the_first_order_change_of_the_worth_of_a_row(metric):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    inputs, labels = torch.randn(300, 3, dtype=torch.float64), torch.randint(3, (300,))
    found = gradient_activation(model, "1", (inputs, labels), metric=metric)
    hidden = model[:2](inputs).detach()

    def worths(values):
        outputs = model[2](values)
        rows = torch.arange(300)
        return outputs[rows, labels] if metric == "logit" else outputs.log_softmax(dim=1)[rows, labels]

    for unit in range(4):
        less = hidden.clone()
        less[:, unit] *= 1 - 1e-6
        with torch.no_grad():
            slope = (worths(hidden) - worths(less)) / 1e-6
        assert found[unit] == pytest.approx(float(slope.abs().mean()), rel=1e-4)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_gradients_of_the_squared_error_and_maps_are_summed_over_positions():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(12, 1))
    inputs, targets = torch.randn(9, 1, 3, 3), torch.randn(9)
    maps = model[0](inputs).detach().requires_grad_()
    loss = -((model[3](maps.clone().relu().flatten(1))[:, 0] - targets) ** 2).sum()
    expected = (torch.autograd.grad(loss, maps)[0] * maps).sum(dim=(2, 3)).abs().mean(dim=0).detach().numpy()
    np.testing.assert_allclose(gradient_activation(model, "0", (inputs, targets), metric="loss"), expected, rtol=1e-4)


def test_bad_input_of_scores_is_refused():
    model, (inputs, labels) = planted()
    with pytest.raises(ValueError, match="^layer"):
        activation_magnitude(model, "7", inputs)
    with pytest.raises(ValueError, match="^inputs"):
        activation_magnitude(model, "1", inputs[:0])
    with pytest.raises(ValueError, match="^data"):
        gradient_activation(model, "1", (inputs, labels[:3]))
    with pytest.raises(ValueError, match="^metric"):
        gradient_activation(model, "1", (inputs, labels), metric="accuracy")
    with pytest.raises(ValueError, match="^targets"):
        gradient_activation(model, "1", (inputs, labels.double()), metric="logit")
