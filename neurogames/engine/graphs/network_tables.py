"""What the compiled dynamics on networks look up: for each player a cell, and for each cell its chances and payoffs.

A player's level says which of its neighbours act, as far as that matters to it: with neighbours of equal weight their
number, with several weights w_1 < w_2 < ... the numbers for each weight, written as digits of one whole number. When
neighbour j switches, the level of i moves by the step of the edge i -> j, so nothing is ever summed again. Players with
equal costs, multipliers and neighbourhoods form a class and share a block of cells; a cell is twice the level, plus the
player's own action, within the block of its class.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine.choice import Imitation, Replicator
from neurogames.engine.population import generator
from neurogames.engine.process import KEEP, Process, Switching, switching
from neurogames.engine.schedules import progress_of
from neurogames.games.network import NetworkPublicGoodsGame
from neurogames.games.symmetric import SymmetricGame

_MOST_LEVELS = 2**24
_TABLE_ENTRIES = 2**20

Integers = NDArray[np.int64]


class Cells(NamedTuple):
    """Cells of a game, K levels in all.

    Attributes:
        block: (n,) where each player's block of levels begins.
        step: (edges,) by how much the acting neighbour of each edge raises its player's level.
        gain: (K,) what acting pays on top of resting at each level.
        resting: (K,) what resting pays.
    """

    block: Integers
    step: Integers
    gain: NDArray[np.float64]
    resting: NDArray[np.float64]


class Watchers(NamedTuple):
    """Who counts whom, the other way round: those who look at player j, and the steps by which j moves them."""

    first: Integers
    player: NDArray[np.int32]
    step: NDArray[np.int32]


def cells(game: NetworkPublicGoodsGame) -> Cells | None:
    """Cells of a game; None where neighbourhoods with many different weights need more than 2^24 levels.

    >>> import networkx as nx
    >>> table = cells(NetworkPublicGoodsGame(nx.path_graph(4), cost=0.5, multiplier=1.0))
    >>> table.block.tolist(), table.gain.round(3).tolist()
    ([0, 2, 2, 0], [0.0, 0.5, -0.167, 0.167, 0.5])
    """
    n, degree = game.n_players, np.diff(game.first)
    if game.weight.size == 0 or (game.weight == game.weight[0]).all():
        step = np.ones(game.weight.size, dtype=np.int64)
        rows = np.stack([game.cost, game.multiplier, degree], axis=1)
        _, unique, kind = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        kind, leader = kind.reshape(-1), unique.tolist()
        one = game.weight[:1] if game.weight.size else np.ones(1)
        digits = [(one, degree[i : i + 1]) for i in leader]
    else:
        step = np.empty(game.weight.size, dtype=np.int64)
        classes: dict[tuple[float, float, bytes, bytes], int] = {}
        kind, leader, digits = np.empty(n, dtype=np.int64), [], []
        for i in range(n):
            edges = slice(game.first[i], game.first[i + 1])
            values, digit, counts = np.unique(game.weight[edges], return_inverse=True, return_counts=True)
            radix = np.cumprod([1, *(counts[:-1] + 1.0)])
            if radix[-1] > _MOST_LEVELS:
                return None
            step[edges] = radix.astype(np.int64)[digit]
            signature = (float(game.cost[i]), float(game.multiplier[i]), values.tobytes(), counts.tobytes())
            if signature not in classes:
                classes[signature] = len(classes)
                leader.append(i)
                digits.append((values, counts))
            kind[i] = classes[signature]
    sizes = np.array([np.prod(counts + 1.0) for _, counts in digits])
    if sizes.sum() > _MOST_LEVELS:
        return None
    begin = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    acting = np.concatenate([_acting(*each) for each in digits])
    resting, gain = game.pays(acting, np.repeat(np.asarray(leader), np.diff(begin)))
    return Cells(begin[kind], step, gain, resting)


def watchers(game: NetworkPublicGoodsGame, step: Integers) -> Watchers:
    """The edges of a game sorted by whom they lead to."""
    order = np.argsort(game.neighbour, kind="stable")
    seen = np.bincount(game.neighbour, minlength=game.n_players)
    player = np.repeat(np.arange(game.n_players), np.diff(game.first))
    first = np.concatenate([[0], np.cumsum(seen)]).astype(np.int64)
    return Watchers(first, player[order].astype(np.int32), step[order].astype(np.int32))


def first_cells(game: NetworkPublicGoodsGame, table: Cells, profile: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(replicas, n) cells at time 0."""
    player = np.repeat(np.arange(game.n_players), np.diff(game.first))
    level = np.stack(
        [np.bincount(player, table.step * acts[game.neighbour], minlength=game.n_players) for acts in profile]
    )
    return (2 * (table.block + level.astype(np.int64)) + profile).astype(np.int32)


def model_thresholds(game: NetworkPublicGoodsGame) -> NDArray[np.uint64]:
    """(edges,) thresholds by which a draw picks a neighbour: the first one above it."""
    degree = np.diff(game.first)
    some = game.first[:-1][degree > 0]
    # Shares of each player's own total are summed, so that the weights of one do not round those of another away.
    total = np.add.reduceat(game.weight, some) if some.size else game.weight
    rising = np.cumsum(game.weight / np.repeat(total, degree[degree > 0]))
    before = np.repeat(np.concatenate([[0.0], rising])[some], degree[degree > 0])
    with np.errstate(divide="ignore"):  # a share that is rounded away is never drawn
        reach = generator.thresholds(np.log(np.minimum(rising - before, 1.0)))
    reach[game.first[1:][degree > 0] - 1] = np.uint64(2**64 - 1)
    return reach


def acceptance_tables(table: Cells, process: Process, sweeps: int) -> Iterator[tuple[int, int, NDArray[np.uint64]]]:
    """Yield (first sweep, sweeps, thresholds (1 or sweeps, 2 K) of acting next), in bounded memory.

    For rules that compare a player's own two actions: entry 2 l is for a resting player of level l, 2 l + 1 for one
    who acts.
    """
    # Such a rule answers each gain by itself, so the levels of all classes can pass as one long gain vector.
    # (A game has two players at least, hence the last one twice.)
    levels = SymmetricGame(*(np.append(vector, vector[-1]) for vector in (table.gain, table.resting)))
    for first, size, at in _pieces(process, sweeps, 2 * table.gain.size):
        rates: Switching = switching(levels, process, progress=at)
        acts = np.stack([rates.log_on[:, :-1], rates.log_not_off[:, :-1]], axis=-1)
        yield first, size, generator.thresholds(acts.reshape(at.size, -1))


def copying_tables(table: Cells, process: Process, sweeps: int) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
    """Yield (first sweep, sweeps, (1 or sweeps, 3)): keep probability, blind acceptance, strength of selection.

    For rules that copy. The strength multiplies what a model earns more: beta for imitation, 1 / (greatest payoff -
    least payoff) for the replicator rule.

    Raises:
        ValueError: if the rule is another one.
    """
    if not isinstance(process.choice, Imitation | Replicator):
        raise invalid_argument("process.choice", process.choice, "imitation or replicator, if it copies")
    payoff = np.concatenate([table.resting, table.resting + table.gain])
    spread = float(np.ptp(payoff))
    for first, size, at in _pieces(process, sweeps, 3):
        accept, decline = process.choice.logs(np.array([0.0, 1.0]), spread, at)
        keep = KEEP.at(process.keep_prob, at)
        blind = np.exp(accept[:, 0]) if process.masked == "blind" else np.zeros(at.size)
        if isinstance(process.choice, Replicator):
            strength = np.full(at.size, 1.0 / spread if spread > 0 else 0.0)
        else:
            strength = accept[:, 1] - decline[:, 1]  # the log odds of a unit difference
        yield first, size, np.stack([keep, (1.0 - keep) * blind, strength], axis=-1)


def _pieces(process: Process, sweeps: int, entries: int) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
    """Cut the sweeps into pieces whose tables fit into memory: first sweep, length, progress of each table."""
    length = max(sweeps, 1) if process.constant else max(1, _TABLE_ENTRIES // entries)
    for first in range(0, sweeps, length):
        size = min(length, sweeps - first)
        yield first, size, np.zeros(1) if process.constant else progress_of(sweeps)[first : first + size]


def _acting(weights: NDArray[np.float64], counts: Integers) -> NDArray[np.float64]:
    """Acting weight at each level of a class, the digit of the first weight changing fastest."""
    acting = np.zeros(1)
    for weight, count in zip(weights, counts, strict=True):
        acting = (acting + weight * np.arange(count + 1)[:, None]).reshape(-1)
    return acting
