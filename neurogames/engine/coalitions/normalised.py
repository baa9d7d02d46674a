"""Coalition games in units in which tolerances mean something, and their stages solved in them.

Excesses follow an additive change of a game and a positive scale. Taken away is an additive part near the whole game:
for each player the middle one of what it is worth alone, with one other, and to all others, so that one extreme worth
does not spoil it. Where the rounding of the worths shows in what is left, the numbers that they stand for are taken
instead (``games.exact``). Coalitions that lose so much that they cannot object are raised to a level at which they
still do not, so that they do not set the unit; if one objects there after all, the level is lowered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurogames.engine.coalitions.lexicographic import Lexicographic, minimise_lexicographically
from neurogames.engine.coalitions.transforms import Vector, subset_sums
from neurogames.games.exact import common_integers, rational

_VISIBLE = 1e-12
_MOST_RATIONAL_PLAYERS = 16
_DEEPER = 1e3


@dataclass(frozen=True, eq=False)
class Normalised:
    """A solved game in normalised units: x = part + scale * answer.allocation.

    Attributes:
        part: (n,) the additive part.
        table: (2^n,) worths beyond that, in units of the scale.
        scale: the greatest of those worths.
        floor: (n,) what each player gets at least, in those units.
        answer: the stages.
    """

    part: Vector
    table: Vector
    scale: float
    floor: Vector
    answer: Lexicographic


def without_additive_part(table: Vector) -> tuple[Vector, Vector]:
    """Split a game into an additive part and the rest: (part (n,), rest (2^n,)).

    >>> part, rest = without_additive_part(np.array([0.0, 0.1, 0.2, 0.3]))
    >>> part.round(12).tolist(), rest.tolist()
    ([0.1, 0.2], [0.0, 0.0, 0.0, 0.0])
    """
    n = table.size.bit_length() - 1
    single, other = 1 << np.arange(n), 1 << (np.arange(n) + 1) % n
    beside = table[single | other] - table[other] if n > 1 else table[single]
    part = np.median([table[single], beside, table[-1] - table[table.size - 1 - single]], axis=0)
    rest = table - subset_sums(part)
    rounding = float(np.finfo(float).eps) * float(np.abs(table).max() + np.abs(part).sum())
    if rounding <= _VISIBLE * _unit(rest):
        return part, rest
    if n <= _MOST_RATIONAL_PLAYERS:
        whole, unit = common_integers(map(rational, [*table.tolist(), *part.tolist()]))
        sums = [0] * table.size
        for s in range(1, table.size):
            sums[s] = sums[s & (s - 1)] + whole[table.size + (s & -s).bit_length() - 1]
        return part, np.array([(v - x) / unit for v, x in zip(whole, sums, strict=False)])
    return part, np.where(np.abs(rest) > 8.0 * rounding, rest, 0.0)


def _unit(rest: Vector) -> float:
    """The size of the worths that matter: not that of great losses of a few coalitions."""
    return max(float(rest.max()), abs(float(rest[-1])), float(np.median(np.abs(rest))))


def solve_normalised(part: Vector, rest: Vector, imputations: bool) -> Normalised:
    """Solve all stages of a game.

    Args:
        part: (n,) its additive part.
        rest: (2^n,) worths beyond that, n >= 1, with v(empty) = 0.
        imputations: whether no player may get less than alone.

    Returns:
        The stages, in normalised units.
    """
    n, greatest = part.size, float(np.abs(rest).max())
    single = 1 << np.arange(n)
    depth = 10.0 * n * _unit(rest)
    while True:
        raised = rest < -depth if depth > 0 else np.zeros(rest.size, dtype=bool)
        worths = np.where(raised, -depth, rest)
        scale = float(np.abs(worths).max()) or 1.0
        floor = np.where(raised[single], -np.inf, worths[single] / scale) if imputations else np.full(n, -np.inf)
        answer = minimise_lexicographically(worths / scale, floor)
        if depth >= greatest or not any(raised[stage.coalitions].any() for stage in answer.stages):
            return Normalised(part, worths / scale, scale, floor, answer)
        depth *= _DEEPER
