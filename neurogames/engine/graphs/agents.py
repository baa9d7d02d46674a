"""Compiled loops of agents with n strategies on a graph; see :mod:`neurogames.engine.graphs.graph_matrix`.

Rules that compare a player's own strategies look at its neighbours when it revises. Rules that compare players need
what each earns: a player who switches changes that of those who look at it, so that it is followed by sums and worked
out anew from time to time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neurogames.engine.compiled import compiled
from neurogames.engine.graphs.compiled_rule import DEATH_BIRTH, IMITATION, LOGIT, MORAN, REPLICATOR
from neurogames.engine.graphs.draws import chosen, mutant
from neurogames.engine.graphs.look_ahead import begin, following
from neurogames.engine.population.generator import draw, share_of, split, unit

RENEWED = 64  # sweeps between two exact sums of all earnings


@compiled
def play(
    rule: Any,
    mutation: Any,
    matrix: Any,
    edges: Any,
    watchers: Any,
    strategies: Any,
    earnings: Any,
    room: Any,
    state: Any,
    part: Any,
    every: Any,
    record: Any,
) -> None:
    """Advance replicas; but for their beginning one replica, whose sums are still in ``earnings`` and ``room``.

    ``watchers`` are the edges the other way, used by rules that compare players. Where a sweep is cut, what players
    earn is worked out anew before it, in pieces too.
    """
    replicas, players = strategies.shape
    n = len(matrix)
    copies, turns = rule.kind >= IMITATION, 2 * players if rule.together else players
    offer, count, later, ahead, at = np.empty(n), room.users, room.later, room.ahead, np.int64(0)
    earned, fitness = earnings
    for replica in range(replicas):
        words = (state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3])
        s = strategies[replica]
        if part.first == 0 and part.begin == 0:
            count[:] = 0
            for i in range(players):
                count[s[i]] += 1
            words = begin(ahead, words)
            room.at[0] = 0
        highest, at = room.highest[0], room.at[0]
        for sweep in range(part.first, part.first + part.sweeps):
            if part.begin == 0 and part.end == turns and copies and sweep % RENEWED == 0:
                earn(rule, matrix, edges, s, 0, players, earned, fitness)
            if part.begin == 0 and rule.kind == MORAN:
                highest = rule.bound if rule.bound > 0.0 else fitness.max()
            for turn in range(part.begin, min(part.end, players)):
                player: Any = np.int64(turn)
                if rule.together:
                    bits, words = draw(words)
                else:
                    bits, at, words = following(ahead, at, words)
                    player, bits = split(bits, players)
                if rule.kind == MORAN:
                    # Parents are drawn by rejection: a candidate is taken with probability fitness over the highest.
                    parent = player
                    u, words = unit(words)
                    while u * highest >= fitness[parent]:
                        bits, at, words = following(ahead, at, words)
                        parent, bits = split(bits, players)
                        u, words = unit(words)
                    if watchers.first[parent] == watchers.first[parent + 1]:
                        continue
                    player = np.int64(watchers.neighbour[_neighbour(watchers, parent, bits)])
                    new = np.int64(s[parent])
                    if rule.mutates:
                        u, words = unit(words)
                        new = mutant(mutation, new, u)
                else:
                    new, words = _revised(rule, mutation, matrix, edges, s, earned, fitness, offer, player, bits, words)
                if rule.together:
                    later[player] = new
                elif new != s[player]:
                    count[s[player]] -= 1
                    count[new] += 1
                    highest = _switch(rule, matrix, edges, watchers, s, earned, fitness, player, new, highest)
            for i in range(max(part.begin - players, 0), part.end - players):  # where all revise at once
                count[s[i]] -= 1
                count[later[i]] += 1
                s[i] = later[i]
            if part.begin == 0 and rule.together and copies:
                earn(rule, matrix, edges, s, 0, players, earned, fitness)
            if part.end == turns and (sweep + 1) % every == 0:
                record[replica, (sweep + 1) // every] = count
        room.highest[0], room.at[0] = highest, at
        state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3] = words


@compiled
def _revised(
    rule: Any,
    mutation: Any,
    matrix: Any,
    edges: Any,
    s: Any,
    earned: Any,
    fitness: Any,
    offer: Any,
    i: Any,
    bits: Any,
    words: Any,
) -> Any:
    """Next strategy of player i, chosen by ``bits``, and the generator after what else is drawn."""
    mine = np.int64(s[i])
    first, last = edges.first[i], edges.first[i + 1]
    if rule.kind == DEATH_BIRTH:
        if first == last:
            return mine, words
        mass = 0.0
        for edge in range(first, last):
            mass += (edges.weight[edge] if edges.weight.size else 1.0) * fitness[edges.neighbour[edge]]
        u = share_of(bits) * mass
        edge = first
        while edge < last - 1:
            u -= (edges.weight[edge] if edges.weight.size else 1.0) * fitness[edges.neighbour[edge]]
            if u < 0.0:
                break
            edge += 1
        new = np.int64(s[edges.neighbour[edge]])
        if rule.mutates:
            u, words = unit(words)
            new = mutant(mutation, new, u)
        return new, words
    if rule.mutates:
        u, words = unit(words)
        new = mutant(mutation, mine, u)
        if new != mine:
            return new, words
    seen = 1.0
    if rule.keep < 1.0:
        u, words = unit(words)
        if u >= rule.keep:
            if not rule.blind:
                return mine, words
            seen = 0.0
    if rule.kind == IMITATION or rule.kind == REPLICATOR:
        if first == last:
            return mine, words
        model = edges.neighbour[_neighbour(edges, i, bits)]
        if s[model] == mine:
            return mine, words
        ahead = seen * rule.strength * (earned[model] - earned[i])
        u, words = unit(words)
        copy = 1.0 / (1.0 + np.exp(-ahead)) if rule.kind == IMITATION else ahead
        return (np.int64(s[model]) if u < copy else mine), words
    return _own_choice(rule, matrix, edges, s, offer, i, seen, bits), words


@compiled
def _own_choice(rule: Any, matrix: Any, edges: Any, s: Any, offer: Any, i: Any, seen: Any, bits: Any) -> Any:
    """Logit choice or a best response among what all strategies would earn."""
    n = len(matrix)
    offer[:] = 0.0
    total = 0.0
    for edge in range(edges.first[i], edges.first[i + 1]):
        weight = edges.weight[edge] if edges.weight.size else 1.0
        total += weight
        other = s[edges.neighbour[edge]]
        for j in range(n):
            offer[j] += weight * matrix[j, other]
    scale = seen * (1.0 / total if rule.mean and total > 0.0 else 1.0)
    offer *= scale
    strength = rule.strength if rule.kind == LOGIT else rule.strength * total * scale
    return chosen(offer, rule.kind == LOGIT, strength, share_of(bits))


@compiled
def _switch(
    rule: Any,
    matrix: Any,
    edges: Any,
    watchers: Any,
    s: Any,
    earned: Any,
    fitness: Any,
    i: Any,
    new: Any,
    highest: Any,
) -> Any:
    """Let player i use a strategy; what it and those who look at it earn follows. Returns the highest fitness."""
    old = s[i]
    s[i] = new
    if rule.kind < IMITATION:
        return highest
    earned[i] = _earning(rule, matrix, edges, s, i)
    if rule.kind >= MORAN:
        fitness[i] = _fitness(rule, earned[i])
        highest = max(highest, fitness[i])
    for edge in range(watchers.first[i], watchers.first[i + 1]):
        k = watchers.neighbour[edge]
        weight = watchers.weight[edge] if watchers.weight.size else 1.0
        change = weight * (matrix[s[k], new] - matrix[s[k], old])
        if rule.mean:
            low, high = edges.first[k], edges.first[k + 1]
            change /= edges.rising[high - 1] if edges.rising.size else np.float64(high - low)
        earned[k] += change
        if rule.kind >= MORAN:
            fitness[k] = _fitness(rule, earned[k])
            highest = max(highest, fitness[k])
    return highest


@compiled
def earn(rule: Any, matrix: Any, edges: Any, s: Any, low: Any, high: Any, earned: Any, fitness: Any) -> None:
    """What players low..high-1 earn, and their fitness."""
    for i in range(low, high):
        earned[i] = _earning(rule, matrix, edges, s, i)
        if rule.kind >= MORAN:
            fitness[i] = _fitness(rule, earned[i])


@compiled
def _earning(rule: Any, matrix: Any, edges: Any, s: Any, i: Any) -> Any:
    total, reach = 0.0, 0.0
    for edge in range(edges.first[i], edges.first[i + 1]):
        weight = edges.weight[edge] if edges.weight.size else 1.0
        total += weight * matrix[s[i], s[edges.neighbour[edge]]]
        reach += weight
    return total / reach if rule.mean and reach > 0.0 else total


@compiled
def _fitness(rule: Any, payoff: Any) -> Any:
    return 1.0 - rule.strength + rule.strength * payoff if rule.linear else np.exp(rule.strength * payoff)


@compiled
def _neighbour(edges: Any, i: Any, bits: Any) -> Any:
    """Number of an edge of player i, in proportion to its weight."""
    low, high = edges.first[i], edges.first[i + 1] - 1
    if edges.rising.size == 0:
        step, _ = split(bits, high - low + 1)
        return low + step
    u = share_of(bits) * edges.rising[high]
    while low < high:
        middle = (low + high) // 2
        if u < edges.rising[middle]:
            high = middle
        else:
            low = middle + 1
    return low
