"""The figures of a run of the paper's protocol."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurogames.lab.data.tables import short_name
from neurogames.lab.figures import as_written, drawn_in_style, legend_below, panels
from neurogames.lab.studies.comparison.differences import BEYOND, BY_LAW, WHOLE
from neurogames.lab.studies.comparison.paper.analysis import DROPOUT, LAW, PUBLISHED, main_curves, main_metric
from neurogames.lab.studies.comparison.plots import LABELS, LOOKS

SHADES = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#0072B2")
"""Colours of the keep probabilities below 1; plain training is black."""


@drawn_in_style
def plot_beside_paper(results: xr.Dataset, table: pd.DataFrame, datasets: list[str], network: str) -> Figure:
    """Draw curves over input noise by both losses, with the paper's read-off numbers.

    Args:
        results: those of a run.
        table: that of :func:`.analysis.curve_table`.
        datasets: tables to draw, one row each.
        network: label of the network.
    """
    ways = (PUBLISHED, DROPOUT) if np.isfinite(results["published_curve"]).any() else (DROPOUT,)
    figure, axes = panels(5.0, 2.5 * len(datasets) + 0.6, rows=len(datasets), columns=len(ways), sharey="row")
    noise = str(results["target_noise"].values[0])
    for row, dataset in enumerate(datasets):
        curves = main_curves(results, dataset, network)
        for axis, way in zip(axes[row], ways, strict=True):
            _draw_keeps(axis, curves[way].sel(target_noise=noise).mean("seed"), "-")
            known = table[(table["training"] == way) & (table["network"] == network) & (table["target noise"] == noise)]
            known = known[known["dataset"] == dataset].dropna(subset="paper clean")
            for _, one in known.iterrows():
                ends = [float(results["level"][0]), float(results["level"][-1])]
                color = _color(results["keep_prob"].values, one["keep"])
                values = [one["paper clean"], one["paper noisy"]]
                axis.plot(
                    ends, values, color=color, marker="o", markerfacecolor="none", linestyle="none", clip_on=False
                )
            axis.set_xlabel("input noise")
            if row == 0:
                axis.set_title("published loss" if way == PUBLISHED else "squared error" if len(ways) > 1 else way)
        axes[row, 0].set_ylabel(f"{as_written(short_name(dataset))}\n{LABELS[main_metric(results, dataset)]}")
    legend_below(figure, axes[0, 0], 3)
    return figure


@drawn_in_style
def plot_effects(table: pd.DataFrame) -> Figure:
    """Draw the effect on flatness, what the law gives of it, and what is beyond it, for every table and network.

    Args:
        table: that of :func:`.analysis.effect_table`, of one target noise.
    """
    places = table[["dataset", "network"]].drop_duplicates().reset_index(drop=True)
    figure, ((axis,),) = panels(5.0, 1.3 + 0.42 * len(places))
    axis.axvline(0.0, color="#999999", linewidth=0.8)
    looks = {WHOLE: LOOKS["dropout"]["color"], BY_LAW: LOOKS[LAW]["color"], BEYOND: "black"}
    for offset, (part, color) in zip((-0.2, 0.0, 0.2), looks.items(), strict=True):
        rows = places.merge(table[table["part"] == part], on=["dataset", "network"])
        height = np.arange(len(places)) + offset
        axis.hlines(height, 100 * rows["low"], 100 * rows["high"], color=color, linewidth=1.2)
        axis.plot(100 * rows["difference"], height, color=color, marker="o", linestyle="none", label=part)
    names = [f"{as_written(short_name(name)[:18])}, {network}" for name, network in places.values]
    axis.set_yticks(range(len(places)), names)
    axis.set(ylim=(len(places) - 0.5, -0.5), xlabel="change of area, % of plain training's")
    legend_below(figure, axis, 3)
    return figure


@drawn_in_style
def plot_all_curves(results: xr.Dataset, network: str) -> Figure:
    """Draw the curves of gradient dropout and of the law on every table, one panel per target noise."""
    datasets, noises = results["dataset"].values, results["target_noise"].values
    figure, axes = panels(3.2 * len(noises), 2.4 * len(datasets) + 0.6, len(datasets), len(noises), sharey="row")
    for row, dataset in enumerate(datasets):
        curves = main_curves(results, str(dataset), network)
        metric = main_metric(results, str(dataset))
        baselines = results["baseline_curve"].sel(dataset=dataset, network=network, metric=metric).mean("seed")
        for axis, noise in zip(axes[row], noises, strict=True):
            if not np.isfinite(curves[DROPOUT].sel(target_noise=noise)).any():
                axis.set_axis_off()
                continue
            _draw_keeps(axis, curves[DROPOUT].sel(target_noise=noise).mean("seed"), "-")
            _draw_keeps(axis, curves[LAW].sel(target_noise=noise).mean("seed"), "--", label=" (law)")
            for baseline in results["baseline"].values:
                axis.plot(
                    results["level"], baselines.sel(baseline=baseline), label=str(baseline), **LOOKS[str(baseline)]
                )
            axis.set(title=str(noise), xlabel="input noise")
        axes[row, 0].set_ylabel(f"{as_written(short_name(str(dataset)))}\n{LABELS[metric]}")
    legend_below(figure, axes[0, 0], 4)
    return figure


def _draw_keeps(axis: Axes, curves: xr.DataArray, style: str, label: str = "") -> None:
    """One line per keep probability for which there is a curve."""
    keeps = curves["keep_prob"].values
    for keep in keeps[::-1]:
        values = curves.sel(keep_prob=keep).values
        if np.isfinite(values).any():
            color = _color(keeps, keep)
            axis.plot(curves["level"], values, color=color, linestyle=style, label=f"keep {keep:g}{label}")


def _color(keeps: np.ndarray, keep: float) -> str:
    """Black for plain training, else the colour of a keep probability."""
    return "black" if keep == 1.0 else SHADES[int(np.searchsorted(keeps, keep)) % len(SHADES)]
