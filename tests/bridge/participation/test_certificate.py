"""The certificate of joint training, against a search over every share by running the network."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.gates.gates import insert_gates
from neurogames.bridge.participation.certificate import fee_certificate


def linear_network(seed=0):
    """Linear up to its squared error, so that the loss is a parabola in every gate."""
    rng = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 5), nn.Identity(), nn.Linear(5, 2))
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn(value.shape, generator=rng))
    return model.double(), (torch.randn(40, 3, generator=rng).double(), torch.randn(40, 2, generator=rng).double())


@pytest.mark.parametrize("price", [0.0, 0.3, 2.0, 50.0])
@pytest.mark.parametrize("seed", range(4))
def test_moves_are_best_responses_found_by_search(seed, price):
    model, data = linear_network(seed)
    profile = np.array([1.0, 0.5, 0.0, 1.0, 0.25])
    found = fee_certificate(model, profile, price, functional.mse_loss, data)
    gates = insert_gates(model)
    grid = np.linspace(0, 1, 401)

    def loss(shares):
        gates.assign(shares)
        with torch.no_grad():
            return float(functional.mse_loss(model(data[0]), data[1]))

    base = loss(profile)
    gains = []
    for unit in np.flatnonzero(profile):
        payoffs = []
        for share in grid:
            shares = profile.copy()
            shares[unit] = share
            payoffs.append(-loss(shares) - price * (share > 0))
        assert found.worth[unit] == pytest.approx(-payoffs[0] - base, abs=1e-9)
        assert profile[unit] + found.move[unit] == pytest.approx(grid[int(np.argmax(payoffs))], abs=0.006)
        gains.append(payoffs[0] - (-base - price))
    assert found.regret == pytest.approx(max(0.0, *gains), abs=1e-9)
    assert np.isnan(found.worth[2])
    assert found.move[2] == 0
    assert found.residual == np.abs(found.move).max()


@pytest.mark.parametrize("congestion", [0.0, 1.0, 2.5])
def test_units_of_a_fuller_layer_pay_more(congestion):
    rng = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 1))
    data = torch.randn(30, 3, generator=rng), torch.randn(30, 1, generator=rng)
    profile, price = [1.0, 0.5, 1.0, 1.0, 0.0, 1.0], 0.3
    found = fee_certificate(model, profile, price, functional.mse_loss, data, congestion=congestion)
    whole = 5 / 6
    first, second = price * (1 / whole) ** congestion, price * (0.5 / whole) ** congestion
    assert np.allclose(found.fee, [first] * 4 + [np.nan, second], equal_nan=True)
    flat = fee_certificate(model, profile, price, functional.mse_loss, data)
    assert np.array_equal(found.worth, flat.worth, equal_nan=True)
    assert found.regret == pytest.approx(np.nanmax(np.maximum(found.fee - flat.worth, 0)))


def test_in_one_layer_all_pay_the_price():
    model, data = linear_network()
    found = fee_certificate(model, [1, 0, 0, 1, 1], 0.3, functional.mse_loss, data, congestion=3.0, units="neurons")
    assert np.allclose(found.fee, [0.3, np.nan, np.nan, 0.3, 0.3], equal_nan=True)


def test_a_unit_that_changes_nothing_stays_where_it_is_unless_it_pays_for_that():
    model, data = linear_network()
    with torch.no_grad():
        model[2].weight[:, 1] = 0.0
    profile = np.array([1.0, 0.5, 1.0, 1.0, 1.0])
    for price, move in ((0.0, 0.0), (1e-6, -0.5)):
        assert fee_certificate(model, profile, price, functional.mse_loss, data).move[1] == move


def test_where_the_loss_is_straight_a_unit_goes_to_the_better_end():
    model = nn.Sequential(nn.Linear(1, 3, bias=False), nn.Identity(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[2.0], [-2.0], [0.5]]))
        model[2].weight.fill_(1.0)
    found = fee_certificate(model, [0.5, 0.25, 0.5], 0.1, lambda outputs, _: outputs.mean(), (torch.ones(2, 1),) * 2)
    # The loss is 2 s_1 - 2 s_2 + s_3 / 2: the first and third gain by leaving, the second by coming in fully.
    np.testing.assert_allclose(found.worth, [-1.0, 0.5, -0.25], rtol=1e-6)
    np.testing.assert_allclose(found.move, [-0.5, 0.75, -0.5])
    assert found.regret == pytest.approx(1.1)


def test_the_model_is_left_as_it_is():
    model, data = linear_network()
    before = [value.clone() for value in model.state_dict().values()]
    fee_certificate(model, np.ones(5), 0.1, functional.mse_loss, data)
    assert all(torch.equal(old, new) for old, new in zip(before, model.state_dict().values(), strict=True))
    assert model.training


def test_a_collapsed_network_has_nobody_to_regret():
    model, data = linear_network()
    found = fee_certificate(model, np.zeros(5), 0.1, functional.mse_loss, data)
    assert found.regret == 0
    assert found.residual == 0


@pytest.mark.parametrize(
    ("profile", "price", "congestion", "named"),
    [
        (np.ones(4), 0.1, 0.0, "profile"),
        (np.full(5, 2.0), 0.1, 0.0, "profile"),
        (np.ones(5), -1, 0.0, "price"),
        (np.ones(5), 0.1, -1, "congestion"),
    ],
)
def test_wrong_arguments_are_named(profile, price, congestion, named):
    model, data = linear_network()
    with pytest.raises(ValueError, match=f"^{named}: got"):
        fee_certificate(model, profile, price, functional.mse_loss, data, congestion=congestion)
