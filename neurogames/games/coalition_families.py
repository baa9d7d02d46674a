"""Families of coalition games with known solutions: votes, runways, bankruptcies and gloves.

Conventions as in :mod:`neurogames.games.coalition`: coalitions are (..., n) booleans, worths are gains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, integer, invalid_argument, number, numbers
from neurogames.games.coalition import coalition_array
from neurogames.games.exact import common_integers, rational

_MOST_EXACT = 2**53


@dataclass(frozen=True, eq=False)
class WeightedVotingGame:
    """A vote: v(S) = 1 if the weights in S reach the quota, else 0.

    Whether they do is decided exactly, by the numbers that weights and quota stand for
    (:mod:`neurogames.games.exact`): decimals are decimals, and integers and fractions of any size are kept.

    Args:
        weights: (n,) weights >= 0: numbers or ``Fraction``.
        quota: what must be reached, > 0.

    Attributes:
        weights: (n,) the weights as floats.
        quota: the quota as a float.
        votes: the weights as whole multiples of their common unit.
        needed: the quota in that unit.

    Raises:
        ValueError: if a weight is negative or the quota is not positive.

    >>> game = WeightedVotingGame([2, 1, 1], quota=3)
    >>> game.value(np.array([[True, True, False], [False, True, True]]))
    array([1., 0.])
    >>> WeightedVotingGame([0.1, 0.7, 0.2], quota=0.8).value(np.array([True, True, False]))
    array(1.)
    """

    weights: NDArray[np.float64]
    quota: float
    votes: tuple[int, ...]
    needed: int

    def __init__(self, weights: ArrayLike, quota: float | Fraction) -> None:
        expected = "n >= 1 finite numbers >= 0"
        numbers("weights", weights, expected)
        given = weights if isinstance(weights, np.ndarray) else np.asarray(weights, dtype=object)
        if given.ndim != 1 or given.size == 0:
            raise invalid_argument("weights", f"shape {given.shape}", expected)
        exact = [_rational("weights", weight, expected) for weight in given]
        if min(exact) < 0:
            raise invalid_argument("weights", f"{sum(weight < 0 for weight in exact)} negative entries", expected)
        needed = _rational("quota", quota, "a quota > 0")
        if needed <= 0:
            raise invalid_argument("quota", quota, "a quota > 0")
        whole, _ = common_integers([*exact, needed])
        floats = np.array([float(weight) for weight in exact])
        floats.flags.writeable = False
        object.__setattr__(self, "weights", floats)
        object.__setattr__(self, "quota", float(needed))
        object.__setattr__(self, "votes", tuple(whole[:-1]))
        object.__setattr__(self, "needed", whole[-1])

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return self.weights.size

    def value(self, coalitions: ArrayLike) -> NDArray[np.float64]:
        """Worth (...) of coalitions (..., n)."""
        members = coalition_array(coalitions, self.n_players)
        if max(sum(self.votes), self.needed) < _MOST_EXACT:
            return np.asarray(members @ np.array(self.votes, dtype=np.float64) >= self.needed, dtype=np.float64)
        together = np.asarray(members @ self.weights)
        won = np.asarray(together >= self.quota)
        rounding = 4.0 * (self.n_players + 2) * np.finfo(float).eps * (float(self.weights.sum()) + self.quota)
        for place in zip(*np.nonzero(np.abs(np.atleast_1d(together) - self.quota) <= rounding), strict=True):
            where = place if won.ndim else ()
            won[where] = sum(v for v, there in zip(self.votes, members[where], strict=True) if there) >= self.needed
        return won.astype(np.float64)


@dataclass(frozen=True)
class MultipleMajorityGame:
    """Several votes at once: v(S) = 1 if S wins each of them, else 0. The intersection of weighted voting games.

    Args:
        votes: weighted voting games of the same players, at least one.

    Raises:
        ValueError: if there is none, or numbers of players differ.

    >>> states, people = WeightedVotingGame([1, 1, 1], quota=2), WeightedVotingGame([8, 1, 1], quota=6)
    >>> MultipleMajorityGame([states, people]).value(np.array([[True, True, False], [False, True, True]]))
    array([1., 0.])

    Reference: E. Algaba, J. M. Bilbao, J. R. Fernandez Garcia and J. J. Lopez, Computing power indices in weighted
    multiple majority games, Mathematical Social Sciences 46 (2003).
    """

    votes: tuple[WeightedVotingGame, ...]

    def __init__(self, votes: Sequence[WeightedVotingGame]) -> None:
        expected = "at least one WeightedVotingGame, all of the same number of players"
        if not isinstance(votes, Sequence) or not all(isinstance(vote, WeightedVotingGame) for vote in votes):
            raise invalid_argument("votes", votes, expected)
        if len({vote.n_players for vote in votes}) != 1:
            raise invalid_argument("votes", f"games of {[vote.n_players for vote in votes]} players", expected)
        object.__setattr__(self, "votes", tuple(votes))

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return self.votes[0].n_players

    def value(self, coalitions: ArrayLike) -> NDArray[np.float64]:
        """Worth (...) of coalitions (..., n)."""
        return np.asarray(np.min([vote.value(coalitions) for vote in self.votes], axis=0))


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

    Attributes:
        claims: (n,) the claims.
        estate: the estate.
        amounts: claims and estate as whole multiples of their common unit, so that decimals are added exactly.
        unit: how many of those make 1.

    Raises:
        ValueError: if a claim is negative or the estate is out of range.

    >>> BankruptcyGame([100, 200, 300], estate=200).value(np.array([[False, True, True], [False, False, True]]))
    array([100.,   0.])

    Reference: R. Aumann and M. Maschler, Game theoretic analysis of a bankruptcy problem from the Talmud,
    Journal of Economic Theory 36 (1985).
    """

    claims: NDArray[np.float64]
    estate: float
    amounts: tuple[int, ...]
    unit: int

    def __init__(self, claims: ArrayLike, estate: float) -> None:
        demanded = _at_least_zero("claims", claims)
        exact = list(map(rational, demanded.tolist()))
        expected = f"an estate in [0, {float(sum(exact))}]"
        left = number("estate", estate, expected, lambda value: 0 <= rational(value) <= sum(exact))
        amounts, unit = common_integers([*exact, rational(left)])
        object.__setattr__(self, "claims", demanded)
        object.__setattr__(self, "estate", left)
        object.__setattr__(self, "amounts", tuple(amounts))
        object.__setattr__(self, "unit", unit)

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return self.claims.size

    def value(self, coalitions: ArrayLike) -> NDArray[np.float64]:
        """Worth (...) of coalitions (..., n)."""
        outside = ~coalition_array(coalitions, self.n_players)
        if sum(self.amounts) >= _MOST_EXACT:
            return np.asarray(np.maximum(0.0, self.estate - outside @ self.claims))
        *claims, estate = np.array(self.amounts, dtype=np.float64)
        return np.asarray(np.maximum(0.0, estate - outside @ np.array(claims)) / self.unit)


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


def _rational(name: str, value: Any, expected: str) -> Fraction:
    """The number that a value stands for, or an error under the name of the argument."""
    try:
        return rational(value)
    except ValueError:
        raise invalid_argument(name, value, expected) from None


def _at_least_zero(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return a read-only vector without a negative entry, or refuse it."""
    result = finite_array(name, values, ndim=1)
    if (result < 0).any():
        raise invalid_argument(name, f"{np.count_nonzero(result < 0)} negative entries", "numbers >= 0")
    return result
