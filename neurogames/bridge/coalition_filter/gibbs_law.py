"""The Gibbs law of windows of units, exactly: partition functions, and the Shapley values of their logarithm.

The states x of a window's units have pi(x) = exp(-E(x) / T) / Z, with the energy E of ``window_energy``. What is
summed over is small: at most 16 units side by side, or, where all parts of a window are needed, at most 9 units.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import invalid_argument, number
from neurogames.bridge.coalition_filter.window_energy import Energy
from neurogames.engine.coalitions.values import shapley
from neurogames.games.coalition import TabularCoalitionGame

MOST_PARTS = 9  # players of a window whose 2^players parts are still summed over: 3 x 3
MOST_COLUMNS = 16  # side of a window whose partition function is still summed: its memory is 2^side states


def log_partition(
    players: ArrayLike, *, alpha: float, beta: float, temperature: float = 1.0, energy: Energy = "ising"
) -> float:
    """Logarithm of Z = sum (or integral) of exp(-E(x) / T) over the states of one window, exactly.

    Spins are summed out unit by unit, with the states of one row kept (a transfer matrix, never formed); the
    gaussian integral is (2 pi T)^(m/2) det(beta I - alpha A)^(-1/2).

    Args:
        players: (n, n) True where the window has a unit.
        alpha: strength of the pairs.
        beta: strength of the single units.
        temperature: T > 0.
        energy: "ising" or "gaussian".

    Returns:
        log Z; infinity for a gaussian energy that has no Gibbs law, since beta I - alpha A is not positive definite.

    Raises:
        ValueError: a row has more than 16 places, or T is not positive.

    >>> round(log_partition([[True, True]], alpha=1.0, beta=0.0), 6) == round(math.log(4 * math.cosh(1.0)), 6)
    True
    """
    present = np.array(players, dtype=bool, ndmin=2)
    temperature = number("temperature", temperature, "a temperature > 0", lambda value: value > 0)
    if energy == "gaussian":
        return float(_gaussian_log_partitions(present, alpha, beta, temperature, np.ones((1, present.sum()), bool))[0])
    rows, columns = present.shape
    if columns > MOST_COLUMNS:
        raise invalid_argument("players", f"rows of {columns} places", f"rows of at most {MOST_COLUMNS}")
    spin = np.array([1.0, -1.0])
    weights = np.zeros((2,) * columns)  # log of the sum over all earlier units, by the last spin of each column
    blank = np.full(2, -np.log(2.0))  # an absent unit has two states that change nothing, so they count half
    for row in range(rows):
        for column in range(columns):
            field = beta / temperature * spin if present[row, column] else blank
            axis = [1] * columns
            axis[column] = 2
            above = row > 0 and present[row, column] and present[row - 1, column]
            couple = above * alpha / temperature * np.outer(spin, spin)
            old = np.moveaxis(weights, column, -1)
            old = old if row > 0 else old[..., :1]  # before the first row there is nothing to sum over
            summed = np.logaddexp.reduce(old[..., None, :] + couple[:, : old.shape[-1]], axis=-1)
            weights = np.moveaxis(summed, -1, column) + field.reshape(axis)
            if column > 0 and present[row, column] and present[row, column - 1]:
                axis[column - 1] = 2
                weights = weights + alpha / temperature * np.outer(spin, spin).reshape(axis)
    return float(np.logaddexp.reduce(weights, axis=None))


@lru_cache(maxsize=64)
def partition_shares(
    players: tuple[tuple[bool, ...], ...], alpha: float, beta: float, temperature: float, energy: Energy
) -> NDArray[np.float64]:
    """Shapley values of the game S -> log Z_S, Z_S the partition function of the part S of a window.

    With the payoff v(S) = log pi_S(x restricted to S) = -E(x_S) / T - log Z_S, the logarithm of the Gibbs law of the
    part S by itself, the values are phi_i / T minus these shares, which depend on the window's shape only.

    Args:
        players: rows of True where the window has a unit, at most 9 of them.
        alpha: strength of the pairs.
        beta: strength of the single units.
        temperature: T > 0.
        energy: "ising" or "gaussian".

    Returns:
        Shares in the shape of ``players``, 0 where there is no unit, read-only; they add up to log Z.

    Raises:
        ValueError: there are more than 9 units, or the gaussian energy has no Gibbs law.

    >>> partition_shares(((True, True),), 0.0, 0.0, 1.0, "ising").round(6)
    array([[0.693147, 0.693147]])
    """
    present = np.array(players, dtype=bool)
    m = int(present.sum())
    if m > MOST_PARTS:
        raise invalid_argument(
            "window", f"{m} units", f"at most {MOST_PARTS} units where the partition function of all parts is needed"
        )
    parts = np.array([[bool(mask >> i & 1) for i in range(m)] for mask in range(1 << m)])
    if energy == "gaussian":
        table = _gaussian_log_partitions(present, alpha, beta, temperature, parts)
        if not np.isfinite(table).all():
            raise invalid_argument(
                "alpha, beta", (alpha, beta), "beta I - alpha A positive definite, for there to be a Gibbs law"
            )
    else:
        state = np.where(parts, 1.0, -1.0)
        ends = np.argwhere(np.triu(_adjacency(present)))
        together = parts[:, ends[:, 0]] & parts[:, ends[:, 1]]
        products = state[:, ends[:, 0]] * state[:, ends[:, 1]]
        exponents = (beta * parts @ state.T + alpha * together @ products.T) / temperature
        table = np.logaddexp.reduce(exponents, axis=1) - (m - parts.sum(1)) * math.log(2.0)
    shares = np.zeros(present.shape)
    shares[present] = shapley(TabularCoalitionGame(table)).values
    shares.flags.writeable = False
    return shares


def partition_cells(
    players: NDArray[np.bool_], *, alpha: float, beta: float, temperature: float, energy: Energy
) -> NDArray[np.float64]:
    """Shares (rows, n, columns, n) of :func:`partition_shares` for all windows of a grid of players of that shape.

    >>> cells = np.ones((1, 2, 1, 2), dtype=bool)
    >>> partition_cells(cells, alpha=0.0, beta=0.0, temperature=1.0, energy="ising").round(6)[0, :, 0]
    array([[0.693147, 0.693147],
           [0.693147, 0.693147]])
    """
    rows, n, columns, _ = players.shape
    kinds, kind_of = _kinds(players)
    shares = [
        partition_shares(tuple(map(tuple, kind.tolist())), alpha, beta, temperature, energy)
        if kind.any()
        else np.zeros((n, n))
        for kind in kinds
    ]
    return np.ascontiguousarray(np.array(shares)[kind_of].reshape(rows, columns, n, n).transpose(0, 2, 1, 3))


def log_partitions(
    players: NDArray[np.bool_], *, alpha: float, beta: float, temperature: float, energy: Energy
) -> NDArray[np.float64]:
    """Log Z of :func:`log_partition` (rows, columns) for all windows (rows, n, columns, n) of a grid of players.

    >>> log_partitions(np.ones((1, 1, 3, 1), bool), alpha=1.0, beta=0.0, temperature=1.0, energy="ising").round(6)
    array([[0.693147, 0.693147, 0.693147]])
    """
    kinds, kind_of = _kinds(players)
    sums = [log_partition(kind, alpha=alpha, beta=beta, temperature=temperature, energy=energy) for kind in kinds]
    return np.array(sums)[kind_of].reshape(players.shape[0], players.shape[2])


def _kinds(players: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The different windows (kinds, n, n) of a grid of players, and which of them each window is."""
    n = players.shape[1]
    kinds, kind_of = np.unique(players.transpose(0, 2, 1, 3).reshape(-1, n * n), axis=0, return_inverse=True)
    return kinds.reshape(-1, n, n), kind_of.ravel()


def _adjacency(present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Adjacency (m, m) of the present units, row by row."""
    places = np.argwhere(present)
    near: NDArray[np.bool_] = np.abs(places[:, None] - places).sum(-1) == 1
    return near.astype(np.float64)


def _gaussian_log_partitions(
    present: NDArray[np.bool_], alpha: float, beta: float, temperature: float, parts: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Log Z_S for each part (k, m) of a window's m units; infinity where the form is not positive definite."""
    form = beta * np.eye(int(present.sum())) - alpha * _adjacency(present)
    both = parts[:, :, None] & parts[:, None, :]
    inside = np.where(both, form, 0.0) + np.where(parts, 0.0, 1.0)[..., None] * np.eye(len(form))
    spectrum = np.linalg.eigvalsh(inside)
    sizes = parts.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        result = 0.5 * (sizes * math.log(2 * math.pi * temperature) - np.log(spectrum).sum(-1))
    return np.where((spectrum > 0).all(-1), result, np.inf)
