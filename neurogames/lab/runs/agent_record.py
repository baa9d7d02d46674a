"""What single agents do over time, written to a file as it happens."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import h5netcdf
import numpy as np

from neurogames._arguments import invalid_argument
from neurogames.engine.graphs.snapshots import GraphSnapshot


def record_agents(path: str | Path, snapshots: Iterable[GraphSnapshot]) -> Path:
    """Write snapshots to a netCDF file, one after the other; only one is held in memory.

    The file bears a name of its own until it is whole, so that an interrupted record never looks like a finished one.

    Args:
        path: the file; a former one is replaced.
        snapshots: from ``graph_snapshots``.

    Returns:
        The path: ``strategies`` (time, replica, player), with names of the strategies as an attribute.

    Raises:
        ValueError: there is no snapshot.

    >>> import tempfile, networkx as nx, xarray as xr
    >>> from neurogames import GraphGame, Process, graph_snapshots, imitation
    >>> game = GraphGame([[1, 0], [0, 2]], nx.cycle_graph(6))
    >>> rng = np.random.default_rng(0)
    >>> seen = graph_snapshots(game, Process(imitation(1.0)), start=[0, 1] * 3, sweeps=6, every=2, rng=rng)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = record_agents(Path(folder) / "agents.nc", seen)
    ...     dict(xr.load_dataset(file, engine="h5netcdf").sizes)
    {'time': 4, 'replica': 1, 'player': 6}
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    places = iter(snapshots)
    first = next(places, None)
    if first is None:
        raise invalid_argument("snapshots", "none", "at least one snapshot")
    replicas, players = first.strategies.shape
    try:
        with h5netcdf.File(partial, "w") as file:
            file.dimensions = {"time": None, "replica": replicas, "player": players}
            file.attrs["labels"] = list(first.labels)
            time = file.create_variable("time", ("time",), np.int64)
            strategies = file.create_variable(
                "strategies",
                ("time", "replica", "player"),
                np.int8,
                chunks=(1, replicas, players),
                compression="gzip",
                compression_opts=1,
            )
            snapshot: GraphSnapshot | None = first
            place = 0
            while snapshot is not None:
                file.resize_dimension("time", place + 1)
                time[place], strategies[place] = snapshot.sweep, snapshot.strategies
                snapshot, place = next(places, None), place + 1
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
