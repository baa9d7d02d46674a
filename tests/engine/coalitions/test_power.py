"""Power indices of votes: both ways of counting, against all coalitions one by one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from neurogames.engine.coalitions import power
from neurogames.engine.coalitions.power import critical_counts, power_index
from neurogames.games import MultipleMajorityGame, WeightedVotingGame


def one_by_one(game):
    """Slow exact twin: every coalition without a player, with and without it."""
    n = game.n_players
    counts = [[0] * n for _ in range(n)]
    for i in range(n):
        others = [j for j in range(n) if j != i]
        for size in range(n):
            for chosen in combinations(others, size):
                members = np.isin(np.arange(n), chosen)
                before = game.value(members[None])[0]
                members[i] = True
                counts[i][size] += int(before == 0 and game.value(members[None])[0] == 1)
    return counts


def votes(seed):
    """One vote, or two votes of the same players, with a player who has no weight and one who has a veto."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7))
    games = []
    for _ in range(1 + seed % 2):
        weights = [0, *rng.integers(1, 9, size=n - 1).tolist()]
        games.append(WeightedVotingGame(weights, quota=int(rng.integers(1, sum(weights) + 1))))
    return MultipleMajorityGame(games) if seed % 2 else games[0]


@pytest.mark.parametrize("seed", range(12))
def test_both_ways_count_what_one_by_one_counts(seed, monkeypatch):
    game = votes(seed)
    expected = one_by_one(game)
    weights, quotas = power._weights(game)
    assert power._by_generating_functions(weights, quotas) == expected
    assert power._by_halves(weights, quotas) == expected
    monkeypatch.setattr(power, "_PAIRS_AT_ONCE", 3)
    assert power._by_halves(weights, quotas) == expected
    assert critical_counts(game) == expected


def test_many_players_are_counted_in_integers_without_bound():
    """70 equal votes: i is critical for the coalitions of exactly quota - 1 others."""
    counts = critical_counts(WeightedVotingGame([1] * 70, quota=40))
    binomial = 1
    for k in range(39):
        binomial = binomial * (69 - k) // (k + 1)
    assert counts[0] == [binomial if size == 39 else 0 for size in range(70)]
    np.testing.assert_allclose(power_index(WeightedVotingGame([1] * 70, quota=40), shapley=True), 1 / 70, rtol=1e-15)


def test_a_vote_too_large_for_either_way_is_refused(monkeypatch):
    game = WeightedVotingGame([3, 2, 2], quota=4)
    monkeypatch.setattr(power, "_MOST_CELLS", 3)
    assert critical_counts(game) == one_by_one(game)
    monkeypatch.setattr(power, "_MOST_PAIRS", 7)
    with pytest.raises(ValueError, match="game: got '3 players whose weights are 32 cells', expected at most 3 cells"):
        critical_counts(game)
