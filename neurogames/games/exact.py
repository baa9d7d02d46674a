"""The numbers that floats stand for, so that ties and thresholds of decimal input are decided exactly.

A float with a decimal of at most 15 digits stands for that decimal: 0.1 for one tenth. One with more digits was
computed, or is a fraction. It stands for itself, if it is a whole number or its denominator is at most 2^40; else for
a decimal of 12 digits within two units in its last place (0.1 + 0.2 stands for 0.3); else for the fraction p/q with
q <= 1000 whose float it is (1/3); else for itself. Integers, ``Fraction`` and ``Decimal`` stand for themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from math import isfinite, lcm, ulp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument

_TYPED_DIGITS = 15
_MOST_DYADIC = 2**40
_MOST_DENOMINATOR = 1000
_NEAR_ULPS = 2
_CLOSE_ULPS = 2.0 * _NEAR_ULPS
_VISIBLE = 1e-10
_FEW, _MOST_RATIONAL = 100, 2_000


def rational(value: Any) -> Fraction:
    """Return the number for which a finite number stands.

    Raises:
        ValueError: if it is no finite number.

    >>> rational(0.1), rational(0.1 + 0.2), rational(1 / 3), rational(2**53 + 1)
    (Fraction(1, 10), Fraction(3, 10), Fraction(1, 3), Fraction(9007199254740993, 1))
    """
    if isinstance(value, (bool, np.bool_)):
        raise invalid_argument("value", value, "a finite number")
    if isinstance(value, (int, np.integer)):
        return Fraction(int(value))
    if isinstance(value, Fraction) or (isinstance(value, Decimal) and value.is_finite()):
        return Fraction(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise invalid_argument("value", value, "a finite number") from None
    if not isfinite(number):
        raise invalid_argument("value", value, "a finite number")
    # A float of half or single precision has the digits of its own type.
    shortest = Decimal(str(value) if isinstance(value, (np.float16, np.float32)) else repr(number))
    if len(shortest.as_tuple().digits) <= _TYPED_DIGITS:
        return Fraction(shortest)
    itself = Fraction(number)
    if itself.denominator <= _MOST_DYADIC:
        return itself
    decimal = Fraction(f"{number:.11e}")
    if abs(decimal - itself) <= _NEAR_ULPS * Fraction(ulp(number)):
        return decimal
    simple = itself.limit_denominator(_MOST_DENOMINATOR)
    return simple if float(simple) == number else itself


def common_integers(values: Iterable[Fraction]) -> tuple[list[int], int]:
    """Return fractions as whole multiples of 1/u, with the least u: (multiples, u).

    >>> common_integers([Fraction(1, 2), Fraction(2, 3)])
    ([3, 4], 6)
    """
    listed = list(values)
    unit = lcm(1, *{value.denominator for value in listed})
    return [value.numerator * (unit // value.denominator) for value in listed], unit


def comparable(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an array of which differences can be taken: free of rounding that shows, up to one constant.

    Where the rounding of a middle value is above 1e-10 of the least difference of two values, and there are few of them
    or that value is great beside the differences of the middle half, the numbers that the values stand for are taken,
    less that middle value. Else the array itself is returned, but for numbers that tie.

    >>> comparable(np.array([0.3, 0.1 + 0.2, 1.0])).tolist(), comparable(np.array([0.0, 1.0])).tolist()
    ([0.0, 0.0, 0.7], [0.0, 1.0])
    >>> comparable(1e8 + np.array([0.1, 0.2, 0.3])).tolist()
    [-0.1, 0.0, 0.1]
    """
    distinct = np.unique(values)
    if distinct.size == 1:
        return values
    gaps, k = np.diff(distinct), distinct.size
    middle, half = distinct[k // 2], distinct[3 * k // 4] - distinct[k // 4]
    rounded = np.spacing(abs(middle)) > _VISIBLE * gaps.min()
    close = _close(distinct, gaps)
    if not rounded and not close.any():
        return values
    if k <= _FEW or (k <= _MOST_RATIONAL and abs(middle) > half):
        meant = [rational(value) for value in distinct]
        level = meant[distinct.size // 2]
        exact = np.array([float(value - level) for value in meant])
    elif close.any():
        doubtful = np.append(close, False) | np.append(False, close)
        exact = distinct.copy()
        exact[doubtful] = [float(rational(value)) for value in distinct[doubtful]]
    else:
        return values
    return exact[np.searchsorted(distinct, values)]


def _close(distinct: NDArray[np.float64], gaps: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which neighbours among sorted numbers may stand for the same one."""
    return np.asarray(gaps <= _CLOSE_ULPS * np.spacing(np.maximum(np.abs(distinct[1:]), np.abs(distinct[:-1]))))
