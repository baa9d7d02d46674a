"""The figures of the study of DGNOpt, small enough to be read on a telephone."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurogames.lab.figures import Look, drawn_in_style, legend_below, panels
from neurogames.lab.studies.dgnopt.analysis import PAPER_MARGINS
from neurogames.lab.studies.dgnopt.methods import GAMES, METHODS, OPEN
from neurogames.lab.studies.tables import records

WIDTH, HEIGHT = 5.0, 3.4
LOWEST = -12.0
"""Differences in points below this are drawn at the edge."""
GAME, OPEN_COLOUR, OTHER, GREY = "#D55E00", "#0072B2", "#333333", "#8A8A8A"
WAY_LOOKS: dict[str, Look] = {
    "SGD": {"color": "#333333", "marker": "o", "linestyle": "-"},
    "identity, feedback": {"color": "#D55E00", "marker": "s", "linestyle": "-"},
    "identity, gauss-newton": {"color": "#E69F00", "marker": "D", "linestyle": ":"},
    "SGD as long as identity": {"color": "#8A8A8A", "marker": "x", "linestyle": "--"},
    "ekfac, open loop": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "ekfac, feedback": {"color": "#009E73", "marker": "s", "linestyle": "-"},
    "ekfac, gauss-newton": {"color": "#56B4E9", "marker": "D", "linestyle": ":"},
    "SGD as long as ekfac": {"color": "#CC79A7", "marker": "x", "linestyle": "--"},
}


@drawn_in_style
def plot_accuracy(accuracies: pd.DataFrame) -> Figure:
    """Draw each method's accuracy minus that of the chosen opponent, in every network.

    Args:
        accuracies: the table of :func:`.analysis.accuracy_table`.
    """
    networks = list(accuracies["network"].unique())
    figure, axes = panels(WIDTH, 0.7 + 2.2 * len(networks), rows=len(networks))
    for axis, network in zip(axes[:, 0], networks, strict=True):
        rows = accuracies[accuracies["network"] == network]
        half = float(np.sqrt(2) * rows["binomial"].min())
        axis.axvspan(-half, half, color="#DDDDDD", linewidth=0, label="binomial error of a difference")
        axis.axvspan(*PAPER_MARGINS, color="#F0E442", linewidth=0, label="the paper's margins")
        for place, row in enumerate(records(rows)):
            _difference(axis, place, row)
        axis.axvline(0.0, color="#555555", linewidth=0.8)
        axis.set_yticks(range(len(METHODS)), list(METHODS), fontsize=8)
        axis.set(ylim=(len(METHODS) - 0.4, -0.6), title=network)
        axis.set_xlim(LOWEST, max(3.0, float(rows["minus_opponent_high"].clip(upper=10).max()) + 0.5))
    axes[-1, 0].set_xlabel("accuracy minus that of the chosen opponent, points", fontsize=9)
    legend_below(figure, axes[0, 0], 2)
    return figure


@drawn_in_style
def plot_large_steps(large: pd.DataFrame) -> Figure:
    """Draw the accuracy at the end against the learning rate, for every way of training at large steps.

    Args:
        large: the table of :func:`.control_tables.large_table`.
    """
    networks = list(large["network"].unique())
    figure, axes = panels(WIDTH, 1.2 + 2.6 * len(networks), rows=len(networks))
    for axis, network in zip(axes[:, 0], networks, strict=True):
        for way, look in WAY_LOOKS.items():
            rows = large[(large["network"] == network) & (large["way"] == way)]
            axis.plot(rows["rate"], rows["accuracy"], label=way, linewidth=1.2, **look)
            axis.fill_between(rows["rate"], rows["low"], rows["high"], color=look["color"], alpha=0.1, linewidth=0)
        rates = sorted(large["rate"].unique())
        axis.set(xscale="log", title=network, ylim=(-2, 102))
        axis.set_xticks(rates, [f"{rate:g}" for rate in rates], minor=False)
        axis.set_xticks([], minor=True)
        axis.set_ylabel("test accuracy, %", fontsize=9)
    axes[-1, 0].set_xlabel("learning rate", fontsize=9)
    legend_below(figure, axes[0, 0], 2)
    return figure


@drawn_in_style
def plot_players(players: pd.DataFrame) -> Figure:
    """Draw steps to the target against the number of fictitious players, beside what would explain them.

    Args:
        players: the table of :func:`.control_tables.player_table`.
    """
    figure, ((axis,),) = panels(WIDTH, HEIGHT)
    for (curvature, rows), colour in zip(players.groupby("curvature", sort=False), (GAME, OPEN_COLOUR), strict=False):
        what = "rate × N" if curvature == "identity" else "damping / N"
        axis.plot(rows["players"], rows["control_steps"], "o", color=GREY, markersize=10, fillstyle="none")
        axis.plot(rows["players"], rows["steps"], "-s", color=colour, label=f"{curvature}: N players")
        axis.plot([], [], "o", color=GREY, markersize=10, fillstyle="none", label=f"{curvature}: {what}")
    axis.set_xticks(sorted(players["players"].unique()))
    axis.set_xlabel("fictitious players N", fontsize=9)
    axis.set_ylabel("steps to the target", fontsize=9)
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=8)
    return figure


@drawn_in_style
def plot_alignments(alignments: pd.DataFrame) -> Figure:
    """Draw the bandit's accuracy minus that of each other way to choose alignments.

    Args:
        alignments: the table of :func:`.control_tables.alignment_table`.
    """
    names = list(alignments["control"])
    figure, ((axis,),) = panels(WIDTH, 1.2 + 0.4 * len(names))
    low, high = alignments["difference"] - alignments["low"], alignments["high"] - alignments["difference"]
    axis.axvline(0.0, color="#555555", linewidth=0.8)
    axis.errorbar(alignments["difference"], range(len(names)), xerr=[low, high], fmt="o", color=GAME, linewidth=1.2)
    axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.set(ylim=(len(names) - 0.5, -0.5))
    axis.set_xlabel("accuracy of the bandit minus that of this, points", fontsize=9)
    return figure


@drawn_in_style
def plot_cost(prices: pd.DataFrame) -> Figure:
    """Draw the time of a step, in units of that of EKFAC, for every method and network.

    Args:
        prices: the table of :func:`.analysis.price_table`.
    """
    figure, ((axis,),) = panels(WIDTH, HEIGHT + 0.4)
    marks = zip(prices.groupby("network", sort=False), "os^D", (OTHER, GAME, OPEN_COLOUR, GREY), strict=False)
    for (network, rows), mark, colour in marks:
        axis.plot(rows["over_ekfac"], range(len(rows)), mark, color=colour, label=str(network))
    axis.axvline(1.4, color="#555555", linestyle=":", linewidth=1.0, label="the paper's 1.4")
    axis.set_yticks(range(len(METHODS)), list(METHODS), fontsize=8)
    axis.set(xscale="log", ylim=(len(METHODS) - 0.4, -0.6))
    ticks = [0.1, 0.2, 0.5, 1, 2, 5]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("time of a step over that of EKFAC", fontsize=9)
    figure.legend(fontsize=8, loc="outside lower center", ncols=4)
    return figure


def _difference(axis: Axes, place: int, row: dict[str, float | str]) -> None:
    """One method's difference with its interval; a mark at the edge where it is too low to be shown."""
    method, value = str(row["method"]), float(row["minus_opponent"])
    colour, mark = (GAME, "s") if method in GAMES else (OPEN_COLOUR, "D") if method == OPEN else (OTHER, "o")
    if value < LOWEST:
        axis.plot(LOWEST + 0.3, place, "<", color=colour)
        axis.text(LOWEST + 0.8, place, f"{value:.0f}", fontsize=7, va="center", color=colour)
        return
    ends = [float(row["minus_opponent_low"]), float(row["minus_opponent_high"])]
    axis.plot(ends, [place, place], "-", color=colour, linewidth=1.2)
    axis.plot(value, place, mark, color=colour)
