"""Two plain estimators of the Shapley value, for comparison and for games that defy a regression.

Strata: by size, phi_i = (1/n) sum over sizes s of (mean worth of coalitions of size s with i) - (mean without i).
Players are put on a ring in random order and all n arcs of h neighbours are asked for, with their complements: every
player is in exactly h arcs, so that one ring estimates every player and its estimates add up to what they must.

Permutations: players join in random order, each is paid what it adds [Castro et al. 2009]; each order is followed by
its reverse. When less than ``truncation`` is left to gain, those yet to join may share it equally instead of being
asked for [after Ghorbani & Zou 2019, who drop it].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import integer, number
from neurogames.engine.coalitions.transforms import Vector, evaluate
from neurogames.engine.coalitions.valuation import Values, covers, required
from neurogames.engine.coalitions.values import shapley
from neurogames.games.coalition import CoalitionGame, coalition_game


def shapley_by_strata(game: CoalitionGame, budget: int, *, rng: np.random.Generator) -> Values:
    """Estimate Shapley values by sizes; single players and their complements are all asked for.

    Args:
        game: the game.
        budget: most coalitions to ask for; what does not pay for another ring is not used. Exact from 2^n on.
        rng: source of the draws.

    Returns:
        Unbiased estimates (n,) that add up to v(N) - v(empty), with errors from the spread between rings.

    Raises:
        ValueError: if the budget does not pay for two rings of each size.

    >>> from neurogames.games.coalition_families import AirportGame
    >>> game = AirportGame(np.arange(1.0, 11.0))
    >>> estimate = shapley_by_strata(game, 500, rng=np.random.default_rng(0))
    >>> bool((abs(estimate.values - game.shapley_values()) <= 4 * estimate.stderr + 1e-12).all()), estimate.budget
    (True, 492)

    Reference: S. Maleki, L. Tran-Thanh, G. Hines, T. Rahwan and A. Rogers, Bounding the estimation error of
    sampling-based Shapley value approximation (2013), for strata by size.
    """
    game = coalition_game(game)
    if covers(game, budget):
        return shapley(game)
    required(rng)
    n = game.n_players  # at least 4: the budget of 3 players is covered by the least
    cost = np.array([n if 2 * h == n else 2 * n for h in range(2, n // 2 + 1)], dtype=np.intp)
    border = 2 + 2 * n
    least = border + 2 * int(cost.sum())
    integer("budget", budget, minimum=min(least, 1 << n))
    rings = np.full(cost.size, (budget - border) // int(cost.sum()))
    left = budget - border - int(rings @ cost)
    for h in rng.permutation(cost.size):
        if cost[h] <= left:
            rings[h] += 1
            left -= int(cost[h])
    everybody = np.ones((1, n), dtype=np.bool_)
    ends = evaluate(game, np.concatenate([~everybody, everybody]))
    values = (ends[1] - ends[0]) / n + _ring_estimates(game, 1, 1, rng)[0]
    variance = np.zeros(n)
    for h, count in enumerate(rings.tolist(), start=2):
        estimates = _ring_estimates(game, h, count, rng)
        values += estimates.mean(axis=0)
        variance += estimates.var(axis=0, ddof=1) / count
    return Values(values, np.sqrt(variance), budget - left, "Shapley", f"strata of at least {rings.min()} rings")


def _ring_estimates(game: CoalitionGame, size: int, count: int, rng: np.random.Generator) -> Vector:
    """Contributions (count, n) of one size and its complement to the values, one row for each ring."""
    n = game.n_players
    places = rng.permuted(np.tile(np.arange(n), (count, 1)), axis=1)
    arcs = ((np.arange(n)[:, None] - np.arange(n)) % n < size)[None]  # arc by place
    members = np.take_along_axis(np.broadcast_to(arcs, (count, n, n)), np.argsort(places, axis=1)[:, None, :], axis=2)
    if 2 * size != n:  # otherwise the complement of an arc is an arc
        members = np.concatenate([members, ~members], axis=1)
    worths = evaluate(game, members.reshape(-1, n).copy()).reshape(members.shape[:2])  # a game may write into its rows
    total = members.sum(axis=2, keepdims=True)
    return np.asarray((worths[:, :, None] / np.where(members, total, total - n)).sum(axis=1) / n)


def shapley_by_permutations(
    game: CoalitionGame, budget: int, *, truncation: float = 0.0, rng: np.random.Generator
) -> Values:
    """Estimate Shapley values by orders of joining, each with its reverse.

    Args:
        game: the game.
        budget: most coalitions to ask for; what does not pay for another pair of orders is not used. Exact from 2^n on.
        truncation: once abs(v(N) - v(S)) is below it, the players yet to join share the difference equally. It saves
            calls and biases each value by less than itself; 0 for none. The standard errors do not tell of this bias.
        rng: source of the draws.

    Returns:
        Estimates (n,) that add up to v(N) - v(empty), unbiased without truncation.

    Raises:
        ValueError: if the budget does not pay for two pairs of orders, or truncation is negative.

    >>> from neurogames.games.coalition_families import AirportGame
    >>> game = AirportGame(np.arange(1.0, 11.0))
    >>> estimate = shapley_by_permutations(game, 500, rng=np.random.default_rng(0))
    >>> bool((abs(estimate.values - game.shapley_values()) <= 4 * estimate.stderr + 1e-12).all()), estimate.budget
    (True, 488)

    Reference: J. Castro, D. Gomez and J. Tejada, Polynomial calculation of the Shapley value based on sampling (2009);
    A. Ghorbani and J. Zou, Data Shapley (2019), algorithm 1, for the truncation.
    """
    game = coalition_game(game)
    limit = number("truncation", truncation, "a number >= 0", lambda value: value >= 0)
    if covers(game, budget):
        return shapley(game)
    required(rng)
    n = game.n_players
    cost = 2 * (n - 1)
    integer("budget", budget, minimum=min(2 + 2 * cost, 1 << n))
    everybody = np.ones((1, n), dtype=np.bool_)
    ends = evaluate(game, np.concatenate([~everybody, everybody]))
    left = budget - 2
    means = []
    while left >= cost:
        orders = rng.permuted(np.tile(np.arange(n), (left // cost, 1)), axis=1)
        added, asked = _join(game, np.concatenate([orders, orders[:, ::-1]]), ends, limit)
        means.append(0.5 * (added[: len(orders)] + added[len(orders) :]))
        left -= asked
    pairs = np.concatenate(means)
    stderr = pairs.std(axis=0, ddof=1) / np.sqrt(len(pairs))
    cut = f", truncated at {limit}" if limit else ""
    return Values(pairs.mean(axis=0), stderr, budget - left, "Shapley", f"{len(pairs)} pairs of permutations{cut}")


def _join(game: CoalitionGame, orders: NDArray[np.intp], ends: Vector, limit: float) -> tuple[Vector, int]:
    """What each player adds (m, n) in each order (m, n), and the number of coalitions that were asked for."""
    m, n = orders.shape
    members = np.zeros((m, n), dtype=np.bool_)
    added = np.zeros((m, n))
    before = np.full(m, ends[0])
    going, asked = np.arange(m), 0
    for step in range(n - 1):
        joins = orders[going, step]
        members[going, joins] = True
        worth = evaluate(game, members[going])
        asked += going.size
        added[going, joins] = worth - before[going]
        before[going] = worth
        stops = np.abs(ends[1] - worth) < limit
        stopped = going[stops]
        share = (ends[1] - worth[stops]) / (n - 1 - step)
        added[stopped] = np.where(members[stopped], added[stopped], share[:, None])
        going = going[~stops]
    added[going, orders[going, -1]] = ends[1] - before[going]
    return added, asked
