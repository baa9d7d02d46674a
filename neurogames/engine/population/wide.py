"""Non-negative numbers of practically unlimited range: a float64 times a power of 2^256.

A wide number is a pair (m, e) that stands for m * 2^(256 e), with m in [2^-128, 2^128), or (0, ZERO). Sums and
products keep the full relative precision of a float64 at any size, at the cost of a few comparisons; logarithms would
cost an exponential for each sum and lose precision as they grow. Only compiled code uses them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.compiled import compiled

ZERO = -(2**60)
LEAST_LOG = -1e20  # logarithms down to here are wide numbers; zero stands below them all
_UP, _DOWN, _TOP, _BOTTOM = 2.0**256, 2.0**-256, 2.0**128, 2.0**-128
_UNIT = 256.0 * np.log(2.0)

Wide = tuple[NDArray[np.float64], NDArray[np.int64]]


def from_log(log_value: NDArray[np.float64]) -> Wide:
    """Wide numbers of given logarithms.

    >>> to_log(from_log(np.array([-np.inf, -5000.0, 0.0])))
    array([  -inf, -5000.,     0.])
    """
    mantissa = np.empty(log_value.shape)
    exponent = np.empty(log_value.shape, dtype=np.int64)
    _fill(np.ravel(log_value), mantissa.reshape(-1), exponent.reshape(-1))
    return mantissa, exponent


def to_log(value: Wide) -> NDArray[np.float64]:
    """Logarithms of wide numbers."""
    mantissa, exponent = value
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(mantissa) + np.where(mantissa > 0, exponent, 0) * _UNIT)


@compiled
def of_log(log_value: Any) -> Any:
    """Wide number of a given logarithm."""
    if log_value == -np.inf:
        return 0.0, ZERO
    exponent = np.round(log_value / _UNIT)
    return np.exp(log_value - exponent * _UNIT), np.int64(exponent)


@compiled
def log_of(m: Any, e: Any) -> Any:
    """Logarithm of a wide number."""
    return np.log(m) + e * _UNIT if m > 0.0 else -np.inf


@compiled
def add(m: Any, e: Any, other_m: Any, other_e: Any) -> Any:
    """Sum of two wide numbers."""
    if e == other_e:
        m += other_m
    elif e > other_e:
        if e - other_e == 1:
            m += other_m * _DOWN
    else:
        m = other_m + m * _DOWN if other_e - e == 1 else other_m
        e = other_e
    if m >= _TOP:
        return m * _DOWN, e + 1
    return m, e


@compiled
def multiply(m: Any, e: Any, other_m: Any, other_e: Any) -> Any:
    """Product of two wide numbers."""
    m *= other_m
    if m == 0.0:
        return 0.0, ZERO
    e += other_e
    if m >= _TOP:
        return m * _DOWN, e + 1
    if m < _BOTTOM:
        return m * _UP, e - 1
    return m, e


@compiled
def add_product(m: Any, e: Any, a_m: Any, a_e: Any, b_m: Any, b_e: Any) -> Any:
    """Sum of one wide number and the product of two others; short where nothing leaves its range."""
    part, part_e = a_m * b_m, a_e + b_e
    if part_e == e or part_e == e - 1:
        m += part if part_e == e else part * _DOWN
        if m >= _TOP:
            return m * _DOWN, e + 1
        return m, e
    if part_e < e:
        return m, e
    part, part_e = multiply(a_m, a_e, b_m, b_e)
    return add(m, e, part, part_e)


@compiled
def divide(m: Any, e: Any, other_m: Any, other_e: Any) -> Any:
    """Quotient of two wide numbers, the second of them not 0."""
    m /= other_m
    if m == 0.0:
        return 0.0, ZERO
    e -= other_e
    if m >= _TOP:
        return m * _DOWN, e + 1
    if m < _BOTTOM:
        return m * _UP, e - 1
    return m, e


@compiled
def _fill(log_value: Any, m: Any, e: Any) -> None:
    """Write the wide numbers of given logarithms into m and e."""
    for i in range(log_value.size):
        m[i], e[i] = of_log(log_value[i])
