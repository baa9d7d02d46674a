"""The command units: what the units of a layer of a saved model are worth.

Modules that load torch are imported inside the command.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from rich.console import Console
from rich.table import Table
from typer import Argument, Option

from neurogames._arguments import integer, invalid_argument
from neurogames.lab.cli.saved_model import Activation, check_model, say_source
from neurogames.lab.cli.terminal import ends_plainly, progress_bar, say
from neurogames.lab.whole_file import ready_folder, write_whole

if TYPE_CHECKING:
    import networkx as nx

    from neurogames.lab.studies.units.saved import SavedUnits

MetricName = Literal["accuracy", "loss", "logit"]
METRICS: dict[MetricName, str] = {
    "accuracy": "accuracy on test rows",
    "loss": "minus the loss on test rows",
    "logit": "logit of the right class, test rows",
}


@ends_plainly(resumes=False)
def units(
    model: Annotated[Path, Argument(help="File of a saved model.")],
    data: Annotated[str | None, Option(help="The images it was trained on, by name or path.")] = None,
    layer: Annotated[str | None, Option(help="Name of the layer whose units are valued.")] = None,
    pathways_to: Annotated[str | None, Option(help="Name of a later layer: draw which units feed which of it.")] = None,
    metric: Annotated[str, Option(help="accuracy, loss or logit.")] = "accuracy",
    budget: Annotated[int, Option(help="Coalitions for the values of each kind.")] = 4000,
    top: Annotated[int, Option(help="Units shown, and compared between the halves of the budget.")] = 10,
    rows: Annotated[int, Option(help="Most training rows for the values, and test rows for the curves.")] = 1000,
    activation: Activation = None,
    seed: Annotated[int, Option(help="Seed of the draws.")] = 0,
    out: Annotated[Path | None, Option(help="Folder for the table (CSV) and the figures (PNG, SVG).")] = None,
) -> None:
    """Value the units of a layer of a saved model, and remove them in the order of their values."""
    from neurogames.lab.studies.units.saved import value_saved_units

    named = _checked(model, data, layer, metric, activation, out)
    if pathways_to is not None and out is None:
        raise invalid_argument("pathways_to", pathways_to, "a folder for the figure, --out")
    rng = np.random.default_rng(integer("seed", seed, minimum=0))
    if pathways_to is not None:
        _try_pathways(model, str(data), str(layer), pathways_to, activation, budget)
    if out is not None:
        ready_folder("out", out)
    pathways = None
    with progress_bar() as advance:
        found = value_saved_units(
            model,
            str(data),
            str(layer),
            budget=budget,
            top=top,
            metric=named,
            rows=rows,
            activation=activation,
            rng=rng,
            on_progress=advance,
        )
        if pathways_to is not None:
            from neurogames.bridge.coalitions.pathways import banzhaf_pathways

            advance("pathways", 0, 1)
            pathways = banzhaf_pathways(found.model, (found.layer, pathways_to), found.inputs, budget=budget, rng=rng)
        advance("done", 1, 1)
    if out is not None:
        # What is asked for is there before anything is printed, which whoever reads it may end.
        _write(found, pathways, named, out)
    say_source(found.source, activation)
    _print_units(found, named)
    _print_areas(found)
    say(_stability(found))
    if out is not None:
        say(f"Table and figures: {out}")


def _checked(
    model: Path, data: str | None, layer: str | None, metric: str, activation: str | None, out: Path | None
) -> MetricName:
    """Refuse what can be refused before anything is read; return the metric."""
    check_model(model, data)
    named = next((name for name in METRICS if name == metric), None)
    if named is None:
        raise invalid_argument("metric", metric, f"one of {', '.join(METRICS)}")
    if out is not None and out.exists() and not out.is_dir():
        raise invalid_argument("out", str(out), "a folder")
    if layer is None:
        from neurogames.lab.data.models import load_model

        names = [name for name, _ in load_model(model, activation=activation).model.named_modules() if name]
        raise invalid_argument("layer", "nothing", f"--layer with one of {', '.join(names)}")
    return named


def _try_pathways(model: Path, data: str, layer: str, pathways_to: str, activation: str | None, budget: int) -> None:
    """Draw pathways on one row, so that what cannot be drawn is refused before the values are computed."""
    from neurogames.bridge.coalitions.pathways import banzhaf_pathways
    from neurogames.lab.data.images import fitting_rows, load_images
    from neurogames.lab.data.models import load_model

    network = load_model(model, activation=activation).model
    inputs, _ = fitting_rows(network, load_images(data))
    banzhaf_pathways(network, (layer, pathways_to), inputs[:1], budget=budget, rng=np.random.default_rng(0))


def _write(found: SavedUnits, pathways: nx.DiGraph | None, metric: MetricName, out: Path) -> None:
    from neurogames.lab.figures import save_figure
    from neurogames.lab.studies.units import plots as unit_plots

    write_whole(out / "units.csv", found.table.to_csv(index=False))
    save_figure(unit_plots.plot_unit_values(found.table, found.layer), out, "units")
    save_figure(unit_plots.plot_removal(found.curves, METRICS[metric]), out, "removal")
    if pathways is not None:
        save_figure(unit_plots.plot_pathways(pathways), out, "pathways")


def _print_units(found: SavedUnits, metric: str) -> None:
    table = Table(title=f"Units of layer {found.layer} by Shapley value: {metric} on training rows")
    for name in ("unit", "Shapley", "± s.e.", "Banzhaf", "± s.e.", "magnitude", "gradient x activation"):
        table.add_column(name, justify="right")
    shown = found.table.head(found.top)
    for row in shown.itertuples(index=False):
        table.add_row(str(row[0]), *(f"{value:.4g}" for value in row[1:]))
    if len(found.table) > len(shown):
        table.caption = f"{len(found.table) - len(shown)} more units"
    Console().print(table)


def _print_areas(found: SavedUnits) -> None:
    table = Table(title="Most valuable unit removed first")
    table.add_column("order")
    table.add_column("area (small is good)", justify="right")
    for name, curve in found.curves.items():
        table.add_row(name, f"{curve.area:.3f}")
    Console().print(table)


def _stability(found: SavedUnits) -> str:
    """How far the order of the units can be trusted."""
    if found.exact:
        return f"All {found.calls:,} coalitions asked for: the Shapley values are exact."
    return (
        f"{found.calls:,} coalitions. The two halves of the budget share {found.overlap:.0%} of their best {found.top} "
        f"units; rank correlation of all values {found.rank_correlation:.2f}."
    )
