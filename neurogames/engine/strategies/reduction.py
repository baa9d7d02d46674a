"""Stationary laws and first passages of a chain by state reduction, in a band and in numbers of unlimited range.

States are removed one after another from the last to the first; what a removed state handed on is handed on directly.
Nothing is ever subtracted, so that every answer has a small relative error however rare its events are. Removing a
state touches only those within the band before it: S b^2 steps for S states and a band b.

Reference: W. Grassmann, M. Taksar and D. Heyman, Regenerative analysis and steady state distributions for Markov
chains, Operations Research 33 (1985); C. O'Cinneide, Entrywise perturbation theory and error analysis for Markov
chains, Numerische Mathematik 65 (1993).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.compiled import compiled
from neurogames.engine.population import wide
from neurogames.engine.strategies.moves import Moves

Array = NDArray[np.float64]
Places = NDArray[np.intp]


def select(moves: Moves, places: Places) -> tuple[NDArray[np.int64], Array]:
    """Targets and log probabilities of some states among themselves; a target elsewhere is -1, of probability 0."""
    new = np.full(len(moves.states), -1)
    new[places] = np.arange(places.size)
    target = new[moves.target[places]]
    return target, np.where(target >= 0, moves.log_probability[places], -np.inf)


def log_stationary(moves: Moves, places: Places) -> tuple[Array, float]:
    """Log stationary law on a set of states that is never left, and the relative error left in its balance.

    Args:
        moves: the chain.
        places: numbers of those states, increasing.

    Returns:
        (len(places),) log probabilities, and the greatest relative difference of what leaves and what enters a state.
    """
    target, log_p = select(moves, places)
    size = places.size
    if size == 1:
        return np.zeros(1), 0.0
    m, e = _band(target, log_p, moves.band)
    law_m, law_e = np.empty(size), np.empty(size, dtype=np.int64)
    _reduce(m, e, law_m, law_e)
    log_law = wide.to_log((law_m, law_e))
    log_law -= np.logaddexp.reduce(log_law)
    flow = np.where(target == np.arange(size)[:, None], -np.inf, log_law[:, None] + log_p)
    out = np.logaddexp.reduce(flow, axis=1)
    into = np.full(size, -np.inf)
    np.logaddexp.at(into, target[flow > -np.inf], flow[flow > -np.inf])
    return log_law, float(np.abs(np.expm1(into - out)).max())


def log_passage(moves: Moves, places: Places, goal: NDArray[np.intp], goals: int) -> tuple[Array, Array, float]:
    """Log probabilities to reach each of several goals first, and log expected number of moves until any is reached.

    Args:
        moves: the chain.
        places: numbers of the states that are no goals, increasing; all that they lead to are among them or goals.
        goal: (S,) number of the goal that a state belongs to, -1 for none.
        goals: number of goals A.

    Returns:
        (len(places), A) log probabilities, (len(places),) log numbers of moves, inf where the goals may be missed, and
        the greatest relative error left in the equations of both.
    """
    target, log_p = select(moves, places)
    leak = np.full((places.size, goals), -np.inf)
    at = goal[moves.target[places]]
    for a in range(goals):
        leak[:, a] = np.logaddexp.reduce(np.where(at == a, moves.log_probability[places], -np.inf), axis=1)
    m, e = _band(target, log_p, moves.band)
    # One column more for what is never absorbed, and one for the time.
    extra = np.full((places.size, goals + 2), -np.inf)
    extra[:, :goals] = leak
    extra[:, -1] = 0.0
    x_m, x_e = wide.from_log(extra)
    _absorb(m, e, x_m, x_e)
    answer = wide.to_log((x_m, x_e))
    log_hit = answer[:, :goals]
    log_time = np.where(answer[:, goals] > -np.inf, np.inf, answer[:, -1])
    away = np.where(target == np.arange(places.size)[:, None], -np.inf, log_p)
    leaving = np.logaddexp(np.logaddexp.reduce(away, axis=1), np.logaddexp.reduce(leak, axis=1))
    wrong = 0.0
    for column, source in [(log_hit[:, a], leak[:, a]) for a in range(goals)] + [(log_time, np.zeros(places.size))]:
        sure = np.isfinite(column)
        with np.errstate(invalid="ignore"):
            onward = np.where(away > -np.inf, away + column[target], -np.inf)
            after = np.logaddexp(source, np.logaddexp.reduce(onward, axis=1))
            wrong = max(wrong, float(np.abs(np.expm1(after - leaving - column))[sure].max(initial=0.0)))
    return log_hit, log_time, wrong


def _band(target: NDArray[np.int64], log_p: Array, band: int) -> wide.Wide:
    """(S, 2 b + 1) wide probabilities, column b being the diagonal; the diagonal itself is left out."""
    size = len(target)
    b = min(band, size - 1)
    table = np.full((size, 2 * b + 1), -np.inf)
    row = np.broadcast_to(np.arange(size)[:, None], target.shape)
    kept = (log_p > -np.inf) & (target != row)
    table[row[kept], (target - row + b)[kept]] = log_p[kept]
    return wide.from_log(table)


@compiled
def _reduce(m: Any, e: Any, law_m: Any, law_e: Any) -> None:
    """Remove states in place; fills the stationary law, not normalised."""
    size, b = m.shape[0], m.shape[1] // 2
    for last in range(size - 1, 0, -1):
        first = max(0, last - b)
        sum_m, sum_e = 0.0, wide.ZERO
        for j in range(first, last):
            sum_m, sum_e = wide.add(sum_m, sum_e, m[last, j - last + b], e[last, j - last + b])
        for i in range(first, last):
            by_m, by_e = m[i, last - i + b], e[i, last - i + b]
            if by_m == 0.0:
                continue
            by_m, by_e = wide.divide(by_m, by_e, sum_m, sum_e)
            m[i, last - i + b], e[i, last - i + b] = by_m, by_e
            for j in range(first, last):
                here, there = j - i + b, j - last + b
                if m[last, there] > 0.0:
                    m[i, here], e[i, here] = wide.add_product(
                        m[i, here], e[i, here], by_m, by_e, m[last, there], e[last, there]
                    )
    law_m[0], law_e[0] = 1.0, 0
    for j in range(1, size):
        sum_m, sum_e = 0.0, wide.ZERO
        for i in range(max(0, j - b), j):
            sum_m, sum_e = wide.add_product(sum_m, sum_e, law_m[i], law_e[i], m[i, j - i + b], e[i, j - i + b])
        law_m[j], law_e[j] = sum_m, sum_e


@compiled
def _absorb(m: Any, e: Any, x_m: Any, x_e: Any) -> None:
    """Remove all states in place; the columns x of one-step sources become the solutions of x = source + P x.

    All columns but the last are probabilities to leave for a goal, the last but one for never leaving; the last is what
    a move costs.
    """
    size, b = m.shape[0], m.shape[1] // 2
    columns = x_m.shape[1]
    for last in range(size - 1, -1, -1):
        first = max(0, last - b)
        sum_m, sum_e = 0.0, wide.ZERO
        for j in range(first, last):
            sum_m, sum_e = wide.add(sum_m, sum_e, m[last, j - last + b], e[last, j - last + b])
        for a in range(columns - 1):
            sum_m, sum_e = wide.add(sum_m, sum_e, x_m[last, a], x_e[last, a])
        if sum_m == 0.0:
            x_m[last, columns - 2], x_e[last, columns - 2] = 1.0, 0
            sum_m, sum_e = 1.0, 0
        for j in range(first, last):
            there = j - last + b
            if m[last, there] > 0.0:
                m[last, there], e[last, there] = wide.divide(m[last, there], e[last, there], sum_m, sum_e)
        for a in range(columns):
            x_m[last, a], x_e[last, a] = wide.divide(x_m[last, a], x_e[last, a], sum_m, sum_e)
        for i in range(first, last):
            by_m, by_e = m[i, last - i + b], e[i, last - i + b]
            if by_m == 0.0:
                continue
            for j in range(first, last):
                here, there = j - i + b, j - last + b
                if m[last, there] > 0.0:
                    m[i, here], e[i, here] = wide.add_product(
                        m[i, here], e[i, here], by_m, by_e, m[last, there], e[last, there]
                    )
            for a in range(columns):
                x_m[i, a], x_e[i, a] = wide.add_product(x_m[i, a], x_e[i, a], by_m, by_e, x_m[last, a], x_e[last, a])
    for k in range(size):
        for j in range(max(0, k - b), k):
            by_m, by_e = m[k, j - k + b], e[k, j - k + b]
            if by_m == 0.0:
                continue
            for a in range(columns):
                x_m[k, a], x_e[k, a] = wide.add_product(x_m[k, a], x_e[k, a], by_m, by_e, x_m[j, a], x_e[j, a])
