"""The arithmetic of resampling, batched: correlations of many samples, bootstrap ends, permutation p-values.

Samples are rows: an array (..., n) holds one sample of n settings per row. A correlation is nan where one of its
columns has a single value, as happens in resamples of few settings.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ends = tuple[float, float, str, str]

EXACT_UP_TO = 5040
"""Permutations are all listed up to this many (7!)."""
SAME = 1e-10
"""Correlations closer than this are ties: sums that are equal in exact arithmetic differ by rounding only."""
PERFECT = 1e-13
"""What rounding may leave of a correlation of 1."""
CONSTANT = 1e-12
"""A column whose deviations are this small beside its values has one value up to rounding."""


def standard_scores(sample: Array, *, ranked: bool) -> Array:
    """Rows centred and brought to length 1, after ranking if asked for (ties share their mean rank).

    >>> standard_scores(np.array([[3.0, 9.0, 1.0], [2.0, 2.0, 2.0]]), ranked=True).round(3).tolist()
    [[0.0, 0.707, -0.707], [nan, nan, nan]]
    """
    values = scipy.stats.rankdata(sample, axis=-1) if ranked else sample
    size = np.abs(values).max(axis=-1, keepdims=True)
    # Scaled first, so that squares can neither overflow nor vanish.
    values = values / np.where(size > 0, size, 1.0)
    centred = values - values.mean(axis=-1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    return np.asarray(centred / np.where(length > CONSTANT, length, np.nan))


def correlation(x: Array, y: Array, *, ranked: bool) -> Array:
    """Pearson's correlation of x and y (..., n) along the last axis; Spearman's if ranked.

    >>> correlation(np.array([1.0, 2.0, 4.0]), np.array([1.0, 4.0, 16.0]), ranked=True).round(12).item()
    1.0
    """
    product = (standard_scores(x, ranked=ranked) * standard_scores(y, ranked=ranked)).sum(axis=-1)
    # A perfect correlation is one in the result too, whatever rounding made of it.
    return np.asarray(np.where(np.abs(product) > 1 - PERFECT, np.sign(product), product))


def leave_one_out(n: int) -> NDArray[np.int64]:
    """Row i holds all indices below n but i.

    >>> leave_one_out(3).tolist()
    [[1, 2], [0, 2], [0, 1]]
    """
    return np.arange(n)[None].repeat(n, axis=0)[~np.eye(n, dtype=bool)].reshape(n, n - 1)


def bootstrap_ends(estimate: float, drawn: Array, jackknife: Array, confidence: float) -> Ends:
    """Ends of the BCa interval from resampled statistics, or of the percentile interval with the reason.

    BCa reads the quantiles Phi(z0 + (z0 + z)/(1 - a (z0 + z))) instead of Phi(z) for z = -/+ z_{(1+confidence)/2}:
    z0 corrects the bias of the median, a = sum d^3 / (6 (sum d^2)^{3/2}) the change of the spread, d the deviations
    of the leave-one-out statistics (Efron, JASA 82 (1987), 171-185).

    Args:
        estimate: the statistic of the sample.
        drawn: (resamples,) the statistic of the resamples; nan where it is not defined.
        jackknife: (n,) the statistic without each of the values.
        confidence: nominal coverage.

    Returns:
        Low end, high end, method ("BCa", "percentile" or "none"), reason.
    """
    usable = drawn[np.isfinite(drawn)]
    if 2 * len(usable) < len(drawn):
        return math.nan, math.nan, "none", f"only {len(usable)} of {len(drawn)} resamples have more than one value"
    lost = len(drawn) - len(usable)
    note = f"{lost} of {len(drawn)} resamples had one value only" if lost else ""
    plain = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    below = (np.mean(usable < estimate - SAME) + np.mean(usable <= estimate + SAME)) / 2
    deviations = jackknife.mean() - jackknife
    spread = float((deviations**2).sum())
    levels, method = plain, "percentile"
    if not 0 < below < 1:
        why = "no BCa, all resamples lie on one side of the estimate"
    elif not spread > 0:
        why = "no BCa, leaving out one setting changes nothing or cannot be done"
    else:
        bias = scipy.special.ndtri(below)
        acceleration = float((deviations**3).sum()) / (6 * spread**1.5)
        shifted = bias + scipy.special.ndtri(plain)
        if (1 - acceleration * shifted > 0).all():
            levels, method, why = scipy.special.ndtr(bias + shifted / (1 - acceleration * shifted)), "BCa", ""
        else:
            why = "no BCa, its acceleration is beyond its range"
    low, high = np.quantile(usable, levels)
    return float(low), float(high), method, "; ".join(filter(None, (why, note)))


def fisher_ends(estimate: float, n: int, confidence: float) -> tuple[float, float]:
    """Fisher's z interval of a perfect correlation, taken as if two neighbours were swapped.

    The swap lowers Spearman's 1 to r = 1 - 12/(n (n^2 - 1)); z = artanh(r) has variance (1 + r^2/2)/(n - 3)
    (Bonett and Wright, Psychometrika 65 (2000), 23-28). The end at the perfect value stays there.

    >>> [round(end, 2) for end in fisher_ends(1.0, 12, 0.95)], [round(end, 2) for end in fisher_ends(-1.0, 4, 0.95)]
    ([0.97, 1.0], [-1.0, 0.82])
    """
    r = 1 - 12 / (n * (n * n - 1))
    standard_error = math.sqrt((1 + r * r / 2) / (n - 3))
    end = math.tanh(math.atanh(r) - float(scipy.special.ndtri((1 + confidence) / 2)) * standard_error)
    return (end, 1.0) if estimate > 0 else (-1.0, -end)


def correlation_ends(x: Array, y: Array, rows: NDArray[np.int64], confidence: float, *, ranked: bool) -> Ends:
    """Interval of a correlation: BCa, else percentiles, and Fisher's z where the sample is perfect.

    Args:
        x: (n,) first column.
        y: (n,) second column.
        rows: (resamples, n) indices of the resampled settings.
        confidence: nominal coverage.
        ranked: Spearman's instead of Pearson's.

    Returns:
        Low end, high end, method, reason.
    """
    n = len(x)
    estimate = float(correlation(x, y, ranked=ranked))
    if abs(estimate) > 1 - SAME:
        return *fisher_ends(estimate, n, confidence), "Fisher z", "perfect in this sample, so that no resample differs"
    drawn = correlation(x[rows], y[rows], ranked=ranked)
    others = leave_one_out(n)
    return bootstrap_ends(estimate, drawn, correlation(x[others], y[others], ranked=ranked), confidence)


def rearrangements(n: int, count: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], bool]:
    """All permutations of n indices if they are at most 7!, else ``count`` random ones; and whether it is all.

    >>> rearrangements(3, 100, np.random.default_rng(0))[0].tolist()
    [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    """
    if n <= 7 and math.factorial(n) <= EXACT_UP_TO:
        return np.array(list(itertools.permutations(range(n))), dtype=np.int64), True
    return rng.permuted(np.tile(np.arange(n), (count, 1)), axis=-1), False


def permutation_p(x: Array, y: Array, order: NDArray[np.int64], *, exact: bool, ranked: bool) -> float:
    """Two-sided p-value: share of rearrangements whose correlation is at least as far from 0.

    Of random rearrangements the sample itself counts as one, so that p is never 0 and the test keeps its level
    (Phipson and Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010), article 39).

    >>> order, exact = rearrangements(4, 100, np.random.default_rng(0))
    >>> permutation_p(np.arange(4.0), np.arange(4.0), order, exact=exact, ranked=True) == 2 / 24
    True
    """
    first, second = standard_scores(x, ranked=ranked), standard_scores(y, ranked=ranked)
    far = np.abs(first[order] @ second) >= abs(float(first @ second)) - SAME
    return float(far.mean()) if exact else float((far.sum() + 1) / (len(far) + 1))
