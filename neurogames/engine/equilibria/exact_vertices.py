"""The walk of ``vertices`` in integers, for games in which rounding could decide.

Floats are fractions, so a game of floats has an exact answer. A table of integers T with one common denominator D > 0
stands for the dictionary T / D; a pivot on p = T[r, e] gives the denominator p and the integers
(T[i, c] p - T[i, e] T[r, c]) / D, the division being exact. It is slow, and nothing in it is a matter of tolerance.

Reference: J. Edmonds, J.-F. Maurras, Note sur les Q-matrices d'Edmonds, RAIRO 31 (1997); D. Avis, G. Rosenberg,
R. Savani, B. von Stengel, Enumeration of Nash equilibria for two-player games, Economic Theory 42 (2010), section 4.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.equilibria.vertices import Vertices, orientation


@dataclass(frozen=True)
class _Dictionary:
    """Integers T over the denominator D, the right-hand side last in each row, and the names of rows and columns."""

    table: list[list[int]]
    denominator: int
    basic: list[int]
    cobasic: list[int]


def exact_vertices(payoffs: NDArray[np.float64], most: int) -> Vertices:
    """Walk all vertices of {z >= 0, M z <= 1}, M being the payoffs made positive, exactly.

    Args:
        payoffs: (q, d) payoffs of any sign; each column is shifted.
        most: stop after so many bases.

    Returns:
        The vertices, their points scaled to the sum 1 and rounded once.

    >>> tied, nearly = (np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5 + hair]]) for hair in (0.0, 2.0**-50))
    >>> exact_vertices(tied, 100).degenerate, exact_vertices(nearly, 100).degenerate
    (True, False)
    """
    q, d = payoffs.shape
    first = _Dictionary([[*row, 1] for row in _positive_integers(payoffs)], 1, list(range(d, d + q)), list(range(d)))
    known = {frozenset(first.cobasic)}
    waiting = deque([first])
    points, tight, cobasic, sign = [], [], [], []
    complete = True
    while waiting:
        current = waiting.popleft()
        weights = [0] * d
        zero = set(current.cobasic)
        for variable, row in zip(current.basic, current.table, strict=True):
            if row[d] == 0:
                zero.add(variable)
            elif variable < d:
                weights[variable] = row[d]
        total = sum(weights)
        points.append([weight / total if total else 0.0 for weight in weights])
        tight.append(_mask(zero, d + q))
        cobasic.append(_mask(set(current.cobasic), d + q))
        sign.append(int(orientation(np.array(current.basic), d)))
        for entering, name in enumerate(current.cobasic):
            row_number = _leaving_row(current, entering)
            key = frozenset(current.cobasic) ^ {name, current.basic[row_number]}
            if key in known:
                continue
            if len(known) >= most:
                complete = False
                continue
            known.add(key)
            waiting.append(_pivoted(current, row_number, entering))
    return Vertices(np.array(points), np.array(tight), np.array(cobasic), np.array(sign), complete, clear=True)


def _positive_integers(payoffs: NDArray[np.float64]) -> list[list[int]]:
    """Payoffs as integers of one unit, each column shifted so that all are positive."""
    exact = [[Fraction(value) for value in row] for row in payoffs.tolist()]
    unit = max(value.denominator for row in exact for value in row)
    whole = [[int(value * unit) for value in row] for row in exact]
    least = [min(column) for column in zip(*whole, strict=True)]
    shifted = [[value - low for value, low in zip(row, least, strict=True)] for row in whole]
    lift = max(1, *(max(row) for row in shifted))
    return [[value + lift for value in row] for row in shifted]


def _mask(variables: set[int], count: int) -> NDArray[np.uint64]:
    """Bit mask of a set of variables."""
    words = np.zeros((count + 63) // 64, dtype=np.uint64)
    for variable in variables:
        words[variable >> 6] |= np.uint64(1 << (variable & 63))
    return words


def _leaving_row(dictionary: _Dictionary, entering: int) -> int:
    """Lexicographically first row to reach zero when a cobasic variable grows."""
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


def _pivoted(old: _Dictionary, row: int, entering: int) -> _Dictionary:
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
    return _Dictionary(table, p, basic, cobasic)
