"""Sampling until sure: what is promised holds, and what was not reached is said."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine.coalitions.confident_values import shapley_until, split_half
from neurogames.engine.coalitions.values import shapley
from neurogames.games.coalition import FunctionCoalitionGame, UnanimityGame
from neurogames.games.coalition_families import WeightedVotingGame


def rough_game(n, seed, carriers=60):
    """Sum of unanimity games of three to six members, with known values."""
    rng = np.random.default_rng(seed)
    members = np.zeros((carriers, n), dtype=bool)
    for row in members:
        row[rng.permutation(n)[: rng.integers(3, 7)]] = True
    return UnanimityGame(members, rng.normal(size=carriers))


class Counting:
    """A game that counts the coalitions it is asked for."""

    def __init__(self, game):
        self.game, self.asked = game, 0

    @property
    def n_players(self):
        return self.game.n_players

    def value(self, coalitions):
        self.asked += len(coalitions)
        return self.game.value(coalitions)


@pytest.mark.parametrize("seed", range(3))
def test_intervals_are_as_narrow_as_asked_and_hold_the_values(seed):
    game = Counting(rough_game(40, seed))
    found = shapley_until(game, half_width=0.05, max_budget=200_000, rng=np.random.default_rng(seed))
    assert found.method.endswith("every half width at most 0.05")
    assert found.budget == game.asked <= 200_000
    assert 1.96 * found.stderr.max() <= 0.05
    truth = game.game.shapley_values()
    assert np.mean(np.abs(found.values - truth) <= 0.05) >= 0.9  # each value holds with more than .95
    assert found.values.sum() == pytest.approx(truth.sum(), abs=1e-9)


def test_a_narrower_interval_costs_more():
    spent = [
        shapley_until(rough_game(40, 0), half_width=width, max_budget=200_000, rng=np.random.default_rng(0)).budget
        for width in (0.2, 0.1, 0.05)
    ]
    assert spent[0] < spent[1] < spent[2]


def test_a_settled_set_is_the_right_one():
    settled, wrong = 0, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rough = rough_game(30, seed)
        alone = rng.normal(size=30) + 3.0 * (rng.permutation(30) < 4)
        game = UnanimityGame(
            np.concatenate([rough.carriers, np.eye(30, dtype=bool)]), np.concatenate([rough.coefficients, alone])
        )
        found = shapley_until(game, top=4, max_budget=15_000, rng=rng)
        best = [set(np.argsort(-values)[:4].tolist()) for values in (found.values, game.shapley_values())]
        settled += found.method.endswith("top 4 settled")
        wrong += found.method.endswith("top 4 settled") and best[0] != best[1]
    assert 10 <= settled < 40, settled  # some need more than the budget
    assert wrong <= 1  # 1 in 20 at most


def test_equal_players_are_never_settled_and_the_method_says_so():
    game = Counting(WeightedVotingGame([1] * 30, quota=16))
    found = shapley_until(game, top=5, max_budget=3000, rng=np.random.default_rng(0))
    assert found.method.split(": ")[1].startswith("max_budget used up, intervals")
    assert found.budget == game.asked <= 3000


def test_a_small_game_is_solved_exactly():
    game = Counting(rough_game(8, 1))
    found = shapley_until(game, half_width=1e-9, max_budget=2000, rng=np.random.default_rng(0))
    assert found.exact
    assert found.budget == game.asked
    np.testing.assert_allclose(found.values, game.game.shapley_values(), atol=1e-12)


def test_one_stage_is_the_regression_itself():
    game = rough_game(30, 2)
    until = shapley_until(game, half_width=100.0, max_budget=10_000, rng=np.random.default_rng(7))
    plain = shapley(game, until.budget, rng=np.random.default_rng(7))
    np.testing.assert_array_equal(until.values, plain.values)
    np.testing.assert_allclose(until.stderr, plain.stderr, rtol=1e-12)


def test_a_linear_game_needs_one_stage():
    weights = np.arange(200.0)
    game = FunctionCoalitionGame(200, lambda coalitions: coalitions @ weights)
    found = shapley_until(game, top=10, max_budget=10_000, rng=np.random.default_rng(0))
    assert found.method == "1 stage, the last of odd regression of order 1: top 10 settled"
    np.testing.assert_allclose(found.values, weights, atol=1e-8)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "half_width, top"),
        ({"half_width": 0.1, "top": 3}, "half_width, top"),
        ({"half_width": 0.0}, "half_width"),
        ({"top": 0}, "top"),
        ({"top": 30}, "top"),
        ({"top": 3, "confidence": 1.0}, "confidence"),
        ({"top": 3, "max_budget": 50}, "max_budget"),
        ({"top": 3, "rng": 7}, "rng"),
    ],
)
def test_bad_input_is_refused_before_any_coalition_is_asked_for(changes, name):
    game = Counting(rough_game(30, 0))
    with pytest.raises(ValueError, match=f"^{name}:"):
        shapley_until(game, **{"max_budget": 1000, "rng": np.random.default_rng(0)} | changes)
    assert game.asked == 0


def test_halves_are_independent_and_agree_more_the_more_is_spent():
    game = rough_game(40, 3)
    few, many = (split_half(game, budget, top=5, rng=np.random.default_rng(0)) for budget in (600, 40_000))
    assert few.rank_correlation < many.rank_correlation <= 1
    assert 0 <= few.overlap <= many.overlap <= 1
    assert not np.array_equal(many.halves[0].values, many.halves[1].values)
    assert sum(half.budget for half in many.halves) <= 40_000


def test_rank_correlation_is_spearmans_and_undefined_where_all_are_alike():
    from scipy.stats import spearmanr

    found = split_half(rough_game(30, 4), 2000, top=5, rng=np.random.default_rng(1))
    assert found.rank_correlation == pytest.approx(spearmanr(*(half.values for half in found.halves)).statistic)
    nothing = FunctionCoalitionGame(6, lambda coalitions: np.zeros(len(coalitions)))
    assert np.isnan(split_half(nothing, 200, top=2, rng=np.random.default_rng(0)).rank_correlation)
