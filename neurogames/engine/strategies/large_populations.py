"""Simulation of large populations that play a matrix game: no table, but the rows of the present composition.

The row of a strategy holds what its users do. A switch moves it by little (``row_bounds``), so that it is worked out
anew only when a draw is too near to it to be told by an old one. The formulas are those of ``switching``, in plain
floats.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np

from neurogames.engine.choice import SAME, BestResponse, Imitation, Logit, Replicator
from neurogames.engine.compiled import compiled
from neurogames.engine.pieces import Stretch
from neurogames.engine.population.generator import draw, share_of, split, successes
from neurogames.engine.process import Process
from neurogames.engine.strategies import row_bounds
from neurogames.engine.strategies.reproduction import Reproduction
from neurogames.engine.strategies.switching import mutation_matrix
from neurogames.games.population import PopulationGame

_LONG_AGO = -(2**50)
_U = np.uint64
_TOP = 2.0**64
_LOGIT, _BEST, _IMITATION, _REPLICATOR, _MORAN, _DEATH_BIRTH = range(6)


class Rule(NamedTuple):
    """A process in numbers."""

    kind: int
    strength: float  # 1 / tau, beta, 1 / spread or w
    linear: bool  # fitness 1 - w + w u
    keep: float
    blind: bool
    offspring: bool  # whether mutation is of offspring
    together: bool
    mutates: bool


def play_large(
    game: PopulationGame,
    process: Process,
    count: Any,
    state: Any,
    part: Stretch,
    every: int,
    record: Any,
) -> None:
    """Advance replicas, recording every so often; see ``simulate_strategies``."""
    rule, mutation = rule_numbers(game.payoff_range(), process), mutation_matrix(process, game.n_strategies)
    move = row_bounds.most_per_switch(game, process)
    _play(rule, mutation, move, game.matrix, game.n_players, count, state, part, every, record)


def rule_numbers(payoff_range: tuple[float, float], process: Process) -> Rule:
    """The process in numbers for compiled code, or the refusal of a fitness that is not positive."""
    choice, linear = process.choice, False
    least, most = payoff_range
    if isinstance(choice, Logit):
        kind, strength = _LOGIT, 1.0 / cast(float, choice.temperature)
    elif isinstance(choice, BestResponse):
        kind, strength = _BEST, SAME * max(abs(least), abs(most))
    elif isinstance(choice, Imitation):
        kind, strength = _IMITATION, cast(float, choice.intensity)
    elif isinstance(choice, Replicator):
        kind, strength = _REPLICATOR, 1.0 / (most - least) if most > least else 0.0
    else:
        reproduction = cast(Reproduction, choice)
        reproduction.log_fitness(np.array([least]))
        kind, strength = (_DEATH_BIRTH if reproduction.among_others else _MORAN), float(reproduction.intensity)
        linear = reproduction.fitness == "linear"
    return Rule(
        kind,
        float(strength),
        linear,
        float(cast(float, process.keep_prob)),
        process.masked == "blind",
        isinstance(choice, Reproduction),
        process.revision == "all",
        process.mutation != 0.0,
    )


@compiled
def _play(
    rule: Any,
    mutation: Any,
    move: Any,
    matrix: Any,
    players: Any,
    count: Any,
    state: Any,
    part: Any,
    every: Any,
    record: Any,
) -> None:
    """Advance replicas one after another."""
    n = count.shape[1]
    total = np.empty(n)
    # below[i, j]: probability that a revising user of i next used one of 0..j, when the composition was then[i]. It is
    # at most as many switches from there to now as there have been since[i].
    below, then, since = np.zeros((n, n)), np.empty((n, n), dtype=np.int64), np.empty(n, dtype=np.int64)
    for replica in range(count.shape[0]):
        words = (state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3])
        now = count[replica]
        switches = np.int64(0)
        then[:] = _LONG_AGO
        since[:] = _LONG_AGO
        for sweep in range(part.first, part.first + part.sweeps):
            if rule.together:
                words = _round(rule, mutation, matrix, players, now, total, below, words)
            else:
                # No branch where it can be avoided: whose turn it is and what it does cannot be predicted.
                for _ in range(part.begin, part.end):
                    bits, words = draw(words)
                    player, bits = split(bits, players)
                    i, upto = np.int64(0), np.int64(0)
                    for k in range(n - 1):
                        upto += now[k]
                        i += np.int64(player >= upto)
                    u = share_of(bits)
                    j, near = _place(below, i, u, move * (switches - since[i]))
                    if near:
                        since[i] = switches - _apart(now, then[i])
                        j, near = _place(below, i, u, move * (switches - since[i]))
                    if near:
                        _earn(matrix, now, total)
                        fill_row(rule, mutation, matrix, players, now, i, total, below[i])
                        then[i], since[i] = now, switches
                        j, _ = _place(below, i, u, 0.0)
                    if i != j:
                        now[i] -= 1
                        now[j] += 1
                        switches += 1
            if (rule.together or part.end == players) and (sweep + 1) % every == 0:
                record[replica, (sweep + 1) // every] = now
        state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3] = words


@compiled
def _round(rule: Any, mutation: Any, matrix: Any, players: Any, now: Any, total: Any, below: Any, words: Any) -> Any:
    """Let all revise at once: a multinomial draw for the users of each strategy. Returns the generator after it."""
    n = now.size
    after = np.zeros(n, dtype=np.int64)
    _earn(matrix, now, total)
    for i in range(n):
        if now[i] == 0:
            continue
        fill_row(rule, mutation, matrix, players, now, i, total, below[i])
        left, share = now[i], 1.0
        for j in range(n - 1):
            chance = below[i, j] - (below[i, j - 1] if j > 0 else 0.0)
            went, words = successes(left, whole_threshold(chance / share if share > 0.0 else 0.0), words)
            after[j] += went
            left -= went
            share -= chance
        after[n - 1] += left
    now[:] = after
    return words


@compiled
def _earn(matrix: Any, now: Any, total: Any) -> None:
    """What each strategy earns from all players."""
    for k in range(now.size):
        total[k] = 0.0
        for j in range(now.size):
            total[k] += matrix[k, j] * now[j]


@compiled
def _apart(now: Any, then: Any) -> Any:
    """How many players have to switch between two compositions."""
    twice = np.int64(0)
    for k in range(now.size):
        twice += abs(now[k] - then[k])
    return (twice + 1) // 2


@compiled
def _place(below: Any, i: Any, u: Any, margin: Any) -> Any:
    """The strategy that ``u`` stands for in row i, and whether a row off by the margin could say another one."""
    j, near = np.int64(0), False
    for k in range(below.shape[1] - 1):
        j += np.int64(u >= below[i, k])
        near |= abs(u - below[i, k]) < margin
    return j, near


@compiled
def fill_row(rule: Any, mutation: Any, matrix: Any, players: Any, now: Any, i: Any, total: Any, row: Any) -> None:
    """Work out the accumulated row of strategy i: rule, mask, mutation."""
    n = now.size
    _law(rule, matrix, players, now, i, total, row, 1.0)
    if rule.keep < 1.0:
        seen = row.copy()
        if rule.blind:
            _law(rule, matrix, players, now, i, total, row, 0.0)
        else:
            row[:] = 0.0
            row[i] = 1.0
        for j in range(n):
            row[j] = rule.keep * seen[j] + (1.0 - rule.keep) * row[j]
    if rule.mutates and rule.offspring:
        before = row.copy()
        for j in range(n):
            row[j] = 0.0
            for k in range(n):
                row[j] += before[k] * mutation[k, j]
    elif rule.mutates:
        for j in range(n):
            row[j] = mutation[i, i] * row[j] + (mutation[i, j] if j != i else 0.0)
    for j in range(1, n):
        row[j] += row[j - 1]


@compiled
def _law(rule: Any, matrix: Any, players: Any, now: Any, i: Any, total: Any, row: Any, seen: Any) -> None:
    """Probabilities of the rule alone; with ``seen`` 0.0 in place of 1.0 every payoff is 0."""
    n = now.size
    scale = seen / (players - 1.0)
    if rule.kind == _LOGIT or rule.kind == _BEST:
        best = -np.inf
        for j in range(n):
            row[j] = scale * (total[j] - matrix[j, i])
            best = max(best, row[j])
        mass = 0.0
        for j in range(n):
            if rule.kind == _LOGIT:
                row[j] = np.exp((row[j] - best) * rule.strength)
            else:
                row[j] = 1.0 if row[j] >= best - rule.strength else 0.0
            mass += row[j]
        for j in range(n):
            row[j] /= mass
    elif rule.kind == _IMITATION or rule.kind == _REPLICATOR:
        mine = total[i] - matrix[i, i]
        moving = 0.0
        for j in range(n):
            if j == i:
                continue
            ahead = scale * (total[j] - matrix[j, j] - mine)
            if rule.kind == _IMITATION:
                copy = 1.0 / (1.0 + np.exp(-rule.strength * ahead))
            else:
                copy = min(max(0.0, ahead) * rule.strength, 1.0)
            row[j] = now[j] / (players - 1.0) * copy
            moving += row[j]
        row[i] = 1.0 - moving
    else:
        highest = -np.inf
        for j in range(n):
            if now[j] > 0:
                highest = max(highest, scale * (total[j] - matrix[j, j]))
        mass = 0.0
        for j in range(n):
            parents = now[j] - (1 if rule.kind == _DEATH_BIRTH and j == i else 0)
            row[j] = 0.0
            if parents > 0:
                payoff = scale * (total[j] - matrix[j, j])
                if rule.linear:
                    row[j] = parents * (1.0 - rule.strength + rule.strength * payoff)
                else:
                    row[j] = parents * np.exp(rule.strength * (payoff - highest))
            mass += row[j]
        for j in range(n):
            row[j] /= mass


@compiled
def whole_threshold(probability: Any) -> Any:
    """Integer t for which a 64-bit draw u < t has this probability."""
    scaled = probability * _TOP
    if scaled >= _TOP:
        return _U(2**64 - 1)
    return _U(scaled) if scaled > 0.0 else _U(0)
