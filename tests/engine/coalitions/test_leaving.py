"""Who leaves first and who stays: the path of a game and predicted ones, beside the same done player by player."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from neurogames.engine.coalitions.leaving import Leaving, exact_leaving, predicted_leaving, regret, stepwise_leaving
from neurogames.engine.coalitions.size_curves import size_curves
from neurogames.games.coalition import FunctionCoalitionGame, TabularCoalitionGame


def potential_game(weights):
    """A concave function of the sum of weights."""
    return FunctionCoalitionGame(len(weights), lambda members: np.sqrt(members @ np.asarray(weights)))


def walked(game, steps):
    """The path with so many players at each step, and what it costs."""
    n, asked, order, marginals = game.n_players, 1, [], []
    inside, worth = list(range(n)), float(game.value([True] * n))

    def value(members):
        return float(game.value([i in members for i in range(n)]))

    while inside:
        alone = {i: worth - value([j for j in inside if j != i]) for i in inside}
        asked += len(inside)
        leave = sorted(inside, key=lambda i: (alone[i], i))[:steps]
        inside = [i for i in inside if i not in leave]
        rest = value(inside)
        asked += len(leave) > 1
        change = (worth - rest - sum(alone[i] for i in leave)) / max(sum(range(len(leave))), 1)
        order += leave
        marginals += [alone[i] + change * j for j, i in enumerate(leave)]
        worth = rest
    return order, marginals, asked


@pytest.mark.parametrize("n", [2, 5, 6, 7])
def test_steps_are_as_short_as_the_budget_pays_for(n):
    table = np.random.default_rng(n).normal(size=2**n)
    game = TabularCoalitionGame(table)
    rows = []
    counting = FunctionCoalitionGame(n, lambda members: (rows.extend(members.tolist()), game.value(members))[1])
    ways = [walked(game, steps) for steps in range(1, n + 1)]
    for budget in range(2 * n, 1 + n * (n + 1) // 2 + 2):
        rows.clear()
        found = stepwise_leaving(counting, budget)
        order, marginals, asked = next(way for way in ways if way[2] <= budget or way is ways[-1])
        assert found.order.tolist() == order
        np.testing.assert_allclose(found.marginals, marginals, atol=1e-12)
        assert len(rows) == asked <= budget
    np.testing.assert_array_equal(stepwise_leaving(game, 10**6).order, exact_leaving(game).order)
    with pytest.raises(ValueError, match=f"^budget: got {2 * n - 1}, expected an integer >= {2 * n}"):
        stepwise_leaving(game, 2 * n - 1)


def test_of_equal_players_the_lowest_number_leaves_first():
    game = potential_game(np.ones(5))
    alike = predicted_leaving(size_curves(game, 30, rng=np.random.default_rng(0)), "alike")
    for path in (exact_leaving(game), stepwise_leaving(game, 12), alike):
        assert path.order.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("players", ["own", "alike", "additive"])
def test_a_predicted_path_removes_whoever_adds_least_beside_as_many_as_are_there(players):
    rng = np.random.default_rng(2)
    curves = size_curves(TabularCoalitionGame(rng.normal(size=2**6).cumsum()), 60, rng=rng)
    order, inside = [], list(range(6))
    for step in range(6):
        others = 5 - step
        now = {"own": curves.curves[:, others], "alike": np.full(6, curves.gain[others]), "additive": curves.values}
        adds = now[players].__getitem__
        first = min(inside, key=adds)
        order.append((first, adds(first)))
        inside.remove(first)
    found = predicted_leaving(curves, players)
    assert found.order.tolist() == [i for i, _ in order]
    np.testing.assert_array_equal(found.marginals, [adds for _, adds in order])


def test_in_a_context_players_are_at_drawn_quantiles_of_what_came_up():
    rng = np.random.default_rng(4)
    curves = size_curves(TabularCoalitionGame(rng.normal(size=2**7).cumsum()), 110, rng=rng)
    assert 0 < curves.heterogeneity < 1
    found = predicted_leaving(curves, "context", draws=3, rng=np.random.default_rng(8))
    again, rest = np.random.default_rng(8), 1 - curves.heterogeneity
    for path in range(3):
        own = curves.scores + rest**0.5 * again.standard_normal((7, 1))
        chances = norm.cdf(own / np.sqrt(curves.scores.var(axis=0) + rest))
        inside = list(range(7))
        for step in range(7):
            k = 6 - step
            adds = {i: np.quantile(curves.marginals[:, k], chances[i, k], method="hazen") for i in inside}
            first = min(inside, key=adds.get)
            inside.remove(first)
            assert found.order[path, step] == first
            assert found.marginals[path, step] == pytest.approx(adds[first])


def test_who_stays_at_a_fee_that_is_just_met_and_on_several_paths():
    path = Leaving(np.array([2, 0, 1]), np.array([0.1, 0.3, 0.2]))
    for fee, members in ((0.1, [1, 1, 1]), (0.2, [1, 1, 0]), (0.3, [1, 1, 0]), (0.31, [0, 0, 0])):
        assert path.members(fee).tolist() == [bool(inside) for inside in members]
        assert path.staying(fee) == pytest.approx(sum(members) / 3)
    both = Leaving(np.array([[2, 0, 1], [0, 1, 2]]), np.array([[0.1, 0.3, 0.2], [0.5, 0.6, 0.7]]))
    assert both.staying(0.2) == pytest.approx((2 / 3 + 1) / 2)


def test_nobody_regrets_who_is_not_there():
    game = potential_game([1.0, 3.0])
    assert regret(game, np.array([True, True]), 0.5) == pytest.approx((0.5 - (2 - 3**0.5), -np.inf))
    assert regret(game, np.array([False, False]), 0.5) == pytest.approx((-np.inf, 3**0.5 - 0.5))


@pytest.mark.parametrize("fee", [0.05, 0.15, 0.3, 2.0])
def test_the_path_of_the_game_is_greedy_removal_one_by_one(fee):
    game = potential_game(np.random.default_rng(3).uniform(0.1, 2.0, 9))
    inside = np.ones(9, dtype=bool)
    while inside.any():
        lost = {i: float(game.value(inside) - game.value(inside & (np.arange(9) != i))) for i in np.flatnonzero(inside)}
        first = min(lost, key=lost.get)
        if lost[first] >= fee:
            break
        inside[first] = False
    path = exact_leaving(game)
    np.testing.assert_array_equal(path.members(fee), inside)
    assert path.staying(fee) == pytest.approx(inside.mean())
    leaving, _ = regret(game, inside, fee)
    assert leaving <= 1e-12


def test_regret_is_what_single_players_gain_by_moving():
    game, fee = potential_game([1.0, 2.0, 3.0]), 0.4
    inside = np.array([True, True, False])
    worth = lambda *members: float(game.value(np.isin(np.arange(3), members)))  # noqa: E731
    leaving, joining = regret(game, inside, fee)
    assert leaving == pytest.approx(max(worth(1) + fee, worth(0) + fee) - worth(0, 1))
    assert joining == pytest.approx(worth(0, 1, 2) - fee - worth(0, 1))


def test_steps_of_one_are_the_exact_path_and_longer_steps_come_near_it_for_less():
    rng = np.random.default_rng(3)
    weights = rng.uniform(0.5, 2.0, 20)
    asked = []

    def worth(members):
        asked.append(len(members))
        return np.sqrt(members @ weights)

    game = FunctionCoalitionGame(20, worth)
    exact = exact_leaving(game)
    asked.clear()
    whole = stepwise_leaving(game, 211)
    assert sum(asked) <= 211
    np.testing.assert_array_equal(whole.order, exact.order)
    np.testing.assert_allclose(whole.marginals, exact.marginals)
    asked.clear()
    rough = stepwise_leaving(game, 60)
    assert sum(asked) <= 60
    np.testing.assert_allclose(rough.marginals.sum(), exact.marginals.sum())
    for fee in (0.1, 0.15, 0.2, 0.3):
        assert abs(rough.staying(fee) - exact.staying(fee)) <= 0.1
    with pytest.raises(ValueError, match="budget: .*40"):
        stepwise_leaving(game, 39)
