"""Who looks at whom on a graph, for compiled loops: the edges both ways, in little memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.compiled import compiled
from neurogames.games.graph_game import GraphGame

_EDGES = 2**21
"""Edges between two looks for Ctrl-C."""


class Edges(NamedTuple):
    """Neighbours of each player.

    Attributes:
        first: (m+1,) where the neighbours of a player begin.
        neighbour: (edges,) their numbers.
        weight: (edges,) weights; empty where all are 1.
        rising: (edges,) weights summed along each player's neighbours; empty where all are 1.
        degree: how many neighbours each player has, where all have as many; else 0.
    """

    first: NDArray[np.int64]
    neighbour: NDArray[np.int32]
    weight: NDArray[np.float64]
    rising: NDArray[np.float64]
    degree: int


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
        rising = np.empty(weight.size)
        rows = max(1, _EDGES * (first.size - 1) // weight.size)
        for row in range(0, first.size - 1, rows):
            _sum_up(first, weight, row, min(row + rows, first.size - 1), rising)
    for array in (first, neighbour, weight, rising):  # of one kind, so that the loops are compiled once
        array.flags.writeable = False
    degree = neighbour.size // (first.size - 1)
    return Edges(first, neighbour, weight, rising, degree if (np.diff(first) == degree).all() else 0)


@compiled
def span(first: Any, degree: Any, i: Any) -> Any:
    """Where the neighbours of player i begin and end; on a regular graph nothing is read for it."""
    if degree > 0:
        return i * degree, (i + 1) * degree
    return first[i], first[i + 1]


def _turned(
    first: NDArray[np.int64], neighbour: NDArray[np.int32], weight: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """The edges sorted by whom they lead to, else in their order."""
    begin = np.zeros(first.size, dtype=np.int64)
    for low in range(0, neighbour.size, _EDGES):
        begin[1:] += np.bincount(neighbour[low : low + _EDGES], minlength=first.size - 1)
    begin = np.cumsum(begin)
    place, player, heavy = begin[:-1].copy(), np.empty_like(neighbour), np.empty_like(weight)
    rows = max(1, _EDGES * (first.size - 1) // max(1, neighbour.size))
    for row in range(0, first.size - 1, rows):
        _turn(first, neighbour, weight, row, min(row + rows, first.size - 1), place, player, heavy)
    return begin, player, heavy


@compiled
def _turn(first: Any, neighbour: Any, weight: Any, row: Any, last: Any, place: Any, player: Any, heavy: Any) -> None:
    """Put the edges of players row..last-1 where they belong; ``place`` says where the next one of each player goes."""
    # Nothing is returned: Ctrl-C during a compiled call that returns arrays ends the interpreter.
    for i in range(row, last):
        for edge in range(first[i], first[i + 1]):
            j = neighbour[edge]
            player[place[j]] = i
            if weight.size:
                heavy[place[j]] = weight[edge]
            place[j] += 1


@compiled
def _sum_up(first: Any, weight: Any, row: Any, last: Any, rising: Any) -> None:
    """Sum the weights along the neighbours of players row..last-1."""
    for i in range(row, last):
        total = 0.0
        for edge in range(first[i], first[i + 1]):
            total += weight[edge]
            rising[edge] = total
