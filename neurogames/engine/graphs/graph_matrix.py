"""Agents with n strategies on any graph, simulated.

The process is that of :mod:`neurogames.engine.strategies`, seen locally. A revising player

- under logit or best response compares what its own strategies would earn against its neighbours;
- under imitation or replicator draws a neighbour, in proportion to the weights, and compares what the two earn;
- under ``death_birth`` is replaced by offspring of a neighbour, drawn in proportion to weight times fitness.

Under ``moran`` a parent is drawn from all in proportion to fitness, and its offspring replaces one of those who look
at it, drawn in proportion to their weights. On the complete graph all but this one are the well-mixed processes;
Moran's differs in that nobody is replaced by offspring of its own. Who has no neighbour copies nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import fits_in_memory, given_array, integer, invalid_argument
from neurogames.engine.choice import SAME, BestResponse, Imitation, Logit, Replicator
from neurogames.engine.display.graphs import OnGraph
from neurogames.engine.display.paths import plot_paths
from neurogames.engine.display.tables import paths_dataset, shares_in_words, tidy
from neurogames.engine.graphs import agents, compiled_rule
from neurogames.engine.graphs.compiled_rule import Rule, earnings_of, room_of, turns_of
from neurogames.engine.graphs.edges import Edges, looked_at, watchers
from neurogames.engine.graphs.neighbour_counts import cell_type, cells, fill, play_cells
from neurogames.engine.pieces import Stretch, play_in_pieces
from neurogames.engine.population import generator
from neurogames.engine.process import Process
from neurogames.engine.strategies.reproduction import Reproduction
from neurogames.engine.strategies.switching import check_process, mutation_matrix
from neurogames.games.graph_game import GraphGame

_PIECE = 2**23
"""Neighbours looked at between two looks for Ctrl-C, less than a second of the slowest loop."""

_NEAR = np.log(2.0)
"""Logarithms of fitness that differ by less are bounded by the greatest: at least every second parent is accepted."""


@dataclass(frozen=True, eq=False)
class GraphTrajectory(OnGraph):
    """Paths of a simulation on a graph.

    Attributes:
        time: (T,) in sweeps; the first entry is 0.
        count: (replicas, T, n) number of players who use each strategy.
        strategies: (replicas, m) what each player uses at the end.
        labels: n names of the strategies.
    """

    time: NDArray[np.float64]
    count: NDArray[np.int64]
    strategies: NDArray[np.int8]
    labels: tuple[str, ...]

    @property
    def share(self) -> NDArray[np.float64]:
        """(replicas, T, n) share of each strategy."""
        return np.asarray(self.count / self.strategies.shape[-1])

    def plot(self, axis: Any = None) -> Any:
        """Draw the mean share of each strategy over time, with the band of most replicas.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.
        """
        return plot_paths(axis, self.time, self.share, self.labels)

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of counts and shares by replica, time and strategy; strategies at the end."""
        paths = paths_dataset(self.time, self.count, self.share, self.labels)
        return paths.assign(strategies=(("replica", "player"), self.strategies))

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` of counts and shares with one row for each replica, time and strategy."""
        return tidy(paths_dataset(self.time, self.count, self.share, self.labels))

    def __repr__(self) -> str:
        replicas, players = self.strategies.shape
        what = f"{replicas} replicas of {players} players up to sweep {self.time[-1]:g}"
        return f"GraphTrajectory({what}; at the end {shares_in_words(self.labels, self.share[:, -1].mean(axis=0))})"


def simulate_on_graph(
    game: GraphGame,
    process: Process,
    *,
    start: ArrayLike,
    sweeps: int,
    replicas: int = 1,
    rng: np.random.Generator,
    every: int = 1,
    threads: int = 1,
) -> GraphTrajectory:
    """Simulate replicas of players on a graph who revise their strategies.

    Args:
        game: the game.
        process: the process, with constant parameters.
        start: (m,) or (replicas, m) whole numbers in 0..n-1, what each player uses at time 0.
        sweeps: how long, in sweeps (m single revisions, or one round of all).
        replicas: number of independent populations.
        rng: source of the replicas' seeds; a replica's path does not depend on how many others there are.
        every: sweeps between two records.
        threads: number of threads that share the replicas; the paths do not depend on it.

    Returns:
        The counts at times 0, every, 2 every, ... up to ``sweeps``, and the strategies at time ``sweeps``.

    Raises:
        ValueError: if a count or a start is out of range, the process has schedules or does not fit the game, or all
            are to be replaced at once by ``moran``, which has no meaning on a graph.

    >>> import networkx as nx
    >>> from neurogames.engine import imitation
    >>> game = GraphGame([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], nx.grid_2d_graph(10, 10, periodic=True))
    >>> start, rng = np.arange(100) % 3, np.random.default_rng(0)
    >>> path = simulate_on_graph(game, Process(imitation(2.0)), start=start, sweeps=20, replicas=2, rng=rng)
    >>> path.count.shape, path.strategies.shape, path.count[0, 0].tolist()
    ((2, 21, 3), (2, 100), [34, 33, 33])

    Reference: G. Szabo and G. Fath, Evolutionary games on graphs, Physics Reports 446 (2007); E. Lieberman, C. Hauert
    and M. Nowak, Evolutionary dynamics on graphs, Nature 433 (2005).
    """
    if not isinstance(game, GraphGame):
        raise invalid_argument("game", type(game).__name__, "a GraphGame; for a well-mixed one see simulate_strategies")
    check_process(process, game.n_strategies)
    replicas = integer("replicas", replicas, minimum=1)
    sweeps = integer("sweeps", sweeps, minimum=0)
    every = integer("every", every, minimum=1)
    threads = integer("threads", threads, minimum=1)
    fits_in_memory(
        "replicas, sweeps",
        (replicas, sweeps),
        replicas * max(game.n_players, game.n_strategies * (sweeps // every + 1)),
    )
    strategies = _starts(start, replicas, game)
    rule = _numbers(game, process)
    edges = looked_at(game)
    time = np.arange(0, sweeps + 1, every)
    record = np.empty((replicas, time.size, game.n_strategies), dtype=np.int64)
    record[:, 0] = [np.bincount(row, minlength=game.n_strategies) for row in strategies]
    state = generator.states(replicas, rng)
    play = _player(game, rule, mutation_matrix(process, game.n_strategies), edges, sweeps)

    def advance(row: slice, part: Stretch) -> None:
        play(strategies[row], state[row], part, every, record[row])

    work = 4 + game.neighbour.size // game.n_players
    play_in_pieces(advance, replicas, sweeps, turns_of(rule, game.n_players), max(1, _PIECE // work), threads)
    return GraphTrajectory(time.astype(np.float64), record, strategies, game.labels)


def _player(
    game: GraphGame, rule: Rule, mutation: NDArray[np.float64], edges: Edges, sweeps: int
) -> Callable[..., None]:
    """The compiled loop for this game: by tables where all edges weigh the same, else by sums."""
    table, players, turns = cells(game, rule), game.n_players, turns_of(rule, game.n_players)
    needed = table is not None or rule.kind >= compiled_rule.IMITATION
    around = watchers(game) if needed else edges
    rooms = threading.local()  # of a replica, kept from piece to piece; each thread has its own

    def renew(s: Any, part: Stretch) -> None:
        due = rule.together or part.first % agents.RENEWED == 0
        for low in range(0, players, part.end):
            share = low, min(low + part.end, players)
            if table is not None and part.first == 0:
                fill(table, edges, s, *share, rooms.kept)
            elif table is None and rule.kind >= compiled_rule.IMITATION and due:
                agents.earn(rule, game.matrix, edges, s, *share, *rooms.kept)

    def play(s: Any, state: Any, part: Stretch, every: int, record: Any) -> None:
        if not hasattr(rooms, "room"):
            rooms.room = room_of(rule, players, game.n_strategies)
            rooms.kept = earnings_of(rule, players) if table is None else np.empty(players, cell_type(table))
        if part.begin == 0 and part.end < turns:  # a cut sweep
            renew(s[0], part)
        given = edges, around, s, rooms.kept, rooms.room, state, part
        if table is not None:
            ends = part.first + part.sweeps == sweeps and part.end == turns
            play_cells(rule, mutation, table, *given, ends, every, record)
        else:
            agents.play(rule, mutation, game.matrix, *given, every, record)

    return play


def _starts(start: ArrayLike, replicas: int, game: GraphGame) -> NDArray[np.int8]:
    """A fresh array of what each player uses first."""
    given, players = given_array("start", start), game.n_players
    if given.dtype.kind not in "iu" or given.shape not in ((players,), (replicas, players)):
        got = f"{given.dtype} of shape {given.shape}"
        raise invalid_argument("start", got, f"whole numbers of shape ({players},) or ({replicas}, {players})")
    if given.min() < 0 or given.max() >= game.n_strategies:
        got = f"numbers from {given.min()} to {given.max()}"
        raise invalid_argument("start", got, f"strategies 0..{game.n_strategies - 1}")
    return np.array(np.broadcast_to(given, (replicas, players)), dtype=np.int8)


def _numbers(game: GraphGame, process: Process) -> Rule:
    """The process in numbers for compiled code, or the refusal of what cannot be played."""
    choice, linear, bound = process.choice, False, 0.0
    least, most = game.payoff_range()
    if isinstance(choice, Logit):
        kind, strength = compiled_rule.LOGIT, 1.0 / cast(float, choice.temperature)
    elif isinstance(choice, BestResponse):
        kind, strength = compiled_rule.BEST, SAME * float(np.abs(game.matrix).max())
    elif isinstance(choice, Imitation):
        kind, strength = compiled_rule.IMITATION, cast(float, choice.intensity)
    elif isinstance(choice, Replicator):
        kind, strength = compiled_rule.REPLICATOR, 1.0 / (most - least) if most > least else 0.0
    elif isinstance(choice, Reproduction):
        kind, strength = (compiled_rule.DEATH_BIRTH if choice.among_others else compiled_rule.MORAN), choice.intensity
        linear = choice.fitness == "linear"
        ends = choice.log_fitness(np.array([least, most]))
        if not linear and max(abs(least), abs(most)) * strength > 600.0:
            got = f"payoffs from {least:g} to {most:g}, whose fitness is beyond all floats"
            raise invalid_argument("game", got, "intensity times payoff of at most 600")
        bound = float(np.exp(ends[1])) if ends[1] - ends[0] < _NEAR else 0.0
        if kind == compiled_rule.MORAN and process.revision == "all":
            raise invalid_argument("process", "moran with revision 'all'", "revision 'one' on a graph, or death_birth")
    else:
        raise invalid_argument("process", choice, "imitation, replicator, moran or death_birth among rules that copy")
    return Rule(
        kind,
        float(strength),
        linear,
        float(cast(float, process.keep_prob)),
        process.masked == "blind",
        process.mutation != 0.0,
        process.revision == "all",
        game.earnings == "mean",
        bound,
    )
