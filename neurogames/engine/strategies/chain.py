"""The second view: the exact chain of the composition of a finite population with n strategies.

Revising one at a time, 100 players with three strategies have 5151 compositions, each with six moves; revising all at
once every composition leads to every other one. Both are solved by state reduction (``reduction``), without
subtractions and in numbers of unlimited range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import given_array, integer, invalid_argument
from neurogames.engine.process import Process
from neurogames.engine.solution import EscapeTime
from neurogames.engine.strategies.composition_laws import Absorption, CompositionDistribution
from neurogames.engine.strategies.moves import Moves, check_size, round_moves, single_moves
from neurogames.engine.strategies.reduction import log_passage, log_stationary
from neurogames.engine.strategies.switching import check_strategies
from neurogames.games.compositions import ranks
from neurogames.games.population import PopulationGame


@dataclass(frozen=True, eq=False)
class StrategyChain:
    """The chain of the composition of a population; see :func:`strategy_chain`.

    Attributes:
        game: the game.
        process: how players revise.
    """

    game: PopulationGame
    process: Process

    @cached_property
    def moves(self) -> Moves:
        """Compositions and the moves between them."""
        return (single_moves if self.process.revision == "one" else round_moves)(self.game, self.process)

    @property
    def states(self) -> NDArray[np.int64]:
        """(S, n) compositions, in lexicographic order."""
        return self.moves.states

    def transition_matrix(self) -> Any:
        """(S, S) probabilities of one revision, or of one round, as a ``scipy.sparse.csr_array``."""
        from scipy.sparse import csr_array

        moves = self.moves
        size = len(moves.states)
        row = np.broadcast_to(np.arange(size)[:, None], moves.target.shape)
        entries = (np.exp(moves.log_probability).ravel(), (row.ravel(), moves.target.ravel()))
        matrix = csr_array(entries, shape=(size, size))
        if self.process.revision == "one":
            matrix = csr_array(matrix + csr_array((np.exp(moves.log_stay), (range(size), range(size)))))
        matrix.eliminate_zeros()
        return matrix

    def stationary(self) -> CompositionDistribution:
        """Stationary law: the share of time spent at each composition in the long run.

        Returns:
            The law. Where several sets of compositions are never left, no law is singled out: the status then says how
            many there are and the probabilities are NaN.
        """
        moves = self.moves
        classes = self._closed_classes()
        if len(classes) > 1:
            first = ", ".join(str(tuple(map(int, moves.states[places[0]]))) for places in classes[:5])
            status = f"not unique: {len(classes)} sets of compositions are never left, with {first}"
            unknown = np.full(len(moves.states), np.nan)
            return CompositionDistribution(moves.states, unknown, float("nan"), status, self.game.labels)
        everywhere = np.full(len(moves.states), -np.inf)
        everywhere[classes[0]], residual = log_stationary(moves, classes[0])
        return CompositionDistribution(moves.states, everywhere, residual, labels=self.game.labels)

    def escape_time(self, start: ArrayLike, target: Callable[[NDArray[np.int64]], Any]) -> EscapeTime:
        """Expected time from a composition to the first one in a set.

        Args:
            start: (n,) composition at time 0.
            target: takes the compositions (S, n) and returns (S,) booleans, True in the set.

        Returns:
            The time in sweeps: single revisions over N, or rounds. It is inf when the set may never be reached.

        Raises:
            ValueError: if the start is no composition of N players, or the target is empty or of another shape.
        """
        place = self._place(start)
        inside = np.asarray(target(self.states.copy()))
        if inside.dtype != np.bool_ or inside.shape != (len(self.states),) or not inside.any():
            got = f"{inside.dtype} of shape {inside.shape}, {int(inside.sum())} of them true"
            raise invalid_argument("target", got, f"({len(self.states)},) booleans, one at least True")
        if inside[place]:
            return EscapeTime(-np.inf, 0.0)
        return self._passage(place, np.where(inside, 0, -1).astype(np.int64), 1)[1]

    def absorption(self, start: ArrayLike) -> Absorption:
        """Probability of each strategy to be the first that all use.

        Args:
            start: (n,) composition at time 0.

        Returns:
            The probabilities, with the expected time.

        Raises:
            ValueError: if the start is no composition of N players.
        """
        place = self._place(start)
        n, players = self.game.n_strategies, self.game.n_players
        ends = ranks(players * np.eye(n, dtype=np.int64), players)
        goal = np.full(len(self.states), -1)
        goal[ends] = np.arange(n)
        if goal[place] >= 0:
            there = np.where(ends == place, 0.0, -np.inf)
            return Absorption(there, EscapeTime(-np.inf, 0.0), 0.0, self.game.labels)
        log_hit, time, residual = self._passage(place, goal, n)
        return Absorption(log_hit, time, residual, self.game.labels)

    def transient(self, start: ArrayLike, sweeps: int | Sequence[int]) -> CompositionDistribution:
        """Exact law after some sweeps.

        Args:
            start: (n,) composition at time 0.
            sweeps: when to look: a number of sweeps, or an increasing sequence of them.

        Returns:
            The law, with log_probability (S,), or (T, S) for a sequence; below 1e-308 a probability is 0.

        Raises:
            ValueError: if the start is no composition of N players or the times do not increase.
        """
        place = self._place(start)
        several = isinstance(sweeps, Sequence | np.ndarray)
        times = [integer("sweeps", time, minimum=0) for time in np.atleast_1d(sweeps)]
        if not times or (np.diff(times) <= 0).any():
            raise invalid_argument("sweeps", sweeps, "a whole number or an increasing sequence of them")
        onward = self.transition_matrix().T.tocsr()
        law = np.zeros(len(self.states))
        law[place] = 1.0
        seen, now = [], 0
        steps = self.game.n_players if self.process.revision == "one" else 1
        for time in times:
            for _ in range(steps * (time - now)):
                law = onward @ law
            now = time
            seen.append(law)
        laws = np.stack(seen)
        residual = float(np.abs(laws.sum(axis=-1) - 1.0).max())
        with np.errstate(divide="ignore"):
            log_laws = np.log(laws)
        log_law = log_laws if several else log_laws[0]
        return CompositionDistribution(self.states, log_law, residual, labels=self.game.labels)

    def _passage(
        self, place: int, goal: NDArray[np.int64], goals: int
    ) -> tuple[NDArray[np.float64], EscapeTime, float]:
        """From one state: log probabilities of the goals, and the time until one is reached."""
        from scipy.sparse.csgraph import breadth_first_order

        graph = self._graph(goal < 0)
        reached = np.sort(breadth_first_order(graph, place, return_predecessors=False)).astype(np.intp)
        places = reached[goal[reached] < 0]
        log_hit, log_time, residual = log_passage(self.moves, places, goal, goals)
        at = int(np.searchsorted(places, place))
        steps = self.game.n_players if self.process.revision == "one" else 1
        return log_hit[at], EscapeTime(float(log_time[at] - np.log(steps)), residual), residual

    def _closed_classes(self) -> list[NDArray[np.intp]]:
        """Sets of compositions that are never left and cannot be split."""
        from scipy.sparse.csgraph import connected_components

        graph = self._graph(np.ones(len(self.states), dtype=np.bool_))
        number, label = connected_components(graph, directed=True, connection="strong")
        row, column = graph.nonzero()
        left = np.unique(label[row[label[row] != label[column]]])
        return [np.flatnonzero(label == index) for index in range(number) if index not in left]

    def _graph(self, sources: NDArray[np.bool_]) -> Any:
        """Which compositions a move leads to, from those in ``sources``."""
        from scipy.sparse import csr_array

        moves = self.moves
        size = len(moves.states)
        possible = (moves.log_probability > -np.inf) & sources[:, None]
        row = np.broadcast_to(np.arange(size)[:, None], possible.shape)[possible]
        return csr_array((np.ones(row.size, dtype=np.int8), (row, moves.target[possible])), shape=(size, size))

    def _place(self, start: ArrayLike) -> int:
        return int(ranks(check_start(self.game, start, ()), self.game.n_players))


def check_start(game: PopulationGame, start: ArrayLike, batch: tuple[int, ...]) -> NDArray[np.int64]:
    """Return compositions of N players as a fresh array of shape (*batch, n), or refuse them."""
    given = given_array("start", start)
    n = game.n_strategies
    expected = f"{n} whole numbers >= 0 that sum to {game.n_players}" + (
        f", one or {batch[0]} of them" if batch else ""
    )
    if given.dtype.kind not in "iu" or given.shape not in ((n,), (*batch, n)):
        raise invalid_argument("start", start, expected)
    if (given < 0).any() or (given.sum(axis=-1) != game.n_players).any():
        raise invalid_argument("start", start, expected)
    return np.array(np.broadcast_to(given, (*batch, n)), dtype=np.int64)


def strategy_chain(game: PopulationGame, process: Process) -> StrategyChain:
    """Exact chain of a process in a finite population with n strategies.

    Args:
        game: the game.
        process: the process, with constant parameters.

    Returns:
        The chain.

    Raises:
        ValueError: if the process has schedules or does not fit the game, or if the chain is too large.

    >>> from neurogames.engine import imitation
    >>> game = PopulationGame.from_matrix([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], 12)
    >>> chain = strategy_chain(game, Process(imitation(1.0), mutation=0.01))
    >>> law = chain.stationary()
    >>> law.mean_share().round(6), law.residual < 1e-12
    (array([0.333333, 0.333333, 0.333333]), True)
    >>> strategy_chain(game, Process(imitation(1.0))).absorption([4, 4, 4]).probability.round(6)
    array([0.333333, 0.333333, 0.333333])

    Reference: J. Kemeny and J. L. Snell, Finite Markov Chains (1960), chapter 3.
    """
    check_strategies(game, process)
    check_size(game, process)
    return StrategyChain(game, process)
