"""Figures of the three views of agents."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from neurogames.engine import (
    Process,
    strategy_chain,
    strategy_mean_field,
    two_population_chain,
    two_population_mean_field,
)
from neurogames.engine.display.axes import colour
from neurogames.games import PopulationGame, TwoPopulationGame
from neurogames.lab.figures import as_written, drawn_in_style, panels
from neurogames.lab.studies.agents.exact import too_large
from neurogames.lab.studies.agents.settings import SWEPT

_SHOWN = 3
_DRAWN = (2, 3, (2, 2))
"""Numbers of strategies, of one population or two, that fit into a plane."""
_NAMED = 7


@drawn_in_style
def plot_views(results: xr.Dataset) -> Figure:
    """Draw shares over time: simulated with band, exact dotted, mean field dashed; at most three combinations below."""
    names = [name for name in SWEPT if name in results.dims]
    results = _most_used(results)
    every = results.stack(cell=names) if names else results.expand_dims("cell")
    places = np.unique(np.linspace(0, every.sizes["cell"] - 1, _SHOWN).round().astype(int))
    figure, grid = panels(6.0, 3.6 if len(places) == 1 else 0.8 + 2.0 * len(places), rows=len(places))
    for axis, place in zip(grid[:, 0], places, strict=True):
        one = every.isel(cell=place)
        for k, strategy in enumerate(one["strategy"].values):
            line = one.sel(strategy=strategy)
            axis.fill_between(one["time"], line["low"], line["high"], color=colour(k), alpha=0.18, linewidth=0)
            axis.plot(one["time"], line["simulated"], color=colour(k))
            axis.plot(one["time"], line["mean_field"], color=colour(k), linestyle="--", linewidth=1.1)
            axis.plot(one["time"], line["exact"], color="black", linestyle=":", linewidth=1.4)
        title = ", ".join(f"{name.replace('_', ' ')} {float(one[name]):.4g}" for name in names)
        axis.set(ylabel="share of agents", ylim=(-0.03, 1.03), title=title)
    grid[-1, 0].set(xlabel="sweeps")
    _legend(figure, results)
    return figure


@drawn_in_style
def plot_sweep(results: xr.Dataset) -> Figure:
    """Draw where the views end against what is swept: lines for one parameter, maps of simulated shares for two."""
    names = [name for name in SWEPT if name in results.dims]
    results = _most_used(results) if len(names) == 1 else results
    last = results.isel(time=-1)
    if len(names) == 1:
        figure, ((axis,),) = panels(6.0, 3.6)
        x = last[names[0]]
        for k, strategy in enumerate(last["strategy"].values):
            one = last.sel(strategy=strategy)
            error = 2 * one["standard_error"]
            axis.errorbar(x, one["simulated"], yerr=error, color=colour(k), marker="o", linestyle="none")
            axis.plot(x, one["mean_field"], color=colour(k), linestyle="--", linewidth=1.1)
            axis.plot(x, one["exact"], color="black", linestyle=":")
        axis.set(
            xlabel=names[0].replace("_", " "), ylabel=f"share after {int(last['time'])} sweeps", ylim=(-0.03, 1.03)
        )
        _legend(figure, results)
        return figure
    # Two strategies have one share to tell, and more than three would be too small to read.
    shown = [0] if last.sizes["strategy"] == 2 else range(min(last.sizes["strategy"], _SHOWN))
    figure, grid = panels(6.0, 0.6 + 2.2 * len(shown), rows=len(shown))
    for axis, k in zip(grid[:, 0], shown, strict=True):
        shares = last["simulated"].isel({"strategy": k, **dict.fromkeys(names[2:], 0)}).transpose(names[0], names[1])
        image = axis.pcolormesh(shares, vmin=0, vmax=1, cmap="cividis")
        for name, which in zip(names[:2], (axis.yaxis, axis.xaxis), strict=True):
            ticks = np.unique(np.linspace(0, shares.sizes[name] - 1, _NAMED).round().astype(int))
            which.set_ticks(ticks + 0.5, [f"{float(shares[name][place]):.4g}" for place in ticks])
        axis.set(ylabel=names[0].replace("_", " "), title=f"share of {as_written(last['strategy'].values[k])}")
        axis.grid(visible=False)
    grid[-1, 0].set(xlabel=names[1].replace("_", " "))
    figure.colorbar(image, ax=list(grid[:, 0]), label=f"simulated share after {int(last['time'])} sweeps")
    return figure


@drawn_in_style
def plot_flow(game: PopulationGame | TwoPopulationGame, process: Process) -> Figure | None:
    """Draw the mean field's flow with its rest points, where there are few enough strategies; else None."""
    if game.n_strategies not in _DRAWN:
        return None
    field: Any = two_population_mean_field if isinstance(game, TwoPopulationGame) else strategy_mean_field
    figure, ((axis,),) = panels(4.6, 3.9)
    field(game, process).plot(axis)
    return figure


@drawn_in_style
def plot_law(game: PopulationGame | TwoPopulationGame, process: Process, sweeps: int) -> Figure | None:
    """Draw the exact law of the long run, where it is known and can be drawn; else None."""
    if game.n_strategies not in _DRAWN or too_large(game, process, sweeps):
        return None
    chain: Any = two_population_chain if isinstance(game, TwoPopulationGame) else strategy_chain
    law = chain(game, process).stationary()
    if law.status != "ok":
        return None
    figure, ((axis,),) = panels(4.6, 3.9)
    law.plot(axis)
    return figure


@drawn_in_style
def plot_take_over(first: xr.Dataset, replicas: int) -> Figure:
    """Draw at one combination which outcome takes over: exact probabilities as bars, what replicas did beside them."""
    figure, ((axis,),) = panels(6.0, 3.6)
    names = [as_written(name) for name in first["outcome"].values]
    place, seen, by = np.arange(len(names)), first["took_over"], f"by sweep {int(first['time'][-1])}"
    known = bool(first["takes_over"].notnull().all())
    if known:
        axis.bar(place, first["takes_over"], 0.6, color="0.85", edgecolor="0.4", label="exact, in the end")
    error = 2 * np.sqrt(seen * (1 - seen) / replicas)
    colours = [colour(k) for k in range(len(names))]
    axis.errorbar(place, seen, yerr=error, fmt="none", ecolor="0.2")
    axis.scatter(place, seen, color=colours, zorder=3, label=f"simulated, {by}")
    axis.set_xticks(place, names, rotation=0 if len(names) < _NAMED else 45)
    axis.set(ylabel="probability to take over" if known else f"share of replicas, {by}", ylim=(-0.03, 1.03))
    axis.set_xlim(-0.6, len(names) - 0.4)
    if known:
        axis.legend()
    return figure


def _most_used(results: xr.Dataset) -> xr.Dataset:
    """The strategies that there are colours for: all, or those that are used most at some time."""
    if results.sizes["strategy"] <= _NAMED:
        return results
    others = [name for name in results["simulated"].dims if name != "strategy"]
    most = results["simulated"].max(others).values
    return results.isel(strategy=np.sort(np.argsort(-most, kind="stable")[:_NAMED]))


def _legend(figure: Figure, results: xr.Dataset) -> None:
    """Name strategies by colour and views by line style, below the figure."""
    names = [as_written(name) for name in results["strategy"].values]
    handles: list[Any] = [Line2D([], [], color=colour(k), label=name) for k, name in enumerate(names)]
    handles.append(Line2D([], [], color="0.4", label="simulated, band: 5 % to 95 %"))
    if results["exact"].notnull().any():
        handles.append(Line2D([], [], color="black", linestyle=":", label="exact"))
    handles.append(Line2D([], [], color="0.4", linestyle="--", linewidth=1.1, label="mean field"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
