"""Agents with several strategies on graphs: the law of every process beside its definition, player by player."""

from __future__ import annotations

from itertools import product
from math import exp

import networkx as nx
import numpy as np
import pytest
from scipy.sparse import csr_array

from neurogames.engine import (
    Process,
    best_response,
    death_birth,
    geometric,
    imitation,
    logit,
    moran,
    replicator,
    simulate_on_graph,
    strategy_chain,
)
from neurogames.engine.choice import BestResponse, Imitation, Logit
from neurogames.engine.graphs import graph_matrix
from neurogames.engine.strategies.reproduction import Reproduction
from neurogames.games import GraphGame, PopulationGame
from tests.engine.strategies.strategy_laws import MUTATION

MATRIX = np.array([[1.0, 0.3, 0.8], [1.4, 0.2, 0.1], [0.9, 0.7, 0.6]])
DIRECTED = nx.DiGraph()
DIRECTED.add_weighted_edges_from([(0, 1, 2.0), (0, 2, 1.0), (1, 2, 0.5), (2, 0, 1.5), (3, 0, 1.0), (1, 3, 1.0)])
GRAPHS = {"directed and weighted": DIRECTED, "one without neighbours": nx.Graph([(0, 1), (1, 2)])}
GRAPHS["one without neighbours"].add_node(3)
PROCESSES = {
    "logit": Process(logit(0.3)),
    "logit, blind, mutation": Process(logit(0.2), "one", 0.7, "blind", 0.1),
    "best response, all, hold": Process(best_response(), "all", 0.7),
    "imitation": Process(imitation(1.5)),
    "imitation, blind, all, matrix": Process(imitation(1.5), "all", 0.5, "blind", MUTATION),
    "replicator, mutation": Process(replicator(), mutation=0.1),
    "Moran": Process(moran(1.0)),
    "Moran, linear, matrix": Process(moran(0.5, "linear"), mutation=MUTATION),
    "death and birth": Process(death_birth(0.8), mutation=0.05),
    "death and birth, linear, all": Process(death_birth(0.4, "linear"), "all"),
}


def weights(graph):
    return nx.to_numpy_array(graph, nodelist=list(graph))


def earned(game, w, s, i, strategy):
    total = sum(w[i, j] * game.matrix[strategy, s[j]] for j in range(len(s)))
    return total / w[i].sum() if game.earnings == "mean" and w[i].sum() > 0 else total


def fitness(choice, payoff):
    return exp(choice.intensity * payoff) if choice.fitness == "exponential" else 1 + choice.intensity * (payoff - 1)


def revised(game, process, w, s, i):
    """Law of the next strategy of player i, by the definition; any process but Moran's."""
    choice, n, players = process.choice, 3, len(s)
    rate = process.mutation
    mutation = np.array(rate) if isinstance(rate, tuple) else np.full((n, n), rate / 2) + (1 - 1.5 * rate) * np.eye(n)
    hold = np.eye(n)[s[i]]
    neighbours = [j for j in range(players) if w[i, j] > 0]
    if isinstance(choice, Reproduction):
        law = np.zeros(n)
        for j in neighbours:
            law[s[j]] += w[i, j] * fitness(choice, earned(game, w, s, j, s[j]))
        return law / law.sum() @ mutation if neighbours else hold

    def answer(seen):
        if isinstance(choice, Logit | BestResponse):
            offers = [seen * earned(game, w, s, i, j) for j in range(n)]
            if isinstance(choice, Logit):
                law = np.exp(np.array(offers) / choice.temperature)
            else:
                law = np.array([float(offer >= max(offers) - 1e-9) for offer in offers])
            return law / law.sum()
        law = hold.copy()
        least, most = game.payoff_range()
        for j in neighbours:
            ahead = seen * (earned(game, w, s, j, s[j]) - earned(game, w, s, i, s[i]))
            copy = (
                1 / (1 + exp(-choice.intensity * ahead))
                if isinstance(choice, Imitation)
                else max(0.0, ahead) / (most - least)
            )
            law += w[i, j] / w[i].sum() * copy * (np.eye(n)[s[j]] - hold)
        return law

    law = process.keep_prob * answer(1.0) + (1 - process.keep_prob) * (
        hold if process.masked == "hold" else answer(0.0)
    )
    own = mutation[s[i]].copy()
    stays, own[s[i]] = own[s[i]], 0.0
    return own + stays * law


def transition(game, process, graph):
    """(3^m, 3^m) law of one revision, or of a round."""
    w = weights(graph)
    players = len(w)
    states = list(product(range(3), repeat=players))
    place = {state: k for k, state in enumerate(states)}
    matrix = np.zeros((len(states), len(states)))
    for k, s in enumerate(states):
        if isinstance(process.choice, Reproduction) and not process.choice.among_others:
            rate = process.mutation
            mutation = np.array(rate) if isinstance(rate, tuple) else np.eye(3)
            births = np.array([fitness(process.choice, earned(game, w, s, j, s[j])) for j in range(players)])
            for j, birth in enumerate(births / births.sum()):
                for i in range(players):
                    for new in range(3):
                        part = w[i, j] / w[:, j].sum() * mutation[s[j], new] if w[:, j].sum() > 0 else 0.0
                        matrix[k, place[(*s[:i], new, *s[i + 1 :])]] += birth * part
                matrix[k, k] += birth * (w[:, j].sum() == 0)
            continue
        laws = [revised(game, process, w, s, i) for i in range(players)]
        if process.revision == "one":
            for i, law in enumerate(laws):
                for new in range(3):
                    matrix[k, place[(*s[:i], new, *s[i + 1 :])]] += law[new] / players
        else:
            joint = laws[0]
            for law in laws[1:]:
                joint = np.multiply.outer(joint, law)
            matrix[k] = joint.ravel()
    return matrix


@pytest.mark.parametrize("earnings", ["mean", "sum"])
@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("name", PROCESSES)
def test_the_law_of_all_players_is_that_of_the_definition(name, graph, earnings):
    game, process = GraphGame(MATRIX, GRAPHS[graph], earnings), PROCESSES[name]
    players, replicas, start = game.n_players, 20_000, np.array([0, 1, 2, 1])
    step = transition(game, process, GRAPHS[graph])
    np.testing.assert_allclose(step.sum(axis=1), 1.0)
    radix = 3 ** np.arange(players)[::-1]
    law = np.eye(len(step))[start @ radix]
    for _ in range(2 * players if process.revision == "one" else 2):
        law = law @ step
    path = simulate_on_graph(game, process, start=start, sweeps=2, replicas=replicas, rng=np.random.default_rng(2))
    seen = np.bincount(path.strategies.astype(np.int64) @ radix, minlength=len(law)) / replicas
    assert (np.abs(seen - law) <= 5 * np.sqrt(law * (1 - law) / replicas) + 4 / replicas).all()
    assert (path.count[:, -1] == (path.strategies[:, :, None] == np.arange(3)).sum(axis=1)).all()


@pytest.mark.parametrize("name", [name for name in PROCESSES if "Moran" not in name])
def test_the_complete_graph_is_well_mixed(name):
    players, replicas = 6, 4000
    chain = strategy_chain(PopulationGame.from_matrix(MATRIX, players), PROCESSES[name])
    exact = chain.transient([3, 2, 1], 3).probability
    path = simulate_on_graph(
        GraphGame(MATRIX, nx.complete_graph(players)),
        PROCESSES[name],
        start=[0, 0, 0, 1, 1, 2],
        sweeps=3,
        every=3,
        replicas=replicas,
        rng=np.random.default_rng(4),
    )
    seen = np.array([(path.count[:, -1] == state).all(axis=1).mean() for state in chain.states])
    assert (np.abs(seen - exact) <= 5 * np.sqrt(exact * (1 - exact) / replicas) + 3 / replicas).all()


def test_fixation_on_a_cycle_is_that_of_the_well_mixed_moran_process():
    # Isothermal theorem: Lieberman, Hauert and Nowak, Nature 433 (2005).
    players, r, replicas = 12, 1.5, 3000
    game = GraphGame([[1.0, 1.0], [r, r]], nx.cycle_graph(players))
    start = np.eye(players, dtype=int)[0]
    path = simulate_on_graph(
        game,
        Process(moran(1.0, "linear")),
        start=start,
        sweeps=600,
        every=600,
        replicas=replicas,
        rng=np.random.default_rng(1),
        threads=2,
    )
    assert (path.count[:, -1].max(axis=1) == players).all()
    expected = (1 - 1 / r) / (1 - r**-players)
    assert abs((path.count[:, -1, 1] == players).mean() - expected) < 5 * np.sqrt(expected / replicas)


def test_sums_followed_over_many_sweeps_stay_exact():
    graph = nx.random_regular_graph(4, 30, seed=1)
    game, process = GraphGame(MATRIX, graph, "sum"), Process(imitation(1.0), mutation=0.1)
    kept = {"start": np.arange(30) % 3, "replicas": 2, "every": 300}
    path = simulate_on_graph(game, process, sweeps=300, rng=np.random.default_rng(0), **kept)
    again = simulate_on_graph(game, process, sweeps=300, rng=np.random.default_rng(0), threads=2, **kept)
    np.testing.assert_array_equal(path.strategies, again.strategies)


ALIKE = {
    "regular": nx.random_regular_graph(4, 40, seed=1),
    "degrees of all sizes": nx.barabasi_albert_graph(40, 2, seed=1),
    "directed": nx.gnp_random_graph(40, 0.06, seed=3, directed=True),
    "each looks at two": nx.DiGraph([(i, j) for i in range(40) for j in ((i + 1) % 40, (i + 2 + i * i % 37) % 40)]),
}


@pytest.mark.parametrize("earnings", ["mean", "sum"])
@pytest.mark.parametrize("graph", ALIKE)
@pytest.mark.parametrize("name", PROCESSES)
def test_tables_sums_and_pieces_give_the_same_paths(name, graph, earnings, monkeypatch):
    game, process = GraphGame(MATRIX, ALIKE[graph], earnings), PROCESSES[name]
    given = {"start": np.arange(40) % 3, "sweeps": 70, "replicas": 2}

    def play():
        path = simulate_on_graph(game, process, rng=np.random.default_rng(3), **given)
        return path.count, path.strategies

    by_tables = play()
    monkeypatch.setattr(graph_matrix, "_PIECE", 130)
    in_pieces = play()
    monkeypatch.setattr(graph_matrix, "cells", lambda *_: None)
    sums_in_pieces = play()
    monkeypatch.undo()
    monkeypatch.setattr(graph_matrix, "cells", lambda *_: None)
    for other in (in_pieces, sums_in_pieces, play()):
        for mine, theirs in zip(by_tables, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("alike", [True, False], ids=["one degree", "a lonely player"])
@pytest.mark.parametrize("name", ["logit, blind, mutation", "imitation", "Moran", "Moran, linear, matrix"])
def test_what_is_fetched_ahead_changes_nothing(name, alike, monkeypatch):
    m = 2**16 + 5  # more players than are taken for near
    neighbour = (np.arange(m)[:, None] + [1, 77, -77, -1]) % m
    first = np.minimum(np.arange(0, 4 * m + 1, 4), 4 * m if alike else 4 * (m - 1))
    game = GraphGame(MATRIX, csr_array((np.ones(first[-1]), neighbour.ravel()[: first[-1]], first), shape=(m, m)))

    def play():
        start, rng = np.arange(m) % 3, np.random.default_rng(3)
        path = simulate_on_graph(game, PROCESSES[name], start=start, sweeps=2, rng=rng)
        return path.count, path.strategies

    by_tables = play()
    monkeypatch.setattr(graph_matrix, "cells", lambda *_: None)
    for mine, theirs in zip(by_tables, play(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_an_interrupt_is_heard_between_pieces(monkeypatch):
    monkeypatch.setattr(graph_matrix, "_PIECE", 80_000)
    played = []
    compiled = graph_matrix.play_cells

    def interrupted(*given):
        played.append(1)
        if len(played) == 3:
            raise KeyboardInterrupt
        compiled(*given)

    monkeypatch.setattr(graph_matrix, "play_cells", interrupted)
    game = GraphGame(MATRIX, ALIKE["regular"])
    for threads in (1, 2):
        played.clear()
        with pytest.raises(KeyboardInterrupt):
            simulate_on_graph(
                game,
                Process(logit(0.3)),
                start=np.zeros(40, dtype=int),
                sweeps=200_000,
                every=200_000,
                replicas=2,
                rng=np.random.default_rng(0),
                threads=threads,
            )
        assert len(played) < 500  # of more than 1000


def test_payoffs_and_sparse_arrays_are_those_of_the_graph():
    w = weights(DIRECTED)
    s = np.array([2, 0, 1, 1])
    for earnings in ("mean", "sum"):
        game, sparse = GraphGame(MATRIX, DIRECTED, earnings), GraphGame(MATRIX, csr_array(w), earnings)
        expected = [earned(game, w, s, i, s[i]) for i in range(4)]
        np.testing.assert_allclose(game.payoffs(s), expected)
        np.testing.assert_allclose(sparse.payoffs(s), expected)
    weak = csr_array([[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]])
    np.testing.assert_array_equal(GraphGame([[1, 2], [3, 4]], weak).payoffs([0, 1, 0]), [2, 3, 2])
    np.testing.assert_array_equal(GraphGame([[1, 2], [3, 4]], weak, "sum").payoffs([0, 1, 0]), [0.5, 1.5, 0.5])
    assert GraphGame(MATRIX, nx.star_graph(4), "sum").payoff_range() == (pytest.approx(0.1), pytest.approx(5.6))


GAME = GraphGame(MATRIX, DIRECTED)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GraphGame(np.ones((2, 3)), DIRECTED), r"matrix: got 'shape \(2, 3\)'"),
        (lambda: GraphGame(MATRIX, np.eye(4)), "graph: got 'ndarray', expected a networkx graph"),
        (lambda: GraphGame(MATRIX, csr_array(np.eye(4))), "no loops"),
        (lambda: GraphGame(MATRIX, csr_array(-np.ones((4, 4)))), "weights > 0"),
        (lambda: GraphGame(MATRIX, csr_array(np.ones((3, 4)))), r"graph: got 'shape \(3, 4\)'"),
        (lambda: GraphGame(MATRIX, out_of_range()), "numbers of columns up to 7"),
        (lambda: GraphGame(MATRIX, nx.Graph()), "at least one node"),
        (lambda: GraphGame(MATRIX, DIRECTED, "total"), "earnings: got 'total'"),
        (lambda: GAME.payoffs([0, 1, 2]), "strategies: got"),
        (lambda: play(start=[0, 1, 2]), "start: got"),
        (lambda: play(start=[0, 1, 2, 3]), "start: got 'numbers from 0 to 3', expected strategies 0..2"),
        (lambda: play(Process(moran(1.0), "all")), "revision 'one' on a graph"),
        (lambda: play(Process(moran(1000.0))), "at most 600"),
        (lambda: play(Process(logit(geometric(1.0, 0.1)))), "constant parameters"),
        (lambda: play(logit(0.1)), "a Process such as"),
    ],
)
def test_bad_input_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def out_of_range():
    graph = csr_array(np.ones((2, 2)) - np.eye(2))
    graph.indices[0] = 7
    return graph


def play(process=None, **changes):
    given = {"start": [0, 1, 2, 0], "sweeps": 1, "rng": np.random.default_rng(0)} | changes
    return simulate_on_graph(GAME, process or Process(logit(0.1)), **given)
