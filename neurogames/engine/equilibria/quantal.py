"""Logit quantal response equilibria: the principal branch, traced from the uniform profile.

With precision L (one over the payoff unit of noise), a logit equilibrium is a profile with p_i(a) proportional to exp(L
u_i(a, p)) for every player i. At L = 0 it is the uniform profile; the branch that starts there leads, for almost all
games, to one Nash equilibrium as L grows. It may turn back in L on the way, so it is followed by its arc length: a step
along the tangent, then Newton steps back to the curve. The unknowns are l_i(a) = log p_i(a), which keeps probabilities
positive however small, and L times the payoff range, which has no unit:

    1 - sum_a exp l_i(a) = 0,    l_i(a) - l_i(0) - L (u_i(a, p) - u_i(0, p)) = 0 for a > 0.

Other branches may cross it, as at the pitchforks of games with symmetries: the determinant of the Jacobian with the
tangent below it changes its sign there, and keeps it at a turn. Directions that are singular at the crossing are left
out of the steps, so the branch is followed straight through, within the symmetric profiles if it consists of them.

Reference: R. McKelvey, T. Palfrey, Quantal response equilibria for normal form games, Games and Economic Behavior 10
(1995); T. Turocy, A dynamic homotopy interpretation of the logistic quantal response equilibrium correspondence, Games
and Economic Behavior 51 (2005).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import number
from neurogames.engine.display.tables import mixed_profiles
from neurogames.engine.solution import OK, certified
from neurogames.games.normal_form import NormalFormGame, check_game
from neurogames.games.replies import Profile, action_payoffs, regret

_MOST_STEPS = 10_000
_FIRST_STEP, _LEAST_STEP, _CROSSING_STEP = 0.03, 1e-9, 1e-3
_NEWTON_STEPS, _CONVERGED, _SINGULAR = 8, 1e-11, 1e-12
_ROUNDING = 16.0 * float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class LogitBranch:
    """Points of the principal branch, in the order of its arc length.

    Attributes:
        precision: (T,) precisions L, in one over payoff units; they fall where the branch turns back.
        profile: n arrays of shapes (T, a_i).
        status: "ok", or why the branch was not followed to the end.
    """

    precision: NDArray[np.float64]
    profile: Profile
    status: str

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each point, player and action, counted from 1."""
        points = list(zip(*self.profile, strict=True))
        return mixed_profiles(points, precision=self.precision.tolist())


@dataclass(frozen=True, eq=False)
class LogitEquilibrium:
    """A logit equilibrium of the principal branch.

    Attributes:
        profile: n strategies of shapes (a_1,), ..., (a_n,).
        precision: its precision L.
        residual: greatest difference between a probability and the logit answer to the profile.
        regret: the most a player could gain by deviating, in payoff units; positive, since the answers are noisy.
        status: "ok", or that the residual is above 1e-9, or why the branch was not followed as far as asked.
        iterations: steps along the branch.
    """

    profile: Profile
    precision: float
    residual: float
    regret: float
    status: str
    iterations: int

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each player and action, counted from 1."""
        return mixed_profiles([self.profile], precision=[self.precision])


def logit_branch(game: NormalFormGame, precision: float) -> LogitBranch:
    """Trace the principal branch until it first reaches a precision.

    Args:
        game: the game.
        precision: the precision L >= 0 at which to stop.

    Returns:
        The points computed, the first at L = 0, the last at ``precision``.

    Raises:
        ValueError: if the precision is negative or not finite.

    >>> branch = logit_branch(NormalFormGame.symmetric([[2.0, 0.0], [0.0, 1.0]]), 5.0)
    >>> float(branch.precision[-1]), bool((branch.profile[0][1:, 0] > 0.5).all())
    (5.0, True)
    """
    check_game(game)
    precision = number("precision", precision, "a precision >= 0", lambda value: value >= 0)
    unit = game.payoff_range or 1.0
    points, status = _trace([tensor / unit for tensor in game.compared_payoffs], precision * unit)
    path = np.stack(points)
    ends = np.cumsum(game.n_actions)
    profile = tuple(np.exp(part) for part in np.split(path[:, :-1], ends[:-1], axis=1))
    precisions = path[:, -1] / unit
    if status == OK:
        precisions[-1] = precision
    return LogitBranch(precisions, tuple(part / part.sum(axis=1, keepdims=True) for part in profile), status)


def logit_equilibrium(game: NormalFormGame, precision: float) -> LogitEquilibrium:
    """Find the logit equilibrium at which the principal branch first reaches a precision.

    Args:
        game: the game.
        precision: L >= 0, in one over payoff units; 0 is pure noise.

    Returns:
        The equilibrium and how well it solves its equations.

    Raises:
        ValueError: if the precision is negative or not finite.

    Reference: R. McKelvey, T. Palfrey, Quantal response equilibria for normal form games, Games and Economic Behavior
    10 (1995), section 3.

    >>> pennies = NormalFormGame(([[1.1141, 0], [0, 0.2785]], [[0, 1.1141], [1.1141, 0]]))
    >>> [strategy.round(4) for strategy in logit_equilibrium(pennies, 1.84561).profile]
    [array([0.6157, 0.3843]), array([0.3833, 0.6167])]
    """
    branch = logit_branch(game, precision)
    profile = tuple(part[-1] for part in branch.profile)
    reached = float(branch.precision[-1])
    residual = 0.0
    centred = NormalFormGame(game.compared_payoffs)
    for strategy, payoffs in zip(profile, action_payoffs(centred, profile), strict=True):
        answer = np.exp(reached * (payoffs - payoffs.max()))
        residual = max(residual, float(np.abs(strategy - answer / answer.sum()).max()))
    steps = len(branch.precision) - 1
    status = certified(residual, what="residual") if branch.status == OK else branch.status
    return LogitEquilibrium(profile, reached, residual, float(regret(game, profile)), status, steps)


def _trace(payoffs: list[NDArray[np.float64]], target: float) -> tuple[list[NDArray[np.float64]], str]:
    """Points (l, L) of the branch from L = 0 to the first at which L = target."""
    point = np.concatenate([*(np.full(size, -np.log(size)) for size in payoffs[0].shape), [0.0]])
    points, step = [point], _FIRST_STEP
    if target == 0.0:
        return points, OK
    jacobian = _system(payoffs, point)[1]
    tangent = _tangent(jacobian, np.eye(len(point))[-1])
    sign = _sign(jacobian, tangent)
    for _ in range(_MOST_STEPS):
        if step < _LEAST_STEP:
            return points, f"the branch could not be followed beyond step {len(points) - 1}"
        corrected, iterations = _corrected(payoffs, point + step * tangent)
        moved = float(np.linalg.norm(corrected - point - step * tangent))
        if iterations < 0 or moved > 0.3 * step:
            step /= 2.0
            continue
        jacobian = _system(payoffs, corrected)[1]
        new_tangent = _tangent(jacobian, tangent)
        new_sign = _sign(jacobian, new_tangent)
        # A changed sign is a crossing, unless a turn was cut short: short steps do not do that.
        if new_tangent @ tangent < 0.7 or (new_sign != sign and step > _CROSSING_STEP * (1.0 + abs(point[-1]))):
            step /= 2.0
            continue
        if corrected[-1] >= target:
            share = (target - point[-1]) / (corrected[-1] - point[-1])
            guess = point + share * (corrected - point)
            guess[-1] = target
            final, iterations = _corrected(payoffs, guess, fixed=True)
            if iterations >= 0 and np.linalg.norm(final - guess) <= np.linalg.norm(corrected - point):
                return [*points, final], OK
            step /= 2.0
            continue
        point, tangent, sign = corrected, new_tangent, new_sign
        points.append(point)
        if iterations <= 3 and moved < 0.1 * step:
            step *= 2.0
    return points, f"the branch did not reach the precision in {_MOST_STEPS} steps"


def _tangent(jacobian: NDArray[np.float64], before: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vector along the curve, in the direction of the one before; at a crossing the nearest one to it."""
    system = np.vstack([_even(jacobian)[0], before])
    direction = np.linalg.lstsq(system, np.eye(len(before))[-1], rcond=_SINGULAR)[0]
    return np.asarray(direction / np.linalg.norm(direction))


def _sign(jacobian: NDArray[np.float64], tangent: NDArray[np.float64]) -> float:
    """Sign of the determinant of the Jacobian with the tangent below it."""
    return float(np.linalg.slogdet(np.vstack([_even(jacobian)[0], tangent]))[0])


def _even(jacobian: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The Jacobian with rows of length 1, since the precision makes them uneven, and those lengths."""
    lengths = np.linalg.norm(jacobian, axis=1)
    return jacobian / lengths[:, None], lengths


def _corrected(
    payoffs: list[NDArray[np.float64]], point: NDArray[np.float64], *, fixed: bool = False
) -> tuple[NDArray[np.float64], int]:
    """Least-length Newton steps to the curve, or at fixed precision; their number is -1 where they do not converge."""
    for iteration in range(_NEWTON_STEPS):
        values, jacobian = _system(payoffs, point)
        if not np.isfinite(values).all():
            return point, -1
        # Differences of payoffs are known to their rounding, which the precision magnifies.
        if np.abs(values).max() <= max(_CONVERGED, _ROUNDING * abs(point[-1])):
            return point, iteration
        if fixed:
            jacobian = jacobian[:, :-1]
        even, lengths = _even(jacobian)
        change = np.linalg.lstsq(even, values / lengths, rcond=_SINGULAR)[0]
        if np.abs(change).max() > 1e3 * (1.0 + abs(point[-1])):
            return point, -1
        point = point.copy()
        point[: len(change)] -= change
    return point, -1


def _system(payoffs: list[NDArray[np.float64]], point: NDArray[np.float64]) -> tuple[Any, Any]:
    """Equations (N,) and their Jacobian (N, N+1) at (l, L)."""
    sizes = payoffs[0].shape
    n, total, precision = len(sizes), sum(sizes), point[-1]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    with np.errstate(over="ignore"):
        p = [np.exp(point[starts[i] : starts[i + 1]]) for i in range(n)]
    values, jacobian = np.empty(total), np.zeros((total, total + 1))
    for i in range(n):
        own = slice(starts[i], starts[i + 1])
        rest = slice(starts[i] + 1, starts[i + 1])
        first = starts[i]
        u = contracted(payoffs[i], p, {i})
        with np.errstate(invalid="ignore"):
            values[first] = 1.0 - p[i].sum()
            values[rest] = point[rest] - point[first] - precision * (u[1:] - u[0])
        jacobian[first, own] = -p[i]
        jacobian[rest, rest] = np.eye(sizes[i] - 1)
        jacobian[rest, first] = -1.0
        jacobian[rest, -1] = u[0] - u[1:]
        for j in range(n):
            if j != i:
                pair = contracted(payoffs[i], p, {i, j})
                pair = pair if i < j else pair.T
                jacobian[rest, starts[j] : starts[j + 1]] = -precision * (pair[1:] - pair[0]) * p[j]
    return values, jacobian


def contracted(tensor: NDArray[np.float64], p: list[NDArray[np.float64]], kept: set[int]) -> NDArray[np.float64]:
    """Contract a payoff tensor with the strategies of all players but those kept."""
    for j in range(len(p) - 1, -1, -1):
        if j not in kept:
            tensor = np.tensordot(tensor, p[j], axes=(j, 0))
    return tensor
