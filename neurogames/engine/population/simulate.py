"""The first view: agents who revise, simulated.

The players are alike and well mixed, so a population is its number n of actors. One revision under "one" picks a
player at random and moves n by +1 with probability (N-n)/N * on(n), by -1 with probability n/N * off(n-1). It costs one
64-bit draw u against two tabulated integers: up if u is small, down if u is large. Under "all", every player draws.
Probabilities are resolved to 2^-64; what is rarer never happens here, and is what the exact chain is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import fits_in_memory, given_array, integer, invalid_argument
from neurogames.engine.compiled import compiled
from neurogames.engine.pieces import Stretch, play_in_pieces
from neurogames.engine.population import generator
from neurogames.engine.population.generator import draw, successes
from neurogames.engine.process import Process, check_played, switching
from neurogames.engine.schedules import progress_of
from neurogames.engine.solution import Trajectory
from neurogames.games.base import TwoActionGame

_TABLE_ENTRIES = 2**20
_PIECE = 2**26
"""Revisions between two looks for Ctrl-C."""


def simulate(
    game: TwoActionGame,
    process: Process,
    *,
    start: ArrayLike,
    sweeps: int,
    replicas: int = 1,
    rng: np.random.Generator,
    every: int = 1,
) -> Trajectory:
    """Simulate replicas of a population that revises its actions.

    Args:
        game: the game.
        process: the process; schedules are evaluated at progress s / sweeps in sweep s = 0, 1, ...
        start: number of actors at time 0, one for all replicas or (replicas,).
        sweeps: how long, in sweeps (N single revisions, or one round of all).
        replicas: number of independent populations.
        rng: source of the replicas' seeds; a replica's path does not depend on how many others there are.
        every: sweeps between two records.

    Returns:
        The trajectory at times 0, every, 2 every, ... up to ``sweeps``.

    Raises:
        ValueError: if a count, a start or a schedule is out of range.

    >>> from neurogames import PublicGoodsGame, logit
    >>> game, process = PublicGoodsGame(20, 0.4, 1.0), Process(logit(0.08))
    >>> path = simulate(game, process, start=0, sweeps=2000, replicas=50, rng=np.random.default_rng(0))
    >>> path.count.shape, bool(path.share[:, -1].mean() > 0.8)
    ((50, 2001), True)
    """
    check_played(game, process)
    n = game.n_players
    replicas = integer("replicas", replicas, minimum=1)
    sweeps = integer("sweeps", sweeps, minimum=0)
    every = integer("every", every, minimum=1)
    fits_in_memory("replicas, sweeps", (replicas, sweeps), replicas * (sweeps // every + 1))
    count = _starts(start, replicas, n)
    time = np.arange(0, sweeps + 1, every)
    record = np.empty((replicas, time.size), dtype=np.int64)
    record[:, 0] = count
    state = generator.states(replicas, rng)
    play = _play_one if process.revision == "one" else _play_all
    for first, length, tables in threshold_tables(game, process, sweeps):

        def advance(rows: slice, part: Stretch, first: int = first, tables: Any = tables) -> None:
            some = tables[part.first : part.first + part.sweeps] if len(tables) > 1 else tables
            played = part._replace(first=first + part.first)
            play(some, count[rows], state[rows], played, every, n, record[rows])

        turns = n if process.revision == "one" else 1
        play_in_pieces(advance, replicas, length, turns, max(1, _PIECE * turns // n))
    return Trajectory(time=time.astype(np.float64), count=record, n_players=n)


def _starts(start: ArrayLike, replicas: int, n: int) -> NDArray[np.int64]:
    """A fresh array of the replicas' first counts."""
    given = given_array("start", start)
    expected = f"integers in [0, {n}], one or {replicas} of them"
    if given.dtype.kind not in "iu" or given.shape not in ((), (replicas,)):
        raise invalid_argument("start", start, expected)
    if (given < 0).any() or (given > n).any():
        raise invalid_argument("start", start, expected)
    return np.array(np.broadcast_to(given, (replicas,)), dtype=np.int64)


def threshold_tables(
    game: TwoActionGame, process: Process, sweeps: int
) -> Iterator[tuple[int, int, NDArray[np.uint64]]]:
    """Yield (first sweep, number of sweeps, thresholds (1 or that number, N+1, 2)), in bounded memory."""
    n = game.n_players
    length = max(sweeps, 1) if process.constant else max(1, _TABLE_ENTRIES // (n + 1))
    for first in range(0, sweeps, length):
        size = min(length, sweeps - first)
        at = np.zeros(1) if process.constant else progress_of(sweeps)[first : first + size]
        rates = switching(game, process, progress=at)
        chance = np.full((at.size, n + 1, 2), -np.inf)
        chance[:, :-1, 0] = rates.log_on
        chance[:, 1:, 1] = rates.log_off
        if process.revision == "one":
            chosen = np.log(np.arange(1, n + 1) / n)
            chance[:, :-1, 0] += chosen[::-1]
            chance[:, 1:, 1] += chosen
        yield first, size, generator.thresholds(chance)


@compiled
def _play_one(tables: Any, count: Any, state: Any, part: Any, every: int, players: int, record: Any) -> None:
    """Advance all replicas by some sweeps of single revisions, recording every so often."""
    for replica in range(count.size):
        words = (state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3])
        n = np.uint64(count[replica])
        for sweep in range(part.sweeps):
            table = tables[sweep if tables.shape[0] > 1 else 0]
            for _ in range(part.begin, part.end):
                bits, words = draw(words)
                # No branch: which way a revision goes cannot be predicted. `down` is 0 at n = 0, `up` at n = N.
                n = n + np.uint64(bits < table[n, 0]) - np.uint64(~bits < table[n, 1])
            if part.end == players and (part.first + sweep + 1) % every == 0:
                record[replica, (part.first + sweep + 1) // every] = n
        count[replica] = n
        state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3] = words


@compiled
def _play_all(tables: Any, count: Any, state: Any, part: Any, every: int, players: int, record: Any) -> None:
    """Advance all replicas by some rounds in which everybody revises, recording every so often."""
    for replica in range(count.size):
        words = (state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3])
        n = count[replica]
        for sweep in range(part.sweeps):
            table = tables[sweep if tables.shape[0] > 1 else 0]
            on, words = successes(players - n, table[n, 0], words)
            off, words = successes(n, table[n, 1], words)
            n += on - off
            if (part.first + sweep + 1) % every == 0:
                record[replica, (part.first + sweep + 1) // every] = n
        count[replica] = n
        state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3] = words
