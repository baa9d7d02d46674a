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

from neurogames._arguments import given_array, invalid_argument
from neurogames.engine.process import Process
from neurogames.engine.solution import EscapeTime
from neurogames.engine.strategies.composition_laws import Absorption, CompositionDistribution
from neurogames.engine.strategies.markov import absorbed, escape, laws_in_time, stationary_law, transition_matrix
from neurogames.engine.strategies.moves import Moves, check_size, round_moves, single_moves
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
        return transition_matrix(self.moves, self.process.revision == "one")

    def stationary(self) -> CompositionDistribution:
        """Stationary law: the share of time spent at each composition in the long run.

        Returns:
            The law. Where several sets of compositions are never left, no law is singled out: the status then says how
            many there are and the probabilities are NaN.
        """
        log_law, residual, status = stationary_law(self.moves)
        return CompositionDistribution(self.states, log_law, residual, status, self.game.labels)

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
        return escape(self.moves, place, target, self._revisions())

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
        return Absorption(*absorbed(self.moves, place, ends, self._revisions()), self.game.labels)

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
        log_law, residual = laws_in_time(self.transition_matrix(), place, sweeps, self._revisions())
        return CompositionDistribution(self.states, log_law, residual, labels=self.game.labels)

    def _revisions(self) -> int:
        """Steps of the chain in a sweep."""
        return self.game.n_players if self.process.revision == "one" else 1

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
