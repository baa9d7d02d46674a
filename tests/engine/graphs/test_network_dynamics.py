"""Dynamics on networks against the exact chain, exact matrices of tiny games, and Gibbs' law."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import networkx as nx
import numpy as np
import pytest

from neurogames.engine import Process, best_response, imitation, linear, logit, population_chain, replicator
from neurogames.engine.graphs import network_dynamics
from neurogames.engine.graphs.network_dynamics import simulate_network
from neurogames.engine.graphs.network_tables import cells, model_thresholds
from neurogames.engine.schedules import progress_of
from neurogames.games import PublicGoodsGame, SigmoidGood
from neurogames.games.network import NetworkPublicGoodsGame
from tests.laws import CONSTANT, SCHEDULED

REPLICAS = 4000


def rng(seed=5):
    return np.random.default_rng(seed)


def weighted(n, seed, directed=False):
    graph = nx.gnp_random_graph(n, 0.6, seed=seed, directed=directed)
    draws = np.random.default_rng(seed)
    for _, _, data in graph.edges(data=True):
        data["weight"] = draws.uniform(0.2, 2.0)
    return graph


def agree(seen, law):
    """Chi-squared within a generous bound; what cannot happen did not."""
    assert seen[law < 1e-14].sum() == 0
    common = law * seen.sum() >= 5
    observed = np.append(seen[common], seen[~common].sum())
    expected = np.append(law[common], law[~common].sum()) * seen.sum()
    filled = expected > 1e-6
    chi = ((observed - expected)[filled] ** 2 / expected[filled]).sum()
    freedom = max(filled.sum() - 1, 1)
    assert chi < freedom + 5 * np.sqrt(2 * freedom) + 15


@pytest.mark.parametrize("process", (CONSTANT | SCHEDULED).values(), ids=CONSTANT | SCHEDULED)
@pytest.mark.parametrize("good", ["club", SigmoidGood(0.4, 9.0)], ids=["club", "sigmoid"])
def test_the_complete_graph_has_the_law_of_the_well_mixed_chain(process, good):
    n, start, sweeps = 9, 3, 6
    game = NetworkPublicGoodsGame(nx.complete_graph(n), 0.4, 1.3, good)
    path = simulate_network(
        game, process, start=np.arange(n) < start, sweeps=sweeps, replicas=REPLICAS, rng=rng(), every=3
    )
    exact = population_chain(PublicGoodsGame(n, 0.4, 1.3, good), process).transient(start, [3, 6]).probability
    for column, law in enumerate(exact, start=1):
        agree(np.bincount(path.count[:, column], minlength=n + 1), law)


def accepted(choice, difference, spread):
    """Probability to accept, by the formulas of the rules."""
    name = type(choice).__name__
    if name == "BestResponse":
        return 0.5 * (1 + np.sign(difference))
    if name == "Replicator":
        return max(0.0, difference) / spread
    return 1 / (1 + np.exp(-(difference * choice.intensity if choice.copies else difference / choice.temperature)))


def switch_chances(game, process, acts):
    """Each player's probability to switch when it revises, from the payoffs of whole profiles."""
    every = np.array(list(product([False, True], repeat=game.n_players)))
    spread = np.ptp(np.concatenate([game.payoffs(every).ravel()]))
    payoffs, gain = game.payoffs(acts), game.gain(acts)
    result = np.zeros(game.n_players)
    for i in range(game.n_players):
        edges = slice(game.first[i], game.first[i + 1])
        if process.choice.copies:
            others, weights = game.neighbour[edges], game.weight[edges]
            offers = [
                (w / weights.sum(), payoffs[j] - payoffs[i])
                for j, w in zip(others, weights, strict=True)
                if acts[j] != acts[i]
            ]
        else:
            offers = [(1.0, -gain[i] if acts[i] else gain[i])]
        keep = process.keep_prob
        for chance, difference in offers:
            blind = accepted(process.choice, 0.0, spread) if process.masked == "blind" else 0.0
            result[i] += chance * (keep * accepted(process.choice, difference, spread) + (1 - keep) * blind)
    return result


def profile_matrix(game, process):
    """Transition matrix of one sweep over all 2^n profiles, bit i for player i."""
    n = game.n_players
    bits = 1 << np.arange(n)
    matrix = np.zeros((1 << n, 1 << n))
    for state in range(1 << n):
        chance = switch_chances(game, process, (state & bits) > 0)
        if process.revision == "one":
            for i in range(n):
                matrix[state, state ^ bits[i]] += chance[i] / n
                matrix[state, state] += (1 - chance[i]) / n
        else:
            for flips in range(1 << n):
                who = (flips & bits) > 0
                matrix[state, state ^ flips] = np.where(who, chance, 1 - chance).prod()
    return np.linalg.matrix_power(matrix, n) if process.revision == "one" else matrix


TINY = {
    "directed, many weights": NetworkPublicGoodsGame(weighted(5, 4, directed=True), [0.2, 0.3, 0.4, 0.3, 0.2], 1.2),
    "weights in two sizes, everybody receives": NetworkPublicGoodsGame(
        nx.Graph([(0, 1, {"weight": 2.0}), (1, 2), (2, 3), (3, 0), (0, 2, {"weight": 2.0}), (3, 4)]),
        0.1,
        [1.0, 1.5, 2.0, 1.0, 0.5],
        SigmoidGood(0.5, 8.0),
    ),
    "a star and one alone": NetworkPublicGoodsGame(nx.disjoint_union(nx.star_graph(3), nx.empty_graph(1)), 0.4, 1.0),
}
PROCESSES = {
    "logit": Process(logit(0.15)),
    "logit, hold, all": Process(logit(0.15), "all", 0.6),
    "logit, blind": Process(logit(0.1), "one", 0.7, "blind"),
    "best response, blind, all": Process(best_response(), "all", 0.7, "blind"),
    "imitation": Process(imitation(4.0), "one", 0.8),
    "imitation, blind, all": Process(imitation(4.0), "all", 0.6, "blind"),
    "replicator": Process(replicator()),
    "replicator, hold, all": Process(replicator(), "all", 0.6),
}


def test_one_path_is_simulated_and_every_sweep_kept_unless_asked_otherwise():
    game = NetworkPublicGoodsGame(nx.cycle_graph(5), 0.4, 1.3, "club")
    path = simulate_network(game, Process(logit(0.2)), start=np.zeros(5, dtype=bool), sweeps=4, rng=rng())
    assert path.count.shape == (1, 5)


@pytest.mark.parametrize("game", TINY.values(), ids=TINY)
@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_profiles_have_the_exact_law(game, process):
    start = np.array([True, False, True, False, False])
    path = simulate_network(game, process, start=start, sweeps=2, replicas=REPLICAS, rng=rng())
    law = np.linalg.matrix_power(profile_matrix(game, process), 2)[int(start @ (1 << np.arange(5)))]
    agree(np.bincount(path.profile @ (1 << np.arange(5)), minlength=32), law)


@pytest.mark.parametrize("masked", [1.0, 0.5], ids=["all see", "half hold"])
def test_logit_choice_in_a_potential_game_has_gibbs_law(masked):
    game, temperature = NetworkPublicGoodsGame(nx.cycle_graph(5), [0.5, 0.6, 0.4, 0.6, 0.5], 1.0), 0.2
    every = (np.arange(32)[:, None] >> np.arange(5)) & 1 > 0
    law = np.exp(game.potential(every) / temperature)
    process = Process(logit(temperature), keep_prob=masked)
    path = simulate_network(game, process, start=np.zeros(5, dtype=bool), sweeps=200, replicas=REPLICAS, rng=rng())
    agree(np.bincount(path.profile @ (1 << np.arange(5)), minlength=32), law / law.sum())


@pytest.mark.parametrize("revision", ["one", "all"])
@pytest.mark.parametrize("choice", [logit(0.2), imitation(2.0)], ids=["logit", "imitation"])
def test_counts_are_those_of_the_profiles_and_levels_do_not_drift(revision, choice, monkeypatch):
    module = sys.modules["neurogames.engine.graphs.network_dynamics"]
    kept = []
    first_cells = module.first_cells
    monkeypatch.setattr(module, "first_cells", lambda *args: kept.append(first_cells(*args)) or kept[-1])
    game = NetworkPublicGoodsGame(weighted(40, 2, directed=True).subgraph(range(12)), 0.4, 1.0)
    path = simulate_network(game, Process(choice, revision), start=rng().random(12) < 0.5, sweeps=500, rng=rng())
    np.testing.assert_array_equal(path.profile.sum(axis=1), path.count[:, -1])
    np.testing.assert_array_equal(kept[0], first_cells(game, cells(game), path.profile))


@pytest.mark.parametrize("process", [*PROCESSES.values(), *SCHEDULED.values()], ids=[*PROCESSES, *SCHEDULED])
def test_a_path_does_not_depend_on_others_nor_on_records(process):
    game = NetworkPublicGoodsGame(nx.random_regular_graph(4, 30, seed=1), 0.4, 1.0)
    start = rng().random((5, 30)) < 0.5
    few = simulate_network(game, process, start=start[:2], sweeps=12, replicas=2, rng=rng())
    many = simulate_network(game, process, start=start, sweeps=12, replicas=5, rng=rng(), every=4)
    np.testing.assert_array_equal(few.count[:, ::4], many.count[:2])
    np.testing.assert_array_equal(few.profile, many.profile[:2])


@pytest.mark.parametrize("choice", [logit(linear(1.0, 0.1)), imitation(linear(0.0, 5.0))], ids=["logit", "imitation"])
def test_tables_in_pieces_give_the_path_of_tables_at_once(choice, monkeypatch):
    game = NetworkPublicGoodsGame(nx.path_graph(9), 0.4, 1.0)
    start, process = np.arange(9) < 4, Process(choice)
    whole = simulate_network(game, process, start=start, sweeps=20, rng=rng())
    monkeypatch.setattr(sys.modules["neurogames.engine.graphs.network_tables"], "_TABLE_ENTRIES", 40)
    pieces = simulate_network(game, process, start=start, sweeps=20, rng=rng())
    np.testing.assert_array_equal(whole.count, pieces.count)


def test_levels_tell_weights_apart_and_players_alike_share_them():
    graph = nx.Graph([(0, 1, {"weight": 1.0}), (0, 2, {"weight": 2.5}), (0, 3, {"weight": 1.0})])
    game = NetworkPublicGoodsGame(graph, 0.5, 1.0)
    table = cells(game)
    acting = (table.gain[table.block[0] : table.block[0] + 6] + 0.5) * 5.5 - 1
    np.testing.assert_allclose(acting, [0, 1, 2, 2.5, 3.5, 4.5])
    assert table.block[1] == table.block[3] != table.block[2]


def test_a_schedule_is_played_at_its_progress():
    """Best responses without an edge: who acts at the end answered at the last keep probability only."""
    game = NetworkPublicGoodsGame(nx.empty_graph(20_000), 0.5, 1.0)
    keep = linear(0.1, 0.9)
    path = simulate_network(
        game, Process(best_response(), "all", keep), start=np.zeros(20_000, dtype=bool), sweeps=4, rng=rng()
    )
    resting = np.cumprod(1 - keep(progress_of(4)))
    np.testing.assert_allclose(path.share[0, 1:], 1 - resting, atol=5 * 0.5 / np.sqrt(20_000))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": np.zeros(3, dtype=int)}, "start: got 'int64"),
        ({"start": np.zeros(4, dtype=bool)}, r"booleans of shape \(3,\) or \(2, 3\)"),
        ({"sweeps": -1}, "sweeps: got -1"),
        ({"replicas": 0}, "replicas: got 0"),
        ({"every": 0}, "every: got 0"),
        ({"rng": 7}, "rng: got 7"),
    ],
)
def test_wrong_arguments_are_refused(changes, message):
    game = NetworkPublicGoodsGame(nx.path_graph(3), 0.4, 1.0)
    arguments = {"start": np.zeros(3, dtype=bool), "sweeps": 3, "replicas": 2, "rng": rng()} | changes
    with pytest.raises(ValueError, match=message):
        simulate_network(game, Process(logit(0.1)), **arguments)


def test_a_rule_that_copies_in_an_unknown_way_is_refused():
    @dataclass(frozen=True)
    class Follow:
        copies: ClassVar[bool] = True
        constant: ClassVar[bool] = True

        def logs(self, difference, spread, progress):
            return np.log(np.full(difference.shape, 0.5)), np.log(np.full(difference.shape, 0.5))

    game = NetworkPublicGoodsGame(nx.path_graph(3), 0.4, 1.0)
    with pytest.raises(ValueError, match="imitation or replicator"):
        simulate_network(game, Process(Follow()), start=np.zeros(3, dtype=bool), sweeps=1, rng=rng())


def many_weights():
    """A hub with 30 neighbours, no two of one weight: 2^30 levels."""
    graph = nx.star_graph(30)
    for number, (_, _, data) in enumerate(graph.edges(data=True)):
        data["weight"] = 1 + number / 100
    return NetworkPublicGoodsGame(graph, 0.4, 1.0)


@pytest.mark.parametrize("name", [*CONSTANT, *SCHEDULED])
def test_sums_and_tables_give_one_law(name, monkeypatch):
    process = {**CONSTANT, **SCHEDULED}[name]
    graph = nx.Graph([(0, 1, {"weight": 1.0}), (1, 2, {"weight": 0.5}), (0, 2, {"weight": 0.7}), (3, 2), (4, 4 + 1)])
    graph.add_node(6)
    game = NetworkPublicGoodsGame(graph, 0.4, 1.0)
    replicas, start = 3000, np.arange(7) % 2 == 0
    tables = simulate_network(game, process, start=start, sweeps=4, replicas=replicas, rng=rng())
    monkeypatch.setattr(network_dynamics, "cells", lambda _: None)
    sums = simulate_network(game, process, start=start, sweeps=4, replicas=replicas, rng=rng())
    assert np.array_equal(sums.count[:, -1], sums.profile.sum(axis=1))
    error = np.sqrt(0.5 / replicas)  # of a difference of two shares, at most
    assert np.abs(tables.profile.mean(axis=0) - sums.profile.mean(axis=0)).max() <= 4.5 * error
    for time in range(1, 5):
        one, other = (np.bincount(path.count[:, time], minlength=8) / replicas for path in (tables, sums))
        assert np.abs(one - other).max() <= 4.5 * error


def test_thirty_different_weights_around_a_player_are_simulated():
    game = many_weights()
    assert cells(game) is None
    start = np.zeros((2, 31), dtype=bool)
    path = simulate_network(game, Process(best_response(), "all"), start=start, sweeps=3, replicas=2, rng=rng())
    profile = start[0]
    for sweep in range(1, 4):
        profile = game.gain(profile) > 0
        assert path.count[:, sweep].tolist() == [profile.sum()] * 2
    noisy = Process(logit(0.1))
    alone = simulate_network(game, noisy, start=start[0], sweeps=5, replicas=1, rng=rng())
    company = simulate_network(game, noisy, start=start[0], sweeps=5, replicas=3, rng=rng())
    assert np.array_equal(alone.profile[0], company.profile[0])


def test_models_are_drawn_by_their_own_weights_however_heavy_others_are():
    heavy = nx.Graph([(0, 1, {"weight": 1e12}), (2, 3, {"weight": 1e-17}), (2, 4, {"weight": 3e-17})])
    reach = model_thresholds(NetworkPublicGoodsGame(heavy, 0.4, 1.0))
    np.testing.assert_allclose(reach[2:4] / 2.0**64, [0.25, 1.0], rtol=1e-12)


@pytest.mark.parametrize(
    ("game", "process", "message"),
    [
        (NetworkPublicGoodsGame(nx.path_graph(3), 0.4, 1.0), logit(0.1), "process: got Logit"),
        (PublicGoodsGame(3, 0.4, 1.0), Process(logit(0.1)), "game: got PublicGoodsGame"),
    ],
)
def test_a_bare_rule_and_a_well_mixed_game_are_refused(game, process, message):
    with pytest.raises(ValueError, match=message):
        simulate_network(game, process, start=[False] * 3, sweeps=1, rng=np.random.default_rng(0))
