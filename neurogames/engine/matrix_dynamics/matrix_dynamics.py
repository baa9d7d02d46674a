"""Populations that play a two-player game, followed from many starts at once.

A game gives the fitness (:func:`one_population_fitness`, :func:`two_population_fitness`), a formula of
``matrix_velocities`` turns it into a velocity, and one of two drivers moves on: :func:`integrate_dynamics` integrates
smooth velocities in continuous time, :func:`iterate_dynamics` takes steps x <- P(x + h_t v), P being the projection on
the simplex, which is how best responses, fictitious play and projected gradients are meant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, fits_in_memory, integer, invalid_argument, number, numbers
from neurogames.engine.matrix_dynamics.matrix_path import MatrixPath, States
from neurogames.engine.matrix_dynamics.matrix_velocities import Vector, Velocity, project
from neurogames.games.normal_form import NormalFormGame, check_game

Fitness = Callable[[States], States]

_ROUNDING = 1e-9


def one_population_fitness(game: NormalFormGame) -> Fitness:
    """Fitness in one population whose members meet each other in a symmetric game.

    Args:
        game: two players, payoffs[1] the transpose of payoffs[0].

    Returns:
        The function that takes (x,), x of shape (..., a), to (A x,).

    Raises:
        ValueError: if the game is not symmetric.

    >>> fitness = one_population_fitness(NormalFormGame.symmetric([[-1.0, 2.0], [0.0, 1.0]]))
    >>> fitness((np.array([0.5, 0.5]),))
    (array([0.5, 0.5]),)
    """
    check_game(game)
    if game.n_players != 2 or not np.array_equal(game.payoffs[0], game.payoffs[1].T):
        raise invalid_argument(
            "game", f"payoffs of shape {game.n_actions}", "2 players, payoffs[1] the transpose of payoffs[0]"
        )
    matrix = game.payoffs[0]
    return lambda states: (_meeting(states, 1, (len(matrix),))[0] @ matrix.T,)


def two_population_fitness(game: NormalFormGame) -> Fitness:
    """Fitness in two populations whose members meet members of the other one.

    Args:
        game: two players.

    Returns:
        The function that takes (x, y), of shapes (..., a_1) and (..., a_2), to (A y, x B).

    Raises:
        ValueError: if there are not two players.

    >>> fitness = two_population_fitness(NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]]))
    >>> fitness((np.array([1.0, 0.0]), np.array([0.5, 0.5])))
    (array([0., 0.]), array([-1.,  1.]))
    """
    check_game(game)
    if game.n_players != 2:
        raise invalid_argument("game", f"{game.n_players} players", "2 players")
    first, second = game.payoffs

    def fitness(states: States) -> States:
        x, y = _meeting(states, 2, game.n_actions)
        return y @ first.T, x @ second

    return fitness


def fictitious_play_step(step: int) -> float:
    """Step size 1 / (t + 2): with best responses, x is the average of all plays, the start being the first of them.

    Args:
        step: t = 0, 1, ...

    Returns:
        The step size.

    Raises:
        ValueError: if the step is no such number.

    >>> [fictitious_play_step(t) for t in (0, 2)]
    [0.5, 0.25]

    Reference: G. Brown, Iterative solution of games by fictitious play, in Activity Analysis of Production and
    Allocation (1951).
    """
    step = integer("step", step, minimum=0)
    return 1.0 / (step + 2)


def integrate_dynamics(
    fitness: Fitness,
    velocity: Velocity,
    start: Sequence[ArrayLike],
    times: ArrayLike,
    *,
    tolerance: float = 1e-9,
) -> MatrixPath:
    """Integrate x' = v(x, f(x)), by Dormand and Prince's method.

    Args:
        fitness: what the actions pay, such as ``one_population_fitness(game)``.
        velocity: a smooth velocity: replicator, imitation, logit. One that jumps makes the steps very small.
        start: for each population, (..., a) shares at time 0; the same leading axes in all.
        times: (T,) increasing times >= 0 to look at.
        tolerance: of the local error, absolute and relative.

    Returns:
        The paths.

    Raises:
        ValueError: if a start is outside the simplex, or the times do not increase from 0 on.

    >>> from neurogames.engine.matrix_dynamics.matrix_velocities import replicator_velocity
    >>> hawk_dove = NormalFormGame.symmetric([[-1.0, 2.0], [0.0, 1.0]])
    >>> fitness, start = one_population_fitness(hawk_dove), [[[0.1, 0.9], [1.0, 0.0]]]
    >>> path = integrate_dynamics(fitness, replicator_velocity, start, [0.0, 40.0])
    >>> path.states[0][-1].round(6)
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    from scipy.integrate import solve_ivp  # a slow import

    states = checked_starts(start)
    _check_motion(fitness, velocity, states)
    at = checked_times(times)
    number("tolerance", tolerance, "a number > 0", lambda value: value > 0)
    cuts = np.cumsum([state.size for state in states])[:-1]

    def unpack(flat: Vector) -> States:
        parts = np.split(flat, cuts)
        return tuple(part.reshape(state.shape) for part, state in zip(parts, states, strict=True))

    def derivative(_: float, flat: Vector) -> Vector:
        now = unpack(flat)
        moves = (velocity(state, pay) for state, pay in zip(now, fitness(now), strict=True))
        return np.concatenate([move.ravel() for move in moves])

    first = np.concatenate([state.ravel() for state in states])
    # A span of no length cannot be integrated, and needs not be.
    found = solve_ivp(derivative, (0.0, max(at[-1], 1e-300)), first, t_eval=at, rtol=tolerance, atol=tolerance)
    seen = np.full((at.size, first.size), np.nan)
    seen[: found.y.shape[1]] = found.y.T
    pasts = zip(np.split(seen, cuts, axis=1), states, strict=True)
    status = "ok" if found.success else f"the integrator stopped: {found.message}"
    return checked_path(at, tuple(past.reshape(at.size, *state.shape) for past, state in pasts), status)


def iterate_dynamics(
    fitness: Fitness,
    velocity: Velocity,
    start: Sequence[ArrayLike],
    steps: int,
    *,
    step_size: float | Callable[[int], float],
    every: int = 1,
) -> MatrixPath:
    """Take steps x <- P(x + h_t v(x, f(x))), all populations at once.

    Args:
        fitness: what the actions pay, such as ``two_population_fitness(game)``.
        velocity: any velocity.
        start: for each population, (..., a) shares; the same leading axes in all.
        steps: number of steps.
        step_size: h_t > 0, or a function of t = 0, 1, ... such as :func:`fictitious_play_step`.
        every: steps between two records.

    Returns:
        The paths at 0, every, 2 every, ... steps.

    Raises:
        ValueError: if a start is outside the simplex, or a step size is not positive.

    >>> from neurogames.engine.matrix_dynamics.matrix_velocities import best_response_velocity
    >>> pennies = two_population_fitness(NormalFormGame.zero_sum([[1, -1], [-1, 1]]))
    >>> start, step = [[1, 0], [1, 0]], fictitious_play_step
    >>> path = iterate_dynamics(pennies, best_response_velocity, start, 5000, step_size=step, every=5000)
    >>> bool(abs(path.states[0][-1, 0] - 0.5) < 0.03)
    True
    """
    states = checked_starts(start)
    _check_motion(fitness, velocity, states)
    steps, every = integer("steps", steps, minimum=0), integer("every", every, minimum=1)
    fits_in_memory("steps", steps, (steps // every + 1) * sum(state.size for state in states))
    records = [states]
    for t in range(steps):
        size = step_size(t) if callable(step_size) else step_size
        size = number("step_size", size, "a number > 0", lambda value: value > 0)
        pays = fitness(states)
        states = tuple(project(state + size * velocity(state, pay)) for state, pay in zip(states, pays, strict=True))
        if (t + 1) % every == 0:
            records.append(states)
    time = np.arange(0, steps + 1, every, dtype=np.float64)
    return checked_path(time, tuple(np.stack(past) for past in zip(*records, strict=True)), "ok")


def _meeting(states: States, populations: int, actions: tuple[int, ...]) -> States:
    """Return the states, or refuse those of another number of populations or actions."""
    sizes = tuple(state.shape[-1] for state in states)
    if sizes != actions:
        raise invalid_argument(
            "start", f"{len(sizes)} populations with {sizes} actions", f"{populations} with {actions} actions"
        )
    return states


def _check_motion(fitness: Fitness, velocity: Velocity, states: States) -> None:
    """Refuse what is no function of the states, such as a game in the place of its fitness."""
    if not callable(fitness):
        raise invalid_argument("fitness", fitness, "a function of states, such as one_population_fitness(game)")
    if not callable(velocity):
        raise invalid_argument("velocity", velocity, "a function of state and fitness, such as replicator_velocity")
    try:
        moves = [velocity(state, pay) for state, pay in zip(states, fitness(states), strict=True)]
    except (TypeError, AttributeError) as error:
        raise invalid_argument("fitness, velocity", f"functions that fail ({error})", "two that fit together") from None
    if any(np.shape(move) != state.shape for move, state in zip(moves, states, strict=True)):
        raise invalid_argument("velocity", f"shapes {[np.shape(move) for move in moves]}", "those of the states")


def checked_times(times: ArrayLike) -> NDArray[np.float64]:
    """Times as floats, or an error."""
    at = finite_array("times", times, ndim=1)
    if at[0] < 0 or (np.diff(at) <= 0).any():
        raise invalid_argument("times", times, "increasing times >= 0")
    return at


def checked_starts(start: Sequence[ArrayLike]) -> States:
    """Float copies of the first states, or an error."""
    expected = "one array (..., a) for each population, with equal leading axes"
    if not isinstance(start, Sequence | np.ndarray):
        raise invalid_argument("start", start, expected)
    states = tuple(numbers(f"start[{i}]", state, "shares >= 0 that sum to 1").copy() for i, state in enumerate(start))
    if (
        not states
        or any(state.size == 0 or state.ndim == 0 for state in states)
        or len({state.shape[:-1] for state in states}) > 1
    ):
        shapes = [state.shape for state in states]
        raise invalid_argument("start", f"shapes {shapes}", expected)
    for population, state in enumerate(states):
        if not _off((state,)) <= _ROUNDING:
            raise invalid_argument(f"start[{population}]", state, "shares >= 0 that sum to 1")
    return states


def _off(states: States) -> float:
    """How far the worst of the states is outside the simplex."""
    return max(float(max(np.abs(state.sum(axis=-1) - 1.0).max(), -state.min(), 0.0)) for state in states)


def checked_path(time: NDArray[np.float64], states: States, status: str) -> MatrixPath:
    """The result, with its distance from the simplex over what was reached."""
    reached = ~np.isnan(states[0].reshape(time.size, -1)).any(axis=1)
    return MatrixPath(time, states, _off(tuple(state[reached] for state in states)), status)
