"""Who looks at whom on a graph, for compiled loops: the edges both ways, in little memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from neurogames.games.graph_game import GraphGame


class Edges(NamedTuple):
    """Neighbours of each player.

    Attributes:
        first: (m+1,) where the neighbours of a player begin.
        neighbour: (edges,) their numbers.
        weight: (edges,) weights; empty where all are 1.
        rising: (edges,) weights summed along each player's neighbours; empty where all are 1.
    """

    first: NDArray[np.int64]
    neighbour: NDArray[np.int32]
    weight: NDArray[np.float64]
    rising: NDArray[np.float64]


def looked_at(game: GraphGame) -> Edges:
    """The players that each player looks at."""
    return _edges(game.first, game.neighbour, game.weight)


def watchers(game: GraphGame) -> Edges:
    """The players who look at each player; the arrays of the game itself where they are the same, as in most graphs.

    >>> import networkx as nx
    >>> around = watchers(GraphGame([[1, 0], [0, 1]], nx.DiGraph([(0, 1), (2, 1)])))
    >>> around.first.tolist(), around.neighbour.tolist()
    ([0, 0, 2, 2], [0, 2])
    """
    first, neighbour, weight = _turned(game.first, game.neighbour, game.weight)
    if game.weight.size == 0 and np.array_equal(neighbour, game.neighbour) and np.array_equal(first, game.first):
        first, neighbour = game.first, game.neighbour
    return _edges(first, neighbour, weight)


def _edges(first: NDArray[np.int64], neighbour: NDArray[np.int32], weight: NDArray[np.float64]) -> Edges:
    """Edges with their weights summed along each player's neighbours."""
    rising = np.empty(0)
    if weight.size:
        rising = np.concatenate([np.cumsum(part) for part in np.split(weight, first[1:-1])])
    for array in (first, neighbour, weight, rising):  # of one kind, so that the loops are compiled once
        array.flags.writeable = False
    return Edges(first, neighbour, weight, rising)


@numba.njit(cache=True, nogil=True)
def _turned(first: Any, neighbour: Any, weight: Any) -> Any:
    """The edges sorted by whom they lead to, else in their order."""
    size = first.size - 1
    begin = np.zeros(size + 1, dtype=np.int64)
    for edge in range(neighbour.size):
        begin[neighbour[edge] + 1] += 1
    for i in range(size):
        begin[i + 1] += begin[i]
    place = begin[:-1].copy()
    player, heavy = np.empty_like(neighbour), np.empty_like(weight)
    for i in range(size):
        for edge in range(first[i], first[i + 1]):
            j = neighbour[edge]
            player[place[j]] = i
            if weight.size:
                heavy[place[j]] = weight[edge]
            place[j] += 1
    return begin, player, heavy
