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
_NAMED = 7


@drawn_in_style
def plot_views(results: xr.Dataset) -> Figure:
    """Draw shares over time: simulated with band, exact dotted, mean field dashed; at most three combinations."""
    names = [name for name in SWEPT if name in results.dims]
    every = results.stack(cell=names) if names else results.expand_dims("cell")
    places = np.unique(np.linspace(0, every.sizes["cell"] - 1, _SHOWN).round().astype(int))
    figure, ((*axes,),) = panels(2.6 + 2.9 * len(places), 3.6, columns=len(places), sharey="row")
    for axis, place in zip(axes, places, strict=True):
        one = every.isel(cell=place)
        for k, strategy in enumerate(one["strategy"].values):
            line = one.sel(strategy=strategy)
            axis.fill_between(one["time"], line["low"], line["high"], color=colour(k), alpha=0.18, linewidth=0)
            axis.plot(one["time"], line["simulated"], color=colour(k))
            axis.plot(one["time"], line["mean_field"], color=colour(k), linestyle="--", linewidth=1.1)
            axis.plot(one["time"], line["exact"], color="black", linestyle=":", linewidth=1.4)
        title = ", ".join(f"{name.replace('_', ' ')} {float(one[name]):.4g}" for name in names)
        axis.set(xlabel="sweeps", ylim=(-0.03, 1.03), title=title)
    axes[0].set(ylabel="share of agents")
    _legend(figure, results)
    return figure


@drawn_in_style
def plot_sweep(results: xr.Dataset) -> Figure:
    """Draw where the views end against what is swept: lines for one parameter, a map of the first share for two."""
    names = [name for name in SWEPT if name in results.dims]
    last = results.isel(time=-1)
    figure, ((axis,),) = panels(6.0, 3.6)
    if len(names) == 1:
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
    first = last["simulated"].isel({"strategy": 0, **dict.fromkeys(names[2:], 0)})
    image = axis.pcolormesh(
        first[names[1]], first[names[0]], first.transpose(names[0], names[1]), vmin=0, vmax=1, cmap="cividis"
    )
    axis.set(xlabel=names[1].replace("_", " "), ylabel=names[0].replace("_", " "))
    axis.grid(visible=False)
    figure.colorbar(image, label=f"share of {last['strategy'].values[0]} after {int(last['time'])} sweeps")
    return figure


@drawn_in_style
def plot_long_run(game: PopulationGame | TwoPopulationGame, process: Process, sweeps: int) -> Figure | None:
    """Draw the mean field's flow beside the stationary law, where there are few enough strategies; else None."""
    if game.n_strategies not in (2, 3, (2, 2)):
        return None
    chain: Any
    field: Any
    if isinstance(game, TwoPopulationGame):
        chain, field = two_population_chain, two_population_mean_field(game, process)
    else:
        chain, field = strategy_chain, strategy_mean_field(game, process)
    law = None if too_large(game, process, sweeps) else chain(game, process).stationary()
    both = law is not None and law.status == "ok"
    figure, ((*axes,),) = panels(8.4 if both else 4.6, 3.9, columns=1 + both)
    field.plot(axes[0])
    if law is not None and both:
        law.plot(axes[1])
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


def _legend(figure: Figure, results: xr.Dataset) -> None:
    """Name strategies by colour and views by line style, below the figure."""
    names = [str(name) for name in results["strategy"].values]
    handles: list[Any] = [Line2D([], [], color=colour(k), label=name) for k, name in enumerate(names[:_NAMED])]
    handles.append(Line2D([], [], color="0.4", label="simulated, band: 5 % to 95 %"))
    if results["exact"].notnull().any():
        handles.append(Line2D([], [], color="black", linestyle=":", label="exact"))
    handles.append(Line2D([], [], color="0.4", linestyle="--", linewidth=1.1, label="mean field"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if figure.get_figwidth() < 7 else 6)
