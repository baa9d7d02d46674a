"""Compiled rounds of players who learn; see :mod:`neurogames.engine.learning.play`.

What a player has learnt stands in one row ``memory[replica]``, in blocks player by player from ``place[i]`` on: total
payoffs of actions (fictitious play), regrets (a_i or a_i^2), losses (EXP3) or Q. All of it lies in arrays, so that the
rounds may be played in any number of calls.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.choice import SAME
from neurogames.engine.compiled import compiled
from neurogames.engine.population.generator import unit

FICTITIOUS, CONDITIONAL, EXTERNAL, EXP3, BOLTZMANN = range(5)


ACTIONS, STRIDE, FIRST, PLACE, KIND, ADJUSTED = range(6)
STRENGTH, STEP, DECAY = range(3)


class Players(NamedTuple):
    """The game and the rules in numbers, in few arrays, since compiled calls hand over each of them anew.

    Attributes:
        payoffs: (n, cells) payoffs behind the player's best one, profiles in C order.
        whole: (n, 6) number of actions; what the own action adds to the number of the profile; place of the first
            action among all actions of all players; place of the first number learnt; the rule; whether the step of
            Q-learning is divided by the action's probability.
        real: (n, 3) 1 / mu of conditional regret, 1 / R of EXP3 or 1 / tau of Q-learning; its step size and decay.
    """

    payoffs: NDArray[np.float64]
    whole: NDArray[np.int64]
    real: NDArray[np.float64]


@compiled
def play_rounds(
    players: Any, begun: Any, rounds: Any, memory: Any, last: Any, choice: Any, count: Any, state: Any
) -> None:
    """Play rounds begun+1 .. begun+rounds in every replica.

    ``last`` (replicas, n) are the actions of the last round, ``choice`` (replicas, all actions) the probabilities of
    the next one, ``count`` (replicas, cells) how often each profile was played.
    """
    payoffs, whole, real = players
    n = len(whole)
    for replica in range(len(memory)):
        words = (state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3])
        learnt, played, chance = memory[replica], last[replica], choice[replica]
        for t in range(begun + 1, begun + rounds + 1):
            cell = 0
            for i in range(n):
                u, words = unit(words)
                low, action = whole[i, FIRST], 0
                while action < whole[i, ACTIONS] - 1:
                    u -= chance[low + action]
                    if u < 0.0:
                        break
                    action += 1
                played[i] = action
                cell += whole[i, STRIDE] * action
            count[replica, cell] += 1
            for i in range(n):
                _learn(payoffs, whole, real, i, t, cell, learnt, played[i], chance)
                _choose(whole, real, i, t, learnt, played[i], chance)
        state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3] = words


@compiled(forceinline=True, error_model="numpy")
def _learn(payoffs: Any, whole: Any, real: Any, i: Any, t: Any, cell: Any, learnt: Any, mine: Any, chance: Any) -> None:
    """What player i learns from the profile ``cell`` in round t, in which ``mine`` was played."""
    kind, size, stride, place = whole[i, KIND], whole[i, ACTIONS], whole[i, STRIDE], whole[i, PLACE]
    low, beside = whole[i, FIRST], cell - stride * mine
    if kind == FICTITIOUS:
        for a in range(size):
            learnt[place + a] += payoffs[i, beside + stride * a]
    elif kind in (EXTERNAL, CONDITIONAL):
        row = place + (size * mine if kind == CONDITIONAL else 0)
        for a in range(size):
            learnt[row + a] += payoffs[i, beside + stride * a] - payoffs[i, cell]
    elif kind == EXP3:
        learnt[place + mine] += -payoffs[i, cell] * real[i, STRENGTH] / chance[low + mine]
    else:
        step = real[i, STEP] * np.float64(t) ** -real[i, DECAY]
        if whole[i, ADJUSTED]:
            step = min(1.0, step / chance[low + mine])
        learnt[place + mine] += step * (payoffs[i, cell] - learnt[place + mine])


@compiled(forceinline=True, error_model="numpy")
def _choose(whole: Any, real: Any, i: Any, t: Any, learnt: Any, mine: Any, chance: Any) -> None:
    """Probabilities of the actions of player i in round t + 1."""
    kind, size, place, low = whole[i, KIND], whole[i, ACTIONS], whole[i, PLACE], whole[i, FIRST]
    mass = 0.0
    if kind == CONDITIONAL:
        row = place + size * mine
        for a in range(size):
            if a != mine:
                chance[low + a] = max(learnt[row + a], 0.0) * real[i, STRENGTH] / t
                mass += chance[low + a]
        chance[low + mine] = 1.0 - mass
        return
    if kind == EXTERNAL:
        for a in range(size):
            chance[low + a] = max(learnt[place + a], 0.0)
            mass += chance[low + a]
        if mass <= 0.0:
            chance[low : low + size] = 1.0
            mass = np.float64(size)
    else:
        scale = real[i, STRENGTH]
        if kind == EXP3:
            scale = -np.sqrt(np.log(np.float64(size)) / (np.float64(size) * (t + 1)))
        top, most = -np.inf, 0.0
        for a in range(size):
            value = learnt[place + a] * (1.0 if kind == FICTITIOUS else scale)
            chance[low + a] = value
            top, most = max(top, value), max(most, abs(value))
        for a in range(size):
            ahead = chance[low + a] - top
            if kind == FICTITIOUS:
                chance[low + a] = 1.0 if ahead >= -SAME * most else 0.0
            else:
                chance[low + a] = np.exp(ahead)
            mass += chance[low + a]
    for a in range(size):
        chance[low + a] /= mass
