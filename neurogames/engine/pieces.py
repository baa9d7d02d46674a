"""Long simulations cut into pieces, so that Ctrl-C is heard between two of them.

Compiled loops hear nothing while they run. A piece is some replicas over all sweeps, one replica over some sweeps, or
one replica over a part of a sweep; the paths are the same however they are cut.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import NamedTuple

import numpy as np


class Stretch(NamedTuple):
    """Which revisions a piece has: those numbered begin, ..., end-1 of sweeps first, ..., first + sweeps - 1."""

    first: int
    sweeps: int
    begin: int
    end: int


Play = Callable[[slice, Stretch], object]


def pieces(first: int, last: int, sweeps: int, players: int, most: int) -> Iterator[tuple[slice, Stretch]]:
    """Cut replicas first..last-1 of a simulation into pieces of about ``most`` revisions.

    Args:
        first: number of the first replica.
        last: one more than the number of the last.
        sweeps: how long.
        players: revisions of a sweep.
        most: revisions of a piece; a sweep of more is cut itself.

    Yields:
        The replicas and their revisions.

    >>> [(rows.start, rows.stop, *part) for rows, part in pieces(0, 3, 10, 100, 2000)]
    [(0, 2, 0, 10, 0, 100), (2, 3, 0, 10, 0, 100)]
    >>> [(rows.start, rows.stop, *part) for rows, part in pieces(0, 1, 3, 1000, 2000)]
    [(0, 1, 0, 2, 0, 1000), (0, 1, 2, 1, 0, 1000)]
    >>> [(rows.start, rows.stop, *part) for rows, part in pieces(0, 1, 1, 1000, 600)]
    [(0, 1, 0, 1, 0, 600), (0, 1, 0, 1, 600, 1000)]
    """
    together = max(1, most // max(1, players * sweeps))
    length = sweeps if together > 1 else max(1, most // players)
    for row in range(first, last, together):
        rows = slice(row, min(row + together, last))
        for sweep in range(0, sweeps, max(1, length)):
            if players <= most:
                yield rows, Stretch(sweep, min(length, sweeps - sweep), 0, players)
            else:
                for begin in range(0, players, most):
                    yield rows, Stretch(sweep, 1, begin, min(begin + most, players))


def play_in_pieces(play: Play, replicas: int, sweeps: int, players: int, most: int, threads: int = 1) -> None:
    """Call ``play(replicas, their revisions)`` piece by piece, the replicas shared by threads.

    Args:
        play: advances some replicas; it lets other threads run meanwhile.
        replicas: their number.
        sweeps: how long.
        players: revisions of a sweep.
        most: revisions of a piece.
        threads: number of threads; each has replicas of its own.

    >>> done = []
    >>> play_in_pieces(lambda rows, part: done.append((rows.start, rows.stop, part.first)), 3, 3, 10, 30, threads=1)
    >>> done
    [(0, 1, 0), (1, 2, 0), (2, 3, 0)]
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
            ended, _ = wait([pool.submit(work, *bound) for bound in bounds], return_when=FIRST_EXCEPTION)
            for each in ended:
                each.result()
        except BaseException:
            stop.set()  # else leaving the pool waits for all the pieces that are left
            raise
