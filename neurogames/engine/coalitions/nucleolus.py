"""The nucleolus: the allocation at which the loudest objections are as quiet as they can be, one after the other.

It minimises lexicographically the excesses e(S, x) = v(S) - x(S), sorted from the greatest [Schmeidler 1969], by the
stages of ``lexicographic``.

The certificate is Kohlberg's: x is the prenucleolus iff for every t no shift y, with sum of y over N = 0, gives
y(S) >= 0 to all coalitions with e(S, x) >= t and more to one of them; for the nucleolus, y_i >= 0 is also asked for
players who get no more than alone. It is checked from the game and x. The weights of the stages may serve as witnesses:
where they balance the coalitions of a level, sum of y_S 1_S lying in the span of what louder levels fixed, no shift
gives any of those more, and all of the level in their span gains nothing either. Whether they do is a matter of sums;
where they do not, linear programs look for a shift, whatever the stages said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from neurogames.engine.coalitions.core import zero_normalized_table
from neurogames.engine.coalitions.lexicographic import Lexicographic, Span
from neurogames.engine.coalitions.normalised import solve_normalised, without_additive_part
from neurogames.engine.coalitions.transforms import Vector, coalition_rows, subset_sums
from neurogames.engine.solution import certified
from neurogames.games.coalition import CoalitionGame

_SAME_EXCESS, _OBJECTION, _ROUNDING, _BALANCED = 1e-8, 1e-7, 1e-12, 1e-9


@dataclass(frozen=True, eq=False)
class Nucleolus:
    """The nucleolus, with its certificate.

    Attributes:
        allocation: (n,) the allocation; NaN where there is none.
        excesses: (k,) the excess fixed in each stage, falling.
        objection: what Kohlberg's test finds, in units of the worths: how far witnesses are from balancing levels, or
            the greatest total gain of the coalitions of one level that should have none, for shifts of at most 1 for
            each player. 0 up to rounding at the nucleolus.
        status: "ok", or that the objection is above 1e-7, or why there is no answer.
        programs: linear programs solved, those of the certificate left out.
    """

    allocation: Vector
    excesses: Vector
    objection: float
    status: str
    programs: int


def nucleolus(game: CoalitionGame) -> Nucleolus:
    """The nucleolus over imputations, where no player gets less than alone.

    Args:
        game: a game of at most 22 players with v(empty) = 0.

    Returns:
        The allocation; without one, with status "no imputation", if the players alone are worth more than together.

    Raises:
        ValueError: if there are too many players, or v(empty) is not 0.

    >>> from neurogames.games.coalition_families import BankruptcyGame
    >>> nucleolus(BankruptcyGame([100, 200, 300], estate=200)).allocation.round(9)
    array([50., 75., 75.])

    Reference: D. Schmeidler, The nucleolus of a characteristic function game (1969); E. Kohlberg, On the nucleolus of
    a characteristic function game (1971).
    """
    return _nucleolus(game, imputations=True)


def prenucleolus(game: CoalitionGame) -> Nucleolus:
    """The nucleolus over all efficient allocations; the same as :func:`nucleolus` wherever the core is not empty.

    Args:
        game: a game of at most 22 players with v(empty) = 0.

    Returns:
        The allocation, which always exists.

    Raises:
        ValueError: if there are too many players, or v(empty) is not 0.

    >>> from neurogames.games.coalition import TabularCoalitionGame
    >>> prenucleolus(TabularCoalitionGame([0.0, 1.0, 0.0, 0.5])).allocation
    array([ 0.75, -0.25])

    Reference: A. I. Sobolev, The characterization of optimality principles in cooperative games (1975).
    """
    return _nucleolus(game, imputations=False)


def _nucleolus(game: CoalitionGame, imputations: bool) -> Nucleolus:
    """Solve and certify."""
    part, rest = without_additive_part(zero_normalized_table(game))
    missing = rest[1 << np.arange(part.size)].sum() - rest[-1]
    if imputations and missing > _ROUNDING * np.abs(rest).max():
        return Nucleolus(np.full(part.size, np.nan), np.zeros(0), np.nan, "no imputation", 0)
    found = solve_normalised(part, rest, imputations)
    answer = found.answer
    excesses = found.scale * np.array([stage.excess for stage in answer.stages])
    if answer.status != "ok":
        return Nucleolus(answer.allocation, excesses, np.nan, answer.status, answer.programs)
    objection = _imbalance(found.table, answer, found.floor)
    if not objection <= _BALANCED:
        objection = kohlberg_objection(found.table, answer.allocation, found.floor)
    status = certified(objection, _OBJECTION, "an objection of")
    return Nucleolus(part + found.scale * answer.allocation, excesses, objection, status, answer.programs)


def _imbalance(table: Vector, answer: Lexicographic, floor: Vector) -> float:
    """How far the weights of the stages are from balancing the levels of x; inf where they leave a coalition out."""
    n = floor.size
    excess = table - subset_sums(answer.allocation)
    span, worst = Span.of_everybody(n), 0.0
    for stage in answer.stages:
        if stage.floored.size:  # the weights of floors are not kept
            return np.inf
        open_now = ~span.covers
        members = coalition_rows(stage.coalitions, n).astype(np.float64)
        together = stage.weights @ members
        off = together - (span.basis @ together) @ span.basis
        level = excess[stage.coalitions].min()
        worst = max(worst, float(np.abs(off).max()), float(excess[open_now].max() - level))
        for member in members:
            span = span.with_row(member)
        if (open_now & ~span.covers & (excess >= level - _SAME_EXCESS)).any():
            return np.inf
    return worst if span.rank == n else np.inf


def kohlberg_objection(table: Vector, allocation: Vector, floor: Vector | None = None) -> float:
    """Kohlberg's test of an allocation: 0 at the (pre)nucleolus, positive elsewhere.

    Args:
        table: (2^n,) worths, of the size of 1.
        allocation: (n,) an efficient allocation, nowhere below the floor.
        floor: (n,) what each player must get at least; None for no such bound.

    Returns:
        The greatest sum, over the coalitions of one level, of what a permitted shift of at most 1 gives them.

    >>> table = np.array([0.0, 0.0, 0.0, 1.0])
    >>> kohlberg_objection(table, np.array([0.5, 0.5])) == 0, kohlberg_objection(table, np.array([0.7, 0.3])) > 0
    (True, True)
    """
    n = allocation.size
    excess = table - subset_sums(allocation)
    bounds = [(-1.0, 1.0)] * n
    if floor is not None:
        bounds = [(0.0 if x <= y + _SAME_EXCESS else -1.0, 1.0) for x, y in zip(allocation, floor, strict=True)]
    span = Span.of_everybody(n)
    objection = 0.0
    while span.rank < n:  # coalitions in the span of louder ones gain nothing once those do not
        left = np.where(span.covers, -np.inf, excess)
        level = coalition_rows(np.flatnonzero(left >= left.max() - _SAME_EXCESS), n).astype(np.float64)
        gain = level.sum(axis=0)
        answer = linprog(-gain, -level, np.zeros(len(level)), span.basis, np.zeros(span.rank), bounds, method="highs")
        if answer.x is None:
            return np.inf
        objection = max(objection, float(gain @ answer.x))
        for member in level:
            span = span.with_row(member)
    return objection
