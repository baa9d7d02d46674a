"""The figures that a page leads with: the prediction and the training on one axis. Small, to be read on a telephone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from neurogames.lab.figures import drawn_in_style, panels
from neurogames.lab.studies.comparison.differences import changes, first_noise, mean_difference
from neurogames.lab.studies.comparison.plots import LOOKS
from neurogames.lab.studies.comparison.sensitivity import VARIATIONS
from neurogames.lab.studies.comparison.settings import DROPOUT, LAW, REDUCED_EPOCHS, REDUCED_RATE

WIDTH, HEIGHT = 5.0, 3.4


@drawn_in_style
def plot_prediction(results: xr.Dataset, compared: pd.DataFrame) -> Figure:
    """Draw the predicted change of area with its band, and the measured one over it, against keep.

    Args:
        results: a comparison's results.
        compared: the table of :func:`.differences.predicted_and_measured`.
    """
    rows = first_noise(compared)
    figure, axis = _keep_axis("change of area against plain training")
    keeps = np.append(rows["keep"], 1.0)
    controls = changes(results).isel(target_noise=0).mean(("dataset", "seed"))
    for name, style in ((REDUCED_EPOCHS, ":"), (REDUCED_RATE, "-.")):
        values = np.append(controls[name].values, 0.0)
        axis.plot(keeps, values, color="#B0B0B0", linestyle=style, linewidth=1.2, label=name)
    blue, orange = LOOKS[LAW]["color"], LOOKS[DROPOUT]["color"]
    low, high = (np.append(rows[name], 0.0) for name in ("band_low", "band_high"))
    axis.fill_between(keeps, low, high, color=blue, alpha=0.18, linewidth=0)
    axis.plot(keeps, np.append(rows["predicted"], 0.0), color=blue, linewidth=2.2, label="predicted by the law")
    _points(axis, rows, ("measured", "low", "high"), orange, "measured")
    axis.legend(fontsize=9)
    return figure


@drawn_in_style
def plot_beyond(compared: pd.DataFrame) -> Figure:
    """Draw what the mask's noise adds to the law, against keep.

    Args:
        compared: the table of :func:`.differences.predicted_and_measured`.
    """
    figure, axis = _keep_axis("measured minus predicted")
    _points(axis, first_noise(compared), ("beyond", "beyond_low", "beyond_high"), LOOKS[DROPOUT]["color"], "beyond")
    return figure


@drawn_in_style
def plot_predicted_composition(results: xr.Dataset) -> Figure:
    """Draw the share of units that compose at the end of training, predicted and measured, against keep."""
    keeps = results["keep_prob"].values
    figure, axis = _keep_axis("share of units that compose")
    ends = {
        "predicted by the law": (results["predicted_composition"].sel(prediction=LAW), LOOKS[LAW]["color"]),
        "measured": (results["composition"].sel(training=DROPOUT), LOOKS[DROPOUT]["color"]),
    }
    for label, (shares, color) in ends.items():
        runs = shares.isel(share=-1, target_noise=0).stack(run=("dataset", "seed"))
        found = [mean_difference(runs.sel(keep_prob=keep).dropna("run").values) for keep in keeps]
        means, low, high = (np.array([getattr(one, name) for one in found]) for name in ("estimate", "low", "high"))
        if label == "measured":
            axis.errorbar(
                keeps, means, yerr=_bars(means, low, high), color=color, marker="o", linestyle="none", label=label
            )
        else:
            axis.plot(keeps, means, color=color, linewidth=2.2, label=label)
    axis.legend(fontsize=9)
    return figure


@drawn_in_style
def plot_sensitivity(table: pd.DataFrame) -> Figure:
    """Draw the correlation of simulation with robustness under each variation of the game's parameters.

    Args:
        table: that of :func:`.sensitivity.sensitivity_table`.
    """
    figure, ((axis,),) = panels(WIDTH, HEIGHT)
    rows = table[table["with"] == "robustness"]
    places = np.arange(len(rows))
    axis.axvline(0.0, color="#999999", linewidth=0.8)
    for variation in VARIATIONS:
        chosen = variation == "as set"
        look = {"color": LOOKS[DROPOUT]["color"], "zorder": 3, "s": 55} if chosen else {"color": "#8A8A8A", "s": 22}
        axis.scatter(rows[variation], places, label=None if not chosen else "as set", **look)
    axis.set_yticks(places, rows["simulated"], fontsize=10)
    axis.set(xlim=(-1.05, 1.05), ylim=(len(rows) - 0.5, -0.5))
    axis.set_xlabel("Spearman correlation with robustness", fontsize=10)
    axis.legend(fontsize=9)
    return figure


def _keep_axis(label: str) -> tuple[Figure, Axes]:
    """A small figure over the keep probability, with a line at 0 where values are differences."""
    figure, ((axis,),) = panels(WIDTH, HEIGHT)
    if label != "share of units that compose":
        axis.axhline(0.0, color="#999999", linewidth=0.8)
    # Steps of 1, 2 and 5, so that no label is rounded.
    axis.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}%"))
    axis.set(xlim=(0, 1.03))
    axis.set_xlabel("keep probability", fontsize=11)
    axis.set_ylabel(label, fontsize=11)
    axis.tick_params(labelsize=10)
    return figure, axis


def _points(axis: Axes, rows: pd.DataFrame, names: tuple[str, str, str], color: str, label: str) -> None:
    """Means with their intervals."""
    mean, low, high = (rows[name].to_numpy() for name in names)
    axis.errorbar(
        rows["keep"],
        mean,
        yerr=_bars(mean, low, high),
        color=color,
        marker="o",
        linestyle="none",
        linewidth=1.3,
        label=label,
    )


def _bars(mean: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.nan_to_num(np.stack([mean - low, high - mean]))
