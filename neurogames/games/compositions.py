"""Compositions: how many of N players, or of a sample of them, use each of n strategies."""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import NDArray


def n_compositions(total: int, parts: int) -> int:
    """Number of ways to write ``total`` as an ordered sum of ``parts`` whole numbers >= 0.

    >>> n_compositions(100, 3)
    5151
    """
    return comb(total + parts - 1, parts - 1)


def compositions(total: int, parts: int) -> NDArray[np.int64]:
    """All compositions in lexicographic order.

    Args:
        total: N >= 0.
        parts: n >= 1.

    Returns:
        (S, n) whole numbers >= 0, each row with the sum N.

    >>> compositions(2, 2).tolist()
    [[0, 2], [1, 1], [2, 0]]
    """
    rows = np.zeros((1, 0), dtype=np.int64)
    left = np.array([total])
    for _ in range(parts - 1):
        repeats = left + 1
        ends = np.cumsum(repeats)
        here = np.arange(ends[-1]) - np.repeat(ends - repeats, repeats)
        rows = np.column_stack([np.repeat(rows, repeats, axis=0), here])
        left = np.repeat(left, repeats) - here
    return np.column_stack([rows, left])


def ranks(counts: NDArray[np.integer], total: int) -> NDArray[np.int64]:
    """Places of compositions among all of them, as :func:`compositions` orders them.

    Args:
        counts: (..., n) compositions of ``total``.
        total: N.

    Returns:
        (...) numbers in 0..S-1.

    >>> ranks(compositions(6, 3), 6).tolist() == list(range(28))
    True
    """
    counts = np.asarray(counts, dtype=np.int64)
    parts = counts.shape[-1]
    place = np.zeros(counts.shape[:-1], dtype=np.int64)
    left = np.full(counts.shape[:-1], total, dtype=np.int64)
    for part in range(parts - 1):
        # Before a count c here come all compositions with 0..c-1 here: those of left minus those of left - c, one
        # part more being the sum over what is left.
        table = np.array([n_compositions(t, parts - part) if t >= 0 else 0 for t in range(-1, total + 1)])
        after = left - counts[..., part]
        place += table[left + 1] - table[after + 1]
        left = after
    return place
