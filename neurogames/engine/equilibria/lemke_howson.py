"""Lemke and Howson's path: one equilibrium of a two-player game, from any dropped label.

From the artificial equilibrium (0, 0), which has all labels (see ``bimatrix``), drop one label and
follow the only edge; whatever label is found twice is dropped in the other polytope, until the missing label is found.
With lexicographic ties the path never comes back, so it ends in every game, degenerate ones included. It may be long.

The path is followed in floats, and where its end is no equilibrium, again in integers.

Reference: C. Lemke, J. Howson, Equilibrium points of bimatrix games, SIAM Journal on Applied Mathematics 12 (1964);
R. Savani, B. von Stengel, Hard-to-solve bimatrix games, Econometrica 74 (2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.compiled import compiled
from neurogames.engine.equilibria.certificates import both_gains
from neurogames.engine.equilibria.dictionaries import exchange, leaving_row, rename
from neurogames.engine.equilibria.integer_dictionaries import IntegerDictionary, pivoted, positive_integers, start
from neurogames.engine.equilibria.integer_dictionaries import leaving_row as exact_leaving_row
from neurogames.engine.solution import ROUNDING
from neurogames.games.normal_form import NormalFormGame

_MOST_PIVOTS = 1_000_000
_MOST_EXACT_CELLS = 5_000_000


@dataclass(frozen=True, eq=False)
class PathEnd:
    """Where a path ends.

    Attributes:
        first: (m,) strategy of the first player; NaN where the path was given up.
        second: (n,) strategy of the second.
        regret: regret of the pair, in payoff units.
        share: greatest share of its stake that a deviation gains.
        pivots: their number.
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    regret: float
    share: float
    pivots: int


def follow(game: NormalFormGame, label: int) -> PathEnd:
    """Follow the path that starts by dropping a label.

    Args:
        game: a game of two players with m and n actions.
        label: in 0..m+n-1; 0..m-1 are actions of the first player.

    Returns:
        The end of the path, NaN where a million pivots were not enough.

    >>> end = follow(NormalFormGame(([[3, 3], [2, 5], [0, 6]], [[3, 2], [2, 6], [3, 1]])), 1)
    >>> end.first.round(3), end.second.round(3), end.pivots
    (array([0.   , 0.333, 0.667]), array([0.333, 0.667]), 4)
    """
    first, second = game.compared_payoffs
    x, y = np.empty(first.shape[0]), np.empty(first.shape[1])
    regret, share, pivots = _follow(first, second, label, _MOST_PIVOTS, x, y)
    end = PathEnd(x, y, regret, share, pivots)
    if not end.share <= ROUNDING:
        exact = _follow_exactly(first, second, label)
        if exact is not None:
            x, y, pivots = exact
            _, regret, share = both_gains(first, second, x, y)
            return PathEnd(x, y, regret, share, pivots)
    return end


def _follow_exactly(
    first: NDArray[np.float64], second: NDArray[np.float64], label: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], int] | None:
    """Both strategies and the pivots of the path in integers; None where it is too long."""
    m, n = first.shape
    sides = [start(positive_integers(payoffs), [1] * len(payoffs)) for payoffs in (second.T, first)]
    side, found = (0, label) if label < m else (1, label)
    for pivots in range(1, _MOST_EXACT_CELLS // (m * n) + 1):
        current = sides[side]
        entering = current.cobasic.index(found if side == 0 else (found + n) % (m + n))
        row = exact_leaving_row(current, entering)
        left = current.basic[row]
        sides[side] = pivoted(current, row, entering)
        found = left if side == 0 else (left + m) % (m + n)
        if found == label:
            return _point(sides[0]), _point(sides[1]), pivots
        side = 1 - side
    return None


def _point(dictionary: IntegerDictionary) -> NDArray[np.float64]:
    """Point of an integer dictionary, as probabilities."""
    d = len(dictionary.cobasic)
    weights = [0] * d
    for variable, row in zip(dictionary.basic, dictionary.table, strict=True):
        if variable < d:
            weights[variable] = row[d]
    total = sum(weights)
    return np.array([float(Fraction(weight, total)) for weight in weights])


@compiled
def _follow(first: Any, second: Any, label: Any, most: Any, x: Any, y: Any) -> Any:
    """Follow a path to both strategies x and y: regret, share, pivots."""
    # Strategies are written in place: Ctrl-C during a compiled call that returns arrays ends the interpreter.
    p, q = _start(second.T), _start(first)
    ended, pivots = _path(p, q, label, most)
    x[:], y[:] = _probabilities(p, ended), _probabilities(q, ended)
    if not ended:
        return np.nan, np.nan, pivots
    _, regret, share = both_gains(first, second, x, y)
    return regret, share, pivots


@compiled
def _start(payoffs: Any) -> Any:
    """Dictionary at z = 0 of {z >= 0, M z <= 1}, M being the payoffs, each column shifted and all scaled to [1, 2]."""
    q, d = payoffs.shape
    table = np.ones((q, d + 1))
    spread = 0.0
    for c in range(d):
        low = payoffs[0, c]
        for r in range(1, q):
            low = min(low, payoffs[r, c])
        for r in range(q):
            table[r, c] = payoffs[r, c] - low
            spread = max(spread, table[r, c])
    for r in range(q):
        for c in range(d):
            table[r, c] = table[r, c] / spread + 1.0 if spread > 0.0 else 1.0
    column = np.full(d + q, -1)
    column[:d] = np.arange(d)
    return table, np.arange(d, d + q), np.arange(d), column


@compiled
def _probabilities(dictionary: Any, ended: Any) -> Any:
    """Point of a dictionary, scaled to the sum 1."""
    table, basic, cobasic, _ = dictionary
    d = cobasic.size
    z = np.zeros(d)
    if not ended:
        z[:] = np.nan
        return z
    total = 0.0
    for r in range(basic.size):
        if basic[r] < d:
            z[basic[r]] = max(table[r, d], 0.0)
            total += z[basic[r]]
    for c in range(d):
        z[c] /= total
    return z


@compiled
def _path(p: Any, q: Any, label: Any, most: Any) -> Any:
    """Pivot in P = {B^T x <= 1} and Q = {A y <= 1} in turn; variable v of Q has the label (v + m) mod (m + n)."""
    m, n = p[2].size, q[2].size
    in_first = label < m
    variable = label if in_first else label - m
    for pivots in range(most):
        table, basic, cobasic, column = p if in_first else q
        entering = column[variable]
        row = leaving_row(table, basic, column, entering)
        if row < 0:
            return False, pivots
        exchange(table, row, entering)
        left = rename(basic, cobasic, column, row, entering)
        if not in_first:
            left = (left + m) % (m + n)
        if left == label:
            return True, pivots + 1
        in_first = not in_first
        variable = left if in_first else (left + n) % (m + n)
    return False, most
