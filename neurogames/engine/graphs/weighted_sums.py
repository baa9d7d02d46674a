"""Dynamics on networks whose weights are too many for tables: the acting weights are summed when they are needed.

The process is that of ``network_dynamics``. There the levels of all players are tabulated, which takes 2^k levels
around a player whose k weights all differ. Here one revision of all replicas at a time sums the weights of the acting
neighbours, in the order of the neighbours, and evaluates the game and the rule at them. Nothing is carried on, so
nothing drifts. When all revise at once, some players at a time are worked out, in bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.choice import Replicator
from neurogames.engine.graphs.network_tables import Cells, copying_tables
from neurogames.engine.process import Process, switching
from neurogames.engine.schedules import progress_of
from neurogames.games.network import NetworkPublicGoodsGame
from neurogames.games.symmetric import SymmetricGame

_AT_ONCE = 2**22
"""Neighbours looked at at once."""

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


class _Neighbours(NamedTuple):
    """Neighbours (n, D) of each player, filled up with weights of 0, and the running shares of their weights."""

    number: Integers
    weight: Floats
    reach: Floats


def simulate_sums(
    game: NetworkPublicGoodsGame,
    process: Process,
    profile: NDArray[np.bool_],
    record: Integers,
    every: int,
    sweeps: int,
    seeds: NDArray[np.uint64],
) -> None:
    """Advance replicas, in place.

    Args:
        game: the game.
        process: the process.
        profile: (replicas, n) who acts; changed to who acts at the end.
        record: (replicas, T) numbers of actors at times 0, every, ...; filled from the second column on.
        every: sweeps between two records.
        sweeps: how long.
        seeds: (replicas, words), one row for each replica.
    """
    replicas, n = profile.shape
    around = _neighbours(game)
    drawn = [np.random.default_rng(row.tolist()) for row in seeds]
    parameters = _copying(game, process, sweeps) if process.choice.copies else iter(())
    progress = progress_of(sweeps) if sweeps else np.zeros(0)
    together = process.revision == "all"
    some = max(1, _AT_ONCE // (replicas * around.number.shape[1])) if together else 1
    turns = [slice(k, k + some) for k in range(0, n, some)]
    for sweep in range(sweeps):
        how = next(parameters) if process.choice.copies else None
        if together:
            order = np.broadcast_to(np.arange(n), (replicas, n))
        else:
            order = np.stack([each.integers(n, size=n) for each in drawn])
        draws = np.stack([each.random((2, n)) for each in drawn])
        later = profile.copy() if together else profile
        for turn in turns:
            player = order[:, turn].reshape(-1)
            row = np.repeat(np.arange(replicas), player.size // replicas)
            first, second = (draws[:, k, turn].reshape(-1) for k in (0, 1))
            if how is None:
                acts = _answers(game, process, profile, around, row, player, first, float(progress[sweep]))
            else:
                acts = _copies(game, process, profile, around, row, player, (first, second), how)
            later[row, player] = acts
        profile[:] = later
        if (sweep + 1) % every == 0:
            record[:, (sweep + 1) // every] = profile.sum(axis=1)


def _neighbours(game: NetworkPublicGoodsGame) -> _Neighbours:
    """The neighbours of a game in rows of one length."""
    degree = np.diff(game.first)
    number = np.zeros((game.n_players, max(int(degree.max()), 1)), dtype=np.int64)
    weight = np.zeros(number.shape)
    place = np.arange(number.shape[1]) < degree[:, None]
    number[place], weight[place] = game.neighbour, game.weight
    total = weight.sum(axis=1, keepdims=True)
    reach = np.cumsum(weight / np.where(total > 0, total, 1.0), axis=1)
    reach[np.arange(len(reach)), np.maximum(degree - 1, 0)] = np.where(degree > 0, 1.0, 0.0)
    return _Neighbours(number, weight, reach)


def _paid(
    game: NetworkPublicGoodsGame, profile: NDArray[np.bool_], around: _Neighbours, row: Integers, player: Integers
) -> tuple[Floats, Floats]:
    """What resting pays some players of some replicas, and what acting pays on top of it."""
    acting = (around.weight[player] * profile[row[:, None], around.number[player]]).sum(axis=1)
    return game.pays(acting, player)


def _answers(
    game: NetworkPublicGoodsGame,
    process: Process,
    profile: NDArray[np.bool_],
    around: _Neighbours,
    row: Integers,
    player: Integers,
    draw: Floats,
    progress: float,
) -> NDArray[np.bool_]:
    """What players do next who compare their own two actions."""
    resting, gain = _paid(game, profile, around, row, player)
    # As in the tables: the gains pass as one long gain vector; a game has two players at least, hence the last twice.
    rates = switching(
        SymmetricGame(np.append(gain, gain[-1]), np.append(resting, resting[-1])), process, progress=progress
    )
    log_acting = np.where(profile[row, player], rates.log_not_off[:-1], rates.log_on[:-1])
    return np.asarray(draw < np.exp(log_acting))


def _copies(
    game: NetworkPublicGoodsGame,
    process: Process,
    profile: NDArray[np.bool_],
    around: _Neighbours,
    row: Integers,
    player: Integers,
    draws: tuple[Floats, Floats],
    how: Floats,
) -> NDArray[np.bool_]:
    """What players do next who copy a neighbour."""
    keep, blind, strength = how
    place = (around.reach[player] <= draws[0][:, None]).sum(axis=1)
    model = around.number[player, np.minimum(place, around.number.shape[1] - 1)]
    mine, theirs = profile[row, player], profile[row, model]
    payoff = []
    for who, acts in ((player, mine), (model, theirs)):
        resting, gain = _paid(game, profile, around, row, who)
        payoff.append(resting + acts * gain)
    ahead = strength * (payoff[1] - payoff[0])
    with np.errstate(over="ignore"):
        seen = np.maximum(ahead, 0.0) if isinstance(process.choice, Replicator) else 1.0 / (1.0 + np.exp(-ahead))
    lonely = around.weight[player].sum(axis=1) == 0
    copied = (draws[1] < keep * seen + blind) & ~lonely
    return np.where(copied, theirs, mine)


def _copying(game: NetworkPublicGoodsGame, process: Process, sweeps: int) -> Iterator[Floats]:
    """Keep probability, blind acceptance and strength of selection of each sweep."""
    # Production rises with the share that acts, so payoffs are extreme where all neighbours rest or all act.
    n = game.n_players
    ends = np.concatenate([np.zeros(n), game.size - 1.0])
    resting, gain = game.pays(ends, np.tile(np.arange(n), 2))
    nothing = np.zeros(0, dtype=np.int64)
    for _, length, parameters in copying_tables(Cells(nothing, nothing, gain, resting), process, sweeps):
        for k in range(length):
            yield parameters[k if len(parameters) > 1 else 0]
