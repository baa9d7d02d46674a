"""From settings to results, and to a folder with results and page."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr

from neurogames.lab.runs.provenance import joined_versions
from neurogames.lab.runs.run_folder import open_run
from neurogames.lab.runs.store import write_dataset
from neurogames.lab.runs.sweep import sweep
from neurogames.lab.studies.agents.measure import measure_agents
from neurogames.lab.studies.agents.page import agents_page
from neurogames.lab.studies.agents.settings import AgentsSettings
from neurogames.lab.studies.agents.sources import checksums
from neurogames.lab.studies.page import write_page
from neurogames.lab.studies.study import FinishedStudy

NAME = "agents"


def simulate_agents(
    settings: AgentsSettings, *, on_progress: Callable[[int, int, dict[str, Any]], object] | None = None
) -> xr.Dataset:
    """Measure all combinations in this process, without a file.

    Args:
        settings: what is asked.
        on_progress: called as ``on_progress(done, total, cell)``.

    Returns:
        As ``measure_agents``, with what is swept as leading dimensions.

    Raises:
        ValueError: if game, graph, process and start do not fit together.

    >>> results = simulate_agents(AgentsSettings(temperature=(0.1, 0.2), sweeps=2, replicas=2))
    >>> results["exact"].dims
    ('temperature', 'time', 'strategy')
    """
    names, cells = settings.swept(), settings.cells()
    parts = []
    for done, cell in enumerate(cells, start=1):
        measured = measure_agents(settings=settings, **cell)
        parts.append(measured.expand_dims({name: [cell[name]] for name in names}))
        if on_progress is not None:
            on_progress(done, len(cells), cell)
    found: xr.Dataset = xr.combine_by_coords(parts, combine_attrs="drop") if names else parts[0]  # type: ignore[assignment]
    return found.transpose(*names, ...)


def run_agents(
    settings: AgentsSettings,
    folder: str | Path,
    *,
    workers: int = 1,
    cluster: str | None = None,
    on_progress: Callable[[int, int, dict[str, Any]], object] | None = None,
) -> FinishedStudy:
    """Measure all combinations, and write a folder with results and page; a second call computes what is missing.

    Args:
        settings: what is asked.
        folder: where to write; new, empty, or of the same simulation.
        workers: processes that work side by side.
        cluster: address of a dask scheduler whose workers, which share the folder, do the work instead.
        on_progress: called as ``on_progress(done, total, cell)``.

    Returns:
        Results, tables and verdicts.

    Raises:
        ValueError: if game, graph, process and start do not fit together, or the folder holds something else.
        CellError: if a combination fails; those finished before stay.
    """
    marks = checksums(settings)
    guarded = {"study": NAME, **settings.to_dict(), **({"checksums": marks} if marks else {})}
    run = open_run(folder, guarded)
    measure = functools.partial(measure_agents, settings=settings)
    cells = settings.cells()
    workers = min(workers, len(cells))
    found = sweep(measure, cells, run.folder, workers=workers, cluster=cluster, on_progress=on_progress)
    results, made_by = found.isel(seed=0, drop=True), joined_versions([found])
    results.attrs = {"study": NAME, "settings": settings.to_dict(), "versions": made_by}
    write_dataset(results, run.folder / "results.nc")
    page = agents_page(results, settings)
    used = {name: value for name, value in settings.to_dict().items() if settings.uses(name)}
    write_page(page, run.folder, rerun=command(settings), settings=used, versions=made_by)
    tables = {table.name: table.frame for table in page.tables}
    return FinishedStudy(run.folder, results, tables, [page.answer, *page.verdicts])


def command(settings: AgentsSettings) -> str:
    """The command that runs it again.

    >>> command(AgentsSettings(process="moran", intensity=(0.5, 1.0), sweeps=50))
    'neurogames simulate --game pgg --process moran --players 20 --intensity 0.5,1 --mutation 0 --cost 0.4
    --multiplier 1 --sweeps 50 --replicas 100 --out again'
    """
    words = ["neurogames", "simulate"]
    optional = ("graph", "revision", "masked", "keep_prob", "start", "seed")
    plain, default = settings.to_dict(), AgentsSettings().to_dict()
    for name, value in plain.items():
        # All that has a use is told: the command line has other defaults for some of it.
        if settings.uses(name) and not (name in optional and value == default[name]):
            text = ",".join(map(_exactly, value)) if isinstance(value, list) else str(value)
            option = {"masked": "mask"}.get(name, name.replace("_", "-"))
            words += [f"--{option}", text]
    return shlex.join([*words, "--out", "again"])


def _exactly(value: float) -> str:
    """The shortest text of this number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
