"""Compiled loops of players who differ; see :mod:`neurogames.engine.graphs.heterogeneous`.

Whoever revises counts what those it looks at use, with their weights; what a strategy would pay is its row of the
player's own matrix times these counts. Nothing is kept from one revision to the next but strategies and their counts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from neurogames.engine.compiled import compiled
from neurogames.engine.graphs.draws import chosen, drawn
from neurogames.engine.population.generator import uniform, unit

LOGIT, BEST, IMITATION = range(3)


class Rule(NamedTuple):
    """What all players have in common.

    Attributes:
        kind: the rule.
        blind: whether a player without feedback answers a payoff difference of 0.
        mutates: whether there are mutations.
        together: whether all revise at once.
        mean: whether payoffs are means over neighbours.
    """

    kind: int
    blind: bool
    mutates: bool
    together: bool
    mean: bool


@compiled
def play_own(
    rule: Any,
    mutation: Any,
    matrices: Any,
    strength: Any,
    keep: Any,
    edges: Any,
    strategies: Any,
    later: Any,
    state: Any,
    part: Any,
    every: Any,
    record: Any,
) -> None:
    """Advance replicas; with ``part.begin`` > 0 one replica, whose next strategies are still in ``later``.

    ``matrices`` (m, n, n), ``strength`` (m,) and ``keep`` (m,) have one row where all players are alike in that;
    without edges everybody looks at everybody else.
    """
    players, n = strategies.shape[1], len(mutation)
    count, seen, offer = np.zeros(n, dtype=np.int64), np.empty(n), np.empty(n)
    for replica in range(len(strategies)):
        words = (state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3])
        s = strategies[replica]
        count[:] = 0
        for i in range(players):
            count[s[i]] += 1
        for sweep in range(part.first + 1, part.first + part.sweeps + 1):
            for turn in range(part.begin, part.end):
                player: Any = np.int64(turn)
                if not rule.together:
                    player, words = uniform(players, words)
                new, words = _revised(
                    rule, mutation, matrices, strength, keep, edges, s, count, seen, offer, player, words
                )
                if rule.together:
                    later[player] = new
                else:
                    count[s[player]] -= 1
                    count[new] += 1
                    s[player] = new
            if part.end < players:
                continue
            if rule.together:
                s[:] = later
                count[:] = 0
                for i in range(players):
                    count[s[i]] += 1
            if sweep % every == 0:
                record[replica, sweep // every] = count
        state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3] = words


@compiled
def _revised(
    rule: Any,
    mutation: Any,
    matrices: Any,
    strength: Any,
    keep: Any,
    edges: Any,
    s: Any,
    count: Any,
    seen: Any,
    offer: Any,
    i: Any,
    words: Any,
) -> Any:
    """Next strategy of player i, and the generator after it."""
    n, mine = len(mutation), np.int64(s[i])
    if rule.mutates:
        u, words = unit(words)
        new = drawn(mutation[mine], u)
        if new != mine:
            return new, words
    heard, chance = 1.0, keep[i if keep.size > 1 else 0]
    if chance < 1.0:
        u, words = unit(words)
        if u >= chance:
            if not rule.blind:
                return mine, words
            heard = 0.0
    sharp = strength[i if strength.size > 1 else 0]
    own = i if len(matrices) > 1 else 0
    if rule.kind == IMITATION:
        model, words = _model(edges, s.size, i, words)
        if model < 0 or s[model] == mine:
            return mine, words
        theirs = _earned(rule, matrices, edges, s, count, seen, model)
        ahead = heard * sharp * (theirs - _earned(rule, matrices, edges, s, count, seen, i))
        u, words = unit(words)
        return (np.int64(s[model]) if u < 1.0 / (1.0 + np.exp(-ahead)) else mine), words
    scale = heard * _look(rule, edges, s, count, seen, i)
    offer[:] = 0.0
    for j in range(n):
        for k in range(n):
            offer[j] += matrices[own, j, k] * seen[k]
    offer *= scale
    strength = sharp if rule.kind == LOGIT else sharp * scale * seen.sum()
    u, words = unit(words)
    return chosen(offer, rule.kind == LOGIT, strength, u), words


@compiled
def _look(rule: Any, edges: Any, s: Any, count: Any, seen: Any, i: Any) -> Any:
    """Count, with weights, what those whom player i looks at use; returns what payoffs are multiplied by."""
    first, neighbour, weight = edges
    total = 0.0
    if first.size == 0:
        seen[:] = count
        seen[s[i]] -= 1.0
        total = np.float64(s.size - 1)
    else:
        seen[:] = 0.0
        for edge in range(first[i], first[i + 1]):
            heavy = weight[edge] if weight.size else 1.0
            seen[s[neighbour[edge]]] += heavy
            total += heavy
    return 1.0 / total if rule.mean and total > 0.0 else 1.0


@compiled
def _earned(rule: Any, matrices: Any, edges: Any, s: Any, count: Any, seen: Any, i: Any) -> Any:
    """What player i earns."""
    scale, total = _look(rule, edges, s, count, seen, i), 0.0
    own = i if len(matrices) > 1 else 0
    for k in range(seen.size):
        total += matrices[own, s[i], k] * seen[k]
    return scale * total


@compiled
def _model(edges: Any, players: Any, i: Any, words: Any) -> Any:
    """One of those whom player i looks at, in proportion to the weights; -1 where it looks at nobody."""
    first, neighbour, weight = edges
    if first.size == 0:
        other, words = uniform(players - 1, words)
        return (other + 1 if other >= i else other), words
    low, high = first[i], first[i + 1]
    if low == high:
        return np.int64(-1), words
    if weight.size == 0:
        step, words = uniform(high - low, words)
        return np.int64(neighbour[low + step]), words
    u, words = unit(words)
    u *= weight[low:high].sum()
    while low < high - 1:
        u -= weight[low]
        if u < 0.0:
            break
        low += 1
    return np.int64(neighbour[low]), words
