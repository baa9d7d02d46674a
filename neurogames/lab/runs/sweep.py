"""A sweep: one measurement in every cell of a grid of settings, resumable, on any number of processes.

A *cell* is one mapping of settings, such as ``{"dataset": "diabetes", "seed": 3}``; the cells of a sweep have the same
keys and fill a grid. ``measure(**cell)`` gives an ``xarray.Dataset``; the keys of the cell become its leading
dimensions. Each finished cell is one file ``cells/NAME-HASH.nc``, which appears whole or not at all. What a sweep
returns is always put together from those files, in sorted order, so that neither interruptions nor the number of
workers nor the order of the work can be seen in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
import torch
import xarray as xr

from neurogames import __version__
from neurogames._arguments import instance, integer, invalid_argument
from neurogames.lab.runs.cluster import finish_on_cluster
from neurogames.lab.runs.errors import CellError
from neurogames.lab.runs.grid import Cell, checked_grid, combined
from neurogames.lab.runs.interrupts import heard_interrupt
from neurogames.lab.runs.provenance import refuse_other_version, versions
from neurogames.lab.runs.store import plain_value, read_dataset, write_dataset
from neurogames.lab.runs.workers import finish
from neurogames.lab.whole_file import remove_leftovers

Measure = Callable[..., xr.Dataset]
Progress = Callable[[int, int, dict[str, Any]], object]


def sweep(
    measure: Measure,
    cells: Sequence[Cell],
    folder: str | Path,
    *,
    workers: int = 1,
    cluster: str | None = None,
    threads: int = 1,
    on_progress: Progress | None = None,
) -> xr.Dataset:
    """Measure every cell that has no file yet, and return all cells as one data set.

    Killed at any moment, a sweep loses at most the cells in hand; called again with the same arguments it computes
    only what is missing. Damaged files are computed anew, with the reason in the log.

    Args:
        measure: function of the settings of a cell, as keywords; at the top level of a module, or a
            ``functools.partial`` of such a function. It draws from generators it seeds by its cell. Data bound by a
            partial are not compared on a second start, only plain settings and dataclasses of them are.
        cells: mappings with the same keys; every combination of the values that occur must be there, once. Values
            are texts, booleans, or finite numbers.
        folder: the files go to its subfolder ``cells``; made if it is not there.
        workers: number of processes; 1 works in this process.
        cluster: address of a dask scheduler whose workers do the work in the place of processes of this machine, see
            :mod:`neurogames.lab.runs.cluster`; the folder must be theirs, too, under the same path.
        threads: threads of torch and of linear algebra in each cell, whatever the number of workers (rounding may
            depend on it).
        on_progress: called as ``on_progress(done, total, cell)`` after each cell, those found on disk included.

    Returns:
        The results with the keys of the cells as leading dimensions, their values sorted. The attributes hold what
        all cells agree on, ``measure``, and ``versions`` (a list where cells were computed by different ones).

    Raises:
        ValueError: for cells that fill no grid, a folder with cells of another measure or of another version of
            neurogames, or a cluster that cannot work.
        CellError: if a cell fails; the error names it. Cells finished before stay.

    >>> import tempfile
    >>> def double(number):
    ...     return xr.Dataset({"twice": 2 * number})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sweep(double, [{"number": 3}, {"number": 1}], folder)["twice"].to_series().to_dict()
    {1: 2, 3: 6}
    """
    plain, values = checked_grid(cells)
    integer("workers", workers, minimum=1)
    integer("threads", threads, minimum=1)
    if not callable(measure):
        raise invalid_argument("measure", measure, "a function of the settings of a cell")
    identity = describe(measure)
    if cluster is not None:
        instance("cluster", cluster, str, "the address of a dask scheduler, such as tcp://192.168.0.1:8786")
    place = Path(folder).expanduser().absolute() / "cells"
    paths = [place / cell_file(cell) for cell in plain]
    results: dict[int, xr.Dataset] = {}
    for index, (cell, path) in enumerate(zip(plain, paths, strict=True)):
        found = _finished(path, cell)
        if found is not None:
            if found.attrs["measure"] != identity:
                raise invalid_argument("measure", identity, f"{found.attrs['measure']}, as in {path}")
            refuse_other_version(path, found.attrs["versions"])
            results[index] = found
    place.mkdir(parents=True, exist_ok=True)
    remove_leftovers(place)
    for done, index in enumerate(results, start=1):
        _tell(on_progress, done, len(plain), plain[index])
    missing = [index for index in range(len(plain)) if index not in results]
    jobs = ((measure, identity, plain[index], paths[index], threads, __version__, index) for index in missing)
    work = (
        finish_on_cluster(_measure_cell, jobs, cluster) if cluster and missing else finish(_measure_cell, jobs, workers)
    )
    with heard_interrupt() as check, contextlib.closing(work) as finishing:
        for index in finishing:
            if not paths[index].exists():
                raise invalid_argument("folder", str(folder), "a folder that the workers of the cluster share")
            results[index] = read_dataset(paths[index])
            _tell(on_progress, len(results), len(plain), plain[index])
            check()
    return combined([results[index] for index in range(len(plain))], plain, values)


def describe(measure: Measure) -> dict[str, Any]:
    """Name and plain settings of a measure, the means to tell the cells of different measures apart.

    >>> import math
    >>> describe(functools.partial(math.pow, 2.0))
    {'function': 'math.pow', 'settings': {'0': 2.0}}
    """
    settings: dict[str, Any] = {}
    while isinstance(measure, functools.partial):
        bound = {**{str(place): value for place, value in enumerate(measure.args)}, **measure.keywords}
        settings = {**{key: _plain_or_kind(value) for key, value in bound.items()}, **settings}
        measure = measure.func
    kind = type(measure)
    module = getattr(measure, "__module__", kind.__module__)
    name = getattr(measure, "__qualname__", kind.__qualname__)
    return {"function": f"{module}.{name}", "settings": settings}


def cell_file(cell: Cell) -> str:
    """File name of a cell: readable, and unique by a hash of its settings.

    >>> cell_file({"dataset": "diabetes", "seed": 3})
    'dataset=diabetes,seed=3-4b7a12c58cf4.nc'
    """
    readable = ",".join(f"{key}={value}" for key, value in cell.items())
    readable = re.sub(r"[^A-Za-z0-9_.,=+-]", "_", readable)[:100].lstrip(".")
    text = json.dumps(dict(cell), sort_keys=True)
    return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.nc"


def _finished(path: Path, cell: dict[str, Any]) -> xr.Dataset | None:
    """The result on disk, or None if there is none that can be used."""
    if not path.exists():
        return None
    try:
        found = read_dataset(path)
        if found.attrs.get("cell") != cell or not {"measure", "versions"} <= found.attrs.keys():
            raise ValueError(f"{path} does not hold the cell {_named(cell)}")
    except ValueError as error:
        logging.getLogger(__name__).warning("computing the cell %s again: %s", _named(cell), error)
        return None
    return found


def _plain_or_kind(value: object) -> Any:
    """A bound setting in plain types, or the name of its type where it has none."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, np.ndarray):
        return f"<{type(value).__name__}>"
    try:
        return plain_value("setting", value)
    except ValueError:
        return f"<{type(value).__name__}>"


def _named(cell: Cell) -> str:
    """A cell in words."""
    return ", ".join(f"{key}={value}" for key, value in cell.items())


def _measure_cell(
    measure: Measure, identity: dict[str, Any], cell: dict[str, Any], path: Path, threads: int, version: str, index: int
) -> int:
    """Measure one cell and write its file, by the version of neurogames that asks for it."""
    before = torch.get_num_threads()
    try:
        if version != __version__:
            raise invalid_argument("cluster", f"a worker with neurogames {__version__}", f"neurogames {version}")
        with threadpoolctl.threadpool_limits(threads):
            torch.set_num_threads(threads)
            result = measure(**cell)
        write_dataset(_expanded(result, cell, identity), path)
    except Exception as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CellError(f"the cell {_named(cell)} failed: {why}") from error
    finally:
        torch.set_num_threads(before)
    return index


def _expanded(result: object, cell: dict[str, Any], identity: dict[str, Any]) -> xr.Dataset:
    """A result with the settings of its cell as leading dimensions, and the marks of its origin."""
    if not isinstance(result, xr.Dataset):
        raise invalid_argument("measure", f"a {type(result).__name__}", "an xarray.Dataset")
    taken = [key for key in cell if key in result.variables or key in result.dims]
    if taken:
        raise invalid_argument(
            "measure", f"a result that has {taken[0]!r} already", "names other than the settings of the cell"
        )
    expanded = result.reset_coords().expand_dims({key: [value] for key, value in cell.items()})
    return expanded.assign_attrs(cell=cell, measure=identity, versions=versions())


def _tell(on_progress: Progress | None, done: int, total: int, cell: dict[str, Any]) -> None:
    """Report one finished cell."""
    if on_progress is not None:
        on_progress(done, total, dict(cell))
