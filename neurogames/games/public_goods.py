"""Public goods games: N players, a composer pays c, and C composers produce kappa * S(C/N).

What is produced (the function S on [0, 1]) and who receives it make the good:

========== ================================ ==================================== =============================
good       S(share)                         who receives                         character
========== ================================ ==================================== =============================
Club       share                            composers only                       stag hunt, tipping c N / kappa
Linear     share                            everybody                            textbook, constant gain
Threshold  1 if share >= the threshold      everybody                            pivotal players only
Sigmoid    normalised logistic              everybody                            both strategies can coexist
========== ================================ ==================================== =============================

The club good is the game of composition against detours: the gradient-dropout game (arXiv 2507.19143) states the
tipping point C >= c N / kappa and no payoffs; this is the simplest game that has it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import fits_in_memory, integer, invalid_argument, number
from neurogames.games.symmetric import SymmetricGame


class Good(Protocol):
    """How much a share of composers produces, and whether others are kept out."""

    excludable: ClassVar[bool]

    def produced(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Amount S(share) in [0, 1]."""
        ...

    def slope(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative S'(share)."""
        ...


@dataclass(frozen=True)
class ClubGood:
    """S(share) = share, for composers only: composing beside k others pays kappa (k+1)/N - c, not composing 0.

    >>> PublicGoodsGame(4, cost=0.5, multiplier=1.0, good=ClubGood()).gain
    array([-0.25,  0.  ,  0.25,  0.5 ])
    """

    excludable: ClassVar[bool] = True

    def produced(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Amount S(share) = share."""
        return share

    def slope(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative 1."""
        return np.ones_like(share)


@dataclass(frozen=True)
class LinearGood:
    """S(share) = share, for everybody: the textbook game, whose gain kappa/N - c has no tipping point.

    >>> PublicGoodsGame(4, cost=0.5, multiplier=1.0, good=LinearGood()).gain
    array([-0.25, -0.25, -0.25, -0.25])
    """

    excludable: ClassVar[bool] = False

    def produced(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Amount S(share) = share."""
        return share

    def slope(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative 1."""
        return np.ones_like(share)


@dataclass(frozen=True)
class ThresholdGood:
    """Everything for everybody once C/N reaches ``share``, nothing before: S = 1[C/N >= share].

    Args:
        share: the threshold, in (0, 1].

    Raises:
        ValueError: if the threshold is out of range.

    >>> PublicGoodsGame(4, cost=0.5, multiplier=1.0, good=ThresholdGood(0.75)).gain
    array([-0.5, -0.5,  0.5, -0.5])
    """

    share: float
    excludable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        number("share", self.share, "a share in (0, 1]", lambda value: 0.0 < value <= 1.0)

    def produced(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Amount 0 or 1."""
        return (share >= self.share).astype(np.float64)

    def slope(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative 0; the step itself is one player wide and vanishes in a large population."""
        return np.zeros_like(share)


@dataclass(frozen=True)
class SigmoidGood:
    """The normalised logistic for everybody: S(x) = (L(x) - L(0)) / (L(1) - L(0)), L(x) = 1 / (1 + exp(-s (x - h))).

    Args:
        midpoint: inflection h, in [0, 1].
        steepness: s > 0; small values approach the linear good, large ones the threshold.

    Raises:
        ValueError: if a parameter is out of range.

    >>> SigmoidGood(0.5, 10.0).produced(np.array([0.0, 0.5, 1.0])).round(6)
    array([0. , 0.5, 1. ])

    Reference: M. Archetti and I. Scheuring, Game theory of public goods in one-shot social dilemmas without
    assortment, Journal of Theoretical Biology 299 (2012), section 2.
    """

    midpoint: float
    steepness: float
    excludable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        number("midpoint", self.midpoint, "a share in [0, 1]", lambda value: 0.0 <= value <= 1.0)
        number("steepness", self.steepness, "a number > 0", lambda value: value > 0.0)

    def produced(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Amount S(share), 0 at 0 and 1 at 1."""
        bottom, top = self._bend(np.array(0.0)), self._bend(np.array(1.0))
        return np.asarray((self._bend(share) - bottom) / (top - bottom))

    def slope(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative S'(share)."""
        bottom, top = self._bend(np.array(0.0)), self._bend(np.array(1.0))
        return np.asarray(0.5 * self.steepness * (1.0 - self._bend(share) ** 2) / (top - bottom))

    def _bend(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """2 L(share) - 1, which cannot overflow."""
        return np.asarray(np.tanh(0.5 * self.steepness * (share - self.midpoint)))


_NAMED: dict[str, Good] = {
    "club": ClubGood(),
    "linear": LinearGood(),
    "threshold": ThresholdGood(0.5),
    "sigmoid": SigmoidGood(0.5, 10.0),
}


@dataclass(frozen=True, eq=False)
class PublicGoodsGame:
    """N players who compose at cost c or not, with kappa * S(C/N) produced by C composers.

    gain f(k) = kappa S((k+1)/N) - c, minus kappa S(k/N) unless the good is for composers only. For the club good,
    f(k) = kappa (k+1)/N - c: all-detour and all-compose are both strict for kappa/N < c < kappa, and all-compose has
    the greater potential iff c < kappa (N+1) / (2N).

    Args:
        n_players: N >= 2.
        cost: c > 0, paid by a composer.
        multiplier: kappa > 0, what a composing population produces for each receiver.
        good: "club", "linear", "threshold" (at one half), "sigmoid" (midpoint 0.5, steepness 10), or an instance such
            as ``ThresholdGood(0.7)``.

    Raises:
        ValueError: if an argument is out of range or the good is unknown.

    >>> game = PublicGoodsGame(n_players=20, cost=0.4, multiplier=1.0)
    >>> game.tipping_point, game.strict_equilibria(), game.risk_dominant()
    (8.0, array([ 0, 20]), 20)

    Reference: gradient-dropout game, arXiv 2507.19143 (tipping point).
    """

    n_players: int
    cost: float
    multiplier: float
    good: Good | str = "club"
    symmetric: SymmetricGame = field(init=False, repr=False)

    def __post_init__(self) -> None:
        n = integer("n_players", self.n_players, minimum=2)
        fits_in_memory("n_players", n, n)
        cost = number("cost", self.cost, "a number > 0", lambda value: value > 0)
        kappa = number("multiplier", self.multiplier, "a number > 0", lambda value: value > 0)
        good = _NAMED.get(self.good) if isinstance(self.good, str) else self.good
        if good is None or not hasattr(good, "produced"):
            raise invalid_argument("good", self.good, f"one of {sorted(_NAMED)} or a Good such as ThresholdGood(0.7)")
        amounts = kappa * good.produced(np.arange(n + 1) / n)
        received = np.zeros(n) if good.excludable else amounts[:-1]
        fields = {
            "n_players": n,
            "cost": cost,
            "multiplier": kappa,
            "good": good,
            "symmetric": SymmetricGame(amounts[1:] - received - cost, received),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def gain(self) -> NDArray[np.float64]:
        """(N,) extra payoff of composing when k others compose."""
        return self.symmetric.gain

    @property
    def baseline(self) -> NDArray[np.float64]:
        """(N,) payoff of not composing when k others compose."""
        return self.symmetric.baseline

    @property
    def tipping_point(self) -> float | None:
        """Number of composers, oneself counted, from which on composing pays; c N / kappa for the club good."""
        return self.symmetric.tipping_point

    def potential(self) -> NDArray[np.float64]:
        """Exact potential of C = 0..N composers; kappa C (C+1) / (2N) - c C for the club good."""
        return self.symmetric.potential()

    def strict_equilibria(self) -> NDArray[np.intp]:
        """Counts of composers at which every player would lose by switching."""
        return self.symmetric.strict_equilibria()

    def risk_dominant(self) -> int | None:
        """Count of composers with the greatest potential; None when tied."""
        return self.symmetric.risk_dominant()

    def limit_gain(self, share: ArrayLike) -> NDArray[np.float64]:
        """Gain in a large population of which a share composes.

        kappa S(x) - c for the club good. For a good that everybody receives, composing adds only one's own part,
        kappa S'(x) / N - c, where kappa / N is the marginal return per player and is held fixed as N grows.

        Args:
            share: any shape, in [0, 1].

        Returns:
            Gains of that shape.
        """
        x, good = np.asarray(share, dtype=np.float64), self._good
        amount = good.produced(x) if good.excludable else good.slope(x) / self.n_players
        return self.multiplier * amount - self.cost

    def limit_payoff_advantage(self, share: ArrayLike) -> NDArray[np.float64]:
        """What a composer earns more than another player of the same large population.

        kappa S(x) - c for the club good; -c for a good that everybody receives.

        Args:
            share: any shape, in [0, 1].

        Returns:
            Payoff differences of that shape.
        """
        x, good = np.asarray(share, dtype=np.float64), self._good
        return self.multiplier * good.produced(x) * float(good.excludable) - self.cost

    @property
    def _good(self) -> Good:
        """The good, which is an instance once the game is built."""
        assert not isinstance(self.good, str)
        return self.good
