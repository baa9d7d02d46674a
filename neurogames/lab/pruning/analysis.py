"""What the pruning study says: tables, and sentences no surer than the seeds allow.

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

from neurogames.lab.pruning.measure import CONTROLS, METHODS
from neurogames.lab.statistics import Interval, paired_difference

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
"""Greatest best-response residual that is called an equilibrium here."""
POINTS = 100.0
ALL_SIZES = "all"


def published(results: xr.Dataset) -> dict[str, tuple[float, int]]:
    """Return the paper's points where the study is of the paper's network, else nothing."""
    settings = results.attrs["settings"]
    same = settings["data"] == "mnist" and settings["architecture"] == "mlp" and settings["hidden"] == [512, 256]
    return PUBLISHED if same else {}


def stopping_epoch(results: xr.Dataset) -> int:
    """Return the epoch at which the paper stops, or the last one if the runs are shorter."""
    return min(PAPER_EPOCH, int(results["paper_epoch"][-1]))


def method_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per number of seats and method, and one for the dense network.

    Args:
        results: a pruning study's results.

    Returns:
        Columns: ``seats``, ``method``, and over seeds the median ``accuracy`` (%) with ``least`` and ``greatest``,
        median ``units``, ``layers`` (median units of each layer), ``multiply_adds`` and ``test_loss``.
    """
    dense = results[["dense_accuracy", "dense_units", "dense_multiply_adds"]]
    dense = dense.rename({name: str(name).removeprefix("dense_") for name in dense})
    layers = (("seed", "layer"), [results.attrs["settings"]["hidden"]] * results.sizes["seed"])
    whole = _method_row(int(dense["units"].median()), "dense", dense.assign(test_loss=np.nan, layer_units=layers))
    pairs = itertools.product(results["seats"].values, METHODS)
    rows = (_method_row(int(seats), name, results.sel({"seats": seats, "method": name})) for seats, name in pairs)
    return pd.DataFrame([whole, *rows])


def _method_row(seats: int, method: str, one: xr.Dataset) -> dict[str, object]:
    accuracy = one["accuracy"].values * POINTS
    return {
        "seats": seats,
        "method": method,
        "units": float(one["units"].median()),
        "layers": "-".join(f"{units:g}" for units in one["layer_units"].median("seed").values),
        "multiply_adds": float(one["multiply_adds"].median()),
        "accuracy": float(np.median(accuracy)),
        "least": float(accuracy.min()),
        "greatest": float(accuracy.max()),
        "test_loss": float(one["test_loss"].median()),
    }


def difference_table(results: xr.Dataset, *, rng: np.random.Generator) -> pd.DataFrame:
    """Return how much more accurate the equilibrium is than each opponent, paired by seed.

    Args:
        results: a pruning study's results.
        rng: numpy generator for the sign flips.

    Returns:
        One row per opponent (the controls of equal numbers of units, and the dense network) and number of seats, and
        one for the mean over these: ``difference`` in percentage points, its t interval ``low`` to ``high`` over ``n``
        seeds, the sign-flip ``p``, and ``claims``: "more", "less" or "none".
    """
    ours = results["accuracy"].sel({"method": "equilibrium"})
    rows = []
    for opponent in (*CONTROLS, "dense"):
        theirs = results["dense_accuracy"] if opponent == "dense" else results["accuracy"].sel({"method": opponent})
        gaps = (POINTS * (ours - theirs)).round(9).transpose("seed", "seats")
        compared = {f"{seats}": gaps.sel(seats=seats) for seats in results["seats"].values}
        for seats, one in {**compared, ALL_SIZES: gaps.mean("seats")}.items():
            found = paired_difference(one.values, np.zeros(len(one)), rng=rng)
            rows.append(
                {
                    "opponent": opponent,
                    "seats": seats,
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
    """Return one row per number of seats: whether the corrected rule has ended in an equilibrium.

    Args:
        results: a pruning study's results.

    Returns:
        Columns: ``units`` kept and the ``price`` that cleared (medians), ``least_worth`` (over seeds and units, the
        exact worth of a unit over what it pays; nobody gains by leaving where it is 1 or more), ``nobody_leaves`` (in
        how many of ``n`` seeds), the greatest ``residual`` of the certificate and ``settled`` (in how many seeds it is
        at most 0.05).
    """
    rows = []
    for seats in results["seats"].values:
        one = results.sel(seats=seats)
        rows.append(
            {
                "seats": int(seats),
                "units": float(one["units"].sel({"method": "equilibrium"}).median()),
                "price": float(one["clearing_price"].median()),
                "least_worth": float(one["worth_over_fee"].min()),
                "nobody_leaves": int((one["worth_over_fee"] >= 1).sum()),
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
        Columns: medians over seeds of ``accuracy`` (%) with ``least`` and ``greatest``, ``units`` kept, ``residual``
        and ``unsettled`` (% of units that would still move by more than 0.01); ``published_accuracy`` and
        ``published_units`` at the stopping epoch, where the study is of the paper's network.
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
                    "least": float(accuracy.min()),
                    "greatest": float(accuracy.max()),
                    "units": float(one["paper_units"].median()),
                    "residual": float(one["paper_residual"].median()),
                    "unsettled": float(one["paper_unsettled"].median()) * POINTS,
                    "published_accuracy": np.nan if printed is None else POINTS * printed[0],
                    "published_units": np.nan if printed is None else float(printed[1]),
                }
            )
    return pd.DataFrame(rows)
