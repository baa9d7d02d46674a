"""Closed forms of the logit mean field of the club game beside its velocity in high precision."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from neurogames.engine import Process, best_response, logit
from neurogames.engine.population.logit_folds import fold_costs, logit_club, turning_points
from neurogames.games import PublicGoodsGame

CASES = [(0.08, 1.0, 1.0), (0.05, 1.7, 0.8), (0.2, 1.0, 0.85), (0.01, 0.6, 0.3), (1.0, 9.0, 0.5)]


def velocity(x, tau, kappa, cost, keep):
    """Of a share x of actors, where the masked act with probability 1/2."""
    return keep / (1 + mp.exp(-(kappa * x - cost) / tau)) + (1 - keep) / 2 - x


@pytest.mark.parametrize(("tau", "kappa", "keep"), CASES)
def test_at_a_fold_the_velocity_touches_zero(tau, kappa, keep):
    costs = fold_costs(tau, kappa, keep)
    assert len(costs) == 2
    assert costs[0] < costs[1]
    with mp.workdps(40):
        t, k, q = mp.mpf(tau), mp.mpf(kappa), mp.mpf(keep)
        odds = mp.acosh(k * q / (2 * t) - 1)  # u (1 - u) = 1 / (2 + 2 cosh(odds)) = t / (k q)
        for cost, sign in zip(costs, (1, -1), strict=True):
            c = mp.mpf(cost)
            x = (c - sign * t * odds) / k
            assert abs(velocity(x, t, k, c, q)) < 1e-14
            assert abs(mp.diff(lambda y, c=c: velocity(y, t, k, c, q), x)) < 1e-13


@pytest.mark.parametrize(
    ("tau", "kappa", "keep"), [(0.25, 1.0, 1.0), (0.3, 1.0, 1.0), (0.2, 1.0, 0.7), (0.2, 1.0, 0.8)]
)
def test_where_the_velocity_falls_throughout_there_is_no_fold(tau, kappa, keep):
    """Also where it only just does: 4 tau = keep kappa."""
    assert fold_costs(tau, kappa, keep) == ()
    game = PublicGoodsGame(50, 0.4, kappa)
    assert turning_points(game, Process(logit(tau), "one", keep, "blind")) == []


@pytest.mark.parametrize("masked", ["blind", "hold"])
@pytest.mark.parametrize(("tau", "kappa", "keep"), CASES)
@pytest.mark.parametrize("cost", [0.05, 0.5])
def test_turning_points_are_where_the_slope_changes_its_sign(tau, kappa, keep, cost, masked):
    game, process = PublicGoodsGame(50, cost, kappa), Process(logit(tau), "one", keep, masked)
    assert logit_club(game, process) == (tau, kappa, cost)
    share = np.linspace(0.0, 1.0, 400_001)
    # Those who hold do not move, which slows all down alike.
    own = keep if masked == "blind" else 1.0
    chance = 1 / (1 + np.exp(-(kappa * share - cost) / tau))
    slope = own * kappa / tau * chance * (1 - chance) - 1
    turns = share[:-1][np.sign(slope[:-1]) != np.sign(slope[1:])]
    np.testing.assert_allclose(turning_points(game, process), turns, atol=5e-6)


def test_so_cold_that_the_turns_fall_on_one_number_they_are_put_apart():
    first, second = turning_points(PublicGoodsGame(50, 0.4, 1.0), Process(logit(1e-18)))
    assert 0 < second - first < 3e-15
    assert (first + second) / 2 == pytest.approx(0.4, abs=1e-15)


def test_other_rules_and_goods_have_no_closed_form():
    club, linear = PublicGoodsGame(50, 0.4, 1.0), PublicGoodsGame(50, 0.4, 1.0, good="linear")
    for game, rule in ((club, best_response()), (linear, logit(0.1))):
        assert logit_club(game, Process(rule)) is None
        assert turning_points(game, Process(rule)) is None
