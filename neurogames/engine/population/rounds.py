"""The chain of simultaneous revision: from n actors, a round leads to n + Binomial(N-n, on(n)) - Binomial(n, off(n-1)).

The transition matrix is dense. Its entries are convolutions of two binomials; stationary laws and passage times follow
by state reduction, which removes one state after another and never subtracts, so that every entry comes out with a
small relative error however rare it is. Entries are kept in logarithms and reduced in wide numbers.

Reference: W. Grassmann, M. Taksar and D. Heyman, Regenerative analysis and steady state distributions for Markov
chains, Operations Research 33 (1985); C. O'Cinneide, Entrywise perturbation theory and error analysis for Markov
chains, Numerische Mathematik 65 (1993).
"""

from __future__ import annotations

from math import lgamma
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.compiled import compiled
from neurogames.engine.population import wide
from neurogames.engine.process import Switching

Matrix = NDArray[np.float64]

_NEGLIGIBLE = 2.0**-70


def log_matrix(rates: Switching) -> Matrix:
    """(N+1, N+1) log transition probabilities of one round, from the rates at one time."""
    n = rates.log_on.shape[-1]
    result = np.full((n + 1, n + 1), -np.inf)
    log_factorial = np.array([lgamma(count + 1.0) for count in range(n + 1)])
    for count in range(n + 1):
        # Nobody rests at N and nobody acts at 0: the rates read there have 0 trials.
        on, off = min(count, n - 1), max(count - 1, 0)
        joining = _log_binomial(log_factorial, n - count, rates.log_on[on], rates.log_not_on[on])
        staying = _log_binomial(log_factorial, count, rates.log_not_off[off], rates.log_off[off])
        _convolve(joining, staying, result[count])
    return result


def closed_classes(log_p: Matrix) -> list[NDArray[np.intp]]:
    """Sets of counts that are never left and cannot be split."""
    reachable = log_p > -np.inf
    if reachable.all():
        return [np.arange(log_p.shape[0])]
    from scipy.sparse.csgraph import connected_components  # a slow import, for rare chains

    number, label = connected_components(reachable, directed=True, connection="strong")
    leaves = reachable & (label[:, None] != label[None, :])
    left = np.unique(label[leaves.any(axis=1)])
    return [np.flatnonzero(label == index) for index in range(number) if index not in left]


def stationary(log_p: Matrix) -> tuple[Matrix, float]:
    """Log stationary law of an irreducible chain by state reduction, and the relative error left in its balance.

    The residual compares, for every state, what leaves it with what enters it, diagonal left out: if these agree to
    a relative error r, the law is exact for a chain whose entries differ by at most r relatively.
    """
    if log_p.shape[0] == 1:
        return np.zeros(1), 0.0
    m, e = wide.from_log(log_p)
    law = np.empty(m.shape[0]), np.empty(m.shape[0], dtype=np.int64)
    _reduce(m, e, *law)
    log_law = wide.to_log(law)
    log_law -= np.logaddexp.reduce(log_law)
    flow = log_law[:, None] + log_p
    np.fill_diagonal(flow, -np.inf)
    out, into = np.logaddexp.reduce(flow, axis=1), np.logaddexp.reduce(flow, axis=0)
    return log_law, float(np.abs(np.expm1(into - out)).max())


def passage(log_p: Matrix, start: int, goal: NDArray[np.bool_]) -> tuple[float, float]:
    """Log expected rounds from start to the first state of ``goal``, and a residual; inf if it may never come.

    Let the chain return to ``start`` from its goal: then the goal's share of time is one round in a cycle, and the
    passage takes as many rounds as all other states hold for each round at the goal.
    """
    others = np.flatnonzero(~goal)
    size = others.size
    cycle = np.full((size + 1, size + 1), -np.inf)
    cycle[:size, :size] = log_p[np.ix_(others, others)]
    cycle[:size, size] = np.logaddexp.reduce(log_p[np.ix_(others, np.flatnonzero(goal))], axis=1)
    home = int(np.searchsorted(others, start))
    cycle[size, home] = 0.0
    reached, returning = _reachable(cycle > -np.inf, home), _reachable((cycle > -np.inf).T, size)
    if (reached & ~returning).any():
        return float("inf"), 0.0
    log_law, residual = stationary(cycle[np.ix_(reached, reached)])
    return float(np.logaddexp.reduce(log_law[:-1]) - log_law[-1]), residual


def advance(log_law: Matrix, matrix: wide.Wide, rounds: int) -> Matrix:
    """Log law some rounds later, by a wide transition matrix."""
    m, e = wide.from_log(log_law)
    _multiply(m, e, *matrix, rounds)
    return wide.to_log((m, e))


def _reachable(moves: NDArray[np.bool_], start: int) -> NDArray[np.bool_]:
    """States that can be reached from ``start``, itself among them."""
    seen = np.arange(moves.shape[0]) == start
    newest = seen
    while newest.any():
        newest = moves[newest].any(axis=0) & ~seen
        seen = seen | newest
    return np.asarray(seen)


def _log_binomial(log_factorial: Matrix, trials: int, log_yes: float, log_no: float) -> Matrix:
    """(trials+1,) log probabilities of the number of successes."""
    yes = np.arange(trials + 1)
    ways = log_factorial[trials] - log_factorial[yes] - log_factorial[trials - yes]
    # 0 successes of probability 0 have probability 1; the product 0 * -inf would not say so.
    hits = np.multiply(yes, log_yes, where=yes > 0, out=np.zeros(trials + 1))
    misses = np.multiply(trials - yes, log_no, where=yes < trials, out=np.zeros(trials + 1))
    return np.asarray(ways + hits + misses)


@compiled
def _convolve(log_a: Any, log_b: Any, log_sum: Any) -> None:
    """Log law of the sum of two independent binomials, all in logarithms.

    Binomials are log-concave, so the terms of each sum rise to one peak and fall; the peak moves up by at most one from
    one sum to the next, and a sum can stop where its terms no longer count.
    """
    a_from, a_to = _support(log_a)
    b_from, b_to = _support(log_b)
    peak = a_from
    for total in range(a_from + b_from, a_to + b_to + 1):
        first, last = max(a_from, total - b_to), min(a_to, total - b_from)
        peak = min(max(peak, first), last)
        while peak < last and log_a[peak + 1] + log_b[total - peak - 1] > log_a[peak] + log_b[total - peak]:
            peak += 1
        top = log_a[peak] + log_b[total - peak]
        mass = 1.0
        for step in (-1, 1):
            i = peak + step
            while first <= i <= last:
                part = np.exp(log_a[i] + log_b[total - i] - top)
                mass += part
                if part < _NEGLIGIBLE:
                    break
                i += step
        log_sum[total] = top + np.log(mass)


@compiled
def _support(log_law: Any) -> Any:
    """First and last index with positive probability."""
    first, last = 0, log_law.size - 1
    while log_law[first] == -np.inf:
        first += 1
    while log_law[last] == -np.inf:
        last -= 1
    return first, last


@compiled
def _reduce(m: Any, e: Any, law_m: Any, law_e: Any) -> None:
    """State reduction of a wide matrix, overwriting it; fills the unnormalised stationary law."""
    size = m.shape[0]
    for last in range(size - 1, 0, -1):
        sum_m, sum_e = 0.0, wide.ZERO
        for j in range(last):
            sum_m, sum_e = wide.add(sum_m, sum_e, m[last, j], e[last, j])
        for i in range(last):
            m[i, last], e[i, last] = wide.divide(m[i, last], e[i, last], sum_m, sum_e)
            by_m, by_e = m[i, last], e[i, last]
            if by_m == 0.0:
                continue
            for j in range(last):
                m[i, j], e[i, j] = wide.add_product(m[i, j], e[i, j], by_m, by_e, m[last, j], e[last, j])
    law_m[0], law_e[0] = 1.0, 0
    for j in range(1, size):
        sum_m, sum_e = 0.0, wide.ZERO
        for i in range(j):
            sum_m, sum_e = wide.add_product(sum_m, sum_e, law_m[i], law_e[i], m[i, j], e[i, j])
        law_m[j], law_e[j] = sum_m, sum_e


@compiled
def _multiply(m: Any, e: Any, p_m: Any, p_e: Any, rounds: int) -> None:
    """Wide law times wide matrix, again and again, in place."""
    size = m.size
    new_m, new_e = np.empty_like(m), np.empty_like(e)
    for _ in range(rounds):
        new_m[:] = 0.0
        new_e[:] = wide.ZERO
        for i in range(size):
            if m[i] == 0.0:
                continue
            for j in range(size):
                new_m[j], new_e[j] = wide.add_product(new_m[j], new_e[j], m[i], e[i], p_m[i, j], p_e[i, j])
        m[:] = new_m
        e[:] = new_e
