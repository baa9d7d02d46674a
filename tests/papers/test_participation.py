"""Pruning as a Game (arXiv 2512.22106): its formulas, and what follows from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from neurogames.bridge.extraction.participation_game import participation_game
from neurogames.bridge.gates.gates import insert_gates, present_gates
from neurogames.engine.participation.complementarity import solve_participation
from neurogames.engine.participation.participation_equilibria import participation_equilibria
from neurogames.engine.participation.rationalizable import rationalizable_box
from neurogames.engine.participation.uniqueness import participation_uniqueness
from neurogames.games.participation import ParticipationGame

seeds = st.integers(0, 10**6)


def draw(seed, n=7, d=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n), rng.normal(size=(n, d)), rng


@given(seed=seeds)
def test_best_response_formula(seed):
    """s_i = clip((alpha <grad_i L, theta_i> - gamma - eta sum s_j <theta_i, theta_j>) / (2 beta |theta_i|^2), 0, 1)."""
    _, theta, rng = draw(seed)
    alpha, beta, gamma, eta = 1.3, 0.4, 0.05, 0.3
    slope = rng.normal(size=theta.shape)
    game = ParticipationGame(alpha * (slope * theta).sum(axis=1), theta, beta, gamma, eta)
    s = rng.random(7)
    for i in range(7):
        others = sum(s[j] * (theta[i] @ theta[j]) for j in range(7) if j != i)
        value = (alpha * slope[i] @ theta[i] - gamma - eta * others) / (2 * beta * theta[i] @ theta[i])
        assert game.best_response(s)[i] == pytest.approx(min(max(value, 0.0), 1.0), abs=1e-12)


@given(seed=seeds, gamma=st.floats(0.01, 1.0))
def test_the_price_is_a_soft_threshold_so_l1_gives_exact_zeros(seed, gamma):
    """Without competition s_i = 0 exactly iff a_i <= gamma, whatever beta: the paper says L1 rarely does this."""
    benefit, theta, _ = draw(seed)
    for beta in (0.001, 0.5):
        profile = solve_participation(ParticipationGame(benefit, theta, beta, gamma)).profile
        np.testing.assert_array_equal(profile == 0.0, benefit <= gamma)


@given(seed=seeds, eta=st.floats(0.0, 3.0))
def test_when_the_benefit_vanishes_staying_out_is_dominant(seed, eta):
    """At a stationary point of the loss a_i = 0: any cost empties the network, in one round of dominance where factors
    do not help each other, and as an equilibrium always."""
    _, theta, _ = draw(seed)
    game = ParticipationGame(np.zeros(7), np.abs(theta), 0.05, 0.05, eta)
    box = rationalizable_box(game)
    np.testing.assert_array_equal(box.upper, 0.0)
    np.testing.assert_array_equal(box.decided, 1)
    assert ParticipationGame(np.zeros(7), theta, 0.05, 0.05, eta).regret(np.zeros(7)) == 0.0


@given(seed=seeds, c=st.floats(1.1, 5.0))
def test_a_price_on_participation_alone_can_be_escaped_by_rescaling(seed, c):
    """s -> s / c, theta -> c theta leaves s theta, and with it the network, as it was; only the price gamma s falls."""
    benefit, theta, rng = draw(seed)
    s = rng.random(7)
    before = ParticipationGame(benefit, theta, 0.3, 0.1, 0.7)
    after = ParticipationGame(c * benefit, c * theta, 0.3, 0.1, 0.7)  # a_i = <grad, theta_i> scales with theta_i
    np.testing.assert_allclose(after.utilities(s / c) - before.utilities(s), 0.1 * s * (1 - 1 / c), atol=1e-10)


@given(seed=seeds)
def test_first_round_of_dominance(seed):
    """Player i is strictly dominated at 0 iff a_i - gamma + eta sum_j max(0, -G_ij) < 0."""
    benefit, theta, _ = draw(seed)
    game = ParticipationGame(benefit - 1.0, theta, 0.3, 0.1, 0.4)
    gram = theta @ theta.T
    np.fill_diagonal(gram, 0.0)
    best = benefit - 1.0 - 0.1 + 0.4 * np.maximum(0.0, -gram).sum(axis=1)
    np.testing.assert_array_equal(rationalizable_box(game, max_rounds=1).upper == 0.0, best < -1e-12)


@given(seed=seeds, beta=st.floats(0.51, 2.0))
def test_equilibrium_is_unique_when_twice_beta_exceeds_eta(seed, beta):
    """M = (2 beta - eta) diag(G) + eta G, and G is a Gram matrix: eigenvalues at least (2 beta - eta) min G_ii."""
    benefit, theta, _ = draw(seed)
    game = ParticipationGame(benefit, theta, beta, 0.0, 1.0)
    found = participation_uniqueness(game)
    assert found.unique
    assert found.eigenvalue >= (2 * beta - 1.0) * game.squares.min() - 1e-9
    assert len(participation_equilibria(game).profiles) == 1


def test_without_it_benefits_exist_that_have_several():
    """Two equal neurons: three equilibria once 2 beta < eta, one of them in between."""
    for beta, count in ((0.45, 3), (0.55, 1)):
        game = ParticipationGame([0.8, 0.8], [[1.0], [1.0]], beta, 0.0, 1.0)
        assert len(participation_equilibria(game).profiles) == count
        assert (participation_uniqueness(game).eigenvalue < 0) == (count == 3)


def small_network(present=None):
    """A small network with some rows, gated where shares are given."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1)).double()
    if present is not None:
        insert_gates(model).assign(present)
    x = torch.randn(40, 2, dtype=torch.float64)
    return model, (x, torch.sin(2 * x[:, :1]) * x[:, 1:])


def test_paper_benefit_is_the_gradient_times_the_weights_of_a_real_network():
    """a_i = <grad_i L, theta_i> with the gradient at the effective parameters s_i theta_i."""
    for present in (None, np.random.default_rng(0).uniform(0.2, 1.0, 7)):
        model, (x, y) = small_network(present)
        game = participation_game(model, functional.mse_loss, (x, y), benefit="paper", ridge=0.1)
        shares = np.ones(7) if present is None else present
        gates = present_gates(model)
        if gates is not None:
            gates.remove(fold=True)  # the effective parameters
        functional.mse_loss(model(x), y).backward()
        expected = []
        for layer in (model[0], model[2]):
            own = (layer.weight * layer.weight.grad).sum(dim=1) + layer.bias * layer.bias.grad
            expected.append(own.detach().numpy())
        np.testing.assert_allclose(game.benefit, np.concatenate(expected) / shares, atol=1e-12)


def test_paper_benefit_pays_for_raising_the_loss():
    """dL/ds_i = <grad_i L, theta_i>: who follows the stated benefit makes the loss greater, by finite differences."""
    model, (x, y) = small_network()
    game = participation_game(model, functional.mse_loss, (x, y), benefit="paper", ridge=0.0)
    gates = insert_gates(model)
    with torch.no_grad():
        before = float(functional.mse_loss(model(x), y))
        for i in range(7):
            less = np.ones(7)
            less[i] -= 1e-6
            gates.assign(less)
            risen = before - float(functional.mse_loss(model(x), y))
            assert risen / 1e-6 == pytest.approx(game.benefit[i], abs=1e-5)


def test_at_an_optimum_of_the_weights_the_papers_benefit_is_gone_and_the_units_are_not_worthless():
    """A network that fits its rows: <grad_i L, theta_i> = 0 for all, so any cost empties it in one round of dominance
    (here without competition), whatever the sign; what units are worth is the curvature, exact here for single ones."""
    model, (x, _) = small_network()
    data = x, model(x).detach()
    for benefit in ("paper", "descent"):
        game = participation_game(model, functional.mse_loss, data, benefit=benefit, ridge=0.05, price=0.05)
        np.testing.assert_allclose(game.benefit, 0.0, atol=1e-15)
        np.testing.assert_array_equal(rationalizable_box(game, max_rounds=1).upper, 0.0)
        np.testing.assert_array_equal(solve_participation(game, start=1.0).profile, 0.0)
    taylor = participation_game(model, functional.mse_loss, data, price=1e-9)
    exact = participation_game(model, functional.mse_loss, data, benefit="ablation")
    worth = exact.utilities(np.ones(7))
    useful = worth > 1e-6
    assert useful.sum() >= 4
    np.testing.assert_allclose(taylor.utilities(np.ones(7)), 0.5 * np.diag(taylor.matrix()), atol=1e-8)
    np.testing.assert_allclose(taylor.utilities(np.ones(7))[4:], worth[4:], atol=1e-8)
    np.testing.assert_allclose(solve_participation(taylor, start=1.0).profile[useful], 1.0, atol=1e-3)
