"""The figures of the study of gradient dropout, small enough to be read on a telephone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from neurogames.lab.figures import Look, drawn_in_style, panels
from neurogames.lab.studies.gradient_dropout.analysis import (
    ANNEALING,
    NO_DIFFERENCE,
    NOT_AT_EQUAL_FIT,
    NOT_DECIDED,
    WORSE,
    numeric_data,
)
from neurogames.lab.studies.tables import records

WIDTH, HEIGHT = 5.0, 3.4
LINEAR = 0.02
"""Differences below this are drawn in proportion, larger ones by their logarithm."""
LOOKS: dict[str, Look] = {
    NO_DIFFERENCE: {"edgecolor": "#8A8A8A", "facecolor": "none", "marker": "o"},
    NOT_DECIDED: {"color": "#8A8A8A", "marker": "x"},
    WORSE: {"color": "#D55E00", "marker": "s"},
    NOT_AT_EQUAL_FIT: {"color": "#56B4E9", "marker": "D"},
    ANNEALING: {"color": "#009E73", "marker": "^"},
}


@drawn_in_style
def plot_search(table: pd.DataFrame) -> Figure:
    """Draw every cell of the search: how much worse gradient dropout is than its law, with the shortcut broken.

    Args:
        table: that of :func:`.analysis.search_table`.
    """
    groups = list(table[["recipe", "batch_size"]].drop_duplicates().itertuples(index=False, name=None))
    figure, ((axis,),) = panels(WIDTH, max(HEIGHT, 1.5 + 0.42 * len(groups)))
    axis.axvline(0.0, color="#555555", linewidth=0.8)
    places = {group: place for place, group in enumerate(groups)}
    keeps = sorted(table["keep_prob"].unique(), reverse=True)
    shifts = dict(zip(keeps, np.linspace(-0.2, 0.2, len(keeps)) if len(keeps) > 1 else [0.0], strict=True))
    heights = np.array([places[row["recipe"], row["batch_size"]] + shifts[row["keep_prob"]] for row in records(table)])
    for outcome, look in LOOKS.items():
        here = (table["outcome"] == outcome).to_numpy() & table["difference"].notna().to_numpy()
        if here.any():
            axis.scatter(table["difference"][here], heights[here], s=26, linewidth=1.1, label=outcome, **look)
    axis.set_yticks(range(len(groups)), [f"{_recipe(recipe)}, {batch}" for recipe, batch in groups], fontsize=10)
    axis.set(ylim=(len(groups) - 0.5, -0.5))
    _signed_axis(axis, table["difference"].to_numpy())
    axis.set_xlabel("error with the shortcut broken, dropout minus law", fontsize=10)
    figure.legend(fontsize=8, loc="outside lower center", ncols=3)
    return figure


@drawn_in_style
def plot_distances(results: xr.Dataset) -> Figure:
    """Draw the distance of gradient dropout to its law against the learning rate, for every table."""
    figure, ((axis,),) = panels(WIDTH, HEIGHT)
    distances = results["distance_law"].sel(dataset=numeric_data(results)).mean("seed")
    step = results["step"].values
    for optimizer, color, marker in (("sgd", "#0072B2", "o"), ("adam", "#D55E00", "s")):
        lines = distances.sel(chain_optimizer=optimizer).transpose("dataset", "step").values
        for place, line in enumerate(lines):
            label = optimizer.replace("sgd", "SGD").replace("adam", "Adam") if place == 0 else None
            axis.plot(step, line, color=color, marker=marker, linewidth=1.1, label=label)
        if len(lines):
            middle = np.exp(np.log(lines[:, 0]).mean()) * np.sqrt(step)
            axis.plot(
                step, middle, color="#555555", linestyle=":", label="square root" if optimizer == "adam" else None
            )
    axis.set(xscale="log", yscale="log")
    axis.set_xlabel("learning rate, in units of the largest", fontsize=11)
    axis.set_ylabel("rms distance to the law", fontsize=11)
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        one.set_minor_formatter(NullFormatter())
    axis.tick_params(labelsize=10)
    axis.legend(fontsize=9)
    return figure


@drawn_in_style
def plot_against(table: pd.DataFrame, name: str, label: str) -> Figure:
    """Draw a second difference of every cell against that of the error with the shortcut broken.

    Args:
        table: that of :func:`.analysis.search_table`.
        name: column of the second difference.
        label: what it is, in words.
    """
    figure, ((axis,),) = panels(WIDTH, HEIGHT)
    axis.axvline(0.0, color="#999999", linewidth=0.8)
    axis.axhline(0.0, color="#999999", linewidth=0.8)
    for outcome, look in LOOKS.items():
        here = table["outcome"] == outcome
        if here.any():
            axis.scatter(table["difference"][here], table[name][here], s=22, linewidth=1.0, label=outcome, **look)
    _signed_axis(axis, table["difference"].to_numpy())
    axis.set_xlabel("error with the shortcut broken, dropout minus law", fontsize=10)
    axis.set_ylabel(label, fontsize=10)
    axis.legend(fontsize=8)
    return figure


def _recipe(name: str) -> str:
    """An optimizer with its rate as it is written: 'Adam 0.001'."""
    return name.replace("adam", "Adam").replace("sgd", "SGD")


def _signed_axis(axis: Axes, values: np.ndarray) -> None:
    """Scale the horizontal axis so that small and large differences of both signs can be read."""
    largest = float(np.nanmax(np.abs(values), initial=LINEAR))
    axis.set_xscale("symlog", linthresh=LINEAR, linscale=0.8)
    ticks = [tick for tick in (0.02, 0.1, 0.5, 2.0, 10.0, 100.0) if tick <= 1.5 * largest]
    lowest = float(np.nanmin(values, initial=0.0))
    shown = [-tick for tick in reversed(ticks) if -tick >= 1.5 * lowest] + [0.0, *ticks]
    axis.set_xticks(shown, [f"{tick:+g}" if tick else "0" for tick in shown], fontsize=9)
    axis.set_xlim(min(1.6 * lowest, -LINEAR), max(1.6 * float(np.nanmax(values, initial=0.0)), LINEAR))
    axis.xaxis.set_minor_locator(NullLocator())
