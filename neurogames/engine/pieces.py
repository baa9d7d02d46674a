"""Long simulations cut into pieces, so that Ctrl-C is heard between two of them.

Compiled loops hear nothing while they run. A piece is some replicas over all sweeps, or one replica over some sweeps;
the paths are the same however they are cut.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

Play = Callable[[slice, int, int], object]


def pieces(first: int, last: int, sweeps: int, players: int, most: int) -> Iterator[tuple[slice, int, int]]:
    """Cut replicas first..last-1 of a simulation into pieces of about ``most`` revisions.

    Args:
        first: number of the first replica.
        last: one more than the number of the last.
        sweeps: how long.
        players: revisions of a sweep.
        most: revisions of a piece; at least one sweep is one.

    Yields:
        The replicas, the first sweep, and the number of sweeps.

    >>> list(pieces(0, 3, 10, 100, 2000))
    [(slice(0, 2, None), 0, 10), (slice(2, 3, None), 0, 10)]
    >>> list(pieces(0, 1, 5, 1000, 2000))
    [(slice(0, 1, None), 0, 2), (slice(0, 1, None), 2, 2), (slice(0, 1, None), 4, 1)]
    """
    together = max(1, most // max(1, players * sweeps))
    length = sweeps if together > 1 else max(1, most // players)
    for row in range(first, last, together):
        for sweep in range(0, sweeps, max(1, length)):
            yield slice(row, min(row + together, last)), sweep, min(length, sweeps - sweep)


def play_in_pieces(play: Play, replicas: int, sweeps: int, players: int, most: int, threads: int = 1) -> None:
    """Call ``play(replicas, first sweep, number of sweeps)`` piece by piece, the replicas shared by threads.

    Args:
        play: advances some replicas by some sweeps; it lets other threads run meanwhile.
        replicas: their number.
        sweeps: how long.
        players: revisions of a sweep.
        most: revisions of a piece.
        threads: number of threads; each has replicas of its own.

    >>> done = []
    >>> play_in_pieces(lambda rows, first, sweeps: done.append((rows.start, rows.stop, first)), 4, 3, 10, 30, threads=1)
    >>> done
    [(0, 1, 0), (1, 2, 0), (2, 3, 0), (3, 4, 0)]
    """
    shares = [part for part in np.array_split(np.arange(replicas), min(threads, replicas)) if part.size]
    stop = threading.Event()

    def work(first: int, last: int) -> None:
        for piece in pieces(first, last, sweeps, players, most):
            if stop.is_set():
                return
            play(*piece)

    bounds = [(int(part[0]), int(part[-1]) + 1) for part in shares]
    if len(bounds) == 1:
        work(*bounds[0])
        return
    with ThreadPoolExecutor(len(bounds)) as pool:
        try:
            for each in [pool.submit(work, *bound) for bound in bounds]:
                each.result()
        except BaseException:
            stop.set()  # else leaving the pool waits for all the pieces that are left
            raise
