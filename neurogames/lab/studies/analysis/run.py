"""From a network in memory to a folder with results and page."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import xarray as xr
from torch import nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.extraction.nash_gap import NashCost
from neurogames.bridge.modules.adapted_model import Forward
from neurogames.bridge.modules.data import Loss
from neurogames.lab.runs.provenance import versions
from neurogames.lab.runs.store import layout_of, read_dataset, write_dataset
from neurogames.lab.studies.analysis.measure import STAGES, measure_network
from neurogames.lab.studies.analysis.page import analysis_page
from neurogames.lab.studies.analysis.settings import AnalysisSettings
from neurogames.lab.studies.page import write_page
from neurogames.lab.studies.study import RESULTS_FORMAT, FinishedStudy, refuse_parts
from neurogames.lab.whole_file import TEMPORARY, ready_folder

NAME = "analysis"


def analyze(
    model: nn.Module,
    loss: Loss,
    data: Any,
    folder: str | Path = "neurogames-runs/analysis",
    *,
    held_out: Any = None,
    settings: AnalysisSettings | None = None,
    forward: Forward | None = None,
    on_estimate: Callable[[NashCost], object] | None = None,
    on_progress: Callable[[str, int, int], object] | None = None,
    source: str | None = None,
    command: Sequence[str] | None = None,
) -> FinishedStudy:
    """Say which equilibrium a network is in, and which game the units of a layer play, in one report.

    Args:
        model: any module that takes one tensor, or any at all with ``forward``; it stays as it is.
        loss: maps (outputs, targets) to the mean loss over rows, as ``torch.nn.functional.cross_entropy``.
        data: inputs and targets, one row each: tensors, numpy arrays or a DataLoader.
        folder: where to write; a new or empty folder, or one of an earlier analysis, which is replaced.
        held_out: further rows, on which deviations are tried.
        settings: what is asked; the defaults if not given.
        forward: calls the model with its inputs, as in ``nash_gap``.
        on_estimate: called with what the work will take, before it starts.
        on_progress: called as ``on_progress(stage, done, total)`` with counts of stages.
        source: the network and its rows, in words, for the page.
        command: what makes the page again, for the page.

    Returns:
        Results, tables and verdicts.

    Raises:
        ValueError: as ``nash_gap``, or the folder holds something else; before any work.
    """
    settings = AnalysisSettings() if settings is None else settings
    place = ready_folder("folder", _checked_folder(Path(folder).expanduser()))
    results = measure_network(
        model,
        loss,
        data,
        held_out=held_out,
        settings=settings,
        forward=forward,
        on_estimate=on_estimate,
        on_progress=on_progress,
    )
    results = results.assign_attrs(
        study=NAME,
        format=RESULTS_FORMAT,
        settings=settings.to_dict(),
        versions=versions(),
        source=source or f"A {type(model).__name__} in memory.",
        rerun=shlex.join(command) if command else "neurogames.lab.analyze(model, loss, data)",
        layout=layout_of(results),
    )
    if on_progress is not None:
        on_progress("writing", STAGES - 1, STAGES)
    write_dataset(results, place / "results.nc")
    finished = _published(results, place)
    if on_progress is not None:
        on_progress("done", STAGES, STAGES)
    return finished


def write_analysis(folder: str | Path) -> FinishedStudy:
    """Write the page of an analysis again, with its figures and tables, from its ``results.nc``.

    Args:
        folder: where ``analyze`` has left its results.

    Returns:
        Results, tables and verdicts.

    Raises:
        ValueError: there is no ``results.nc``, or it is of something else or of an older version.
    """
    place = Path(folder).expanduser()
    results = read_dataset(place / "results.nc")
    if results.attrs.get("study") != NAME:
        raise invalid_argument("folder", str(folder), "a folder with the results of an analysis")
    if results.attrs.get("format") != RESULTS_FORMAT:
        raise invalid_argument("folder", f"{folder}, whose results an older version wrote", "results of this version")
    refuse_parts(results, place, ("source", "rerun"))
    return _published(results, place)


def _published(results: xr.Dataset, folder: Path) -> FinishedStudy:
    """The analysis whose page has just been written."""
    about = results.attrs
    page = analysis_page(results, about["source"])
    write_page(page, folder, rerun=about["rerun"], settings=about["settings"], versions=about["versions"])
    return FinishedStudy(folder, results, {table.name: table.frame for table in page.tables}, list(page.verdicts))


def _checked_folder(folder: Path) -> Path:
    """Refuse a folder that holds something else."""
    if folder.exists() and not folder.is_dir():
        raise invalid_argument("folder", str(folder), "a folder")
    if folder.is_dir() and not all(path.name.endswith(TEMPORARY) for path in folder.iterdir()):
        stored = folder / "results.nc"
        if not stored.is_file() or read_dataset(stored).attrs.get("study") != NAME:
            raise invalid_argument("folder", str(folder), "a new folder, or one of an earlier analysis")
    return folder
