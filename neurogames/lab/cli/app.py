"""The command ``neurogames``: compare, simulate, datasets, report, prune, study, analyze.

Wrong input ends with one line and exit code 2, Ctrl-C with 130; what had been finished stays on disk. Modules that
load torch are imported inside the commands that need them, so that the others start at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from typer import Option

from neurogames.lab.cli.networks import prune, study
from neurogames.lab.cli.terminal import ends_plainly, progress_bar, say
from neurogames.lab.cli.units import analyze
from neurogames.lab.runs.run_folder import SETTINGS_FILE, read_settings
from neurogames.lab.runs.store import read_dataset, write_dataset
from neurogames.lab.studies.comparison.settings import Settings
from neurogames.lab.studies.registry import named_study

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Game-theoretic questions about neural networks.",
)
DEFAULT = Settings()


@app.command()
@ends_plainly
def compare(
    data: Annotated[list[str] | None, Option(help="Dataset name, openml:NAME or a file; repeatable.")] = None,
    target: Annotated[str | None, Option(help="Target column of a file.")] = None,
    task: Annotated[str | None, Option(help="regression or classification; inferred if not given.")] = None,
    keep_prob: Annotated[list[float] | None, Option(help="Keep probability of the grid; repeatable.")] = None,
    target_noise: Annotated[list[str] | None, Option(help="none, uniform, gaussian or stable; repeatable.")] = None,
    noise_factor: Annotated[float | None, Option(help="Target noise in target deviations.")] = None,
    stable_alpha: Annotated[float | None, Option(help="Tail index of stable noise.")] = None,
    seeds: Annotated[int | None, Option(help="Independent repetitions.")] = None,
    first_seed: Annotated[int | None, Option(help="Seed of the first repetition.")] = None,
    hidden: Annotated[list[int] | None, Option(help="Units of a hidden layer; once per layer.")] = None,
    epochs: Annotated[int | None, Option(help="Epochs of the plain network.")] = None,
    batch_size: Annotated[int | None, Option(help="Rows of a mini-batch.")] = None,
    learning_rate: Annotated[float | None, Option(help="Step size of Adam.")] = None,
    n_players: Annotated[int | None, Option(help="Players of the simulated game.")] = None,
    cost: Annotated[float | None, Option(help="Cost of composing, c.")] = None,
    multiplier: Annotated[float | None, Option(help="Yield of full composition, kappa.")] = None,
    temperature: Annotated[float | None, Option(help="Temperature of the logit choice, tau.")] = None,
    sweeps: Annotated[int | None, Option(help="Length of the simulation.")] = None,
    settings_from: Annotated[Path | None, Option(help="Folder of a run whose settings to start from.")] = None,
    out: Annotated[Path | None, Option(help="Folder of results; an unfinished one is resumed.")] = None,
    workers: Annotated[int | None, Option(help="Processes that train side by side; every core if not given.")] = None,
    quick: Annotated[bool, Option("--quick", help="A first look in about 15 seconds.")] = False,
) -> None:
    """Set simulation against training on real data, and write a report."""
    from neurogames.lab.studies.comparison.compare import compare as run  # loads torch
    from neurogames.lab.studies.comparison.compare import default_folder

    options = {
        "data": data,
        "target": target,
        "task": task,
        "keep_probs": sorted(set(keep_prob or [])),
        "target_noises": target_noise,
        "noise_factor": noise_factor,
        "stable_alpha": stable_alpha,
        "seeds": seeds,
        "first_seed": first_seed,
        "hidden": hidden,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "n_players": n_players,
        "cost": cost,
        "multiplier": multiplier,
        "temperature": temperature,
        "sweeps": sweeps,
    }
    base = Settings() if settings_from is None else Settings.from_dict(read_settings(settings_from))
    base = base.quick() if quick else base
    given = {name: value for name, value in options.items() if value not in (None, [])}
    chosen = Settings.from_dict({**base.to_dict(), **given})
    folder = default_folder(chosen) if out is None else out
    with progress_bar() as advance:
        # Starting another process takes longer than all the training of a first look.
        workers = 1 if quick and workers is None else workers
        comparison = run(chosen, folder, workers=workers, on_progress=advance)
    for sentence in comparison.verdicts:
        say(f"• {sentence}")
    say(f"\nReport: {folder / 'report.html'}")


@app.command()
@ends_plainly
def simulate(
    players: Annotated[int, Option(help="Number of players, N.")] = DEFAULT.n_players,
    cost: Annotated[float, Option(help="Cost of composing, c.")] = DEFAULT.cost,
    multiplier: Annotated[float, Option(help="Yield of full composition, kappa.")] = DEFAULT.multiplier,
    temperature: Annotated[float, Option(help="Temperature of the logit choice, tau.")] = DEFAULT.temperature,
    keep_prob: Annotated[list[float] | None, Option(help="Keep probabilities; may be repeated.")] = None,
    mask: Annotated[list[str] | None, Option(help="Meaning of a mask; all three if not given.")] = None,
    sweeps: Annotated[int, Option(help="Length in sweeps.")] = DEFAULT.sweeps,
    replicas: Annotated[int, Option(help="Independent simulations.")] = DEFAULT.replicas,
    seed: Annotated[int, Option(help="Seed of the draws.")] = 0,
    out: Annotated[Path | None, Option(help="Folder for simulation.nc and the figure.")] = None,
) -> None:
    """Simulate the public goods game under gradient dropout, beside the exact law."""
    from neurogames._arguments import integer, invalid_argument
    from neurogames.games import PublicGoodsGame
    from neurogames.lab.figures import save_figure  # loads matplotlib
    from neurogames.lab.studies.comparison import (
        plots,  # numba loads with it
        simulation,  # numba loads with it
    )

    if out is not None and ((out / SETTINGS_FILE).exists() or (out.exists() and not out.is_dir())):
        raise invalid_argument("out", str(out), "a folder, and not that of a comparison")
    asked = {
        "keep_probs": sorted(set(keep_prob or DEFAULT.keep_probs)),
        "temperature": temperature,
        "sweeps": sweeps,
        "replicas": replicas,
        "masks": mask or list(simulation.MASKS),
    }
    game = PublicGoodsGame(n_players=players, cost=cost, multiplier=multiplier)
    result = simulation.simulate_composition(game, **asked, rng=np.random.default_rng(integer("seed", seed, minimum=0)))
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
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_dataset(result, out / "simulation.nc")
        save_figure(plots.plot_simulation(result), out, "simulation")


@app.command()
@ends_plainly
def datasets() -> None:
    """List the tables that can be named, and where they come from."""
    from neurogames.lab.data.datasets import list_datasets  # loads scikit-learn

    frame = list_datasets()
    table = Table()
    for name in frame.columns:
        table.add_column(str(name), overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(str(cell) for cell in row))
    Console().print(table)
    say(
        "Also: openml:NAME, or a path to a csv, csv.gz or parquet file with --target COLUMN. "
        "NEUROGAMES_DATA names a folder of further tables."
    )


@app.command()
@ends_plainly
def report(folder: Annotated[Path, typer.Argument(help="Folder of a finished comparison or study.")]) -> None:
    """Write the report of a finished comparison or study again."""
    from neurogames.lab.studies.comparison.report import write_report  # loads matplotlib

    study_name = read_dataset(folder / "results.nc").attrs.get("study")
    write = write_report if study_name is None else named_study(study_name).load()[2]
    say(f"Report: {write(folder).page}")


app.command()(prune)
app.command()(study)
app.command()(analyze)
