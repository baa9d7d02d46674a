"""The area of a control at the clean error of a gradient-dropout network, and the unit in which areas are compared.

The *area* of a robustness curve is the mean distance from its clean value over the noise levels: the smaller, the
flatter.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurogames.lab.studies.comparison.settings import DROPOUT, TRAININGS

MAIN_METRIC = {"regression": "mse", "classification": "accuracy"}
"""The metric whose curve is judged, by task."""


def plain_area(results: xr.Dataset) -> xr.DataArray:
    """Return the area of plain backpropagation, the unit in which datasets can be compared.

    Args:
        results: a comparison's results.

    Returns:
        Mean over seeds of the area at keep 1, over dataset and target noise; NaN where a curve is perfectly flat.
    """
    area = results["area"].sel(metric=MAIN_METRIC[results.attrs["task"]], training=DROPOUT, drop=True)
    plain = area.isel(keep_prob=-1, drop=True).mean("seed")
    return plain.where(plain > 0)


def equal_clean_error(results: xr.Dataset) -> xr.DataArray:
    """Return the controls' area at the clean value of each gradient-dropout network, mean of the two controls.

    Args:
        results: a comparison's results.

    Returns:
        Dimensions dataset, seed, target_noise and keep_prob (below 1); NaN where neither control's path passes
        through that clean value.
    """
    main = MAIN_METRIC[results.attrs["task"]]
    area = results["area"].sel(metric=main)
    clean = results["curve"].sel(metric=main).isel(level=0)
    masked = clean.sel(training=DROPOUT)
    matches = [
        xr.apply_ufunc(
            area_at_equal_clean_value,
            masked.rename(keep_prob="wanted"),
            clean.sel(training=control),
            area.sel(training=control),
            input_core_dims=[["wanted"], ["keep_prob"], ["keep_prob"]],
            output_core_dims=[["wanted"]],
            vectorize=True,
        )
        for control in TRAININGS[1:]
    ]
    joined: xr.DataArray = xr.concat(matches, dim="control", coords="minimal", compat="override")
    both = joined.mean("control", skipna=True)
    return both.rename(wanted="keep_prob").isel(keep_prob=slice(None, -1))


def area_at_equal_clean_value(
    wanted: NDArray[np.float64], clean: NDArray[np.float64], area: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the area where a control's path has each wanted clean value.

    The path joins the control's points (clean, area) in the order of keep by straight lines. Where it passes through
    the wanted value more than once, the passage nearest to the same place in the grid counts.

    Args:
        wanted: (keeps,) clean values of gradient dropout on the grid.
        clean: (keeps,) clean values of the control on the same grid.
        area: (keeps,) areas of the control.

    Returns:
        (keeps,) areas, NaN where the path does not pass through the wanted value.

    >>> area_at_equal_clean_value(np.array([3.0, 9.0]), np.array([4.0, 2.0]), np.array([1.0, 5.0]))
    array([ 3., nan])
    """
    before, after = clean[:-1], clean[1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = (wanted[:, None] - before) / (after - before)
    here, start = np.arange(len(wanted))[:, None], np.arange(len(before))
    # A stretch of one clean value passes through it everywhere.
    level = (wanted[:, None] == before) & (before == after)
    part = np.where(level, np.clip(here - start, 0.0, 1.0), part)
    passes = (part >= 0.0) & (part <= 1.0)
    distance = np.where(passes, np.abs(start + part - here), np.inf)
    nearest = distance.argmin(axis=1)
    rows = np.arange(len(wanted))
    found = area[nearest] + part[rows, nearest] * (area[nearest + 1] - area[nearest])
    return np.where(np.isfinite(distance[rows, nearest]), found, np.nan)
