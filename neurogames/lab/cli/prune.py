"""The command prune: a saved model, made smaller by the game of its units.

Modules that load torch are imported inside the command.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from rich.table import Table
from typer import Argument, Option

from neurogames._arguments import invalid_argument
from neurogames.lab.cli.saved_model import Activation, check_model, say_source
from neurogames.lab.cli.terminal import ends_plainly, progress_bar, say
from neurogames.lab.whole_file import ready_folder, written_path

if TYPE_CHECKING:
    from neurogames.lab.studies.pruning.saved import SavedPruning

_LISTED = 12
_FAR = 3.0


@ends_plainly(resumes=False)
def prune(
    model: Annotated[Path, Argument(help="File of a saved model.")],
    data: Annotated[str | None, Option(help="The images it was trained on, by name or path.")] = None,
    price: Annotated[float | None, Option(help="What taking part costs, in units of the loss.")] = None,
    threshold: Annotated[float, Option(help="Units with a smaller share leave.")] = 0.01,
    rows: Annotated[int | None, Option(help="Training rows on which the game is taken.")] = None,
    activation: Activation = None,
    out: Annotated[Path | None, Option(help="File for the smaller model.")] = None,
) -> None:
    """Prune a saved model by the game of its units, without training it further."""
    name = check_model(model, data)
    from neurogames.lab.data.models import save_model
    from neurogames.lab.studies.pruning.saved import prune_saved

    if out is not None:
        place = out.expanduser()
        if not place.parent.is_dir() or (place.exists() and not place.is_file()):
            raise invalid_argument("out", str(out), "a file in a folder that exists")
        written_path("out", out)
        ready_folder("out", place.parent)
    with progress_bar() as advance:
        done = prune_saved(
            model, name, price=price, threshold=threshold, rows=rows, activation=activation, on_progress=advance
        )
        advance("done", 4, 4)
    if out is not None:
        # It is there before anything is printed, which whoever reads it may end.
        save_model(done.pruned.model, out)
    say_source(done.source, activation)
    for sentence in _sentences(done):
        say(f"• {sentence}")
    table = Table(title="Without further training")
    for column in ("", "before", "after"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("accuracy on test rows", *(f"{value:.2%}" for value in done.accuracy))
    for name, pair in (
        ("units", done.units),
        ("parameters", done.pruned.parameters),
        ("multiply-adds of an image", done.multiply_adds),
    ):
        table.add_row(name, *(f"{value:,}" for value in pair))
    table.add_row("measured speed", "1", f"{done.speed:.2f}")
    Console().print(table)
    if out is not None:
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
