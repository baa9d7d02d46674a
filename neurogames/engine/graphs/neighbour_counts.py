"""Compiled loops of agents on graphs whose edges all weigh the same, by tables.

What a player earns then depends on its strategy and on how many of its neighbours use each strategy. Both are kept as
one whole number, the player's cell: a switch moves the cells of those who look at the player by a constant, and
payoffs, fitness and choices are looked up. The draws are those of ``agents`` one by one, so that the paths agree.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.compiled import compiled
from neurogames.engine.graphs.compiled_rule import BEST, DEATH_BIRTH, IMITATION, LOGIT, MORAN, REPLICATOR, Rule
from neurogames.engine.graphs.draws import mutant
from neurogames.engine.graphs.edges import span
from neurogames.engine.graphs.look_ahead import begin, fetch_turns, following
from neurogames.engine.population.generator import draw, share_of, split, unit
from neurogames.games.graph_game import GraphGame

Array = NDArray[np.float64]

_MOST_CELLS = 2**18
_NEAR = 2**16  # so many players are always in the processor's own memory


class Cells(NamedTuple):
    """Tables by cell; K cells in all.

    Attributes:
        block: (m,) where the cells of each player's degree begin.
        step: (n,) by how much a neighbour who uses a strategy raises the cell.
        stride: by how much the next strategy of its own raises a player's cell.
        own: (K,) what the player uses.
        payoff: (K,) what the player earns.
        fitness: (K,) of that payoff; empty but for reproduction.
        below: (K, n) probability to choose one of the strategies 0..j; empty but for rules of own choice.
    """

    block: NDArray[np.int32]
    step: NDArray[np.int64]
    stride: int
    own: NDArray[np.uint8]
    payoff: Array
    fitness: Array
    below: Array


def cells(game: GraphGame, rule: Rule) -> Cells | None:
    """Tables of a game and a rule; None where edges weigh differently or there are more than 2^18 cells."""
    if game.weight.size:
        return None
    n = game.n_strategies
    degree = np.diff(game.first)
    most = int(degree.max())
    levels = float(most + 1) ** (n - 1)
    if levels * n > _MOST_CELLS:
        return None
    present = np.flatnonzero(np.bincount(degree, minlength=most + 1))
    if levels * n * present.size > _MOST_CELLS:
        return None
    size = int(levels)
    step = np.concatenate([[0], (most + 1) ** np.arange(n - 1)]).astype(np.int64)
    others = np.arange(size)[:, None] // step[1:] % (most + 1)  # how many neighbours use strategies 1, 2, ...
    payoff = []
    for each in present:
        counts = np.column_stack([each - others.sum(axis=1), others])
        total = np.maximum(counts, 0.0) @ game.matrix.T
        payoff.append((total / each if rule.mean and each else total).T)  # (n, levels)
    offers = np.stack(payoff)  # (degrees, n, levels)
    place = np.zeros(most + 1, dtype=np.int32)
    place[present] = n * size * np.arange(present.size)
    fitness: Array = np.empty(0)
    below: Array = np.empty(0)
    if rule.kind >= MORAN:
        with np.errstate(over="ignore"):  # of compositions that do not exist
            fitness = 1.0 - rule.strength + rule.strength * offers if rule.linear else np.exp(rule.strength * offers)
    if rule.kind in (LOGIT, BEST):
        ahead = offers - offers.max(axis=1, keepdims=True)
        if rule.kind == LOGIT:
            weight = np.exp(ahead * rule.strength)
        else:
            terms = np.ones(present.size) if rule.mean else present
            weight = (ahead >= -rule.strength * terms[:, None, None]).astype(np.float64)
        chance = np.cumsum(weight, axis=1)
        chance = np.moveaxis(chance / chance[:, -1:], 1, -1)  # (degrees, levels, n)
        below = np.repeat(chance[:, None], n, axis=1).reshape(-1, n)
    own = np.tile(np.repeat(np.arange(n, dtype=np.uint8), size), present.size)
    return Cells(place[degree], step, size, own, offers.ravel(), fitness.ravel(), below.reshape(-1, n))


def cell_type(table: Cells) -> np.dtype[Any]:
    """The smallest kind of whole numbers that holds all cells."""
    return np.min_scalar_type(table.payoff.size - 1)


@compiled
def play_cells(
    rule: Any,
    mutation: Any,
    table: Any,
    edges: Any,
    watchers: Any,
    strategies: Any,
    cell: Any,
    room: Any,
    state: Any,
    part: Any,
    ends: Any,
    every: Any,
    record: Any,
) -> None:
    """Advance replicas; but for their beginning one replica, whose state is still in ``cell`` and ``room``.

    Strategies are written when it ``ends``. Where a sweep is cut, its cells are filled before, in pieces too.
    """
    # Arrays are taken out of their tuples once: each time costs a count of references, which is slow. Numbers that
    # cannot be negative are unsigned, since indices are else checked for it.
    step, stride, payoff, fitness, below = table.step, table.stride, table.payoff, table.fitness, table.below
    own, neighbour, watcher = table.own, edges.neighbour, watchers.neighbour
    first, first_watching = edges.first, watchers.first
    degree, in_degree = edges.degree, watchers.degree
    kind, strength, keep, blind = rule.kind, rule.strength, rule.keep, rule.blind
    mutates, together, follows = rule.mutates, rule.together, rule.kind == MORAN and rule.bound == 0.0
    count, later, ahead = room.users, room.later, room.ahead
    replicas, players = strategies.shape
    n, far = step.size, players > _NEAR
    turns = 2 * players if together else players
    rising = np.empty(np.diff(first).max() if kind == DEATH_BIRTH else 0)
    for replica in range(replicas):
        words = (state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3])
        if part.first == 0 and part.begin == 0:
            count[:] = 0
            for i in range(players):
                count[strategies[replica, i]] += 1
            if part.end == turns:
                fill(table, edges, strategies[replica], 0, players, cell)
            words = begin(ahead, words)
            room.at[0] = 0
        highest, at = room.highest[0], room.at[0]
        for sweep in range(part.first, part.first + part.sweeps):
            if kind == MORAN and part.begin == 0:
                highest = rule.bound
                for i in range(players if follows else 0):
                    highest = max(highest, fitness[cell[i]])
            for turn in range(part.begin, min(part.end, players)):
                player: Any = np.int64(turn)
                if together:
                    bits, words = draw(words)
                else:
                    bits, at, words = following(ahead, at, words)
                    player, bits = split(bits, players)
                    if far:
                        fetch_turns(ahead, at, players, cell, first_watching, in_degree, watcher)
                here = np.int64(cell[player])
                mine = np.int64(own[here])
                new = mine
                if kind == MORAN:
                    # Parents are drawn by rejection: a candidate is taken with probability fitness over the highest.
                    parent = player
                    u, words = unit(words)
                    while u * highest >= fitness[here]:
                        bits, at, words = following(ahead, at, words)
                        parent, bits = split(bits, players)
                        here = np.int64(cell[parent])
                        u, words = unit(words)
                    low, high = span(first_watching, in_degree, parent)
                    if low < high:
                        edge, _ = split(bits, high - low)
                        player, new = np.int64(np.uint32(watcher[low + edge])), np.int64(own[here])
                        here = np.int64(cell[player])
                        mine = np.int64(own[here])
                        if mutates:
                            u, words = unit(words)
                            new = mutant(mutation, new, u)
                elif kind == DEATH_BIRTH:
                    low, high = span(first, degree, player)
                    if low < high:
                        mass = 0.0
                        for edge in range(low, high):
                            mass += fitness[cell[np.uint32(neighbour[edge])]]
                            rising[edge - low] = mass
                        u = share_of(bits) * mass
                        parent = low
                        for k in range(high - low - 1):  # no branch: who is drawn cannot be predicted
                            parent += np.int64(u >= rising[k])
                        new = np.int64(own[cell[np.uint32(neighbour[parent])]])
                        if mutates:
                            u, words = unit(words)
                            new = mutant(mutation, new, u)
                else:
                    if mutates:
                        u, words = unit(words)
                        new = mutant(mutation, mine, u)
                    seen, asked = True, new == mine
                    if asked and keep < 1.0:
                        u, words = unit(words)
                        seen = u < keep
                        asked = seen or blind
                    if asked and kind in (IMITATION, REPLICATOR):
                        low, high = span(first, degree, player)
                        if low < high:
                            edge, _ = split(bits, high - low)
                            there = np.int64(cell[np.uint32(neighbour[low + edge])])
                            if own[there] != mine:
                                ahead_by = strength * (payoff[there] - payoff[here]) if seen else 0.0
                                u, words = unit(words)
                                if u < (1.0 / (1.0 + np.exp(-ahead_by)) if kind == IMITATION else ahead_by):
                                    new = np.int64(own[there])
                    elif asked:
                        u = share_of(bits)
                        if seen:
                            new = np.int64(0)
                            for k in range(n - 1):  # no branch, again
                                new += np.int64(u >= below[here, k])
                        else:
                            new = min(np.int64(u * n), n - 1)
                if together:
                    later[player] = new
                elif new != mine:
                    count[mine] -= 1
                    count[new] += 1
                    here += (new - mine) * stride
                    cell[player] = here
                    change = step[new] - step[mine]
                    low, high = span(first_watching, in_degree, player)
                    if follows:
                        highest = max(highest, fitness[here])
                        for edge in range(low, high):
                            there = cell[np.uint32(watcher[edge])] + change
                            cell[np.uint32(watcher[edge])] = there
                            highest = max(highest, fitness[there])
                    else:
                        for edge in range(low, high):
                            cell[np.uint32(watcher[edge])] += change
            for i in range(max(part.begin - players, 0), part.end - players):  # where all revise at once
                mine, new = np.int64(own[cell[i]]), np.int64(later[i])
                if new != mine:
                    count[mine] -= 1
                    count[new] += 1
                    cell[i] += (new - mine) * stride
                    for edge in range(first_watching[i], first_watching[i + 1]):
                        cell[np.uint32(watcher[edge])] += step[new] - step[mine]
            if part.end == turns and (sweep + 1) % every == 0:
                record[replica, (sweep + 1) // every] = count
        if ends:
            for i in range(players):
                strategies[replica, i] = own[cell[i]]
        room.highest[0], room.at[0] = highest, at
        state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3] = words


@compiled
def fill(table: Any, edges: Any, s: Any, low: Any, high: Any, cell: Any) -> None:
    """Cells of players low..high-1 at the beginning."""
    for i in range(low, high):
        level = np.int64(table.block[i]) + table.stride * np.int64(s[i])
        for edge in range(edges.first[i], edges.first[i + 1]):
            level += table.step[s[edges.neighbour[edge]]]
        cell[i] = level
