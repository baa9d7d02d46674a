"""Linear-quadratic dynamic games: N players steer one linear system, each with its own quadratic cost to minimise.

Stage t = 0..T-1, state x_t (n_t,), control u_i of player i (m_i,), all controls side by side u = (u_1, ..., u_N):

    x_{t+1} = A_t x_t + B_t u_t + c_t,     B_t = [B_{t,1} ... B_{t,N}]
    J_i = sum_t ( z_t' H_{t,i} z_t / 2 + h_{t,i}' z_t ) + x_T' Q_i x_T / 2 + q_i' x_T,     z_t = (x_t, u_t)

Widths may change from stage to stage, and a player without a control at a stage has width 0 there. What the players
know (open loop, feedback, cooperation) is a matter of the solution, not of the game.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, invalid_argument, numbers

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearQuadraticStage:
    """One stage: how the state moves and what it costs each player.

    Args:
        transition: A, (n', n).
        controls: B_i of each player, a sequence of N arrays (n', m_i); m_i = 0 for a player without a control here.
        hessian: H, (N, n + m, n + m) with m = sum m_i; symmetric in the last two axes, in the order (x, u_1, ..., u_N).
        gradient: h, (N, n + m); zeros when left out.
        drift: c, (n',); zeros when left out.

    Raises:
        ValueError: if shapes do not fit, an entry is not finite or a Hessian is not symmetric.

    One player steers x' = x + u at a cost of (x^2 + u^2) / 2:

    >>> stage = LinearQuadraticStage([[1.0]], [[[1.0]]], [[[1.0, 0.0], [0.0, 1.0]]])
    >>> stage.gradient, stage.drift
    (array([[0., 0.]]), array([0.]))
    """

    transition: Array
    controls: tuple[Array, ...]
    hessian: Array
    gradient: Array
    drift: Array

    def __init__(
        self,
        transition: ArrayLike,
        controls: Sequence[ArrayLike],
        hessian: ArrayLike,
        gradient: ArrayLike | None = None,
        drift: ArrayLike | None = None,
    ) -> None:
        A = finite_array("transition", transition, ndim=2)
        if not isinstance(controls, Sequence | np.ndarray):
            raise invalid_argument("controls", controls, "an array (n', m_i) for each of at least 1 player")
        B = tuple(_control(f"controls[{i}]", part, A.shape[0]) for i, part in enumerate(controls))
        if not B:
            raise invalid_argument("controls", "no players", "an array (n', m_i) for each of at least 1 player")
        players, width = len(B), A.shape[1] + sum(part.shape[1] for part in B)
        object.__setattr__(self, "transition", A)
        object.__setattr__(self, "controls", B)
        object.__setattr__(self, "hessian", _symmetric("hessian", hessian, (players, width, width)))
        object.__setattr__(self, "gradient", _shaped("gradient", gradient, (players, width)))
        object.__setattr__(self, "drift", _shaped("drift", drift, (A.shape[0],)))

    @property
    def n_players(self) -> int:
        """Number of players N."""
        return len(self.controls)

    @property
    def control(self) -> Array:
        """B = [B_1 ... B_N], (n', m)."""
        return np.concatenate(self.controls, axis=1)

    @property
    def parts(self) -> tuple[slice, ...]:
        """Where in u the control of each player stands."""
        ends = np.cumsum([0, *(part.shape[1] for part in self.controls)]).tolist()
        return tuple(slice(first, last) for first, last in pairwise(ends))


@dataclass(frozen=True, eq=False)
class LinearQuadraticGame:
    """A linear-quadratic game of N players over T stages.

    Args:
        stages: T >= 1 stages; a game that repeats one stage is ``(stage,) * T``.
        terminal_hessian: Q, (N, n_T, n_T), symmetric.
        terminal_gradient: q, (N, n_T); zeros when left out.

    Raises:
        ValueError: if the stages do not fit each other or the terminal cost.

    >>> stage = LinearQuadraticStage([[1.0]], [[[1.0]], [[1.0]]], [np.diag([0, 1, 0]), np.diag([0, 0, 1])])
    >>> game = LinearQuadraticGame((stage,) * 2, terminal_hessian=[[[1.0]], [[1.0]]])
    >>> game.costs([2.0], [np.array([-0.5, -0.5]), np.array([0.0, 0.0])])
    array([0.625, 0.625])

    Reference: T. Basar and G. J. Olsder, Dynamic Noncooperative Game Theory (1999), sections 6.2.1 and 6.2.2.
    """

    stages: tuple[LinearQuadraticStage, ...]
    terminal_hessian: Array
    terminal_gradient: Array

    def __init__(
        self,
        stages: Sequence[LinearQuadraticStage],
        terminal_hessian: ArrayLike,
        terminal_gradient: ArrayLike | None = None,
    ) -> None:
        if not isinstance(stages, Sequence) or not stages:
            got = "none" if isinstance(stages, Sequence) else stages
            raise invalid_argument("stages", got, "a sequence of at least 1 stage")
        for t, stage in enumerate(stages):
            if not isinstance(stage, LinearQuadraticStage):
                raise invalid_argument(f"stages[{t}]", stage, "a LinearQuadraticStage")
        for t, (here, there) in enumerate(pairwise(stages)):
            if here.transition.shape[0] != there.transition.shape[1] or here.n_players != there.n_players:
                got = f"{there.n_players} players and a state of width {there.transition.shape[1]}"
                raise invalid_argument(
                    f"stages[{t + 1}]", got, f"{here.n_players} players and width {here.transition.shape[0]}"
                )
        players, width = stages[-1].n_players, stages[-1].transition.shape[0]
        object.__setattr__(self, "stages", tuple(stages))
        object.__setattr__(
            self, "terminal_hessian", _symmetric("terminal_hessian", terminal_hessian, (players, width, width))
        )
        object.__setattr__(self, "terminal_gradient", _shaped("terminal_gradient", terminal_gradient, (players, width)))

    @property
    def n_players(self) -> int:
        """Number of players N."""
        return self.stages[0].n_players

    def states(self, start: ArrayLike, controls: Sequence[ArrayLike]) -> list[Array]:
        """States x_0..x_T under given controls.

        Args:
            start: x_0, (..., n_0).
            controls: T arrays (..., m), the controls of all players side by side.

        Returns:
            T + 1 arrays (..., n_t).

        Raises:
            ValueError: if there are not T controls.
        """
        if len(controls) != len(self.stages):
            raise invalid_argument(
                "controls", f"{len(controls)} of them", f"one for each of the {len(self.stages)} stages"
            )
        path = [np.asarray(start, dtype=np.float64)]
        for stage, u in zip(self.stages, controls, strict=True):
            path.append(path[-1] @ stage.transition.T + np.asarray(u) @ stage.control.T + stage.drift)
        return path

    def costs(self, start: ArrayLike, controls: Sequence[ArrayLike]) -> Array:
        """Costs J_i of all players under given controls, (..., N); arguments as in ``states``."""
        path = self.states(start, controls)
        end = path[-1]
        total = _quadratic(self.terminal_hessian, self.terminal_gradient, end)
        for stage, x, u in zip(self.stages, path[:-1], controls, strict=True):
            z = _side_by_side(x, np.asarray(u, dtype=np.float64))
            total = total + _quadratic(stage.hessian, stage.gradient, z)
        return total


def _quadratic(hessian: Array, gradient: Array, z: Array) -> Array:
    """Values z' H_i z / 2 + h_i' z for all players, (..., N)."""
    return np.asarray(0.5 * np.einsum("...a,iab,...b->...i", z, hessian, z) + z @ gradient.T)


def _side_by_side(x: Array, u: Array) -> Array:
    """(x, u) along the last axis, leading axes broadcast."""
    lead = np.broadcast_shapes(x.shape[:-1], u.shape[:-1])
    return np.concatenate([np.broadcast_to(x, (*lead, x.shape[-1])), np.broadcast_to(u, (*lead, u.shape[-1]))], axis=-1)


def _control(name: str, value: ArrayLike, height: int) -> Array:
    """A finite (height, m) array, m = 0 allowed, read-only."""
    part = numbers(name, value, f"a finite array ({height}, m_i), as high as the transition").copy()
    if part.ndim != 2 or part.shape[0] != height or not np.isfinite(part).all():
        raise invalid_argument(
            name, f"shape {part.shape}", f"a finite array ({height}, m_i), as high as the transition"
        )
    part.flags.writeable = False
    return part


def _shaped(name: str, value: ArrayLike | None, shape: tuple[int, ...]) -> Array:
    """A finite array of that shape, zeros for None, read-only."""
    result = finite_array(name, np.zeros(shape) if value is None else value, ndim=len(shape))
    if result.shape != shape:
        raise invalid_argument(name, f"shape {result.shape}", f"shape {shape}")
    return result


def _symmetric(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Array:
    """A finite array of that shape, symmetric in its last two axes up to rounding."""
    result = _shaped(name, value, shape)
    skew = float(np.abs(result - result.swapaxes(-1, -2)).max())
    if skew > 1e-12 * float(np.abs(result).max()):
        raise invalid_argument(name, f"entries that differ by {skew:.1e} from the transpose", "symmetric matrices")
    return result
