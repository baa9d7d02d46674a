"""Equilibria of participation games: Gauss-Seidel best responses, with conjugate gradients where they are slow.

Definitions are in ``neurogames.games.participation``. Players revise in turn; each block keeps v = sum_j s_j theta_j
up to date, so one revision is a product and a sum with one row of the factors, O(d), and the Gram matrix is never
formed. Every revision climbs the potential. Three things make it fast:

- **Players who are stuck are skipped, provably.** A player whose best response is a border, with a margin of force,
  stays there until v has moved by margin / (|eta| |theta_i|) (Cauchy-Schwarz); the way of v is counted, not guessed.
- **The free players are solved together** when sweeps shrink too slowly: conjugate gradients on M restricted to
  0 < s_i < 1, preconditioned by c_i. By linearity in v, one step reads each free row once, as a sweep does. The step is
  cut to the box and halved until the potential rises; a direction in which the potential is convex ends it.
- **v is summed anew** after each such step and after a failed check, so rounding does not pile up.

The answer is checked from the game itself, by other code: residual and regret.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import instance, integer, number, numbers
from neurogames.engine.compiled import compiled
from neurogames.engine.participation.factors import add, dot, sums
from neurogames.engine.participation.uniqueness import participation_uniqueness
from neurogames.engine.solution import ParticipationSolution, certified
from neurogames.games.participation import ParticipationGame

_SLOW = 0.5
_CONJUGATE_STEPS = 100
_CONJUGATE_GOAL = 0.1
_SMALL = 200


def solve_participation(
    game: ParticipationGame,
    *,
    start: ArrayLike = 0.0,
    tolerance: float = 1e-9,
    max_sweeps: int = 1000,
) -> ParticipationSolution:
    """A Nash equilibrium: s_i = clip(force_i(s) / c_i, 0, 1) for every player.

    Where several equilibria exist the one reached depends on the start; it is a maximum of the potential in each
    coordinate, like every equilibrium, and no earlier profile of its path had a greater potential.

    Args:
        game: the game.
        start: first profile, a number for all players or (..., n); leading axes are separate solves.
        tolerance: greatest best-response residual max_i |BR_i(s) - s_i| that counts as an answer.
        max_sweeps: sweeps after which to give up.

    Returns:
        The profile (..., n) with its regret (...) and the sweeps of the longest solve. ``unique`` is True where M is
        known to be positive definite (by 2 beta_i > eta >= 0 or, up to 200 players, by its eigenvalues), else None.

    Raises:
        ValueError: if the start is not in [0, 1]^n or an option is out of range.

    >>> from neurogames.games.participation import ParticipationGame
    >>> game = ParticipationGame([1.0, 1.0], [[1.0, 0.0], [1.0, 0.0]], ridge=0.5, competition=0.5)
    >>> solution = solve_participation(game)
    >>> solution.profile.round(9), solution.status, solution.unique
    (array([0.66666667, 0.66666667]), 'ok', True)

    Reference: the potential and M positive definite as the condition of uniqueness: Y. Bramoulle, R. Kranton and
    M. D'Amours, Strategic interaction and networks, American Economic Review 104 (2014). One-pass
    conjugate gradients: A. Chronopoulos and C. W. Gear, s-step iterative methods, J. Comput. Appl. Math. 25 (1989).
    """
    instance("game", game, ParticipationGame, "a ParticipationGame")
    tolerance = number("tolerance", tolerance, "a tolerance > 0", lambda value: value > 0)
    max_sweeps = integer("max_sweeps", max_sweeps, minimum=1)
    first = numbers("start", start, "numbers in [0, 1]")
    if first.ndim == 0:
        first = np.full(game.n_players, float(first))
    first = game.checked(first, "start")
    profile = np.array(first, dtype=np.float64)
    ends = [_climb(game, row, tolerance, max_sweeps) for row in profile.reshape(-1, game.n_players)]
    sweeps, residual, regret = (np.array(part) for part in zip(*ends, strict=True))
    longest = int(sweeps.max())
    return ParticipationSolution(
        profile=profile,
        regret=regret.reshape(profile.shape[:-1]),
        residual=residual.reshape(profile.shape[:-1]),
        status=certified(float(residual.max()), tolerance, f"residual after {longest} sweeps"),
        unique=_surely_unique(game),
        iterations=longest,
    )


def _climb(
    game: ParticipationGame, shares: NDArray[np.float64], tolerance: float, max_sweeps: int
) -> tuple[int, float, float]:
    """Move ``shares`` in place to an equilibrium; return sweeps, residual and regret, the last two from the game."""
    n, d = game.factors.shape
    drive, curvature, eta = game.drive, game.curvature, game.competition
    norm = np.sqrt(game.squares)
    safe, travelled = np.full(n, -1.0), np.zeros(int(game.blocks.max()) + 1)
    v = np.zeros((travelled.size, d))
    sums(game.factors, game.blocks, shares, v)
    goal, before = tolerance, np.inf
    for sweep in range(1, max_sweeps + 1):
        change = _sweep(
            game.factors, game.blocks, game.squares, norm, drive, curvature, eta, shares, v, safe, travelled
        )
        if change <= goal or sweep == max_sweeps:
            moves, gains = game.deviations(shares)
            residual = float(np.abs(moves).max())
            if residual <= tolerance or sweep == max_sweeps:
                break
            sums(game.factors, game.blocks, shares, v)
            goal *= 0.25
        if change > _SLOW * before:
            _leap(game, drive, curvature, shares, v, travelled)
            before = np.inf
        else:
            before = change
    return sweep, residual, float(gains.max())


def _leap(
    game: ParticipationGame,
    drive: NDArray[np.float64],
    curvature: NDArray[np.float64],
    shares: NDArray[np.float64],
    v: NDArray[np.float64],
    travelled: NDArray[np.float64],
) -> None:
    """Move the free players together, in place, as far towards their common solution as the potential allows."""
    eta = game.competition
    free = np.flatnonzero((shares > 0) & (shares < 1) & (curvature > 0))
    if free.size == 0:
        return
    step = np.zeros(free.size)
    _conjugate(
        game.factors,
        game.blocks,
        game.squares,
        drive,
        curvature,
        eta,
        shares,
        v,
        free,
        _CONJUGATE_GOAL,
        _CONJUGATE_STEPS,
        step,
    )
    here = shares[free]
    level = _rise(drive, curvature, eta, game.squares, shares, v)
    old = v.copy()
    for _ in range(20):
        shares[free] = np.clip(here + step, 0.0, 1.0)
        sums(game.factors, game.blocks, shares, v)
        # The sum of positive parts bounds the rounding of the potential; a leap within it does no harm.
        if _rise(drive, curvature, eta, game.squares, shares, v) >= level - 1e-14 * float(np.abs(drive) @ shares):
            break
        step *= 0.5
    else:
        shares[free] = here
        sums(game.factors, game.blocks, shares, v)
    travelled += np.linalg.norm(v - old, axis=1)


def _rise(
    drive: NDArray[np.float64],
    curvature: NDArray[np.float64],
    eta: float,
    squares: NDArray[np.float64],
    shares: NDArray[np.float64],
    v: NDArray[np.float64],
) -> float:
    """The potential, from v."""
    own = (curvature - eta * squares) @ (shares * shares)
    return float(drive @ shares - 0.5 * own - 0.5 * eta * np.vdot(v, v))


def _surely_unique(game: ParticipationGame) -> bool | None:
    """True where M is positive definite by a bound, or by eigenvalues in a small game; None where not known."""
    stiff = game.curvature - game.competition * game.squares
    if game.competition >= 0 and (stiff > 0).all():
        return True
    return participation_uniqueness(game).unique if game.n_players <= _SMALL else None


@compiled
def _reply(force: float, curvature: float, share: float) -> Any:
    """Best response to a force."""
    if curvature > 0.0:
        return min(max(force / curvature, 0.0), 1.0)
    if force == 0.0:
        return share
    return 1.0 if force > 0.0 else 0.0


@compiled(error_model="numpy")
def _sweep(
    factors: Any,
    blocks: Any,
    squares: Any,
    norm: Any,
    drive: Any,
    curvature: Any,
    eta: float,
    shares: Any,
    v: Any,
    safe: Any,
    travelled: Any,
) -> Any:
    """Let every player who may want to move reply once, in order; return the greatest move.

    ``safe[i]`` is the travelled distance up to which player i is known to stay at its border.
    """
    greatest = 0.0
    for i in range(shares.size):
        b = blocks[i]
        if travelled[b] <= safe[i]:
            continue
        row, total = factors[i], v[b]
        force = drive[i] - eta * (dot(row, total) - shares[i] * squares[i])
        new = _reply(force, curvature[i], shares[i])
        move = new - shares[i]
        if move != 0.0:
            add(move, row, total)
            shares[i] = new
            travelled[b] += abs(move) * norm[i]
            greatest = max(greatest, abs(move))
        if new == 0.0:
            safe[i] = travelled[b] - force / (abs(eta) * norm[i])
        elif new == 1.0:
            safe[i] = travelled[b] + (force - curvature[i]) / (abs(eta) * norm[i])
        else:
            safe[i] = -1.0
    return greatest


@compiled
def _conjugate(
    factors: Any,
    blocks: Any,
    squares: Any,
    drive: Any,
    curvature: Any,
    eta: float,
    shares: Any,
    v: Any,
    free: Any,
    goal: float,
    most: int,
    x: Any,
) -> None:
    """Fill x, of zeros, with a step of the free players: M_ff x is close to their slope r, within ``goal`` times |r|.

    p is the search direction and w = sum_j p_j theta_j. From w alone follows p'Mp, hence the step length, before the
    rows are read; the one pass then updates r and sums the next w.
    """
    # The step is written in place: Ctrl-C during a compiled call that returns arrays ends the interpreter.
    m = free.size
    r, p = np.empty(m), np.empty(m)
    w, following = np.zeros(v.shape), np.empty(v.shape)
    size = 0.0
    for k in range(m):
        i = free[k]
        row = factors[i]
        r[k] = drive[i] - eta * (dot(row, v[blocks[i]]) - shares[i] * squares[i]) - curvature[i] * shares[i]
        p[k] = r[k] / curvature[i]
        size += r[k] * p[k]
        add(p[k], row, w[blocks[i]])
    enough = goal * goal * size
    for _ in range(most):
        if size <= enough:
            break
        bend = 0.0
        for b in range(w.shape[0]):
            bend += dot(w[b], w[b])
        bend *= eta
        for k in range(m):
            bend += (curvature[free[k]] - eta * squares[free[k]]) * p[k] * p[k]
        if bend <= 0.0:
            break
        length = size / bend
        following[:] = 0.0
        new = 0.0
        for k in range(m):
            i = free[k]
            row = factors[i]
            x[k] += length * p[k]
            r[k] -= length * ((curvature[i] - eta * squares[i]) * p[k] + eta * dot(row, w[blocks[i]]))
            z = r[k] / curvature[i]
            new += z * r[k]
            add(z, row, following[blocks[i]])
        turn = new / size
        size = new
        for b in range(w.shape[0]):
            for q in range(w.shape[1]):
                w[b, q] = following[b, q] + turn * w[b, q]
        for k in range(m):
            p[k] = r[k] / curvature[free[k]] + turn * p[k]
