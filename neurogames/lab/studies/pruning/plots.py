"""Figures of the pruning study, in the style of ``plots``: drawn from stored results only.

Accuracy is drawn on the scale of the error's logarithm, since what matters happens between 90 % and 100 %.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from neurogames.lab.figures import HALO, Look, drawn_in_style, legend_below
from neurogames.lab.studies.pruning.analysis import ALL_SIZES, published, stopping_epoch
from neurogames.lab.studies.pruning.measure import CONTROLS, METHODS

METHOD_LOOKS: dict[str, Look] = {
    "equilibrium": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "from scratch": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    "magnitude": {"color": "#009E73", "marker": "^", "linestyle": "-."},
    "Taylor": {"color": "#CC79A7", "marker": "D", "linestyle": (0, (5, 1, 1, 1, 1, 1))},
    "magnitude, matched layer widths": {
        "color": "#009E73",
        "marker": "<",
        "linestyle": (0, (1, 1, 1, 3)),
        "markerfacecolor": "none",
    },
    "Taylor, matched layer widths": {
        "color": "#CC79A7",
        "marker": "d",
        "linestyle": (0, (4, 2, 4, 6)),
        "markerfacecolor": "none",
    },
    "random": {"color": "#888888", "marker": "v", "linestyle": ":"},
}
CONFIGURATION_LOOKS: dict[str, Look] = {
    "Very High Beta": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "Extreme Beta": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    "L1 Sparsity Strong": {"color": "#009E73", "marker": "^", "linestyle": "-."},
    "L1+L2 Combined": {"color": "#CC79A7", "marker": "D", "linestyle": (0, (5, 1, 1, 1, 1, 1))},
}
PREDICTION_TITLES = {
    "taylor": "second-order game",
    "ablation": "exact single values",
    "no interaction": "no interaction",
    "descent": "gradients alone",
}
WORK = {"units": "units kept", "multiply_adds": "multiply-adds of one image"}
_ACCURACIES = (
    (10, 50, 80, 90, 95, 97, 98, 99, 99.5, 99.9),
    (*range(10, 60, 10), *range(60, 95, 5), *range(95, 100), 99.5, 99.9),
    (*range(0, 100, 2), 99, 99.5, 99.9),
    (*range(100), 99.5, 99.9),
)
"""Labels of the scale of accuracies, from coarse to fine; the first that leaves as many as below is taken."""
_FEWEST_LABELS = 4
_SMALLEST_ERROR = 5e-4
_LINEAR_POINTS = 1.0
"""Differences of accuracy are drawn linearly up to here, then by their logarithm."""


@drawn_in_style
def plot_accuracy(results: xr.Dataset, against: str) -> Figure:
    """Draw test accuracy against "units" kept or "multiply_adds", a line per method and a mark per seed."""
    figure = Figure(figsize=(9.4, 4.8))
    axis = figure.subplots()
    for method in METHODS:
        one, look = results.sel({"method": method}), METHOD_LOOKS[method]
        middle = one[[against, "accuracy"]].median("seed").sortby(against)
        axis.plot(middle[against], middle["accuracy"], label=method, **look)
        axis.plot(
            one[against].values.ravel(),
            one["accuracy"].values.ravel(),
            linestyle="none",
            marker=look["marker"],
            color=look["color"],
            markersize=2.5,
            alpha=0.5,
        )
    dense = results[[f"dense_{against}", "dense_accuracy"]].median("seed")
    axis.axhline(float(dense["dense_accuracy"]), color="black", linewidth=0.8)
    axis.plot(
        dense[f"dense_{against}"],
        dense["dense_accuracy"],
        "*",
        color="black",
        markersize=10,
        zorder=4,
        label="whole network",
    )
    if against == "units":
        _mark_paper(axis, results)
    axis.set(xscale="log", xlabel=WORK[against], ylabel="test accuracy (%)")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.xaxis.set_minor_locator(NullLocator())
    _error_scale(axis)
    figure.legend(loc="outside right center")
    return figure


@drawn_in_style
def plot_differences(differences: pd.DataFrame) -> Figure:
    """Draw how much more accurate the equilibrium is than each control, with the intervals of the table."""
    figure = Figure(figsize=(9.4, 3.8))
    axis = figure.subplots()
    unit_budgets = list(dict.fromkeys(differences["unit_budget"]))
    for control, shift in zip(CONTROLS, np.linspace(-0.3, 0.3, len(CONTROLS)), strict=True):
        rows = differences[differences["opponent"] == control].set_index("unit_budget").loc[unit_budgets]
        look = {**METHOD_LOOKS[control], "linestyle": "none"}
        reach = [rows["difference"] - rows["low"], rows["high"] - rows["difference"]]
        axis.errorbar(np.arange(len(unit_budgets)) + shift, rows["difference"], yerr=reach, label=control, **look)
    axis.axhline(0, color="black", linewidth=0.8)
    ends = np.nan_to_num(differences[["difference", "low", "high"]][differences["opponent"] != "dense"].to_numpy())
    axis.set_ylim(1.3 * min(ends.min(), -_LINEAR_POINTS), 1.3 * max(ends.max(), _LINEAR_POINTS))
    axis.set_yscale("symlog", linthresh=_LINEAR_POINTS)
    axis.yaxis.set_major_locator(FixedLocator([-50, -10, -1, -0.5, 0, 0.5, 1, 10, 50]))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))
    axis.set_xticks(
        range(len(unit_budgets)), [f"{place} units" if place != ALL_SIZES else "all sizes" for place in unit_budgets]
    )
    axis.grid(visible=False, axis="x")
    axis.set(ylabel="equilibrium minus control\n(points of accuracy)")
    figure.legend(loc="outside right center")
    return figure


@drawn_in_style
def plot_paper(results: xr.Dataset) -> Figure:
    """Draw accuracy, units kept and residual of the paper's configurations over epochs; bands are ranges over seeds."""
    figure = Figure(figsize=(9.4, 3.6))
    panels = figure.subplots(1, 3)
    names = {"accuracy": "test accuracy (%)", "units": "units kept", "residual": "residual (0: equilibrium)"}
    epochs = results["paper_epoch"].values
    for axis, (name, label) in zip(panels, names.items(), strict=True):
        values = results[f"paper_{name}"] * (100 if name == "accuracy" else 1)
        for configuration, look in CONFIGURATION_LOOKS.items():
            one = values.sel(configuration=configuration)
            line = {**look, "markevery": max(1, len(epochs) // 6), "label": configuration}
            axis.plot(epochs, one.median("seed"), **line)
            axis.fill_between(epochs, one.min("seed"), one.max("seed"), color=look["color"], alpha=0.15, linewidth=0)
        axis.axvline(stopping_epoch(results), color="black", linewidth=0.8, linestyle=":")
        axis.set(xlabel="epoch", ylabel=label, xlim=(0, epochs[-1] + 1))
        axis.set_ylim(0, 1.05 * float(values.max()))
    stop = stopping_epoch(results)
    panels[0].annotate(
        "the paper stops",
        (stop, 0.5),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        fontsize=8,
        path_effects=HALO,
    )
    legend_below(figure, panels[0], 4)
    return figure


@drawn_in_style
def plot_predictions(results: xr.Dataset) -> Figure:
    """Draw the predicted against the real rise of the loss, a panel per prediction and a dot per random profile."""
    figure = Figure(figsize=(9.4, 3.2))
    panels = figure.subplots(1, len(PREDICTION_TITLES), sharex=True, sharey=True)
    real = results["game_real"]
    # Linear up to the power of ten below which few profiles lie, so that a rise of 0 or less has its place.
    first = np.ceil(np.log10(max(float(abs(real).quantile(0.1)), 1e-12)))
    powers = 10.0 ** np.arange(first, max(first, np.ceil(np.log10(float(abs(real).max())))) + 1)
    share = 100 * results["game_removed_share"].values.ravel()
    shades = LogNorm(share.min(), share.max())
    ends = [min(0.0, float(real.min())), float(real.max())]
    for axis, (prediction, title) in zip(panels, PREDICTION_TITLES.items(), strict=True):
        predicted = results["game_predicted"].sel(prediction=prediction).transpose(*real.dims)
        axis.plot(ends, ends, color="black", linewidth=0.8)
        dots = axis.scatter(
            real.values.ravel(), predicted.values.ravel(), c=share, norm=shades, cmap="cividis_r", s=14, linewidths=0
        )
        axis.set(title=title, xlabel="real rise of the loss")
        axis.set_xscale("symlog", linthresh=powers[0])
        axis.set_yscale("symlog", linthresh=powers[0])
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_locator(FixedLocator([0.0, *powers]))
            side.set_minor_locator(NullLocator())
            side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panels[0].set_ylabel("predicted rise")
    bar = figure.colorbar(dots, ax=list(panels), label="units removed (%)", pad=0.01)
    bar.ax.yaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50]))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return figure


def _mark_paper(axis: Axes, results: xr.Dataset) -> None:
    """The paper's configurations: rerun until it stops, to the end, and as published."""
    stop, last = stopping_epoch(results), int(results["paper_epoch"][-1])
    points: list[tuple[str, str, str, ArrayLike, ArrayLike]] = []
    for epoch, marker in {last: "X", stop: "P"}.items():
        one = results.sel(paper_epoch=epoch)[["paper_units", "paper_accuracy"]].median("seed")
        # A run that has lost all its units has no place on the scale of a logarithm.
        units = one["paper_units"].clip(min=1)
        points.append((f"paper, rerun: epoch {epoch}", marker, "#E69F00", units, one["paper_accuracy"]))
    printed = list(published(results).values())
    if printed:
        accuracy, units_kept = zip(*printed, strict=True)
        points.append(("paper, published", "P", "none", units_kept, accuracy))
    for label, marker, fill, kept, values in points:
        look: Look = {"marker": marker, "markersize": 8, "markerfacecolor": fill, "markeredgecolor": "black"}
        axis.plot(kept, values, linestyle="none", markeredgewidth=0.8, label=label, zorder=3, **look)


def _error_scale(axis: Axes) -> None:
    """Accuracies on the scale of -log(1 - accuracy)."""

    def forward(accuracy: ArrayLike) -> NDArray[np.float64]:
        return np.asarray(-np.log10(np.maximum(1 - np.asarray(accuracy), _SMALLEST_ERROR)))

    def backward(place: ArrayLike) -> NDArray[np.float64]:
        return np.asarray(1 - 10.0 ** -np.asarray(place))

    lowest, highest = (float(forward(value)) for value in axis.dataLim.intervaly)
    room = 0.05 * max(highest - lowest, 0.1)
    axis.set_yscale("function", functions=(forward, backward))
    axis.set_ylim(float(backward(lowest - room)), float(backward(highest + room)))
    low, high = (100 * value for value in axis.get_ylim())
    shown = ([value for value in values if low <= value <= high] for values in _ACCURACIES)
    labelled = next((values for values in shown if len(values) >= _FEWEST_LABELS), _ACCURACIES[-1])
    axis.yaxis.set_major_locator(FixedLocator([value / 100 for value in labelled]))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    axis.yaxis.set_minor_locator(NullLocator())
