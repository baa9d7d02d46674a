"""Curves of single players, and who leaves at a fee by them, where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine.coalitions.leaving import exact_leaving, predicted_leaving
from neurogames.engine.coalitions.marginals_by_size import marginals_by_size
from neurogames.engine.coalitions.size_curves import size_curves
from neurogames.games.coalition import FunctionCoalitionGame, TabularCoalitionGame


def draws(seed=0):
    return np.random.default_rng(seed)


def potential_game(curves):
    """Worth such that each player adds exactly w_i beside any k others; a concave function of the sum."""
    weights = np.asarray(curves)
    return FunctionCoalitionGame(len(weights), lambda members: np.sqrt(members @ weights))


def test_means_are_those_of_marginals_by_size():
    game = TabularCoalitionGame(np.random.default_rng(1).normal(size=64))
    found, slow = size_curves(game, 60, rng=draws()), marginals_by_size(game, 60, rng=draws())
    np.testing.assert_allclose(found.gain, slow.gain, atol=1e-12)
    np.testing.assert_allclose(found.stderr, slow.stderr, atol=1e-12)
    assert found.budget == slow.budget <= 60
    assert found.values.sum() == pytest.approx(float(game.value([True] * 6) - game.value([False] * 6)))


def test_curves_come_nearer_to_the_truth_than_raw_means_and_than_the_common_curve():
    """With pairwise terms Q the truth is f_i(k) = w_i + k times the mean of Q_ij over j."""
    n, draw = 16, np.random.default_rng(5)
    weights, pairs = draw.normal(size=n), np.triu(draw.normal(size=(n, n)), 1)
    game = FunctionCoalitionGame(n, lambda members: members @ weights + np.sum((members @ pairs) * members, axis=-1))
    truth = weights[:, None] + np.arange(n) * ((pairs + pairs.T).sum(axis=1) / (n - 1))[:, None]
    found, raw = size_curves(game, 400, rng=draws()), marginals_by_size(game, 400, rng=draws())
    error = np.abs(found.curves - truth).mean()
    assert error < 0.7 * np.nanmean(np.abs(raw.players - truth))
    assert error < 0.7 * np.abs(found.gain - truth).mean()
    assert 0.2 < found.heterogeneity < 0.9
    inside = np.abs(found.curves - truth) < 3 * np.hypot(found.curves_stderr, found.stderr)
    assert inside.mean() > 0.9


def test_of_players_that_are_alike_curves_are_the_common_one():
    noise = np.random.default_rng(0).normal(size=1 << 10)
    table = np.array([bin(index).count("1") for index in range(1 << 10)]) ** 2 + 0.5 * noise
    found = size_curves(TabularCoalitionGame(table), 200, rng=draws())
    assert found.heterogeneity < 0.2
    np.testing.assert_allclose(found.curves, np.tile(found.gain, (10, 1)), atol=0.6)


def test_own_curves_predict_who_stays_where_players_differ_and_alike_ones_do_not():
    game = potential_game(np.concatenate([np.full(8, 0.2), np.full(4, 3.0)]))
    curves, real = size_curves(game, 400, rng=draws()), exact_leaving(game)
    fee = 0.13
    assert real.staying(fee) == pytest.approx(1 / 3)
    assert predicted_leaving(curves).staying(fee) == pytest.approx(1 / 3)
    assert predicted_leaving(curves, "alike").staying(fee) == 1.0
    many = predicted_leaving(curves, "context", draws=20, rng=draws())
    assert many.order.shape == (20, 12)
    assert 0.2 < many.staying(fee) < 0.6
    with pytest.raises(ValueError, match="^rng: got None, expected a numpy Generator"):
        predicted_leaving(curves, "context")
    with pytest.raises(ValueError, match="^players: got 'same'"):
        predicted_leaving(curves, "same")


def test_in_an_additive_game_the_additive_prediction_is_exact():
    game = FunctionCoalitionGame(7, lambda members: members @ np.arange(1.0, 8.0))
    curves = size_curves(game, 100, rng=draws())
    predicted = predicted_leaving(curves, "additive")
    np.testing.assert_array_equal(predicted.order, exact_leaving(game).order)
    assert predicted.staying(3.5) == pytest.approx(4 / 7)
