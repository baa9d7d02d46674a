"""The first view: players of a polymatrix game who revise, simulated.

A revising player compares what its own strategies would earn against its neighbours (logit, best response). Players of
a polymatrix game have payoffs and strategies of their own, so that there is nothing to copy from one another.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import fits_in_memory, given_array, integer, invalid_argument
from neurogames.engine.choice import SAME, BestResponse, Logit
from neurogames.engine.compiled import compiled
from neurogames.engine.graphs.draws import chosen
from neurogames.engine.graphs.graph_matrix import GraphTrajectory
from neurogames.engine.pieces import Stretch, play_in_pieces
from neurogames.engine.population import generator
from neurogames.engine.population.generator import uniform, unit
from neurogames.engine.process import Process
from neurogames.games.polymatrix import PolymatrixGame

_PIECE = 2**24
"""Payoffs looked up between two looks for Ctrl-C."""


def check_polymatrix(game: PolymatrixGame, process: Process) -> None:
    """Refuse another game, and a process that is not meant for it.

    Raises:
        ValueError: for rules that copy, schedules, or a mutation matrix.
    """
    if not isinstance(game, PolymatrixGame):
        raise invalid_argument("game", type(game).__name__, "a PolymatrixGame")
    if not isinstance(process, Process):
        raise invalid_argument("process", process, "a Process such as Process(logit(0.1))")
    if not isinstance(process.choice, Logit | BestResponse):
        expected = "logit or best_response: players have strategies of their own; to copy, see simulate_on_graph"
        raise invalid_argument("process", process.choice, expected)
    if not process.constant or isinstance(process.mutation, tuple):
        raise invalid_argument("process", "schedules or a mutation matrix", "constant parameters and a mutation rate")


def simulate_polymatrix(
    game: PolymatrixGame,
    process: Process,
    *,
    start: ArrayLike,
    sweeps: int,
    replicas: int = 1,
    rng: np.random.Generator,
    every: int = 1,
) -> GraphTrajectory:
    """Simulate replicas of the players of a polymatrix game, who revise their strategies.

    Args:
        game: the game.
        process: logit or best response with constant parameters; a mutation rate is spread over the player's other
            strategies.
        start: (m,) or (replicas, m) strategy of each player at time 0.
        sweeps: how long, in sweeps (m single revisions, or one round of all).
        replicas: number of independent copies of all players.
        rng: source of the replicas' seeds; a replica's path does not depend on how many others there are.
        every: sweeps between two records.

    Returns:
        How many players use their first, second, ... strategy at times 0, every, ..., and the profile at the end.

    Raises:
        ValueError: if a count or a start is out of range, or the process does not fit.

    >>> import networkx as nx
    >>> from neurogames.engine import logit
    >>> graph = nx.cycle_graph(8)
    >>> nx.set_edge_attributes(graph, [[1.0, 0.0], [0.0, 2.0]], "payoffs")
    >>> start, rng = np.zeros(8, dtype=int), np.random.default_rng(0)
    >>> game, process = PolymatrixGame(graph), Process(logit(0.5))
    >>> path = simulate_polymatrix(game, process, start=start, sweeps=400, replicas=20, rng=rng)
    >>> bool(path.strategies.mean() > 0.8)
    True
    """
    check_polymatrix(game, process)
    replicas = integer("replicas", replicas, minimum=1)
    sweeps = integer("sweeps", sweeps, minimum=0)
    every = integer("every", every, minimum=1)
    widest = int(game.n_strategies.max())
    size = replicas * max(game.n_players, widest * (sweeps // every + 1))
    fits_in_memory("replicas, sweeps", (replicas, sweeps), size)
    profiles = check_profiles(game, start, (replicas,))
    time = np.arange(0, sweeps + 1, every)
    record = np.empty((replicas, time.size, widest), dtype=np.int64)
    record[:, 0] = [np.bincount(row, minlength=widest) for row in profiles]
    logit = isinstance(process.choice, Logit)
    rounding = SAME * float(np.abs(game.table).max(initial=0.0))
    strength = 1.0 / cast(float, cast(Logit, process.choice).temperature) if logit else rounding
    keep, blind = float(cast(float, process.keep_prob)), process.masked == "blind"
    rule = (logit, strength, keep, blind, float(cast(float, process.mutation)), process.revision == "all")
    edges = (game.n_strategies, game.first, game.neighbour, game.offset, game.table)
    state = generator.states(replicas, rng)

    later = np.empty(game.n_players if process.revision == "all" else 0, dtype=np.int64)

    def advance(row: slice, part: Stretch) -> None:
        _play(rule, edges, profiles[row], later, state[row], part, every, record[row])

    work = 1 + game.neighbour.size * widest // game.n_players
    play_in_pieces(advance, replicas, sweeps, game.n_players, max(1, _PIECE // work))
    labels = game.labels[int(game.n_strategies.argmax())]
    common = labels if len(set(game.labels)) == 1 else tuple(str(k + 1) for k in range(widest))
    return GraphTrajectory(time.astype(np.float64), record, profiles.astype(np.int8), common)


def check_profiles(game: PolymatrixGame, start: ArrayLike, batch: tuple[int, ...]) -> NDArray[np.int64]:
    """Profiles as a fresh array of shape (*batch, m), or their refusal."""
    given, m = given_array("start", start), game.n_players
    if given.dtype.kind not in "iu" or given.shape not in ((m,), (*batch, m)):
        raise invalid_argument("start", f"{given.dtype} of shape {given.shape}", f"whole numbers of shape ({m},)")
    if (given < 0).any() or (given >= game.n_strategies).any():
        raise invalid_argument("start", f"numbers from {given.min()} to {given.max()}", "a strategy of each player")
    return np.array(np.broadcast_to(given, (*batch, m)), dtype=np.int64)


@compiled
def _play(rule: Any, edges: Any, profiles: Any, later: Any, state: Any, part: Any, every: Any, record: Any) -> None:
    """Advance replicas, one after another; ``later`` (m,) keeps what all do next from piece to piece."""
    together, (sizes, _, _, _, _) = rule[5], edges
    players = sizes.size
    offer = np.empty(sizes.max())
    for replica in range(profiles.shape[0]):
        words = (state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3])
        s = profiles[replica]
        for sweep in range(part.first, part.first + part.sweeps):
            for turn in range(part.begin, part.end):
                player = np.int64(turn)
                if not together:
                    player, words = uniform(players, words)
                new, words = _revised(rule, edges, s, player, offer, words)
                if together:
                    later[player] = new
                else:
                    s[player] = new
            if part.end < players:
                continue
            if together:
                s[:] = later
            if (sweep + 1) % every == 0:
                count = record[replica, (sweep + 1) // every]
                count[:] = 0
                for i in range(players):
                    count[s[i]] += 1
        state[replica, 0], state[replica, 1], state[replica, 2], state[replica, 3] = words


@compiled
def _revised(rule: Any, edges: Any, s: Any, i: Any, offer: Any, words: Any) -> Any:
    """Next strategy of player i, and the generator after it."""
    logit, strength, keep, blind, mutation, _ = rule
    sizes, first, neighbour, offset, table = edges
    n = sizes[i]
    if mutation > 0.0 and n > 1:
        u, words = unit(words)
        if u < mutation:
            other = np.int64(u / mutation * (n - 1))
            return (other if other < s[i] else other + 1), words
    seen = 1.0
    if keep < 1.0:
        u, words = unit(words)
        if u >= keep:
            if not blind:
                return s[i], words
            seen = 0.0
    offer[:n] = 0.0
    for edge in range(first[i], first[i + 1]):
        j = neighbour[edge]
        for k in range(n):
            offer[k] += table[offset[edge] + k * sizes[j] + s[j]]
    own = offer[:n]
    own *= seen
    u, words = unit(words)
    return chosen(own, logit, strength if logit else strength * (first[i + 1] - first[i]), u), words
