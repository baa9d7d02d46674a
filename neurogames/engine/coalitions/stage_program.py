"""The linear program of one stage of the nucleolus, by simplex pivots that price all coalitions at once.

The program of a stage (``lexicographic``),

    minimise epsilon   subject to   sum over S of x_i + epsilon >= v(S)  for the open S,   x_i >= floor_i,   F x = f,

has few variables and many rows, so its dual is solved: weights y_S >= 0 that add up to 1, m_i >= 0 for the floors and
free l for the rows of F such that sum_S y_S 1_S + m + F'l = 0, of the greatest y v + m floor + l f. A basis has n + 1
columns; its multipliers are (x, epsilon), so the column that enters is the loudest objection to x, found by a pass over
the subset sums of x. It starts from one open coalition and its complement, half the weight each.

Reference: G. Dantzig, P. Wolfe, Decomposition principle for linear programs, Operations Research 8 (1960).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.compiled import compiled

Vector = NDArray[np.float64]

_OBJECTION, _PIVOT, _TIE = 1e-11, 1e-9, 1e-13
_MOST_PIVOTS, _FRESH = 2_000, 25


class StageOptimum(NamedTuple):
    """Optimum of a stage.

    Attributes:
        excess: epsilon.
        coalitions: (k,) table indices of the coalitions in the basis.
        weights: (k,) their weights y.
        floored: (j,) players whose floors are in the basis.
        floor_weights: (j,) their weights m.
    """

    excess: float
    coalitions: NDArray[np.intp]
    weights: Vector
    floored: NDArray[np.intp]
    floor_weights: Vector


def stage_optimum(
    table: Vector, open_before: NDArray[np.bool_], equal: Vector, right: Vector, floor: Vector
) -> StageOptimum | None:
    """Solve a stage.

    Args:
        table: (2^n,) worths of the size of 1.
        open_before: (2^n,) the coalitions that are not fixed: those outside the span of ``equal``.
        equal: (r, n) independent rows F, r < n, the coalition of all players among them.
        right: (r,) f.
        floor: (n,) floors, -inf where there are none.

    Returns:
        The optimum; None where the pivots did not come to an end.

    >>> majority = np.array([0.0, 0, 0, 1, 0, 1, 1, 1])
    >>> free = np.array([False, *[True] * 6, False])
    >>> found = stage_optimum(majority, free, np.ones((1, 3)), np.ones(1), np.full(3, -np.inf))
    >>> round(found.excess, 9), sorted(found.coalitions[found.weights > 0].tolist())
    (0.333333333, [3, 5, 6])
    """
    names, weights = np.full(floor.size + 1, -1), np.zeros(floor.size + 1)
    status, excess = _pivots(table, open_before, equal, right, floor, names, weights)
    if status != 0:
        return None
    size = table.size
    coalition, floored = (names >= 0) & (names < size), names >= size
    return StageOptimum(excess, names[coalition], weights[coalition], names[floored] - size, weights[floored])


@compiled
def _column(name: Any, size: Any, n: Any) -> Any:
    """Column (n + 1,) of a coalition, or of the floor of player name - 2^n."""
    column = np.zeros(n + 1)
    if name >= size:
        column[name - size] = 1.0
    else:
        for i in range(n):
            column[i] = float((name >> i) & 1)
        column[n] = 1.0
    return column


@compiled
def _first_basis(open_before: Any, equal: Any, n: Any) -> Any:
    """Names and columns: the rows of F (-1), one open player and its complement, then open players as far as needed."""
    size = open_before.size
    names, basis, span = np.full(n + 1, -1), np.zeros((n + 1, n + 1)), np.zeros((n + 1, n + 1))
    count = 0
    for k in range(len(equal) + 2 * n):
        column, name = np.zeros(n + 1), -1
        if k < len(equal):
            column[:n] = equal[k]
        else:
            i = (k - len(equal)) // 2
            name = 1 << i if (k - len(equal)) % 2 == 0 else size - 1 - (1 << i)
            if not open_before[name] or (count > len(equal) + 1 and name != 1 << i):
                continue
            column = _column(name, size, n)
        rest = column.copy()
        for _ in range(2):
            for j in range(count):
                rest -= (span[j] @ rest) * span[j]
        length = np.sqrt(rest @ rest)
        if length < 1e-9:
            continue
        span[count] = rest / length
        basis[:, count] = column
        names[count] = name
        count += 1
        if count == n + 1:
            break
    return names, basis, count


@compiled
def _pivots(table: Any, open_before: Any, equal: Any, right: Any, floor: Any, names: Any, weights: Any) -> Any:
    """Pivot to the optimum: status (0 if it is one) and epsilon; fills in the names of the basis and their weights."""
    # Both are written in place: Ctrl-C during a compiled call that returns arrays ends the interpreter.
    size, n, rows = table.size, floor.size, len(equal)
    names[:], basis, count = _first_basis(open_before, equal, n)
    cost, sums = np.zeros(n + 1), np.zeros(size)
    if count < n + 1:
        return 1, 0.0
    for k in range(n + 1):
        cost[k] = right[k] if k < rows else table[names[k]]
    inverse = np.linalg.inv(basis)
    for pivot in range(_MOST_PIVOTS):
        if pivot % _FRESH == _FRESH - 1:
            inverse = np.linalg.inv(basis)
        weights[:] = inverse[:, n]
        prices = cost @ inverse  # (x, epsilon)
        loudest, entering = _OBJECTION, -1
        for i in range(n):
            block = 1 << i
            for s in range(block):
                sums[block + s] = sums[s] + prices[i]
            if open_before[block] and floor[i] - prices[i] > loudest:
                loudest, entering = floor[i] - prices[i], size + i
        for s in range(1, size - 1):
            if open_before[s] and table[s] - sums[s] - prices[n] > loudest:
                loudest, entering = table[s] - sums[s] - prices[n], s
        if entering < 0:
            return 0, prices[n]
        column = _column(entering, size, n)
        change = inverse @ column
        leaving, least = -1, np.inf
        for k in range(rows, n + 1):
            if change[k] > _PIVOT:
                ratio = max(weights[k], 0.0) / change[k]
                if ratio < least - _TIE:
                    leaving, least = k, ratio
                elif ratio <= least + _TIE:
                    for j in range(n + 1):  # lexicographic, so that ties do not go round
                        mine, other = inverse[k, j] / change[k], inverse[leaving, j] / change[leaving]
                        if mine < other - _TIE:
                            leaving, least = k, min(ratio, least)
                            break
                        if mine > other + _TIE:
                            break
        if leaving < 0:
            return 2, 0.0
        inverse[leaving] /= change[leaving]
        for k in range(n + 1):
            if k != leaving and change[k] != 0.0:
                inverse[k] -= change[k] * inverse[leaving]
        basis[:, leaving] = column
        names[leaving] = entering
        cost[leaving] = table[entering] if entering < size else floor[entering - size]
    return 3, 0.0
