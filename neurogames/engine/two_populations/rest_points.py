"""Rest points of two populations: linear equations where all who copy earn the same, else Newton's method."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.strategies.rest_points import RestPoint, RestPoints, kind_of
from neurogames.games.compositions import compositions

Array = NDArray[np.float64]
Velocity = Callable[[Array], Array]

_SINGULAR = 1e-9
_ON_FACE = 1e-10
_STEP = 1e-6
_RESTS = 1e-11
_SAME = 1e-7
_ROUNDS = 60
_LONGEST = 0.2


def equal_payoffs_pair(first: Array, second: Array) -> tuple[list[Array], bool]:
    """All (x, y) at which the strategies in use earn the same in each population, one pair of sets after another.

    Args:
        first: A, (n, m).
        second: B, (n, m).

    Returns:
        The isolated ones, (n + m,) each, and whether there are no others: False where there is a continuum of them.

    >>> found, complete = equal_payoffs_pair(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.array([[-1.0, 1.0], [1.0, -1.0]]))
    >>> len(found), found[-1].round(9).tolist(), complete
    (5, [0.5, 0.5, 0.5, 0.5], True)
    """
    n, m = first.shape
    found, complete = [], True
    sets = [[list(s) for size in range(1, width + 1) for s in combinations(range(width), size)] for width in (n, m)]
    for rows, columns in product(*sets):
        y, y_free = _indifferent(first[np.ix_(rows, columns)])
        x, x_free = _indifferent(second[np.ix_(rows, columns)].T)
        if x is None or y is None:
            continue
        if x_free or y_free:
            complete = False
        else:
            point = np.zeros(n + m)
            point[rows], point[[n + j for j in columns]] = x, y
            found.append(point)
    return found, complete


def searched_pair(velocity: Velocity, sizes: tuple[int, int], grid: int) -> list[Array]:
    """Rest points to which Newton's method leads from the inner pairs of compositions of ``grid`` players."""
    inner = [0.98 * compositions(grid, size) / grid + 0.02 / size for size in sizes]
    starts = np.array([np.concatenate(pair) for pair in product(*inner)])
    found: list[Array] = []
    for root in _newton(velocity, starts, sizes):
        if all(np.abs(root - other).max() > _SAME for other in found):
            found.append(root)
    return found


def classified_pair(
    velocity: Velocity, found: list[Array], sizes: tuple[int, int], together: bool, complete: bool, status: str
) -> RestPoints:
    """Rest points with their stability, sorted."""
    points = []
    for z in sorted(found, key=lambda each: tuple(each.round(9))):
        eigenvalues = np.linalg.eigvals(_slopes(velocity, z[None], *_directions(z[None], sizes))[0])
        eigenvalues = eigenvalues.astype(np.complex128)
        points.append(RestPoint(z, kind_of(eigenvalues, together), eigenvalues, float(np.abs(velocity(z)).max())))
    return RestPoints(tuple(points), complete, status)


def _indifferent(block: Array) -> tuple[Array | None, bool]:
    """Positive shares of the columns at which all rows earn the same, None if there are none; whether more than one."""
    rows, columns = block.shape
    scale = float(np.ptp(block)) or 1.0
    system = np.vstack([(block[:-1] - block[-1]) / scale, np.ones(columns)])
    right = np.zeros(rows)
    right[-1] = 1.0
    share, _, rank, _ = np.linalg.lstsq(system, right, rcond=_SINGULAR)
    if np.abs(system @ share - right).max() > _SINGULAR:
        return None, False
    if rank < columns:
        return share, True
    return (share, False) if share.min() > _ON_FACE else (None, False)


def _directions(z: Array, sizes: tuple[int, int]) -> tuple[Array, NDArray[np.int64]]:
    """Directions along both simplices: towards a strategy, away from the most used one of its population.

    Args:
        z: (K, n + m) shares.
        sizes: n and m.

    Returns:
        (K, n + m - 2, n + m) directions, and (K, n + m - 2) the strategies that they lead to.
    """
    first, one = 0, np.eye(sum(sizes))
    towards, home = [], []
    for size in sizes:
        most = first + z[:, first : first + size].argmax(axis=1)
        others = np.tile(np.arange(first, first + size), (len(z), 1))
        others = others[others != most[:, None]].reshape(len(z), size - 1)
        towards.append(others)
        home.append(np.repeat(most[:, None], size - 1, axis=1))
        first += size
    goal = np.concatenate(towards, axis=1)
    return one[goal] - one[np.concatenate(home, axis=1)], goal


def _slopes(velocity: Velocity, z: Array, directions: Array, goal: NDArray[np.int64]) -> Array:
    """(K, D, D) linear part of v, the change of coordinate ``goal`` along each direction; from inside at a border."""
    ahead, behind = z[:, None] + _STEP * directions, z[:, None] - _STEP * directions
    inside = (behind >= 0).all(axis=-1, keepdims=True)
    change = velocity(ahead) - velocity(np.where(inside, behind, z[:, None]))
    change /= np.where(inside, 2 * _STEP, _STEP)
    return np.asarray(np.take_along_axis(change, goal[:, None, :], axis=-1).swapaxes(1, 2))


def _newton(velocity: Velocity, starts: Array, sizes: tuple[int, int]) -> Array:
    """(L, n + m) where Newton's method ends, of all starts that end at rest."""
    z = starts
    for _ in range(_ROUNDS):
        v = velocity(z)
        if np.abs(v).max() < _RESTS / 100:
            break
        directions, goal = _directions(z, sizes)
        slope = np.linalg.pinv(_slopes(velocity, z, directions, goal))
        step = -(slope @ np.take_along_axis(v, goal, axis=1)[:, :, None])
        move = (step * directions).sum(axis=1)
        longest = np.abs(move).max(axis=1, keepdims=True)
        z = np.maximum(z + move * np.minimum(1.0, _LONGEST / np.maximum(longest, _LONGEST)), 0.0)
        z = np.concatenate([part / part.sum(axis=1, keepdims=True) for part in np.split(z, [sizes[0]], axis=1)], axis=1)
    return np.asarray(z[np.abs(velocity(z)).max(axis=1) < _RESTS])
