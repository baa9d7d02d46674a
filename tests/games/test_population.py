"""Games of a population beside their definitions."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest

from neurogames.games import NormalFormGame, PopulationGame
from neurogames.games.compositions import compositions, n_compositions, ranks


@pytest.mark.parametrize(("total", "parts"), [(0, 3), (5, 1), (7, 2), (6, 4), (3, 6)])
def test_compositions_are_all_of_them_in_order(total, parts):
    rows = [tuple(row) for row in compositions(total, parts)]
    assert len(set(rows)) == len(rows) == n_compositions(total, parts) == comb(total + parts - 1, parts - 1)
    assert rows == sorted(rows)
    assert {sum(row) for row in rows} == {total}
    np.testing.assert_array_equal(ranks(np.array(rows), total), np.arange(len(rows)))


def test_payoffs_against_every_other_player_are_averages_without_oneself():
    matrix = np.random.default_rng(0).normal(size=(3, 3))
    agents = np.array([0, 0, 1, 2, 2, 2])
    game = PopulationGame.from_matrix(matrix, agents.size)
    for agent, strategy in enumerate(agents):
        others = np.delete(agents, agent)
        expected = np.mean([matrix[strategy, other] for other in others])
        assert game.payoffs(np.bincount(others, minlength=3))[strategy] == pytest.approx(expected)


def test_payoffs_in_groups_are_averages_over_all_groups():
    def payoff(group):
        return group @ np.array([[1.0, 2.0, 0.5], [0.0, 1.0, 1.0], [3.0, 0.0, 1.0]]) + group[:, :1] ** 2

    agents = np.array([0, 1, 1, 2, 2, 0, 1])
    game = PopulationGame.from_groups(payoff, 4, 3, agents.size)
    for agent, strategy in enumerate(agents):
        others = np.delete(agents, agent)
        groups = [np.bincount([strategy, *others[list(mates)]], minlength=3) for mates in combinations(range(6), 3)]
        expected = payoff(np.array(groups))[:, strategy].mean()
        assert game.payoffs(np.bincount(others, minlength=3))[strategy] == pytest.approx(expected)


def test_groups_of_two_are_a_matrix_game_and_large_populations_the_limit():
    matrix = np.random.default_rng(1).normal(size=(3, 3))

    def payoff(pair):
        return np.stack([(pair - np.eye(3)[i]) @ matrix[i] for i in range(3)], axis=1)

    groups, direct = PopulationGame.from_groups(payoff, 2, 3, 9), PopulationGame.from_matrix(matrix, 9)
    others, share = compositions(8, 3), np.random.default_rng(2).dirichlet(np.ones(3), 5)
    np.testing.assert_allclose(groups.payoffs(others), direct.payoffs(others), atol=1e-12)
    np.testing.assert_allclose(groups.limit_payoffs(share), direct.limit_payoffs(share), atol=1e-12)

    def club(group):
        return np.stack([group[:, 0] ** 2 - 1.0, group[:, 0] * group[:, 1]], axis=1)

    large = PopulationGame.from_groups(club, 5, 2, 400_001)
    np.testing.assert_allclose(large.payoffs([100_000, 300_000]), large.limit_payoffs([0.25, 0.75]), atol=1e-3)


def test_averages_over_large_groups_stay_in_range():
    """The numbers of ways to draw a group are far beyond floats; half the others use each strategy."""
    game = PopulationGame.from_groups(lambda group: group[:, :1] * np.ones(2), 401, 2, 40_001)
    np.testing.assert_allclose(game.payoffs([20_000, 20_000]), [201.0, 200.0], rtol=1e-9)


def test_labels_come_from_the_normal_form():
    game = NormalFormGame.symmetric([[0, 1], [2, 3]])
    assert PopulationGame.from_normal_form(game, 5).labels == ("1", "2")
    with pytest.raises(ValueError, match="payoffs that differ between the players"):
        PopulationGame.from_normal_form(NormalFormGame(([[0, 1], [2, 3]], [[0, 1], [2, 3]])), 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PopulationGame.from_matrix(np.zeros((2, 3)), 5), r"matrix: got 'shape \(2, 3\)', expected a square"),
        (lambda: PopulationGame.from_matrix([[np.nan, 1], [1, 1]], 5), "matrix: "),
        (lambda: PopulationGame.from_matrix(np.eye(3), 1), "n_players: got 1"),
        (lambda: PopulationGame.from_matrix(np.eye(3), 5, ("a", "b")), "labels: got '2 names'"),
        (lambda: PopulationGame(lambda others: others[..., :1], 3, 5), "function: got 'a function whose answer"),
        (lambda: PopulationGame(lambda others: others / 0.0, 2, 5), "function: got 'inf or NaN'"),
        (lambda: PopulationGame.from_groups(lambda group: group, 6, 2, 5), "group_size: got 6"),
        (lambda: PopulationGame.from_groups(lambda group: group, 60, 9, 100), "group_size: got .* compositions"),
        (lambda: PopulationGame.from_groups(lambda group: group[:, :1], 3, 2, 5), r"payoff: got 'shape \(3, 1\)'"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_what_is_no_game_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
