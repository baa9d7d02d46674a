"""Making the greatest excess least, then the next one, and so on: the stages that lead to the nucleolus.

Each stage solves, for the coalitions S that are not fixed yet,

    minimise epsilon   subject to   sum over S of x_i + epsilon >= v(S)   and all that earlier stages fixed.

Which coalitions then stay at that excess in EVERY optimum is read off the dual: those of positive weight do, by
complementary slackness; being tight in one optimum is not enough. Coalitions whose indicators lie in the linear span of
fixed ones are fixed with them, so that each stage raises the rank and at most n - 1 stages determine x.

The stages are solved by pivots (``stage_program``). Where they fail, or the x that comes out leaves some coalition more
excess than its stage allows, HiGHS solves them instead. Of the 2^n - 2 rows few matter then: all stages are solved with
some of them, x is tried against all, and rows of coalitions that object are added. If there is none, x attains the
optimum of every stage of the whole problem too, and the dual weights remain right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from neurogames.engine.coalitions.stage_program import stage_optimum
from neurogames.engine.coalitions.transforms import Vector, coalition_rows, coalition_sizes, subset_sums

_FEASIBLE = 1e-10
_VIOLATION = 1e-9
_LEAST_WEIGHT = 1e-8
_LEAST_DISTANCE = 1e-12


@dataclass(frozen=True, eq=False)
class Span:
    """The linear span of coalitions' indicators.

    Attributes:
        basis: (rank, n) orthonormal rows.
        distance: (2^n,) squared distance of each coalition from the span.
    """

    basis: Vector
    distance: Vector

    @classmethod
    def of_everybody(cls, n_players: int) -> Span:
        """The span of the coalition of all players."""
        sizes = coalition_sizes(n_players)
        return cls(np.full((1, n_players), n_players**-0.5), sizes - sizes**2 / n_players)

    @property
    def rank(self) -> int:
        """Its dimension."""
        return len(self.basis)

    @property
    def covers(self) -> NDArray[np.bool_]:
        """(2^n,) which coalitions lie in it; the others are well apart, since all is made of zeros and ones."""
        return self.distance < _LEAST_DISTANCE

    def with_row(self, member: Vector) -> Span:
        """The span with one more indicator (n,); itself if that lies in it."""
        if self.distance[int(member @ (1 << np.arange(member.size)))] < _LEAST_DISTANCE:
            return self
        rest = member - (self.basis @ member) @ self.basis
        rest -= (self.basis @ rest) @ self.basis
        direction = rest / np.linalg.norm(rest)
        return Span(np.vstack([self.basis, direction]), self.distance - subset_sums(direction) ** 2)


@dataclass(frozen=True, eq=False)
class Stage:
    """What one stage fixed.

    Attributes:
        excess: the least greatest excess epsilon.
        open_before: (2^n,) the coalitions that were not fixed before.
        coalitions: (k,) table indices of those with positive dual weight.
        weights: (k,) their weights, which add up to 1.
        floored: (j,) players that every optimum holds at the floor.
    """

    excess: float
    open_before: NDArray[np.bool_]
    coalitions: NDArray[np.intp]
    weights: Vector
    floored: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Lexicographic:
    """The end of all stages.

    Attributes:
        allocation: (n,) x; NaN where a program failed.
        stages: what each stage fixed, in order.
        status: "ok", or what the solver said.
        programs: linear programs solved.
    """

    allocation: Vector
    stages: tuple[Stage, ...]
    status: str
    programs: int


def minimise_lexicographically(table: Vector, floor: Vector) -> Lexicographic:
    """Solve all stages.

    Args:
        table: (2^n,) worths of the size of 1, n >= 1, with v(empty) = 0.
        floor: (n,) what each player gets at least, -inf for no such bound, such that an efficient allocation exists.

    Returns:
        The one allocation that is optimal in every stage.
    """
    fast = _pivot_stages(table, floor)
    if fast is not None and _objections(table, fast).max(initial=-np.inf) <= _VIOLATION:
        return fast
    return minimise_by_rows(table, floor)


def minimise_by_rows(table: Vector, floor: Vector) -> Lexicographic:
    """Solve all stages with HiGHS, a few rows at a time; arguments and result as above."""
    n = table.size.bit_length() - 1
    single = 1 << np.arange(n)
    rows = np.unique(np.concatenate([single, table.size - 1 - single]))
    programs = 0
    while True:
        trial = _solve_stages(table, rows, floor)
        programs += trial.programs
        over = _objections(table, trial)
        over[rows] = -np.inf
        worst = np.flatnonzero(over > _VIOLATION)
        if trial.status != "ok" or worst.size == 0:
            return Lexicographic(trial.allocation, trial.stages, trial.status, programs)
        if worst.size > rows.size:  # at most twice as many rows as before, the most violated
            worst = worst[np.argpartition(over[worst], -rows.size)[-rows.size :]]
        rows = np.concatenate([rows, worst])


def _objections(table: Vector, solved: Lexicographic) -> Vector:
    """By how much the excess of each coalition (2^n,) is above that of the stages in which it was open."""
    excess = table - subset_sums(solved.allocation)
    over = np.full(table.size, -np.inf)
    for stage in solved.stages:
        np.maximum(over, excess - stage.excess, out=over, where=stage.open_before)
    return over


def _pivot_stages(table: Vector, floor: Vector) -> Lexicographic | None:
    """Solve all stages by pivots over all coalitions; None where one did not come to an end."""
    n = table.size.bit_length() - 1
    span = Span.of_everybody(n)
    equal, right = [np.ones(n)], [float(table[-1])]
    stages: list[Stage] = []
    while span.rank < n:
        open_before = ~span.covers
        found = stage_optimum(table, open_before, np.array(equal), np.array(right), floor)
        if found is None or len(stages) == n:
            return None
        held, floored = found.weights > _LEAST_WEIGHT, found.floored[found.floor_weights > _LEAST_WEIGHT]
        weights, chosen = found.weights[held], found.coalitions[held]
        stages.append(Stage(found.excess, open_before, chosen, weights / weights.sum(), floored))
        span = _fixed(table, stages[-1], floor, span, equal, right)
    return Lexicographic(_polish(table, stages, floor), tuple(stages), "ok", len(stages))


def _fixed(table: Vector, stage: Stage, floor: Vector, span: Span, equal: list[Vector], right: list[float]) -> Span:
    """The span with what a stage fixed; rows and amounts that widen it are appended."""
    n = floor.size
    fixed = coalition_rows(np.concatenate([stage.coalitions, 1 << stage.floored]), n).astype(np.float64)
    amounts = np.concatenate([table[stage.coalitions] - stage.excess, floor[stage.floored]])
    for member, amount in zip(fixed, amounts, strict=True):
        wider = span.with_row(member)
        if wider is not span:
            span = wider
            equal.append(member)
            right.append(float(amount))
    return span


def _solve_stages(table: Vector, rows: NDArray[np.intp], floor: Vector) -> Lexicographic:
    """Solve all stages as if only the coalitions of some rows could object."""
    n = table.size.bit_length() - 1
    span = Span.of_everybody(n)
    equal, right = [np.ones(n)], [float(table[-1])]
    stages: list[Stage] = []
    while span.rank < n:
        open_before = ~span.covers
        active = rows[open_before[rows]]
        answer = linprog(
            np.append(np.zeros(n), 1.0),
            -np.column_stack([coalition_rows(active, n), np.ones(active.size)]),
            -table[active],
            np.column_stack([equal, np.zeros(len(equal))]),
            right,
            [*((least, None) for least in floor), (None, None)],
            method="highs",
            options={"primal_feasibility_tolerance": _FEASIBLE, "dual_feasibility_tolerance": _FEASIBLE},
        )
        if not answer.success or answer.x is None:
            return Lexicographic(np.full(n, np.nan), tuple(stages), str(answer.message), len(stages) + 1)
        excess = float(answer.x[n])
        weights = -answer.ineqlin.marginals
        held = weights > _LEAST_WEIGHT
        floored = np.flatnonzero(answer.lower.marginals[:n] > _LEAST_WEIGHT)
        stages.append(Stage(excess, open_before, active[held], weights[held] / weights[held].sum(), floored))
        span = _fixed(table, stages[-1], floor, span, equal, right)
    return Lexicographic(_polish(table, stages, floor), tuple(stages), "ok", len(stages))


def _polish(table: Vector, stages: list[Stage], floor: Vector) -> Vector:
    """Allocation that meets all that was fixed, solved for at once so that no stage passes on its rounding."""
    n = table.size.bit_length() - 1
    members, columns, amounts = [np.ones((1, n))], [np.zeros((1, len(stages)))], [table[-1:]]
    for k, stage in enumerate(stages):
        fixed = np.concatenate([stage.coalitions, 1 << stage.floored])
        members.append(coalition_rows(fixed, n).astype(np.float64))
        columns += [np.eye(len(stages))[np.full(stage.coalitions.size, k)], np.zeros((stage.floored.size, len(stages)))]
        amounts += [table[stage.coalitions], floor[stage.floored]]
    system = np.column_stack([np.concatenate(members), np.concatenate(columns)])
    return np.asarray(np.linalg.lstsq(system, np.concatenate(amounts), rcond=None)[0][:n])
