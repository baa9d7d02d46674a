"""Agents seen stretch by stretch, on graphs that change."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
import xarray as xr

from neurogames.engine import Process, best_response, graph_snapshots, imitation, simulate_on_graph
from neurogames.games import GraphGame
from neurogames.lab import record_agents

COORDINATION = [[1.0, 0.0], [0.0, 2.5]]
START = np.arange(30) % 3 // 2


def game(graph=None, matrix=COORDINATION):
    return GraphGame(matrix, nx.random_regular_graph(3, 30, seed=0) if graph is None else graph)


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("every", [1, 2, 4])
def test_without_chance_snapshots_are_those_of_one_simulation(every):
    process = Process(best_response(), "all")
    seen = list(graph_snapshots(game(), process, start=START, sweeps=6, every=every, rng=rng()))
    assert [each.sweep for each in seen] == [*range(0, 6, every), 6]
    for each in seen:
        path = simulate_on_graph(game(), process, start=START, sweeps=each.sweep, rng=rng())
        assert np.array_equal(each.strategies, path.strategies)
        assert np.array_equal(each.share, path.share[:, -1])


def test_a_graph_without_edges_holds_everybody_from_the_change_on():
    empty = nx.empty_graph(30)
    seen = list(
        graph_snapshots(
            game(),
            Process(imitation(1.0)),
            start=START,
            sweeps=8,
            every=2,
            replicas=3,
            rng=rng(),
            change=lambda now: game(empty) if now.sweep == 4 else None,
        )
    )
    moved = [not np.array_equal(a.strategies, b.strategies) for a, b in pairwise(seen)]
    assert moved == [True, True, False, False]


@pytest.mark.parametrize("found", [game(nx.cycle_graph(29)), game(matrix=np.eye(3)), "a graph"])
def test_a_game_of_another_size_is_refused(found):
    seen = graph_snapshots(game(), Process(imitation(1.0)), start=START, sweeps=2, rng=rng(), change=lambda _: found)
    next(seen)
    with pytest.raises(ValueError, match="expected None or a GraphGame of 30 players and 2"):
        next(seen)


def test_a_record_holds_every_snapshot_and_none_is_left_half_done(tmp_path):
    def snapshots():
        return graph_snapshots(game(), Process(imitation(1.0)), start=START, sweeps=10, every=5, replicas=2, rng=rng())

    file = record_agents(tmp_path / "agents.nc", snapshots())
    stored = xr.load_dataset(file, engine="h5netcdf")
    assert stored["time"].values.tolist() == [0, 5, 10]
    assert np.array_equal(stored["strategies"], np.stack([each.strategies for each in snapshots()]))

    def breaks():
        yield from list(snapshots())[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record_agents(tmp_path / "half.nc", breaks())
    assert [path.name for path in tmp_path.iterdir()] == ["agents.nc"]
    with pytest.raises(ValueError, match="snapshots: got 'none'"):
        record_agents(tmp_path / "none.nc", [])
