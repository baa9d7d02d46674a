"""The second view: the exact chain of the compositions of two finite populations.

A state is a pair of compositions. One revision moves one player of one population; in a round both populations move
independently, each by the rows of the state before. What is asked is answered as for one population.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine.process import Process
from neurogames.engine.solution import EscapeTime
from neurogames.engine.strategies.markov import absorbed, escape, laws_in_time, stationary_law, transition_matrix
from neurogames.engine.strategies.moves import Moves, fill_rounds
from neurogames.engine.two_populations.results import TwoPopulationAbsorption, TwoPopulationDistribution
from neurogames.engine.two_populations.simulate import check_pair
from neurogames.engine.two_populations.switching import Processes, check_two_populations, log_switching_pair
from neurogames.games.compositions import compositions, n_compositions, ranks
from neurogames.games.two_populations import TwoPopulationGame

_MOST_WORK = 2**33
_MOST_STATES = 2**11


@dataclass(frozen=True, eq=False)
class TwoPopulationChain:
    """The chain of the compositions of two populations; see :func:`two_population_chain`.

    Attributes:
        game: the game.
        processes: how players revise in each population.
    """

    game: TwoPopulationGame
    processes: tuple[Process, Process]

    @cached_property
    def moves(self) -> Moves:
        """Pairs of compositions, (S, n + m), and the moves between them."""
        return (_single_moves if self._singly else _round_moves)(self.game, self.processes)

    @property
    def states(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(S, n) and (S, m) compositions, in lexicographic order."""
        n = self.game.n_strategies[0]
        return self.moves.states[:, :n], self.moves.states[:, n:]

    def transition_matrix(self) -> Any:
        """(S, S) probabilities of one revision, or of one round, as a ``scipy.sparse.csr_array``."""
        return transition_matrix(self.moves, self._singly)

    def stationary(self) -> TwoPopulationDistribution:
        """Stationary law: the share of time spent at each pair of compositions in the long run.

        Returns:
            The law; where several sets of states are never left, the status says so and the probabilities are NaN.
        """
        log_law, residual, status = stationary_law(self.moves)
        return TwoPopulationDistribution(self.states, log_law, residual, status, self.game)

    def escape_time(
        self, start: Sequence[ArrayLike], target: Callable[[NDArray[np.int64], NDArray[np.int64]], Any]
    ) -> EscapeTime:
        """Expected time from a pair of compositions to the first one in a set.

        Args:
            start: (n,) and (m,) compositions at time 0.
            target: takes the compositions (S, n) and (S, m) and returns (S,) booleans, True in the set.

        Returns:
            The time in sweeps: single revisions over N + M, or rounds. It is inf when the set may never be reached.

        Raises:
            ValueError: if the start is no such pair, or the target is empty or of another shape.
        """
        n = self.game.n_strategies[0]
        place = self._place(start)
        return escape(self.moves, place, lambda states: target(states[:, :n], states[:, n:]), self._revisions)

    def absorption(self, start: Sequence[ArrayLike]) -> TwoPopulationAbsorption:
        """Probability of each pair of strategies to be the first that all use, each population its own.

        Args:
            start: (n,) and (m,) compositions at time 0.

        Returns:
            The probabilities, with the expected time.

        Raises:
            ValueError: if the start is no such pair.
        """
        place = self._place(start)
        first, second = (
            ranks(size * np.eye(n, dtype=np.int64), size)
            for size, n in zip(self.game.n_players, self.game.n_strategies, strict=True)
        )
        pairs = (first[:, None] * n_compositions(self.game.n_players[1], len(second)) + second).reshape(-1)
        log_hit, time, residual = absorbed(self.moves, place, pairs, self._revisions)
        return TwoPopulationAbsorption(log_hit.reshape(self.game.n_strategies), time, residual, self.game)

    def transient(self, start: Sequence[ArrayLike], sweeps: int | Sequence[int]) -> TwoPopulationDistribution:
        """Exact law after some sweeps.

        Args:
            start: (n,) and (m,) compositions at time 0.
            sweeps: when to look: a number of sweeps, or an increasing sequence of them.

        Returns:
            The law, with log_probability (S,), or (T, S) for a sequence; below 1e-308 a probability is 0.

        Raises:
            ValueError: if the start is no such pair or the times do not increase.
        """
        place = self._place(start)
        log_law, residual = laws_in_time(self.transition_matrix(), place, sweeps, self._revisions)
        return TwoPopulationDistribution(self.states, log_law, residual, "ok", self.game)

    @property
    def _singly(self) -> bool:
        return self.processes[0].revision == "one"

    @property
    def _revisions(self) -> int:
        return sum(self.game.n_players) if self._singly else 1

    def _place(self, start: Sequence[ArrayLike]) -> int:
        first, second = check_pair(self.game, start)
        (size, other), m = self.game.n_players, self.game.n_strategies[1]
        return int(ranks(first, size)) * n_compositions(other, m) + int(ranks(second, other))


def two_population_chain(game: TwoPopulationGame, process: Processes) -> TwoPopulationChain:
    """Exact chain of a process in two finite populations.

    Args:
        game: the game.
        process: the process with constant parameters, or one for each population.

    Returns:
        The chain.

    Raises:
        ValueError: if the process has schedules or does not fit the game, or if the chain is too large.

    >>> from neurogames.engine import logit
    >>> pennies = TwoPopulationGame([[1, -1], [-1, 1]], [[-1, 1], [1, -1]], (6, 8))
    >>> law = two_population_chain(pennies, Process(logit(0.5))).stationary()
    >>> [share.round(6).tolist() for share in law.mean_share()], law.residual < 1e-12
    ([[0.5, 0.5], [0.5, 0.5]], True)

    Of two populations that copy regardless of payoffs each ends with a strategy as often as it began with it:

    >>> from neurogames.engine import imitation
    >>> two_population_chain(pennies, Process(imitation(0.0))).absorption(([2, 4], [6, 2])).probability.round(6)
    array([[0.25    , 0.083333],
           [0.5     , 0.166667]])

    Reference: J. Kemeny and J. L. Snell, Finite Markov Chains (1960), chapter 3.
    """
    pair = check_two_populations(game, process)
    counts = [n_compositions(size, n) for size, n in zip(game.n_players, game.n_strategies, strict=True)]
    size = counts[0] * counts[1]
    band = n_compositions(game.n_players[0], max(game.n_strategies[0] - 1, 1)) * counts[1]
    work = size * band**2 if pair[0].revision == "one" else size**3
    if work > _MOST_WORK or (pair[0].revision == "all" and size > _MOST_STATES):
        got = f"{size} pairs of compositions, {work:.1e} steps"
        expected = f"a chain of at most {_MOST_WORK:.1e} steps: fewer players, or simulate_two_populations"
        raise invalid_argument("game", got, expected)
    return TwoPopulationChain(game, pair)


def _parts(game: TwoPopulationGame) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Compositions of each population, and all pairs of them, (S, n + m)."""
    first, second = (compositions(size, n) for size, n in zip(game.n_players, game.n_strategies, strict=True))
    pairs = np.column_stack([np.repeat(first, len(second), axis=0), np.tile(second, (len(first), 1))])
    return first, second, pairs


def _single_moves(game: TwoPopulationGame, pair: tuple[Process, Process]) -> Moves:
    """Moves of one revision: one of all players is picked, then it changes its strategy or not."""
    _, second, states = _parts(game)
    n = game.n_strategies[0]
    counts = states[:, :n], states[:, n:]
    rules = log_switching_pair(game, pair, counts)
    place = np.arange(len(states))
    targets, logs, stays = [], [], []
    for p, (count, rule) in enumerate(zip(counts, rules, strict=True)):
        width, size = count.shape[1], game.n_players[p]
        stride = len(second) if p == 0 else 1
        here = ranks(count, size)
        with np.errstate(divide="ignore"):
            log_picked = np.log(count / sum(game.n_players))
        step = np.eye(width, dtype=np.int64)
        for i in range(width):
            possible = count[:, i] > 0
            for j in (k for k in range(width) if k != i):
                after = ranks(count + np.where(possible[:, None], step[j] - step[i], 0), size)
                targets.append(place + (after - here) * stride)
                logs.append(np.where(possible, log_picked[:, i] + rule[:, i, j], -np.inf))
            stays.append(np.where(possible, log_picked[:, i] + rule[:, i, i], -np.inf))
    target = np.column_stack(targets)
    band = int(np.abs(target - place[:, None]).max())
    return Moves(states, target, np.column_stack(logs), np.logaddexp.reduce(np.column_stack(stays), axis=1), band)


def _round_moves(game: TwoPopulationGame, pair: tuple[Process, Process]) -> Moves:
    """Moves of a round in which everybody revises, each by the rule of the state before it."""
    first, second, states = _parts(game)
    n = game.n_strategies[0]
    counts = states[:, :n], states[:, n:]
    laws = []
    for goal, count, rule in zip((first, second), counts, log_switching_pair(game, pair, counts), strict=True):
        radix = (goal[0].sum() + 1) ** np.arange(goal.shape[1] - 1)
        law = np.empty((len(states), len(goal)))
        fill_rounds(np.ascontiguousarray(count), rule, goal[:, :-1] @ radix, radix, law)
        laws.append(law)
    size = len(states)
    log_probability = (laws[0][:, :, None] + laws[1][:, None, :]).reshape(size, size)
    target = np.broadcast_to(np.arange(size), (size, size))
    return Moves(states, target, log_probability, np.diag(log_probability).copy(), size - 1)
