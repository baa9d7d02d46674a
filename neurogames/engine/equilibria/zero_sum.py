"""Zero-sum games of two players: both optimal strategies and the value, from one linear program.

With the payoffs A of the first player made positive, max sum(y) over A y <= 1, y >= 0 has the optimum 1/v at y/v, and
its shadow prices are x/v: an optimal column and an optimal row strategy. The program starts at the vertex y = 0 and is
solved by compiled dictionary pivots (``dictionaries``) with the steepest edge among the entering
columns, whose squared norms are summed while the table is rewritten anyway; lexicographic ties make it end. Where
rounding spoils the answer, HiGHS solves the program instead, or it is solved in integers (``exact_program``). The
certificate is the exploitability max_i (A y)_i - min_j (x A)_j, computed from the matrix: it bounds the distance of the
value from either side. It is judged by what is at stake at the answer, so that a payoff that nobody gets hides nothing.

Reference: G. Dantzig, A proof of the equivalence of the programming problem and the game problem (1951); D. Goldfarb,
J. Reid, A practicable steepest-edge simplex algorithm, Mathematical Programming 12 (1977).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from neurogames._arguments import invalid_argument
from neurogames.engine.compiled import compiled
from neurogames.engine.display.tables import mixed_profiles
from neurogames.engine.equilibria.certificates import both_gains
from neurogames.engine.equilibria.dictionaries import TOLERANCE, leaving_row, rename
from neurogames.engine.equilibria.exact_program import maximise_exactly
from neurogames.engine.solution import ROUNDING, certified
from neurogames.games.exact import common_integers, rational
from neurogames.games.normal_form import NormalFormGame, check_game

_MOST_EXACT_CELLS, _MOST_EXACT_PIVOTS = 40_000, 2_000
_GOAL, _FEW_CELLS = 1e-12, 1_000
_SUM_ROUNDING = 16.0 * float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class ZeroSumSolution:
    """Optimal strategies of a zero-sum game.

    Attributes:
        profile: (x, y), of shapes (m,) and (n,).
        value: what the first player gets.
        exploitability: max_i (A y)_i - min_j (x A)_j, in payoff units, computed from the matrix.
        regret: the greater gain of the two players.
        status: "ok", or that a deviation gains more than 1e-9 of its stake (``games.replies.certified_gains``).
        method: "simplex", "highs" or "exact".
        iterations: pivots.
    """

    profile: tuple[NDArray[np.float64], NDArray[np.float64]]
    value: float
    exploitability: float
    regret: float
    status: str
    method: str
    iterations: int

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each player and action, counted from 1."""
        return mixed_profiles([self.profile])


def solve_zero_sum(game: NormalFormGame) -> ZeroSumSolution:
    """Solve a two-player game whose payoffs add up to one constant.

    Args:
        game: two players; payoffs[0] + payoffs[1] is the same at each profile, up to the rounding of the payoffs.

    Returns:
        Optimal strategies of both players, value and exploitability.

    Raises:
        ValueError: if there are not two players, or the sum of the payoffs is not constant.

    >>> solution = solve_zero_sum(NormalFormGame.zero_sum([[2.0, -1.0], [-1.0, 1.0]]))
    >>> solution.profile[0].round(6), round(solution.value, 6), solution.status
    (array([0.4, 0.6]), 0.2, 'ok')
    """
    check_game(game, 2)
    matrix, loss = game.compared_payoffs
    low, high, least, most = _ranges(matrix, loss)
    if most > least:
        raise invalid_argument("game", f"payoff sums from {least:g} to {most:g}", "a constant sum of the payoffs")
    spread = high - low
    found, share = _certified(game, _simplex(matrix, low, spread), "simplex")
    for method in ("highs", "exact"):
        if share <= (_GOAL if matrix.size <= _FEW_CELLS else ROUNDING):
            break
        other = _highs(matrix, low, spread) if method == "highs" else _exactly(matrix)
        if other is not None:
            again, part = _certified(game, other, method)
            found, share = (again, part) if not part >= share else (found, share)
    return found


def _certified(
    game: NormalFormGame, answer: tuple[NDArray[np.float64], NDArray[np.float64], int], method: str
) -> tuple[ZeroSumSolution, float]:
    """An answer with what the matrix says about it, and the greatest share of its stake that a deviation gains."""
    x, y, pivots = answer
    matrix = game.compared_payoffs[0]
    gap, worst, share = both_gains(matrix, -matrix, x, y)
    # The level is taken off first, so that it costs the value no digits.
    most_played = x.argmax(), y.argmax()
    value = float(game.payoffs[0][most_played] + _worth(matrix, matrix[most_played], x, y))
    return ZeroSumSolution((x, y), value, gap, worst, certified(share), method, pivots), share


def _exactly(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], int] | None:
    """Both strategies in integers; None where that takes too long."""
    if matrix.size > _MOST_EXACT_CELLS:
        return None
    m, n = matrix.shape
    whole, _ = common_integers(map(rational, matrix.ravel().tolist()))
    lift = 1 - min(whole)
    rows = [[value + lift for value in whole[i * n : (i + 1) * n]] for i in range(m)]
    found = maximise_exactly(rows, [1] * m, [1] * n, _MOST_EXACT_PIVOTS)
    if found is None:
        return None
    x = np.array([float(price / found.value) for price in found.prices])
    y = np.array([float(part / found.value) for part in found.solution])
    return x, y, found.pivots


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


@compiled
def _ranges(first: Any, second: Any) -> Any:
    """Least and greatest payoff of the first player; least and greatest sum of both, equal where only rounding differs.

    The reference is the sum of the smallest payoffs, which is rounded least.
    """
    low, high, size, total = first[0, 0], first[0, 0], np.inf, 0.0
    for i in range(first.shape[0]):
        for j in range(first.shape[1]):
            low, high = min(low, first[i, j]), max(high, first[i, j])
            here = abs(first[i, j]) + abs(second[i, j])
            if here < size:
                size, total = here, first[i, j] + second[i, j]
    least, most = total, total
    for i in range(first.shape[0]):
        for j in range(first.shape[1]):
            here = first[i, j] + second[i, j]
            if abs(here - total) > _SUM_ROUNDING * (size + abs(first[i, j]) + abs(second[i, j])):
                least, most = min(least, here), max(most, here)
    return low, high, least, most


@compiled
def _worth(matrix: Any, level: Any, x: Any, y: Any) -> Any:
    """Payoff x A y, less a level."""
    value = 0.0
    for i in range(x.size):
        if x[i] > 0.0:
            for j in range(y.size):
                value += x[i] * y[j] * (matrix[i, j] - level)
    return value


def _simplex(
    matrix: NDArray[np.float64], low: float, spread: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Both strategies by dictionary pivots."""
    x, y = np.zeros(matrix.shape[0]), np.zeros(matrix.shape[1])
    return x, y, _pivot(matrix, low, spread, x, y)


@compiled
def _pivot(matrix: Any, low: Any, spread: Any, x: Any, y: Any) -> Any:
    """Pivot until no price, in the last row of the table, is negative; fill both strategies, of zeros before."""
    # Strategies are written in place: Ctrl-C during a compiled call that returns arrays ends the interpreter.
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
    weight, mass = 0.0, 0.0
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
    return pivots
