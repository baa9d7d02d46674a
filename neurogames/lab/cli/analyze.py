"""The command analyze: which equilibrium a network is in, in a report.

Modules that load torch are imported inside the command.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from neurogames._arguments import invalid_argument
from neurogames.lab.cli.saved_model import Activation
from neurogames.lab.cli.terminal import ends_plainly, progress_bar, say

if TYPE_CHECKING:
    from neurogames.bridge.extraction.nash_gap import NashCost


@ends_plainly(resumes=False)
def analyze(
    model: Annotated[
        str, Argument(help="package.module:function, or a saved model, TorchScript or torch.export file.")
    ],
    data: Annotated[str | None, Option(help="Images or a table by name or file, or a file .npz with arrays.")] = None,
    weights: Annotated[Path | None, Option(help="State dictionary for what package.module:function builds.")] = None,
    players: Annotated[str, Option(help="layer, unit or block.")] = "layer",
    epsilon: Annotated[float, Option(help="Gains up to here do not count, in units of the loss.")] = 1e-3,
    budget: Annotated[float, Option(help="Seconds for gains and curvatures.")] = 150.0,
    layer: Annotated[str | None, Option(help="Layer whose units play the public goods game.")] = None,
    coalitions: Annotated[int, Option(help="Coalitions for that game.")] = 4000,
    rows: Annotated[int, Option(help="Most training rows, and most held-out rows.")] = 2000,
    activation: Activation = None,
    seed: Annotated[int, Option(help="Seed of the draws.")] = 0,
    out: Annotated[Path, Option(help="Folder for the report.")] = Path("neurogames-runs/analysis"),
) -> None:
    """Say which equilibrium a network is in, and which game its units play."""
    if data is None:
        raise invalid_argument("data", "nothing", "--data with the name of images or a table, or a file .npz")
    import numpy as np

    from neurogames.lab.data.model_sources import read_model
    from neurogames.lab.studies.analysis import rows as network_rows
    from neurogames.lab.studies.analysis.run import analyze as run
    from neurogames.lab.studies.analysis.settings import AnalysisSettings

    settings = AnalysisSettings(
        players=players,  # type: ignore[arg-type]
        epsilon=epsilon,
        budget=budget,
        layer=layer,
        coalitions=coalitions,
        seed=seed,
    )
    network = read_model(model, weights=weights, activation=activation)
    found = network_rows.rows_for(network, data, rows=rows, rng=np.random.default_rng(seed))
    words = ["neurogames", "analyze", model, "--data", data, "--rows", str(rows), "--out", str(out)]
    words += ["--weights", str(weights)] if weights is not None else []
    words += ["--activation", activation] if activation is not None else []
    words += [
        f"--{name}={value}" for name, value in settings.to_dict().items() if value is not None and name not in _FIXED
    ]
    with progress_bar() as advance:
        finished = run(
            network,
            found.loss,
            found.training,
            out,
            held_out=found.held_out,
            settings=settings,
            on_estimate=_say_cost,
            on_progress=advance,
            source=f"{model} on {len(found.training[0]):,} rows: {found.source}.",
            command=words,
        )
    for sentence in finished.verdicts:
        say(f"• {sentence}")
    say(f"Report: {finished.report}")


_FIXED = ("starts", "steps")
"""Settings that the command line leaves as they are."""


def _say_cost(cost: NashCost) -> None:
    say(
        f"{cost.players} players with {cost.parameters:,} parameters: at most about {cost.seconds:.0f} s without a "
        f"limit, and {cost.memory / 2**20:,.0f} MiB."
    )
