"""Free energy: how long a population stays in an equilibrium that is not the best one.

Logit choice at temperature tau, one at a time and with full feedback, has Gibbs' stationary law: n actors have the
weight binom(N, n) exp(Phi(n) / tau) = exp(-F(n) / tau), where

    F(n) = -Phi(n) - tau ln binom(N, n)

is the free energy, the potential's negative minus temperature times entropy. A valley of F is a state that lasts; to
leave it, the population must climb the barrier to the next ridge, and the time that takes grows exponentially in
barrier / tau. :func:`metastable_escape` sets Kramers' estimate of it beside the exact expectation.

Reference: L. Blume, The statistical mechanics of strategic interaction, Games and Economic Behavior 5 (1993); H.
Kramers, Brownian motion in a field of force, Physica 7 (1940); N. van Kampen, Stochastic Processes in Physics and
Chemistry, chapter XIII.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import integer, invalid_argument, number
from neurogames.engine.choice import logit
from neurogames.engine.population.birth_death import line
from neurogames.engine.population.chain import population_chain
from neurogames.engine.process import Process, check_two_action_game, switching
from neurogames.engine.solution import EscapeTime
from neurogames.games.base import TwoActionGame


@dataclass(frozen=True)
class MetastableEscape:
    """A valley, the ridge above it, and the time to get over.

    Attributes:
        valley: count of the lowest free energy before the ridge.
        ridge: count between start and target that stands highest above what lies before it.
        barrier: F(ridge) - F(valley) in payoff units, not negative.
        log_sweeps: logarithm of Kramers' estimate of the expected sweeps from the valley over the ridge to the target.
        exact: the exact expectation from the start to the target.
    """

    valley: int
    ridge: int
    barrier: float
    log_sweeps: float
    exact: EscapeTime

    @property
    def ratio(self) -> float:
        """Estimated over exact time; near 1 when the valley is deep and valley and ridge are wide."""
        return float(np.exp(self.log_sweeps - self.exact.log_sweeps))


def free_energy(game: TwoActionGame, temperature: float) -> NDArray[np.float64]:
    """Free energy F(n) = -Phi(n) - tau ln binom(N, n) of each count of actors.

    Args:
        game: the game; Phi is the sum of its gains.
        temperature: tau > 0 in payoff units.

    Returns:
        (N+1,) free energies in payoff units; -F / tau is the stationary log probability up to a constant.

    Raises:
        ValueError: if the temperature is not positive.

    >>> from neurogames import PublicGoodsGame
    >>> free_energy(PublicGoodsGame(4, 0.5, 1.0), 0.1).round(3)
    array([ 0.   ,  0.111,  0.071, -0.139, -0.5  ])
    """
    check_two_action_game(game)
    tau = number("temperature", temperature, "a temperature > 0", lambda value: value > 0)
    n = game.n_players
    # Running sums of ln((N - k) / (k + 1)), exact in sign near both ends where ln-gamma would cancel.
    log_ways = np.concatenate([[0.0], np.cumsum(np.log(np.arange(n, 0, -1) / np.arange(1, n + 1)))])
    return np.asarray(0.0 - np.concatenate([[0.0], np.cumsum(game.gain)]) - tau * log_ways)


def metastable_escape(game: TwoActionGame, temperature: float, *, start: int, target: int) -> MetastableEscape:
    """Barrier between two counts, and the time to get over it: Kramers' estimate beside the exact expectation.

    The expected revisions are about W R / T+(ridge) times exp(barrier / tau), where W is the weight of the valley in
    units of that of its lowest count, R the resistance of the ridge in units of that of its highest, and T+ the
    probability of a step over it. W and R are sums over all counts after F has been replaced by the parabola through
    three neighbouring counts: sqrt(2 pi tau / |F''|) for a wide valley or ridge inside, as in Kramers' formula.

    Args:
        game: the game, played by logit choice one at a time with full feedback.
        temperature: tau > 0 in payoff units.
        start: number of actors to begin with, in the valley to be left.
        target: number of actors to be reached, beyond the ridge.

    Returns:
        The valley, ridge, barrier and both times.

    Raises:
        ValueError: if a count is out of range, start and target are equal, or the temperature is not positive.

    >>> from neurogames.games.public_goods import PublicGoodsGame
    >>> found = metastable_escape(PublicGoodsGame(100, 0.45, 1.0), 0.1, start=0, target=90)
    >>> found.valley, found.ridge, round(found.ratio, 2)
    (1, 41, 0.88)

    Reference: N. van Kampen, Stochastic Processes in Physics and Chemistry, chapter XIII.2 (escape times).
    """
    check_two_action_game(game)
    n = game.n_players
    start, target = integer("start", start, minimum=0, maximum=n), integer("target", target, minimum=0, maximum=n)
    if start == target:
        raise invalid_argument("target", target, "another count than start")
    energy = free_energy(game, temperature)
    process = Process(logit(temperature))
    exact = population_chain(game, process).escape_time(start, target)
    log_up, log_down = line(switching(game, process))
    falling = target < start
    if falling:
        energy, log_up, start, target = energy[::-1], log_down[::-1], n - start, n - target
    climb = energy - np.minimum.accumulate(energy)
    ridge = start + int(np.argmax(climb[start:target]))
    valley = int(np.argmin(energy[: ridge + 1]))
    barrier = float(energy[ridge] - energy[valley])
    log_revisions = (
        barrier / temperature
        + np.log(_width(energy, valley, temperature))
        + np.log(_width(-energy[start : target + 1], ridge - start, temperature))
        - log_up[ridge]
    )
    if falling:
        valley, ridge = n - valley, n - ridge
    return MetastableEscape(valley, ridge, barrier, float(log_revisions - np.log(n)), exact)


def _width(energy: NDArray[np.float64], lowest: int, temperature: float) -> float:
    """Sum of exp(-(F - F(lowest)) / tau) with a parabola, never bent downwards, in the place of F."""
    if energy.size < 3:
        return float(np.exp(-(energy - energy[lowest]) / temperature).sum())
    middle = min(max(lowest, 1), energy.size - 2)
    slope = 0.5 * (energy[middle + 1] - energy[middle - 1])
    bend = max(energy[middle + 1] - 2.0 * energy[middle] + energy[middle - 1], 0.0)
    away = np.arange(energy.size) - middle
    parabola = slope * away + 0.5 * bend * away**2
    return float(np.exp(-(parabola - parabola[lowest]) / temperature).sum())
