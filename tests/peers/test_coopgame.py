"""Shapley and Banzhaf values, least core and nucleolus as coopgame-py has them."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine.coalitions.core import least_core
from neurogames.engine.coalitions.nucleolus import nucleolus, prenucleolus
from neurogames.engine.coalitions.transforms import coalition_table, subset_sums
from neurogames.engine.coalitions.values import banzhaf, shapley
from neurogames.games.coalition import TabularCoalitionGame
from neurogames.games.coalition_families import AirportGame, BankruptcyGame, GloveMarketGame, WeightedVotingGame

coopgame = pytest.importorskip("coopgame", reason="coopgame-py is not installed")


def random_tables(n, seed):
    """Games of one size: generic, of whole numbers with many ties, convex, and of each family."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 6, size=n).astype(float)
    claims = rng.integers(1, 100, size=n).astype(float)
    yield rng.normal(size=1 << n)
    yield np.concatenate([rng.integers(0, 4, size=(1 << n) - 1), [3.0 * n]])
    yield subset_sums(rng.random(n)) ** 2
    yield coalition_table(WeightedVotingGame(weights, quota=weights.sum() // 2 + 1))
    yield coalition_table(BankruptcyGame(claims, rng.uniform(0.1, 0.9) * claims.sum()))
    yield coalition_table(AirportGame(claims))
    if n > 1:
        yield coalition_table(GloveMarketGame(n // 2, n - n // 2))


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7])
def test_solutions_of_random_games_agree_with_coopgame(n):
    for seed in range({2: 50, 3: 50, 4: 20}.get(n, 5 if n < 7 else 2)):
        for table in random_tables(n, seed):
            table[0] = 0.0
            game, peer = TabularCoalitionGame(table), coopgame.Game(table[1:].tolist())
            scale = np.abs(table).max()
            np.testing.assert_allclose(shapley(game).values, coopgame.shapley(peer), atol=1e-12 * scale)
            np.testing.assert_allclose(banzhaf(game).values, coopgame.banzhaf(peer), atol=1e-12 * scale)
            theirs = coopgame.prenucleolus(peer)
            np.testing.assert_allclose(prenucleolus(game).allocation, theirs["allocation"], atol=1e-8 * scale)
            np.testing.assert_allclose(least_core(game).excess, theirs["levels"][0], atol=1e-8 * scale)
            rational = nucleolus(game)
            if rational.status == "ok":
                theirs = coopgame.nucleolus(peer)["allocation"]
                np.testing.assert_allclose(rational.allocation, theirs, atol=1e-8 * scale)
                least = coopgame.least_core(peer)["epsilon"]  # over imputations only
                np.testing.assert_allclose(rational.excesses[0], least, atol=1e-8 * scale)
            else:
                assert table[-1] < table[1 << np.arange(n)].sum()


def test_nucleolus_of_twelve_players_agrees_with_coopgame():
    for table in random_tables(12, 0):
        table[0] = 0.0
        theirs = coopgame.prenucleolus(coopgame.Game(table[1:].tolist()))["allocation"]
        ours = prenucleolus(TabularCoalitionGame(table))
        np.testing.assert_allclose(ours.allocation, theirs, atol=1e-8 * np.abs(table).max())
