"""A game does not change: it keeps copies of what it is given, and nobody can write into what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import networkx as nx
import numpy as np
import pytest

from neurogames.games import (
    AirportGame,
    BankruptcyGame,
    GraphGame,
    LinearQuadraticGame,
    LinearQuadraticStage,
    NetworkPublicGoodsGame,
    NormalFormGame,
    PairwiseEnergyGame,
    ParticipationGame,
    PolymatrixGame,
    PopulationGame,
    PublicGoodsGame,
    RepeatedStrategy,
    SymmetricGame,
    TabularCoalitionGame,
    TwoPopulationGame,
    WeightedVotingGame,
)

A, B = np.array([[3.0, 0.0], [5.0, 1.0]]), np.array([[1.0, 2.0], [0.0, 4.0]])


def pairs() -> PolymatrixGame:
    ring = nx.cycle_graph(4)
    nx.set_edge_attributes(ring, A, "payoffs")
    return PolymatrixGame(ring)


GAMES = {
    "normal form": lambda: NormalFormGame((A, B)),
    "population": lambda: PopulationGame.from_matrix(A, 5),
    "two populations": lambda: TwoPopulationGame(A, B, (5, 6)),
    "graph": lambda: GraphGame(A, nx.cycle_graph(4)),
    "polymatrix": pairs,
    "network": lambda: NetworkPublicGoodsGame(nx.cycle_graph(4), 0.4, 1.0),
    "public goods": lambda: PublicGoodsGame(5, 0.4, 1.0),
    "symmetric": lambda: SymmetricGame(A[0], A[1]),
    "participation": lambda: ParticipationGame(A[0], A, ridge=A[1], blocks=np.array([0, 1])),
    "one block": lambda: ParticipationGame(A[0], A, ridge=1.0),
    "table": lambda: TabularCoalitionGame(np.array([0.0, 1.0, 2.0, 4.0])),
    "energy": lambda: PairwiseEnergyGame(A[0], np.array([[0.0, 1.0], [1.0, 0.0]])),
    "airport": lambda: AirportGame(A[1]),
    "bankruptcy": lambda: BankruptcyGame(A[1], 4.0),
    "vote": lambda: WeightedVotingGame(np.array([2, 1, 1]), quota=3),
    "automaton": lambda: RepeatedStrategy(np.eye(2), np.zeros((2, 2), dtype=int), "flat"),
    "stages": lambda: LinearQuadraticGame(
        [LinearQuadraticStage(np.eye(1), [np.eye(1)], np.eye(2)[None])], np.ones((1, 1, 1))
    ),
}


def arrays(value: Any) -> Iterator[np.ndarray]:
    """All arrays within an object, its containers and the objects in them."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from arrays(each)
    elif type(value).__module__.startswith("neurogames"):
        for each in vars(value).values():
            yield from arrays(each)


@pytest.mark.parametrize("make", GAMES.values(), ids=GAMES)
def test_nobody_writes_into_a_game(make):
    game = make()
    repr(game)
    assert all(not array.flags.writeable for array in arrays(game))
    assert not any(np.shares_memory(array, given) for array in arrays(game) for given in (A, B))
