"""A sweep on a dask cluster: the result of one process, by two workers of their own."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

from neurogames.lab.runs.errors import CellError
from neurogames.lab.runs.sweep import sweep

distributed = pytest.importorskip("distributed")

MEASURE = """
import os
import numpy as np
import xarray as xr
def walk(seed, step):
    if seed == 13:
        raise ArithmeticError("no luck")
    draws = step * np.random.default_rng(seed).normal(size=4)
    return xr.Dataset({"place": ("time", draws.cumsum())})
def where(cell):
    return xr.Dataset({"process": os.getpid()})
"""
CELLS = [{"seed": seed, "step": step} for seed in (0, 1) for step in (0.5, 1.0)]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A module of the user's own, which workers import."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "walks_on_cluster.py").write_text(MEASURE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", str(folder))
        yield __import__("walks_on_cluster")


@pytest.fixture(scope="module")
def cluster(measured):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        yield made
        made.close()


def test_a_cluster_gives_what_one_process_gives_and_computes_only_what_is_missing(cluster, measured, tmp_path):
    alone = sweep(measured.walk, CELLS, tmp_path / "alone")
    seen: list[int] = []

    def on_progress(done: int, total: int, cell: object) -> None:
        seen.append(done)

    address = cluster.scheduler_address
    spread = sweep(measured.walk, CELLS, tmp_path / "spread", cluster=address, on_progress=on_progress)
    xr.testing.assert_identical(alone, spread)
    assert seen == [1, 2, 3, 4]
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "spread" / "cells").iterdir()}
    more = [*CELLS, {"seed": 2, "step": 0.5}, {"seed": 2, "step": 1.0}]
    assert sweep(measured.walk, more, tmp_path / "spread", cluster=address).sizes["seed"] == 3
    assert all(path.stat().st_mtime_ns == written for path, written in files.items())


def test_the_workers_do_the_work(cluster, measured, tmp_path):
    result = sweep(measured.where, [{"cell": k} for k in range(6)], tmp_path, cluster=cluster.scheduler_address)
    assert set(np.unique(result["process"])) <= {worker.process.pid for worker in cluster.workers.values()}


def test_a_cell_that_fails_is_named_and_the_cluster_works_on(cluster, measured, tmp_path):
    cells = [{"seed": seed, "step": 1.0} for seed in (0, 13)]
    with pytest.raises(CellError, match=r"the cell seed=13, step=1.0 failed: ArithmeticError: no luck"):
        sweep(measured.walk, cells, tmp_path, cluster=cluster.scheduler_address)
    assert sweep(measured.walk, cells[:1], tmp_path, cluster=cluster.scheduler_address).sizes["seed"] == 1


def test_no_scheduler_and_workers_of_several_threads_are_refused(measured, tmp_path, monkeypatch):
    monkeypatch.setattr("neurogames.lab.runs.cluster._SECONDS", 0.3)
    with pytest.raises(
        ValueError, match=r"^cluster: got 'tcp://127.0.0.1:9', expected the address of a dask scheduler"
    ):
        sweep(measured.walk, CELLS, tmp_path, cluster="tcp://127.0.0.1:9")
    with pytest.raises(ValueError, match=r"^cluster: got 3, expected the address"):
        sweep(measured.walk, CELLS, tmp_path, cluster=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            distributed.LocalCluster(
                n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
            ) as wide,
            pytest.raises(ValueError, match=r"with a worker of 2 threads', expected workers of one thread each"),
        ):
            sweep(measured.walk, CELLS, tmp_path, cluster=wide.scheduler_address)
