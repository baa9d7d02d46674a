"""Where a velocity on the simplex is 0, and what happens nearby."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.display.tables import frame
from neurogames.games.compositions import compositions

Array = NDArray[np.float64]
Velocity = Callable[[Array], Array]
Kind = Literal["stable", "saddle", "unstable", "neutral"]

_SAME = 1e-7
_ON_FACE = 1e-10
_SINGULAR = 1e-9
_STEP = 1e-6
_UNDECIDED = 1e-5
_RESTS = 1e-11
_ROUNDS = 60
_LONGEST = 0.2


@dataclass(frozen=True, eq=False)
class RestPoint:
    """A composition at which a large population stays.

    Attributes:
        share: (n,) the shares.
        kind: "stable" where all small disturbances die out, "unstable" where all grow, "saddle" where some do;
            "neutral" where the linear part does not decide, as at a centre.
        eigenvalues: (n - 1,) eigenvalues of the linear part along the simplex; NaN at a tie of best responses, where
            the velocity jumps.
        residual: greatest entry of abs(v(share)); under best responses how much less than the best a strategy that is
            replied pays.
    """

    share: Array
    kind: Kind
    eigenvalues: NDArray[np.complex128]
    residual: float


@dataclass(frozen=True, eq=False)
class RestPoints:
    """Rest points of a mean field.

    Attributes:
        points: the rest points found, in lexicographic order of their shares.
        complete: whether there are no others.
        status: "ok", or why others may be missing.
        labels: names of the strategies; empty where there are none.
    """

    points: tuple[RestPoint, ...]
    complete: bool
    status: str
    labels: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[RestPoint]:
        return iter(self.points)

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each rest point: its shares, kind, greatest growth and residual."""
        n = len(self.points[0].share) if self.points else 0
        names = self.labels or [f"share_{k + 1}" for k in range(n)]
        shares = {names[k]: [float(point.share[k]) for point in self.points] for k in range(n)}
        growth = [float(point.eigenvalues.real.max()) for point in self.points]
        kinds, residuals = [point.kind for point in self.points], [point.residual for point in self.points]
        return frame({**shares, "kind": kinds, "growth": growth, "residual": residuals})

    def __repr__(self) -> str:
        kinds = ", ".join(point.kind for point in self.points)
        return f"RestPoints({len(self.points)} found: {kinds}; complete: {self.complete}; {self.status})"


def equal_payoffs(matrix: Array) -> tuple[list[Array], bool]:
    """All shares at which the strategies in use earn the same, (A x)_i = (A x)_j, one set of strategies after another.

    Args:
        matrix: A, (n, n).

    Returns:
        The isolated ones, and whether there are no others: False where some set has a continuum of them.

    >>> [x.tolist() for x in equal_payoffs(np.diag([1.0, 3.0]))[0]]
    [[1.0, 0.0], [0.0, 1.0], [0.75, 0.25]]
    """
    n = len(matrix)
    found, complete = [], True
    scale = float(np.ptp(matrix)) or 1.0
    for size in range(1, n + 1):
        for support in map(list, combinations(range(n), size)):
            block = matrix[np.ix_(support, support)]
            system = np.vstack([(block[:-1] - block[-1]) / scale, np.ones(size)])
            right = np.zeros(size)
            right[-1] = 1.0
            if np.linalg.svd(system, compute_uv=False)[-1] < _SINGULAR:
                nearest = np.linalg.lstsq(system, right, rcond=_SINGULAR)[0]
                complete &= bool(np.abs(system @ nearest - right).max() > _SINGULAR)
                continue
            share = np.linalg.solve(system, right)
            if share.min() > _ON_FACE:
                x = np.zeros(n)
                x[support] = share
                found.append(x)
    return found, complete


def searched(velocity: Velocity, n: int, grid: int, closed_faces: bool) -> list[Array]:
    """Rest points to which Newton's method leads from the compositions of ``grid`` players and from points beside them.

    Args:
        velocity: v, from (S, n) to (S, n).
        n: number of strategies.
        grid: number of players.
        closed_faces: whether a strategy that nobody uses stays unused, so that every face has rest points of its own.

    Returns:
        Different rest points.
    """
    starts = compositions(grid, n) / grid
    starts = np.concatenate([starts, 0.98 * starts + 0.02 / n])
    faces = starts > 0 if closed_faces else np.ones_like(starts, dtype=np.bool_)
    found: list[Array] = []
    for face in np.unique(faces, axis=0):
        for root in _newton(velocity, starts[(faces == face).all(axis=1)], face):
            if all(np.abs(root - other).max() > _SAME for other in found):
                found.append(root)
    return found


def rest_points(
    velocity: Velocity, found: Sequence[Array], together: bool, complete: bool, status: str, *, inward: bool = False
) -> RestPoints:
    """Classify rest points; where the velocity points inward, check their index sum.

    Args:
        velocity: v.
        found: the rest points.
        together: whether the motion is the map x -> x + v(x), not x' = v(x).
        complete: whether they are all.
        status: what to say of them.
        inward: whether v points into the simplex all along its border, so that the indices must sum to 1.

    Returns:
        The rest points, sorted.
    """
    points = [_classified(velocity, x, together) for x in sorted(found, key=lambda x: tuple(x.round(9)))]
    index = sum(int(np.sign(np.prod(-point.eigenvalues).real)) for point in points)
    if inward and index != 1:
        status = f"found by search: others are missing, or some is degenerate, since indices sum to {index}, not to 1"
    return RestPoints(tuple(points), complete, status)


def _newton(velocity: Velocity, starts: Array, face: NDArray[np.bool_]) -> Array:
    """(K, n) where Newton's method ends, on one face of the simplex, of all starts that end at rest."""
    x = starts.copy()
    rows = np.arange(len(x))
    for _ in range(_ROUNDS):
        home = x.argmax(axis=1)
        v = velocity(x)
        if np.abs(v).max() < _RESTS / 100:
            break
        slope = _slopes(velocity, x, home)
        fixed = np.broadcast_to(~face, x.shape).copy()
        fixed[rows, home] = True
        slope[fixed[:, :, None] | fixed[:, None, :]] = 0.0
        move = -(np.linalg.pinv(slope) @ np.where(fixed, 0.0, v)[:, :, None])[:, :, 0]
        move[rows, home] = -move.sum(axis=1)
        longest = np.abs(move).max(axis=1, keepdims=True)
        x = np.maximum(x + move * np.minimum(1.0, _LONGEST / np.maximum(longest, _LONGEST)), 0.0)
        x /= x.sum(axis=1, keepdims=True)
    return np.asarray(x[np.abs(velocity(x)).max(axis=1) < _RESTS])


def _slopes(velocity: Velocity, x: Array, home: NDArray[np.intp]) -> Array:
    """(S, n, n) derivatives of v, column k towards strategy k and away from the most used; from inside at a border."""
    count, n = x.shape
    direction = np.eye(n)[:, None, :] - np.eye(n)[home]
    behind = x - _STEP * direction
    inside = (behind >= 0).all(axis=-1, keepdims=True)
    ahead, behind = x + _STEP * direction, np.where(inside, behind, x)
    both = velocity(np.concatenate([ahead, behind]).reshape(-1, n)).reshape(2, n, count, n)
    return np.moveaxis((both[0] - both[1]) / (_STEP * np.where(inside, 2.0, 1.0)), 0, 2)


def _classified(velocity: Velocity, x: Array, together: bool) -> RestPoint:
    """The rest point with the eigenvalues of its linear part."""
    home = x[None].argmax(axis=1)
    others = np.arange(x.size) != home[0]
    slope = _slopes(velocity, x[None], home)[0][np.ix_(others, others)]
    eigenvalues = np.linalg.eigvals(slope).astype(np.complex128)
    return RestPoint(x, kind_of(eigenvalues, together), eigenvalues, float(np.abs(velocity(x)).max()))


def kind_of(eigenvalues: NDArray[np.complex128], together: bool) -> Kind:
    """Stability by the eigenvalues of a velocity, or of the map x -> x + v(x) where all move together."""
    growth = np.abs(1.0 + eigenvalues) - 1.0 if together else eigenvalues.real
    if (growth > _UNDECIDED).any():
        return "unstable" if (growth > _UNDECIDED).all() else "saddle"
    return "stable" if (growth < -_UNDECIDED).all() else "neutral"
