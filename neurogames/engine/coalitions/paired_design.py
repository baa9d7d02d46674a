"""Which coalitions an estimator asks for: distinct pairs of a coalition S and its complement, size by size.

Stratum h = 0..n/2 holds the pairs whose smaller side has h members: C(n, h) of them, half as many when 2h = n. In each
stratum pairs are drawn without replacement, all alike, so that the chance that a pair is asked for is
inclusion = drawn / there are; the borders are soon complete (inclusion 1) and then contribute no error.
One side of each pair is its representative; what the estimators do with a pair does not depend on which.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.coalitions.transforms import Vector


@dataclass(frozen=True, eq=False)
class Pairs:
    """Distinct pairs of coalitions, one row each.

    Attributes:
        coalitions: (m, n) the representative of each pair.
        stratum: (m,) members of its smaller side.
        drawn: (n//2 + 1,) pairs drawn in each stratum.
        available: (n//2 + 1,) pairs there are in each stratum.
    """

    coalitions: NDArray[np.bool_]
    stratum: NDArray[np.intp]
    drawn: NDArray[np.intp]
    available: Vector

    @property
    def inclusion(self) -> Vector:
        """(m,) chance of each pair to be asked for."""
        return np.asarray((self.drawn / self.available)[self.stratum])


def strata(n_players: int) -> Vector:
    """Number of pairs (n//2 + 1,) in each stratum.

    >>> strata(4)
    array([1., 4., 3.])
    """
    counts = [comb(n_players, h) // (2 if 2 * h == n_players else 1) for h in range(n_players // 2 + 1)]
    return np.array(counts, dtype=np.float64)


def least_draws(n_players: int) -> NDArray[np.intp]:
    """Fewest pairs in each stratum: all that are a single player or none, and two of every other size.

    >>> least_draws(7)
    array([1, 7, 2, 2])
    """
    least = np.minimum(strata(n_players), 2.0)
    least[1] = strata(n_players)[1]
    return least.astype(np.intp)


def allocate(n_players: int, mass: Vector, total: int) -> NDArray[np.intp]:
    """Share ``total`` pairs among the strata in proportion to ``mass``, within what each needs and has.

    Args:
        n_players: number of players n >= 2.
        mass: (n//2 + 1,) positive mass of each stratum.
        total: at least the sum of the least draws and at most all pairs.

    Returns:
        Pairs to draw in each stratum, ``total`` of them.

    >>> allocate(6, np.ones(4), 20)
    array([1, 6, 7, 6])
    """
    least, most = least_draws(n_players), strata(n_players)
    low, high = 0.0, float((most / mass).max())
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if np.clip(middle * mass, least, most).sum() <= total else (low, middle)
    wish = np.clip(low * mass, least, most)
    draws = np.floor(wish + 1e-9)
    for h in np.argsort(draws - wish, kind="stable").tolist() * 2:
        if draws.sum() < total and draws[h] < most[h]:
            draws[h] += 1
    return draws.astype(np.intp)


def draw_pairs(n_players: int, draws: NDArray[np.intp], rng: np.random.Generator) -> Pairs:
    """Draw distinct pairs, so many in each stratum.

    Args:
        n_players: number of players n >= 2.
        draws: (n//2 + 1,) pairs to draw in each stratum.
        rng: source of the draws.

    Returns:
        The pairs, stratum by stratum.
    """
    rows = [_distinct(n_players, h, int(count), rng) for h, count in enumerate(draws)]
    return Pairs(np.concatenate(rows), np.repeat(np.arange(draws.size), draws), draws, strata(n_players))


def _distinct(n: int, size: int, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Distinct coalitions (count, n) of one size, uniformly without replacement; of n/2 only those with player 0."""
    halved = 2 * size == n
    available = comb(n, size) // (2 if halved else 1)
    if available <= 4 * count:  # listing them costs no more than a few times what is kept
        members = np.fromiter(chain.from_iterable(combinations(range(n), size)), dtype=np.intp)
        chosen = members.reshape(comb(n, size), size)[rng.permutation(available)[:count]]
        rows = np.zeros((count, n), dtype=np.bool_)
        np.put_along_axis(rows, chosen, True, axis=1)
        return rows
    kept = np.zeros((0, n), dtype=np.bool_)
    while len(kept) < count:
        chosen = np.argpartition(rng.random((2 * (count - len(kept)), n)), size - 1, axis=1)[:, :size]
        rows = np.zeros((len(chosen), n), dtype=np.bool_)
        np.put_along_axis(rows, chosen, True, axis=1)
        rows = np.concatenate([kept, rows ^ ~rows[:, :1] if halved else rows])
        kept = rows[np.sort(np.unique(np.packbits(rows, axis=1), axis=0, return_index=True)[1])]
    return kept[:count]
