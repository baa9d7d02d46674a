"""The pruning study: the paper's algorithm, the corrected rule, and every control, at equal epochs.

It has three parts, each a sweep over seeds in a subfolder of the run: "prices" (the corrected rule over a path of
prices, with its controls), "paper" (the paper's four configurations, epoch by epoch) and "game" (the game of a network
trained plainly). Whatever is finished stays; the same call goes on where another one stopped.
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
from neurogames.lab.data.images import load_images
from neurogames.lab.pruning.game import measure_game
from neurogames.lab.pruning.measure import measure_paper, measure_prices
from neurogames.lab.pruning.page import write_pruning_page
from neurogames.lab.pruning.settings import PruningSettings
from neurogames.lab.store import open_run, read_settings, versions, write_dataset
from neurogames.lab.sweep import sweep

PARTS = {"prices": measure_prices, "paper": measure_paper, "game": measure_game}
Progress = Callable[[str, int, int], object]


@dataclass(frozen=True, eq=False)
class PruningStudy:
    """A finished pruning study.

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


def run_pruning(
    settings: PruningSettings | None = None,
    folder: str | Path | None = None,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> PruningStudy:
    """Train, prune and measure everything, and write a folder with results and report.

    A second call with the same settings and folder computes what is missing; but for measured seconds, the result
    does not depend on the number of workers or on interruptions.

    Args:
        settings: what to study; the defaults take MNIST and a network 784-512-256-10.
        folder: where to write; :func:`default_folder` if not given.
        workers: processes that train side by side, one thread each; every core if not given.
        progress: called as ``progress(stage, done, total)``.

    Returns:
        Results, tables and verdicts.

    Raises:
        ValueError: for data that cannot be found, or a folder that holds something else; before any work.
        RuntimeError: if a repetition fails; those finished before stay.
    """
    settings = PruningSettings() if settings is None else settings
    folder = default_folder(settings) if folder is None else Path(folder)
    workers = (os.cpu_count() or 1) if workers is None else whole("workers", workers, least=1)
    rows = len(load_images(settings.data, rows=settings.rows).inputs)
    if rows < settings.batch_size:
        raise refusal("batch_size", settings.batch_size, f"at most the {rows} training rows of {settings.data}")
    run = open_run(folder, settings.to_dict())
    cells = [{"seed": seed} for seed in range(settings.first_seed, settings.first_seed + settings.seeds)]
    parts = []
    for name, measure in PARTS.items():
        stage = functools.partial(_tell, progress, name)
        stage(0, len(cells))
        bound = functools.partial(measure, settings=settings.to_dict())
        parts.append(sweep(bound, cells, run.folder / name, workers=min(workers, len(cells)), progress=stage))
    results = xr.merge(parts, combine_attrs="drop", join="exact", compat="no_conflicts")
    results.attrs = {"study": "pruning", "settings": settings.to_dict(), "versions": versions()}
    _tell(progress, "writing", 0, 1)
    write_dataset(results, run.folder / "results.nc")
    findings = write_pruning_page(run.folder)
    _tell(progress, "done", 1, 1)
    return PruningStudy(run.folder, results, findings.tables, findings.verdicts)


def default_folder(settings: PruningSettings) -> Path:
    """Return the folder that a study of these data goes to when none is named.

    >>> default_folder(PruningSettings()).as_posix()
    'neurogames-runs/pruning-mnist-mlp'
    """
    return Path("neurogames-runs") / f"pruning-{settings.data}-{settings.architecture}"


def read_pruning_settings(folder: str | Path) -> PruningSettings:
    """Read the settings of a pruning study from its folder.

    Raises:
        ValueError: if the folder holds no run of a pruning study.
    """
    plain = read_settings(folder)
    foreign = [name for name in plain if name not in PruningSettings.__dataclass_fields__]
    if foreign:
        raise refusal("again", f"{folder} with the setting {foreign[0]!r}", "the folder of a pruning study")
    return PruningSettings(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    )


def _tell(progress: Progress | None, stage: str, done: int, total: int, *_: object) -> None:
    """Report where the work stands, to whoever asked."""
    if progress is not None:
        progress(stage, done, total)
