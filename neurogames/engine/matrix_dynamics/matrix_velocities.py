"""Dynamics as functions (state, fitness) -> velocity; who computes the fitness is somebody else.

A state x (..., a) says which share of a population plays each of a actions, the fitness f (..., a) what each action
pays; leading axes are a batch. But for :func:`gradient_velocity`, every velocity sums to 0 and none leads out of the
simplex: where x_i = 0, the velocity of i is not negative. The functions are plain formulas, defined on the border too.

Reference: W. Sandholm, Population Games and Evolutionary Dynamics (2010), chapters 5 and 6.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import number

Vector = NDArray[np.float64]
Velocity = Callable[[Vector, Vector], Vector]


def replicator_velocity(state: Vector, fitness: Vector) -> Vector:
    """Replicator dynamic x_i (f_i - x f): what pays more than the average grows.

    Args:
        state: x, (..., a) shares of the actions.
        fitness: f, (..., a) what each action pays.

    Returns:
        (..., a) the velocity.

    >>> replicator_velocity(np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    array([ 0.25, -0.25])

    Reference: P. Taylor and L. Jonker, Evolutionarily stable strategies and game dynamics, Mathematical Biosciences 40
    (1978).
    """
    return np.asarray(state * (fitness - (state * fitness).sum(axis=-1, keepdims=True)))


def best_response_velocity(state: Vector, fitness: Vector) -> Vector:
    """Best response dynamic b(f) - x, where b shares equally among the actions that pay most, compared exactly.

    It jumps where actions tie, so it is for ``iterate_dynamics``; see ``strategy_mean_field`` and
    ``two_population_mean_field`` for paths in continuous time that slide along ties.

    Args:
        state: x, (..., a) shares of the actions.
        fitness: f, (..., a) what each action pays.

    Returns:
        (..., a) the velocity.

    >>> best_response_velocity(np.array([0.5, 0.5]), np.array([1.0, 1.0]))
    array([0., 0.])

    Reference: I. Gilboa and A. Matsui, Social stability and equilibrium, Econometrica 59 (1991).
    """
    best = fitness == fitness.max(axis=-1, keepdims=True)
    return np.asarray(best / best.sum(axis=-1, keepdims=True) - state)


def logit_velocity(temperature: float) -> Velocity:
    """Logit dynamic softmax(f / tau) - x; its rest points are logit equilibria.

    Args:
        temperature: tau > 0 in payoff units.

    Returns:
        The velocity.

    Raises:
        ValueError: if the temperature is not positive.

    >>> logit_velocity(1.0)(np.array([0.5, 0.5]), np.array([np.log(3.0), 0.0])).round(6)
    array([ 0.25, -0.25])

    Reference: D. Fudenberg and D. Levine, The Theory of Learning in Games (1998), chapter 4.
    """
    return partial(_logit, temperature=number("temperature", temperature, "a temperature > 0", lambda value: value > 0))


def imitation_velocity(intensity: float) -> Velocity:
    """Pairwise comparison by Fermi's function, x_i sum_j x_j tanh(beta (f_i - f_j) / 2).

    It is the large-population limit of :func:`neurogames.engine.choice.imitation`: i copies j with probability
    1 / (1 + exp(-beta (f_j - f_i))), and j copies i likewise.

    Args:
        intensity: beta >= 0 per payoff unit.

    Returns:
        The velocity.

    Raises:
        ValueError: if the intensity is negative.

    >>> imitation_velocity(1.0)(np.array([0.5, 0.5, 0.0]), np.array([2 * np.log(3.0), 0.0, 9.0])).round(6)
    array([ 0.2, -0.2,  0. ])

    Reference: A. Traulsen, M. Nowak and J. Pacheco, Stochastic dynamics of invasion and fixation, Physical Review E 74
    (2006), 011909.
    """
    at_least = number("intensity", intensity, "an intensity of selection >= 0", lambda value: value >= 0)
    return partial(_imitation, intensity=at_least)


def projection_velocity(state: Vector, fitness: Vector) -> Vector:
    """Projection dynamic: the fitness, projected on the directions that do not lead out of the simplex.

    v_i = f_i - c where x_i > 0 and max(f_i - c, 0) where x_i = 0, with the c for which it sums to 0.

    Args:
        state: x, (..., a) shares of the actions.
        fitness: f, (..., a) what each action pays.

    Returns:
        (..., a) the velocity.

    >>> projection_velocity(np.array([0.5, 0.5, 0.0]), np.array([1.0, 0.0, 0.0]))
    array([ 0.5, -0.5,  0. ])

    Reference: R. Lahkar and W. Sandholm, The projection dynamic and the geometry of population games, Games and
    Economic Behavior 64 (2008).
    """
    used = state > 0
    offers = -np.sort(-np.where(used, -np.inf, fitness), axis=-1)
    real = offers > -np.inf
    zero = np.zeros((*state.shape[:-1], 1))
    joined = np.concatenate([zero, np.cumsum(np.where(real, offers, 0.0), axis=-1)], axis=-1)
    number_of = np.concatenate([zero, np.cumsum(real, axis=-1)], axis=-1) + used.sum(axis=-1, keepdims=True)
    # Each set of actions, those in use and the best others, is a lower bound of c; the right one attains it.
    total = (fitness * used).sum(axis=-1, keepdims=True) + joined
    c = (total / number_of).max(axis=-1, keepdims=True)
    return np.asarray(np.where(used, fitness - c, np.maximum(fitness - c, 0.0)))


def gradient_velocity(state: Vector, fitness: Vector) -> Vector:  # noqa: ARG001
    """Gradient ascent f, to be projected after each step as ``iterate_dynamics`` does: x <- P(x + h f).

    Args:
        state: x, (..., a) shares of the actions.
        fitness: f, (..., a) what each action pays.

    Returns:
        (..., a) the velocity.

    >>> gradient_velocity(np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    array([1., 0.])

    Reference: M. Zinkevich, Online convex programming and generalized infinitesimal gradient ascent, ICML 2003.
    """
    return fitness


def project(point: Vector) -> Vector:
    """Nearest point of the simplex.

    Args:
        point: (..., a) any finite numbers.

    Returns:
        (..., a) the point max(y_i - c, 0) with the c for which it sums to 1.

    >>> project(np.array([0.9, 0.7, -3.0])).round(6)
    array([0.6, 0.4, 0. ])

    Reference: M. Held, P. Wolfe and H. Crowder, Validation of subgradient optimization, Mathematical Programming 6
    (1974).
    """
    falling = -np.sort(-point, axis=-1)
    c = ((np.cumsum(falling, axis=-1) - 1.0) / np.arange(1, point.shape[-1] + 1)).max(axis=-1, keepdims=True)
    return np.asarray(np.maximum(point - c, 0.0))


def _logit(state: Vector, fitness: Vector, *, temperature: float) -> Vector:
    weight = np.exp((fitness - fitness.max(axis=-1, keepdims=True)) / temperature)
    return np.asarray(weight / weight.sum(axis=-1, keepdims=True) - state)


def _imitation(state: Vector, fitness: Vector, *, intensity: float) -> Vector:
    ahead = np.tanh(0.5 * intensity * (fitness[..., :, None] - fitness[..., None, :]))
    return np.asarray(state * (ahead @ state[..., None])[..., 0])
