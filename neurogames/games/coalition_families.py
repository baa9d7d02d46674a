"""Families of coalition games with known solutions: votes, runways, bankruptcies and gloves.

Conventions as in :mod:`neurogames.games.coalition`: coalitions are (..., n) booleans, worths are gains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, integer, invalid_argument, number
from neurogames.games.coalition import coalition_array


@dataclass(frozen=True, eq=False)
class WeightedVotingGame:
    """A vote: v(S) = 1 if the weights in S reach the quota, else 0.

    Args:
        weights: (n,) weights >= 0.
        quota: what must be reached, > 0. Weights are added in floating point; whole numbers are exact.

    Raises:
        ValueError: if a weight is negative or the quota is not positive.

    >>> game = WeightedVotingGame([2, 1, 1], quota=3)
    >>> game.value(np.array([[True, True, False], [False, True, True]]))
    array([1., 0.])
    """

    weights: NDArray[np.float64]
    quota: float

    def __init__(self, weights: ArrayLike, quota: float) -> None:
        object.__setattr__(self, "weights", _at_least_zero("weights", weights))
        object.__setattr__(self, "quota", number("quota", quota, "a quota > 0", lambda value: value > 0))

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return self.weights.size

    def value(self, coalitions: ArrayLike) -> NDArray[np.float64]:
        """Worth (...) of coalitions (..., n)."""
        members = coalition_array(coalitions, self.n_players)
        return np.asarray(members @ self.weights >= self.quota, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class AirportGame:
    """A runway must serve its largest user: v(S) = - max of the costs in S, and 0 for the empty coalition.

    Args:
        costs: (n,) cost >= 0 of the runway that each player needs. Worths are gains, so they are minus the costs.

    Raises:
        ValueError: if a cost is negative.

    >>> game = AirportGame([1.0, 3.0])
    >>> game.value(np.array([True, True])), game.shapley_values()
    (array(-3.), array([-0.5, -2.5]))

    Reference: S. C. Littlechild and G. Owen, A simple expression for the Shapley value in a special case (1973).
    """

    costs: NDArray[np.float64]

    def __init__(self, costs: ArrayLike) -> None:
        object.__setattr__(self, "costs", _at_least_zero("costs", costs))

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return self.costs.size

    def value(self, coalitions: ArrayLike) -> NDArray[np.float64]:
        """Worth (...) of coalitions (..., n)."""
        members = coalition_array(coalitions, self.n_players)
        return np.asarray(0.0 - np.where(members, self.costs, 0.0).max(axis=-1))

    def shapley_values(self) -> NDArray[np.float64]:
        """Shapley values (n,) in closed form: each piece of the runway is paid equally by those who use it."""
        order = np.argsort(self.costs, kind="stable")
        pieces = np.diff(self.costs[order], prepend=0.0)
        values = np.empty(self.n_players)
        values[order] = 0.0 - np.cumsum(pieces / np.arange(self.n_players, 0, -1))
        return values


@dataclass(frozen=True, eq=False)
class BankruptcyGame:
    """Claims on too small an estate: v(S) = max(0, E - claims of the players outside S).

    Its nucleolus is the division of the Talmud.

    Args:
        claims: (n,) claims >= 0.
        estate: the estate E, between 0 and the sum of the claims.

    Raises:
        ValueError: if a claim is negative or the estate is out of range.

    >>> BankruptcyGame([100, 200, 300], estate=200).value(np.array([[False, True, True], [False, False, True]]))
    array([100.,   0.])

    Reference: R. Aumann and M. Maschler, Game theoretic analysis of a bankruptcy problem from the Talmud,
    Journal of Economic Theory 36 (1985).
    """

    claims: NDArray[np.float64]
    estate: float

    def __init__(self, claims: ArrayLike, estate: float) -> None:
        demanded = _at_least_zero("claims", claims)
        most = float(demanded.sum())
        left = number("estate", estate, f"an estate in [0, {most}]", lambda value: 0 <= value <= most)
        object.__setattr__(self, "claims", demanded)
        object.__setattr__(self, "estate", left)

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return self.claims.size

    def value(self, coalitions: ArrayLike) -> NDArray[np.float64]:
        """Worth (...) of coalitions (..., n)."""
        outside = ~coalition_array(coalitions, self.n_players)
        return np.asarray(np.maximum(0.0, self.estate - outside @ self.claims))


@dataclass(frozen=True)
class GloveMarketGame:
    """A pair of gloves is worth 1: v(S) = min(left gloves in S, right gloves in S).

    Args:
        left: number of players who own a left glove; they come first.
        right: number of players who own a right glove.

    Raises:
        ValueError: if a side has no player.

    >>> GloveMarketGame(1, 2).value(np.array([[True, True, False], [False, True, True]]))
    array([1., 0.])
    """

    left: int
    right: int

    def __post_init__(self) -> None:
        integer("left", self.left, minimum=1)
        integer("right", self.right, minimum=1)

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return self.left + self.right

    def value(self, coalitions: ArrayLike) -> NDArray[np.float64]:
        """Worth (...) of coalitions (..., n)."""
        members = coalition_array(coalitions, self.n_players)
        pairs = np.minimum(members[..., : self.left].sum(axis=-1), members[..., self.left :].sum(axis=-1))
        return np.asarray(pairs, dtype=np.float64)


def _at_least_zero(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return a read-only vector without a negative entry, or refuse it."""
    result = finite_array(name, values, ndim=1)
    if (result < 0).any():
        raise invalid_argument(name, f"{np.count_nonzero(result < 0)} negative entries", "numbers >= 0")
    return result
