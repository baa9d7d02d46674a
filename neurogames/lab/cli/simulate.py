"""The command simulate: the public goods game under gradient dropout, agents beside the exact law."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from rich.console import Console
from rich.table import Table
from typer import Option

from neurogames._arguments import integer, invalid_argument
from neurogames.games import PublicGoodsGame
from neurogames.lab.cli.terminal import ends_plainly
from neurogames.lab.runs.run_folder import SETTINGS_FILE
from neurogames.lab.runs.store import write_dataset
from neurogames.lab.studies.comparison.settings import ComparisonSettings

DEFAULT = ComparisonSettings()


@ends_plainly(resumes=False)
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
    from neurogames.lab.figures import save_figure  # loads matplotlib
    from neurogames.lab.studies.comparison import plots, simulation  # load numba

    if out is not None and ((out / SETTINGS_FILE).exists() or (out.exists() and not out.is_dir())):
        raise invalid_argument("out", str(out), "a folder, and not that of a study")
    result = simulation.simulate_composition(
        PublicGoodsGame(n_players=players, cost=cost, multiplier=multiplier),
        keep_probs=sorted(set(keep_prob or DEFAULT.keep_probs)),
        temperature=temperature,
        sweeps=sweeps,
        replicas=replicas,
        masks=mask or list(simulation.MASKS),
        rng=np.random.default_rng(integer("seed", seed, minimum=0)),
    )
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
