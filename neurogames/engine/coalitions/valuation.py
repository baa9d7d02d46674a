"""The one kind of result that every value method gives: values, how sure they are, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import integer, invalid_argument
from neurogames.games.coalition import CoalitionGame


@dataclass(frozen=True, eq=False)
class Values:
    """Values of players, or of pairs of players.

    Attributes:
        values: (n,) values of players, or (n, n) of pairs, symmetric with a zero diagonal.
        stderr: standard errors of the same shape; zero where nothing was estimated. They tell of sampling alone.
        budget: how many coalitions the game was asked for, the empty one and that of all players included.
        index: what is valued: "Shapley", "Banzhaf", "Shapley interaction" or "Banzhaf interaction". The mean of
            v(S + i) - v(S) over uniformly drawn coalitions is Banzhaf, not Shapley.
        method: how: "exact", or the estimator with what it chose, such as "odd regression of order 3".
    """

    values: NDArray[np.float64]
    stderr: NDArray[np.float64]
    budget: int
    index: str
    method: str

    @property
    def exact(self) -> bool:
        """Whether every coalition was asked for."""
        return self.method == "exact"


def covers(game: CoalitionGame, budget: int) -> bool:
    """Whether a budget pays for every coalition, so that nothing need be estimated.

    Raises:
        ValueError: if the budget is no integer of at least 2.
    """
    return integer("budget", budget, minimum=2) >= 1 << game.n_players


def required(rng: object) -> np.random.Generator:
    """Return the generator that an estimate needs, or refuse to do without."""
    if not isinstance(rng, np.random.Generator):
        raise invalid_argument("rng", rng, "a numpy Generator, since a budget below 2^n asks for an estimate")
    return rng
