"""The chain of one-at-a-time revision: the number n of actors moves by one, so all quantities are sums along a line.

``log_up[n]`` is the log probability of n -> n+1, ``log_down[n]`` that of n+1 -> n, both for n = 0..N-1. Each quantity
costs one pass over the line, in logarithms or in wide numbers; sums are of positive terms only, so that small ones
are as accurate as large ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.compiled import compiled
from neurogames.engine.population import wide
from neurogames.engine.process import Switching

Vector = NDArray[np.float64]


class Line(NamedTuple):
    """Log probabilities of one revision: up and down (..., N) between neighbours, stay (..., N+1)."""

    log_up: Vector
    log_down: Vector


def line(rates: Switching) -> Line:
    """Probabilities of one revision: a random player is picked, then it switches or not."""
    n = rates.log_on.shape[-1]
    chosen = np.log(np.arange(1, n + 1) / n)
    return Line(rates.log_on + chosen[::-1], rates.log_off + chosen)


def log_stay(rates: Switching) -> Vector:
    """(..., N+1) log probability that one revision changes nothing, without a subtraction."""
    n = rates.log_on.shape[-1]
    chosen = np.log(np.arange(1, n + 1) / n)
    stay = np.full((*rates.log_on.shape[:-1], n + 1), -np.inf)
    stay[..., :-1] = rates.log_not_on + chosen[::-1]
    stay[..., 1:] = np.logaddexp(stay[..., 1:], rates.log_not_off + chosen)
    return stay


def closed_classes(moves: Line) -> list[tuple[int, int]]:
    """Intervals (first, last) of counts that are never left and cannot be split."""
    up, down = moves.log_up > -np.inf, moves.log_down > -np.inf
    cuts = np.flatnonzero(~(up & down))
    firsts, lasts = np.concatenate([[0], cuts + 1]), np.concatenate([cuts, [up.size]])
    never_falls = np.concatenate([[True], ~down])[firsts]
    never_rises = np.concatenate([~up, [True]])[lasts]
    closed = never_falls & never_rises
    return list(zip(firsts[closed].tolist(), lasts[closed].tolist(), strict=True))


@compiled
def stationary(log_up: Any, log_down: Any) -> Any:
    """Log stationary law of a line on which every move has positive probability, and its residual.

    log pi(n+1) - log pi(n) = log_up[n] - log_down[n], summed with compensation. The residual is the total variation
    distance to the law one revision later.
    """
    n = log_up.size
    law = np.empty(n + 1)
    total, lost, largest = 0.0, 0.0, 0.0
    law[0] = 0.0
    for k in range(n):
        term = log_up[k] - log_down[k]
        after = total + term
        lost += (total - after) + term if abs(total) >= abs(term) else (term - after) + total
        total = after
        law[k + 1] = total + lost
        largest = max(largest, law[k + 1])
    mass = 0.0
    for k in range(n + 1):
        mass += np.exp(law[k] - largest)
    shift = largest + np.log(mass)
    law -= shift
    change, flow = 0.0, 0.0
    for k in range(n):
        here, there = law[k] + log_up[k], law[k + 1] + log_down[k]
        net = np.exp(here) - np.exp(there) if here > -745.0 or there > -745.0 else 0.0
        change += abs(flow - net)
        flow = net
    return law, 0.5 * (change + abs(flow))


@compiled
def climb(log_up: Any, log_down: Any, start: int, target: int) -> Any:
    """Log expected number of revisions from start up to target, by the recursion and by the stationary weights.

    h(k), the expected time from k to k+1, obeys up(k) h(k) = 1 + down(k) h(k-1) [recursion], and equals the weight of
    all counts up to k over the flow from k to k+1 [weights], with weights w(k) = w(k-1) up(k-1) / down(k). The
    recursion runs in wide numbers, the weights in logarithms. Both begin at the lowest count that start can fall to.
    """
    lowest = start
    while lowest > 0 and log_down[lowest - 1] > -np.inf:
        lowest -= 1
    h_m, h_e = 0.0, wide.ZERO
    time_m, time_e = 0.0, wide.ZERO
    log_weight, lost, log_below, log_twin = 0.0, 0.0, 0.0, -np.inf
    for k in range(lowest, target):
        rise = log_up[k]
        if rise == -np.inf:
            return np.inf, np.inf
        fall = log_down[k - 1] if k > lowest else -np.inf
        if fall > -np.inf:
            term = log_up[k - 1] - fall + lost
            after = log_weight + term
            lost = term - (after - log_weight)
            log_weight = after
            log_below = _log_sum(log_below, log_weight)
            back_m, back_e = wide.of_log(fall)
            h_m, h_e = wide.multiply(h_m, h_e, back_m, back_e)
        else:  # what lies below k is not reached from it
            log_weight, lost, log_below, h_m, h_e = 0.0, 0.0, 0.0, 0.0, wide.ZERO
        h_m, h_e = wide.add(1.0, 0, h_m, h_e)
        step_m, step_e = wide.of_log(rise)
        h_m, h_e = wide.divide(h_m, h_e, step_m, step_e)
        if k >= start:
            time_m, time_e = wide.add(time_m, time_e, h_m, h_e)
            log_twin = _log_sum(log_twin, log_below - log_weight - rise)
    return wide.log_of(time_m, time_e), log_twin


@compiled
def _log_sum(a: Any, b: Any) -> Any:
    """Log of exp(a) + exp(b), either of them possibly 0."""
    high, low = max(a, b), min(a, b)
    return high if low == -np.inf else high + np.log1p(np.exp(low - high))


@compiled
def advance(up: Any, down: Any, stay: Any, law: Any, revisions: int) -> None:
    """Move a wide law on by some revisions, in place; ``up``, ``down``, ``stay`` are wide as well."""
    m, e = law
    n = m.size - 1
    for _ in range(revisions):
        left_m, left_e = 0.0, wide.ZERO
        for k in range(n + 1):
            here_m, here_e = m[k], e[k]
            new_m, new_e = wide.multiply(here_m, here_e, stay[0][k], stay[1][k])
            if k > 0:
                new_m, new_e = wide.add_product(new_m, new_e, left_m, left_e, up[0][k - 1], up[1][k - 1])
            if k < n:
                new_m, new_e = wide.add_product(new_m, new_e, m[k + 1], e[k + 1], down[0][k], down[1][k])
            m[k], e[k] = new_m, new_e
            left_m, left_e = here_m, here_e
