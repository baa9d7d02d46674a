"""The third view: players who are taken as independent of each other.

Player i uses k with probability p_ik. With expected payoffs f_i = sum_j A_ij p_j and the rule P of the process,

    p_i' = P(f_i) p_i - p_i,

which is close where each player has many neighbours, none of which counts much. Under logit choice its rest points are
the logit quantal response equilibria of the game.

Reference: P. Van Mieghem, J. Omic and R. Kooij, Virus spread in networks, IEEE/ACM Transactions on Networking 17
(2009), for the approximation; R. McKelvey and T. Palfrey, Quantal response equilibria for normal form games, Games and
Economic Behavior 10 (1995).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, invalid_argument
from neurogames.engine.choice import BestResponse
from neurogames.engine.matrix_dynamics.matrix_dynamics import integrate_dynamics, iterate_dynamics
from neurogames.engine.matrix_dynamics.matrix_path import MatrixPath
from neurogames.engine.matrix_dynamics.reply_paths import reply_paths
from neurogames.engine.matrix_dynamics.tied_replies import LinearReplies
from neurogames.engine.polymatrix.rules import largest_terms, log_revision
from neurogames.engine.polymatrix.simulate import check_polymatrix
from neurogames.engine.process import Process
from neurogames.engine.strategies.best_replies import pull
from neurogames.games.polymatrix import PolymatrixGame

Array = NDArray[np.float64]

_MOST_STRATEGIES = 4000


@dataclass(frozen=True, eq=False)
class PolymatrixMeanField:
    """Independent players of a polymatrix game; see :func:`polymatrix_mean_field`.

    Attributes:
        game: the game.
        process: how players revise.
    """

    game: PolymatrixGame
    process: Process

    def velocity(self, probability: Sequence[ArrayLike]) -> tuple[Array, ...]:
        """Changes of the probabilities per sweep.

        Args:
            probability: for each player (n_i,) probabilities of its strategies.

        Returns:
            For each player (n_i,) velocities, which sum to 0.

        Raises:
            ValueError: if there are not such vectors for all players.
        """
        law = [finite_array("probability", each, ndim=1) for each in probability]
        if [each.size for each in law] != self.game.n_strategies.tolist():
            raise invalid_argument("probability", f"{len(law)} vectors", "one for each player, of all its strategies")
        sizes, (player, tables) = self.game.n_strategies, self._tables
        p = np.zeros((len(law), sizes.max()))
        for row, own in zip(p, law, strict=True):
            row[: own.size] = own
        offers = np.zeros_like(p)
        np.add.at(offers, player, (tables @ p[self.game.neighbour][:, :, None])[:, :, 0])
        moves: list[Array] = [np.zeros(0)] * len(law)
        for n in np.unique(sizes):
            alike = np.flatnonzero(sizes == n)
            rule = np.exp(log_revision(self.process, offers[alike, :n], largest_terms(self.game)))
            change = (p[alike, None, :n] @ rule)[:, 0] - p[alike, :n]
            for i, move in zip(alike, change, strict=True):
                moves[i] = move
        return tuple(moves)

    def path(self, start: Sequence[ArrayLike], times: ArrayLike) -> MatrixPath:
        """Probabilities over time: integrated, or iterated where all revise at once.

        Best responses one at a time are followed exactly from one change of a best reply to the next.

        Args:
            start: for each player (n_i,) probabilities at time 0.
            times: (T,) increasing times >= 0, in sweeps; whole numbers where all revise at once.

        Returns:
            The path, its states being an array (T, n_i) for each player.

        Raises:
            ValueError: if a start is no probability, the times do not increase from 0 on, or best responses leave a tie
                in several ways, mutate between different numbers of strategies, or have more than 4000 of them.
        """
        if self.process.revision == "one" and isinstance(self.process.choice, BestResponse):
            path = reply_paths(self._replies(), start, times)
            return replace(path, players=tuple(map(str, self.game.players)), labels=self.game.labels)
        if self.process.revision == "one":
            path = integrate_dynamics(self._moves_near, lambda _, move: move, start, times)
            return replace(path, players=tuple(map(str, self.game.players)), labels=self.game.labels)
        at = finite_array("times", times, ndim=1)
        if at[0] < 0 or (np.diff(at) <= 0).any() or (at % 1 != 0).any():
            raise invalid_argument("times", times, "increasing whole numbers >= 0, since all revise at once")
        path = iterate_dynamics(self._moves_near, lambda _, move: move, start, int(at[-1]), step_size=1.0)
        states = tuple(state[at.astype(np.int64)] for state in path.states)
        return MatrixPath(at, states, path.off, path.status, tuple(map(str, self.game.players)), self.game.labels)

    @cached_property
    def _tables(self) -> tuple[NDArray[np.int64], Array]:
        """Whose each edge is, and its matrix, filled up with 0: (edges,) and (edges, n, n)."""
        game, widest = self.game, self.game.n_strategies.max()
        player = np.repeat(np.arange(game.n_players), np.diff(game.first))
        tables = np.zeros((player.size, widest, widest))
        for edge, i in enumerate(player):
            matrix = game.matrix(edge, int(i))
            tables[edge, : matrix.shape[0], : matrix.shape[1]] = matrix
        return player, tables

    def _replies(self) -> LinearReplies:
        """Best replies of all players, as one matrix of payoffs."""
        sizes = self.game.n_strategies
        if sizes.sum() > _MOST_STRATEGIES:
            got = f"best responses of players with {sizes.sum()} strategies"
            raise invalid_argument("game", got, f"at most {_MOST_STRATEGIES} strategies, or logit at a low temperature")
        pulls = np.array([pull(self.process, int(n)) for n in sizes])
        if np.ptp(pulls[:, 0]) > 0:
            expected = "mutation 0 where players have different numbers of strategies"
            raise invalid_argument("process", f"best_response() with mutation {self.process.mutation}", expected)
        first = np.concatenate([[0], np.cumsum(sizes)])
        payoffs = np.zeros((first[-1], first[-1]))
        for i, j, table in zip(self._tables[0], self.game.neighbour, self._tables[1], strict=True):
            payoffs[first[i] : first[i + 1], first[j] : first[j + 1]] += table[: sizes[i], : sizes[j]]
        players = range(len(sizes))
        return LinearReplies(payoffs, tuple(map(int, sizes)), tuple(players), pulls[:, 0], pulls[:, 1])

    def _moves_near(self, states: tuple[Array, ...]) -> tuple[Array, ...]:
        """Velocities at the nearest probabilities: steps of an integrator may leave the simplex by its error."""
        inside = [np.maximum(state, 0.0) for state in states]
        return self.velocity([state / state.sum() for state in inside])


def polymatrix_mean_field(game: PolymatrixGame, process: Process) -> PolymatrixMeanField:
    """The players of a polymatrix game, taken as independent.

    Args:
        game: the game.
        process: logit or best response with constant parameters.

    Returns:
        The mean field, to be asked for its velocity and paths.

    Raises:
        ValueError: if the process does not fit.

    >>> import networkx as nx
    >>> from neurogames.engine import logit
    >>> graph = nx.path_graph(3)
    >>> nx.set_edge_attributes(graph, [[1.0, 0.0], [0.0, 2.0]], "payoffs")
    >>> field = polymatrix_mean_field(PolymatrixGame(graph), Process(logit(0.5)))
    >>> path = field.path([[0.5, 0.5]] * 3, [0.0, 50.0])
    >>> [round(float(state[-1, 1]), 3) for state in path.states]
    [0.982, 1.0, 0.982]
    """
    check_polymatrix(game, process)
    return PolymatrixMeanField(game, process)
