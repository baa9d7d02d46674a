"""Pivoting in polytopes {z >= 0, M z <= 1} of a positive matrix M: the machinery of all exact two-player solvers.

M has q rows and d columns. Variables are numbered 0..d-1 for z and d..d+q-1 for the slacks of the q rows. A dictionary
writes the q basic variables by the d others, the cobasic ones: basic_r = T[r, d] - sum_c T[r, c] cobasic_c; a vertex
sets the cobasic variables to 0. At the start the slacks are basic and z = 0. ``column[v]`` is the column of a cobasic
variable v and -1 for a basic one.

Ties of the ratio test are broken lexicographically, as if row j of M z <= 1 had the right-hand side 1 + epsilon^(j+1):
then no vertex is degenerate, no basis comes twice, and every path of pivots ends. Since the pivot element is positive,
the determinant of the basis, its columns in the order of the rows, stays positive; the sign of a subdeterminant of M is
therefore the sign of a permutation.

The kernels are plain loops over numbers, which compile several times faster than array expressions.

Reference: B. von Stengel, Computing equilibria for two-person games, in: Handbook of Game Theory 3 (2002), sections 2.5
and 2.6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.compiled import compiled

TOLERANCE = 1e-10

Dictionary = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def positive(payoffs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shift each column and scale all so that payoffs lie in [1, 2]; best replies to any mixture of columns stay.

    >>> positive(np.array([[0.0, 104.0], [4.0, 100.0]]))
    array([[1., 2.],
           [2., 1.]])
    """
    shifted = payoffs - payoffs.min(axis=0)
    spread = float(shifted.max())
    return np.ascontiguousarray(shifted / spread + 1.0) if spread > 0 else np.ones(shifted.shape)


def start(matrix: NDArray[np.float64]) -> Dictionary:
    """Return the dictionary at z = 0: (table, basic, cobasic, column).

    >>> table, basic, cobasic, column = start(np.array([[1.0, 2.0]]))
    >>> table.tolist(), basic.tolist(), cobasic.tolist(), column.tolist()
    ([[1.0, 2.0, 1.0]], [2], [0, 1], [0, 1, -1])
    """
    q, d = matrix.shape
    table = np.concatenate([matrix, np.ones((q, 1))], axis=1)
    column = np.full(d + q, -1)
    column[:d] = np.arange(d)
    return table, np.arange(d, d + q), np.arange(d), column


@compiled
def leaving_row(table: Any, basic: Any, column: Any, entering: Any) -> Any:
    """Row of the basic variable that first becomes 0 when the cobasic one in column ``entering`` grows; -1 if none."""
    q = basic.size
    d = column.size - q
    best, row = np.inf, -1
    for i in range(q):
        pace = table[i, entering]
        if pace <= TOLERANCE:
            continue
        ratio = table[i, d] / pace
        if ratio < best - TOLERANCE:
            best, row = ratio, i
        elif ratio <= best + TOLERANCE:
            for slack in range(d, d + q):
                c = column[slack]
                if c >= 0:
                    mine, other = table[i, c] / pace, table[row, c] / table[row, entering]
                else:
                    mine = 1.0 / pace if basic[i] == slack else 0.0
                    other = 1.0 / table[row, entering] if basic[row] == slack else 0.0
                if mine < other - TOLERANCE:
                    best, row = min(best, ratio), i
                    break
                if mine > other + TOLERANCE:
                    break
    return row


@compiled
def exchange(table: Any, row: Any, entering: Any) -> None:
    """Rewrite a table, in place, for the exchange of the basic variable of a row and the cobasic one of a column."""
    inverse = 1.0 / table[row, entering]
    for c in range(table.shape[1]):
        table[row, c] *= inverse
    table[row, entering] = inverse
    # A copy, so that the loop below is known not to read what it writes.
    scaled = table[row].copy()
    for i in range(table.shape[0]):
        pace = table[i, entering]
        if i != row and pace != 0.0:
            table[i, entering] = 0.0
            for c in range(table.shape[1]):
                table[i, c] -= pace * scaled[c]


@compiled
def rename(basic: Any, cobasic: Any, column: Any, row: Any, entering: Any) -> Any:
    """Exchange the names that go with :func:`exchange`, in place; return the variable that left the basis."""
    entered, left = cobasic[entering], basic[row]
    cobasic[entering], basic[row] = left, entered
    column[left], column[entered] = entering, -1
    return left
