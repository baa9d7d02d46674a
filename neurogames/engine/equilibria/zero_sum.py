"""Zero-sum games of two players: both optimal strategies and the value, from one linear program.

With the payoffs A of the first player made positive, max sum(y) over A y <= 1, y >= 0 has the optimum 1/v at y/v, and
its shadow prices are x/v: an optimal column and an optimal row strategy. The program starts at the vertex y = 0 and is
solved by compiled dictionary pivots (``dictionaries``) with the steepest edge among the entering
columns, whose squared norms are summed while the table is rewritten anyway; lexicographic ties make it end. Where
rounding spoils the answer, HiGHS solves the program instead. The certificate is the exploitability max_i (A y)_i -
min_j (x A)_j, computed from the matrix: it bounds the distance of the value from either side.

Reference: G. Dantzig, A proof of the equivalence of the programming problem and the game problem (1951); D. Goldfarb,
J. Reid, A practicable steepest-edge simplex algorithm, Mathematical Programming 12 (1977).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from neurogames._arguments import invalid_argument
from neurogames.engine.equilibria.dictionaries import TOLERANCE, leaving_row, rename
from neurogames.games.normal_form import NormalFormGame

_ACCURACY = 1e-9


@dataclass(frozen=True, eq=False)
class ZeroSumSolution:
    """Optimal strategies of a zero-sum game.

    Attributes:
        profile: (x, y), of shapes (m,) and (n,).
        value: what the first player gets.
        exploitability: max_i (A y)_i - min_j (x A)_j, in payoff units, computed from the matrix.
        regret: the greater gain of the two players.
        status: "ok", or why the exploitability is not within 1e-9 of the payoff range.
        method: "simplex" or "highs".
        iterations: pivots.
    """

    profile: tuple[NDArray[np.float64], NDArray[np.float64]]
    value: float
    exploitability: float
    regret: float
    status: str
    method: str
    iterations: int


def solve_zero_sum(game: NormalFormGame) -> ZeroSumSolution:
    """Solve a two-player game whose payoffs add up to one constant.

    Args:
        game: two players; payoffs[0] + payoffs[1] is the same at each profile, up to 1e-9 of the payoff range.

    Returns:
        Optimal strategies of both players, value and exploitability.

    Raises:
        ValueError: if there are not two players, or the sum of the payoffs is not constant.

    >>> solution = solve_zero_sum(NormalFormGame.zero_sum([[2.0, -1.0], [-1.0, 1.0]]))
    >>> solution.profile[0].round(6), round(solution.value, 6), solution.status
    (array([0.4, 0.6]), 0.2, 'ok')
    """
    if game.n_players != 2:
        raise invalid_argument("game", f"{game.n_players} players", "2 players")
    matrix = game.payoffs[0]
    low, high, least, most = _ranges(*game.payoffs)
    spread = high - low
    if most - least > _ACCURACY * spread:
        raise invalid_argument("game", f"payoff sums from {least:g} to {most:g}", "a constant sum of the payoffs")
    found = _certified(matrix, spread, _simplex(matrix, low, spread), "simplex")
    if not found.exploitability <= _ACCURACY * spread:
        other = _highs(matrix, low, spread)
        if other is not None:
            again = _certified(matrix, spread, other, "highs")
            found = again if not again.exploitability >= found.exploitability else found
    return found


def _certified(
    matrix: NDArray[np.float64],
    spread: float,
    answer: tuple[NDArray[np.float64], NDArray[np.float64], int],
    method: str,
) -> ZeroSumSolution:
    """An answer with what the matrix says about it."""
    x, y, pivots = answer
    value, upper, lower = _worth(matrix, x, y)
    gap = upper - lower
    status = "ok" if gap <= _ACCURACY * spread else f"rounding: exploitability {gap:g} of a payoff range of {spread:g}"
    return ZeroSumSolution((x, y), value, gap, max(upper - value, value - lower), status, method, pivots)


def _highs(
    matrix: NDArray[np.float64], low: float, spread: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], int] | None:
    """Both strategies by HiGHS."""
    m, n = matrix.shape
    scaled = (matrix - low) / (spread or 1.0) + 1.0
    answer: Any = linprog(-np.ones(n), A_ub=scaled, b_ub=np.ones(m), bounds=(0, None), method="highs")
    if answer.status != 0:
        return None
    x, y = np.maximum(-answer.ineqlin.marginals, 0.0), np.maximum(answer.x, 0.0)
    return x / x.sum(), y / y.sum(), int(answer.nit)


@numba.njit(cache=True, nogil=True)
def _ranges(first: Any, second: Any) -> Any:
    """Least and greatest payoff of the first player, and of the sum of both."""
    low, high, least, most = first[0, 0], first[0, 0], first[0, 0] + second[0, 0], first[0, 0] + second[0, 0]
    for i in range(first.shape[0]):
        for j in range(first.shape[1]):
            total = first[i, j] + second[i, j]
            low, high = min(low, first[i, j]), max(high, first[i, j])
            least, most = min(least, total), max(most, total)
    return low, high, least, most


@numba.njit(cache=True, nogil=True)
def _worth(matrix: Any, x: Any, y: Any) -> Any:
    """Payoff x A y, and the best that the first and the second player can make of it: max_i (A y)_i, min_j (x A)_j."""
    against, value, upper = np.zeros(y.size), 0.0, -np.inf
    for i in range(x.size):
        payoff = 0.0
        for j in range(y.size):
            payoff += matrix[i, j] * y[j]
            against[j] += x[i] * matrix[i, j]
        value += x[i] * payoff
        upper = max(upper, payoff)
    return value, upper, against.min()


@numba.njit(cache=True, nogil=True)
def _simplex(matrix: Any, low: Any, spread: Any) -> Any:
    """Both strategies by dictionary pivots until no price, in the last row of the table, is negative."""
    m, n = matrix.shape
    table, norm = np.ones((m + 1, n + 1)), np.ones(n + 1)
    basic, cobasic, column = np.arange(n, n + m), np.arange(n), np.full(m + n, -1)
    for c in range(n):
        column[c] = c
        table[m, c] = -1.0
        norm[c] = 2.0
        for i in range(m):
            if spread > 0.0:
                table[i, c] += (matrix[i, c] - low) / spread
            norm[c] += table[i, c] ** 2
    table[m, n] = 0.0
    pivots = 0
    while pivots < 50 * (m + n) + 1000:
        entering, best = -1, 0.0
        for c in range(n):
            price = table[m, c]
            if price < -TOLERANCE and price * price > best * norm[c]:
                entering, best = c, price * price / norm[c]
        row = leaving_row(table, basic, column, entering) if entering >= 0 else -1
        if row < 0:
            break
        inverse = 1.0 / table[row, entering]
        for c in range(n + 1):
            table[row, c] *= inverse
        table[row, entering] = inverse
        # A copy, so that the loops below are known not to read what they write.
        scaled = table[row].copy()
        for c in range(n + 1):
            norm[c] = 1.0 + scaled[c] * scaled[c]
        for i in range(m + 1):
            if i != row:
                pace = table[i, entering]
                table[i, entering] = 0.0
                for c in range(n + 1):
                    table[i, c] -= pace * scaled[c]
                for c in range(n + 1):
                    norm[c] += table[i, c] * table[i, c]
        rename(basic, cobasic, column, row, entering)
        pivots += 1
    x, y, weight, mass = np.zeros(m), np.zeros(n), 0.0, 0.0
    for c in range(n):
        if cobasic[c] >= n:
            x[cobasic[c] - n] = max(table[m, c], 0.0)
            weight += x[cobasic[c] - n]
    for i in range(m):
        if basic[i] < n:
            y[basic[i]] = max(table[i, n], 0.0)
            mass += y[basic[i]]
    for i in range(m):
        x[i] /= weight
    for c in range(n):
        y[c] /= mass
    return x, y, pivots
