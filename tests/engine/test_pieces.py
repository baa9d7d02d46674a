"""Simulations in pieces: the same paths however they are cut, and Ctrl-C heard between two pieces."""

from __future__ import annotations

import threading
import time
from functools import partial

import networkx as nx
import numpy as np
import pytest

from neurogames import (
    GraphGame,
    NetworkPublicGoodsGame,
    NormalFormGame,
    PolymatrixGame,
    PopulationGame,
    PublicGoodsGame,
    TwoPopulationGame,
)
from neurogames.engine import (
    Exp3,
    Process,
    best_response,
    death_birth,
    geometric,
    imitation,
    logit,
    moran,
    simulate,
    simulate_heterogeneous,
    simulate_learning,
    simulate_network,
    simulate_on_graph,
    simulate_polymatrix,
    simulate_strategies,
    simulate_two_populations,
)
from neurogames.engine import pieces as cutting
from neurogames.engine.graphs import graph_matrix, heterogeneous, network_dynamics
from neurogames.engine.learning import play as learning
from neurogames.engine.polymatrix import simulate as polymatrix
from neurogames.engine.population import simulate as two_actions
from neurogames.engine.strategies import simulate as strategies
from neurogames.engine.two_populations import simulate as two_populations

MATRIX = np.array([[1.0, 0.3, 0.8], [1.4, 0.2, 0.1], [0.9, 0.7, 0.6]])
GROUPS = PopulationGame.from_groups(lambda group: group @ MATRIX.T, 3, 3, 15)
GOODS, NETWORK = PublicGoodsGame(20, 0.4, 1.0), NetworkPublicGoodsGame(nx.cycle_graph(12), 0.4, 1.0)
RING = nx.cycle_graph(12)
nx.set_edge_attributes(RING, [[1.0, 0.0], [0.0, 2.0]], "payoffs")
EDGES = PolymatrixGame(RING)
HEAVY = nx.cycle_graph(12)
nx.set_edge_attributes(HEAVY, {edge: 1.0 + k / 7 for k, edge in enumerate(HEAVY.edges)}, "weight")
PLAIN, WEIGHTED = GraphGame(MATRIX, nx.cycle_graph(12)), GraphGame(MATRIX, HEAVY)
PAIR = TwoPopulationGame([[2, 0], [0, 1], [1, 1]], [[1, 0], [0, 2], [1, 0]], (8, 7))
CHICKEN = NormalFormGame.symmetric([[6.0, 2.0], [7.0, 0.0]])
COOLED = Process(logit(geometric(0.3, 0.05)))


def paths(play, module, most, *, sweeps=30, every=3):
    """What a simulation gives when it is cut into pieces of so many revisions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE", most)
        path = play(rng=np.random.default_rng(7), sweeps=sweeps, every=every, replicas=5)
    values = [each for value in vars(path).values() for each in (value if isinstance(value, tuple) else (value,))]
    return [value for value in values if isinstance(value, np.ndarray)]


def on_graph(game, process):
    """A simulation of twelve players on a graph."""
    return lambda **g: simulate_on_graph(game, process, start=np.arange(12) % 3, **g), graph_matrix


def learnt(*, sweeps, every, **given):
    """Learning, whose rounds are recorded at times."""
    return simulate_learning(CHICKEN, Exp3(), rounds=10 * sweeps, times=[every, 10 * sweeps], **given)


CASES = {
    "one": (lambda **g: simulate(GOODS, Process(logit(0.1)), start=3, **g), two_actions),
    "all": (lambda **g: simulate(GOODS, Process(imitation(1.0), "all", 0.5), start=9, **g), two_actions),
    "a schedule": (lambda **g: simulate(GOODS, COOLED, start=0, **g), two_actions),
    "network": (
        lambda **g: simulate_network(NETWORK, Process(logit(0.2)), start=np.arange(12) < 5, **g),
        network_dynamics,
    ),
    "network, a schedule": (
        lambda **g: simulate_network(NETWORK, COOLED, start=np.arange(12) < 5, **g),
        network_dynamics,
    ),
    "network, copying": (
        lambda **g: simulate_network(NETWORK, Process(imitation(1.0), "all"), start=np.arange(12) < 5, **g),
        network_dynamics,
    ),
    "strategies": (
        lambda **g: simulate_strategies(GROUPS, Process(moran(1.0), mutation=0.05), start=[5, 5, 5], **g),
        strategies,
    ),
    "strategies, all": (
        lambda **g: simulate_strategies(GROUPS, Process(logit(0.3), "all", 0.5), start=[5, 5, 5], **g),
        strategies,
    ),
    "polymatrix": (
        lambda **g: simulate_polymatrix(EDGES, Process(logit(0.3), mutation=0.1), start=[0, 1] * 6, **g),
        polymatrix,
    ),
    "polymatrix, all": (
        lambda **g: simulate_polymatrix(EDGES, Process(logit(0.3), "all", 0.5), start=[0, 1] * 6, **g),
        polymatrix,
    ),
    "many players": (
        lambda **g: simulate_strategies(
            PopulationGame.from_matrix(MATRIX, 3000), Process(imitation(1.0)), start=[1000] * 3, **g
        ),
        strategies,
    ),
    "many players, all": (
        lambda **g: simulate_strategies(
            PopulationGame.from_matrix(MATRIX, 3000), Process(imitation(1.0), "all"), start=[1000] * 3, **g
        ),
        strategies,
    ),
    "graph, logit": on_graph(PLAIN, Process(logit(0.3), keep_prob=0.8, mutation=0.05)),
    "graph, moran": on_graph(PLAIN, Process(moran(1.0), mutation=0.05)),
    "graph, all": on_graph(PLAIN, Process(death_birth(1.0), "all")),
    "weights, best response": on_graph(WEIGHTED, Process(best_response(), mutation=0.05)),
    "weights, moran": on_graph(WEIGHTED, Process(moran(1.0))),
    "weights, all": on_graph(WEIGHTED, Process(imitation(1.0), "all")),
    "players who differ": (
        lambda **g: simulate_heterogeneous(
            WEIGHTED, Process(logit(0.3)), temperatures=np.linspace(0.1, 1, 12), start=np.arange(12) % 3, **g
        ),
        heterogeneous,
    ),
    "players who differ, all": (
        lambda **g: simulate_heterogeneous(PLAIN, Process(imitation(1.0), "all"), start=np.arange(12) % 3, **g),
        heterogeneous,
    ),
    "network, copying one by one": (
        lambda **g: simulate_network(NETWORK, Process(imitation(1.0)), start=np.arange(12) < 5, **g),
        network_dynamics,
    ),
    "two populations": (
        lambda **g: simulate_two_populations(PAIR, Process(logit(0.3)), start=([3, 3, 2], [4, 3]), **g),
        two_populations,
    ),
    "two populations, all": (
        lambda **g: simulate_two_populations(PAIR, Process(imitation(1.0), "all"), start=([3, 3, 2], [4, 3]), **g),
        two_populations,
    ),
    "learning": (learnt, learning),
}


@pytest.mark.parametrize("name", CASES)
def test_the_paths_do_not_depend_on_the_pieces(name):
    play, module = CASES[name]
    whole = paths(play, module, 10**9)
    for most in (5, 70, 1700):
        for mine, theirs in zip(whole, paths(play, module, most), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def sets_off(progress):
    """A probability to keep feedback that lets nobody move in the first half."""
    return np.where(np.asarray(progress) < 0.5, 1e-12, 1.0)


@pytest.mark.parametrize("revision", ["one", "all"])
@pytest.mark.parametrize("rule", [logit, imitation])
@pytest.mark.parametrize(
    "game", [GOODS, NETWORK, NetworkPublicGoodsGame(HEAVY, 0.4, 1.0)], ids=["one group", "network", "weights"]
)
def test_the_second_of_two_sweeps_has_its_own_place_in_a_schedule(game, rule, revision):
    """Also when each of them is a piece of its own."""
    process = Process(rule(geometric(0.3, 0.05)), revision, keep_prob=sets_off)
    play, start, module = simulate, 9, two_actions
    if game is not GOODS:
        play, start, module = simulate_network, np.arange(12) < 5, network_dynamics
    ways = [
        paths(partial(play, game, process, start=start), module, most, sweeps=2, every=1) for most in (10**9, 5, 70)
    ]
    for way in ways[1:]:
        for mine, theirs in zip(ways[0], way, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    record = next(each for each in ways[0] if each.shape == (5, 3))
    assert (record[:, 1] == record[:, 0]).all()
    assert (record[:, 2] != record[:, 1]).any()


@pytest.mark.parametrize("threads", [1, 3])
def test_no_piece_begins_after_an_interrupt(threads):
    played = []
    interrupted = threading.Event()

    def play(rows, part):
        played.append((rows, part))
        if len(played) == 4:
            interrupted.set()
            raise KeyboardInterrupt
        if interrupted.is_set():
            time.sleep(0.001)  # else the other threads may end before the first one is looked at

    with pytest.raises(KeyboardInterrupt):
        cutting.play_in_pieces(play, 6, 10_000, 10, 10, threads)
    assert len(played) < 40_000  # what the others would play to their end


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 30, 12), (7, 1, 1000), (2, 1000, 1), (3, 0, 5)])
@pytest.mark.parametrize("most", [1, 100, 10**6])
def test_pieces_cover_every_sweep_of_every_replica_once_and_in_order(shape, most):
    replicas, sweeps, players = shape
    seen = np.zeros((replicas, sweeps, players), dtype=int)
    for rows, part in cutting.pieces(0, replicas, sweeps, players, most):
        size = part.end - part.begin
        assert (part.first == 0 and part.begin == 0) or rows.stop - rows.start == 1
        assert size == players or part.sweeps == 1
        assert part.sweeps * size * (rows.stop - rows.start) <= most
        assert (seen[rows, : part.first] == 1).all()
        assert (seen[rows, part.first, : part.begin] == 1).all()
        seen[rows, part.first : part.first + part.sweeps, part.begin : part.end] += 1
    assert (seen == 1).all()
