"""Weighted least squares with some columns free and the others under a ridge that is chosen by leaving rows out.

    minimise over a, b:  sum_r w_r (y_r - x_r a - z_r b)^2 + ridge |b|^2

The free columns x are projected out first, so that every ridge of a whole grid follows from one eigendecomposition on
the shorter side of z. The residual that a row has when it is left out is e_r / (1 - h_r), h the leverage; the ridge
that is kept has the least sum of their squares under weights of the caller's choice. An infinite ridge, that is b = 0,
is always among the candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.coalitions.transforms import Vector

_GRID = 10.0 ** np.arange(-5.0, 2.6, 0.25)
_LEAST_SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted model.

    Attributes:
        free: coefficients a of the free columns.
        penalised: coefficients b of the columns under the ridge.
        residual: (m,) what the model leaves of y, unweighted.
        left_out: (m,) the same when each row is left out of the fit in turn, at the same ridge; where a row alone
            determines a coefficient this is unbounded, and the plain residual is given.
        ridge: the ridge that was chosen; infinite where no column is used.
    """

    free: Vector
    penalised: Vector
    residual: Vector
    left_out: Vector
    ridge: float


def fit_ridge(y: Vector, free: Vector, penalised: Vector, weights: Vector, importance: Vector) -> Fit:
    """Fit y by free columns and columns under a ridge.

    Args:
        y: (m,) what to fit.
        free: (m, q) free columns; where they depend on each other, the shortest coefficients are taken.
        penalised: (m, p) columns under the ridge; p = 0 for plain least squares.
        weights: (m,) positive weights w of the rows.
        importance: (m,) weights >= 0 of the squared left-out residuals by which the ridge is chosen.

    Returns:
        The fit with the least left-out error among 31 ridges, spaced by factors of 10^(1/4) around the mean weight
        of a column, and the infinite one.
    """
    root = np.sqrt(weights)
    target, columns = y * root, free * root[:, None]
    left, lengths, right = np.linalg.svd(columns, full_matrices=False)
    rank = int(np.count_nonzero(lengths > 1e-10 * lengths.max(initial=0.0)))
    basis = left[:, :rank]
    rest = target - basis @ (basis.T @ target)
    others = penalised * root[:, None]
    others -= basis @ (basis.T @ others)
    directions, squares = _principal(others)
    along = directions.T @ rest
    ridges = np.append(_GRID * weights.sum(), np.inf)
    shrink = squares[:, None] / (squares[:, None] + ridges)
    slack = 1.0 - (basis**2).sum(axis=1)[:, None] - directions**2 @ shrink
    residuals = rest[:, None] - directions @ (shrink * along[:, None])
    left_out = residuals / np.where(slack > _LEAST_SLACK, slack, 1.0) / root[:, None]
    best = int(np.argmin(importance @ left_out**2))
    b = others.T @ (directions @ (along / (squares + ridges[best]))) if squares.size else np.zeros(penalised.shape[1])
    a = right[:rank].T @ ((basis.T @ (target - (penalised @ b) * root)) / lengths[:rank])
    return Fit(a, b, residuals[:, best] / root, left_out[:, best], float(ridges[best]))


def _principal(columns: NDArray[np.float64]) -> tuple[Vector, Vector]:
    """Left singular vectors (m, r) and squared singular values (r,) of a matrix, by its shorter side."""
    rows, width = columns.shape
    if width == 0:
        return np.zeros((rows, 0)), np.zeros(0)
    squares, vectors = np.linalg.eigh(columns.T @ columns if width <= rows else columns @ columns.T)
    kept = squares > 1e-12 * squares[-1]
    squares, vectors = squares[kept], vectors[:, kept]
    return (columns @ vectors / np.sqrt(squares) if width <= rows else vectors), squares
