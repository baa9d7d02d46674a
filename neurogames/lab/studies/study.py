"""What the studies of networks as games share: repetitions as resumable sweeps, one file of results, a page of it.

A study has one or more parts. Each part is a measurement, swept over the seeds in a subfolder of the run; all parts
together are ``results.nc``, and the page is made from that file alone. What one seed gives does not depend on how many
there are: a study may be gone on with for more of them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd
import xarray as xr

from neurogames._arguments import integer, invalid_argument
from neurogames.lab.runs.run_folder import open_run, read_settings
from neurogames.lab.runs.store import read_dataset, versions, write_dataset
from neurogames.lab.runs.sweep import Measure, sweep
from neurogames.lab.studies.page import Page, write_page

Progress = Callable[[str, int, int], object]


class StudySettings(Protocol):
    """What the settings of a study have in common."""

    @property
    def data(self) -> str:
        """Name of the data."""

    @property
    def seeds(self) -> int:
        """Number of independent repetitions."""

    @property
    def first_seed(self) -> int:
        """Seed of the first repetition; the others follow."""

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values that TOML can hold."""

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> StudySettings:
        """Read what ``to_dict`` returned."""


_REPETITIONS = ("first_seed", "seeds")
"""Settings that say which seeds are measured, and nothing of how."""
Settings = TypeVar("Settings", bound=StudySettings)


@dataclass(frozen=True, eq=False)
class Findings:
    """What the report of a study rests on.

    Attributes:
        page: the path of ``report.html``.
        tables: the tables of the page, by name.
        verdicts: what can be said, in sentences.
    """

    page: Path
    tables: dict[str, pd.DataFrame]
    verdicts: list[str]


@dataclass(frozen=True, eq=False)
class FinishedStudy:
    """A finished study.

    Attributes:
        folder: where ``results.nc``, ``report.html``, ``settings.toml``, figures and tables lie.
        results: every number, labelled.
        tables: the tables of the report, by name.
        verdicts: what can be said, in sentences.
    """

    folder: Path
    results: xr.Dataset
    tables: dict[str, pd.DataFrame]
    verdicts: list[str]


def run_parts(
    study: str,
    settings: StudySettings,
    folder: str | Path | None,
    parts: Mapping[str, Measure],
    write: Callable[[Path], Findings],
    *,
    workers: int | None,
    on_progress: Progress | None,
) -> FinishedStudy:
    """Sweep every part over the seeds, put the results together, and write the page.

    Args:
        study: the name that the results bear.
        settings: given to every measurement as ``settings``, plain and without ``seeds`` and ``first_seed``.
        folder: where to write; "neurogames-runs/STUDY-DATA" if ``None``. In the folder of a study with fewer seeds
            and the same other settings only the new seeds are measured.
        parts: measurements of one seed by the name of their subfolder, in order.
        write: makes the page of a folder.
        workers: processes that train side by side, one thread each; every core if ``None``.
        on_progress: called as ``on_progress(stage, done, total)``.

    Returns:
        Results, tables and verdicts.

    Raises:
        ValueError: for a folder that holds something else; before any work.
        RuntimeError: if a repetition fails; those finished before stay.
    """
    workers = (os.cpu_count() or 1) if workers is None else integer("workers", workers, minimum=1)
    tell = on_progress or _silent
    place = default_folder(study, settings.data) if folder is None else folder
    run = open_run(place, settings.to_dict(), growing=["seeds"])
    shared = {name: value for name, value in settings.to_dict().items() if name not in _REPETITIONS}
    cells = [{"seed": seed} for seed in range(settings.first_seed, settings.first_seed + settings.seeds)]
    measured = []
    for name, measure in parts.items():
        tell(name, 0, len(cells))
        bound = functools.partial(measure, settings=shared)
        told = functools.partial(_tell_cell, tell, name)
        measured.append(sweep(bound, cells, run.folder / name, workers=min(workers, len(cells)), on_progress=told))
    results = xr.merge(measured, combine_attrs="drop", join="exact", compat="no_conflicts")
    results.attrs = {"study": study, "settings": settings.to_dict(), "versions": versions()}
    tell("writing", 0, 1)
    write_dataset(results, run.folder / "results.nc")
    findings = write(run.folder)
    tell("done", 1, 1)
    return FinishedStudy(run.folder, results, findings.tables, findings.verdicts)


def default_folder(study: str, data: str) -> Path:
    """Return the folder that a study of these data goes to when none is named.

    >>> default_folder("pruning", "mnist").as_posix()
    'neurogames-runs/pruning-mnist'
    """
    return Path("neurogames-runs") / f"{study}-{data}"


def study_results(folder: Path, study: str) -> xr.Dataset:
    """Read the results that a study has left in a folder.

    Raises:
        ValueError: there is no ``results.nc``, or it is of something else.
    """
    results = read_dataset(folder / "results.nc")
    if results.attrs.get("study") != study:
        raise invalid_argument("folder", str(folder), f"a folder with the results of a {study} study")
    return results


def publish(page: Page, folder: Path) -> Findings:
    """Write a page, its figures and its tables into a folder that is there."""
    return Findings(write_page(page, folder), {table.name: table.frame for table in page.tables}, list(page.verdicts))


def settings_of_run(folder: str | Path, kind: type[Settings]) -> Settings:
    """Read the settings of a study from its folder.

    Raises:
        ValueError: if the folder holds no run, or one with settings of another kind.
    """
    plain = read_settings(folder)
    foreign = [name for name in plain if name not in getattr(kind, "__dataclass_fields__", {})]
    if foreign:
        raise invalid_argument("folder", f"{folder} with the setting {foreign[0]!r}", f"a run with {kind.__name__}")
    return kind.from_dict(plain)


def _tell_cell(tell: Progress, stage: str, done: int, total: int, _: dict[str, Any]) -> None:
    tell(stage, done, total)


def _silent(*_: object) -> None:
    """Progress that nobody asked for."""
