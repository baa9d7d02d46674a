"""Agents on a graph, stretch by stretch: what each uses is seen as it goes, and the graph may change in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import integer, invalid_argument
from neurogames.engine.display.graphs import OnGraph
from neurogames.engine.display.tables import dataset, shares_in_words, tidy
from neurogames.engine.graphs.graph_matrix import simulate_on_graph
from neurogames.engine.process import Process
from neurogames.games.graph_game import GraphGame


@dataclass(frozen=True, eq=False)
class GraphSnapshot(OnGraph):
    """What each player uses at one time.

    Attributes:
        sweep: the time, in sweeps.
        strategies: (replicas, m) number of each player's strategy.
        labels: n names of the strategies.
    """

    sweep: int
    strategies: NDArray[np.int8]
    labels: tuple[str, ...]

    @property
    def share(self) -> NDArray[np.float64]:
        """(replicas, n) share of each strategy."""
        n = len(self.labels)
        counts = [np.bincount(row, minlength=n) for row in self.strategies]
        return np.asarray(np.array(counts) / self.strategies.shape[1])

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of strategies by replica and player, and of shares by replica and strategy."""
        share = (("replica", "strategy"), self.share)
        found: dict[str, Any] = {"strategies": (("replica", "player"), self.strategies), "share": share}
        return dataset(found, {"strategy": list(self.labels)}).assign_attrs(sweep=self.sweep)

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` of shares with one row for each replica and strategy."""
        return tidy(self.to_xarray()[["share"]])

    def __repr__(self) -> str:
        replicas, players = self.strategies.shape
        found = shares_in_words(self.labels, self.share.mean(axis=0))
        return f"GraphSnapshot(sweep {self.sweep}, {replicas} replicas of {players} players; {found})"


Change = Callable[[GraphSnapshot], GraphGame | None]


def graph_snapshots(
    game: GraphGame,
    process: Process,
    *,
    start: ArrayLike,
    sweeps: int,
    every: int = 1,
    replicas: int = 1,
    rng: np.random.Generator,
    threads: int = 1,
    change: Change | None = None,
) -> Iterator[GraphSnapshot]:
    """Simulate players on a graph, and see them every so often; only the present is held in memory.

    Args:
        game: the game.
        process: the process, with constant parameters.
        start: (m,) or (replicas, m) what each player uses at time 0, as for ``simulate_on_graph``.
        sweeps: how long, in sweeps.
        every: sweeps between two snapshots.
        replicas: number of independent populations.
        rng: source of the seeds; new ones are drawn after each snapshot, so that the paths depend on ``every``.
        threads: number of threads that share the replicas; the paths do not depend on it.
        change: called with each snapshot but the last; a game that it returns, of as many players and strategies, is
            played from there on: another graph, other weights or other payoffs.

    Returns:
        Snapshots at times 0, every, 2 every, ... and ``sweeps``.

    Raises:
        ValueError: as ``simulate_on_graph``, before anything is played; or the game that came back does not fit.

    >>> import networkx as nx
    >>> from neurogames.engine import imitation
    >>> ring, star = (GraphGame([[1, 0], [0, 2]], graph) for graph in (nx.cycle_graph(6), nx.star_graph(5)))
    >>> process, rng = Process(imitation(1.0)), np.random.default_rng(0)
    >>> change = lambda now: star if now.sweep == 2 else None
    >>> seen = graph_snapshots(ring, process, start=[0, 1] * 3, sweeps=5, every=2, rng=rng, change=change)
    >>> [snapshot.sweep for snapshot in seen]
    [0, 2, 4, 5]
    """
    first = simulate_on_graph(game, process, start=start, sweeps=0, replicas=replicas, rng=rng, threads=threads)
    sweeps = integer("sweeps", sweeps, minimum=0)
    every = integer("every", every, minimum=1)
    if change is not None and not callable(change):
        raise invalid_argument("change", change, "a function of a snapshot, or None")

    def seen() -> Iterator[GraphSnapshot]:
        playing, strategies = game, first.strategies
        for begun in range(0, sweeps, every):
            now = GraphSnapshot(begun, strategies, playing.labels)
            yield now
            playing = _changed(playing, change(now) if change is not None else None)
            strategies = simulate_on_graph(
                playing,
                process,
                start=strategies,
                sweeps=(length := min(every, sweeps - begun)),
                replicas=replicas,
                every=length,
                rng=rng,
                threads=threads,
            ).strategies
        yield GraphSnapshot(sweeps, strategies, playing.labels)

    return seen()


def _changed(game: GraphGame, found: object) -> GraphGame:
    """The game to be played from here on."""
    if found is None:
        return game
    size = (game.n_players, game.n_strategies)
    if not isinstance(found, GraphGame) or (found.n_players, found.n_strategies) != size:
        expected = f"None or a GraphGame of {size[0]} players and {size[1]} strategies"
        raise invalid_argument("change", found, expected)
    return found
