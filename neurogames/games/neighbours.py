"""Who looks at whom on a graph, as arrays: from networkx, or from a sparse matrix for graphs of millions of edges."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument, number

_MOST_PLAYERS = 2**31 - 1
_ROWS = 2**20


def neighbourhoods(graph: Any, no_loops: str) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.float64]]:
    """Neighbours of each node with their weights.

    Args:
        graph: a networkx graph, whose parallel edges add up, or a square scipy.sparse array in CSR format.
        no_loops: why there must be none.

    Returns:
        (n+1,) where each node's neighbours begin in the other two, (edges,) their numbers, and (edges,) weights,
        empty where all are 1. The neighbours of a networkx graph increase; those of a sparse array stand as they do
        there.

    Raises:
        ValueError: if it is no such graph or has no node or a loop, or if a weight is not > 0.

    >>> first, neighbour, weight = neighbourhoods(nx.path_graph(3), "no loops")
    >>> first.tolist(), neighbour.tolist(), weight.tolist()
    ([0, 1, 3, 4], [1, 0, 2, 1], [])
    """
    if isinstance(graph, nx.Graph):
        if graph.number_of_nodes() == 0:
            raise invalid_argument("graph", "a graph without nodes", "at least one node")
        first, neighbour, weight = _of_networkx(graph, no_loops)
    else:
        first, neighbour, weight = _of_sparse(graph, no_loops)
    if weight.size and weight.min() == weight.max() == 1:
        return first, neighbour, np.empty(0)
    return first, neighbour, np.array(weight, dtype=np.float64)


def _of_networkx(graph: Any, no_loops: str) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]:
    place = {node: i for i, node in enumerate(graph)}
    weights: dict[tuple[int, int], float] = {}
    for node, other, weight in graph.edges(data="weight", default=1.0):
        i, j = place[node], place[other]
        if i == j:
            raise invalid_argument("graph", f"a loop at {node!r}", no_loops)
        for pair in ((i, j),) if graph.is_directed() else ((i, j), (j, i)):
            try:
                value = number("graph", weight, "weights > 0", lambda value: value > 0)
            except ValueError:
                got = f"an edge whose weight is not a finite number > 0: {weight!r}"
                raise invalid_argument("graph", got, "weights > 0") from None
            weights[pair] = weights.get(pair, 0.0) + value
    pairs = np.array(sorted(weights), dtype=np.int64).reshape(-1, 2)
    values = np.array([weights[i, j] for i, j in pairs.tolist()], dtype=np.float64)
    degree = np.bincount(pairs[:, 0], minlength=len(place))
    return np.concatenate([[0], np.cumsum(degree)]).astype(np.int64), pairs[:, 1].copy(), values


def _of_sparse(graph: Any, no_loops: str) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]:
    expected = "a networkx graph, or a square scipy.sparse array in CSR format"
    if getattr(graph, "format", None) != "csr":
        raise invalid_argument("graph", type(graph).__name__, expected)
    size = graph.shape[0]
    if graph.shape != (size, size) or not 0 < size <= _MOST_PLAYERS:
        raise invalid_argument("graph", f"shape {graph.shape}", expected)
    first, neighbour = np.array(graph.indptr, dtype=np.int64), np.array(graph.indices)
    weight = np.asarray(graph.data)
    if neighbour.size and not (weight.min() > 0 and np.isfinite(weight.max())):
        raise invalid_argument("graph", "an entry that is not a finite number > 0", "weights > 0")
    if neighbour.size and not (neighbour.min() >= 0 and neighbour.max() < size):
        raise invalid_argument("graph", f"numbers of columns up to {neighbour.max()}", f"numbers 0..{size - 1}")
    for low in range(0, size, _ROWS):  # by parts, since the graph may be large
        rows = np.arange(low, min(low + _ROWS, size))
        part = slice(first[low], first[rows[-1] + 1])
        if (neighbour[part] == np.repeat(rows, np.diff(first[low : rows[-1] + 2]))).any():
            raise invalid_argument("graph", "an entry on the diagonal", no_loops)
    return first, neighbour, weight
