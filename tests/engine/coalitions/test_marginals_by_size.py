"""Marginal contributions by size against sums over all coalitions, and what follows from them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from neurogames.engine.coalitions import marginals_by_size as module
from neurogames.engine.coalitions.marginals_by_size import marginals_by_size
from neurogames.engine.coalitions.values import shapley
from neurogames.games.coalition import FunctionCoalitionGame, TabularCoalitionGame
from neurogames.games.public_goods import PublicGoodsGame
from neurogames.games.symmetric import SymmetricGame


def slow(table):
    """Means over all coalitions, one by one."""
    n = table.size.bit_length() - 1
    players = np.zeros((n, n))
    for i in range(n):
        others = [j for j in range(n) if j != i]
        for k in range(n):
            sets = [sum(1 << j for j in chosen) for chosen in combinations(others, k)]
            players[i, k] = np.mean([table[s | 1 << i] - table[s] for s in sets])
    return players


def test_with_every_coalition_the_means_are_exact_and_average_to_shapley_values():
    table = np.random.default_rng(0).normal(size=64)
    found = marginals_by_size(TabularCoalitionGame(table), 64, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found.players, slow(table), atol=1e-12)
    np.testing.assert_allclose(found.gain, slow(table).mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(found.players.mean(axis=1), shapley(TabularCoalitionGame(table)).values, atol=1e-12)
    assert not found.stderr.any()


def test_estimates_are_unbiased_and_their_errors_honest():
    table = np.random.default_rng(1).normal(size=1 << 9)
    game = TabularCoalitionGame(table)
    truth = slow(table)
    runs = [marginals_by_size(game, 400, rng=np.random.default_rng(seed)) for seed in range(200)]
    gains = np.array([run.gain for run in runs])
    spread = gains.std(axis=0, ddof=1)
    free = spread > 0  # the first and the last to join are averaged over exactly only together
    assert (np.abs(gains.mean(axis=0) - truth.mean(axis=0)) <= 4.5 * spread / np.sqrt(200) + 1e-12).all()
    told = np.sqrt(np.mean([run.stderr**2 for run in runs], axis=0))
    np.testing.assert_allclose(told[free], spread[free], rtol=0.25)
    cells = np.array([run.players for run in runs])
    error = np.nanmean(cells, axis=0) - truth
    assert (np.abs(error) <= 5 * np.nanstd(cells, axis=0) / np.sqrt(200) + 1e-12).all()
    covered = [
        np.abs(run.players - truth)[run.players_stderr > 0] <= 2.5 * run.players_stderr[run.players_stderr > 0]
        for run in runs
    ]
    assert np.mean(np.concatenate(covered)) > 0.85


@pytest.mark.parametrize("entries", [1 << 24, 300])
def test_errors_are_those_of_the_pairs_of_orders_and_of_what_came_up_in_each_cell(monkeypatch, entries):
    """Also where few orders are played at once."""
    monkeypatch.setattr(module, "_ENTRIES", entries)
    n, budget = 8, 130
    table = np.random.default_rng(4).normal(size=1 << n)
    found = marginals_by_size(TabularCoalitionGame(table), budget, rng=np.random.default_rng(9))
    rng, pairs, cells = np.random.default_rng(9), [], {}
    step = max(1, entries // (14 * n))
    orders = [
        order
        for first in range(0, 9, step)
        for order in rng.permuted(np.tile(np.arange(n), (min(step, 9 - first), 1)), axis=1).tolist()
    ]
    for order in orders:
        both = []
        for way in (order, order[::-1]):
            joined, added = 0, []
            for size, player in enumerate(way):
                added.append(table[joined | 1 << player] - table[joined])
                cells.setdefault((player, size), []).append(added[-1])
                joined |= 1 << player
            both.append(added)
        pairs.append(np.mean(both, axis=0))
    assert found.budget == 2 + 9 * 14
    np.testing.assert_allclose(found.gain, np.mean(pairs, axis=0), atol=1e-12)
    np.testing.assert_allclose(found.stderr, np.std(pairs, axis=0, ddof=1) / 3, atol=1e-12)
    for (player, size), seen in cells.items():
        assert found.players[player, size] == pytest.approx(np.mean(seen))
        error = np.std(seen, ddof=1) / len(seen) ** 0.5 if len(seen) > 1 else np.nan
        assert found.players_stderr[player, size] == pytest.approx(error, abs=1e-7, nan_ok=True)
    assert {1, 2, 3} <= {len(seen) for seen in cells.values()}
    assert np.isnan(found.players).sum() == n * n - len(cells)


def test_a_public_goods_game_gives_its_own_gain_back():
    """Worth = sum of the gains of all who joined: the potential of the symmetric game is the worth of a coalition."""
    game = PublicGoodsGame(12, cost=0.4, multiplier=1.0)
    potential = game.potential()
    coalition = FunctionCoalitionGame(12, lambda rows: potential[rows.sum(axis=1)])
    found = marginals_by_size(coalition, 500, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found.gain, game.gain, atol=1e-12)
    np.testing.assert_allclose(found.stderr, 0, atol=1e-12)
    again = SymmetricGame(found.gain)
    np.testing.assert_array_equal(again.strict_equilibria(), game.strict_equilibria())


def test_gains_add_up_to_what_everybody_gains():
    rng = np.random.default_rng(5)
    game = TabularCoalitionGame(rng.normal(size=1 << 10))
    found = marginals_by_size(game, 700, rng=rng)
    assert found.gain.sum() == pytest.approx(game.values[-1] - game.values[0])


def test_cells_without_samples_are_said_to_be_unknown():
    game = FunctionCoalitionGame(40, lambda rows: rows.sum(axis=1) ** 2.0)
    found = marginals_by_size(game, 400, rng=np.random.default_rng(0))
    seen = ~np.isnan(found.players)
    assert 0.05 < seen.mean() < 0.3  # 10 orders for 40 places of each player
    expected = np.broadcast_to(2.0 * np.arange(40) + 1, (40, 40))
    np.testing.assert_allclose(found.players[seen], expected[seen])
    assert np.isnan(found.players_stderr[~seen]).all()
    assert np.isfinite(found.gain).all()


def test_bad_budgets_are_refused():
    game = FunctionCoalitionGame(10, lambda rows: rows.sum(axis=1))
    with pytest.raises(ValueError, match="budget"):
        marginals_by_size(game, 30, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="rng"):
        marginals_by_size(game, 300, rng=None)
