"""Agents who revise on a network, simulated.

The process is that of :mod:`neurogames.engine.process`. One revision under "one" picks a player at random; under "all"
everybody revises at once, from what all did before. Rules that compare a player's own two actions cost one 64-bit draw
u: with n players, the high word of u n is the player and the low word, uniform to n 2^-64, is set against a tabulated
threshold (``network_tables``). Rules that copy draw a model among the player's neighbours, in
proportion to their weights, and compare what the two earn, each in its own group, by a second draw (of 53 bits); who
has no neighbour copies nobody.
Only a player who switches costs more: each of those who look at it moves by one step. Where neighbourhoods have so many
different weights that the tables would not fit, weights are summed instead (``weighted_sums``), which is slower.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import fits_in_memory, given_array, integer, invalid_argument
from neurogames.engine.choice import Replicator
from neurogames.engine.compiled import compiled
from neurogames.engine.display.paths import plot_paths
from neurogames.engine.display.tables import actor_paths_dataset, tidy
from neurogames.engine.graphs.network_tables import (
    acceptance_tables,
    cells,
    copying_tables,
    first_cells,
    model_thresholds,
    watchers,
)
from neurogames.engine.graphs.weighted_sums import simulate_sums
from neurogames.engine.pieces import Stretch, play_in_pieces
from neurogames.engine.population import generator
from neurogames.engine.population.generator import draw, split
from neurogames.engine.process import Process, check_two_actions
from neurogames.games.network import NetworkPublicGoodsGame

_U = np.uint64
_UNIT = 2.0**-53
_PIECE = 2**26
"""Neighbours moved between two looks for Ctrl-C, if all who revise switch."""


@dataclass(frozen=True, eq=False)
class NetworkTrajectory:
    """Paths of a simulation on a network.

    Attributes:
        time: (T,) in sweeps; the first entry is 0.
        count: (replicas, T) number of actors.
        profile: (replicas, n) who acts at the end.
    """

    time: NDArray[np.float64]
    count: NDArray[np.int64]
    profile: NDArray[np.bool_]

    @property
    def share(self) -> NDArray[np.float64]:
        """(replicas, T) share of actors."""
        return np.asarray(self.count / self.profile.shape[-1])

    def plot(self, axis: Any = None) -> Any:
        """Draw the mean share of actors over time, with the band of most replicas.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.
        """
        return plot_paths(axis, self.time, self.share[..., None], ("acting",), "share acting")

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of counts and shares over replica and time, and of who acts at the end."""
        paths = actor_paths_dataset(self.time, self.count, self.share)
        return paths.assign(profile=(("replica", "player"), self.profile))

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` of counts and shares with one row for each replica and time."""
        return tidy(actor_paths_dataset(self.time, self.count, self.share))

    def __repr__(self) -> str:
        replicas, players = self.profile.shape
        acting = f"share acting at the end {self.share[:, -1].mean():.3g}"
        return f"NetworkTrajectory({replicas} replicas of {players} players up to sweep {self.time[-1]:g}; {acting})"


def simulate_network(
    game: NetworkPublicGoodsGame,
    process: Process,
    *,
    start: ArrayLike,
    sweeps: int,
    replicas: int = 1,
    rng: np.random.Generator,
    every: int = 1,
) -> NetworkTrajectory:
    """Simulate replicas of a network whose players revise their actions.

    Args:
        game: the game, of fewer than 2^31 players.
        process: the process; schedules are evaluated at progress s / sweeps in sweep s = 0, 1, ...
        start: (n,) or (replicas, n) booleans, who acts at time 0.
        sweeps: how long, in sweeps (n single revisions, or one round of all).
        replicas: number of independent populations.
        rng: source of the replicas' seeds; a replica's path does not depend on how many others there are.
        every: sweeps between two records.

    Returns:
        The counts at times 0, every, 2 every, ... up to ``sweeps``, and the profiles at time ``sweeps``.

    Raises:
        ValueError: if a count, a start or a schedule is out of range, or if a rule copies that is neither imitation nor
            replicator.

    >>> import networkx as nx
    >>> from neurogames import logit
    >>> game = NetworkPublicGoodsGame(nx.random_regular_graph(4, 100, seed=0), cost=0.4, multiplier=1.0)
    >>> rng = np.random.default_rng(0)
    >>> path = simulate_network(game, Process(logit(0.08)), start=np.zeros(100, bool), sweeps=500, replicas=4, rng=rng)
    >>> path.count.shape, path.profile.shape, bool(path.share[:, -1].min() > 0.9)
    ((4, 501), (4, 100), True)
    """
    if not isinstance(process, Process):
        raise invalid_argument("process", process, "a Process such as Process(logit(0.1))")
    if not isinstance(game, NetworkPublicGoodsGame):
        raise invalid_argument("game", game, "a NetworkPublicGoodsGame; for a well-mixed one see simulate")
    check_two_actions(process)
    n = game.n_players
    replicas = integer("replicas", replicas, minimum=1)
    sweeps = integer("sweeps", sweeps, minimum=0)
    every = integer("every", every, minimum=1)
    fits_in_memory("replicas, sweeps", (replicas, sweeps), replicas * max(n, sweeps // every + 1))
    profile = _starts(start, replicas, n)
    table = cells(game)
    count = profile.sum(axis=1)
    time = np.arange(0, sweeps + 1, every)
    record = np.empty((replicas, time.size), dtype=np.int64)
    record[:, 0] = count
    state = generator.states(replicas, rng)
    if table is None:
        simulate_sums(game, process, profile, record, every, sweeps, state)
        return NetworkTrajectory(time.astype(np.float64), record, profile)
    seen = watchers(game, table.step)
    cell = first_cells(game, table, profile)
    together = process.revision == "all"  # then each chooses in one turn and does it in another one
    later = np.empty(n if together else 0, dtype=np.int8)  # what all do next, kept from piece to piece
    work = 4 + game.neighbour.size // n
    by_sweep: Iterator[tuple[int, int, Any]]
    if process.choice.copies:
        payoff = np.stack([table.resting, table.resting + table.gain], axis=-1).reshape(-1)
        models = game.first, game.neighbour, model_thresholds(game)
        in_proportion = isinstance(process.choice, Replicator)
        by_sweep = copying_tables(table, process, sweeps)
    else:
        by_sweep = acceptance_tables(table, process, sweeps)
    for first, length, tables in by_sweep:

        def advance(rows: slice, part: Stretch, first: int = first, tables: Any = tables) -> None:
            some = tables[part.first : part.first + part.sweeps] if len(tables) > 1 else tables
            where = part._replace(first=first + part.first), every, record[rows]
            given = cell[rows], count[rows], state[rows], seen, later, where
            if process.choice.copies:
                _copy(some, payoff, in_proportion, models, *given)
            else:
                _compare(some, *given)

        play_in_pieces(advance, replicas, length, 2 * n if together else n, max(1, _PIECE // work))
    return NetworkTrajectory(time.astype(np.float64), record, (cell & 1).astype(np.bool_))


def _starts(start: ArrayLike, replicas: int, n: int) -> NDArray[np.bool_]:
    """A fresh array of the replicas' first profiles."""
    given = given_array("start", start)
    if given.dtype != np.bool_ or given.shape not in ((n,), (replicas, n)):
        got = f"{given.dtype} of shape {given.shape}"
        raise invalid_argument("start", got, f"booleans of shape ({n},) or ({replicas}, {n})")
    return np.array(np.broadcast_to(given, (replicas, n)))


@compiled
def _switch(cell: Any, i: Any, seen: Any) -> Any:
    """Let a player switch, and move those who look at it; +1 if it acts now, else -1."""
    first, player, step = seen
    direction = np.int32(1) - np.int32(2) * (cell[i] & np.int32(1))
    cell[i] += direction
    for edge in range(first[i], first[i + 1]):
        cell[player[edge]] += np.int32(2) * direction * step[edge]
    return direction


@compiled
def _switch_all(cell: Any, later: Any, seen: Any, part: Any) -> Any:
    """Let players do what they have chosen, in the second half of a round's turns; by how many more act then."""
    more, n = 0, cell.size
    for i in range(max(part.begin - n, 0), part.end - n):
        if later[i] != (cell[i] & 1):
            more += _switch(cell, i, seen)
    return more


@compiled
def _compare(tables: Any, cell: Any, count: Any, state: Any, seen: Any, later: Any, where: Any) -> None:
    """Advance all replicas by some sweeps of a rule that compares a player's own actions."""
    part, every, record = where
    n, together = cell.shape[1], later.size > 0
    turns = 2 * n if together else n
    for replica in range(count.size):
        words = (state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3])
        mine, actors = cell[replica], count[replica]
        for sweep in range(part.sweeps):
            table = tables[sweep if tables.shape[0] > 1 else 0]
            for turn in range(part.begin, min(part.end, n)):
                bits, words = draw(words)
                i = turn
                if not together:
                    i, bits = split(bits, n)
                here = mine[i]
                acts = bits < table[here]
                if together:
                    later[i] = acts
                elif acts != (here & 1):
                    actors += _switch(mine, i, seen)
            actors += _switch_all(mine, later, seen, part)
            if part.end == turns and (part.first + sweep + 1) % every == 0:
                record[replica, (part.first + sweep + 1) // every] = actors
        count[replica] = actors
        state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3] = words


@compiled
def _copy(
    parameters: Any,
    payoff: Any,
    in_proportion: bool,
    models: Any,
    cell: Any,
    count: Any,
    state: Any,
    seen: Any,
    later: Any,
    where: Any,
) -> None:
    """Advance all replicas by some sweeps of a rule that copies a neighbour."""
    part, every, record = where
    start, neighbour, reach = models
    n, together = cell.shape[1], later.size > 0
    turns = 2 * n if together else n
    for replica in range(count.size):
        words = (state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3])
        mine, actors = cell[replica], count[replica]
        for sweep in range(part.sweeps):
            keep, blind, strength = parameters[sweep if parameters.shape[0] > 1 else 0]
            for turn in range(part.begin, min(part.end, n)):
                bits, words = draw(words)
                i = turn
                if not together:
                    i, bits = split(bits, n)
                if together:
                    later[i] = mine[i] & 1
                low, high = start[i], start[i + 1] - 1
                if high < low:
                    continue
                while low < high:
                    middle = (low + high) // 2
                    if bits < reach[middle]:
                        high = middle
                    else:
                        low = middle + 1
                here, there = mine[i], mine[neighbour[low]]
                if (here ^ there) & 1 == 0:
                    continue
                ahead = strength * (payoff[there] - payoff[here])
                seen_part = max(ahead, 0.0) if in_proportion else 1.0 / (1.0 + np.exp(-ahead))
                bits, words = draw(words)
                if (bits >> _U(11)) * _UNIT < keep * seen_part + blind:
                    if together:
                        later[i] ^= 1
                    else:
                        actors += _switch(mine, i, seen)
            actors += _switch_all(mine, later, seen, part)
            if part.end == turns and (part.first + sweep + 1) % every == 0:
                record[replica, (part.first + sweep + 1) // every] = actors
        count[replica] = actors
        state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3] = words
