"""Figures of the analysis of a network."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurogames.lab.figures import Look, as_written, drawn_in_style, legend_below, panels
from neurogames.lab.studies.analysis.measure import nash_gap_of

_MOST_SHOWN = 24
_LOOKS: dict[str, Look] = {
    "own": {"color": "#0072B2", "marker": "o"},
    "alike": {"color": "#E69F00", "marker": "s"},
    "additive": {"color": "#009E73", "marker": "^"},
    "context": {"color": "#CC79A7", "marker": "D"},
}


@drawn_in_style
def plot_gap(results: xr.Dataset) -> Figure:
    """Gains and own curvatures of the players; of many, those with the largest gains."""
    found = nash_gap_of(results)
    chosen = np.sort(np.argsort(-found.gain, kind="stable")[:_MOST_SHOWN])
    names = [as_written(found.players[place] or "(whole)") for place in chosen]
    rows = np.arange(len(chosen))
    figure, ((left, right),) = panels(8.0, 1.8 + 0.3 * len(chosen), columns=2, sharey="row")
    left.barh(rows, found.gain[chosen], height=0.6, color="#0072B2", label="gain found")
    bounds = np.where(np.isfinite(found.bound[chosen]), found.bound[chosen], np.nan)
    left.plot(bounds, rows, "|", color="black", markersize=12, label="cannot exceed")
    if found.held_out_gain is not None and found.held_out_stderr is not None:
        errors = 1.96 * found.held_out_stderr[chosen]
        left.errorbar(
            found.held_out_gain[chosen],
            rows,
            xerr=errors,
            fmt="o",
            color="#D55E00",
            label="held-out, 95 % interval",
        )
    left.axvline(found.epsilon, color="grey", linestyle=":", linewidth=1.0)
    left.set_xlabel("gain of the best deviation, in units of the loss")
    right.plot(found.largest_curvature[chosen], rows, ">", color="#009E73", label="largest curvature")
    right.plot(found.smallest_curvature[chosen], rows, "<", color="#D55E00", label="smallest curvature")
    right.axvline(0.0, color="black", linewidth=0.8)
    size = np.nanmax(np.abs(found.largest_curvature[chosen]), initial=0.0)
    right.set_xscale("symlog", linthresh=10.0 ** (np.floor(np.log10(size)) - 2) if size > 0 else 1.0)
    right.set_xlabel("curvature of the own block")
    left.set_yticks(rows, names)
    left.set_ylim(len(chosen) - 0.4, -0.6)
    for axis in (left, right):
        axis.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, fontsize=8, columnspacing=1.0)
    return figure


@drawn_in_style
def plot_layer(results: xr.Dataset) -> Figure:
    """The gain by how many take part, with its best fit; and who stays at a fee."""
    figure, ((left, right),) = panels(8.0, 3.2, columns=2)
    _draw_gain(left, results)
    fees = results["fee"].values
    if "staying" in results:
        right.plot(fees, results["staying"], color="black", linewidth=2.2, label="exact removal")
    for name, look in _LOOKS.items():
        shares = results["predicted_staying"].sel(prediction=name)
        right.plot(fees, shares, linestyle="--", linewidth=1.0, label=name, **look)
    right.set_xscale("log")
    right.set_xlabel("fee, in units of the loss")
    right.set_ylabel("share of units that stay")
    legend_below(figure, right)
    return figure


def _draw_gain(axis: Axes, results: xr.Dataset) -> None:
    others = results["others"].values
    gain, error = results["size_gain"].values, 1.96 * results["size_gain_stderr"].values
    axis.fill_between(others, gain - error, gain + error, color="#0072B2", alpha=0.25, linewidth=0)
    axis.plot(others, gain, color="#0072B2")
    if "good_gain" in results:
        axis.plot(others, results["good_gain"].isel(good=0), color="black", linestyle=":")
        axis.set_title(f"dotted: {results['good'].values[0]} good")
    axis.set_xlabel("others that take part")
    axis.set_ylabel("gain of one more unit")
