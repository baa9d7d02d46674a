"""Figures of the NEUROGAME study, in the style of ``plots``: drawn from stored results only."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from neurogames.lab.figures import Look, drawn_in_style, legend_below
from neurogames.lab.studies.coalition_filter.analysis import POINTS, arm_table, filters_of
from neurogames.lab.studies.coalition_filter.maps import MAPS
from neurogames.lab.studies.coalition_filter.settings import CONTROLS, MLP

FILTER_COLOUR, CONTROL_COLOUR = "#0072B2", "#555555"
CONTROL_LOOKS: dict[str, Look] = {
    "no gate": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    "random mask": {"color": "#888888", "marker": "v", "linestyle": ":"},
    "magnitude mask": {"color": "#009E73", "marker": "^", "linestyle": "-."},
    MLP: {"color": "#CC79A7", "marker": "D", "linestyle": (0, (5, 1, 1, 1, 1, 1))},
}
MAP_LOOKS: dict[str, Look] = {
    "Shapley": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "Grad-CAM": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    "magnitude": {"color": "#009E73", "marker": "^", "linestyle": "-."},
    "random": {"color": "#888888", "marker": "v", "linestyle": ":"},
}
FILTERS = 3  # of the network
PANELS = {
    "image": ("image", "gray"),
    "energy": ("energy (light: low)", "cividis_r"),
    "Shapley": ("Shapley values", "cividis"),
    "strong": ("strong units", "cividis"),
    "Grad-CAM": ("Grad-CAM", "cividis"),
}


@drawn_in_style
def plot_accuracy(results: xr.Dataset) -> Figure:
    """Draw test accuracy and share of active units of every arm: a dot per seed, mean and t interval of accuracy."""
    table = arm_table(results)
    figure = Figure(figsize=(8.6, 1.3 + 0.36 * len(table)))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    filters = filters_of(results)
    last = results.isel(epoch=-1)
    for place, row in enumerate(table.itertuples()):
        colour = FILTER_COLOUR if row.arm in filters else CONTROL_COLOUR
        one = last.sel(arm=row.arm)
        seeds = np.full(one.sizes["seed"], place + 0.16)
        left.plot(POINTS * one["test_accuracy"], seeds, "o", color=colour, alpha=0.45, markersize=3)
        left.hlines(place - 0.1, row.low, row.high, color=colour)
        left.plot(row.accuracy, place - 0.1, "D" if row.arm in filters else "s", color=colour)
        right.plot(POINTS * one["active"], seeds, "o", color=colour, alpha=0.45, markersize=3)
        right.plot(row.passed, place - 0.1, "|", color=colour, markersize=11, markeredgewidth=2)
    left.set_yticks(range(len(table)), table["arm"])
    left.set(ylim=(len(table) - 0.4, -0.6), xlabel="test accuracy (%)")
    right.set(xlabel="units (%): dots not 0, bars let through", xlim=(0, 104))
    return figure


@drawn_in_style
def plot_losses(results: xr.Dataset) -> Figure:
    """Draw test and training loss over epochs, medians over seeds with ranges, of the first filter and its controls."""
    figure = Figure(figsize=(9.4, 3.9))
    panels = figure.subplots(1, 2, sharey=True)
    name = filters_of(results)[0]
    looks: dict[str, Look] = {name: {"color": FILTER_COLOUR, "marker": "o", "linestyle": "-"}} | CONTROL_LOOKS
    epochs = results["epoch"].values
    titles = {"test_loss": "test rows", "train_loss": "training rows"}
    for axis, (variable, title) in zip(panels, titles.items(), strict=True):
        for arm in (name, *CONTROLS, MLP):
            values, look = results[variable].sel(arm=arm), looks[arm]
            axis.plot(epochs, values.median("seed"), label=arm, markevery=max(1, len(epochs) // 6), **look)
            axis.fill_between(epochs, values.min("seed"), values.max("seed"), color=look["color"], alpha=0.13, lw=0)
        axis.set(title=title, xlabel="epoch", yscale="log")
    low, high = panels[0].get_ylim()
    digits = (1, 2, 5) if high < 500 * low else (1,)
    ticks = [digit * 10.0**power for power in range(-12, 4) for digit in digits]
    panels[0].yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    panels[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panels[0].yaxis.set_minor_locator(NullLocator())
    panels[0].set_ylabel("mean cross-entropy")
    legend_below(figure, panels[0], 5)
    return figure


@drawn_in_style
def plot_examples(results: xr.Dataset) -> Figure:
    """Draw images of the first seed with energy, Shapley values and strong units, beside Grad-CAM."""
    one = results.isel(seed=0)
    images = one.sizes["image"]
    outlines = one["example"].sel(panel="image")
    middle = 0.5 * float(outlines.min() + outlines.max())
    figure = Figure(figsize=(8.6, 1.45 * images + 0.5))
    axes = figure.subplots(images, len(PANELS), squeeze=False)
    for column, (panel, (title, colours)) in enumerate(PANELS.items()):
        for row in range(images):
            axis = axes[row, column]
            values = one["example"].sel(panel=panel).isel(image=row).values
            ends = (0, FILTERS) if panel == "strong" else (None, None)
            drawn = axis.imshow(values, cmap=colours, interpolation="nearest", vmin=ends[0], vmax=ends[1])
            axis.set_xticks([])
            axis.set_yticks([])
            axis.grid(visible=False)
            axis.spines[:].set_visible(False)
            if panel != "image":
                axis.contour(outlines.isel(image=row), [middle], colors="white", linewidths=0.9)
                bar = figure.colorbar(drawn, cax=axis.inset_axes((1.04, 0.0, 0.07, 1.0)))
                bar.ax.tick_params(labelsize=6.5, length=2)
                bar.outline.set_visible(False)
                bar.locator = MaxNLocator(4, integer=panel == "strong")
                bar.update_ticks()
        axes[0, column].set_title(title)
    for row in range(images):
        axes[row, 0].set_ylabel(f"predicted: {int(one['example_class'].isel(image=row))}")
    return figure


@drawn_in_style
def plot_curves(results: xr.Dataset) -> Figure:
    """Draw deletion and insertion curves of the first filter, and the agreement of maps with Grad-CAM."""
    figure = Figure(figsize=(9.4, 3.6))
    *panels, last = figure.subplots(1, 3, width_ratios=(1, 1, 0.8))
    one = results.sel(filter=filters_of(results)[0])
    for axis, curve, good in zip(panels, ("deletion", "insertion"), ("below", "above"), strict=True):
        for shown in MAPS:
            values, look = one["score"].sel({"curve": curve, "map": shown}), MAP_LOOKS[shown]
            share = POINTS * one["share"]
            axis.plot(share, values.mean("seed"), label=shown, markevery=5, **look)
            axis.fill_between(share, values.min("seed"), values.max("seed"), color=look["color"], alpha=0.12, lw=0)
        verb = "taken away" if curve == "deletion" else "put in"
        axis.set(title=f"{curve}: {good} is better", xlabel=f"pixels {verb} (%)", ylim=(0, 1.02))
    panels[0].set_ylabel("probability of the predicted class")
    names = [shown for shown in MAPS if shown != "Grad-CAM"]
    for place, shown in enumerate(names):
        values, look = one["agreement"].sel(map=shown), MAP_LOOKS[shown]
        offsets = np.linspace(-0.12, 0.12, values.size)
        last.plot(place + offsets, values, linestyle="none", marker=look["marker"], color=look["color"])
        last.hlines(float(values.mean()), place - 0.25, place + 0.25, color=look["color"])
    last.axhline(0.0, color="black", linewidth=0.8)
    last.set_xticks(range(len(names)), names)
    last.set(title="rank correlation with Grad-CAM", xlim=(-0.5, len(names) - 0.5))
    legend_below(figure, panels[0], 4)
    return figure
