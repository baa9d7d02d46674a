"""Lemke and Howson's path: one equilibrium of a two-player game, from any dropped label.

From the artificial equilibrium (0, 0), which has all labels (see ``bimatrix``), drop one label and
follow the only edge; whatever label is found twice is dropped in the other polytope, until the missing label is found.
With lexicographic ties the path never comes back, so it ends in every game, degenerate ones included. It may be long.

Reference: C. Lemke, J. Howson, Equilibrium points of bimatrix games, SIAM Journal on Applied Mathematics 12 (1964);
R. Savani, B. von Stengel, Hard-to-solve bimatrix games, Econometrica 74 (2006).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from neurogames.engine.equilibria.dictionaries import exchange, leaving_row, positive, rename, start
from neurogames.games.normal_form import NormalFormGame

_MOST_PIVOTS = 1_000_000


def follow(game: NormalFormGame, label: int) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Follow the path that starts by dropping a label.

    Args:
        game: a game of two players with m and n actions.
        label: in 0..m+n-1; 0..m-1 are actions of the first player.

    Returns:
        Both strategies and the number of pivots; strategies of NaN where a million pivots were not enough.

    >>> x, y, pivots = follow(NormalFormGame(([[3, 3], [2, 5], [0, 6]], [[3, 2], [2, 6], [3, 1]])), 1)
    >>> x.round(3), y.round(3), pivots
    (array([0.   , 0.333, 0.667]), array([0.333, 0.667]), 4)
    """
    first, second = game.payoffs
    m, n = first.shape
    p, q = start(positive(second.T)), start(positive(first))
    ended, pivots = _path(p, q, label, _MOST_PIVOTS)
    x, y = (_solution(table, basic, d) for (table, basic, _, _), d in ((p, m), (q, n)))
    if not ended:
        x, y = np.full(m, np.nan), np.full(n, np.nan)
    return x / x.sum(), y / y.sum(), int(pivots)


def _solution(table: NDArray[np.float64], basic: NDArray[np.int64], d: int) -> NDArray[np.float64]:
    """Point z of a dictionary."""
    z = np.zeros(d)
    own = basic < d
    z[basic[own]] = np.maximum(table[own, d], 0.0)
    return z


@numba.njit(cache=True, nogil=True)
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
