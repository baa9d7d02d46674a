"""A polymatrix game: players on a graph, each edge with payoffs of its own.

Players i = 0..m-1 are the nodes; player i has n_i strategies and one of them at a time, s_i, against all its
neighbours. It earns

    u_i(s) = sum_j A_ij[s_i, s_j],

over the neighbours j it looks at (its successors, if the graph is directed). With A_ij = A and n_i = n everywhere this
is a :class:`~neurogames.games.graph_game.GraphGame`.

Reference: E. Yanovskaya, Equilibrium points in polymatrix games, Lithuanian Mathematical Journal 8 (1968); Y. Cai,
O. Candogan, C. Daskalakis and C. Papadimitriou, Zero-sum polymatrix games, Mathematics of Operations Research 41
(2016).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, fits_in_memory, invalid_argument
from neurogames.games.normal_form import Labels, NormalFormGame

_MOST_STRATEGIES = 100


@dataclass(frozen=True, eq=False)
class PolymatrixGame:
    """Two-player games along the edges of a graph; each player has one strategy for all of its games.

    Args:
        graph: a networkx graph. In a directed one the attribute "payoffs" of an edge i -> j is A_ij, (n_i, n_j) what i
            earns; two edges i -> j and j -> i make a bimatrix game. In an undirected one it is a square matrix that
            both ends earn by, the own strategy in the row.
        labels: for each node the names of its strategies; numbers from 1 on when left out.

    Attributes:
        players: the m nodes.
        n_strategies: (m,) numbers of strategies n_i.
        labels: names of each player's strategies.
        first: (m+1,) where each player's neighbours begin in the next two arrays.
        neighbour: (edges,) their numbers.
        offset: (edges,) where the entries of A_ij begin in ``table``, row by row.
        table: the entries of all matrices.

    Raises:
        ValueError: if an edge has no such matrix, a player has matrices with different numbers of rows or no edge, or
            the graph has a loop.

    >>> pennies = nx.DiGraph()
    >>> pennies.add_edge("even", "odd", payoffs=[[1, -1], [-1, 1]])
    >>> pennies.add_edge("odd", "even", payoffs=[[-1, 1], [1, -1]])
    >>> PolymatrixGame(pennies).payoffs([0, 0])
    array([ 1., -1.])
    """

    players: tuple[Hashable, ...]
    n_strategies: NDArray[np.int64]
    labels: tuple[tuple[str, ...], ...]
    first: NDArray[np.int64]
    neighbour: NDArray[np.int64]
    offset: NDArray[np.int64]
    table: NDArray[np.float64]

    def __init__(self, graph: Any, labels: Mapping[Any, Sequence[str]] | None = None) -> None:
        if not isinstance(graph, nx.Graph) or graph.is_multigraph() or graph.number_of_edges() == 0:
            raise invalid_argument("graph", graph, "a networkx graph with at least one edge, none of them parallel")
        players = tuple(graph.nodes)
        place = {node: k for k, node in enumerate(players)}
        found = [
            (place[a], place[b], _payoffs(a, b, data, graph.is_directed()))
            for a, b, data in (graph if graph.is_directed() else graph.to_directed()).edges(data=True)
        ]
        sizes = np.zeros(len(players), dtype=np.int64)
        for i, j, matrix in found:
            if i == j:
                raise invalid_argument("graph", f"a loop at {players[i]!r}", "no loops: nobody plays with itself")
            for player, size in ((i, matrix.shape[0]), (j, matrix.shape[1])):
                if sizes[player] not in (0, size):
                    got = f"{sizes[player]} and {size} strategies of {players[player]!r}"
                    raise invalid_argument("graph", got, "payoffs with the same number of strategies on all its edges")
                sizes[player] = size
        if (sizes == 0).any():
            raise invalid_argument("graph", f"{players[int(sizes.argmin())]!r} without an edge", "an edge at each node")
        found.sort(key=lambda edge: (edge[0], edge[1]))
        lengths = np.array([matrix.size for _, _, matrix in found])
        values = {
            "players": players,
            "n_strategies": sizes,
            "labels": _names(labels, players, sizes),
            "first": np.concatenate([[0], np.cumsum(np.bincount([i for i, _, _ in found], minlength=len(players)))]),
            "neighbour": np.array([j for _, j, _ in found], dtype=np.int64),
            "offset": np.concatenate([[0], np.cumsum(lengths)[:-1]]),
            "table": np.concatenate([matrix.ravel() for _, _, matrix in found]),
        }
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    @property
    def n_players(self) -> int:
        """Number of players m."""
        return len(self.players)

    def __repr__(self) -> str:
        least, most = int(self.n_strategies.min()), int(self.n_strategies.max())
        sizes = str(least) if least == most else f"{least} to {most}"
        return (
            f"PolymatrixGame({self.n_players} players, {self.neighbour.size} payoff matrices, {sizes} strategies each)"
        )

    def offers(self, player: int, profiles: NDArray[np.int64]) -> NDArray[np.float64]:
        """What each strategy would pay to a player, (..., n_i), beside profiles (..., m) of all, its own left out."""
        n = int(self.n_strategies[player])
        total = np.zeros((*profiles.shape[:-1], n))
        for edge in range(self.first[player], self.first[player + 1]):
            other = self.neighbour[edge]
            total += self.matrix(edge, player).T[profiles[..., other]]
        return total

    def matrix(self, edge: int, player: int) -> NDArray[np.float64]:
        """(n_i, n_j) payoffs of a player i along one of its edges, by number."""
        shape = (self.n_strategies[player], self.n_strategies[self.neighbour[edge]])
        return self.table[self.offset[edge] : self.offset[edge] + shape[0] * shape[1]].reshape(shape)

    def payoffs(self, profile: ArrayLike) -> NDArray[np.float64]:
        """What each player earns.

        Args:
            profile: (m,) whole numbers, s_i in 0..n_i - 1.

        Returns:
            (m,) payoffs.

        Raises:
            ValueError: if it is no such profile.
        """
        s = np.asarray(profile)
        if s.dtype.kind not in "iu" or s.shape != (self.n_players,) or (s < 0).any() or (s >= self.n_strategies).any():
            got = f"{s.dtype} of shape {s.shape}"
            raise invalid_argument("profile", got, f"{self.n_players} whole numbers, a strategy of each player")
        return np.array([self.offers(i, s)[s[i]] for i in range(self.n_players)])

    def to_normal_form(self) -> NormalFormGame:
        """The game as payoff tensors, names kept.

        Raises:
            ValueError: if the tensors do not fit into memory.
        """
        shape = tuple(map(int, self.n_strategies))
        fits_in_memory("game", f"{self.n_players} players", self.n_players * math.prod(shape))
        tensors = []
        for i in range(self.n_players):
            tensor = np.zeros(shape)
            for edge in range(self.first[i], self.first[i + 1]):
                j = int(self.neighbour[edge])
                matrix = self.matrix(edge, i) if i < j else self.matrix(edge, i).T
                axes = [n if k in (i, j) else 1 for k, n in enumerate(shape)]
                tensor += matrix.reshape(axes)
            tensors.append(tensor)
        return NormalFormGame(tuple(tensors), Labels("", "", tuple(map(str, self.players)), self.labels))


def _payoffs(a: Any, b: Any, data: Mapping[str, Any], directed: bool) -> NDArray[np.float64]:
    """The matrix of an edge."""
    if "payoffs" not in data:
        raise invalid_argument("graph", f"an edge {a!r}, {b!r} without payoffs", 'an attribute "payoffs" at each edge')
    matrix = finite_array("graph", data["payoffs"], ndim=2)
    if not directed and matrix.shape[0] != matrix.shape[1]:
        expected = "a square matrix, or a directed graph with a matrix for each direction"
        raise invalid_argument("graph", f"payoffs of shape {matrix.shape} at {a!r}, {b!r}", expected)
    if not 1 <= min(matrix.shape) <= max(matrix.shape) <= _MOST_STRATEGIES:
        raise invalid_argument("graph", f"payoffs of shape {matrix.shape}", f"1 to {_MOST_STRATEGIES} strategies")
    return matrix


def _names(
    labels: Mapping[Any, Sequence[str]] | None, players: tuple[Hashable, ...], sizes: NDArray[np.int64]
) -> tuple[tuple[str, ...], ...]:
    """Names of all strategies."""
    if labels is None:
        return tuple(tuple(str(k + 1) for k in range(n)) for n in sizes)
    if not isinstance(labels, Mapping) or set(labels) != set(players):
        raise invalid_argument("labels", labels, "for each node the names of its strategies")
    names = tuple(tuple(map(str, labels[node])) for node in players)
    for node, own, n in zip(players, names, sizes, strict=True):
        if len(own) != n:
            raise invalid_argument("labels", f"{len(own)} names for {node!r}", f"{n}, one for each strategy")
    return names
