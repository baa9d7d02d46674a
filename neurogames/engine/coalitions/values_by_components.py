"""Shapley values of a game that is the mean of many games, each of them asked for coalitions of its own.

The Shapley value is linear, phi(v) = (1/R) sum_r phi(v_r), so that nothing asks the parts to be tried with the same
coalitions. With one order of joining for all, what they have in common does not average out; with an order for each,
R orders are tried for the price of one. Each order is followed by its reverse, which cancels all that is a sum over
players and pairs:

    phi_i = (1/R) sum_r E[d_ri],    d_ri = ((v_r(P + i) - v_r(P)) + (v_r(Q + i) - v_r(Q))) / 2,

P the players before i in an order that is drawn for part r, Q those after. With K such pairs of orders for each part
the variance is (1/R^2) sum_r var_K(d_ri) / K.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import integer, invalid_argument
from neurogames.engine.coalitions.transforms import Vector
from neurogames.engine.coalitions.valuation import Values, required
from neurogames.games.coalition import MeanCoalitionGame


def least_budget(n_players: int) -> int:
    """Fewest coalitions that pay for two pairs of orders, with the empty one and that of all players.

    >>> least_budget(64)
    254
    """
    return 2 + 4 * (n_players - 1)


def shapley_by_components(game: MeanCoalitionGame, budget: int, *, rng: np.random.Generator) -> Values:
    """Estimate Shapley values with orders of joining drawn for each part.

    Args:
        game: a mean of games of n >= 2 players.
        budget: most coalitions to ask each part for; what does not pay for another pair of orders is not used.
        rng: source of the draws.

    Returns:
        Unbiased estimates (n,) that add up to v(N) - v(empty), with errors from the spread within the parts.

    Raises:
        ValueError: if the budget does not pay for two pairs of orders.

    >>> class Quotas:  # part r pays 1 to coalitions of more than r of the five players
    ...     n_players, n_components = 5, 4
    ...
    ...     def value(self, coalitions):
    ...         return np.minimum(coalitions.sum(axis=-1), 4) / 4
    ...
    ...     def values_along_permutations(self, orders):
    ...         return 1.0 * (np.arange(6) > np.arange(4)[:, None])
    >>> found = shapley_by_components(Quotas(), 50, rng=np.random.default_rng(0))
    >>> round(float(found.values.sum()), 12), found.budget, found.method
    (1.0, 50, '6 pairs of orders for each of 4 parts')

    Reference: I. Covert, S. Lundberg and S.-I. Lee, Understanding global feature contributions with additive
    importance measures (2020), algorithm 1, draws a row for every order; here every row has as many.
    """
    if not hasattr(game, "values_along_permutations"):
        raise invalid_argument("game", game, "a mean of games, with values_along_permutations")
    required(rng)
    n = integer("game.n_players", game.n_players, minimum=2)
    integer("budget", budget, minimum=least_budget(n))
    cost = 2 * (n - 1)
    pairs = (budget - 2) // cost
    mean, squares = np.zeros((game.n_components, n)), np.zeros((game.n_components, n))
    for count in range(1, pairs + 1):
        orders = rng.permuted(np.tile(np.arange(n), (game.n_components, 1)), axis=1)
        added = 0.5 * (_added(game, orders) + _added(game, np.ascontiguousarray(orders[:, ::-1])))
        change = added - mean
        mean += change / count
        squares += change * (added - mean)
    stderr = np.sqrt(squares.sum(axis=0) / (pairs - 1) / pairs) / game.n_components
    method = f"{pairs} pairs of orders for each of {game.n_components} parts"
    return Values(mean.mean(axis=0), stderr, 2 + pairs * cost, "Shapley", method)


def _added(game: MeanCoalitionGame, orders: NDArray[np.intp]) -> Vector:
    """What each player adds (R, n) in each part's order (R, n)."""
    worths = np.asarray(game.values_along_permutations(orders), dtype=np.float64)
    expected = (len(orders), orders.shape[1] + 1)
    if worths.shape != expected or not np.isfinite(worths).all():
        raise invalid_argument("game", f"worths {worths!r} along orders", f"finite worths of shape {expected}")
    added = np.empty(orders.shape)
    np.put_along_axis(added, orders, np.diff(worths, axis=1), axis=1)
    return added
