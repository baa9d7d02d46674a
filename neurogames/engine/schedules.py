"""Schedules: plain functions of progress in [0, 1], for parameters that change during a run.

Progress is the share of the run that has passed: sweep s = 0, 1, ..., S-1 of S is played at progress s / S. A
parameter of a process is either a number or any function that takes an array of progress and returns an array of
values. The factories below give such functions; they pickle, so they can be sent to worker processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, invalid_argument, number

Schedule = Callable[[Any], Any]
Parameter = float | Schedule


def constant(value: float) -> Schedule:
    """Return the schedule that stays at ``value``.

    Args:
        value: a number.

    Returns:
        The schedule.

    Raises:
        ValueError: if it is not a finite number.

    >>> constant(0.5)([0.0, 1.0])
    array([0.5, 0.5])
    """
    return partial(_constant, value=number("value", value))


def linear(start: float, end: float) -> Schedule:
    """Return the schedule start + (end - start) * progress.

    Args:
        start: value at progress 0.
        end: value at progress 1.

    Returns:
        The schedule.

    Raises:
        ValueError: if a value is not a finite number.

    >>> linear(1.0, 0.0)([0.0, 0.25, 1.0])
    array([1.  , 0.75, 0.  ])
    """
    return partial(_linear, start=number("start", start), end=number("end", end))


def geometric(start: float, end: float) -> Schedule:
    """Return the schedule start * (end / start) ** progress, for positive ends.

    Args:
        start: value at progress 0.
        end: value at progress 1.

    Returns:
        The schedule.

    Raises:
        ValueError: if a value is not a finite number > 0.

    >>> geometric(1.0, 0.01)([0.0, 0.5, 1.0])
    array([1.  , 0.1 , 0.01])
    """
    positive = {
        name: number(name, value, "a number > 0", _positive) for name, value in (("start", start), ("end", end))
    }
    return partial(_geometric, **positive)


def cosine(start: float, end: float) -> Schedule:
    """Return the schedule end + (start - end) * (1 + cos(pi * progress)) / 2, flat at both ends.

    Args:
        start: value at progress 0.
        end: value at progress 1.

    Returns:
        The schedule.

    Raises:
        ValueError: if a value is not a finite number.

    >>> cosine(1.0, 0.0)([0.0, 0.5, 1.0]).round(12)
    array([1. , 0.5, 0. ])

    Reference: I. Loshchilov and F. Hutter, SGDR, arXiv 1608.03983, eq. 5.
    """
    return partial(_cosine, start=number("start", start), end=number("end", end))


def piecewise(points: Sequence[tuple[float, float]]) -> Schedule:
    """Return the schedule through (progress, value) points, linear between them and constant outside.

    Args:
        points: at least one pair; progress increases strictly and lies in [0, 1].

    Returns:
        The schedule.

    Raises:
        ValueError: if the points are not such pairs.

    >>> piecewise([(0.0, 0.2), (0.5, 0.2), (1.0, 1.0)])([0.0, 0.5, 0.75])
    array([0.2, 0.2, 0.6])
    """
    pairs = finite_array("points", points, ndim=2)
    at = pairs[:, 0]
    if pairs.shape[1] != 2 or (np.diff(at) <= 0).any() or at[0] < 0 or at[-1] > 1:
        raise invalid_argument("points", points, "pairs (progress, value) with progress increasing in [0, 1]")
    return partial(_piecewise, at=at, values=pairs[:, 1])


@dataclass(frozen=True)
class Range:
    """The values a parameter may take: its name, the range in words, and the test for it."""

    name: str
    expected: str
    holds: Callable[[Any], Any]

    def check(self, value: Parameter) -> Parameter:
        """Return a number in range as a float, and a schedule as it is; refuse anything else."""
        return value if callable(value) else number(self.name, value, self.expected, self.holds)

    def at(self, value: Parameter, progress: ArrayLike) -> NDArray[np.float64]:
        """Evaluate a number or schedule at ``progress``, and refuse a schedule that leaves the range.

        Args:
            value: what ``check`` returned.
            progress: any shape, in [0, 1].

        Returns:
            Values of the shape of ``progress``.

        Raises:
            ValueError: if the schedule's value is not finite or out of range.
        """
        at = np.asarray(progress, dtype=np.float64)
        result = np.broadcast_to(np.asarray(value(at) if callable(value) else value, dtype=np.float64), at.shape)
        bad = ~(np.isfinite(result) & self.holds(result))
        if bad.any():
            raise invalid_argument(self.name, f"{result[bad][0]!r} from its schedule", self.expected)
        return result


def progress_of(sweeps: int) -> NDArray[np.float64]:
    """Progress s / S at which each sweep s = 0..S-1 of a run of S is played.

    >>> progress_of(4)
    array([0.  , 0.25, 0.5 , 0.75])
    """
    return np.arange(sweeps) / max(sweeps, 1)


def _positive(value: Any) -> Any:
    return value > 0


def _constant(progress: ArrayLike, *, value: float) -> NDArray[np.float64]:
    return np.full(np.shape(progress), value)


def _linear(progress: ArrayLike, *, start: float, end: float) -> NDArray[np.float64]:
    return start + (end - start) * np.asarray(progress, dtype=np.float64)


def _geometric(progress: ArrayLike, *, start: float, end: float) -> NDArray[np.float64]:
    return np.asarray(start * (end / start) ** np.asarray(progress, dtype=np.float64))


def _cosine(progress: ArrayLike, *, start: float, end: float) -> NDArray[np.float64]:
    return np.asarray(end + (start - end) * 0.5 * (1.0 + np.cos(np.pi * np.asarray(progress, dtype=np.float64))))


def _piecewise(progress: ArrayLike, *, at: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.interp(np.asarray(progress, dtype=np.float64), at, values))
