"""Associations of two columns over few settings, and sentences no surer than they are.

The *unit* of a statement is a setting (say, a data set and a keep probability), never a training run. An association
is Spearman's rank correlation and Pearson's correlation, each with a bootstrap interval (settings resampled with their
pairs together; BCa: bias-corrected and accelerated, Efron, JASA 82 (1987), 171-185) and with a two-sided permutation
p-value (pairs rearranged). ``verdict`` turns it into a sentence. Both treat settings as exchangeable; settings along
one dial are less independent than that, and no number here can tell cause from coincidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from neurogames._arguments import integer, invalid_argument
from neurogames.lab.inference.resampling import (
    Array,
    correlation,
    correlation_ends,
    permutation_p,
    rearrangements,
    standard_scores,
)
from neurogames.lab.inference.statistics import confidence_level

LEAST_UNITS = 4
STRONG, MODERATE = 0.7, 0.4
"""From these absolute values on, at the end of its interval nearer to 0, an association is called so."""


@dataclass(frozen=True)
class Correlation:
    """Association of two columns over settings.

    Attributes:
        label_x: what the first column is.
        label_y: what the second column is.
        n: number of settings with both values.
        dropped: number of settings left out because a value was not finite.
        spearman: rank correlation in [-1, 1]; nan where ``reason`` says why.
        spearman_interval: (low, high).
        spearman_p: two-sided permutation p-value.
        pearson: linear correlation in [-1, 1].
        pearson_interval: (low, high).
        pearson_p: two-sided permutation p-value.
        confidence: nominal coverage of the intervals.
        method: how the intervals came about, (Spearman's, Pearson's): "BCa", "percentile", "Fisher z" or "none".
        exact: whether the p-values are over all permutations.
        reason: what had to be done otherwise than usual, and why; empty if nothing.
    """

    label_x: str
    label_y: str
    n: int
    dropped: int
    spearman: float
    spearman_interval: tuple[float, float]
    spearman_p: float
    pearson: float
    pearson_interval: tuple[float, float]
    pearson_p: float
    confidence: float
    method: tuple[str, str]
    exact: bool
    reason: str


def correlate(
    x: ArrayLike,
    y: ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    permutations: int = 5000,
    confidence: float = 0.95,
    label_x: str = "x",
    label_y: str = "y",
) -> Correlation:
    """Correlate two columns, one row per setting, with intervals and p-values.

    Args:
        x: (n,) values; a pair with a value that is not finite is dropped, and counted.
        y: (n,) values.
        rng: draws resamples and permutations.
        resamples: number of bootstrap resamples.
        permutations: number of random permutations where not all are listed (n > 7).
        confidence: nominal coverage of the intervals, in (0, 1).
        label_x: what x is, for the verdict.
        label_y: what y is.

    Returns:
        The association. A BCa interval falls back to percentiles where the correction is not defined. Where the
        sample is perfectly ordered every resample agrees with it and a bootstrap would claim certainty; there the
        interval is Fisher's z of the nearest imperfect order, one swap of neighbours away (Bonett and Wright,
        Psychometrika 65 (2000), 23-28). With fewer than four settings or a constant column all values are nan.

    Raises:
        ValueError: if the columns are no vectors of one length, or a count or the confidence is out of range.

    >>> keep = np.linspace(0.1, 1.0, 12)
    >>> result = correlate(keep, keep**2, rng=np.random.default_rng(0), label_x="keep", label_y="error")
    >>> result.spearman, result.n, result.spearman_interval[0] > 0.9, result.spearman_p < 0.001
    (1.0, 12, True, True)
    """
    columns = [np.asarray(column, dtype=np.float64) for column in (x, y)]
    if columns[0].ndim != 1 or columns[0].shape != columns[1].shape:
        raise invalid_argument("x, y", f"shapes {columns[0].shape} and {columns[1].shape}", "two vectors of one length")
    integer("resamples", resamples, minimum=100)
    integer("permutations", permutations, minimum=100)
    confidence = confidence_level(confidence)
    usable = np.isfinite(columns[0]) & np.isfinite(columns[1])
    first, second = (column[usable] for column in columns)
    n, dropped = int(usable.sum()), int((~usable).sum())
    reason = _unusable(first, second, label_x, label_y)
    if reason:
        nothing = (math.nan, math.nan)
        return Correlation(
            label_x=label_x,
            label_y=label_y,
            n=n,
            dropped=dropped,
            spearman=math.nan,
            spearman_interval=nothing,
            spearman_p=math.nan,
            pearson=math.nan,
            pearson_interval=nothing,
            pearson_p=math.nan,
            confidence=confidence,
            method=("none", "none"),
            exact=False,
            reason=reason,
        )
    rows = rng.integers(n, size=(resamples, n))
    order, exact = rearrangements(n, permutations, rng)
    values: list[float] = []
    intervals, methods, p_values, reasons = [], [], [], []
    for name, ranked in (("Spearman", True), ("Pearson", False)):
        values.append(float(correlation(first, second, ranked=ranked)))
        low, high, method, why = correlation_ends(first, second, rows, confidence, ranked=ranked)
        intervals.append((low, high))
        methods.append(method)
        p_values.append(permutation_p(first, second, order, exact=exact, ranked=ranked))
        reasons += [f"{name}: {why}"] if why else []
    return Correlation(
        label_x=label_x,
        label_y=label_y,
        n=n,
        dropped=dropped,
        spearman=values[0],
        spearman_interval=intervals[0],
        spearman_p=p_values[0],
        pearson=values[1],
        pearson_interval=intervals[1],
        pearson_p=p_values[1],
        confidence=confidence,
        method=(methods[0], methods[1]),
        exact=exact,
        reason="; ".join(reasons),
    )


def claimed_sign(correlation: Correlation) -> Literal["positive", "negative", "none"]:
    """Sign of the rank correlation that may be claimed: the interval leaves out 0 and the permutation p-value agrees.

    Args:
        correlation: what ``correlate`` returned.

    Returns:
        The sign, or "none".

    >>> claimed_sign(correlate([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], rng=np.random.default_rng(0)))
    'negative'
    """
    low, high = correlation.spearman_interval
    if not (low > 0 or high < 0) or not correlation.spearman_p <= 1 - correlation.confidence:
        return "none"
    return "positive" if low > 0 else "negative"


def verdict(correlation: Correlation) -> str:
    """Say in one sentence what a rank correlation allows to be said.

    An association is claimed as in :func:`claimed_sign`; its strength is that of the end of the interval nearer to 0.

    Args:
        correlation: what ``correlate`` returned.

    Returns:
        The sentence; it names n, and never a cause.

    >>> noise = np.random.default_rng(1)
    >>> print(verdict(correlate(noise.normal(size=12), noise.normal(size=12), rng=noise)))  # doctest: +ELLIPSIS
    No association between x and y can be claimed: Spearman ... over n = 12 settings.
    """
    c = correlation
    pair = f"{c.label_x} and {c.label_y}"
    left_out = f" ({c.dropped} more left out, their values not finite)" if c.dropped else ""
    if math.isnan(c.spearman):
        return f"Nothing can be said about {pair}: {c.reason}{left_out}."
    low, high = c.spearman_interval
    ends = (
        f"no interval ({c.reason})" if math.isnan(low) else f"{100 * c.confidence:g} % interval {low:.2f} to {high:.2f}"
    )
    numbers = (
        f"Spearman {c.spearman:.2f}, {ends}, permutation p = {c.spearman_p:.2g}, over n = {c.n} settings{left_out}"
    )
    sign = claimed_sign(c)
    if sign == "none":
        return f"No association between {pair} can be claimed: {numbers}."
    weakest, strongest = sorted((abs(low), abs(high)))
    if weakest >= STRONG:
        return f"There is a strong {sign} association between {pair}: {numbers}."
    if weakest >= MODERATE:
        return f"There is an at least moderate {sign} association between {pair}: {numbers}."
    if strongest < MODERATE:
        return f"There is a weak {sign} association between {pair}: {numbers}."
    return f"There is a {sign} association, of uncertain strength, between {pair}: {numbers}."


def _unusable(x: Array, y: Array, label_x: str, label_y: str) -> str:
    """Why two columns have no correlation; empty if they have one."""
    if len(x) < LEAST_UNITS:
        return f"too few settings to say anything, n = {len(x)}, expected at least {LEAST_UNITS}"
    for label, column in ((label_x, x), (label_y, y)):
        if np.isnan(standard_scores(column, ranked=False)).any():
            return f"{label} has one value in all {len(column)} settings"
    return ""
