"""Sampling until sure: what is promised holds, and what was not reached is said."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from neurogames.engine.coalitions import confident_values
from neurogames.engine.coalitions.confident_values import shapley_until, split_half
from neurogames.engine.coalitions.paired_design import least_draws
from neurogames.engine.coalitions.valuation import Values
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


def planned(monkeypatch, estimates):
    """Estimates that come out one after the other, and what each was to cost."""
    budgets, waiting = [], iter(estimates)

    def estimate(_game, budget, *, rng):
        budgets.append(budget)
        values, errors = next(waiting)
        return Values(np.asarray(values), np.asarray(errors), budget, "Shapley", "a plan")

    monkeypatch.setattr(confident_values, "shapley", estimate)
    return budgets


def test_stages_cost_what_is_missing_and_count_by_what_they_cost(monkeypatch):
    """The chance of error of stage k is 6 / (pi k)^2 of all, and errors fall with the root of the cost."""
    width, chance = 0.5, 0.1
    reach = [norm.isf(chance * 6 / (np.pi * k) ** 2 / 2) for k in (1, 2, 3, 4)]
    wide, rising = np.append(np.full(29, 1.4 * width / reach[0]), 0.0), np.arange(30.0)
    budgets = planned(monkeypatch, [(rising, wide), (rising[::-1], wide), (np.zeros(30), np.full(30, 1e-9))])
    game, rng = FunctionCoalitionGame(30, lambda rows: rows.sum(axis=1)), np.random.default_rng(0)
    found = shapley_until(game, half_width=width, max_budget=10**6, confidence=1 - chance, rng=rng)
    least = 2 * int(least_draws(30).sum())
    first = 2 * least
    second = max(int(first * (1.4**2 - 1)), least)
    share = second / (first + second)
    error = wide[0] * ((1 - share) ** 2 + share**2) ** 0.5
    missing = reach[1] * error / width
    third = int((first + second) * min(max(missing**2 - 1, 0.25), 2.0))
    assert budgets == [first, second, third]
    last = third / (first + second + third)
    np.testing.assert_allclose(found.values, (1 - last) * ((1 - share) * rising + share * rising[::-1]))
    np.testing.assert_allclose(found.stderr, np.hypot((1 - last) * np.append(np.full(29, error), 0.0), last * 1e-9))
    assert found.budget == sum(budgets)
    assert found.method == "3 stages, the last of a plan: every half width at most 0.5"


@pytest.mark.parametrize(("missing", "growth"), [(1.001, 0.25), (1.3, 0.69), (1.8, 2.0)])
def test_a_stage_is_at_least_a_quarter_and_at_most_twice_of_all_before(monkeypatch, missing, growth):
    first = 400 * 2 * int(least_draws(30).sum())
    monkeypatch.setattr(confident_values, "_FIRST_STAGE", 400.0)
    error = missing / norm.isf(0.05 * 6 / np.pi**2 / 2)
    budgets = planned(monkeypatch, [([0.0] * 30, [error] * 30), ([0.0] * 30, [0.0] * 30)])
    game, rng = FunctionCoalitionGame(30, lambda rows: rows.sum(axis=1)), np.random.default_rng(0)
    shapley_until(game, half_width=1.0, max_budget=10**7, rng=rng)
    assert budgets == [first, pytest.approx(growth * first, abs=2)]


def test_what_is_left_is_spent_if_it_pays_for_a_stage(monkeypatch):
    game, rng = FunctionCoalitionGame(30, lambda rows: rows.sum(axis=1)), np.random.default_rng(0)
    least = 2 * int(least_draws(30).sum())
    for left, stages in ((least - 1, [2 * least]), (least, [2 * least, least])):
        budgets = planned(monkeypatch, [([0.0] * 30, [1.0] * 30)] * 2)
        found = shapley_until(game, half_width=0.01, max_budget=2 * least + left, rng=rng)
        assert budgets == stages
        assert "max_budget used up, intervals" in found.method
    with pytest.raises(ValueError, match=f"^max_budget: got {least - 1}, expected an integer >= {least}"):
        shapley_until(game, half_width=0.01, max_budget=least - 1, rng=rng)


@pytest.mark.parametrize(("error", "settled"), [(0.99, True), (1.01, False)])
def test_the_top_is_settled_where_intervals_of_a_part_of_the_error_do_not_overlap(monkeypatch, error, settled):
    """Of 30 players each interval may fail with 1/30 of the stage's chance; the top ones are 2 above the others."""
    reach = norm.isf(0.05 * 6 / np.pi**2 / 60)
    values = [0.0] * 27 + [2.0, 3.0, 4.0]
    planned(monkeypatch, [(values, [error / reach] * 30)])
    game, rng = FunctionCoalitionGame(30, lambda rows: rows.sum(axis=1)), np.random.default_rng(0)
    budget = 2 * 2 * int(least_draws(30).sum())
    found = shapley_until(game, top=3, max_budget=budget, rng=rng)
    assert found.method.endswith("top 3 settled" if settled else "intervals 1.0 times too wide")


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
