"""Figures of a comparison, drawn from stored results only.

Keep probabilities are drawn from light (little feedback) to dark (all of it). Intervals are ranges over seeds unless
the caption says otherwise.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurogames.lab.data.tables import short_name
from neurogames.lab.figures import Look, annotate_point, as_written, drawn_in_style, legend_below, light_to_dark, panels
from neurogames.lab.studies.comparison.differences import with_law
from neurogames.lab.studies.comparison.settings import DROPOUT, LAW, REDUCED_EPOCHS, REDUCED_RATE, SHOWN

LOOKS: dict[str, Look] = {
    DROPOUT: {"color": "#D55E00", "marker": "o", "linestyle": "-"},
    LAW: {"color": "#0072B2", "marker": "D", "linestyle": "--"},
    REDUCED_EPOCHS: {"color": "#8A8A8A", "marker": "s", "linestyle": ":"},
    REDUCED_RATE: {"color": "#8A8A8A", "marker": "^", "linestyle": "-."},
    "hold, one at a time": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "hold, all at once": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    "blind, one at a time": {"color": "#009E73", "marker": "^", "linestyle": "-."},
    "constant": {"color": "#666666", "linestyle": ":"},
    "linear": {"color": "#CC79A7", "linestyle": (0, (5, 1, 1, 1, 1, 1))},
}
LABELS = {
    "mse": "mean squared error (target variances)",
    "r2": "R²",
    "smape": "SMAPE",
    "accuracy": "accuracy",
    "weighted_f1": "weighted F1",
    "roc_auc": "ROC AUC",
}


@drawn_in_style
def plot_simulation(simulation: xr.Dataset) -> Figure:
    """Draw composition at the end of the simulation, and the expected time to the tipping point, against keep."""
    figure, ((share, escape),) = panels(8.6, 3.6, columns=2)
    for mask in simulation["mask"].values:
        look, one = LOOKS[mask], simulation.sel(mask=mask)
        share.plot(one.keep_prob, one.exact.isel(sweep=-1), color=look["color"], linestyle=look["linestyle"])
        share.errorbar(
            one.keep_prob,
            one.simulated.isel(sweep=-1),
            yerr=2 * one.standard_error.isel(sweep=-1),
            color=look["color"],
            marker=look["marker"],
            linestyle="none",
        )
        escape.plot(one.keep_prob, one.escape_sweeps, label=mask, **look)
    share.set(ylim=(-0.03, 1.03), ylabel=f"share composing after {int(simulation.sweep[-1])} sweeps")
    escape.set(ylabel="expected sweeps to the tipping point")
    if np.isfinite(simulation.escape_sweeps).any():
        escape.set(yscale="log")
    else:
        escape.text(0.5, 0.5, "composing never pays:\nno tipping point", transform=escape.transAxes, ha="center")
        escape.set_yticks([])
    for axis in (share, escape):
        axis.set(xlabel="keep probability", xlim=(0, 1.03))
    legend_below(figure, escape)
    return figure


@drawn_in_style
def plot_curves(results: xr.Dataset, metric: str) -> Figure:
    """Draw a metric against input noise, one panel per way of training, one line per keep probability."""
    results = with_law(results).merge(results["baseline_curve"])
    datasets = results["dataset"].values
    figure, axes = panels(9.4, 3.1 * len(datasets), rows=len(datasets), columns=len(SHOWN), sharey="row")
    keeps = _spread(results["keep_prob"].values, 6)
    shades = light_to_dark(len(keeps))
    for (row, dataset), (column, training) in product(enumerate(datasets), enumerate(SHOWN)):
        axis = axes[row, column]
        one = results.sel(dataset=dataset, metric=metric).isel(target_noise=0)
        for keep, shade in zip(keeps, shades, strict=True):
            values = one["curve"].sel(training=training, keep_prob=keep).median("seed")
            axis.plot(one.level, values, color=shade, label=f"keep {keep:g}")
        for baseline in one["baseline"].values:
            values = one["baseline_curve"].sel(baseline=baseline).median("seed")
            axis.plot(one.level, values, label=baseline, **LOOKS[baseline])
        axis.set(title=training, xlabel="input noise (standard deviations)")
        axes[row, 0].set_ylabel(f"{as_written(short_name(dataset))}\n{LABELS[metric]}")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center")
    return figure


@drawn_in_style
def plot_area(results: xr.Dataset, metric: str) -> Figure:
    """Draw the area between curve and clean value against keep, one panel per target noise and dataset."""
    results = with_law(results)
    datasets, noises = results["dataset"].values, results["target_noise"].values
    size = max(2.4 * len(noises), 4.6), 2.9 * len(datasets)
    figure, axes = panels(*size, rows=len(datasets), columns=len(noises), sharey="row")
    for (row, dataset), (column, noise) in product(enumerate(datasets), enumerate(noises)):
        axis = axes[row, column]
        one = results.sel(dataset=dataset, target_noise=noise, metric=metric)
        for training in SHOWN:
            _band(axis, one.keep_prob.values, one["area"].sel(training=training), training)
        axis.set(title=f"target noise: {noise}", xlabel="keep probability", xlim=(0, 1.03))
        axes[row, 0].set_ylabel(f"{as_written(short_name(dataset))}\narea from clean value")
    for axis in axes[:, 0]:
        # After drawing: a fixed end stops the axis from making room for later panels.
        axis.set_ylim(bottom=0.0)
    legend_below(figure, axes[0, 0])
    return figure


@drawn_in_style
def plot_equal_error(results: xr.Dataset, metric: str) -> Figure:
    """Draw the area against the clean value: where the paths coincide, only the clean value matters."""
    results = with_law(results)
    datasets = results["dataset"].values
    columns = min(len(datasets), 3)
    rows = -(-len(datasets) // columns)
    figure, axes = panels(max(3.6 * columns, 5.6), 3.4 * rows + 0.6, rows=rows, columns=columns)
    places: list[Axes] = axes.ravel().tolist()
    for axis in places[len(datasets) :]:
        axis.set_axis_off()
    for axis, dataset in zip(places, datasets, strict=False):
        one = results.sel(dataset=dataset, metric=metric).isel(target_noise=0).median("seed")
        for training in SHOWN:
            path = one.sel(training=training)
            clean, area = path["curve"].isel(level=0).values, path["area"].values
            axis.plot(clean, area, label=training, **LOOKS[training])
            if training == DROPOUT:
                annotate_point(axis, clean[0], area[0], f"keep {float(one.keep_prob[0]):g}", LOOKS[training]["color"])
                annotate_point(axis, clean[-1], area[-1], "keep 1", "black")
        axis.set(title=as_written(short_name(dataset)), xlabel=f"clean {LABELS[metric]}")
        axis.margins(0.12)
    for axis in axes[:, 0]:
        axis.set_ylabel("area from clean value")
    legend_below(figure, axes[0, 0])
    return figure


@drawn_in_style
def plot_composition(results: xr.Dataset) -> Figure:
    """Draw measured composition over training and against keep, with the simulated law beside it."""
    results = with_law(results).merge(results["exact"])
    datasets = results["dataset"].values
    figure, axes = panels(9.4, 3.4 * len(datasets), rows=len(datasets), columns=2)
    keeps = _spread(results["keep_prob"].values, 5)
    for row, dataset in enumerate(datasets):
        time, final = axes[row]
        one = results.sel(dataset=dataset).isel(target_noise=0)
        for keep, shade in zip(keeps, light_to_dark(len(keeps)), strict=True):
            values = one["composition"].sel(training=DROPOUT, keep_prob=keep).median("seed")
            time.plot(one["share"], values, color=shade, marker="o", label=f"keep {keep:g}")
        for training in SHOWN:
            _band(final, one.keep_prob.values, one["composition"].sel(training=training).isel(share=-1), training)
        for mask in one["mask"].values:
            values = one["exact"].sel(mask=mask).isel(sweep=-1)
            look = {"color": "#888888", "linestyle": LOOKS[mask]["linestyle"], "linewidth": 1.0}
            final.plot(one.keep_prob, values, label=f"simulated: {mask}", **look)
        time.set(title="gradient dropout over training", xlabel="share of training", ylim=(-0.03, 1.03))
        time.set_ylabel(f"{as_written(short_name(dataset))}\nshare of units that compose")
        final.set(title="at the end of training", xlabel="keep probability", ylim=(-0.03, 1.03), xlim=(0, 1.03))
    axes[0, 0].legend()
    figure.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside right center")
    return figure


@drawn_in_style
def plot_correlations(correlations: pd.DataFrame) -> Figure:
    """Draw Spearman correlations with their intervals; an interval that crosses zero claims nothing."""
    rows = correlations[["measured", "simulated"]].drop_duplicates().sort_values(["measured", "simulated"])
    figure, ((axis,),) = panels(7.6, 1.3 + 0.5 * len(rows))
    axis.axvline(0.0, color="black", linewidth=0.8)
    for offset, training in zip((-0.27, -0.09, 0.09, 0.27), SHOWN, strict=True):
        one = correlations[correlations["training"] == training].set_index(["measured", "simulated"])
        one = one.loc[list(rows.itertuples(index=False, name=None))]
        place = np.arange(len(rows)) + offset
        look = LOOKS[training]
        axis.hlines(place, one["low"], one["high"], color=look["color"])
        axis.plot(one["spearman"], place, color=look["color"], marker=look["marker"], linestyle="none", label=training)
    axis.set_yticks(range(len(rows)), [f"{measured}\nand {mask}" for measured, mask in rows.values])
    axis.set(xlim=(-1.05, 1.05), ylim=(len(rows) - 0.5, -0.5), xlabel="Spearman correlation over settings")
    legend_below(figure, axis)
    return figure


def _band(axis: Axes, keeps: NDArray[np.float64], values: xr.DataArray, training: str) -> None:
    """Median over seeds as a line, minimum to maximum as a band."""
    axis.plot(keeps, values.median("seed"), label=training, **LOOKS[training])
    color = LOOKS[training]["color"]
    axis.fill_between(keeps, values.min("seed"), values.max("seed"), color=color, alpha=0.12, linewidth=0)


def _spread(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """At most ``count`` of the sorted values, evenly spread and including both ends."""
    places = np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int))
    return np.asarray(values[places])
