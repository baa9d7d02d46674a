"""The command simulate: agents who play any game by any process, beside the exact law and the mean field.

Without ``--game``, ``--graph`` and ``--process`` it is the public goods game under gradient dropout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from typer import Option

from neurogames._arguments import integer, invalid_argument
from neurogames.games import PublicGoodsGame
from neurogames.lab.cli.terminal import cell, ends_plainly, progress_bar, say
from neurogames.lab.runs.run_folder import SETTINGS_FILE
from neurogames.lab.runs.store import write_dataset
from neurogames.lab.studies.agents.settings import SWEPT, AgentsSettings, read_values
from neurogames.lab.studies.comparison.settings import ComparisonSettings
from neurogames.lab.whole_file import ready_folder

DEFAULT = ComparisonSettings()
_SWEEP = "one number, several with commas, or first:last:count"
_MOST_ROWS = 40
_ON_GRAPH = 20


@ends_plainly(resumes=True)
def simulate(
    game: Annotated[str | None, Option(help="pgg, or a file: a matrix (.csv), .nfg or .efg.")] = None,
    graph: Annotated[str | None, Option(help="Who plays whom: a file, regular:8, lattice:100x100, ...")] = None,
    process: Annotated[str | None, Option(help="logit, best-response, imitation, replicator, moran, ...")] = None,
    players: Annotated[str, Option(help=f"Number of players, N: {_SWEEP}.")] = str(DEFAULT.n_players),
    cost: Annotated[str, Option(help="Cost of composing, c.")] = str(DEFAULT.cost),
    multiplier: Annotated[str, Option(help="Yield of full composition, kappa.")] = str(DEFAULT.multiplier),
    temperature: Annotated[str, Option(help="Temperature of the logit choice, tau.")] = str(DEFAULT.temperature),
    intensity: Annotated[str | None, Option(help="Intensity of selection.")] = None,
    mutation: Annotated[str | None, Option(help="Mutation rate.")] = None,
    keep_prob: Annotated[list[str] | None, Option(help="Keep probabilities; may be repeated.")] = None,
    mask: Annotated[list[str] | None, Option(help="Meaning of a mask; with a process: hold or blind.")] = None,
    revision: Annotated[str | None, Option(help="Who revises: one, or all at once.")] = None,
    start: Annotated[str | None, Option(help="Share of each strategy at time 0, with commas.")] = None,
    sweeps: Annotated[int, Option(help="Length in sweeps.")] = DEFAULT.sweeps,
    replicas: Annotated[
        int | None, Option(help=f"Independent simulations; {DEFAULT.replicas}, or {_ON_GRAPH} on a graph.")
    ] = None,
    seed: Annotated[int, Option(help="Seed of the draws.")] = 0,
    out: Annotated[Path | None, Option(help="Folder of results and page; an unfinished one is resumed.")] = None,
    workers: Annotated[int, Option(help="Processes side by side, with --out.")] = 1,
    cluster: Annotated[str | None, Option(help="Address of a dask scheduler that shares the folder of --out.")] = None,
) -> None:
    """Simulate agents beside the exact law and the mean field; any number may be swept as FIRST:LAST:COUNT."""
    numbers = {"players": players, "cost": cost, "multiplier": multiplier, "temperature": temperature}
    if game is None and graph is None and process is None:
        others = {"intensity": intensity, "mutation": mutation, "revision": revision, "start": start}
        for name, value in others.items():
            if value is not None:
                raise invalid_argument(name, value, "it only beside --game, --graph or --process")
        _composition(
            **{name: _one(name, text) for name, text in numbers.items()},
            keep_probs=[_one("keep_prob", text) for text in keep_prob or []],
            masks=mask,
            sweeps=sweeps,
            replicas=DEFAULT.replicas if replicas is None else replicas,
            seed=seed,
            out=out,
        )
        return
    numbers |= {"intensity": intensity or "1", "mutation": mutation or "0", "keep_prob": ",".join(keep_prob or ["1"])}
    settings = AgentsSettings(
        game=game or "pgg",
        graph=graph or "",
        process=process or "logit",
        **{name: read_values(name, numbers[name], whole=name == "players") for name in SWEPT},
        revision=revision or "one",
        masked=_one_mask(mask),
        start=read_values("start", start) if start else (),
        sweeps=sweeps,
        replicas=(_ON_GRAPH if graph else DEFAULT.replicas) if replicas is None else replicas,
        seed=seed,
    )
    if cluster is not None and out is None:
        raise invalid_argument("cluster", cluster, "it only with --out, a folder that its workers share")
    _agents(settings, out, integer("workers", workers, minimum=1), cluster)


def _agents(settings: AgentsSettings, out: Path | None, workers: int, cluster: str | None) -> None:
    """Measure, print where the views end and whether they agree, and write the page."""
    from neurogames.lab.studies.agents.analysis import agreement, end_table, take_over_sentence
    from neurogames.lab.studies.agents.run import run_agents, simulate_agents  # load numba and torch

    with progress_bar("agents") as advance:

        def tell(done: int, total: int, _: dict[str, Any]) -> None:
            advance("agents", done, total)

        if out is None:
            results = simulate_agents(settings, on_progress=tell)
        else:
            done = run_agents(settings, out, workers=workers, cluster=cluster, on_progress=tell)
            results = done.results
    frame = end_table(results)
    table = Table(title=f"Mean shares after {settings.sweeps} sweeps; long run: exact")
    for name in frame.columns:
        table.add_column(name.replace("_", " "), justify="left" if name == "strategy" else "right")
    for row in frame.head(_MOST_ROWS).itertuples(index=False):
        table.add_row(*(_shown(value) for value in row))
    Console().print(table)
    if len(frame) > _MOST_ROWS:
        say(f"... and {len(frame) - _MOST_ROWS} rows more")
    say(agreement(results, settings.replicas)[0])
    taken = "" if settings.swept() else take_over_sentence(results)
    if taken:
        say(f"Takes over: {taken}.")
    if out is not None:
        say(f"\nReport: {done.report}")


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return "–" if np.isnan(value) else f"{value:.4g}"
    return cell(value)


def _one(name: str, text: str) -> Any:
    """The one number of an option that is not swept here."""
    values = read_values(name, text, whole=name == "players")
    if len(values) > 1:
        raise invalid_argument(name, text, "one number, but beside --game, --graph or --process")
    return values[0]


def _one_mask(mask: list[str] | None) -> str:
    if mask is None:
        return "hold"
    if len(mask) > 1:
        raise invalid_argument("mask", mask, "one of them: hold or blind")
    return mask[0]


def _composition(
    *,
    players: int,
    cost: float,
    multiplier: float,
    temperature: float,
    keep_probs: list[float],
    masks: list[str] | None,
    sweeps: int,
    replicas: int,
    seed: int,
    out: Path | None,
) -> None:
    """Simulate the public goods game under gradient dropout, beside the exact law."""
    from neurogames.lab.figures import save_figure  # loads matplotlib
    from neurogames.lab.studies.comparison import plots, simulation  # load numba

    if out is not None and (out / SETTINGS_FILE).exists():
        raise invalid_argument("out", str(out), "a folder, and not that of a study")
    game = PublicGoodsGame(n_players=players, cost=cost, multiplier=multiplier)
    rng = np.random.default_rng(integer("seed", seed, minimum=0))
    if out is not None:
        ready_folder("out", out)
    with progress_bar() as advance:
        result = simulation.simulate_composition(
            game,
            keep_probs=sorted(set(keep_probs or DEFAULT.keep_probs)),
            temperature=temperature,
            sweeps=sweeps,
            replicas=replicas,
            masks=masks or list(simulation.MASKS),
            rng=rng,
            on_progress=lambda done, total: advance("simulating", done, total),
        )
    if out is not None:
        # What is asked for is there before anything is printed, which whoever reads it may end.
        write_dataset(result, out / "simulation.nc")
        save_figure(plots.plot_simulation(result), out, "simulation")
    table = Table(
        title=f"Share composing after {sweeps} sweeps, N = {players}, from none",
        caption="escape: expected sweeps to the tipping point, exact",
    )
    for column in ("masked players", "keep", "exact", "simulated", "± 2 s.e.", "escape"):
        table.add_column(column, justify="left" if column == "masked players" else "right", no_wrap=True)
    last = result.isel(sweep=-1)
    for name in last["mask"].values:
        for keep in last["keep_prob"].values:
            one = last.sel(mask=name, keep_prob=keep)
            table.add_row(
                str(name),
                f"{keep:g}",
                f"{float(one.exact):.4f}",
                f"{float(one.simulated):.4f}",
                f"{2 * float(one.standard_error):.4f}",
                f"{float(one.escape_sweeps):.4g}",
            )
    Console().print(table)
