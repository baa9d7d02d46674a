"""How often the bands of the prediction hold what was trained after it.

A band of level .9 is to hold 90 % of what it is made for. Two are judged: that of a mean over repetitions, one for
each setting (dataset, keep probability), and that of single networks, one for each repetition of each setting, which
needs at least 2 / (1 - level) - 1 repetitions.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from neurogames.bridge import TrainingPrediction
from neurogames.lab.studies.comparison.equal_error import MAIN_METRIC
from neurogames.lab.studies.comparison.settings import DROPOUT, LAW, LAW_AND_NOISE

LEVELS = (0.5, 0.8, 0.9, 0.95)


def coverage_table(results: xr.Dataset) -> pd.DataFrame:
    """Return how often the bands hold the later trainings, for the first target noise.

    Args:
        results: a comparison's results.

    Returns:
        One row per quantity at the end of training (area of the robustness curve, clean value, composition) and level:
        ``settings`` (dataset, keep probability below 1) and the share of their means ``means_inside``; ``networks`` and
        the share ``networks_inside``, NaN where there are too few repetitions for such a band. Repetitions of which a
        network diverged are left out.
    """
    rows = []
    for name, stacks in _quantities(results).items():
        for level in LEVELS:
            means: list[bool] = []
            networks: list[NDArray[np.bool_]] = []
            for law, noisy, measured in stacks:
                n = len(law)
                if n < 2:
                    continue
                courses = {name: law[:, None]}, {name: noisy[:, None]}
                prediction = TrainingPrediction(tuple(range(n)), np.ones(1), *courses)
                low, high = prediction.mean_band(name, level=level)
                means.append(bool(low[0] <= measured.mean() <= high[0]))
                if n >= math.ceil(2 / (1 - level) - 1 - 1e-9):
                    lower, upper = (end[:, 0] for end in prediction.band(name, level=level))
                    networks.append((lower <= measured) & (measured <= upper))
            singles = np.concatenate(networks) if networks else np.empty(0)
            rows.append(
                {
                    "quantity": name,
                    "level": level,
                    "settings": len(means),
                    "means_inside": float(np.mean(means)) if means else math.nan,
                    "networks": len(singles),
                    "networks_inside": float(singles.mean()) if len(singles) else math.nan,
                }
            )
    return pd.DataFrame(rows)


def _quantities(results: xr.Dataset) -> dict[str, list[NDArray[np.float64]]]:
    """For each quantity and setting: law, law with noise and training, (3, repetitions) without those that diverged."""
    main = {"metric": MAIN_METRIC[results.attrs["task"]]}
    chosen = {
        "area": ("area", main, {}),
        "clean value": ("curve", main, {"level": 0}),
        "composition": ("composition", {}, {"share": -1}),
    }
    found: dict[str, list[NDArray[np.float64]]] = {}
    for label, (name, labels, places) in chosen.items():
        columns = [
            results[f"predicted_{name}"].sel(prediction=LAW),
            results[f"predicted_{name}"].sel(prediction=LAW_AND_NOISE),
            results[name].sel(training=DROPOUT),
        ]
        ready = [
            column.sel(labels)
            .isel({**places, "target_noise": 0, "keep_prob": slice(None, -1)})
            .transpose("dataset", "keep_prob", "seed")
            .values
            for column in columns
        ]
        settings = np.stack(ready, axis=2).reshape(-1, 3, results.sizes["seed"])
        found[label] = [setting[:, np.isfinite(setting).all(axis=0)] for setting in settings]
    return found
