"""The first view: two populations, simulated by their compositions.

One revision picks one of all N + M players at random. The row of a strategy holds what its users do; it is worked out
when it is first needed after a change. A sweep is N + M revisions, or one round of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import fits_in_memory, given_array, integer, invalid_argument
from neurogames.engine.compiled import compiled
from neurogames.engine.pieces import Stretch, play_in_pieces
from neurogames.engine.population import generator
from neurogames.engine.population.generator import successes, uniform, unit
from neurogames.engine.strategies.large_populations import fill_row, rule_numbers, whole_threshold
from neurogames.engine.strategies.switching import mutation_matrix
from neurogames.engine.two_populations.results import TwoPopulationTrajectory
from neurogames.engine.two_populations.switching import Processes, check_two_populations, payoff_range
from neurogames.games.two_populations import TwoPopulationGame

_PIECE = 2**22
"""Revisions between two looks for Ctrl-C."""


def simulate_two_populations(
    game: TwoPopulationGame,
    process: Processes,
    *,
    start: Sequence[ArrayLike],
    sweeps: int,
    replicas: int = 1,
    rng: np.random.Generator,
    every: int = 1,
) -> TwoPopulationTrajectory:
    """Simulate replicas of two populations whose players revise their strategies.

    Args:
        game: the game.
        process: the process with constant parameters, or one for each population.
        start: (n,) and (m,) compositions at time 0.
        sweeps: how long, in sweeps (N + M single revisions, or one round of all).
        replicas: number of independent pairs of populations.
        rng: source of the replicas' seeds; a replica's path does not depend on how many others there are.
        every: sweeps between two records.

    Returns:
        The compositions at times 0, every, 2 every, ... up to ``sweeps``.

    Raises:
        ValueError: if a count or a start is out of range, or the process does not fit the game.

    >>> from neurogames.engine import Process, logit
    >>> game = TwoPopulationGame([[2, 0], [0, 1]], [[1, 0], [0, 2]], (40, 60))
    >>> start, rng = ([40, 0], [60, 0]), np.random.default_rng(0)
    >>> path = simulate_two_populations(game, Process(logit(0.2)), start=start, sweeps=50, replicas=9, rng=rng)
    >>> path.count[1].shape, bool((path.share[0][:, -1, 0] > 0.9).all())
    ((9, 51, 2), True)

    Reference: L. Samuelson and J. Zhang, Evolutionary stability in asymmetric games, Journal of Economic Theory 57
    (1992), for the large-population limit.
    """
    pair = check_two_populations(game, process)
    replicas = integer("replicas", replicas, minimum=1)
    sweeps = integer("sweeps", sweeps, minimum=0)
    every = integer("every", every, minimum=1)
    sizes, (n, m) = game.n_players, game.n_strategies
    fits_in_memory("replicas, sweeps", (replicas, sweeps), replicas * (n + m) * (sweeps // every + 1))
    begin = check_pair(game, start)
    time = np.arange(0, sweeps + 1, every)
    records = tuple(np.empty((replicas, time.size, width), dtype=np.int64) for width in (n, m))
    now = tuple(np.repeat(count[None], replicas, axis=0) for count in begin)
    for record, count in zip(records, now, strict=True):
        record[:, 0] = count
    # A row is worked out as in one population that plays no matrix against itself.
    matrices = tuple(np.array(each, order="C") for each in (game.first, game.second.T))
    rules = tuple(rule_numbers(payoff_range(game, place), each) for place, each in enumerate(pair))
    mutations = tuple(mutation_matrix(each, width) for each, width in zip(pair, (n, m), strict=True))
    nothing = tuple(np.zeros((width, width)) for width in (n, m))
    state = generator.states(replicas, rng)
    earned = np.zeros((replicas, 2, max(n, m)))

    def advance(rows: slice, part: Stretch) -> None:
        counts, written = (now[0][rows], now[1][rows]), (records[0][rows], records[1][rows])
        _play(rules, mutations, matrices, nothing, sizes, counts, earned[rows], state[rows], part, every, written)

    turns = 1 if rules[0].together else sum(sizes)
    play_in_pieces(advance, replicas, sweeps, turns, max(1, _PIECE * turns // sum(sizes)))
    return TwoPopulationTrajectory(time.astype(np.float64), (records[0], records[1]), game)


def check_pair(game: TwoPopulationGame, start: Sequence[ArrayLike]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two compositions as fresh arrays, or their refusal."""
    n, m = game.n_strategies
    expected = f"compositions of {game.n_players[0]} and {game.n_players[1]} players: {n} and {m} whole numbers >= 0"
    if not isinstance(start, tuple | list) or len(start) != 2:
        raise invalid_argument("start", start, expected)
    found = []
    for count, size, width in zip(start, game.n_players, (n, m), strict=True):
        given = given_array("start", count)
        if given.dtype.kind not in "iu" or given.shape != (width,) or (given < 0).any() or given.sum() != size:
            raise invalid_argument("start", start, expected)
        found.append(np.array(given, dtype=np.int64))
    return found[0], found[1]


@compiled
def _play(
    rules: Any,
    mutations: Any,
    matrices: Any,
    nothing: Any,
    sizes: Any,
    counts: Any,
    earned: Any,
    state: Any,
    part: Any,
    every: Any,
    records: Any,
) -> None:
    """Advance replicas one after another; what strategies earn is kept in ``earned`` from piece to piece."""
    n, m = counts[0].shape[1], counts[1].shape[1]
    widest = max(n, m)
    below = np.empty((2, widest, widest))
    known = np.zeros((2, widest), dtype=np.bool_)
    after = np.zeros((2, widest), dtype=np.int64)
    everybody = sizes[0] + sizes[1]
    for replica in range(counts[0].shape[0]):
        words = (state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3])
        now, total = (counts[0][replica], counts[1][replica]), earned[replica]
        for sweep in range(part.first, part.first + part.sweeps):
            # What each strategy earns is followed by sums, and anew in each sweep.
            if part.begin == 0:
                _earn(matrices, sizes, now, total)
            known[:] = False
            if rules[0].together:
                after[:] = 0
                for p in range(2):
                    for i in range(now[p].size):
                        if now[p][i] == 0:
                            continue
                        _fill(rules, mutations, nothing, sizes, now, total, p, i, below)
                        left, share = now[p][i], 1.0
                        for j in range(now[p].size - 1):
                            chance = below[p, i, j] - (below[p, i, j - 1] if j > 0 else 0.0)
                            limit = whole_threshold(chance / share if share > 0.0 else 0.0)
                            went, words = successes(left, limit, words)
                            after[p, j] += went
                            left -= went
                            share -= chance
                        after[p, now[p].size - 1] += left
                for p in range(2):
                    for i in range(now[p].size):
                        now[p][i] = after[p, i]
            else:
                for _ in range(part.begin, part.end):
                    player, words = uniform(everybody, words)
                    p = 0 if player < sizes[0] else 1
                    player -= sizes[0] if p == 1 else 0
                    i = 0
                    while player >= now[p][i]:
                        player -= now[p][i]
                        i += 1
                    if not known[p, i]:
                        _fill(rules, mutations, nothing, sizes, now, total, p, i, below)
                        known[p, i] = True
                    u, words = unit(words)
                    j = 0
                    while j < now[p].size - 1 and u >= below[p, i, j]:
                        j += 1
                    if j != i:
                        now[p][i] -= 1
                        now[p][j] += 1
                        scale = (sizes[1 - p] - 1.0) / sizes[p]
                        for k in range(now[1 - p].size):
                            total[1 - p, k] += scale * (matrices[1 - p][k, j] - matrices[1 - p][k, i])
                        known[:] = False
            if (rules[0].together or part.end == everybody) and (sweep + 1) % every == 0:
                for p in range(2):
                    records[p][replica, (sweep + 1) // every] = now[p]
        state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3] = words


@compiled
def _earn(matrices: Any, sizes: Any, now: Any, total: Any) -> None:
    """Payoffs of all strategies, times the number of others in their own population, which a row divides by."""
    for p in range(2):
        pays = matrices[p] @ now[1 - p].astype(np.float64)
        for k in range(pays.size):
            total[p, k] = pays[k] * (sizes[p] - 1.0) / sizes[1 - p]


@compiled
def _fill(
    rules: Any, mutations: Any, nothing: Any, sizes: Any, now: Any, total: Any, p: Any, i: Any, below: Any
) -> None:
    """Work out what a user of i in population p does; payoffs have the rounding of sums, so near ties are ties."""
    n = now[p].size
    fill_row(rules[p], mutations[p], nothing[p], sizes[p], now[p], i, total[p, :n], below[p, i, :n])
