"""Coalition games: what every subset of the players is worth.

A coalition S is a row of n booleans, ``True`` where player i belongs to it; ``value`` maps coalitions of shape (..., n)
to worths of shape (...). Worth is what a coalition GAINS; a game of costs has negative worths. Anything with
``n_players`` and ``value`` can be played; no inheritance is needed.

Where a table of all 2^n coalitions is used, bit i of the index says whether player i belongs: entry 0 is the empty
coalition, entry 2^i the player i alone, entry 2^n - 1 everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, given_array, integer, invalid_argument, numbers


class CoalitionGame(Protocol):
    """A game of n players, as the engine sees it."""

    @property
    def n_players(self) -> int:
        """Number of players n."""
        ...

    def value(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Worth (...) of coalitions (..., n)."""
        ...


@runtime_checkable
class MeanCoalitionGame(CoalitionGame, Protocol):
    """A game that is the mean of many games of the same players, its parts: v(S) = (1/R) sum_r v_r(S)."""

    @property
    def n_components(self) -> int:
        """Number of parts R."""
        ...

    def values_along_permutations(self, orders: NDArray[np.intp]) -> NDArray[np.float64]:
        """Worths (R, n + 1) in each part of the first 0, 1, ..., n players of its own order (R, n)."""
        ...


def coalition_array(coalitions: ArrayLike, n_players: int) -> NDArray[np.bool_]:
    """Return coalitions as booleans (..., n), or refuse them.

    Numbers are refused, since a list of players and a row of zeros and ones look alike.

    >>> coalition_array([True, False], 2)
    array([ True, False])
    """
    result = np.asarray(coalitions)
    if result.dtype != np.bool_ or result.ndim == 0 or result.shape[-1] != n_players:
        raise invalid_argument(
            "coalitions", f"{result.dtype} of shape {result.shape}", f"booleans of shape (..., {n_players})"
        )
    return result


def permutations_array(orders: ArrayLike, n_components: int, n_players: int) -> NDArray[np.intp]:
    """Return orders of all players (n_components, n_players), or refuse them.

    >>> permutations_array([[2, 0, 1]], 1, 3)
    array([[2, 0, 1]])
    """
    result = np.asarray(orders)
    shape, players = (n_components, n_players), np.arange(n_players)
    if result.shape != shape or result.dtype.kind not in "iu" or (np.sort(result, axis=1) != players).any():
        got = f"{result.dtype} of shape {result.shape}"
        raise invalid_argument("orders", got, f"integers {shape}, in each row every player 0..{n_players - 1} once")
    return result.astype(np.intp, copy=False)


CoalitionFunction = Callable[[NDArray[np.bool_]], Any]


@dataclass(frozen=True)
class FunctionCoalitionGame:
    """A game whose worths are computed by a function of many coalitions at once.

    Args:
        n_players: number of players n >= 1.
        function: maps coalitions (m, n) to worths (m,).

    Raises:
        ValueError: if there is no player; by ``value``, if the function answers in another shape or not finitely.

    >>> game = FunctionCoalitionGame(3, lambda coalitions: coalitions.sum(axis=1) ** 2)
    >>> game.value(np.array([True, False, True]))
    array(4.)
    """

    n_players: int
    function: CoalitionFunction

    def __post_init__(self) -> None:
        integer("n_players", self.n_players, minimum=1)
        if not callable(self.function):
            raise invalid_argument("function", self.function, "a function of coalitions (m, n)")

    def value(self, coalitions: ArrayLike) -> NDArray[np.float64]:
        """Worth (...) of coalitions (..., n)."""
        members = coalition_array(coalitions, self.n_players)
        rows = members.reshape(-1, self.n_players).copy()  # a function that writes into its rows harms nobody
        worth = numbers("function", self.function(rows), f"one worth for each of {len(rows)} rows")
        if worth.shape != (len(rows),):
            raise invalid_argument(
                "function", f"an answer of shape {worth.shape}", f"one worth for each of {len(rows)} rows"
            )
        if not np.isfinite(worth).all():
            raise invalid_argument(
                "function", f"{np.count_nonzero(~np.isfinite(worth))} worths not finite", "finite worths"
            )
        return worth.reshape(members.shape[:-1])


def coalition_game(game: CoalitionGame | CoalitionFunction, n_players: int | None = None) -> CoalitionGame:
    """Return a game as it is and a function as the game of its worths, or refuse what is neither.

    >>> coalition_game(lambda coalitions: coalitions.sum(axis=1), 3).n_players
    3
    """
    given: Any = game  # a game may be callable too
    if hasattr(given, "value") and hasattr(given, "n_players"):
        if n_players not in (None, given.n_players):
            raise invalid_argument("n_players", n_players, f"{given.n_players}, the number of players of the game")
        return cast(CoalitionGame, given)
    if not callable(given):
        expected = "a coalition game, such as TabularCoalitionGame(worths), or a function with n_players"
        raise invalid_argument("game", type(game).__name__, expected)
    if n_players is None:
        raise invalid_argument("n_players", n_players, "the number of players, since the game is a function")
    return FunctionCoalitionGame(n_players, given)


@dataclass(frozen=True, eq=False)
class TabularCoalitionGame:
    """A game given by the worth of each of its 2^n coalitions.

    Args:
        values: (2^n,) worths, n >= 1; bit i of the index says whether player i belongs.

    Raises:
        ValueError: if the length is no power of two or a worth is not finite.

    >>> TabularCoalitionGame([0.0, 1.0, 2.0, 5.0]).value(np.array([[False, True], [True, True]]))
    array([2., 5.])
    """

    values: NDArray[np.float64]

    def __init__(self, values: ArrayLike) -> None:
        table = finite_array("values", values, ndim=1)
        if table.size < 2 or table.size & (table.size - 1):
            raise invalid_argument("values", f"{table.size} entries", "2^n entries with n >= 1")
        object.__setattr__(self, "values", table)

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return self.values.size.bit_length() - 1

    def value(self, coalitions: ArrayLike) -> NDArray[np.float64]:
        """Worth (...) of coalitions (..., n)."""
        members = coalition_array(coalitions, self.n_players)
        return self.values[members @ (1 << np.arange(self.n_players))]


@dataclass(frozen=True, eq=False)
class UnanimityGame:
    """A sum of unanimity games: a carrier T pays its coefficient to every coalition that contains it.

    v(S) = sum_T c_T [T is a subset of S]. Every game is such a sum, and its coefficients are its Harsanyi dividends.

    Args:
        carriers: (k, n) booleans, one carrier in each row, or (n,) for a single one; none empty.
        coefficients: (k,) coefficients, or one for all.

    Raises:
        ValueError: if a carrier is empty, or if shapes differ.

    >>> game = UnanimityGame([[True, True, False], [False, False, True]], [3.0, 1.0])
    >>> game.value(np.array([[True, True, False], [True, True, True]])), game.shapley_values()
    (array([3., 4.]), array([1.5, 1.5, 1. ]))

    Reference: L. Shapley, A value for n-person games (1953), lemma 3.
    """

    carriers: NDArray[np.bool_]
    coefficients: NDArray[np.float64]

    def __init__(self, carriers: ArrayLike, coefficients: ArrayLike = 1.0) -> None:
        members = np.atleast_2d(np.array(given_array("carriers", carriers)))
        if members.dtype != np.bool_ or members.ndim != 2 or 0 in members.shape or not members.any(axis=1).all():
            raise invalid_argument(
                "carriers", f"{members.dtype} of shape {members.shape}", "rows of booleans, none all False"
            )
        members.flags.writeable = False
        given = numbers("coefficients", coefficients, f"one number, or one for each of {len(members)} rows")
        if given.ndim > 0 and given.shape != (len(members),):
            raise invalid_argument(
                "coefficients", f"shape {given.shape}", f"one number, or one for each of {len(members)} rows"
            )
        factors = finite_array("coefficients", np.broadcast_to(given, len(members)), ndim=1)
        object.__setattr__(self, "carriers", members)
        object.__setattr__(self, "coefficients", factors)

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return int(self.carriers.shape[1])

    def value(self, coalitions: ArrayLike) -> NDArray[np.float64]:
        """Worth (...) of coalitions (..., n)."""
        absent = (~coalition_array(coalitions, self.n_players)).astype(np.float64)
        return np.asarray((absent @ self.carriers.T == 0) @ self.coefficients)

    def shapley_values(self) -> NDArray[np.float64]:
        """Shapley values (n,) in closed form: members of T share c_T equally."""
        return np.asarray((self.coefficients / self.carriers.sum(axis=1)) @ self.carriers)

    def banzhaf_values(self) -> NDArray[np.float64]:
        """Banzhaf values (n,) in closed form: each member of T gets c_T / 2^(|T| - 1)."""
        return np.asarray(np.ldexp(self.coefficients, 1 - self.carriers.sum(axis=1)) @ self.carriers)
