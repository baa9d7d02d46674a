"""The page of a simulation of agents: three views and whether they agree."""

from __future__ import annotations

import xarray as xr

from neurogames.games import TwoPopulationGame
from neurogames.lab.studies.agents.analysis import agreement, end_table, take_over_sentence, take_over_table
from neurogames.lab.studies.agents.measure import game_of, process_of
from neurogames.lab.studies.agents.plots import plot_flow, plot_law, plot_sweep, plot_take_over, plot_views
from neurogames.lab.studies.agents.settings import AgentsSettings
from neurogames.lab.studies.page import DrawnFigure, Finding, Page, ShownTable

_TERMS = (
    "Simulated: compiled agents, independent replicas from the same shares. Exact: the Markov chain of the "
    "composition of the population, without draws. Mean field: infinitely many agents. A sweep is one revision per "
    "agent on average."
)
_READING = (
    "Simulation and exact chain are of the same agents, so that they must agree up to the draws: their bounds hold "
    "for all comparisons together with 95 % probability (Bernstein's inequality). The mean field need not agree: "
    "finite populations leave places where infinite ones stay. On a graph it is that of the well-mixed population."
)
_TAKE_OVER = (
    "Exact probability to be the first that all use, the share of replicas in which all use it at the end, and the "
    "exact mean time in sweeps until all use the same."
)
_MOST_OUTCOMES = 16
_MOST_USED = " Of more than seven strategies the seven are shown that are most used at some time."
_VIEWS = (
    "Simulated mean shares with the band from the 5 % to the 95 % quantile of replicas, exact means, and mean field."
)


def agents_page(results: xr.Dataset, settings: AgentsSettings) -> Page:
    """Make the page.

    Args:
        results: of all combinations.
        settings: what was asked.

    Returns:
        The page.
    """
    answer, verdicts = agreement(results, settings.replicas)
    findings = _take_over(results, settings)
    findings += [] if settings.graph else _long_run(results, settings)
    if settings.swept():
        figure = DrawnFigure("sweep", plot_sweep(results), "Where the views end, against what is swept.")
        names = " and ".join(name.replace("_", " ") for name in settings.swept())
        count = len(settings.cells())
        does = "do" if len(settings.swept()) > 1 else "does"
        findings.insert(0, Finding(f"What {does} {names} change?", f"{count} combinations", _ends(results), figure))
    taken = take_over_table(results)
    where = f"on the graph {settings.graph}" if settings.graph else "well mixed"
    players = int(results["n_players"].max())
    game = game_of(settings, settings.at({}), players)
    agents = f"{players} agents" + (" in each of two populations" if isinstance(game, TwoPopulationGame) else "")
    return Page(
        title="What do agents do?",
        subtitle=f"Game {settings.game}, {agents}, {where}; process {settings.process}, "
        f"{settings.replicas} replicas of {settings.sweeps} sweeps.",
        terms=_TERMS,
        verdicts=verdicts,
        reading=_READING,
        notes=[],
        figures=[],
        tables=[
            ShownTable(
                "ends", "Where the views end", "Mean shares at the end, and in the long run.", end_table(results)
            ),
            *([ShownTable("take-over", "What takes over", _TAKE_OVER, taken)] if len(taken) else []),
        ],
        lead=DrawnFigure("views", plot_views(results), _VIEWS + (_MOST_USED if results.sizes["strategy"] > 7 else "")),
        answer=answer,
        findings=findings,
    )


def _long_run(results: xr.Dataset, settings: AgentsSettings) -> list[Finding]:
    """The stationary law and the flow at the first combination."""
    values = settings.at({})
    game, process = game_of(settings, values, values["players"]), process_of(settings, values)
    first = results.isel(dict.fromkeys(settings.swept(), 0))
    shares = ", ".join(
        f"{name} {float(first['stationary'].sel(strategy=name)):.3g}" for name in first["strategy"].values
    )
    where = " At the first value of what is swept." if settings.swept() else ""
    caption = "The corner, or end, of a strategy is a population in which all use it."
    found = []
    law = plot_law(game, process, settings.sweeps)
    if law is not None:
        text = f"Share of time that the exact chain spends at each composition, whatever the start.{where}"
        found.append(Finding("Where are agents in the long run?", shares, text, DrawnFigure("long-run", law, caption)))
    flow = plot_flow(game, process)
    if flow is not None:
        status = str(first["status"].sel(view="long run").item())
        number = "Flow with its rest points" if law is not None else f"No exact law of the long run: {status}"
        text = f"Rest points of the mean field: filled is stable, half a saddle, open unstable, grey undecided.{where}"
        found.append(
            Finding("Where would infinitely many agents go?", number, text, DrawnFigure("flow", flow, caption))
        )
    return found


def _take_over(results: xr.Dataset, settings: AgentsSettings) -> list[Finding]:
    """What takes over at the first combination, if anything does."""
    first = results.isel(dict.fromkeys(settings.swept(), 0))
    if first["took_over"].isnull().any() or first.sizes["outcome"] > _MOST_OUTCOMES:
        return []
    known, end = bool(first["takes_over"].notnull().all()), int(first["time"][-1])
    ended = float(first["took_over"].sum())
    what = "strategy" if set(first["outcome"].values) <= set(first["strategy"].values) else "pair of strategies"
    text = (
        f"Whoever copies brings nothing new, so that one {what} is used by all in the end. By sweep {end} that has "
        f"happened in {100 * ended:.3g} % of the replicas."
    )
    text += " At the first value of what is swept." if settings.swept() else ""
    caption = f"Exact probability that a {what} is the first that all use, and the" if known else "The"
    caption += f" share of replicas in which all use it by sweep {end}, with two standard errors."
    drawn = DrawnFigure("take-over", plot_take_over(first, settings.replicas), caption)
    return [Finding(f"Which {what} takes over?", take_over_sentence(first), text, drawn)]


def _ends(results: xr.Dataset) -> str:
    """Which shares change by how much."""
    last = results["simulated"].isel(time=-1)
    others = [name for name in last.dims if name != "strategy"]
    low, high = last.min(others), last.max(others)
    parts = [
        f"{name} {float(low.sel(strategy=name)):.3g} to {float(high.sel(strategy=name)):.3g}"
        for name in last["strategy"].values
    ]
    return f"Simulated mean shares at the end go from least to greatest: {', '.join(parts)}."
