"""The commands about networks as games: prune and study. They are registered in ``cli``.

Modules that load torch are imported inside the commands.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import Console
from rich.table import Table
from typer import Argument, Option

from neurogames._arguments import invalid_argument
from neurogames.lab.cli.terminal import ends_plainly, run_named, say
from neurogames.lab.studies.registry import named_study

if TYPE_CHECKING:
    from neurogames.lab.studies.pruning.saved import SavedPruning
    from neurogames.lab.studies.pruning.settings import PruningSettings

QUICK_ROWS = 2000
_LISTED = 12
_FAR = 3.0


@ends_plainly
def prune(
    target: Annotated[str, Argument(help="digits, mnist or fashion_mnist for a study; or the file of a saved model.")],
    architecture: Annotated[str | None, Option(help="Study: mlp or cnn.")] = None,
    seeds: Annotated[int | None, Option(help="Study: independent repetitions; more may be asked for later.")] = None,
    epochs: Annotated[int | None, Option(help="Study: epochs of the corrected rule and each control.")] = None,
    paper_epochs: Annotated[int | None, Option(help="Study: epochs of the paper's configurations.")] = None,
    unit_budgets: Annotated[list[int] | None, Option("--units", help="Study: units that stay; repeatable.")] = None,
    price: Annotated[float | None, Option(help="Model: what taking part costs, in units of the loss.")] = None,
    congestion: Annotated[float | None, Option(help="Study: how much more units of fuller layers pay.")] = None,
    rows: Annotated[int | None, Option(help="Training rows; for a model those on which the game is taken.")] = None,
    data: Annotated[str | None, Option(help="Model: the pictures it was trained on, by name.")] = None,
    threshold: Annotated[float | None, Option(help="Model: units with a smaller share leave (0.01).")] = None,
    settings_from: Annotated[Path | None, Option(help="Study: folder of a run whose settings to start from.")] = None,
    out: Annotated[Path | None, Option(help="Study: folder of results; model: file for the smaller one.")] = None,
    workers: Annotated[int | None, Option(help="Study: processes side by side; every core if not given.")] = None,
    quick: Annotated[bool, Option("--quick", help="Study: a first look, with a small network.")] = False,
) -> None:
    """Prune a saved model by the game of its units, or study pruning on a named data set."""
    from neurogames.lab.data.images import IMAGE_NAMES

    for_study = {
        "architecture": architecture,
        "seeds": seeds,
        "epochs": epochs,
        "paper_epochs": paper_epochs,
        "unit_budgets": tuple(sorted(set(unit_budgets), reverse=True)) if unit_budgets else None,
        "congestion": congestion,
        "settings_from": settings_from,
        "workers": workers,
        "quick": quick or None,
    }
    if target in IMAGE_NAMES:
        _refuse_given(target, {"data": data, "threshold": threshold, "price": price})
        given = {"rows": rows} | for_study
        run_named("pruning", _pruning_settings(target, given), out, workers)
        return
    if not Path(target).expanduser().exists():
        raise invalid_argument("target", target, f"one of {', '.join(IMAGE_NAMES)}, or the file of a saved model")
    _refuse_given("the file of a model", for_study)
    if data is None:
        raise invalid_argument(
            "data", "nothing", f"--data with one of {', '.join(IMAGE_NAMES)} for the file of a model"
        )
    _prune_file(Path(target), data, price, 0.01 if threshold is None else threshold, rows, out)


@ends_plainly
def study(
    name: Annotated[str, Argument(help="Name of the study, such as pruning.")],
    data: Annotated[str | None, Option(help="digits, mnist or fashion_mnist, with the settings that suit it.")] = None,
    settings_from: Annotated[Path | None, Option(help="Folder of a run whose settings to take.")] = None,
    quick: Annotated[bool, Option("--quick", help="A first look.")] = False,
    out: Annotated[Path | None, Option(help="Folder of results; an unfinished one is resumed.")] = None,
    workers: Annotated[int | None, Option(help="Processes side by side; every core if not given.")] = None,
) -> None:
    """Run a named study, and write a report."""
    kind = named_study(name).load()[0]
    if data is not None and settings_from is not None:
        raise invalid_argument("data", data, "nothing, as --settings-from says which data")
    if settings_from is not None:
        from neurogames.lab.studies.study import settings_of_run

        settings = settings_of_run(settings_from, kind)
    else:
        settings = kind() if data is None else kind.for_data(data)
    run_named(name, settings.quick() if quick else settings, out, workers)


def _pruning_settings(data: str, given: dict[str, Any]) -> PruningSettings:
    """Settings of a pruning study: the defaults or those of a run, made quick if asked, and what is given."""
    from neurogames.lab.studies.pruning.settings import CONGESTION, HIDDEN, UNIT_BUDGETS, PruningSettings
    from neurogames.lab.studies.study import settings_of_run

    base = (
        PruningSettings.for_data(data)
        if given["settings_from"] is None
        else dataclasses.replace(settings_of_run(given["settings_from"], PruningSettings), data=data)
    )
    architecture = given["architecture"]
    if architecture not in (None, base.architecture):
        defaults = {"hidden": HIDDEN, "unit_budgets": UNIT_BUDGETS, "congestion": CONGESTION}
        suiting = {name: values[architecture] for name, values in defaults.items() if architecture in values}
        base = dataclasses.replace(base, architecture=architecture, **suiting)
    if given["quick"]:
        base = dataclasses.replace(base.quick(), data=data, rows=None if data == "digits" else QUICK_ROWS)
    names = ("seeds", "epochs", "paper_epochs", "unit_budgets", "congestion", "rows")
    return dataclasses.replace(base, **{name: given[name] for name in names if given[name] is not None})


def _refuse_given(target: str, options: dict[str, object]) -> None:
    """Refuse options that belong to the other kind of target."""
    for name, value in options.items():
        if value is not None:
            raise invalid_argument(name, value, f"nothing, as it does not apply to {target}")


def _prune_file(
    path: Path, data: str, price: float | None, threshold: float, rows: int | None, out: Path | None
) -> None:
    """Prune the model of a file, and say what came out."""
    from neurogames.lab.data.models import save_model
    from neurogames.lab.studies.pruning.saved import prune_saved

    if out is not None and (out.is_dir() or not out.expanduser().parent.is_dir()):
        raise invalid_argument("out", str(out), "a file in a folder that exists")
    done = prune_saved(path, data, price=price, threshold=threshold, rows=rows)
    if done.source == "state_dict":
        say("The file holds numbers only: read as Linear layers with ReLU between them.")
    for sentence in _sentences(done):
        say(f"• {sentence}")
    table = Table(title="Without further training")
    for column in ("", "before", "after"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("accuracy on test rows", *(f"{value:.2%}" for value in done.accuracy))
    for name, pair in (
        ("units", done.units),
        ("parameters", done.pruned.parameters),
        ("multiply-adds of a picture", done.multiply_adds),
    ):
        table.add_row(name, *(f"{value:,}" for value in pair))
    table.add_row("measured speed", "1", f"{done.speed:.2f}")
    Console().print(table)
    if out is not None:
        save_model(done.pruned.model, out)
        say(f"Smaller model: {out}")


def _sentences(done: SavedPruning) -> list[str]:
    """What is known about the equilibrium and its prediction."""
    from neurogames.lab.studies.pruning.game import uniqueness_words

    found = done.equilibrium
    given = found.uniqueness
    count = sum(map(len, done.dominated.values()))
    who = "; ".join(f"{name}: {_some(units)}" for name, units in done.dominated.items())
    rounds = f", the last of them in round {int(found.dominated.max())} of elimination: {who}" if count else ""
    predicted, real = done.rise
    far = real > _FAR * predicted
    warning = ": the second-order model does not reach so far, a lower price is safer" if far else ""
    return [
        f"The game of {done.units[0]} units at price {done.price:.3g} was taken in {done.extraction_seconds:.2g} s and "
        f"solved in {found.seconds:.2g} s; residual {found.residual:.1e}, regret {found.regret:.1e}.",
        f"{count} units are strictly dominated{rounds}.",
        f"That this is the only equilibrium is "
        f"{uniqueness_words(found.unique, given.eigenvalue, given.error, given.status)}; price of anarchy "
        f"{found.anarchy:.3g}{'' if found.anarchy_certain else ', of the equilibria found'}.",
        f"On the rows of the game the loss rises by {real:.3g}; the game predicted {predicted:.3g}{warning}.",
    ]


def _some(units: list[int]) -> str:
    """The first of many indices."""
    rest = f" and {len(units) - _LISTED} more" if len(units) > _LISTED else ""
    return ", ".join(map(str, units[:_LISTED])) + rest
