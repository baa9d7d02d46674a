"""What the compiled loops of agents on a graph are given: a process in numbers, and room for one replica."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.graphs.look_ahead import AHEAD

Array = NDArray[np.float64]

LOGIT, BEST, IMITATION, REPLICATOR, MORAN, DEATH_BIRTH = range(6)


class Rule(NamedTuple):
    """A process in numbers."""

    kind: int
    strength: float  # 1 / tau, beta, 1 / spread or w; of best responses, the rounding of a payoff of weight 1
    linear: bool  # fitness 1 - w + w u
    keep: float
    blind: bool
    mutates: bool
    together: bool
    mean: bool
    bound: float  # of all fitness, where it is near enough to draw parents by it; else 0


class Room(NamedTuple):
    """What is kept of one replica from piece to piece.

    Attributes:
        users: (n,) how many players use each strategy.
        ahead: words of the turns to come; see ``look_ahead``.
        at: (1,) place of the next of them.
        highest: (1,) the highest fitness since the sweep began, or a bound of it.
        later: (m,) what players do next; empty where they revise one by one.
    """

    users: NDArray[np.int64]
    ahead: NDArray[np.uint64]
    at: NDArray[np.int64]
    highest: Array
    later: NDArray[np.int8]


def turns_of(rule: Rule, players: int) -> int:
    """How many turns a sweep has: where all revise at once, each chooses in one and does it in another one."""
    return 2 * players if rule.together else players


def room_of(rule: Rule, players: int, n: int) -> Room:
    """Room for one replica."""
    later = np.empty(players if rule.together else 0, dtype=np.int8)
    ahead, at = np.zeros(AHEAD, dtype=np.uint64), np.zeros(1, dtype=np.int64)
    return Room(np.zeros(n, dtype=np.int64), ahead, at, np.zeros(1), later)


def earnings_of(rule: Rule, players: int) -> tuple[Array, Array]:
    """Room for what the players of one replica earn, and for their fitness."""
    return np.empty(players if rule.kind >= IMITATION else 0), np.empty(players if rule.kind >= MORAN else 0)
