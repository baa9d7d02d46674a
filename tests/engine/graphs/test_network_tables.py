"""Tables of a network game against its payoffs in every profile."""

from __future__ import annotations

from itertools import product

import networkx as nx
import numpy as np
import pytest

from neurogames.engine import Process, imitation, linear, replicator
from neurogames.engine.graphs.network_tables import cells, copying_tables
from neurogames.games import NetworkPublicGoodsGame, SigmoidGood


def game(good="linear", seed=0):
    graph = nx.gnp_random_graph(5, 0.7, seed=seed)
    draws = np.random.default_rng(seed)
    for _, _, data in graph.edges(data=True):
        data["weight"] = draws.choice([0.5, 2.0])
    return NetworkPublicGoodsGame(graph, [0.9, 0.3, 0.4, 0.3, 0.2], 1.2, good)


def everything(played):
    """What every player earns in every profile, resting and acting, (2^n n, 2)."""
    n = played.n_players
    earned = []
    for profile in product((False, True), repeat=n):
        for i in range(n):
            pair = []
            for acts in (False, True):
                s = np.array(profile)
                s[i] = acts
                pair.append(played.payoffs(s)[i])
            earned.append(pair)
    return np.array(earned)


@pytest.mark.parametrize("good", ["linear", "club", SigmoidGood(0.5, 8.0)])
@pytest.mark.parametrize("seed", [0, 1])
def test_cells_hold_what_is_earned_in_all_profiles(good, seed):
    played = game(good, seed)
    table, earned = cells(played), everything(played)
    pairs = np.stack([table.resting, table.resting + table.gain], axis=1)
    for row in earned:
        assert np.abs(pairs - row).max(axis=1).min() < 1e-12
    for row in pairs:
        assert np.abs(earned - row).max(axis=1).min() < 1e-12


@pytest.mark.parametrize("good", ["linear", "club"])
def test_replicators_copy_in_the_unit_of_all_that_can_be_earned(good):
    played = game(good)
    ((first, size, rows),) = copying_tables(cells(played), Process(replicator(), keep_prob=0.7), 5)
    assert (first, size) == (0, 5)
    np.testing.assert_allclose(rows, [[0.7, 0.0, 1 / np.ptp(everything(played))]])


def test_imitators_have_the_strength_of_their_rule_and_schedules_their_progress():
    table = cells(game())
    ((_, _, rows),) = copying_tables(table, Process(imitation(3.0), keep_prob=0.6, masked="blind"), 5)
    np.testing.assert_allclose(rows, [[0.6, 0.4 * 0.5, 3.0]])
    ((_, _, rows),) = copying_tables(table, Process(imitation(linear(1.0, 3.0))), 3)
    np.testing.assert_allclose(rows[:, 2], [1.0, 1 + 2 / 3, 1 + 4 / 3])
