"""The ends of the spectrum of a curvature matrix, from products with it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from neurogames.bridge.curvature.operator import CurvatureOperator

_DENSE = 200
_TOLERANCE = 1e-3
_RESTARTS = 100


def eigenvalue_ends(operator: CurvatureOperator) -> tuple[float, float]:
    """Smallest and largest eigenvalue.

    Up to 200 coordinates the matrix is formed. Above, Lanczos finds them to about 0.001 of the largest; it starts from
    a fixed vector, so that a second call agrees.

    Args:
        operator: a symmetric matrix.

    Returns:
        (smallest, largest); NaN for both if Lanczos did not converge in 100 restarts.

    >>> matrix = torch.diag(torch.tensor([3.0, -1.0, 2.0]))
    >>> eigenvalue_ends(CurvatureOperator(3, lambda vectors: vectors @ matrix, matrix.dtype, matrix.device))
    (-1.0, 3.0)
    """
    if operator.size <= _DENSE:
        found = np.linalg.eigvalsh(operator.to_dense().double().cpu().numpy())
        return float(found[0]), float(found[-1])
    try:
        largest = _top(operator, 1.0, 0.0)
        # Turned over and moved, so that the tolerance is one of the range and not of a value near 0.
        return abs(largest) - _top(operator, -1.0, abs(largest)), largest
    except ArpackError:
        return np.nan, np.nan


def _top(operator: CurvatureOperator, sign: float, shift: float) -> float:
    """Greatest eigenvalue of sign * A + shift * I."""

    def product(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        column = vector.reshape(-1)
        moved = operator @ torch.tensor(column)
        return np.asarray(sign * moved.double().cpu().numpy() + shift * column)

    first = np.cos(np.arange(operator.size) ** 2.0)  # without pattern
    matrix = LinearOperator(operator.shape, matvec=product, dtype=np.dtype(np.float64))
    found = eigsh(matrix, k=1, which="LA", v0=first, tol=_TOLERANCE, maxiter=_RESTARTS, return_eigenvectors=False)
    return float(found[0])
