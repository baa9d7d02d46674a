"""Fixation: the probability that one mutant takes over a finite population that revises one at a time.

Among n = 0..N mutants the count rises with probability T+(n) and falls with T-(n). From one mutant, the probability to
reach N before 0 is

    phi = 1 / (1 + sum_{k=1}^{N-1} prod_{j=1}^{k} T-(j) / T+(j)).

It is computed in logarithms, since selection makes it smaller than any float. Beside it stands an independent product:
q(k), the probability to be lost before reaching k+1 from k, obeys q(0) = 1 and q(k) = T-(k) q(k-1) / (T+(k) + T-(k)
q(k-1)), and phi = prod_k (1 - q(k)), where 1 - q(k) = T+(k) / (T+(k) + T-(k) q(k-1)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine.compiled import compiled
from neurogames.engine.population import birth_death
from neurogames.engine.process import Process, check_played, switching
from neurogames.games.base import TwoActionGame


@dataclass(frozen=True)
class Fixation:
    """A fixation probability.

    Attributes:
        log_probability: logarithm of the probability; -inf where a mutant can never take over.
        residual: relative difference between two independent computations of it.
        n_players: N.
    """

    log_probability: float
    residual: float
    n_players: int

    @property
    def probability(self) -> float:
        """The probability; 0 below the range of floats."""
        return float(np.exp(self.log_probability))

    @property
    def favoured(self) -> bool:
        """Whether selection favours the mutant: whether it does better than the 1/N of a neutral one."""
        return bool(self.log_probability > -np.log(self.n_players))

    def __float__(self) -> float:
        return self.probability


def fixation_probability(game: TwoActionGame, process: Process, mutant: Literal["acts", "rests"] = "acts") -> Fixation:
    """Probability that a single mutant's action reaches all before it is lost.

    Args:
        game: the game.
        process: a process with constant parameters, one at a time. Under a rule that copies, both ends are for ever;
            under one that does not, such as logit, it is the probability to reach all players before none.
        mutant: whether it acts among players who rest, or rests among players who act.

    Returns:
        The probability, in logarithms.

    Raises:
        ValueError: if all revise at once or the process has schedules.

    >>> from neurogames import SymmetricGame, imitation
    >>> round(float(fixation_probability(SymmetricGame([0.0] * 50), Process(imitation(1.0)))), 12)
    0.02

    Reference: A. Traulsen, M. Nowak and J. Pacheco, Stochastic dynamics of invasion and fixation, Physical Review E 74
    (2006), 011909; S. Karlin and H. Taylor, A First Course in Stochastic Processes (1975), chapter 4.
    """
    check_played(game, process)
    if process.revision != "one" or not process.constant:
        raise invalid_argument("process", process, "constant parameters and revision 'one'")
    if mutant not in ("acts", "rests"):
        raise invalid_argument("mutant", mutant, "'acts' or 'rests'")
    up, down = birth_death.line(switching(game, process))
    if mutant == "rests":
        up, down = down[::-1], up[::-1]
    up, down = up[1:], down[:-1]  # from n = 1..N-1 mutants
    return Fixation(*log_fixation_on_line(up, down), game.n_players)


def log_fixation_on_line(log_up: NDArray[np.float64], log_down: NDArray[np.float64]) -> tuple[float, float]:
    """Log probability that one mutant reaches N, and its relative difference from the independent product.

    Args:
        log_up: (N-1,) log probability of one mutant more, from n = 1..N-1 mutants.
        log_down: (N-1,) of one mutant less.

    Returns:
        The log probability, -inf where the count cannot rise, and the residual.
    """
    if np.isneginf(log_up).any():
        return -np.inf, 0.0
    with np.errstate(over="ignore"):
        log_terms = np.cumsum(log_down - log_up)
    log_phi = -float(np.logaddexp.reduce(np.concatenate([[0.0], log_terms])))
    with np.errstate(over="ignore"):
        return log_phi, float(abs(np.expm1(_product(log_up, log_down) - log_phi)))


@compiled
def _product(log_up: Any, log_down: Any) -> Any:
    """Log product of the probabilities to reach one more mutant before being lost."""
    log_q, total, lost = 0.0, 0.0, 0.0
    for k in range(log_up.size):
        fall = log_down[k] + log_q
        leave = np.logaddexp(log_up[k], fall)
        # Compensated, since the many factors near 1 must not be lost beside the few that count.
        term = log_up[k] - leave + lost
        after = total + term
        lost = term - (after - total)
        total = after
        log_q = fall - leave
    return total
