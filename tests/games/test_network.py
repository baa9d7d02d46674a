"""Public goods on networks against the well-mixed game, plain loops and the definition of a potential."""

from __future__ import annotations

from itertools import product

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array, csr_array

from neurogames.games import GraphGame, PublicGoodsGame, SigmoidGood, ThresholdGood
from neurogames.games.network import NetworkPublicGoodsGame

GOODS = ["club", "linear", ThresholdGood(0.6), SigmoidGood(0.4, 9.0)]
goods = pytest.mark.parametrize("good", GOODS, ids=["club", "linear", "threshold", "sigmoid"])


def profiles(n):
    return np.array(list(product([False, True], repeat=n)))


def random_game(seed, good="club", directed=False, weighted=True):
    rng = np.random.default_rng(seed)
    graph = nx.gnp_random_graph(6, 0.5, seed=seed, directed=directed)
    for _, _, data in graph.edges(data=True):
        data["weight"] = rng.uniform(0.2, 2.0) if weighted else 1.0
    return graph, NetworkPublicGoodsGame(graph, rng.uniform(0.1, 0.6, 6), rng.uniform(0.5, 2.0, 6), good)


def plain_payoff(graph, game, acts, i):
    """What a player earns, written as one reads the definition."""
    group = {i: 1.0} | {j: data["weight"] for j, data in graph.adj[i].items()}
    share = sum(weight for j, weight in group.items() if acts[j]) / sum(group.values())
    produced = game.multiplier[i] * float(game.good.produced(np.array(share)))
    return (produced if acts[i] or not game.good.excludable else 0.0) - game.cost[i] * acts[i]


@goods
@pytest.mark.parametrize("n", [2, 5, 12])
def test_the_complete_graph_is_the_well_mixed_game_to_the_last_bit(good, n):
    mixed = PublicGoodsGame(n, 0.4, 1.3, good)
    game = NetworkPublicGoodsGame(nx.complete_graph(n), 0.4, 1.3, good)
    for count in range(n + 1):
        acts = np.arange(n) < count
        gain = game.gain(acts)
        assert (gain[acts] == mixed.gain[count - 1]).all() if count else True
        assert (gain[~acts] == mixed.gain[min(count, n - 1)]).all()
        resting = game.payoffs(acts)[~acts]
        assert (resting == mixed.baseline[min(count, n - 1)]).all()
        assert game.strict_equilibrium(acts) == (count in mixed.strict_equilibria())
        np.testing.assert_allclose(game.potential(acts), mixed.potential()[count], atol=1e-12)


@goods
@pytest.mark.parametrize("directed", [False, True])
def test_payoffs_gains_and_regret_are_those_of_the_definition(good, directed):
    graph, game = random_game(3, good, directed)
    every = profiles(6)
    payoffs, gain, regret = game.payoffs(every), game.gain(every), game.regret(every)
    for row, acts in enumerate(every):
        best = 0.0
        for i in range(6):
            other = acts.copy()
            other[i] = ~acts[i]
            here, there = plain_payoff(graph, game, acts, i), plain_payoff(graph, game, other, i)
            assert payoffs[row, i] == pytest.approx(here, abs=1e-12)
            assert gain[row, i] == pytest.approx(here - there if acts[i] else there - here, abs=1e-12)
            best = max(best, there - here)
        assert regret[row] == pytest.approx(best, abs=1e-12)


def test_leading_axes_are_a_batch():
    _, game = random_game(1)
    every = profiles(6).reshape(4, 16, 6)
    for method in (game.gain, game.payoffs, game.acting):
        np.testing.assert_array_equal(method(every)[2, 5], method(every[2, 5]))
    for method in (game.regret, game.strict_equilibrium):
        assert method(every).shape == (4, 16)


def test_a_directed_edge_gives_its_source_a_member():
    game = NetworkPublicGoodsGame(nx.DiGraph([("a", "b")]), 0.5, 1.0)
    assert game.players == ("a", "b")
    np.testing.assert_allclose(game.gain([False, True]), [0.5, 0.5])
    np.testing.assert_allclose(game.gain([False, False]), [0.0, 0.5])


def test_parallel_edges_add_up_and_attributes_of_nodes_are_read():
    graph = nx.MultiGraph()
    graph.add_node("x", cost=0.2, worth=1.0)
    graph.add_node("y", cost=0.3, worth=2.0)
    graph.add_edges_from([("x", "y", {"weight": 0.5}), ("x", "y", {"weight": 1.0})])
    game = NetworkPublicGoodsGame(graph, "cost", "worth")
    np.testing.assert_allclose(game.size, 2.5)
    np.testing.assert_allclose(game.gain([True, True]), [0.8, 1.7])


def test_a_player_without_neighbours_is_its_own_group():
    game = NetworkPublicGoodsGame(nx.empty_graph(3), [0.5, 1.0, 2.0], 1.0)
    np.testing.assert_array_equal(game.gain([True, False, False]), [0.5, 0.0, -1.0])


def changes_match(game):
    """Whether the path sum really is a potential: every switch changes it by what the player gains."""
    every = profiles(game.n_players)
    phi = dict(zip(map(tuple, every.tolist()), game.potential(every), strict=True))
    return all(
        abs(phi[(*s[:i], True, *s[i + 1 :])] - phi[(*s[:i], False, *s[i + 1 :])] - gain) < 1e-12
        for s, gains in zip(map(tuple, every.tolist()), game.gain(every), strict=True)
        for i, gain in enumerate(gains)
    )


POTENTIAL = {
    "regular, equal multipliers": NetworkPublicGoodsGame(nx.cycle_graph(5), [0.1, 0.2, 0.3, 0.4, 0.5], 1.2),
    "multiplier as large as the group": NetworkPublicGoodsGame(nx.path_graph(4), 0.4, [2.0, 3.0, 3.0, 2.0]),
    "linear, directed": random_game(2, "linear", directed=True)[1],
    "two cliques, sigmoid": NetworkPublicGoodsGame(
        nx.disjoint_union(nx.complete_graph(3), nx.complete_graph(2)),
        [0.1, 0.2, 0.3, 0.4, 0.5],
        [1, 1, 1, 2, 2],
        SigmoidGood(0.5, 9.0),
    ),
    "nobody to look at": NetworkPublicGoodsGame(nx.empty_graph(3), 0.5, 1.0, ThresholdGood(0.5)),
}


@pytest.mark.parametrize("game", POTENTIAL.values(), ids=POTENTIAL)
def test_a_potential_changes_by_what_the_switching_player_gains(game):
    assert game.has_potential
    assert changes_match(game)


NO_POTENTIAL = {
    "degrees differ": NetworkPublicGoodsGame(nx.star_graph(3), 0.4, 1.0),
    "one way": NetworkPublicGoodsGame(nx.DiGraph([(0, 1), (1, 2), (2, 0)]), 0.4, 1.0),
    "multipliers differ": NetworkPublicGoodsGame(nx.cycle_graph(4), 0.4, [1.0, 2.0, 1.0, 2.0]),
    "sigmoid on a cycle": NetworkPublicGoodsGame(nx.cycle_graph(5), 0.4, 1.0, SigmoidGood(0.5, 9.0)),
}


@pytest.mark.parametrize("game", NO_POTENTIAL.values(), ids=NO_POTENTIAL)
def test_no_potential_is_claimed_where_pairs_matter_differently(game):
    assert not game.has_potential
    with pytest.raises(ValueError, match="no exact potential"):
        game.potential(np.zeros(game.n_players, dtype=bool))
    # Monderer and Shapley: some four-cycle of two players' switches does not sum to 0.
    every, n = profiles(game.n_players), game.n_players
    gains = dict(zip(map(tuple, every.tolist()), game.gain(every), strict=True))

    def flipped(s, i):
        return (*s[:i], not s[i], *s[i + 1 :])

    cycles = [
        gains[s][i] + gains[flipped(s, i)][j] - gains[flipped(s, j)][i] - gains[s][j]
        for s in gains
        for i in range(n)
        for j in range(i)
        if not s[i] and not s[j]
    ]
    assert np.abs(cycles).max() > 1e-6


@given(st.integers(0, 10**6), st.booleans(), st.sampled_from(GOODS))
def test_renaming_the_players_changes_nothing(seed, directed, good):
    graph, game = random_game(seed, good, directed)
    order = np.random.default_rng(seed).permutation(6)
    shuffled = (nx.DiGraph if directed else nx.Graph)()
    shuffled.add_nodes_from(order.tolist())
    shuffled.add_edges_from(graph.edges(data=True))
    twin = NetworkPublicGoodsGame(shuffled, game.cost[order], game.multiplier[order], good)
    acts = np.random.default_rng(seed + 1).random((8, 6)) < 0.5
    np.testing.assert_allclose(twin.gain(acts[:, order]), game.gain(acts)[:, order], atol=1e-12)


def test_the_graph_can_change_later_without_changing_the_game():
    graph = nx.cycle_graph(4)
    game = NetworkPublicGoodsGame(graph, 0.4, 1.0)
    graph.add_edge(0, 2)
    np.testing.assert_array_equal(game.size, 3.0)
    for array in (game.first, game.neighbour, game.weight, game.size, game.cost, game.multiplier):
        assert not array.flags.writeable


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NetworkPublicGoodsGame(nx.Graph([(0, 0)]), 1, 1), "a loop at 0.*its own group"),
        (lambda: NetworkPublicGoodsGame(csr_array(np.eye(3)), 1, 1), "diagonal', expected no loops: a player belongs"),
        (lambda: NetworkPublicGoodsGame(csr_array(np.ones((2, 3))), 1, 1), "a square scipy.sparse array"),
        (lambda: NetworkPublicGoodsGame(csr_array((2, 2)), "cost", 1), "a sparse array has no node attributes"),
        (lambda: GraphGame(np.eye(2), nx.Graph([(0, 0)])), "a loop at 0', expected no loops: nobody plays with itself"),
        (lambda: NetworkPublicGoodsGame(nx.Graph(), 1, 1), "graph: got .*at least one node"),
        (lambda: NetworkPublicGoodsGame([[0, 1], [1, 0]], 1, 1), "graph: got"),
        (lambda: NetworkPublicGoodsGame(nx.path_graph(3), [1, 2], 1), r"cost: got 'shape \(2,\)'"),
        (lambda: NetworkPublicGoodsGame(nx.path_graph(3), 1, 0), "multiplier: got '3 values that are not > 0"),
        (lambda: NetworkPublicGoodsGame(nx.path_graph(3), "price", 1), "'price', which 3 nodes do not have"),
        (lambda: NetworkPublicGoodsGame(nx.path_graph(3), 1, 1, "clubs"), "good: got 'clubs'"),
        (lambda: NetworkPublicGoodsGame(nx.Graph([(0, 1, {"weight": -1.0})]), 1, 1), "weight is not a finite number"),
        (lambda: NetworkPublicGoodsGame(nx.path_graph(3), 1, 1).gain([1, 0, 1]), "profile: got 'int64"),
        (lambda: NetworkPublicGoodsGame(nx.path_graph(3), 1, 1).gain([True]), r"shape \(1,\)"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("weight", ["heavy", None, np.nan, 0.0])
def test_an_edge_without_a_positive_weight_is_refused(weight):
    with pytest.raises(ValueError, match=r"graph: got .an edge whose weight is not a finite number > 0"):
        NetworkPublicGoodsGame(nx.Graph([(0, 1, {"weight": weight})]), 1.0, 1.0)


@pytest.mark.parametrize("acting", [[1.0, 2.0], "x", 1.0])
def test_acting_weights_of_another_shape_are_refused(acting):
    with pytest.raises(ValueError, match="acting: got"):
        NetworkPublicGoodsGame(nx.cycle_graph(5), 0.5, 1.0).pays(acting)


@goods
def test_sparse_arrays_are_the_game_of_their_graph(good):
    graph, game = random_game(5, good, directed=True)
    i, j, weight = zip(*[(i, j, w) for i, j, w in graph.edges(data="weight")][::-1], strict=True)
    # In no order, and the first edge in two parts: parallel edges add up.
    whole = coo_array((weight, (i, j)), shape=(6, 6)).tocsr()
    halves = np.array([weight[0] / 2, *weight[1:], weight[0] / 2])
    place = np.argsort([*i, i[0]], kind="stable")
    parts = csr_array(
        (halves[place], np.array([*j, j[0]])[place], np.searchsorted(np.sort([*i, i[0]]), range(7))), (6, 6)
    )
    for matrix in (whole, parts):
        before = matrix.copy()
        sparse = NetworkPublicGoodsGame(matrix, game.cost, game.multiplier, good)
        assert sparse.players == tuple(range(6))
        for name in ("first", "neighbour", "weight", "size"):
            np.testing.assert_array_equal(getattr(sparse, name), getattr(game, name))
        np.testing.assert_array_equal(sparse.payoffs(profiles(6)), game.payoffs(profiles(6)))
        np.testing.assert_array_equal(matrix.indices, before.indices)
