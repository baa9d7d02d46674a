"""The first view: populations with n strategies, simulated by their compositions.

Players are alike and well mixed, so a population is its composition. Where the compositions are few enough, each has a
table: one 64-bit draw u is set against the accumulated thresholds of its n (n - 1) moves, and a second table says
which composition the move leads to. A larger population that plays a matrix game keeps the row of each strategy
instead, and works it out again only where changes may matter (``large_populations``). Under "all", every row is a
multinomial draw. Probabilities are resolved to 2^-64, in large populations to 2^-53.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import fits_in_memory, integer, invalid_argument
from neurogames.engine.compiled import compiled
from neurogames.engine.display.paths import plot_paths
from neurogames.engine.display.tables import paths_dataset, shares_in_words, tidy
from neurogames.engine.pieces import Stretch, play_in_pieces
from neurogames.engine.population import generator
from neurogames.engine.population.generator import draw, successes
from neurogames.engine.process import Process
from neurogames.engine.strategies.chain import check_start
from neurogames.engine.strategies.large_populations import play_large
from neurogames.engine.strategies.moves import single_moves
from neurogames.engine.strategies.switching import check_strategies, log_switching
from neurogames.games.compositions import compositions, n_compositions, ranks
from neurogames.games.population import PopulationGame

_SMALL_TABLE = 2**20
_LARGEST_TABLE = 2**25
_MOST_STRATEGIES = 64
_PIECE = 2**23
"""Revisions between two looks for Ctrl-C."""


@dataclass(frozen=True, eq=False)
class StrategyTrajectory:
    """Paths of a simulation with n strategies.

    Attributes:
        time: (T,) in sweeps; the first entry is 0.
        count: (replicas, T, n) number of players who use each strategy.
        labels: n names of the strategies.
    """

    time: NDArray[np.float64]
    count: NDArray[np.int64]
    labels: tuple[str, ...]

    @property
    def share(self) -> NDArray[np.float64]:
        """(replicas, T, n) share of each strategy."""
        return np.asarray(self.count / self.count[0, 0].sum())

    def plot(self, axis: Any = None) -> Any:
        """Draw the mean share of each strategy over time, with the band of most replicas.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.
        """
        return plot_paths(axis, self.time, self.share, self.labels)

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of counts and shares over replica, time and strategy."""
        return paths_dataset(self.time, self.count, self.share, self.labels)

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each replica, time and strategy."""
        return tidy(self.to_xarray())

    def __repr__(self) -> str:
        replicas, times = self.count.shape[:2]
        words = shares_in_words(self.labels, self.share[:, -1].mean(axis=0))
        return (
            f"StrategyTrajectory({replicas} replicas, {times} times up to sweep {self.time[-1]:g}; at the end {words})"
        )


def simulate_strategies(
    game: PopulationGame,
    process: Process,
    *,
    start: ArrayLike,
    sweeps: int,
    replicas: int = 1,
    rng: np.random.Generator,
    every: int = 1,
    threads: int = 1,
) -> StrategyTrajectory:
    """Simulate replicas of a population whose players revise their strategies.

    Args:
        game: the game.
        process: the process, with constant parameters.
        start: (n,) composition at time 0, or (replicas, n).
        sweeps: how long, in sweeps (N single revisions, or one round of all).
        replicas: number of independent populations.
        rng: source of the replicas' seeds; a replica's path does not depend on how many others there are.
        every: sweeps between two records.
        threads: number of threads that share the replicas; the paths do not depend on it.

    Returns:
        The compositions at times 0, every, 2 every, ... up to ``sweeps``.

    Raises:
        ValueError: if a count or a start is out of range, the process has schedules or does not fit the game, or the
            game is given by a function and has too many compositions.

    >>> from neurogames.engine import logit
    >>> game = PopulationGame.from_matrix([[2, 0, 0], [0, 1, 0], [0, 0, 1]], 30, ("bold", "shy", "odd"))
    >>> start, rng = [10, 10, 10], np.random.default_rng(0)
    >>> path = simulate_strategies(game, Process(logit(0.1)), start=start, sweeps=200, replicas=20, rng=rng)
    >>> path.count.shape, bool((path.share[:, -1, 0] > 0.9).all())
    ((20, 201, 3), True)
    """
    check_strategies(game, process)
    replicas = integer("replicas", replicas, minimum=1)
    sweeps = integer("sweeps", sweeps, minimum=0)
    every = integer("every", every, minimum=1)
    threads = integer("threads", threads, minimum=1)
    n = game.n_strategies
    if n > _MOST_STRATEGIES:
        raise invalid_argument("game", f"{n} strategies", f"at most {_MOST_STRATEGIES}")
    fits_in_memory("replicas, sweeps", (replicas, sweeps), replicas * n * (sweeps // every + 1))
    count = check_start(game, start, (replicas,))
    play = _player(game, process)
    time = np.arange(0, sweeps + 1, every)
    record = np.empty((replicas, time.size, n), dtype=np.int64)
    record[:, 0] = count
    state = generator.states(replicas, rng)

    def advance(rows: slice, part: Stretch) -> None:
        play(count[rows], state[rows], part, every, record[rows])

    turns = game.n_players if process.revision == "one" else 1
    play_in_pieces(advance, replicas, sweeps, turns, max(1, _PIECE * turns // game.n_players), threads)
    return StrategyTrajectory(time.astype(np.float64), record, game.labels)


def _player(game: PopulationGame, process: Process) -> Callable[..., None]:
    """The compiled loop for this game and process, its tables filled."""
    n, players = game.n_strategies, game.n_players
    size = n_compositions(players, n)
    entries = size * n * (n - 1)
    if game.matrix is not None and (entries > _SMALL_TABLE or process.revision == "all"):
        return partial(play_large, game, process)
    if entries > _LARGEST_TABLE:
        got = f"{size} compositions of {players} players and {n} strategies"
        expected = f"at most {_LARGEST_TABLE // (n * (n - 1))}, or a game made by PopulationGame.from_matrix"
        raise invalid_argument("game", got, expected)
    states = compositions(players, n)
    if process.revision == "one":
        moves = single_moves(game, process)
        thresholds = generator.thresholds(_logs_accumulated(moves.log_probability))
        target = np.column_stack([moves.target, np.arange(size)]).astype(np.int32)
        return partial(_play_singly, states, thresholds, target)
    rows = generator.thresholds(conditional_logs(log_switching(game, process, states)))
    return partial(_play_rounds, rows, _rank_tables(players, n))


def _logs_accumulated(log_probability: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.logaddexp.accumulate(log_probability, axis=-1))


def conditional_logs(log_row: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log probability of strategy j among j, j+1, ..., so that a row is drawn by one yes or no after another."""
    rest = np.flip(np.logaddexp.accumulate(np.flip(log_row, axis=-1), axis=-1), axis=-1)
    with np.errstate(invalid="ignore"):
        return np.where(rest > -np.inf, np.minimum(log_row - rest, 0.0), -np.inf)


def _rank_tables(players: int, n: int) -> NDArray[np.int64]:
    """(n - 1, N + 1) parts of a composition's place, by what is left before and after each strategy."""
    return np.array([[n_compositions(t - 1, n - k) if t else 0 for t in range(players + 2)] for k in range(n - 1)])


def _play_singly(
    states: Any, thresholds: Any, target: Any, count: Any, state: Any, part: Stretch, every: int, record: Any
) -> None:
    players = int(states[0].sum())
    place = ranks(count, players)
    _play_tables(states, thresholds, target, players, place, state, part, every, record)
    count[:] = states[place]


@compiled
def _play_tables(
    states: Any,
    thresholds: Any,
    target: Any,
    players: Any,
    first: Any,
    state: Any,
    part: Any,
    every: Any,
    record: Any,
) -> None:
    """Advance replicas by single revisions: a draw against the thresholds of the composition's moves."""
    moves, n = thresholds.shape[1], states.shape[1]
    for replica in range(first.size):
        words = (state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3])
        place = first[replica]
        for sweep in range(part.first, part.first + part.sweeps):
            for _ in range(part.begin, part.end):
                bits, words = draw(words)
                # No branch: which way a revision goes cannot be predicted.
                move = np.int64(0)
                for k in range(moves):
                    move += np.int64(bits >= thresholds[place, k])
                place = np.int64(target[place, move])
            if part.end == players and (sweep + 1) % every == 0:
                for j in range(n):
                    record[replica, (sweep + 1) // every, j] = states[place, j]
        first[replica] = place
        state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3] = words


@compiled
def _play_rounds(rows: Any, rank: Any, count: Any, state: Any, part: Any, every: Any, record: Any) -> None:
    """Advance replicas by rounds: a multinomial draw for the users of each strategy."""
    n = count.shape[1]
    after = np.empty(n, dtype=np.int64)
    for replica in range(count.shape[0]):
        words = (state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3])
        now = count[replica]
        for sweep in range(part.first, part.first + part.sweeps):
            place, left = np.int64(0), np.int64(rank.shape[1] - 2)
            for k in range(n - 1):
                place += rank[k, left + 1] - rank[k, left - now[k] + 1]
                left -= now[k]
            after[:] = 0
            for i in range(n):
                left = now[i]
                for j in range(n - 1):
                    went, words = successes(left, rows[place, i, j], words)
                    after[j] += went
                    left -= went
                after[n - 1] += left
            now[:] = after
            if (sweep + 1) % every == 0:
                record[replica, (sweep + 1) // every] = now
        state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3] = words
