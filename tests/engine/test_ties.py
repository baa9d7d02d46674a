"""Payoffs that tie on paper tie in every view, although their terms cancel only to rounding."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from neurogames.engine import (
    Process,
    best_response,
    polymatrix_chain,
    simulate_heterogeneous,
    simulate_on_graph,
    simulate_polymatrix,
    simulate_strategies,
    simulate_two_populations,
    strategy_chain,
    two_population_chain,
)
from neurogames.games import GraphGame, PolymatrixGame, PopulationGame, TwoPopulationGame

REPLY, TOGETHER = Process(best_response()), Process(best_response(), "all")
# Against users 0, 0, 0, 1 they pay 0.1 + 0.1 + 0.1 - 0.3, which is not 0 in floats, and 0.
TERMS = np.array([[0.1, -0.3], [0.0, 0.0]])
OTHERS = [0, 0, 0, 1]
REPLICAS = 400


def draws():
    return np.random.default_rng(5)


def test_two_populations_at_a_tie_of_pennies():
    game = TwoPopulationGame([[1, -1], [-1, 1]], [[-1, 1], [1, -1]], (12, 12))
    start = ([11, 1], [8, 4])
    path = simulate_two_populations(game, REPLY, start=start, sweeps=3, replicas=4000, rng=draws())
    law = two_population_chain(game, REPLY).transient(start, [1, 2, 3])
    for states, seen in zip(law.states, path.share, strict=True):
        exact = law.probability @ (states[:, 0] / 12)
        error = seen[:, 1:, 0].std(axis=0) / np.sqrt(4000)
        assert (np.abs(seen[:, 1:, 0].mean(axis=0) - exact) < 5 * error).all()


def test_one_population_at_a_tie():
    game = PopulationGame.from_matrix(TERMS, 5)
    start = [3, 2]
    path = simulate_strategies(game, TOGETHER, start=start, sweeps=1, replicas=4000, rng=draws())
    law = strategy_chain(game, TOGETHER).transient(start, 1)
    seen = [(path.count[:, 1] == state).all(axis=1).mean() for state in law.states]
    assert np.abs(seen - law.probability).max() < 0.04
    # Those of the second strategy see the tie, those of the first would rather change: 3 of the second at least.
    np.testing.assert_allclose(law.probability[law.states[:, 0] <= 2].sum(), 1.0)
    assert law.probability.max() == pytest.approx(0.5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("earnings", ["mean", "sum"])
def test_a_player_in_the_middle_of_a_star(earnings, weighted):
    star = nx.star_graph(4)
    if weighted:
        nx.set_edge_attributes(star, 2.0, "weight")
    game, start = GraphGame(TERMS, star, earnings=earnings), [1, *OTHERS]
    for simulate in (simulate_on_graph, simulate_heterogeneous):
        path = simulate(game, TOGETHER, start=start, sweeps=1, replicas=REPLICAS, rng=draws())
        hub = path.strategies[:, 0]
        assert set(hub.tolist()) == {0, 1}
        assert abs((hub == 0).mean() - 0.5) < 0.13


def test_a_player_with_own_payoffs_for_each_edge():
    star = nx.star_graph(4)
    nx.set_edge_attributes(star, TERMS, "payoffs")
    game, start = PolymatrixGame(star), [1, *OTHERS]
    path = simulate_polymatrix(game, TOGETHER, start=start, sweeps=1, replicas=REPLICAS, rng=draws())
    assert abs((path.strategies[:, 0] == 0).mean() - 0.5) < 0.13
    marginals = polymatrix_chain(game, TOGETHER).transient(start, 1).marginals()
    np.testing.assert_allclose(marginals[0], [0.5, 0.5], atol=1e-12)
