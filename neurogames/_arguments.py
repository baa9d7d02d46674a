"""Checks of arguments: every error names the argument, what came, and what was expected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MOST_EXACT = 2.0**53
MOST_ENTRIES = 2**31
"""Numbers of eight bytes in the memory of a large machine."""
_LONGEST = 300
"""Characters of what came that an error quotes."""


def invalid_argument(name: str, got: object, expected: str) -> ValueError:
    """Build the one form of error that wrong input gets.

    Args:
        name: the argument as the caller wrote it.
        got: what came.
        expected: what would have been right, as a noun phrase.

    Returns:
        The error, to be raised by the caller.

    >>> invalid_argument("keep_prob", 1.5, "a probability in (0, 1]")
    ValueError('keep_prob: got 1.5, expected a probability in (0, 1]')
    """
    shown = " ".join(repr(got).split())
    if len(shown) > _LONGEST:
        shown = f"{shown[: _LONGEST - 40]} ... ({len(shown)} characters)"
    return ValueError(f"{name}: got {shown}, expected {expected}")


def instance(name: str, value: object, kind: Any, expected: str) -> None:
    """Refuse what is not of this kind.

    >>> instance("rng", 0, np.random.Generator, "a numpy Generator")
    Traceback (most recent call last):
    ValueError: rng: got 0, expected a numpy Generator
    """
    if not isinstance(value, kind):
        raise invalid_argument(name, value, expected)


def number(
    name: str, value: Any, expected: str = "a finite number", where: Callable[[float], bool] | None = None
) -> float:
    """Return ``value`` as a finite float for which ``where`` holds, or refuse it.

    >>> number("temperature", 0.5, "a temperature > 0", lambda value: value > 0)
    0.5
    """
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        raise invalid_argument(name, value, expected) from None
    if (
        isinstance(value, (bool, np.bool_, str, bytes))
        or not np.isfinite(result)
        or (where is not None and not where(result))
    ):
        raise invalid_argument(name, value, expected)
    return result


def fits_in_memory(name: str, value: Any, entries: int) -> None:
    """Refuse what would hold more than ``MOST_ENTRIES`` numbers at once, before any of them is there.

    >>> fits_in_memory("sweeps", 10**12, 10**12)
    Traceback (most recent call last):
    ValueError: sweeps: got 1000000000000, expected less: 1000000000000 numbers at once, of at most 2147483648
    """
    if entries > MOST_ENTRIES:
        raise invalid_argument(name, value, f"less: {entries} numbers at once, of at most {MOST_ENTRIES}")


def one_of(name: str, value: Any, options: Sequence[str]) -> str:
    """Return ``value`` if it is one of the texts, or refuse it.

    >>> one_of("revision", "one", ("one", "all"))
    'one'
    """
    # An array compared with a text gives an array.
    if not isinstance(value, str) or value not in options:
        raise invalid_argument(name, value, " or ".join(map(repr, options)))
    return value


def probability(name: str, value: Any) -> float:
    """Return ``value`` as a probability in (0, 1], the range of every ``keep_prob``.

    >>> probability("keep_prob", 1)
    1.0
    """
    return number(name, value, "a probability in (0, 1]", lambda result: 0.0 < result <= 1.0)


def integer(name: str, value: Any, *, minimum: int, maximum: int | None = None) -> int:
    """Return ``value`` as an integer in [least, most], or refuse it.

    >>> integer("n_players", 20, minimum=2)
    20
    """
    expected = f"an integer >= {minimum}" if maximum is None else f"an integer in [{minimum}, {maximum}]"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise invalid_argument(name, value, expected)
    if value < minimum or (maximum is not None and value > maximum):
        raise invalid_argument(name, value, expected)
    return int(value)


def numbers(name: str, value: Any, expected: str) -> NDArray[np.float64]:
    """Return ``value`` as a float array of any shape, a view where it is one already, or refuse it.

    >>> numbers("allocation", [[1, 2]], "numbers of shape (..., 2)")
    array([[1., 2.]])
    """
    try:
        given = np.asarray(value)
        return given if given.dtype == np.float64 and not np.ma.is_masked(value) else _real(value, given)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last one of a tensor that has a gradient
        raise invalid_argument(name, value, expected) from None


def _real(value: Any, given: NDArray[Any]) -> NDArray[np.float64]:
    """Floats of an array, or an error where numpy would make numbers of what is none, or of a part of it."""
    entries = given.ravel() if given.dtype.kind == "O" else ()
    if given.dtype.kind not in "biufO" or any(isinstance(entry, (str, bytes, complex)) for entry in entries):
        raise TypeError("text, dates or complex numbers")
    if np.ma.is_masked(value):
        raise ValueError("masked entries")
    return given.astype(np.float64)


def given_array(name: str, value: Any) -> NDArray[Any]:
    """Return ``value`` as an array of the kind it is of, or refuse lists of unequal length.

    >>> given_array("start", [1, 2]).dtype.kind
    'i'
    """
    if np.ma.is_masked(value):
        raise invalid_argument(name, value, "an array without masked entries")
    try:
        return np.asarray(value)
    except ValueError:
        raise invalid_argument(name, value, "an array, all of whose rows have one length") from None


def finite_array(name: str, value: ArrayLike, *, ndim: int | None) -> NDArray[np.float64]:
    """Return a read-only float copy of ``value`` with ``ndim`` axes, no axis empty and every entry finite.

    Integers that no float holds are refused, since two of them could become one. With ``ndim`` None any number of axes
    will do.

    >>> finite_array("gain", [1, 2], ndim=1)
    array([1., 2.])
    """
    axes = "" if ndim is None else f" with {ndim} axes"
    expected = f"a finite array{axes}, none of them empty"
    result = np.array(numbers(name, value, expected))
    if (ndim is not None and result.ndim != ndim) or result.size == 0:
        raise invalid_argument(name, f"shape {result.shape}", expected)
    if not np.isfinite(result).all():
        raise invalid_argument(name, f"{np.count_nonzero(~np.isfinite(result))} entries that are not finite", expected)
    if np.abs(result).max() >= _MOST_EXACT and not (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
        for given in np.asarray(value, dtype=object).ravel():
            if isinstance(given, (int, np.integer)) and int(float(given)) != int(given):
                raise invalid_argument(name, given, "integers that a float holds exactly, up to 2^53")
    result.flags.writeable = False
    return result
