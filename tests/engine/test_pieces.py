"""Simulations in pieces: the same paths however they are cut, and Ctrl-C heard between two pieces."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from neurogames import NetworkPublicGoodsGame, PolymatrixGame, PopulationGame, PublicGoodsGame
from neurogames.engine import (
    Process,
    geometric,
    imitation,
    logit,
    moran,
    simulate,
    simulate_network,
    simulate_polymatrix,
    simulate_strategies,
)
from neurogames.engine import pieces as cutting
from neurogames.engine.graphs import network_dynamics
from neurogames.engine.polymatrix import simulate as polymatrix
from neurogames.engine.population import simulate as two_actions
from neurogames.engine.strategies import simulate as strategies

MATRIX = np.array([[1.0, 0.3, 0.8], [1.4, 0.2, 0.1], [0.9, 0.7, 0.6]])
GROUPS = PopulationGame.from_groups(lambda group: group @ MATRIX.T, 3, 3, 15)
GOODS, NETWORK = PublicGoodsGame(20, 0.4, 1.0), NetworkPublicGoodsGame(nx.cycle_graph(12), 0.4, 1.0)
RING = nx.cycle_graph(12)
nx.set_edge_attributes(RING, [[1.0, 0.0], [0.0, 2.0]], "payoffs")
EDGES = PolymatrixGame(RING)
COOLED = Process(logit(geometric(0.3, 0.05)))


def paths(play, module, most, **given):
    """What a simulation gives when it is cut into pieces of so many revisions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE", most)
        path = play(rng=np.random.default_rng(7), sweeps=30, every=3, replicas=5, **given)
    return [value for value in vars(path).values() if isinstance(value, np.ndarray)]


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
}


@pytest.mark.parametrize("name", CASES)
def test_the_paths_do_not_depend_on_the_pieces(name):
    play, module = CASES[name]
    whole = paths(play, module, 10**9)
    for most in (1, 130):
        for mine, theirs in zip(whole, paths(play, module, most), strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("threads", [1, 3])
def test_no_piece_begins_after_an_interrupt(threads):
    played = []

    def play(rows, first, sweeps):
        played.append((rows, first))
        if len(played) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cutting.play_in_pieces(play, 6, 10_000, 10, 10, threads)
    assert len(played) < 30_000


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 30, 12), (7, 1, 1000), (2, 1000, 1), (3, 0, 5)])
@pytest.mark.parametrize("most", [1, 100, 10**6])
def test_pieces_cover_every_sweep_of_every_replica_once_and_in_order(shape, most):
    replicas, sweeps, players = shape
    seen = np.zeros((replicas, sweeps), dtype=int)
    for rows, first, length in cutting.pieces(0, replicas, sweeps, players, most):
        assert first == 0 or rows.stop - rows.start == 1
        assert length * players * (rows.stop - rows.start) <= max(most, players)
        assert (seen[rows, :first] == 1).all()
        seen[rows, first : first + length] += 1
    assert (seen == 1).all()
