"""What a player adds to a coalition, by the size of the coalition it joins.

    f(k) = mean over players i and coalitions S of k others of  v(S + i) - v(S),   k = 0..n-1

is the empirical gain function of the game: the symmetric game with this gain is the one that a player faces who knows
only how many others take part (:class:`neurogames.games.symmetric.SymmetricGame`). The mean of a player's own
marginals over all k is its Shapley value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import integer
from neurogames.engine.coalitions.transforms import Vector, coalition_rows, coalition_table, evaluate
from neurogames.engine.coalitions.valuation import covers, required
from neurogames.games.coalition import CoalitionGame, coalition_game

_ENTRIES = 1 << 24  # of coalitions by player, at once


@dataclass(frozen=True, eq=False)
class SizeMarginals:
    """Mean marginal contributions by the size of the coalition that is joined.

    Attributes:
        gain: (n,) means over all players, joining k = 0..n-1 others.
        stderr: (n,) standard errors of them; zero where nothing was estimated.
        players: (n, n) means for each player (rows) and size (columns); NaN where no coalition came up.
        players_stderr: (n, n) standard errors of them; NaN where fewer than two came up.
        budget: how many coalitions the game was asked for.
    """

    gain: Vector
    stderr: Vector
    players: Vector
    players_stderr: Vector
    budget: int


def marginals_by_size(game: CoalitionGame, budget: int, *, rng: np.random.Generator) -> SizeMarginals:
    """Estimate what players add to coalitions of each size.

    Players join in random orders, each followed by its reverse, so that every order tells of every size and every
    player once. Standard errors of ``gain`` come from the spread between pairs of orders, those of single players from
    the spread within size and player.

    Args:
        game: the game, n >= 2.
        budget: most coalitions to ask for; what does not pay for another pair of orders is not used. Exact from 2^n on.
        rng: source of the draws.

    Returns:
        Unbiased estimates.

    Raises:
        ValueError: if the budget does not pay for two pairs of orders.

    In a simple majority of 9 only the fifth player to join matters, and each is the fifth in one order of nine:

    >>> from neurogames.games.coalition_families import WeightedVotingGame
    >>> from neurogames.games.symmetric import SymmetricGame
    >>> found = marginals_by_size(WeightedVotingGame([1] * 9, quota=5), 200, rng=np.random.default_rng(0))
    >>> found.gain, found.budget
    (array([0., 0., 0., 0., 1., 0., 0., 0., 0.]), 194)
    >>> SymmetricGame(found.gain - 0.5).tipping_point
    4.5

    Reference: J. Castro, D. Gomez and J. Tejada, Polynomial calculation of the Shapley value based on sampling (2009).
    """
    game = coalition_game(game)
    n = integer("game.n_players", game.n_players, minimum=2)
    if covers(game, budget):
        return _exact(game)
    required(rng)
    cost = 2 * (n - 1)
    integer("budget", budget, minimum=min(2 + 2 * cost, 1 << n))
    pairs = (budget - 2) // cost
    everybody = np.ones((1, n), dtype=np.bool_)
    ends = evaluate(game, np.concatenate([~everybody, everybody]))
    sums, squares, count = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    by_pair = np.empty((pairs, n))
    step = max(1, _ENTRIES // (cost * n))
    for first in range(0, pairs, step):
        orders = rng.permuted(np.tile(np.arange(n), (min(step, pairs - first), 1)), axis=1)
        both = np.concatenate([orders, orders[:, ::-1]])
        added = added_along(game, both, ends)
        by_pair[first : first + len(orders)] = 0.5 * (added[: len(orders)] + added[len(orders) :])
        cells = (both, np.broadcast_to(np.arange(n), both.shape))
        np.add.at(sums, cells, added)
        np.add.at(squares, cells, added**2)
        np.add.at(count, cells, 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / count
        variance = np.maximum(squares - count * means**2, 0.0) / (count - 1.0)
        errors = np.where(count > 1, np.sqrt(variance / count), np.nan)
    stderr = by_pair.std(axis=0, ddof=1) / np.sqrt(pairs)
    return SizeMarginals(by_pair.mean(axis=0), stderr, means, errors, 2 + pairs * cost)


def added_along(game: CoalitionGame, orders: NDArray[np.intp], ends: Vector) -> Vector:
    """What the k-th to join adds, (m, n), in each order (m, n)."""
    m, n = orders.shape
    places = np.argsort(orders, axis=1)
    members = places[:, None, :] < np.arange(1, n)[:, None]  # (m, n - 1, n)
    worths = np.empty((m, n + 1))
    worths[:, 0], worths[:, n] = ends
    worths[:, 1:n] = evaluate(game, members.reshape(-1, n)).reshape(m, n - 1)
    return np.diff(worths, axis=1)


def _exact(game: CoalitionGame) -> SizeMarginals:
    """Means over all coalitions."""
    n, table = game.n_players, coalition_table(game)
    members = coalition_rows(np.arange(table.size), n)
    sizes = members.sum(axis=1)
    players = np.empty((n, n))
    for i in range(n):
        without = np.flatnonzero(~members[:, i])
        added = table[without | 1 << i] - table[without]
        players[i] = np.bincount(sizes[without], added, n) / np.bincount(sizes[without], minlength=n)
    return SizeMarginals(players.mean(axis=0), np.zeros(n), players, np.zeros((n, n)), table.size)
