"""First passage of simulated agents: how long until so many act?

It plays the revisions of ``simulate`` and looks at the count after each of them, not only once a
sweep. What takes longer than one is ready to wait is reported as censored, never left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurogames._arguments import fits_in_memory, integer
from neurogames.engine.compiled import compiled
from neurogames.engine.population import generator
from neurogames.engine.population.generator import draw, successes
from neurogames.engine.population.simulate import threshold_tables
from neurogames.engine.process import Process, check_played
from neurogames.engine.solution import SimulatedEscape
from neurogames.games.base import TwoActionGame


def escape_times(
    game: TwoActionGame,
    process: Process,
    *,
    start: int,
    target: int,
    replicas: int,
    max_sweeps: int,
    rng: np.random.Generator,
) -> SimulatedEscape:
    """Simulate how long replicas take from ``start`` to the first count beyond ``target``.

    Args:
        game: the game.
        process: the process; schedules are evaluated at progress s / max_sweeps in sweep s.
        start: number of actors at time 0.
        target: reached at the first count >= target, or <= target when target < start.
        replicas: number of independent populations.
        max_sweeps: when to give up; what has not arrived by then is marked as censored.
        rng: source of the replicas' seeds.

    Returns:
        The times in sweeps, single revisions counting 1/N.

    Raises:
        ValueError: if a count or a schedule is out of range.

    >>> from neurogames import PublicGoodsGame, logit
    >>> game, process = PublicGoodsGame(20, 0.4, 1.0), Process(logit(0.08))
    >>> rng = np.random.default_rng(0)
    >>> times = escape_times(game, process, start=0, target=14, replicas=400, max_sweeps=100_000, rng=rng)
    >>> abs(times.mean - 729) < 4 * times.stderr
    True
    """
    check_played(game, process)
    n = game.n_players
    start = integer("start", start, minimum=0, maximum=n)
    target = integer("target", target, minimum=0, maximum=n)
    replicas = integer("replicas", replicas, minimum=1)
    max_sweeps = integer("max_sweeps", max_sweeps, minimum=1, maximum=2**62)
    fits_in_memory("replicas", replicas, replicas)
    count = np.full(replicas, start, dtype=np.int64)
    steps = np.full(replicas, -1 if start != target else 0, dtype=np.int64)
    state = generator.states(replicas, rng)
    wait = _wait_one if process.revision == "one" else _wait_all
    direction = 1 if target > start else -1
    for first, length, tables in threshold_tables(game, process, max_sweeps):
        wait(tables, count, state, first, length, target, direction, n, steps)
        if (steps >= 0).all():
            break
    censored = steps < 0
    passed = steps / (n if process.revision == "one" else 1)
    return SimulatedEscape(sweeps=np.where(censored, float(max_sweeps), passed), censored=censored)


@compiled
def _wait_one(
    tables: Any,
    count: Any,
    state: Any,
    first: int,
    sweeps: int,
    target: int,
    direction: int,  # noqa: ARG001
    players: int,
    steps: Any,
) -> None:
    """Advance the replicas that are still waiting, noting the revision at which each arrives."""
    goal = np.uint64(target)
    for replica in range(count.size):
        if steps[replica] >= 0:
            continue
        words = (state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3])
        n = np.uint64(count[replica])
        for step in range(sweeps * players):
            table = tables[step // players if tables.shape[0] > 1 else 0]
            bits, words = draw(words)
            n = n + np.uint64(bits < table[n, 0]) - np.uint64(~bits < table[n, 1])
            if n == goal:  # counts move by one, so that none is passed unseen
                steps[replica] = first * players + step + 1
                break
        count[replica] = n
        state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3] = words


@compiled
def _wait_all(
    tables: Any,
    count: Any,
    state: Any,
    first: int,
    sweeps: int,
    target: int,
    direction: int,
    players: int,
    steps: Any,
) -> None:
    """Advance the replicas that are still waiting, noting the round in which each arrives."""
    for replica in range(count.size):
        if steps[replica] >= 0:
            continue
        words = (state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3])
        n = count[replica]
        for sweep in range(sweeps):
            table = tables[sweep if tables.shape[0] > 1 else 0]
            on, words = successes(players - n, table[n, 0], words)
            off, words = successes(n, table[n, 1], words)
            n += on - off
            if direction * (n - target) >= 0:
                steps[replica] = first + sweep + 1
                break
        count[replica] = n
        state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3] = words
