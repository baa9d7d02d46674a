"""Power indices of weighted votes, exactly and for many players: coalitions are counted by their sums of weights.

A player i is critical for a coalition S without it if S loses and S + i wins. With c_i(s, x) the number of coalitions
without i that have s members and the weight x (for several majorities a vector x), the number of S for which i is
critical follows by sums over x, and the indices from it by the size s. Two ways lead to the counts:

- generating functions: prod_j (1 + z y^w_j), multiplied out once in a grid over (s, x); dividing by (1 + z y^w_i)
  gives c_i. The work grows with the total weight, not with 2^n;
- halves: the coalitions of either half of the players are listed, and every pair of them is tried. The work is 2^n,
  whatever the weights.

All counts are integers, so there is no rounding but that of the last division.

Reference: I. Mann and L. Shapley, Values of large games, VI: evaluating the Electoral College exactly, RAND RM-3158
(1962); E. Algaba, J. M. Bilbao, J. R. Fernandez Garcia and J. J. Lopez, Computing power indices in weighted multiple
majority games, Mathematical Social Sciences 46 (2003).
"""

from __future__ import annotations

from fractions import Fraction
from math import factorial, gcd, prod
from typing import Any

import numpy as np

from neurogames._arguments import invalid_argument
from neurogames.engine.coalitions.transforms import Vector, coalition_rows, coalition_sizes
from neurogames.engine.compiled import compiled
from neurogames.games.coalition_families import MultipleMajorityGame, WeightedVotingGame

_MOST_CELLS = 1 << 26
_MOST_PAIRS = 1 << 34
_PAIRS_AT_ONCE = 1 << 27
_WORD = 62

Vote = WeightedVotingGame | MultipleMajorityGame


def critical_counts(game: Vote) -> list[list[int]]:
    """Count, for each player and each size, the coalitions for which the player is critical.

    Args:
        game: the vote.

    Returns:
        n lists of n integers; entry s of list i counts coalitions of s players without i.

    Raises:
        ValueError: if there are too many players for either way.

    >>> critical_counts(WeightedVotingGame([2, 1, 1], quota=3))
    [[0, 2, 1], [0, 1, 0], [0, 1, 0]]
    """
    weights, quotas = _weights(game)
    n = game.n_players
    cells = prod([n + 1, *(sum(row) + 1 for row in weights)])
    fits = max(max(sum(row) for row in weights), *quotas) < 1 << _WORD
    if cells <= _MOST_CELLS and (n * n * cells <= 1 << n or not fits):
        return _by_generating_functions(weights, quotas)
    if 1 << n <= _MOST_PAIRS and fits:
        return _by_halves(weights, quotas)
    if cells <= _MOST_CELLS:
        return _by_generating_functions(weights, quotas)
    raise invalid_argument("game", f"{n} players whose weights are {cells} cells", f"at most {_MOST_CELLS} cells")


def power_index(game: Vote, shapley: bool) -> Vector:
    """Shapley-Shubik or Banzhaf indices (n,) of a vote, exact but for one rounding.

    >>> power_index(WeightedVotingGame([2, 1, 1], quota=3), shapley=False)
    array([0.75, 0.25, 0.25])
    """
    n = game.n_players
    if shapley:
        share = [Fraction(factorial(s) * factorial(n - s - 1), factorial(n)) for s in range(n)]
    else:
        share = [Fraction(1, 1 << (n - 1))] * n
    return np.array(
        [float(sum(count * part for count, part in zip(row, share, strict=True))) for row in critical_counts(game)]
    )


def _weights(game: Vote) -> tuple[list[list[int]], list[int]]:
    """Weights and quotas of all majorities, each in its greatest unit; a quota may be rounded up to it."""
    weights, quotas = [], []
    for vote in game.votes if isinstance(game, MultipleMajorityGame) else (game,):
        unit = gcd(*vote.votes) or 1
        weights.append([weight // unit for weight in vote.votes])
        quotas.append(-(-vote.needed // unit))
    return weights, quotas


def _by_generating_functions(weights: list[list[int]], quotas: list[int]) -> list[list[int]]:
    """Counts from the grid c(s, x) of all players and divisions of it."""
    n = len(weights[0])
    shape = (n + 1, *(sum(row) + 1 for row in weights))
    kind = np.int64 if n <= _WORD else object
    counts: Any = np.zeros(shape, dtype=kind)
    counts[(0,) * len(shape)] = 1
    for i in range(n):
        there, here = _shift([row[i] for row in weights], shape)
        for size in range(i, -1, -1):
            counts[(size + 1, *there)] += counts[(size, *here)]
    result = []
    for i in range(n):
        mine = [row[i] for row in weights]
        there, here = _shift(mine, shape)
        rest = counts.copy()
        for size in range(n):
            rest[(size + 1, *there)] -= rest[(size, *here)]
        wins = rest[(slice(n), *(slice(max(q - w, 0), None) for q, w in zip(quotas, mine, strict=True)))]
        alone = rest[(slice(n), *(slice(q, None) for q in quotas))]
        result.append([int(a.sum()) - int(b.sum()) for a, b in zip(wins, alone, strict=True)])
    return result


def _shift(step: list[int], shape: tuple[int, ...]) -> tuple[list[slice], list[slice]]:
    """Places of a grid, its first axis left out, that a step reaches, and where they are reached from."""
    return [slice(w, None) for w in step], [slice(length - w) for w, length in zip(step, shape[1:], strict=True)]


def _by_halves(weights: list[list[int]], quotas: list[int]) -> list[list[int]]:
    """Counts from all pairs of a coalition of the first players and one of the others."""
    n = len(weights[0])
    cut = n // 2
    table = np.array(weights, dtype=np.int64)
    sides = [(coalition_rows(np.arange(1 << k), k), coalition_sizes(k)) for k in (cut, n - cut)]
    sums = [members @ part.T for (members, _), part in zip(sides, (table[:, :cut], table[:, cut:]), strict=True)]
    order = np.argsort(-sums[1][:, 0], kind="stable")
    second_rows, second_sizes = sides[1][0][order], sides[1][1][order]
    first = np.zeros((1 << cut, n - cut + 1), dtype=np.int64)
    second = np.zeros((1 << (n - cut), cut + 1), dtype=np.int64)
    needed, partners = np.array(quotas, dtype=np.int64), sums[1][order]
    together = max(1, _PAIRS_AT_ONCE // len(partners))
    for begin in range(0, len(first), together):  # Ctrl-C is heard between two calls
        part = slice(begin, begin + together)
        _count_pairs(sums[0][part], partners, sides[0][1][part], second_sizes, needed, first[part], second)
    winning = np.zeros(n + 1, dtype=np.int64)
    with_player = np.zeros((n, n + 1), dtype=np.int64)
    for members, sizes, pairs, offset in (
        (sides[0][0], sides[0][1], first, 0),
        (second_rows, second_sizes, second, cut),
    ):
        for size in range(members.shape[1] + 1):
            of_size = sizes == size
            width = pairs.shape[1]
            if offset == 0:
                winning[size : size + width] += pairs[of_size].sum(axis=0)
            with_player[offset : offset + members.shape[1], size : size + width] += (
                members[of_size].T.astype(np.int64) @ pairs[of_size]
            )
    without = winning - with_player
    return [[int(with_player[i, s + 1] - without[i, s]) for s in range(n)] for i in range(n)]


@compiled
def _count_pairs(
    first: Any, second: Any, first_sizes: Any, second_sizes: Any, quotas: Any, mine: Any, theirs: Any
) -> None:
    """Count, for each coalition of a side, winning partners by their size; ``second`` falls in its column 0."""
    # Counts are written in place: Ctrl-C during a compiled call that returns arrays ends the interpreter.
    for a in range(len(first)):
        for b in range(len(second)):
            if first[a, 0] + second[b, 0] < quotas[0]:
                break
            wins = True
            for k in range(1, quotas.size):
                wins = wins and first[a, k] + second[b, k] >= quotas[k]
            if wins:
                mine[a, second_sizes[b]] += 1
                theirs[b, first_sizes[a]] += 1
