"""Exact values and interactions as shapiq has them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from neurogames.engine.coalitions.values import banzhaf, interactions, shapley
from neurogames.games.coalition import FunctionCoalitionGame, TabularCoalitionGame

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    shapiq = pytest.importorskip("shapiq", reason="shapiq is not installed")


@pytest.mark.parametrize(("n", "seed"), [(n, seed) for n in (2, 3, 4) for seed in range(100)] + [(8, 0), (8, 1)])
def test_values_and_interactions_of_random_games_agree_with_shapiq(n, seed):
    rng = np.random.default_rng(1000 * n + seed)
    game = TabularCoalitionGame(rng.normal(size=1 << n) if seed % 2 else rng.integers(-2, 3, size=1 << n))
    peer = shapiq.ExactComputer(n_players=n, game=game.value)
    for index, ours in (("SV", shapley(game)), ("BV", banzhaf(game))):
        theirs = peer(index, order=1)
        np.testing.assert_allclose(ours.values, [theirs[(i,)] for i in range(n)], atol=1e-12)
    for index, ours in (("SII", interactions(game)), ("BII", interactions(game, index="Banzhaf"))):
        theirs = peer(index, order=2)
        for i in range(n):
            for j in range(i):
                np.testing.assert_allclose(ours.values[i, j], theirs[(j, i)], atol=1e-12)


def test_a_function_written_for_shapiq_can_be_played():
    def quadratic(coalitions):
        return coalitions.sum(axis=1) + 2.0 * coalitions[:, 0] * coalitions[:, 1]

    peer = shapiq.ExactComputer(n_players=4, game=quadratic)("SV", order=1)
    ours = shapley(FunctionCoalitionGame(4, quadratic)).values
    np.testing.assert_allclose(ours, [peer[(i,)] for i in range(4)], atol=1e-13)
