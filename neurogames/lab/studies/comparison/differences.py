"""Differences of robustness: the one rule by which their intervals and tests are made, and the parts of an effect.

The *area* of a robustness curve is the mean distance from its clean value over the noise levels: the smaller, the
flatter. Differences of areas are in units of the mean area of plain backpropagation on the same dataset, and their
unit is the repetition (dataset, seed). Interval and p-value of a mean difference are both Student's t, so that the
95 % interval excludes 0 exactly where p < .05.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.inference.statistics import mean_difference as mean_difference
from neurogames.lab.studies.comparison.equal_error import MAIN_METRIC, plain_area
from neurogames.lab.studies.comparison.settings import DROPOUT, LAW, LAW_AND_NOISE

TRAINED = ("curve", "area", "slope", "composition", "steps", "diverged")
BAND = 0.9
WHOLE, BY_LAW, BEYOND = "whole effect", "by the law", "beyond the law"


def with_law(results: xr.Dataset) -> xr.Dataset:
    """Return what was trained with the law as the second way of training, after gradient dropout."""
    predicted = results[[f"predicted_{name}" for name in TRAINED]].sel(prediction=[LAW])
    renamed = predicted.rename({"prediction": "training"} | {f"predicted_{name}": name for name in TRAINED})
    trained = results[list(TRAINED)]
    parts = [trained.isel(training=slice(0, 1)), renamed, trained.isel(training=slice(1, None))]
    return xr.concat(parts, dim="training", join="exact").assign_attrs(results.attrs)


def changes(results: xr.Dataset) -> xr.Dataset:
    """Return the change of area against plain backpropagation, in units of plain's.

    Args:
        results: a comparison's results.

    Returns:
        Over dataset, seed, target_noise and keep_prob below 1: one variable for each way of training, and those of
        the prediction.
    """
    main = MAIN_METRIC[results.attrs["task"]]
    area, predicted = results["area"].sel(metric=main), results["predicted_area"].sel(metric=main)
    plain = area.sel(training=DROPOUT, drop=True).isel(keep_prob=-1, drop=True)
    found = {str(name): area.sel(training=name, drop=True) for name in area["training"].values}
    found |= {str(name): predicted.sel(prediction=name, drop=True) for name in predicted["prediction"].values}
    below = {name: values.isel(keep_prob=slice(None, -1)) for name, values in found.items()}
    return xr.Dataset({name: (values - plain) / plain_area(results) for name, values in below.items()}).drop_vars(
        "metric", errors="ignore"
    )


def effects(results: xr.Dataset) -> pd.DataFrame:
    """Split the effect of gradient dropout on the area into the part of the law and what is beyond it.

    In each repetition, averaged over keep probabilities below 1, whole = by the law + beyond::

        (dropout - plain) = (law - plain) + (dropout - law)

    Args:
        results: a comparison's results.

    Returns:
        One row per target noise and part: ``difference``, ``low`` and ``high`` (95 %, t), ``p`` (t test) and ``n``
        repetitions; negative is flatter.
    """
    found = changes(results)
    parts = {WHOLE: found[DROPOUT], BY_LAW: found[LAW], BEYOND: found[DROPOUT] - found[LAW]}
    usable = np.isfinite(found[DROPOUT]) & np.isfinite(found[LAW])
    rows = []
    for noise in results["target_noise"].values:
        for part, values in parts.items():
            chosen = values.where(usable).sel(target_noise=noise).mean("keep_prob", skipna=True)
            rows.append({"target noise": noise, "part": part, **_row(chosen)})
    return pd.DataFrame(rows)


def predicted_and_measured(results: xr.Dataset) -> pd.DataFrame:
    """Set the prediction beside the training, at every keep probability.

    The 90 % band of the prediction is that for the mean over as many networks with masks, see
    :meth:`neurogames.bridge.TrainingPrediction.mean_band`.

    Args:
        results: a comparison's results.

    Returns:
        One row per target noise and keep probability: the change of area against plain as ``predicted``, its band
        ``band_low`` to ``band_high`` and whether the measured mean is ``inside``; ``measured`` with ``low`` and
        ``high``; ``beyond`` (measured minus predicted) with ``beyond_low``, ``beyond_high`` and ``beyond_p`` (95 %, t);
        ``n`` repetitions.
    """
    found = changes(results).stack(run=("dataset", "seed"))
    rows = []
    for noise in results["target_noise"].values:
        for keep in found["keep_prob"].values:
            here = found.sel(target_noise=noise, keep_prob=keep)
            columns = np.stack([here[name].values for name in (LAW, LAW_AND_NOISE, DROPOUT)])
            law, noisy, measured = columns[:, np.isfinite(columns).all(axis=0)]
            low, high = _mean_band(law, noisy)
            ours, beyond = mean_difference(measured), mean_difference(measured - law)
            rows.append(
                {
                    "target noise": noise,
                    "keep": float(keep),
                    "predicted": float(law.mean()) if len(law) else math.nan,
                    "band_low": low,
                    "band_high": high,
                    "measured": ours.estimate,
                    "low": ours.low,
                    "high": ours.high,
                    "inside": bool(low <= ours.estimate <= high),
                    "beyond": beyond.estimate,
                    "beyond_low": beyond.low,
                    "beyond_high": beyond.high,
                    "beyond_p": beyond.p_value,
                    "n": len(law),
                }
            )
    return pd.DataFrame(rows)


def first_noise(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the first target noise of a table that has a column of them."""
    return table.query("`target noise` == @table['target noise'].iloc[0]")


def _mean_band(law: np.ndarray, noisy: np.ndarray) -> tuple[float, float]:
    """Band for the mean over runs, NaN where there are fewer than two."""
    if len(law) < 2:
        return math.nan, math.nan
    courses = {"change": law[:, None]}, {"change": noisy[:, None]}
    from neurogames.bridge import TrainingPrediction  # loads torch, which the command simulate does without

    lower, upper = TrainingPrediction(tuple(range(len(law))), np.ones(1), *courses).mean_band("change", level=BAND)
    return float(lower[0]), float(upper[0])


def _row(values: xr.DataArray) -> dict[str, float]:
    """Mean difference over repetitions, as columns of a table."""
    runs = values.stack(run=("dataset", "seed")).dropna("run").values
    found = mean_difference(runs)
    return {
        "difference": found.estimate,
        "low": found.low,
        "high": found.high,
        "p": found.p_value,
        "n": found.n,
    }
