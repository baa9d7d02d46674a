"""Costs-to-go and laws of linear-quadratic games, all players side by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Quadratic(NamedTuple):
    """x'P x / 2 + p'x + r for each player: P (N, n, n), p (N, n), r (N,)."""

    hessian: Array
    gradient: Array
    constant: Array

    def __call__(self, x: ArrayLike) -> Array:
        """Values (..., N) at x (..., n)."""
        z = np.asarray(x, dtype=np.float64)
        return np.asarray(
            0.5 * np.einsum("...a,iab,...b->...i", z, self.hessian, z) + z @ self.gradient.T + self.constant
        )


class ControlLaw(NamedTuple):
    """u = -(k + K x) at one stage, all players side by side: gain K (m, n), offset k (m,)."""

    gain: Array
    offset: Array
