"""What the commands share: how they speak, how they show progress, and how they end."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from neurogames.lab.runs.errors import CellError

if TYPE_CHECKING:
    from pathlib import Path

    from neurogames.lab.studies.study import FinishedStudy, Settings, Study


def ends_plainly(*, resumes: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command, so that it ends with one line and an exit code where it would end with a traceback.

    Args:
        resumes: whether the same command goes on where an interrupted one stopped.
    """
    after = "the same command goes on where this one stopped" if resumes else "nothing is left half done"

    def plain(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(*words: object, **options: object) -> None:
            try:
                command(*words, **options)
            except (ValueError, OSError, CellError) as error:
                # An error is one line, whatever it quotes.
                print(f"neurogames: {cell(' '.join(str(error).split())).plain}", file=sys.stderr)
                raise typer.Exit(2) from None
            except KeyboardInterrupt:
                print(f"neurogames: interrupted; {after}", file=sys.stderr)
                raise typer.Exit(130) from None

        return run

    return plain


def say(text: str) -> None:
    """Print a line as it is."""
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


def cell(text: object) -> Text:
    r"""A text for a cell of a table, as it is but for control characters, which could change the terminal.

    >>> cell("[bold]size\x1b").plain
    '[bold]size\\x1b'
    """
    return Text("".join(each if each.isprintable() else repr(each)[1:-1] for each in str(text)))


@contextlib.contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on stderr, and give the function that moves it: ``advance(stage, done, total)``."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    with bar:
        line = bar.add_task("reading data", total=None)

        def advance(stage: str, done: int, total: int) -> None:
            bar.update(line, description=stage, completed=done, total=total)

        yield advance


def run_and_say(
    study: Study[Settings], settings: Settings, out: Path | None = None, workers: int | None = None
) -> FinishedStudy:
    """Run a study with a progress bar, and say what came out."""
    from neurogames.lab.studies.study import run_study  # loads torch

    with progress_bar() as advance:
        finished = run_study(study, settings, out, workers=workers, on_progress=advance)
    for sentence in finished.verdicts:
        say(f"• {sentence}")
    say(f"\nReport: {finished.report}")
    return finished
