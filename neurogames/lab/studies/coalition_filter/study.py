"""The NEUROGAME study: coalition filters, their controls, and whether their Shapley values explain anything."""

from __future__ import annotations

from pathlib import Path

from neurogames._arguments import invalid_argument
from neurogames.lab.studies.coalition_filter.measure import measure_neurogame, study_images
from neurogames.lab.studies.coalition_filter.page import write_neurogame_page
from neurogames.lab.studies.coalition_filter.settings import NeurogameSettings
from neurogames.lab.studies.study import FinishedStudy, Progress, run_parts


def run_neurogame(
    settings: NeurogameSettings | None = None,
    folder: str | Path | None = None,
    *,
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> FinishedStudy:
    """Train and measure every arm, and write a folder with results and report.

    A second call with the same settings and folder computes what is missing, and with more seeds only the new ones;
    but for measured seconds, the result does not depend on the number of workers or on interruptions.

    Args:
        settings: what to study; the defaults take the digits of scikit-learn.
        folder: where to write; "neurogames-runs/neurogame-DATA" if not given.
        workers: processes that train side by side, one thread each; every core if not given.
        on_progress: called as ``on_progress(stage, done, total)``.

    Returns:
        Results, tables and verdicts.

    Raises:
        ValueError: for data that cannot be found or are too few, windows larger than the pictures, or a folder that
            holds something else; before any work.
        RuntimeError: if a repetition fails; those finished before stay.
    """
    settings = NeurogameSettings() if settings is None else settings
    images = study_images(settings)
    for name, least, rows in (
        ("batch_size", settings.batch_size, len(images.inputs)),
        ("explained", settings.explained, len(images.test_inputs)),
    ):
        if least > rows:
            raise invalid_argument(name, least, f"at most the {rows} rows there are")
    for window, *_ in settings.variants:
        if window > min(images.shape):
            raise invalid_argument(
                "variants", f"windows of {window} x {window}", f"windows within {images.shape} pictures"
            )
    parts = {"training": measure_neurogame}
    return run_parts(
        "neurogame", settings, folder, parts, write_neurogame_page, workers=workers, on_progress=on_progress
    )
