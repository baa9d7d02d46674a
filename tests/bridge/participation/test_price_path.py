"""Prices that rise, and prices that clear."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from neurogames.bridge.participation import joint_training
from neurogames.bridge.participation.fee_rule import FeeRule
from neurogames.bridge.participation.gated_stack import gated_stack
from neurogames.bridge.participation.joint_training import train_participation
from neurogames.bridge.participation.participation_rule import RuleSettings, Run
from neurogames.bridge.participation.price_path import UnitBudget, rising_price


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 20), nn.ReLU(), nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 3))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def task():
    inputs = torch.randn(256, 4, generator=generator())
    return inputs, inputs[:, :3].argmax(dim=1)


def test_the_price_rises_and_stays():
    path = rising_price(0.3)(np.linspace(0, 1, 101))
    assert (np.diff(path) >= 0).all()
    assert path[0] == 0
    assert np.allclose(path[60:], 0.3)


@given(st.integers(1, 500), st.integers(0, 500))
def test_budgets_fall_from_all_to_those_asked_for(units, more):
    budgets = [UnitBudget(units).units_at(done, units + more) for done in np.linspace(0, 1, 101)]
    assert budgets[0] == units + more
    assert budgets[47:] == [units] * 54
    assert (np.diff(budgets) <= 0).all()


@pytest.mark.parametrize("congestion", [0.0, 2.0])
def test_those_leave_who_would_pay_least_and_the_last_of_them_sets_the_price(congestion):
    stack = gated_stack([network()], "neurons")
    rule = FeeRule.of(stack, [Run(network(), UnitBudget(12))], RuleSettings(steps=1000, congestion=congestion))
    stack.shares[0, 20:25] = 0.0
    worth = torch.randperm(30, generator=generator()).float() + 1
    rule.curvature.add(2 * worth.unsqueeze(0))
    full = 25 / 30
    bids = worth / torch.tensor([(1 / full) ** congestion] * 20 + [(0.5 / full) ** congestion] * 10)
    bids[20:25] = np.inf
    rule.decide(0.48)
    stay = stack.shares.squeeze(0) > 0
    assert stay.sum() == 12
    left = ~stay & bids.isfinite()
    assert bids[left].max() < bids[stay].min()
    assert rule.price_at(0.48).item() == pytest.approx(bids[left].max().item())
    rule.decide(0.49)
    assert torch.equal(stack.shares.squeeze(0) > 0, stay)
    assert rule.price_at(1.0).item() == pytest.approx(bids[left].max().item())


def test_so_many_stay_as_there_are_budgets_whatever_else_is_trained_beside():
    inputs, targets = task()
    options = {"epochs": 5, "batch_size": 32, "congestion": 1.0}
    prices = [0.0, UnitBudget(7), 0.2, UnitBudget(2), UnitBudget(30)]
    together = train_participation(network(), inputs, targets, price=prices, rng=generator(), **options)
    assert together.profile[[0, 1, 3, 4]].sum(axis=1).tolist() == [30, 7, 2, 30]
    alone = train_participation(network(), inputs, targets, price=UnitBudget(7), rng=generator(), **options)
    assert np.array_equal(alone.profile[0], together.profile[1])
    assert alone.price[-1, 0] == together.price[-1, 1] > 0
    assert together.price[-1, 4] == 0  # nobody has to leave


def test_runs_in_one_stack_have_their_own_budgets(monkeypatch):
    monkeypatch.setattr(joint_training, "_runs_at_once", lambda runs, _: runs)
    inputs, targets = task()
    prices = [UnitBudget(7), 0.0, UnitBudget(2)]
    trained = train_participation(network(), inputs, targets, price=prices, epochs=5, batch_size=32, rng=generator())
    assert trained.profile.sum(axis=1).tolist() == [7, 30, 2]


def test_the_end_is_certified_at_the_price_that_cleared():
    inputs, targets = task()
    trained = train_participation(
        network(), inputs, targets, price=UnitBudget(7), epochs=5, batch_size=32, congestion=1.0, rng=generator()
    )
    (certificate,) = trained.certificate
    stay = trained.profile[0] > 0
    shares = np.repeat([stay[:20].mean(), stay[20:].mean()], [20, 10])
    expected = trained.price[-1, 0] * shares / stay.mean()
    assert np.allclose(certificate.fee[stay], expected[stay], rtol=1e-5)
    assert certificate.regret == pytest.approx(max(0.0, np.max(certificate.fee[stay] - certificate.worth[stay])))


def test_dead_units_leave_at_no_price_and_the_end_is_certified_all_the_same():
    inputs, targets = task()
    model = network()
    with torch.no_grad():
        model[0].bias[:10] = -1e3
    trained = train_participation(
        model, inputs, targets, price=UnitBudget(25), epochs=5, batch_size=32, rng=generator()
    )
    assert trained.profile[0].sum() == 25
    assert trained.price[-1, 0] == 0
    (certificate,) = trained.certificate
    assert certificate.regret == max(0.0, -np.nanmin(certificate.worth))  # who does harm would gain even at no price


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"price": UnitBudget(31)}, "price"),
        ({"price": UnitBudget(3), "epochs": 1}, "epochs"),
        ({"price": UnitBudget(3), "rule": "paper"}, "price"),
    ],
)
def test_budgets_that_cannot_be_filled_are_refused(change, named):
    inputs, targets = task()
    arguments = {"price": 0.0, "epochs": 5, "batch_size": 32} | change
    with pytest.raises(ValueError, match=f"^{named}: got"):
        train_participation(network(), inputs, targets, rng=generator(), **arguments)


@pytest.mark.parametrize("units", [0, -1, 2.5, "3"])
def test_budgets_are_a_whole_number(units):
    with pytest.raises(ValueError, match="^units: got"):
        UnitBudget(units)
