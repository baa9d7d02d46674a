"""What the pruning study says: tables, and how far a difference can be claimed.

All questions are put to stored results. The unit of every difference is the repetition (seed): first weights, order
of the rows and whatever is drawn. Repetitions share the test rows, so an interval speaks of training anew, on these
data, and not of other data. With n seeds no sign-flip test can go below p = 2^(1-n); tables show it beside the t
interval, which is what sentences rest on.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.inference.statistics import Interval, paired_difference
from neurogames.lab.studies.pruning.measure import CONTROLS, METHODS
from neurogames.lab.studies.pruning.settings import PruningSettings

PAPER_EPOCH = 20
"""The epoch at which the paper stops."""
PUBLISHED = {
    "Very High Beta": (0.9664, 768),
    "Extreme Beta": (0.9115, 37),
    "L1 Sparsity Strong": (0.8957, 13),
    "L1+L2 Combined": (0.9154, 15),
}
"""Accuracy and units kept of 768, on MNIST, as printed in arXiv 2512.22106, table 1 (percentages removed: 0, 95.18,
98.31 and 98.05)."""
SETTLED = 0.05
"""Largest best-response residual that is called an equilibrium here."""
POINTS = 100.0
ALL_SIZES = "all"


def settings_of(results: xr.Dataset) -> PruningSettings:
    """Return the settings of a pruning study from its results."""
    return PruningSettings.from_dict(results.attrs["settings"])


def published(results: xr.Dataset) -> dict[str, tuple[float, int]]:
    """Return the paper's points where the study is of the paper's network, else nothing."""
    settings = settings_of(results)
    found = (settings.data, settings.architecture, settings.hidden)
    return PUBLISHED if found == ("mnist", "mlp", (512, 256)) else {}


def stopping_epoch(results: xr.Dataset) -> int:
    """Return the epoch at which the paper stops, or the last one if the runs are shorter."""
    return min(PAPER_EPOCH, int(results["paper_epoch"][-1]))


def method_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per unit budget and method, and one for the dense network.

    Args:
        results: a pruning study's results.

    Returns:
        Columns: ``unit_budget``, ``method``, and over seeds the median ``accuracy`` (%) with ``minimum`` and
        ``maximum``, median ``units``, ``layers`` (median units of each layer), ``multiply_adds`` and ``test_loss``.
    """
    dense = results[["dense_accuracy", "dense_units", "dense_multiply_adds"]]
    dense = dense.rename({name: str(name).removeprefix("dense_") for name in dense})
    layers = (("seed", "layer"), [settings_of(results).hidden] * results.sizes["seed"])
    whole = _method_row(int(dense["units"].median()), "dense", dense.assign(test_loss=np.nan, layer_units=layers))
    pairs = itertools.product(results["unit_budget"].values, METHODS)
    rows = (
        _method_row(int(unit_budget), name, results.sel({"unit_budget": unit_budget, "method": name}))
        for unit_budget, name in pairs
    )
    return pd.DataFrame([whole, *rows])


def _method_row(unit_budget: int, method: str, one: xr.Dataset) -> dict[str, object]:
    accuracy = one["accuracy"].values * POINTS
    return {
        "unit_budget": unit_budget,
        "method": method,
        "units": float(one["units"].median()),
        "layers": "-".join(f"{units:g}" for units in one["layer_units"].median("seed").values),
        "multiply_adds": float(one["multiply_adds"].median()),
        "accuracy": float(np.median(accuracy)),
        "minimum": float(accuracy.min()),
        "maximum": float(accuracy.max()),
        "test_loss": float(one["test_loss"].median()),
    }


def difference_table(results: xr.Dataset, *, rng: np.random.Generator) -> pd.DataFrame:
    """Return how much more accurate the equilibrium is than each opponent, paired by seed.

    Args:
        results: a pruning study's results.
        rng: numpy generator for the sign flips.

    Returns:
        One row per opponent (the controls of equal numbers of units, and the dense network) and unit budget, and
        one for the mean over these: ``difference`` in percentage points, its t interval ``low`` to ``high`` over ``n``
        seeds, the sign-flip ``p``, and ``claims``: "more", "less" or "none".
    """
    ours = results["accuracy"].sel({"method": "equilibrium"})
    rows = []
    for opponent in (*CONTROLS, "dense"):
        theirs = results["dense_accuracy"] if opponent == "dense" else results["accuracy"].sel({"method": opponent})
        gaps = (POINTS * (ours - theirs)).round(9).transpose("seed", "unit_budget")
        compared = {f"{budget}": gaps.sel(unit_budget=budget) for budget in results["unit_budget"].values}
        for unit_budget, one in {**compared, ALL_SIZES: gaps.mean("unit_budget")}.items():
            found = paired_difference(one.values, np.zeros(len(one)), rng=rng)
            rows.append(
                {
                    "opponent": opponent,
                    "unit_budget": unit_budget,
                    "difference": found.estimate,
                    "low": found.low,
                    "high": found.high,
                    "p": found.p_value,
                    "n": found.n,
                    "claims": _claim(found),
                }
            )
    return pd.DataFrame(rows)


def _claim(interval: Interval) -> str:
    """What an interval allows to be claimed; the comparison is False where there is none."""
    if interval.low > 0:
        return "more"
    return "less" if interval.high < 0 else "none"


def equilibrium_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per unit budget: whether the corrected rule has ended in an equilibrium.

    Args:
        results: a pruning study's results.

    Returns:
        Columns: ``units`` kept and the ``price`` that cleared (medians), ``minimum_worth`` (over seeds and units, the
        exact worth of a unit over what it pays; no unit gains by leaving where it is 1 or more), ``no_unit_leaves`` (in
        how many of ``n`` seeds), the largest ``residual`` of the certificate and ``settled`` (in how many seeds it is
        at most 0.05).
    """
    rows = []
    for unit_budget in results["unit_budget"].values:
        one = results.sel(unit_budget=unit_budget)
        rows.append(
            {
                "unit_budget": int(unit_budget),
                "units": float(one["units"].sel({"method": "equilibrium"}).median()),
                "price": float(one["clearing_price"].median()),
                "minimum_worth": float(one["worth_over_fee"].min()),
                "no_unit_leaves": int((one["worth_over_fee"] >= 1).sum()),
                "residual": float(one["residual"].max()),
                "settled": int((one["residual"] <= SETTLED).sum()),
                "n": one.sizes["seed"],
            }
        )
    return pd.DataFrame(rows)


def paper_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per configuration of the paper and epoch (where it stops, and the last).

    Args:
        results: a pruning study's results.

    Returns:
        Columns: medians over seeds of ``accuracy`` (%) with ``minimum`` and ``maximum``, ``units`` kept, ``residual``
        and ``fraction_off_best_response`` (% of units that would still move by more than 0.01); ``published_accuracy``
        and ``published_units`` at the stopping epoch, where the study is of the paper's network.
    """
    rows = []
    stop, last = stopping_epoch(results), int(results["paper_epoch"][-1])
    for configuration in results["configuration"].values:
        for epoch in dict.fromkeys((stop, last)):
            one = results.sel(configuration=configuration, paper_epoch=epoch)
            accuracy = one["paper_accuracy"].values * POINTS
            printed = published(results).get(str(configuration)) if epoch == stop else None
            rows.append(
                {
                    "configuration": str(configuration),
                    "epoch": epoch,
                    "accuracy": float(np.median(accuracy)),
                    "minimum": float(accuracy.min()),
                    "maximum": float(accuracy.max()),
                    "units": float(one["paper_units"].median()),
                    "residual": float(one["paper_residual"].median()),
                    "fraction_off_best_response": float(one["paper_fraction_off_best_response"].median()) * POINTS,
                    "published_accuracy": np.nan if printed is None else POINTS * printed[0],
                    "published_units": np.nan if printed is None else float(printed[1]),
                }
            )
    return pd.DataFrame(rows)
