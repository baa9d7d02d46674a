"""Transforms of a table of 2^n worths, each a handful of passes over the table.

Bit i of an index says whether player i belongs (see :mod:`neurogames.games.coalition`). Reshaped to (-1, 2, 2^i), a
table has the coalitions without player i at [:, 0] and the same coalitions with it at [:, 1], in the same order; all
that follows is arithmetic between the two halves.
"""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, invalid_argument
from neurogames.games.coalition import CoalitionGame, TabularCoalitionGame, coalition_game

Vector = NDArray[np.float64]

MOST_PLAYERS = 22
_CHUNK = 1 << 16


def coalition_rows(indices: NDArray[np.integer], n_players: int) -> NDArray[np.bool_]:
    """Coalitions (m, n) of table indices (m,).

    >>> coalition_rows(np.array([0, 5]), 3)
    array([[False, False, False],
           [ True, False,  True]])
    """
    return np.asarray(indices[:, None] >> np.arange(n_players) & 1, dtype=np.bool_)


def evaluate(game: CoalitionGame, coalitions: NDArray[np.bool_]) -> Vector:
    """Worths (m,) of coalitions (m, n), asked for in chunks and checked.

    Raises:
        ValueError: if the game answers in another shape, or not finitely.
    """
    worths = np.empty(len(coalitions))
    for first in range(0, len(coalitions), _CHUNK):
        rows = coalitions[first : first + _CHUNK]
        answer = np.asarray(game.value(rows), dtype=np.float64)
        if answer.shape != (len(rows),) or not np.isfinite(answer).all():
            raise invalid_argument("game", f"worths {answer!r}", f"{len(rows)} finite worths of as many coalitions")
        worths[first : first + _CHUNK] = answer
    return worths


def coalition_table(game: CoalitionGame) -> Vector:
    """Worths (2^n,) of all coalitions of a game.

    Args:
        game: a game of at most 22 players.

    Returns:
        The table; that of a :class:`TabularCoalitionGame` itself, read-only.

    Raises:
        ValueError: if there are too many players, or a worth is not finite.

    >>> from neurogames.games.coalition_families import GloveMarketGame
    >>> coalition_table(GloveMarketGame(1, 1))
    array([0., 0., 0., 1.])
    """
    n = coalition_game(game).n_players
    if n > MOST_PLAYERS:
        raise invalid_argument(
            "game", f"{n} players", f"at most {MOST_PLAYERS}, since all 2^n coalitions are asked for"
        )
    if isinstance(game, TabularCoalitionGame):
        return game.values
    table = np.empty(1 << n)
    for first in range(0, table.size, _CHUNK):
        last = min(first + _CHUNK, table.size)
        table[first:last] = evaluate(game, coalition_rows(np.arange(first, last), n))
    return table


def coalition_sizes(n_players: int) -> NDArray[np.intp]:
    """Sizes (2^n,) of all coalitions.

    >>> coalition_sizes(2)
    array([0, 1, 1, 2])
    """
    sizes = np.zeros(1 << n_players, dtype=np.intp)
    for i in range(n_players):
        sizes[1 << i : 2 << i] = sizes[: 1 << i] + 1
    return sizes


def size_weights(sizes: int, by_size: bool) -> Vector:
    """Weights (sizes,) of one coalition of each size 0..sizes-1 in a mean over all coalitions of sizes-1 players.

    Args:
        sizes: how many sizes there are.
        by_size: whether all sizes weigh alike, as in the Shapley value, or all coalitions, as in the Banzhaf value.

    >>> size_weights(3, by_size=True), size_weights(3, by_size=False)
    (array([0.33333333, 0.16666667, 0.33333333]), array([0.25, 0.25, 0.25]))
    """
    if by_size:
        return np.array([1.0 / (sizes * comb(sizes - 1, s)) for s in range(sizes)])
    return np.full(sizes, 0.5 ** (sizes - 1))


def subset_sums(weights: Vector) -> Vector:
    """Sums (2^n,) of the weights (n,) over the members of each coalition.

    >>> subset_sums(np.array([1.0, 10.0]))
    array([ 0.,  1., 10., 11.])
    """
    sums = np.zeros(1 << weights.size)
    for i, weight in enumerate(weights):
        sums[1 << i : 2 << i] = sums[: 1 << i] + weight
    return sums


def harsanyi_dividends(table: ArrayLike) -> Vector:
    """Harsanyi dividends (2^n,): d(S) = sum over T in S of (-1)^(|S| - |T|) v(T), the Moebius transform.

    Args:
        table: (2^n,) worths, n >= 1; not changed.

    Returns:
        Dividends, with v(S) = sum of d(T) over T in S.

    Raises:
        ValueError: if the length is no power of two or a worth is not finite.

    Reference: J. Harsanyi, A simplified bargaining model for the n-person cooperative game (1963).

    >>> harsanyi_dividends(np.array([0.0, 1.0, 2.0, 5.0]))
    array([0., 1., 2., 2.])
    """
    worths = finite_array("table", table, ndim=1)
    result = TabularCoalitionGame(worths).values.copy()
    for i in range(result.size.bit_length() - 1):
        halves = result.reshape(-1, 2, 1 << i)
        halves[:, 1] -= halves[:, 0]
    return result


def contributions(table: Vector, weights: Vector) -> Vector:
    """Marginal contributions v(S + i) - v(S), weighed by the size of S, the coalition without player i.

    Args:
        table: (2^n,) worths.
        weights: (n,) weight of the sizes 0..n-1.

    Returns:
        (n,) sums, exactly 0 for a player who never contributes.

    >>> contributions(np.array([0.0, 1.0, 2.0, 5.0]), np.array([0.5, 0.5]))
    array([2., 3.])
    """
    n = table.size.bit_length() - 1
    weight = weights[coalition_sizes(n - 1)]
    difference = np.empty(weight.size)
    result = np.empty(n)
    for i in range(n):
        result[i] = _halves_difference(table, i, difference) @ weight
    return result


def pair_contributions(table: Vector, weights: Vector) -> Vector:
    """Second differences v(S+i+j) - v(S+i) - v(S+j) + v(S), weighed by the size of S, without players i and j.

    Args:
        table: (2^n,) worths, n >= 2.
        weights: (n-1,) weight of the sizes 0..n-2.

    Returns:
        (n, n) sums, symmetric and zero on the diagonal.

    >>> pair_contributions(np.array([0.0, 1.0, 2.0, 5.0]), np.array([1.0]))
    array([[0., 2.],
           [2., 0.]])
    """
    n = table.size.bit_length() - 1
    weight = weights[coalition_sizes(n - 2)]
    once, twice = np.empty(2 * weight.size), np.empty(weight.size)
    result = np.zeros((n, n))
    for j in range(1, n):
        _halves_difference(table, j, once)
        for i in range(j):
            result[i, j] = result[j, i] = _halves_difference(once, i, twice) @ weight
    return result


def _halves_difference(table: Vector, player: int, out: Vector) -> Vector:
    """Worth with the player minus worth without, over the coalitions of the others, written into ``out``."""
    halves = table.reshape(-1, 2, 1 << player)
    np.subtract(halves[:, 1], halves[:, 0], out=out.reshape(-1, 1 << player))
    return out
