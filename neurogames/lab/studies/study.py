"""What a study is, and the one function that runs any of them: resumable sweeps, one file of results, a page of it.

A study has one or more parts. Each part is a measurement, swept over the repetitions in a subfolder of the run; all
parts together are ``results.nc``, and the page is made from that file alone. What one repetition gives does not depend
on how many there are: more of them may be asked for later.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import pandas as pd
import xarray as xr

from neurogames._arguments import integer, invalid_argument
from neurogames.lab.data.tables import short_name
from neurogames.lab.runs.provenance import joined_versions
from neurogames.lab.runs.run_folder import open_run, read_settings
from neurogames.lab.runs.store import layout_of, read_dataset, write_dataset
from neurogames.lab.runs.sweep import Measure, sweep
from neurogames.lab.studies.page import Page, write_page
from neurogames.lab.studies.settings import StudySettings
from neurogames.lab.whole_file import written_path

Progress = Callable[[str, int, int], object]
Settings = TypeVar("Settings", bound=StudySettings)

RESULTS_FORMAT = 4
"""Raised where the labels of stored results change, so that older results are refused and not misread."""
_SWEEP_MARKS = ("measure", "versions")


def _nothing_to_check(_: StudySettings) -> None:
    """The check of a study whose settings suit any data."""


@dataclass(frozen=True, eq=False)
class Study(Generic[Settings]):
    """A question with everything that it takes to answer it.

    Attributes:
        name: by which it is run, and which its results bear.
        settings: class of its settings.
        parts: measurements of one repetition by name, ``measure(**cell, settings=...)`` with a cell of
            :meth:`~neurogames.lab.studies.settings.StudySettings.cells`; each gives an ``xarray.Dataset``.
        page: makes the page from the results and the settings.
        check: refuses settings that do not fit the data, before any work; may return checksums of data by name, so
            that a run whose data have changed is another run.
        once: measurements made once and not for every repetition, such as what a game predicts:
            ``measure(seed=first_seed, settings=...)``.
        building: names of parts that build on what was measured once, and get it as ``known``.
    """

    name: str
    settings: type[Settings]
    parts: Mapping[str, Measure]
    page: Callable[[xr.Dataset, Settings], Page]
    check: Callable[[Settings], Mapping[str, str] | None] = _nothing_to_check
    once: Mapping[str, Measure] = field(default_factory=dict)
    building: Collection[str] = ()


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

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder / "report.html"


def run_study(
    study: Study[Settings],
    settings: Settings | None = None,
    folder: str | Path | None = None,
    *,
    workers: int | None = None,
    cluster: str | None = None,
    on_progress: Progress | None = None,
) -> FinishedStudy:
    """Measure everything that a study asks for, and write a folder with results and report.

    A second call with the same settings and folder computes what is missing, and with more seeds only the new ones;
    but for measured seconds, the result does not depend on the number of workers or on interruptions.

    Args:
        study: what to run, such as :func:`neurogames.lab.load_study` returns.
        settings: its settings; the defaults if not given.
        folder: where to write; "neurogames-runs/STUDY-DATA" if not given.
        workers: processes that work side by side, one thread each; every core if not given.
        cluster: address of a dask scheduler whose workers, which share the folder, do the work instead.
        on_progress: called as ``on_progress(stage, done, total)``.

    Returns:
        Results, tables and verdicts.

    Raises:
        ValueError: for data that cannot be used, or a folder that holds something else or what another version of
            neurogames has measured; before any work.
        CellError: if a repetition fails; those finished before stay.
    """
    settings = study.settings() if settings is None else settings
    workers = (os.cpu_count() or 1) if workers is None else integer("workers", workers, minimum=1)
    tell = on_progress or _silent
    checksums = dict(study.check(settings) or {})
    place = Path(default_folder(study.name, settings) if folder is None else folder)
    written_path("folder", place)
    guarded = {"study": study.name, **settings.to_dict(), **({"checksums": checksums} if checksums else {})}
    run = open_run(place, guarded, growing=["seeds"])
    shared, measured = settings.of_one_repetition(), list[xr.Dataset]()
    for name, measure in {**study.once, **study.parts}.items():
        cells = [{"seed": settings.first_seed}] if name in study.once else settings.cells()
        tell(name, 0, len(cells))
        known = {"known": xr.merge(measured, combine_attrs="drop")} if name in study.building else {}
        bound, told = functools.partial(measure, settings=shared, **known), functools.partial(_tell_cell, tell, name)
        place = run.folder / name
        part = sweep(bound, cells, place, workers=min(workers, len(cells)), cluster=cluster, on_progress=told)
        measured.append(part.isel(seed=0, drop=True) if name in study.once else part)
    results = xr.merge(measured, combine_attrs="drop", join="exact", compat="no_conflicts")
    known = {key: value for part in measured for key, value in part.attrs.items() if key not in _SWEEP_MARKS}
    about = {"study": study.name, "format": RESULTS_FORMAT, "settings": settings.to_dict()}
    results.attrs = {**known, **about, "versions": joined_versions(measured), "layout": layout_of(results)}
    tell("writing", 0, 1)
    write_dataset(results, run.folder / "results.nc")
    finished = _published(study, results, run.folder)
    tell("done", 1, 1)
    return finished


def write_report(study: Study[Any], folder: str | Path) -> FinishedStudy:
    """Write ``report.html``, the figures (PNG, SVG) and the tables (CSV) beside the results of a study.

    Args:
        study: what was run.
        folder: a folder in which it has left its ``results.nc``.

    Returns:
        Results, tables and verdicts.

    Raises:
        ValueError: there is no ``results.nc``, or it is of something else, or parts of it are missing.
    """
    folder = Path(folder).resolve()
    results = read_dataset(folder / "results.nc")
    if results.attrs.get("study") != study.name:
        raise invalid_argument("folder", str(folder), f"a folder with the results of a {study.name} study")
    if results.attrs.get("format") != RESULTS_FORMAT:
        raise invalid_argument("folder", f"{folder}, whose results an older version wrote", "results of this version")
    refuse_parts(results, folder)
    try:
        study.settings.from_dict(results.attrs["settings"])
    except (ValueError, TypeError) as error:
        why = f"{folder}, with other settings ({error})".splitlines()[0]
        raise invalid_argument("folder", why, f"the results of a {study.name} study") from None
    return _published(study, results, folder)


def refuse_parts(results: xr.Dataset, folder: Path, texts: Sequence[str] = ()) -> None:
    """Refuse results that are not as their command has left them.

    Args:
        results: as they were read.
        folder: where they lie.
        texts: names of further attributes, which hold texts.

    Raises:
        ValueError: settings or versions are no tables, or a variable is missing, or of another shape or kind.

    >>> less = xr.Dataset(attrs={"settings": {}, "versions": {}, "layout": {"area": [[], [], "f"]}})
    >>> refuse_parts(less, Path("wine"))
    Traceback (most recent call last):
    ValueError: folder: got 'wine, where area is not as it was', expected whole results; their command makes them again
    """
    wrong = [name for name in ("settings", "versions") if not isinstance(results.attrs.get(name), dict)]
    wrong += [name for name in texts if not isinstance(results.attrs.get(name), str)]
    written, found = results.attrs.get("layout"), layout_of(results)
    # Results of before this version do not say how they were.
    if isinstance(written, dict):
        wrong += [name for name in {**written, **found} if written.get(name) != found.get(name)]
    if wrong:
        got = f"{folder}, where {wrong[0]} is not as it was"
        raise invalid_argument("folder", got, "whole results; their command makes them again")


def settings_of_run(study: Study[Settings], folder: str | Path) -> Settings:
    """Read the settings of a study from its folder.

    Raises:
        ValueError: if the folder holds no run of this study.
    """
    plain = read_settings(folder)
    if plain.get("study") != study.name:
        raise invalid_argument("folder", str(folder), f"the folder of a {study.name} study of this version")
    return study.settings.from_dict({k: value for k, value in plain.items() if k not in ("study", "checksums")})


def default_folder(study: str, settings: StudySettings) -> Path:
    """Return the folder that a study of these data goes to when none is named.

    >>> default_folder("pruning", StudySettings("mnist")).as_posix()
    'neurogames-runs/pruning-mnist'
    """
    names = [settings.data] if isinstance(settings.data, str) else settings.data
    parts = (re.sub(r"\W+", "-", short_name(name)).strip("-") or "table" for name in names)
    return Path("neurogames-runs") / "-".join([study, *parts])


def _published(study: Study[Settings], results: xr.Dataset, folder: Path) -> FinishedStudy:
    """The study whose page has just been written."""
    settings = study.settings.from_dict(results.attrs["settings"])
    page = study.page(results, settings)
    place = _from_here(folder)
    rerun = ["neurogames", "study", study.name, "--settings-from", place, "--out", f"{place}-again"]
    write_page(page, folder, rerun=shlex.join(rerun), settings=settings.to_dict(), versions=results.attrs["versions"])
    return FinishedStudy(folder, results, {table.name: table.frame for table in page.tables}, list(page.verdicts))


def _from_here(folder: Path) -> str:
    """A folder by the name that holds where the user stands: relative to the current one if it lies below it."""
    whole, here = folder.resolve(), Path.cwd()
    return str(whole.relative_to(here) if here in whole.parents else whole)


def _tell_cell(tell: Progress, stage: str, done: int, total: int, _: dict[str, Any]) -> None:
    tell(stage, done, total)


def _silent(*_: object) -> None:
    """Progress that nobody asked for."""
