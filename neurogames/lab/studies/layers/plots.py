"""Figures of the study of layers, from stored results only."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from neurogames.lab.figures import Look, drawn_in_style, legend_below, panels
from neurogames.lab.robustness.robustness_game import plot_payoffs
from neurogames.lab.studies.layers.analysis import (
    CHECK_GAIN,
    GAIN,
    POINTS,
    STOPPED,
    log_of,
    policy_accuracies,
    step_ratios,
)
from neurogames.lab.studies.layers.settings import NO_FREEZING

_POLICY_LOOKS: dict[str, Look] = {
    GAIN: {"color": "#0072B2", "marker": "o", "markersize": 7},
    CHECK_GAIN: {"color": "#56B4E9", "marker": "D"},
    "relative gradient": {"color": "#D55E00", "marker": "s"},
    "last": {"color": "#009E73", "marker": ">"},
    "first": {"color": "#E69F00", "marker": "<"},
    STOPPED: {"color": "black", "marker": "x"},
}
_NETWORK_LOOKS: dict[str, Look] = {
    "MLP": {"color": "#0072B2", "marker": "o"},
    "CNN": {"color": "#D55E00", "marker": "s"},
}
_RATIOS = [2.0**power for power in range(-6, 9)]
_WAY_LOOKS: tuple[Look, ...] = (
    {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    {"color": "#009E73", "marker": "^", "linestyle": "-."},
    {"color": "#CC79A7", "marker": "D", "linestyle": ":"},
)


@drawn_in_style
def plot_tuning(results: xr.Dataset) -> Figure:
    """Draw the accuracy of each policy by shift, a panel for each network."""
    accuracy = POINTS * policy_accuracies(results).mean("seed")
    shifts = list(accuracy["shift"].values)
    networks = list(accuracy["network"].values)
    figure, axes = panels(9.4, 1.4 + 0.32 * len(shifts), columns=len(networks), sharey="row")
    places = np.arange(len(shifts))
    for axis, network in zip(axes[0], networks, strict=True):
        for number, (policy, look) in enumerate(_POLICY_LOOKS.items()):
            offset = 0.11 * (number - (len(_POLICY_LOOKS) - 1) / 2)
            values = accuracy.sel(network=network, policy=policy)
            axis.plot(values, places + offset, linestyle="none", label=policy, **look)
        axis.set(title=network, xlabel="accuracy on shifted test rows (%)", ylim=(len(shifts) - 0.5, -0.5))
    axes[0, 0].set_yticks(places, shifts)
    legend_below(figure, axes[0, 0])
    return figure


@drawn_in_style
def plot_freezing(results: xr.Dataset) -> Figure:
    """Draw differences of accuracy and ratios of seconds to no freezing: dots are repetitions."""
    accuracy = POINTS * results["freezing_accuracy"].mean("network")
    seconds = log_of(results["freezing_seconds"]).mean("network")
    rules = [rule for rule in results["rule"].values if rule != NO_FREEZING]
    figure, ((left, right),) = panels(8.6, 1.2 + 0.4 * len(rules), columns=2, sharey="row")
    for place, rule in enumerate(rules):
        points = accuracy.sel(rule=rule) - accuracy.sel(rule=NO_FREEZING)
        ratios = np.exp(seconds.sel(rule=rule) - seconds.sel(rule=NO_FREEZING))
        for axis, values in ((left, points), (right, ratios)):
            axis.plot(values, np.full(values.size, place + 0.15), "o", color="#0072B2", alpha=0.4, markersize=3)
            axis.plot(float(values.mean()), place - 0.1, "s", color="#D55E00")
    left.axvline(0.0, color="black", linewidth=0.8)
    left.axvline(-0.2, color="grey", linestyle=":", linewidth=1)
    right.axvline(1.0, color="black", linewidth=0.8)
    left.set_yticks(range(len(rules)), rules)
    left.set(ylim=(len(rules) - 0.5, -0.5), xlabel="accuracy minus no freezing (points)")
    right.set(xlabel="seconds by those without freezing")
    return figure


@drawn_in_style
def plot_steps(results: xr.Dataset) -> Figure:
    """Draw measured against predicted ratios of step sizes, of one sweep."""
    ratios = step_ratios(results).isel(sweeps=0)
    figure, ((left, right),) = panels(8.6, 3.6, columns=2, sharey="row")
    named = {left: "predicted_ratio", right: "eigenvalue_ratio"}
    for axis, name in named.items():
        for network, look in _NETWORK_LOOKS.items():
            at = results[name].sel(network=network).values.ravel()
            axis.plot(
                at, ratios.sel(network=network).values.ravel(), linestyle="none", alpha=0.6, label=network, **look
            )
        axis.set(xscale="log", yscale="log")
        axis.axline((1.0, 1.0), (2.0, 2.0), color="grey", linewidth=0.8)
        for line in (axis.xaxis, axis.yaxis):
            line.set_major_locator(FixedLocator(_RATIOS))
            line.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            line.set_minor_locator(NullLocator())
    left.set(xlabel="predicted by curvature along the gradient", ylabel="largest step in turn / together")
    right.set(xlabel="predicted by largest eigenvalues")
    legend_below(figure, left)
    return figure


@drawn_in_style
def plot_course(results: xr.Dataset) -> Figure:
    """Draw loss, gaps and curvature through training."""
    figure, axes = panels(9.4, 5.4, rows=2, columns=3)
    titles = {
        "loss": "loss",
        "gap": "gap: one layer alone",
        "coordination_gap": "coordination gap",
        "held_out_gap": "gain on held-out rows",
        "smallest_curvature": "smallest curvature, all",
        "largest_curvature": "largest curvature of a layer",
    }
    for axis, (name, title) in zip(axes.ravel(), titles.items(), strict=True):
        _draw_course(axis, results, f"course_{name}")
        axis.set_title(title)
    for axis in axes[1]:
        axis.set_xlabel("epoch")
    axes[1, 2].set_yscale("log")
    legend_below(figure, axes[0, 0])
    return figure


def _draw_course(axis: Axes, results: xr.Dataset, name: str) -> None:
    values = results[name]
    for way, look in zip(values["way"].values, _WAY_LOOKS, strict=True):
        one = values.sel(way=way)
        epochs = one["checkpoint"].values
        axis.plot(epochs, one.median("seed"), label=way, **look)
        axis.fill_between(epochs, one.min("seed"), one.max("seed"), color=look["color"], alpha=0.1, lw=0)


@drawn_in_style
def plot_defence(results: xr.Dataset) -> Figure:
    """Draw the mean game of networks against perturbations."""
    mean = results[["payoff", "defender_probability", "attack_probability"]].mean("seed")
    return plot_payoffs(
        mean["payoff"].values,
        tuple(map(str, mean["defender"].values)),
        tuple(map(str, mean["attack"].values)),
        mean["defender_probability"].values,
        mean["attack_probability"].values,
    )
