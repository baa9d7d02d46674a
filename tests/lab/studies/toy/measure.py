"""One repetition of the toy study: a sample, its mean and its median."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurogames._arguments import invalid_argument
from tests.lab.studies.toy.settings import TAILS, ToySettings


def check_draws(settings: ToySettings) -> dict[str, str]:
    """Refuse more draws than there is time for, and name the law that is drawn from."""
    if settings.draws > 10_000:
        raise invalid_argument("draws", settings.draws, "at most 10000")
    return {settings.data: f"t{TAILS[settings.data]:g}"}


def measure_sample(seed: int, *, settings: ToySettings) -> xr.Dataset:
    """Draw one sample."""
    sample = np.random.default_rng(seed).standard_t(TAILS[settings.data], settings.draws)
    sample = sample if settings.rounding is None else sample.round(settings.rounding)
    values = {"mean": sample.mean(), "median": np.median(sample)}
    distances = [abs(value) for value in values.values()]
    return xr.Dataset({"distance": ("estimate", distances)}, {"estimate": list(values)}, {"law": "Student"})


def measure_law(seed: int, *, settings: ToySettings) -> xr.Dataset:
    """Say what the law predicts, once."""
    return xr.Dataset({"tail": TAILS[settings.data], "asked_with": seed})
