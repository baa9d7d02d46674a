"""The main job: simulate the game, train the networks, measure both, and set the one against the other."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from neurogames._arguments import integer, invalid_argument
from neurogames.games import PublicGoodsGame
from neurogames.lab.data.datasets import load_dataset
from neurogames.lab.data.preparation import prepare
from neurogames.lab.runs.run_folder import open_run
from neurogames.lab.runs.store import read_dataset, versions, write_dataset
from neurogames.lab.runs.sweep import sweep
from neurogames.lab.studies.comparison.measure import measure_repetition
from neurogames.lab.studies.comparison.plots import short_name
from neurogames.lab.studies.comparison.report import Findings, write_report
from neurogames.lab.studies.comparison.settings import Settings
from neurogames.lab.studies.comparison.simulation import simulate_composition
from neurogames.lab.studies.study import Progress


@dataclass(frozen=True, eq=False)
class Comparison:
    """A finished comparison.

    Attributes:
        folder: where ``results.nc``, ``report.html``, ``settings.toml``, figures and tables lie.
        results: every number, labelled.
        controls: gradient dropout against its controls, a row per target noise and opponent.
        correlations: simulation against measurement, a row per target noise, mask, measured quantity and training.
        verdicts: what can be said, in sentences.
    """

    folder: Path
    results: xr.Dataset
    controls: pd.DataFrame
    correlations: pd.DataFrame
    verdicts: list[str]


def compare(
    settings: Settings | None = None,
    folder: str | Path | None = None,
    *,
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> Comparison:
    """Set simulation against training on real data, and write a folder with results and report.

    A second call with the same settings and folder resumes what is missing; the result does not depend on the
    number of workers or on interruptions.

    Args:
        settings: what to compare; the defaults take the diabetes table that comes with scikit-learn.
        folder: where to write; :func:`default_folder` if not given.
        workers: processes that train side by side, one thread each; every core if not given.
        on_progress: called as ``on_progress(stage, done, total)``.

    Returns:
        Results, tables and verdicts.

    Raises:
        ValueError: for data that cannot be used, or a folder that holds something else; before any work.
    """
    settings = Settings() if settings is None else settings
    folder = default_folder(settings) if folder is None else Path(folder)
    workers = (os.cpu_count() or 1) if workers is None else integer("workers", workers, minimum=1)
    tell = on_progress or _silent
    task, checksums = check_data(settings)
    run = open_run(folder, {**settings.to_dict(), "checksums": checksums})

    tell("simulating", 0, 1)
    simulation = _simulation(run.folder / "simulation.nc", settings)
    cells = [
        {"dataset": name, "seed": seed}
        for name in settings.data
        for seed in range(settings.first_seed, settings.first_seed + settings.seeds)
    ]
    tell("training", 0, len(cells))
    trained = sweep(
        functools.partial(measure_repetition, settings=settings.to_dict()),
        cells,
        run.folder,
        workers=min(workers, len(cells)),
        on_progress=lambda done, total, _: tell("training", done, total),
    )
    results = xr.merge([trained, simulation], combine_attrs="drop", join="exact", compat="no_conflicts")
    results.attrs = {"task": task, "settings": settings.to_dict(), "versions": versions()}
    tell("writing", 0, 1)
    write_dataset(results, run.folder / "results.nc")
    findings: Findings = write_report(run.folder)
    tell("done", 1, 1)
    return Comparison(run.folder, results, findings.controls, findings.correlations, findings.verdicts)


def default_folder(settings: Settings) -> Path:
    """Return the folder that a comparison of these data goes to when none is named.

    >>> default_folder(Settings(data=("wine",))).as_posix()
    'neurogames-runs/wine'
    """
    names = (re.sub(r"\W+", "-", short_name(name)).strip("-") or "table" for name in settings.data)
    return Path("neurogames-runs") / "-".join(names)


def check_data(settings: Settings) -> tuple[str, dict[str, str]]:
    """Load and prepare every dataset once.

    Returns:
        Their common task, and a checksum of each table by its name: a run whose table changes is another run.

    Raises:
        ValueError: if one cannot be used, has fewer training rows than a batch, or is of another task.
    """
    tasks, checksums = {}, {}
    for name in settings.data:
        table = load_dataset(name, target=settings.target, task=settings.task)
        rows = len(prepare(table, rng=np.random.default_rng(settings.first_seed)).train_inputs)
        if rows < settings.batch_size:
            raise invalid_argument("batch_size", settings.batch_size, f"at most the {rows} training rows of {name}")
        hashed = pd.util.hash_pandas_object(table.features.assign(**{"": table.target}), index=False)
        tasks[name], checksums[name] = table.task, hashlib.sha256(hashed.to_numpy().tobytes()).hexdigest()[:16]
    if len(set(tasks.values())) > 1:
        raise invalid_argument("data", tasks, "datasets of one task, or task= to force it")
    return tasks[settings.data[0]], checksums


def _silent(*_: object) -> None:
    """Progress that nobody asked for."""


def _simulation(path: Path, settings: Settings) -> xr.Dataset:
    """Read the simulated game if it is there, or simulate and store it."""
    if path.exists():
        return read_dataset(path)
    result = simulate_composition(
        PublicGoodsGame(settings.n_players, settings.cost, settings.multiplier),
        keep_probs=settings.keep_probs,
        temperature=settings.temperature,
        sweeps=settings.sweeps,
        replicas=settings.replicas,
        rng=np.random.default_rng([settings.first_seed, 0]),
    )
    write_dataset(result, path)
    return result
