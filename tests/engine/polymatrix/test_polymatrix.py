"""Polymatrix games: payoffs beside the normal form, three views, and laws that are known."""

from __future__ import annotations

from itertools import product
from math import exp

import matplotlib as mpl
import networkx as nx
import numpy as np
import pytest

from neurogames.engine import (
    Process,
    best_response,
    imitation,
    logit,
    logit_equilibrium,
    polymatrix_chain,
    polymatrix_mean_field,
    simulate_polymatrix,
)
from neurogames.games import GraphGame, PolymatrixGame

PROCESSES = {
    "logit": Process(logit(0.5)),
    "logit, all, hold": Process(logit(0.5), "all", 0.6),
    "logit, blind, mutation": Process(logit(0.4), "one", 0.7, "blind", 0.1),
    "best response, mutation": Process(best_response(), mutation=0.2),
    "best response, all, blind": Process(best_response(), "all", 0.7, "blind"),
}


def random_game():
    """Four players with 2, 3, 2 and 2 strategies on a square with own payoffs for each direction of each edge."""
    rng, sizes = np.random.default_rng(5), {"a": 2, "b": 3, "c": 2, "d": 2}
    graph = nx.DiGraph()
    for i, j in ("ab", "bc", "cd", "da"):
        graph.add_edge(i, j, payoffs=rng.normal(size=(sizes[i], sizes[j])))
        graph.add_edge(j, i, payoffs=rng.normal(size=(sizes[j], sizes[i])))
    return graph, PolymatrixGame(graph)


GRAPH, GAME = random_game()


def test_payoffs_are_sums_over_edges_and_those_of_the_normal_form():
    form = GAME.to_normal_form()
    place = {node: k for k, node in enumerate(GAME.players)}
    for profile in product(*(range(n) for n in GAME.n_strategies)):
        expected = np.zeros(4)
        for i, j, data in GRAPH.edges(data=True):
            expected[place[i]] += data["payoffs"][profile[place[i]], profile[place[j]]]
        np.testing.assert_allclose(GAME.payoffs(profile), expected)
        np.testing.assert_allclose([tensor[profile] for tensor in form.payoffs], expected)
    assert form.labels.players == ("a", "b", "c", "d")


def test_with_the_same_matrix_everywhere_it_is_a_game_on_a_graph():
    matrix, graph = [[1.0, 0.2], [0.5, 0.8]], nx.petersen_graph()
    plain = GraphGame(matrix, graph, earnings="sum")
    nx.set_edge_attributes(graph, matrix, "payoffs")
    strategies = np.random.default_rng(0).integers(0, 2, 10)
    np.testing.assert_allclose(PolymatrixGame(graph).payoffs(strategies), plain.payoffs(strategies))


def next_law(process, profile):
    """Law of the next profile, from the definition."""
    rows = []
    for i, n in enumerate(GAME.n_strategies):
        pay = np.array([GAME.payoffs([*profile[:i], k, *profile[i + 1 :]])[i] for k in range(n)])

        def answer(pay):
            law = (
                np.exp(pay / process.choice.temperature)
                if process.choice != best_response()
                else pay >= pay.max() - 1e-9
            )
            return law / law.sum()

        masked = np.eye(n)[profile[i]] if process.masked == "hold" else answer(np.zeros(n))
        law = process.keep_prob * answer(pay) + (1 - process.keep_prob) * masked
        others = (np.arange(n) != profile[i]) / (n - 1)
        rows.append(process.mutation * others + (1 - process.mutation) * law)
    law = {}
    for after in product(*(range(n) for n in GAME.n_strategies)):
        if process.revision == "all":
            law[after] = np.prod([row[k] for row, k in zip(rows, after, strict=True)])
        else:
            changed = [i for i in range(4) if after[i] != profile[i]]
            if len(changed) > 1:
                law[after] = 0.0
            else:
                law[after] = sum(rows[i][after[i]] for i in changed or range(4)) / 4
    return law


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_chain_and_simulation_are_as_the_definition_says(process):
    chain = polymatrix_chain(GAME, process)
    matrix = chain.transition_matrix().toarray()
    profiles = [tuple(map(int, profile)) for profile in chain.moves.states]
    for place in (0, 9, 22):
        expected = next_law(process, profiles[place])
        np.testing.assert_allclose(matrix[place], [expected[profile] for profile in profiles], atol=1e-13)
    law = chain.stationary()
    assert law.status == "ok"
    np.testing.assert_allclose(law.probability @ matrix, law.probability, atol=1e-12)
    start, replicas = [1, 2, 0, 1], 4000
    exact = chain.transient(start, 3).probability
    path = simulate_polymatrix(
        GAME, process, start=start, sweeps=3, replicas=replicas, every=3, rng=np.random.default_rng(2)
    )
    seen = (path.strategies[:, None, :] == chain.moves.states[None]).all(axis=2).mean(axis=0)
    error = np.sqrt(exact * (1 - exact) / replicas)
    assert (np.abs(seen - exact) <= 5 * error + 3 / replicas).all()
    assert (path.count[:, -1].sum(axis=1) == 4).all()


def test_with_one_potential_the_law_of_logit_choice_is_gibbs():
    rng, tau, graph = np.random.default_rng(1), 0.7, nx.DiGraph()
    potential = {}
    for i, j in ((0, 1), (1, 2), (0, 2)):
        potential[i, j] = rng.normal(size=(2, 3) if j == 2 else (2, 2))
        graph.add_edge(i, j, payoffs=potential[i, j])
        graph.add_edge(j, i, payoffs=potential[i, j].T)
    law = polymatrix_chain(PolymatrixGame(graph), Process(logit(tau))).stationary()
    weights = [exp(sum(table[s[i], s[j]] for (i, j), table in potential.items()) / tau) for s in law.profiles]
    np.testing.assert_allclose(law.probability, np.array(weights) / sum(weights), rtol=1e-10)


def test_independent_players_rest_at_the_quantal_response_equilibrium():
    tau = 1.5
    path = polymatrix_mean_field(GAME, Process(logit(tau))).path(
        [np.full(n, 1 / n) for n in GAME.n_strategies], [0, 200.0]
    )
    expected = logit_equilibrium(GAME.to_normal_form(), 1 / tau)
    for state, mixed in zip(path.states, expected.profile, strict=True):
        np.testing.assert_allclose(state[-1], mixed, atol=1e-7)


@pytest.mark.parametrize("name", ["logit", "logit, all, hold", "logit, blind, mutation"])
def test_many_players_with_many_neighbours_follow_the_mean_field(name):
    players, sweeps = 300, 4
    rng, graph = np.random.default_rng(0), nx.random_regular_graph(60, 300, seed=0)
    for _, _, data in graph.edges(data=True):
        data["payoffs"] = (np.array([[1.2, 0.1], [0.4, 1.0]]) + rng.normal(scale=0.3, size=(2, 2))) / 60
    game = PolymatrixGame(graph)
    start = rng.permutation(np.arange(players) % 2)
    path = simulate_polymatrix(game, PROCESSES[name], start=start, sweeps=sweeps, replicas=20, rng=rng)
    field = polymatrix_mean_field(game, PROCESSES[name]).path(np.eye(2)[start], np.arange(sweeps + 1.0))
    mean = np.mean(field.states, axis=0)
    assert np.abs(path.share.mean(axis=0) - mean).max() < 5 * 0.5 / np.sqrt(players * 20) + 0.005


def test_times_and_names_and_drawings():
    mpl.use("agg")
    from matplotlib import pyplot as plt

    graph = nx.path_graph(2)
    nx.set_edge_attributes(graph, [[2.0, 0.0], [0.0, 1.0]], "payoffs")
    game = PolymatrixGame(graph, {0: ("hunt", "rest"), 1: ("hunt", "rest")})
    chain = polymatrix_chain(game, Process(logit(1.0)))
    matrix = chain.transition_matrix().toarray()
    times = np.linalg.solve(np.eye(3) - matrix[1:, 1:], np.ones(3)) / 2
    found = chain.escape_time([1, 1], lambda profiles: (profiles == 0).all(axis=1))
    assert found.sweeps == pytest.approx(times[-1], rel=1e-10)
    law = chain.stationary()
    assert "most probable (hunt, hunt)" in repr(law)
    assert law.to_dataframe().loc[1, "1"] == "rest"
    assert law.to_xarray()["strategy"].shape == (4, 2)
    assert law.plot().images
    with pytest.raises(ValueError, match="several laws"):
        chain.transient([0, 0], [1, 2]).plot()
    path = simulate_polymatrix(game, Process(logit(1.0)), start=[0, 1], sweeps=3, rng=np.random.default_rng(0))
    assert path.labels == ("hunt", "rest")
    assert path.plot_graph(graph).collections
    plt.close("all")


def with_edge(**data):
    graph = nx.path_graph(2)
    graph.edges[0, 1].update(data)
    return graph


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda: PolymatrixGame(nx.path_graph(2)), "without payoffs"),
        (lambda: PolymatrixGame(with_edge(payoffs=[[1, 2, 3], [4, 5, 6]])), "a square matrix"),
        (lambda: PolymatrixGame(with_edge(payoffs=[[np.inf]])), "graph: got"),
        (lambda: PolymatrixGame(nx.empty_graph(3)), "at least one edge"),
        (lambda: PolymatrixGame(with_edge(payoffs=np.eye(2)), {0: "ab"}), "labels: got"),
        (lambda: PolymatrixGame(with_edge(payoffs=np.eye(2)), {0: "ab", 1: "abc"}), "3 names for 1"),
        (lambda: GAME.payoffs([0, 3, 0, 0]), "profile: got"),
        (lambda: polymatrix_chain(GAME, Process(imitation(1.0))), "logit or best_response"),
        (lambda: polymatrix_chain(GAME, logit(1.0)), "process: got"),
        (lambda: polymatrix_mean_field(GAME, Process(logit(1.0))).velocity([[1.0]]), "probability: got"),
        (
            lambda: simulate_polymatrix(
                GAME, Process(logit(1)), start=[0, 5, 0, 0], sweeps=1, rng=np.random.default_rng()
            ),
            "start: got",
        ),
    ],
)
def test_what_does_not_fit_is_refused(act, expected):
    with pytest.raises(ValueError, match=expected):
        act()


def test_players_with_different_numbers_of_strategies_on_their_edges_are_refused():
    graph = nx.DiGraph()
    graph.add_edge(0, 1, payoffs=np.eye(2))
    graph.add_edge(1, 2, payoffs=np.eye(3))
    with pytest.raises(ValueError, match="2 and 3 strategies of 1"):
        PolymatrixGame(graph)
    big = nx.path_graph(12)
    nx.set_edge_attributes(big, np.eye(2), "payoffs")
    with pytest.raises(ValueError, match="4096 profiles"):
        polymatrix_chain(PolymatrixGame(big), Process(logit(1.0)))
