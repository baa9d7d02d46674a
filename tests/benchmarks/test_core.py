"""Least core and nucleolus beside coopgame-py."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine.coalitions.core import least_core
from neurogames.engine.coalitions.nucleolus import nucleolus
from neurogames.engine.coalitions.transforms import coalition_table, subset_sums
from neurogames.games.coalition import TabularCoalitionGame
from neurogames.games.coalition_families import AirportGame, BankruptcyGame, WeightedVotingGame
from tests.benchmarks.timing import medians

coopgame = pytest.importorskip("coopgame", reason="coopgame-py is not installed")

pytestmark = pytest.mark.benchmark


def tables(n):
    """Games with an imputation: convex, of random worths, votes, bankruptcy, airport."""
    rng = np.random.default_rng(n)
    random = rng.random(1 << n)
    random[0], random[1 << np.arange(n)], random[-1] = 0.0, 0.0, 2.0
    claims = rng.integers(1, 100, size=n).astype(float)
    return {
        "convex": subset_sums(rng.random(n)) ** 2,
        "random": random,
        "vote": coalition_table(WeightedVotingGame(claims, quota=claims.sum() // 2 + 1)),
        "bankruptcy": coalition_table(BankruptcyGame(claims, 0.4 * claims.sum())),
        "airport": coalition_table(AirportGame(claims)),
    }


@pytest.mark.parametrize("n", [10, 14])
@pytest.mark.parametrize("name", ["convex", "random", "vote", "bankruptcy", "airport"])
def test_nucleolus_beside_coopgame(n, name):
    table = tables(n)[name]
    game, peer = TabularCoalitionGame(table), coopgame.Game(table[1:].tolist())
    medians(
        {
            f"neurogames nucleolus with certificate, {name} {n}": lambda: nucleolus(game),
            "coopgame nucleolus": lambda: coopgame.nucleolus(peer),
            "neurogames least core": lambda: least_core(game),
            "coopgame least core": lambda: coopgame.least_core(peer),
        },
        repeats=3,
    )
    result = nucleolus(game)
    assert result.objection < 1e-7
    theirs = coopgame.nucleolus(peer)["allocation"]
    np.testing.assert_allclose(result.allocation, theirs, atol=1e-8 * np.abs(table).max())
