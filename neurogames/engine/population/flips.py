"""How many players stop and how many start between two records of a population: the exact law, from the rates.

Players are alike, so that of what single players do between two records only two numbers matter beside the number n of
actors before: how many of the n now rest (stopped), and how many of the N - n now act (started). Given these, all
choices of who did are equally likely.

- When all revise at once, the two are independent binomials.
- When one revises at a time, they walk on a grid of (n + 1)(N - n + 1) places; a player may come back meanwhile.
"""

from __future__ import annotations

from math import lgamma
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from neurogames.engine.process import Switching

Counts = NDArray[np.int64]


def log_law_of_flips(rates: Switching, flips: Counts, revision: str, pace: float) -> NDArray[np.float64]:
    """Log probability of what each player does between two records.

    Args:
        rates: of one revision, each vector (N,).
        flips: (K, 3) actors before, those of them who rest afterwards, and resting ones who act afterwards.
        revision: "one" or "all".
        pace: revisions of a player between two records, on average: with "all" the probability <= 1 that it revises.

    Returns:
        (K,) logs, of one choice of who flips.

    >>> half = np.full(2, np.log(0.5))
    >>> np.exp(log_law_of_flips(Switching(half, half, half, half), np.array([[1, 0, 1]]), "all", 1.0)).round(3)
    array([0.25])
    """
    n = rates.log_on.size
    before, stopped, started = flips.T
    if revision == "all":
        on, not_on = _thinned(rates.log_on, rates.log_not_on, pace)
        off, not_off = _thinned(rates.log_off, rates.log_not_off, pace)
        act, rest = np.minimum(before, n - 1), np.maximum(before - 1, 0)
        return np.asarray(
            _times(stopped, off[rest])
            + _times(before - stopped, not_off[rest])
            + _times(started, on[act])
            + _times(n - before - started, not_on[act])
        )
    revisions = max(round(pace * n), 1)
    chance = np.empty(len(flips))
    for actors in np.unique(before):
        here = before == actors
        law = _walk(np.exp(rates.log_on), np.exp(rates.log_off), int(actors), revisions)
        chance[here] = law[stopped[here], started[here]]
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(chance) - _log_ways(before, stopped) - _log_ways(n - before, started))


def _thinned(log_yes: Any, log_no: Any, pace: float) -> tuple[Any, Any]:
    """Log probabilities of a change and of none, where a player revises with some probability only."""
    with np.errstate(divide="ignore"):
        return np.log(pace) + log_yes, np.logaddexp(np.log1p(-pace), np.log(pace) + log_no)


def _times(count: Counts, logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logs times counts, where no trial of probability 0 has probability 1."""
    return np.multiply(count, logs, where=count > 0, out=np.zeros(count.shape))


def _log_ways(whole: Counts, part: Counts) -> NDArray[np.float64]:
    """Log number of ways to choose."""
    largest = int(whole.max(initial=0)) + 1
    factorial = np.array([lgamma(count + 1.0) for count in range(largest)])
    return np.asarray(factorial[whole] - factorial[part] - factorial[whole - part])


@numba.njit(cache=True, nogil=True)
def _walk(on: Any, off: Any, actors: int, revisions: int) -> Any:
    """(actors + 1, resting + 1) probability of (stopped, started) after some single revisions."""
    n = on.size
    resting = n - actors
    law = np.zeros((actors + 1, resting + 1))
    law[0, 0] = 1.0
    for done in range(revisions):
        after = np.zeros_like(law)
        for stopped in range(min(done, actors) + 1):
            for started in range(min(done, resting) + 1):
                mass = law[stopped, started]
                if mass == 0.0:
                    continue
                now = actors - stopped + started
                stop = off[now - 1] / n if now > 0 else 0.0
                start = on[now] / n if now < n else 0.0
                stops, returns = (actors - stopped) * stop, stopped * start
                starts, gives_up = (resting - started) * start, started * stop
                if stopped < actors:
                    after[stopped + 1, started] += mass * stops
                if stopped > 0:
                    after[stopped - 1, started] += mass * returns
                if started < resting:
                    after[stopped, started + 1] += mass * starts
                if started > 0:
                    after[stopped, started - 1] += mass * gives_up
                after[stopped, started] += mass * max(1.0 - stops - returns - starts - gives_up, 0.0)
        law = after
    return law
