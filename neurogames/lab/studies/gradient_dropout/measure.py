"""What the study measures: the law's prediction, stored first, and then the trainings with masks."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurogames.lab.data.images import Images
from neurogames.lab.data.preparation import Prepared
from neurogames.lab.studies.gradient_dropout.chain import measure_distances, measure_layer_rates
from neurogames.lab.studies.gradient_dropout.course import DROPOUT, GAUSSIAN, LAW, PLAIN, measure_course, planted_rows
from neurogames.lab.studies.gradient_dropout.repetition import data_seed, open_data, shortcut_kind
from neurogames.lab.studies.gradient_dropout.search import measure_cells
from neurogames.lab.studies.gradient_dropout.settings import GradientDropoutSettings


def measure_prediction(dataset: str, seed: int, *, settings: GradientDropoutSettings) -> xr.Dataset:
    """Train plainly and with the law, without any mask.

    Args:
        dataset: name of the data.
        seed: number of the repetition.
        settings: those of the study.

    Returns:
        What :func:`.search.measure_cells` and :func:`.course.measure_course` give of the ways "plain" and "law".
    """
    return _measured(dataset, seed, settings, (PLAIN, LAW), (PLAIN, LAW))


def measure_masks(dataset: str, seed: int, *, settings: GradientDropoutSettings) -> xr.Dataset:
    """Train with masks, and with normal gradient noise of their mean and covariance.

    Returns:
        The same of the ways "dropout" and "gaussian" (the course of "dropout" only).
    """
    return _measured(dataset, seed, settings, (DROPOUT, GAUSSIAN), (DROPOUT,))


def measure_law(dataset: str, seed: int, *, settings: GradientDropoutSettings) -> xr.Dataset:
    """Test the law itself: distances over learning rates, and the rates of single layers.

    Returns:
        What :func:`.chain.measure_distances` gives, and ``layer_rate`` over layer; of the first strength.
    """
    data = open_data(dataset, seed, settings)
    rows, network_seed = planted_rows(
        data, strength=settings.strengths[0], kind=shortcut_kind(data), seed=data_seed(dataset, seed)
    )
    rates = measure_layer_rates(rows, settings, network_seed)
    return measure_distances(rows, settings, network_seed).assign(layer_rate=("layer", rates))


def _measured(
    dataset: str, seed: int, settings: GradientDropoutSettings, ways: tuple[str, ...], followed: tuple[str, ...]
) -> xr.Dataset:
    data, drawn = open_data(dataset, seed, settings), data_seed(dataset, seed)
    cells = measure_cells(data, ways, settings, drawn)
    return cells.merge(_courses(data, followed, settings, drawn))


def _courses(
    data: Prepared | Images, ways: tuple[str, ...], settings: GradientDropoutSettings, seed: int
) -> xr.Dataset:
    """Courses of composition over (strength, time)."""
    parts = [
        measure_course(
            data,
            seed=seed,
            ways=ways,
            strength=strength,
            kind=shortcut_kind(data),
            keep_prob=settings.course_keep,
            learning_rate=settings.adam_rates[0],
            batch_size=settings.batch_sizes[0],
            epochs=settings.epochs,
            hidden=settings.hidden,
        )
        for strength in settings.strengths
    ]
    return xr.concat(parts, dim="strength").assign_coords(strength=np.array(settings.strengths))
