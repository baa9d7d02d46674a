"""The NEUROGAME study: coalition filters, their controls, and whether their Shapley values explain anything.

It is a sweep over seeds; each repetition trains every arm one after the other. Whatever is finished stays; the same
call goes on where another one stopped.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import xarray as xr

from neurogames.games.arguments import refusal, whole
from neurogames.lab.neurogame.measure import measure_neurogame, study_images
from neurogames.lab.neurogame.page import write_neurogame_page
from neurogames.lab.neurogame.settings import NeurogameSettings
from neurogames.lab.store import open_run, versions, write_dataset
from neurogames.lab.sweep import sweep

Progress = Callable[[str, int, int], object]


@dataclass(frozen=True, eq=False)
class NeurogameStudy:
    """A finished NEUROGAME study.

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


def run_neurogame(
    settings: NeurogameSettings | None = None,
    folder: str | Path | None = None,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> NeurogameStudy:
    """Train and measure every arm, and write a folder with results and report.

    A second call with the same settings and folder computes what is missing; but for measured seconds, the result
    does not depend on the number of workers or on interruptions.

    Args:
        settings: what to study; the defaults take the digits of scikit-learn.
        folder: where to write; :func:`default_folder` if not given.
        workers: processes that train side by side, one thread each; every core if not given.
        progress: called as ``progress(stage, done, total)``.

    Returns:
        Results, tables and verdicts.

    Raises:
        ValueError: for data that cannot be found or are too few, windows larger than the pictures, or a folder that
            holds something else; before any work.
        RuntimeError: if a repetition fails; those finished before stay.
    """
    settings = NeurogameSettings() if settings is None else settings
    folder = default_folder(settings) if folder is None else Path(folder)
    workers = (os.cpu_count() or 1) if workers is None else whole("workers", workers, least=1)
    images = study_images(settings)
    for name, least, rows in (
        ("batch_size", settings.batch_size, len(images.inputs)),
        ("explained", settings.explained, len(images.test_inputs)),
    ):
        if least > rows:
            raise refusal(name, least, f"at most the {rows} rows there are")
    for window, *_ in settings.variants:
        if window > min(images.shape):
            raise refusal("variants", f"windows of {window} x {window}", f"windows within {images.shape} pictures")
    run = open_run(folder, settings.to_dict())
    cells = [{"seed": seed} for seed in range(settings.first_seed, settings.first_seed + settings.seeds)]
    stage = functools.partial(_tell, progress, "training")
    stage(0, len(cells))
    measure = functools.partial(measure_neurogame, settings=settings.to_dict())
    results = sweep(measure, cells, run.folder, workers=min(workers, len(cells)), progress=stage)
    results.attrs = {"study": "neurogame", "settings": settings.to_dict(), "versions": versions()}
    _tell(progress, "writing", 0, 1)
    write_dataset(results, run.folder / "results.nc")
    findings = write_neurogame_page(run.folder)
    _tell(progress, "done", 1, 1)
    return NeurogameStudy(run.folder, results, findings.tables, findings.verdicts)


def default_folder(settings: NeurogameSettings) -> Path:
    """Return the folder that a study of these data goes to when none is named.

    >>> default_folder(NeurogameSettings()).as_posix()
    'neurogames-runs/neurogame-digits'
    """
    return Path("neurogames-runs") / f"neurogame-{settings.data}"


def _tell(progress: Progress | None, stage: str, done: int, total: int, *_: object) -> None:
    """Report where the work stands, to whoever asked."""
    if progress is not None:
        progress(stage, done, total)
