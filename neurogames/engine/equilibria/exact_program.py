"""Linear programs in exact arithmetic: what decides where rounding could.

max c z over M z <= b, z >= 0 with b >= 0, by the pivots of ``integer_dictionaries`` from z = 0. The column with the
greatest price enters; lexicographic ties of the leaving row make every path end. Both optima come out, z and the
prices of the rows, and they prove each other.

Reference: G. Dantzig, A. Orden, P. Wolfe, The generalized simplex method for minimizing a linear form under linear
inequality restraints, Pacific Journal of Mathematics 5 (1955).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from neurogames.engine.equilibria.integer_dictionaries import IntegerDictionary, leaving_row, pivoted, start


@dataclass(frozen=True)
class ExactOptimum:
    """Optimum of a linear program.

    Attributes:
        solution: z.
        prices: those of the rows, in units of c over units of b.
        value: c z, which is also the prices times b.
        pivots: their number.
    """

    solution: list[Fraction]
    prices: list[Fraction]
    value: Fraction
    pivots: int


def maximise_exactly(
    matrix: Sequence[Sequence[int]], right: Sequence[int], objective: Sequence[int], most_pivots: int
) -> ExactOptimum | None:
    """Solve max c z over M z <= b, z >= 0.

    Args:
        matrix: q rows of d integers.
        right: q integers >= 0.
        objective: d integers.
        most_pivots: stop after so many.

    Returns:
        The optimum; None if the program is unbounded or the pivots do not suffice.

    >>> maximise_exactly([[1, 1], [1, 0]], [4, 3], [2, 1], 100)
    ExactOptimum(solution=[Fraction(3, 1), Fraction(1, 1)], prices=[Fraction(1, 1), Fraction(1, 1)], \
value=Fraction(7, 1), pivots=2)
    """
    q, d = len(matrix), len(objective)
    bare = start(matrix, right)
    current = IntegerDictionary([*bare.table, [*(-c for c in objective), 0]], 1, bare.basic, bare.cobasic)
    for pivots in range(most_pivots + 1):
        prices = current.table[q]
        entering = min(range(d), key=prices.__getitem__)
        if prices[entering] >= 0:
            return _optimum(current, d, pivots)
        row = leaving_row(current, entering)
        if row < 0 or pivots == most_pivots:
            break
        current = pivoted(current, row, entering)
    return None


def _optimum(final: IntegerDictionary, d: int, pivots: int) -> ExactOptimum:
    """Read both solutions off the last dictionary."""
    q = len(final.basic)
    solution, prices = [Fraction(0)] * d, [Fraction(0)] * q
    for variable, row in zip(final.basic, final.table, strict=False):
        if variable < d:
            solution[variable] = Fraction(row[d], final.denominator)
    for variable, price in zip(final.cobasic, final.table[q], strict=False):
        if variable >= d:
            prices[variable - d] = Fraction(price, final.denominator)
    return ExactOptimum(solution, prices, Fraction(final.table[q][d], final.denominator), pivots)
