"""A matrix game played on a graph: every player has one strategy against all its neighbours.

Players i = 0..m-1 are the nodes of a graph. Player i looks at its neighbours j (its successors, if the graph is
directed) with weights w_ij > 0, and earns

    u_i = sum_j w_ij A[s_i, s_j],    or its mean, divided by sum_j w_ij,

where s are the strategies and A is the matrix. Who has no neighbour earns 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, invalid_argument, one_of
from neurogames.games.neighbours import neighbourhoods

Earnings = Literal["mean", "sum"]

_MOST_STRATEGIES = 100


@dataclass(frozen=True, eq=False)
class GraphGame:
    """A symmetric two-player game with n strategies, played along the edges of a graph.

    Args:
        matrix: A, (n, n) what the strategy of the row pays against that of the column; n <= 100.
        graph: any networkx graph without loops, whose edge attributes "weight" > 0 count (1 where there is none), or a
            square scipy.sparse array in CSR format whose entry (i, j) > 0 is w_ij.
        earnings: "mean" or "sum" of the payoffs against the neighbours.
        labels: n names of the strategies; numbers from 1 on when left out.

    Attributes:
        first: (m+1,) where each player's neighbours begin in the next two arrays.
        neighbour: (edges,) their numbers.
        weight: (edges,) their weights; empty where all are 1.

    Raises:
        ValueError: if the matrix is not square or not finite, a weight is not > 0, or the graph has a loop or no node.

    >>> import networkx as nx
    >>> game = GraphGame([[1, 0], [2, 0.5]], nx.star_graph(3), earnings="sum")
    >>> game.payoffs([1, 0, 0, 0])
    array([6., 0., 0., 0.])
    """

    matrix: NDArray[np.float64]
    earnings: Earnings
    labels: tuple[str, ...]
    first: NDArray[np.int64]
    neighbour: NDArray[np.int32]
    weight: NDArray[np.float64]

    def __init__(
        self, matrix: ArrayLike, graph: Any, earnings: Earnings = "mean", labels: tuple[str, ...] = ()
    ) -> None:
        table = finite_array("matrix", matrix, ndim=2)
        if table.shape[0] != table.shape[1] or not 2 <= len(table) <= _MOST_STRATEGIES:
            got = f"shape {table.shape}"
            raise invalid_argument("matrix", got, f"a square matrix of 2 to {_MOST_STRATEGIES} strategies")
        one_of("earnings", earnings, get_args(Earnings))
        names = tuple(labels) or tuple(str(k + 1) for k in range(len(table)))
        if len(names) != len(table):
            raise invalid_argument("labels", f"{len(names)} names", f"{len(table)}, one for each strategy")
        first, neighbour, weight = neighbourhoods(graph, "no loops: nobody plays with itself")
        values = {
            "matrix": table,
            "earnings": earnings,
            "labels": names,
            "first": first,
            "neighbour": neighbour.astype(np.int32, copy=False),
            "weight": weight,
        }
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    @property
    def n_players(self) -> int:
        """Number of players m."""
        return self.first.size - 1

    @property
    def n_strategies(self) -> int:
        """Number of strategies n."""
        return len(self.matrix)

    def __repr__(self) -> str:
        names = ", ".join(self.labels[:6]) + ", ..." * (self.n_strategies > 6)
        return (
            f"GraphGame({self.n_players} players, {self.n_strategies} strategies: {names}; {self.earnings} of payoffs)"
        )

    def reach(self) -> NDArray[np.float64]:
        """(m,) sum of the weights of each player's neighbours."""
        if self.weight.size == 0:
            return np.diff(self.first).astype(np.float64)
        return np.asarray(np.diff(np.concatenate([[0.0], np.cumsum(self.weight)])[self.first]))

    def payoffs(self, strategies: ArrayLike) -> NDArray[np.float64]:
        """What each player earns.

        Args:
            strategies: (m,) whole numbers in 0..n-1.

        Returns:
            (m,) payoffs.

        Raises:
            ValueError: if the strategies are not such numbers, one for each player.
        """
        s = np.asarray(strategies)
        if s.dtype.kind not in "iu" or s.shape != (self.n_players,) or s.min() < 0 or s.max() >= self.n_strategies:
            got = f"{s.dtype} of shape {s.shape}"
            raise invalid_argument("strategies", got, f"{self.n_players} whole numbers in 0..{self.n_strategies - 1}")
        player = np.repeat(np.arange(self.n_players), np.diff(self.first))
        weight = self.weight if self.weight.size else np.ones(self.neighbour.size)
        total = np.bincount(player, weight * self.matrix[s[player], s[self.neighbour]], minlength=self.n_players)
        scale = np.where(self.reach() > 0, self.reach(), 1.0) if self.earnings == "mean" else 1.0
        return np.asarray(total / scale)

    def payoff_range(self) -> tuple[float, float]:
        """Bounds of what a player can earn, attained where its neighbours all use the same strategy."""
        least, most = float(self.matrix.min()), float(self.matrix.max())
        scale = (self.reach() > 0).astype(np.float64) if self.earnings == "mean" else self.reach()
        ends = np.concatenate([scale * least, scale * most])
        return float(ends.min()), float(ends.max())
