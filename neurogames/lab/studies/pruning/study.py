"""The pruning study: the paper's algorithm, the corrected rule, and every control, at equal epochs.

Its parts are "sizes" (the corrected rule with smaller and smaller budgets of units, with its controls), "paper" (the
paper's four configurations, epoch by epoch) and "game" (the game of a network trained plainly).
"""

from __future__ import annotations

from pathlib import Path

from neurogames._arguments import invalid_argument
from neurogames.bridge.participation.price_path import LEAST_STEPS
from neurogames.lab.data.images import load_images
from neurogames.lab.studies.pruning.game import measure_game
from neurogames.lab.studies.pruning.measure import measure_paper, measure_sizes
from neurogames.lab.studies.pruning.page import write_pruning_page
from neurogames.lab.studies.pruning.settings import PruningSettings
from neurogames.lab.studies.study import FinishedStudy, Progress, run_parts

PARTS = {"sizes": measure_sizes, "paper": measure_paper, "game": measure_game}


def run_pruning(
    settings: PruningSettings | None = None,
    folder: str | Path | None = None,
    *,
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> FinishedStudy:
    """Train, prune and measure everything, and write a folder with results and report.

    A second call with the same settings and folder computes what is missing, and with more seeds only the new ones;
    but for measured seconds, the result does not depend on the number of workers or on interruptions.

    Args:
        settings: what to study; the defaults take MNIST and a network 784-512-256-10.
        folder: where to write; "neurogames-runs/pruning-DATA" if not given.
        workers: processes that train side by side, one thread each; every core if not given.
        on_progress: called as ``on_progress(stage, done, total)``.

    Returns:
        Results, tables and verdicts.

    Raises:
        ValueError: for data that cannot be found, or a folder that holds something else; before any work.
        RuntimeError: if a repetition fails; those finished before stay.
    """
    settings = PruningSettings() if settings is None else settings
    rows = len(load_images(settings.data, rows=settings.rows).inputs)
    if rows < settings.batch_size:
        raise invalid_argument(
            "batch_size", settings.batch_size, f"at most the {rows} training rows of {settings.data}"
        )
    steps = settings.epochs * (rows // settings.batch_size)
    if steps < LEAST_STEPS:
        raise invalid_argument("epochs", f"{settings.epochs}, {steps} steps in all", f"at least {LEAST_STEPS} steps")
    return run_parts("pruning", settings, folder, PARTS, write_pruning_page, workers=workers, on_progress=on_progress)
