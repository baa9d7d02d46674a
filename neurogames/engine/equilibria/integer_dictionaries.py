"""Pivoting as in ``dictionaries``, in integers: for games and programs in which rounding could decide.

A table of integers T with one common denominator D > 0 stands for the dictionary T / D; a pivot on p = T[r, e] gives
the denominator p and the integers (T[i, c] p - T[i, e] T[r, c]) / D, the division being exact. It is slow, and nothing
in it is a matter of tolerance.

Reference: J. Edmonds, J.-F. Maurras, Note sur les Q-matrices d'Edmonds, RAIRO 31 (1997).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurogames.games.exact import common_integers, rational


@dataclass(frozen=True)
class IntegerDictionary:
    """Integers T over the denominator D, the right-hand side last in each row, and the names of rows and columns.

    Rows of the table beyond the basic variables are carried along, such as that of an objective.
    """

    table: list[list[int]]
    denominator: int
    basic: list[int]
    cobasic: list[int]


def start(matrix: Sequence[Sequence[int]], right: Sequence[int]) -> IntegerDictionary:
    """Return the dictionary of {z >= 0, M z <= b} at z = 0, the slacks basic.

    >>> start([[1, 2]], [3]).table
    [[1, 2, 3]]
    """
    q, d = len(matrix), len(matrix[0])
    table = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    return IntegerDictionary(table, 1, list(range(d, d + q)), list(range(d)))


def positive_integers(payoffs: NDArray[np.float64]) -> list[list[int]]:
    """Payoffs as integers of one unit, each column shifted so that all are positive.

    >>> positive_integers(np.array([[0.1, -1.0], [0.3, 1.0]]))
    [[20, 20], [22, 40]]
    """
    whole, _ = common_integers(rational(value) for row in payoffs.tolist() for value in row)
    width = payoffs.shape[1]
    rows = [whole[i : i + width] for i in range(0, len(whole), width)]
    least = [min(column) for column in zip(*rows, strict=True)]
    shifted = [[value - low for value, low in zip(row, least, strict=True)] for row in rows]
    lift = max(1, *(max(row) for row in shifted))
    return [[value + lift for value in row] for row in shifted]


def leaving_row(dictionary: IntegerDictionary, entering: int) -> int:
    """Lexicographically first row of a basic variable to reach zero when a cobasic one grows; -1 if none does."""
    table, basic = dictionary.table, dictionary.basic
    d, q = len(dictionary.cobasic), len(basic)
    column = {variable: c for c, variable in enumerate(dictionary.cobasic)}
    best = -1
    for i in range(q):
        pace = table[i][entering]
        if pace <= 0:
            continue
        if best >= 0:
            other = table[best][entering]
            difference = table[i][d] * other - table[best][d] * pace
            for slack in range(d, d + q):
                if difference:
                    break
                c = column.get(slack)
                if c is None:
                    difference = (basic[i] == slack) * other - (basic[best] == slack) * pace
                else:
                    difference = table[i][c] * other - table[best][c] * pace
            if difference > 0:
                continue
        best = i
    return best


def pivoted(old: IntegerDictionary, row: int, entering: int) -> IntegerDictionary:
    """Dictionary after the exchange of the basic variable of a row and the cobasic one of a column."""
    pivot_row = old.table[row]
    p, denominator = pivot_row[entering], old.denominator
    table = []
    for i, values in enumerate(old.table):
        pace = values[entering]
        if i == row:
            new = list(values)
            new[entering] = denominator
        else:
            new = [(value * p - pace * scaled) // denominator for value, scaled in zip(values, pivot_row, strict=True)]
            new[entering] = -pace
        table.append(new)
    basic, cobasic = list(old.basic), list(old.cobasic)
    basic[row], cobasic[entering] = cobasic[entering], basic[row]
    return IntegerDictionary(table, p, basic, cobasic)
