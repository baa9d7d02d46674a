"""Linear-quadratic games solved exactly by one backward sweep of coupled Riccati equations.

Definitions are in ``neurogames.games.dynamic``. A player's cost-to-go is V_i(x) = x'P_i x / 2 + p_i'x + r_i. At a
stage, with F = [A B], what player i minimises is quadratic in z = (x, u):

    Q_i = H_i + F'P_i F,      g_i = h_i + F'(P_i c + p_i).

The rows of each player's own control, put together, are the first-order conditions R u + S x + s = 0, hence

    u = -(k + K x),     K = R^-1 S,     k = R^-1 s                                            (R nonsingular)

- **feedback**: V_i is the cost under these laws, so P_i <- (I, -K)' Q_i (I, -K): the others react to the state.
- **open_loop**: the others' controls are fixed numbers. Then P_i is not a cost but the costate, lambda_i = P_i x + p_i,
  P_i <- Q_i,xx - Q_i,xu K, and it is not symmetric. The laws give the controls along the path from any start.
- **cooperative**: all players minimise the sum of costs: one player. This is also the case N = 1 of both others.

An equilibrium is checked by giving one player at a time its best reply: with the others' laws built into the system the
game of that player is a one-player game again, solved by the same sweep. Open loop, the others follow the
equilibrium's path, which joins the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from neurogames._arguments import instance, one_of
from neurogames.engine.linear_quadratic.quadratic import Array, ControlLaw, Quadratic
from neurogames.engine.solution import OK, certified
from neurogames.games.dynamic import LinearQuadraticGame, LinearQuadraticStage

Information = Literal["feedback", "open_loop", "cooperative"]
_ROUNDING = 1e-10


@dataclass(frozen=True, eq=False)
class LinearQuadraticSolution:
    """Laws of all players, what they cost, and what a deviation could save.

    Attributes:
        laws: T laws u_t = -(k_t + K_t x_t).
        values: T + 1 costs-to-go of all players under the laws, as functions of the state.
        regret: (N,) bound of what player i could save by deviating alone from any start with |x_0| <= 1, in units of
            cost; under cooperation (1,), what all together could save. NaN without a solution.
        status: "ok", or why there is no equilibrium, or that a deviation may save more than 1e-9 of the costs.
        unique: True where all systems R were regular; False where a singular one had several solutions, the one of
            least norm being returned; None without a solution.
        information: the information structure.
    """

    laws: tuple[ControlLaw, ...]
    values: tuple[Quadratic, ...]
    regret: Array
    status: str
    unique: bool | None
    information: Information

    def controls(self, game: LinearQuadraticGame, start: ArrayLike) -> list[Array]:
        """Controls u_0..u_{T-1} along the path from x_0, (..., n_0); T arrays (..., m)."""
        x, path = np.asarray(start, dtype=np.float64), []
        for stage, law in zip(game.stages, self.laws, strict=True):
            path.append(-(law.offset + x @ law.gain.T))
            x = x @ stage.transition.T + path[-1] @ stage.control.T + stage.drift
        return path


def solve_linear_quadratic(game: LinearQuadraticGame, information: Information = "feedback") -> LinearQuadraticSolution:
    """Nash equilibrium in open-loop or feedback strategies, or the joint optimum, for all starts at once.

    Args:
        game: the game; players minimise.
        information: "feedback" (players see the state), "open_loop" (they see the start only), or "cooperative" (they
            minimise the sum of their costs together).

    Returns:
        The solution with its certificate. A player whose problem is not convex given the others has no best reply, and
        a singular system without a solution no equilibrium: both are a status.

    Raises:
        ValueError: if the information structure is not one of the three.

    >>> stage = LinearQuadraticStage([[1.0]], [[[1.0]], [[1.0]]], [np.diag([0, 1, 0]), np.diag([0, 0, 1])])
    >>> game = LinearQuadraticGame((stage,), terminal_hessian=[[[1.0]], [[1.0]]])
    >>> for information in ("feedback", "open_loop", "cooperative"):
    ...     solution = solve_linear_quadratic(game, information)
    ...     print(solution.status, solution.laws[0].gain.round(3).tolist(), solution.regret.max() < 1e-12)
    ok [[0.333], [0.333]] True
    ok [[0.333], [0.333]] True
    ok [[0.4], [0.4]] True

    Reference: T. Basar and G. J. Olsder, Dynamic Noncooperative Game Theory (1999), theorem 6.2 (open loop) and
    corollary 6.1 (feedback); the two structures of a network's layers: Dynamic Game Theoretic Neural Optimizer, arXiv
    2105.03788, equations (9) and (11).
    """
    instance("game", game, LinearQuadraticGame, "a LinearQuadraticGame")
    one_of("information", information, ("feedback", "open_loop", "cooperative"))
    played = _united(game) if information == "cooperative" else game
    open_loop = information == "open_loop"
    laws, _, unique, status = _sweep(played, costate=open_loop, names=range(played.n_players))
    regret = np.full(played.n_players, np.nan)
    if status == OK:
        reached = _evaluated(played, laws)[0]
        for i in range(played.n_players):
            reply, fixed = _reply_game(played, laws, i, doubled=open_loop)
            _, best, _, status = _sweep(reply, costate=False, names=[i])
            if status != OK:
                break
            regret[i] = _saving(reached, i, best[0], fixed)
    if status != OK:
        nothing = np.full(played.n_players, np.nan)
        return LinearQuadraticSolution((), (), nothing, status, None, information)
    costs = [_bound(*(part[i] for part in reached)) or 1.0 for i in range(played.n_players)]
    status = certified(float((regret / costs).max()), what="a deviation may save a share of the costs of")
    return LinearQuadraticSolution(tuple(laws), tuple(_evaluated(game, laws)), regret, status, unique, information)


def _united(game: LinearQuadraticGame) -> LinearQuadraticGame:
    """The game of one player who has all controls and pays all costs."""
    stages = [
        LinearQuadraticStage(
            stage.transition,
            [stage.control],
            stage.hessian.sum(axis=0, keepdims=True),
            stage.gradient.sum(axis=0, keepdims=True),
            stage.drift,
        )
        for stage in game.stages
    ]
    return LinearQuadraticGame(
        stages, game.terminal_hessian.sum(axis=0, keepdims=True), game.terminal_gradient.sum(axis=0, keepdims=True)
    )


def _terminal(game: LinearQuadraticGame) -> Quadratic:
    """The cost-to-go at the end."""
    return Quadratic(game.terminal_hessian, game.terminal_gradient, np.zeros(game.n_players))


def _sweep(
    game: LinearQuadraticGame, *, costate: bool, names: Sequence[int]
) -> tuple[list[ControlLaw], list[Quadratic], bool, str]:
    """Laws and costs-to-go (or costates) of all stages, whether every R was regular, and "ok" or why it stopped."""
    after = _terminal(game)
    laws: list[ControlLaw] = []
    values = [after]
    unique = True
    for t in reversed(range(len(game.stages))):
        stage = game.stages[t]
        n = stage.transition.shape[1]
        F = np.concatenate([stage.transition, stage.control], axis=1)
        Q = stage.hessian + F.T @ after.hessian @ F
        g = stage.gradient + (after.hessian @ stage.drift + after.gradient) @ F
        rows = [np.arange(part.start, part.stop) + n for part in stage.parts]
        if not costate:
            for i, own in enumerate(rows):
                least = float(np.linalg.eigvalsh(Q[i][np.ix_(own, own)])[0]) if own.size else 0.0
                if least < -_ROUNDING * _size(Q[i]):
                    status = (
                        f"the cost of player {names[i]} is not convex in its own control at stage {t} ({least:.3g})"
                    )
                    return [], [], False, status
        joint = np.concatenate([Q[i][own] for i, own in enumerate(rows)])
        offset = np.concatenate([g[i][own] for i, own in enumerate(rows)])
        R, S = joint[:, n:], joint[:, :n]
        solved, regular = _solved(R, np.concatenate([S, offset[:, None]], axis=1))
        if solved is None:
            return [], [], False, f"the first-order conditions at stage {t} contradict each other (singular R)"
        unique = unique and regular
        law = ControlLaw(solved[:, :n], solved[:, n])
        after = _costate(Q, g, n, law) if costate else _cost(Q, g, n, law, stage.drift, after)
        laws.append(law)
        values.append(after)
    return laws[::-1], values[::-1], unique, "ok"


def _size(matrix: Array) -> float:
    """Largest entry, the scale of rounding."""
    return float(np.abs(matrix).max(initial=0.0))


def _solved(R: Array, right: Array) -> tuple[Array | None, bool]:
    """Solution of R y = right of least norm and whether R is regular; None if there is no solution."""
    if R.size == 0:
        return np.zeros_like(right), True
    left, values, turned = (np.asarray(part, dtype=np.float64) for part in np.linalg.svd(R))
    keep = values > _ROUNDING * max(values[0], np.finfo(float).tiny)
    if keep.all():
        return np.asarray(np.linalg.solve(R, right), dtype=np.float64), True
    solved = turned[keep].T @ ((left[:, keep].T @ right) / values[keep, None])
    consistent = _size(R @ solved - right) <= _ROUNDING * max(_size(right), values[0])
    return (solved if consistent else None), False


def _cost(Q: Array, g: Array, n: int, law: ControlLaw, drift: Array, after: Quadratic) -> Quadratic:
    """Cost-to-go of all players when everybody follows the law."""
    T = np.concatenate([np.eye(n), -law.gain])
    z = np.concatenate([np.zeros(n), -law.offset])
    hessian = T.T @ Q @ T
    constant = after.constant + 0.5 * (after.hessian @ drift) @ drift + after.gradient @ drift
    return Quadratic(
        hessian=0.5 * (hessian + hessian.swapaxes(-1, -2)),
        gradient=(Q @ z + g) @ T,
        constant=constant + 0.5 * (Q @ z) @ z + g @ z,
    )


def _costate(Q: Array, g: Array, n: int, law: ControlLaw) -> Quadratic:
    """Costate lambda_i = P_i x + p_i: the slope of the cost in x while the others' controls stay as they are."""
    return Quadratic(
        hessian=Q[:, :n, :n] - Q[:, :n, n:] @ law.gain,
        gradient=g[:, :n] - Q[:, :n, n:] @ law.offset,
        constant=np.zeros(Q.shape[0]),
    )


def _evaluated(game: LinearQuadraticGame, laws: Sequence[ControlLaw]) -> list[Quadratic]:
    """Costs-to-go of all players under given laws."""
    values = [_terminal(game)]
    for stage, law in zip(reversed(game.stages), reversed(laws), strict=True):
        after = values[-1]
        F = np.concatenate([stage.transition, stage.control], axis=1)
        Q = stage.hessian + F.T @ after.hessian @ F
        g = stage.gradient + (after.hessian @ stage.drift + after.gradient) @ F
        values.append(_cost(Q, g, stage.transition.shape[1], law, stage.drift, after))
    return values[::-1]


def _bound(hessian: Array, gradient: Array, constant: Array) -> float:
    """Bound over |x| <= 1 of a quadratic function, term by term."""
    return float(0.5 * np.linalg.norm(hessian, 2) + np.linalg.norm(gradient) + abs(constant))


def _saving(reached: Quadratic, i: int, best: Quadratic, fixed: float) -> float:
    """Bound over |x| <= 1 of what the best reply saves player i; a doubled state (x, path) starts as (x, x)."""
    n = reached.hessian.shape[-1]
    twice = np.tile(np.eye(n), (best.hessian.shape[-1] // n, 1))
    return _bound(
        reached.hessian[i] - twice.T @ best.hessian[0] @ twice,
        reached.gradient[i] - best.gradient[0] @ twice,
        reached.constant[i] - best.constant[0] - fixed,
    )


def _reply_game(
    game: LinearQuadraticGame, laws: Sequence[ControlLaw], i: int, *, doubled: bool
) -> tuple[LinearQuadraticGame, float]:
    """The one-player game of player i while the others keep their laws, and the cost no reply can change.

    With y the state, the variables z = (x, u_1, ..., u_N) are an affine function of (y, u_i): z = L (y, u_i) + l.
    Doubled, y is (x, path of the equilibrium), and the others react to the path, so not to player i.
    """
    stages, fixed = [], 0.0
    for stage, law in zip(game.stages, laws, strict=True):
        n, own = stage.transition.shape[1], stage.parts[i]
        others = np.ones(law.offset.size)
        others[own] = 0.0
        width = 2 * n if doubled else n
        L = np.zeros((n + others.size, width + own.stop - own.start))
        L[:n, :n] = np.eye(n)
        L[n:, width - n : width] = -others[:, None] * law.gain
        L[n + np.arange(own.start, own.stop), width + np.arange(own.stop - own.start)] = 1.0
        shift = np.concatenate([np.zeros(n), -others * law.offset])
        F = np.concatenate([stage.transition, stage.control], axis=1)
        moved, drift = F @ L, F @ shift + stage.drift
        if doubled:
            closed = stage.transition - stage.control @ law.gain
            path = np.concatenate(
                [np.zeros_like(closed), closed, np.zeros((closed.shape[0], L.shape[1] - width))], axis=1
            )
            moved = np.concatenate([moved, path])
            drift = np.concatenate([drift, stage.drift - stage.control @ law.offset])
        fixed += float(0.5 * shift @ stage.hessian[i] @ shift + stage.gradient[i] @ shift)
        hessian = L.T @ stage.hessian[i] @ L
        stages.append(
            LinearQuadraticStage(
                moved[:, :width],
                [moved[:, width:]],
                0.5 * (hessian + hessian.T)[None],
                (L.T @ (stage.hessian[i] @ shift + stage.gradient[i]))[None],
                drift,
            )
        )
    end = game.terminal_hessian[i]
    zero = np.zeros_like(end)
    final = np.block([[end, zero], [zero, zero]]) if doubled else end
    slope = game.terminal_gradient[i]
    tail = np.concatenate([slope, np.zeros_like(slope)]) if doubled else slope
    return LinearQuadraticGame(stages, final[None], tail[None]), fixed
