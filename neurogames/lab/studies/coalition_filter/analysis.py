"""What the NEUROGAME study says: tables of differences paired by seed, and what their intervals support.

The filter in question is the first of the settings, named before the runs; the claims are about it alone. The unit of
every difference is the repetition (seed): first weights, order of the rows, random masks. Repetitions share the test
rows, so an interval speaks of training anew, on these data. A claim is held against several controls, and counts as
supported only where the interval of every difference excludes 0 on the better side, which needs no correction for
their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.inference.statistics import Interval, paired_difference
from neurogames.lab.studies.coalition_filter.maps import GRAD_CAM, MAPS
from neurogames.lab.studies.coalition_filter.settings import CONTROLS, MLP, NeurogameSettings

POINTS = 100.0
OPPONENTS = (*CONTROLS, MLP)


@dataclass(frozen=True)
class Quantity:
    """A number of each trained network: its name, in words, unit of differences, and which direction is better."""

    name: str
    words: str
    unit: str
    scale: float
    better: int


ACCURACY = Quantity("accuracy", "test accuracy", "points", POINTS, 1)
TEST_LOSS = Quantity("test loss", "test loss", "", 1.0, -1)
GAP = Quantity("loss gap", "gap between test and training loss", "", 1.0, -1)
QUANTITIES = (ACCURACY, TEST_LOSS, GAP)


def final(results: xr.Dataset, quantity: Quantity) -> xr.DataArray:
    """Return a quantity (seed, arm) after the last epoch."""
    last = results.isel(epoch=-1)
    if quantity is ACCURACY:
        values = last["test_accuracy"]
    else:
        values = last["test_loss"] - (last["train_loss"] if quantity is GAP else 0.0)
    return (values * quantity.scale).transpose("seed", "arm")


def filters_of(results: xr.Dataset) -> list[str]:
    """Names of the coalition filters, the one in question first."""
    return list(NeurogameSettings.from_dict(results.attrs["settings"]).filters)


def arm_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per arm: means over seeds.

    Args:
        results: a NEUROGAME study's results.

    Returns:
        Columns: ``accuracy`` (%) with its t interval ``low`` to ``high`` and ``train_accuracy``; ``test_loss``,
        ``minimum_test_loss`` (over epochs) and ``loss_gap``; the shares (%) ``passed`` by the gate and ``active``;
        ``parameters`` and ``epoch_seconds`` (median).
    """
    rng = np.random.default_rng(0)
    rows = []
    for arm in results["arm"].values:
        one = results.sel(arm=arm)
        last = one.isel(epoch=-1)
        accuracy = POINTS * last["test_accuracy"].values
        interval = paired_difference(accuracy, np.zeros_like(accuracy), rng=rng)
        rows.append(
            {
                "arm": str(arm),
                "accuracy": interval.estimate,
                "low": interval.low,
                "high": interval.high,
                "train_accuracy": POINTS * float(last["train_accuracy"].mean()),
                "test_loss": float(last["test_loss"].mean()),
                "minimum_test_loss": float(one["test_loss"].min("epoch").mean()),
                "loss_gap": float((last["test_loss"] - last["train_loss"]).mean()),
                "passed": POINTS * float(one["passed"].mean()),
                "active": POINTS * float(last["active"].mean()),
                "parameters": int(one["parameters"].isel(seed=0)),
                "epoch_seconds": float(one["seconds"].median()),
            }
        )
    return pd.DataFrame(rows)


def difference_table(results: xr.Dataset, *, rng: np.random.Generator) -> pd.DataFrame:
    """Return how each filter differs from each control, and the filters from the one in question.

    Args:
        results: a NEUROGAME study's results.
        rng: numpy generator for the sign flips.

    Returns:
        One row per quantity ("accuracy" in percentage points, "test loss", "loss gap"), filter and opponent:
        ``difference`` (filter minus opponent), its t interval ``low`` to ``high`` over ``n`` seeds, the sign-flip
        ``p``, and ``claims``: "better", "worse" or "none".
    """
    filters = filters_of(results)
    rows = []
    for quantity in QUANTITIES:
        values = final(results, quantity)
        for name in filters:
            for opponent in (*OPPONENTS, *filters[: int(name != filters[0])]):
                found = paired_difference(values.sel(arm=name).values, values.sel(arm=opponent).values, rng=rng)
                rows.append(_row(found, quantity.better, quantity=quantity.name, filter=name, opponent=opponent))
    return pd.DataFrame(rows)


def map_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per filter and map: agreement with Grad-CAM and areas, means over seeds.

    Args:
        results: a NEUROGAME study's results.

    Returns:
        Columns: ``agreement`` (Spearman over pixels), ``images`` for which there is one, and the areas
        ``deletion`` (small is good) and ``insertion`` (large is good).
    """
    rows = []
    for name in filters_of(results):
        for shown in MAPS:
            one = results.sel({"filter": name, "map": shown})
            areas = {curve: float(one["area"].sel(curve=curve).mean()) for curve in ("deletion", "insertion")}
            agreement = {"agreement": float(one["agreement"].mean()), "images": float(one["agreed"].mean())}
            rows.append({"filter": name, "map": shown, **agreement, **areas})
    return pd.DataFrame(rows)


def map_differences(results: xr.Dataset, *, rng: np.random.Generator) -> pd.DataFrame:
    """Return how the Shapley map of each filter differs from the other maps.

    Args:
        results: a NEUROGAME study's results.
        rng: numpy generator for the sign flips.

    Returns:
        One row per quantity ("agreement", "deletion", "insertion"), filter and opponent (a map), with the columns of
        :func:`difference_table`.
    """
    rows = []
    for quantity, better in (("agreement", 1), ("deletion", -1), ("insertion", 1)):
        for name in filters_of(results):
            values = results["agreement"] if quantity == "agreement" else results["area"].sel(curve=quantity)
            values = values.sel(filter=name)
            for opponent in MAPS[1:]:
                if quantity == "agreement" and opponent == GRAD_CAM:
                    continue
                pair = values.sel(map="Shapley").values, values.sel(map=opponent).values
                if np.isfinite(pair).all():
                    found = paired_difference(*pair, rng=rng)
                    rows.append(_row(found, better, quantity=quantity, filter=name, opponent=opponent))
    return pd.DataFrame(rows)


def _row(found: Interval, better: int, **labels: str) -> dict[str, object]:
    """A row of a table of differences."""
    numbers = {
        "difference": found.estimate,
        "low": found.low,
        "high": found.high,
        "p": found.p_value,
        "n": found.n,
        "claims": _claim(found, better),
    }
    return {**labels, **numbers}


def _claim(found: Interval, better: int) -> str:
    """What an interval allows to be claimed; comparisons with a missing end are False."""
    if better * found.low > 0 and better * found.high > 0:
        return "better"
    return "worse" if better * found.low < 0 and better * found.high < 0 else "none"
