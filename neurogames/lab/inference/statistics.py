"""Honest statistics of few settings: runs brought to one number per setting, and differences over pairs.

The *unit* of every statement is a setting (say, a data set and a keep probability) or a pair (a method and its control
with the same seed), never a training run: ``aggregate_units`` brings a table of runs to one row per setting. What may
be said of two such columns is the matter of ``association``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import ArrayLike

from neurogames._arguments import finite_array, integer, invalid_argument, number
from neurogames.lab.inference.resampling import CONSTANT, SAME, Array

EXACT_FLIPS = 12


@dataclass(frozen=True)
class Interval:
    """An estimate with a confidence interval.

    Attributes:
        estimate: the statistic of the sample.
        low: lower end; nan if there is none.
        high: upper end.
        n: number of values.
        confidence: nominal coverage.
        method: "t" or "none".
        p_value: two-sided p-value of no difference, where one was asked for; nan otherwise.
        reason: why the method is not the usual one; empty if it is.
    """

    estimate: float
    low: float
    high: float
    n: int
    confidence: float
    method: str
    p_value: float = math.nan
    reason: str = ""


def aggregate_units(
    frame: pd.DataFrame, *, unit: Sequence[str], value: str | Sequence[str], how: Literal["median", "mean"] = "median"
) -> pd.DataFrame:
    """Bring many runs to one row per setting, so that the run is never taken for the unit.

    Args:
        frame: one row per run.
        unit: columns that make a setting, such as ["dataset", "keep_prob"].
        value: column or columns to bring to one number.
        how: "median" (heavy-tailed noise leaves it standing) or "mean".

    Returns:
        One row per setting, in sorted order: the columns of the setting, the values, ``runs`` (how many rows went in)
        and ``missing`` (how many of them lacked a value; these do not count).

    Raises:
        ValueError: if a column is not there.

    >>> runs = pd.DataFrame({"keep": [0.5, 0.5, 0.5, 1.0], "seed": [0, 1, 2, 0], "error": [1.0, 2.0, 9.0, 4.0]})
    >>> aggregate_units(runs, unit=["keep"], value="error").to_dict("list")
    {'keep': [0.5, 1.0], 'error': [2.0, 4.0], 'runs': [3, 1], 'missing': [0, 0]}
    """
    values = [value] if isinstance(value, str) else list(value)
    units = [unit] if isinstance(unit, str) else list(unit)
    for column in [*units, *values]:
        if column not in frame.columns:
            raise invalid_argument("unit, value", column, f"a column of {', '.join(map(str, frame.columns))}")
    if how not in ("median", "mean"):
        raise invalid_argument("how", how, "'median' or 'mean'")
    if not units or not values or not len(frame):
        raise invalid_argument("frame", f"{len(frame)} rows, unit {units}, value {values}", "at least one of each")
    groups = frame.assign(missing=frame[values].isna().any(axis="columns")).groupby(
        units, sort=True, observed=True, dropna=False
    )
    result = groups[values].agg(how)
    result["runs"] = groups.size()
    result["missing"] = groups["missing"].sum().astype(int)
    return result.reset_index()


def paired_difference(
    a: ArrayLike, b: ArrayLike, *, rng: np.random.Generator, flips: int = 5000, confidence: float = 0.95
) -> Interval:
    """Mean of a - b over pairs, such as a method and its equal-work control with the same seed.

    The interval is Student's t: with the five or ten pairs that seeds give, bootstrap intervals of a mean are too
    short. The p-value is that of sign flips (all of them up to n = 12), exact if differences are symmetric about 0
    when there is no effect; with five pairs it cannot go below 1/16.

    Args:
        a: (n,) finite values.
        b: (n,) values of the same pairs.
        rng: draws the sign flips.
        flips: number of random sign flips where not all are listed.
        confidence: nominal coverage of the interval, in (0, 1).

    Returns:
        The mean difference with its interval and p-value; with one pair, or equal differences only, there is no
        interval, and the reason says so.

    Raises:
        ValueError: if the columns are no finite vectors of one length.

    >>> difference = paired_difference([3.1, 2.9, 3.3, 3.0], [2.0, 2.0, 2.1, 2.0], rng=np.random.default_rng(0))
    >>> round(difference.estimate, 3), round(difference.low, 2), round(difference.high, 2), difference.p_value
    (1.05, 0.84, 1.26, 0.125)
    """
    first, second = finite_array("a", a, ndim=1), finite_array("b", b, ndim=1)
    if first.shape != second.shape:
        raise invalid_argument("a, b", f"{len(first)} and {len(second)} values", "as many on either side, in pairs")
    integer("flips", flips, minimum=100)
    confidence = confidence_level(confidence)
    difference = first - second
    n, mean = len(difference), float(difference.mean())
    if n < 2 or np.ptp(difference) <= CONSTANT * max(np.abs(first).max(), np.abs(second).max()):
        reason = "one pair only" if n < 2 else f"the same difference in all {n} pairs"
        return Interval(mean, math.nan, math.nan, n, confidence, "none", reason=reason)
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, n - 1)) * float(difference.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, confidence, "t", _sign_flip_p(difference, flips, rng))


def mean_difference(differences: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Mean of differences with its t interval and the p-value of the t test of no difference.

    Args:
        differences: (n,) one per repetition, finite.
        confidence: nominal coverage of the interval, in (0, 1).

    Returns:
        The mean; without interval and p-value where there are fewer than two values or all are equal.

    >>> found = mean_difference([0.1, 0.2, 0.3, 0.2])
    >>> round(found.estimate, 3), round(found.low, 3), round(found.high, 3), round(found.p_value, 3)
    (0.2, 0.07, 0.33, 0.016)
    """
    values = np.asarray(differences, dtype=np.float64)
    n = len(values)
    mean = float(values.mean()) if n else math.nan
    if n < 2 or np.ptp(values) <= CONSTANT * np.abs(values).max():
        reason = "no repetition can be compared" if not n else "one value only"
        return Interval(mean, math.nan, math.nan, n, confidence, "none", reason=reason)
    test = scipy.stats.ttest_1samp(values, 0.0)
    low, high = test.confidence_interval(confidence)
    return Interval(mean, float(low), float(high), n, confidence, "t", float(test.pvalue))


def holm_adjusted(p_values: ArrayLike) -> Array:
    """Adjust p-values of several tests by Holm's step-down method, which bounds the chance of any false claim.

    With p_(1) <= ... <= p_(m) in order: adjusted p_(k) = max over j <= k of min(1, (m - j + 1) p_(j)).

    Args:
        p_values: (m,) in [0, 1]; a missing one is no test, and stays missing.

    Returns:
        (m,) adjusted, in the given order.

    Reference: S. Holm, A simple sequentially rejective multiple test procedure (1979).

    >>> holm_adjusted([0.01, 0.04, 0.03, np.nan]).tolist()
    [0.03, 0.06, 0.06, nan]
    """
    values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full_like(values, np.nan)
    tested = np.flatnonzero(np.isfinite(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    scaled = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def confidence_level(value: float) -> float:
    """A confidence level in (0, 1), or an error."""
    return number("confidence", value, "a confidence level in (0, 1)", lambda level: 0.0 < level < 1.0)


def _sign_flip_p(difference: Array, flips: int, rng: np.random.Generator) -> float:
    """Share of sign flips whose mean is at least as far from 0; the sample itself counts among random ones."""
    n = len(difference)
    exact = n <= EXACT_FLIPS
    signs = _all_signs(n) if exact else rng.choice([-1.0, 1.0], size=(flips, n))
    sums = np.abs(signs @ difference)
    far = sums >= abs(difference.sum()) - SAME * np.abs(difference).sum()
    return float(far.mean()) if exact else float((far.sum() + 1) / (flips + 1))


def _all_signs(n: int) -> Array:
    """Every choice of n signs, (2^n, n)."""
    return np.asarray(1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1), dtype=np.float64)
