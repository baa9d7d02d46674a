"""Rules of reproduction: a player's place is taken by offspring of another one, in proportion to fitness.

A rule is a frozen value that goes into a ``Process``. The player who revises is the one who is replaced:

- :func:`moran`: the parent is drawn from the whole population. With revision "one" this is Moran's birth-death process,
  in which the one to be replaced is drawn independently of the parent; with "all" it is that of Wright and Fisher.
- :func:`death_birth`: the parent is drawn from the others; with revision "one" this is the death-birth process.

Fitness of payoff u is exp(w u) or 1 - w + w u.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument, number, one_of

FitnessMap = Literal["exponential", "linear"]


@dataclass(frozen=True)
class Reproduction:
    """Replacement by offspring; see :func:`moran` and :func:`death_birth`.

    Attributes:
        intensity: w.
        fitness: "exponential" or "linear".
        among_others: whether the one who is replaced cannot be the parent.
    """

    intensity: float
    fitness: FitnessMap
    among_others: bool
    copies: ClassVar[bool] = True
    constant: ClassVar[bool] = True

    def __post_init__(self) -> None:
        number("intensity", self.intensity, "an intensity of selection >= 0", lambda value: value >= 0)
        one_of("fitness", self.fitness, get_args(FitnessMap))
        if self.fitness == "linear" and self.intensity > 1:
            raise invalid_argument("intensity", self.intensity, "at most 1 for linear fitness 1 - w + w u")

    def log_fitness(self, payoffs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithms of the fitness that goes with payoffs.

        Raises:
            ValueError: if a linear fitness is not positive.
        """
        if self.fitness == "exponential":
            return np.asarray(self.intensity * payoffs)
        fitness = 1.0 - self.intensity + self.intensity * payoffs
        if (fitness <= 0).any():
            got = f"a payoff of {payoffs.min():g}, of fitness {fitness.min():g}"
            raise invalid_argument("game", got, "positive fitness 1 - w + w u; fitness='exponential' takes any payoff")
        return np.asarray(np.log(fitness))


def moran(intensity: float, fitness: FitnessMap = "exponential") -> Reproduction:
    """Offspring of a player drawn in proportion to fitness takes the place of a random player.

    A strategy j that n_j players use, of fitness f_j, has the parent with probability n_j f_j / sum_k n_k f_k.

    Args:
        intensity: w >= 0 per payoff unit; 0 is neutral. At most 1 for linear fitness.
        fitness: "exponential", exp(w u), or "linear", 1 - w + w u, of a payoff u.

    Returns:
        The rule: Moran's birth-death process with revision "one", Wright and Fisher's process with revision "all".

    Raises:
        ValueError: if the intensity is out of range or the fitness is not known.

    >>> moran(1.0, "linear").log_fitness(np.array([1.0, np.e]))
    array([0., 1.])

    Reference: M. Nowak, A. Sasaki, C. Taylor and D. Fudenberg, Emergence of cooperation and evolutionary stability in
    finite populations, Nature 428 (2004).
    """
    return Reproduction(intensity, fitness, False)


def death_birth(intensity: float, fitness: FitnessMap = "exponential") -> Reproduction:
    """A random player dies; offspring of another one, drawn in proportion to fitness, takes its place.

    Args:
        intensity: w >= 0 per payoff unit; 0 is neutral. At most 1 for linear fitness.
        fitness: "exponential", exp(w u), or "linear", 1 - w + w u, of a payoff u.

    Returns:
        The rule.

    Raises:
        ValueError: if the intensity is out of range or the fitness is not known.

    >>> death_birth(0.1).among_others
    True

    Reference: H. Ohtsuki, C. Hauert, E. Lieberman and M. Nowak, A simple rule for the evolution of cooperation on
    graphs and social networks, Nature 441 (2006).
    """
    return Reproduction(intensity, fitness, True)
