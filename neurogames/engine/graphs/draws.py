"""What the compiled loops of agents on graphs draw: numbers, players, strategies."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from neurogames.engine.population.generator import draw

_U = np.uint64
_UNIT = 2.0**-53


@numba.njit(cache=True, nogil=True)
def unit(words: Any) -> Any:
    """A number in [0, 1)."""
    bits, words = draw(words)
    return np.float64(bits >> _U(11)) * _UNIT, words


@numba.njit(cache=True, nogil=True)
def uniform(size: Any, words: Any) -> Any:
    """A whole number below ``size`` < 2^31."""
    bits, words = draw(words)
    return np.int64(((bits >> _U(32)) * _U(size)) >> _U(32)), words


@numba.njit(cache=True, nogil=True)
def drawn(laws: Any, row: Any, u: Any) -> Any:
    """A strategy by the probabilities of a row, for u in [0, 1)."""
    j = 0
    while j < laws.shape[1] - 1:
        u -= laws[row, j]
        if u < 0.0:
            break
        j += 1
    return np.int64(j)
