"""What the commands share: how they speak, how they show progress, and how they end."""

from __future__ import annotations

import contextlib
import functools
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from neurogames._loading import say_on_leaving
from neurogames.lab.runs.errors import CellError
from neurogames.lab.runs.interrupts import heard_interrupt

if TYPE_CHECKING:
    from pathlib import Path

    from neurogames.lab.studies.study import FinishedStudy, Settings, Study


_INTERNAL = 70
"""Exit code of a fault of the project's own, as in sysexits.h."""


def ends_plainly(*, resumes: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command, so that it ends with one line and an exit code where it would end with a traceback.

    A fault of the project's own keeps its traceback, and asks to be reported.

    Args:
        resumes: whether the same command goes on where an interrupted one stopped.
    """
    after = "the same command goes on where this one stopped" if resumes else "nothing is left half done"

    def plain(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(*words: object, **options: object) -> None:
            say_on_leaving(after)
            try:
                with heard_interrupt():
                    command(*words, **options)
            except (ValueError, OSError, CellError) as error:
                # An error is one line, whatever it quotes.
                print(f"neurogames: {cell(' '.join(str(error).split())).plain}", file=sys.stderr)
                raise typer.Exit(2) from None
            except KeyboardInterrupt:
                # An interrupt within code from a string, as of a dataclass, stays noted, and Python would end by the
                # signal whatever its exit code; other code from a string clears the note.
                eval("None")
                say_on_leaving("")
                print(f"neurogames: interrupted; {after}", file=sys.stderr)
                raise typer.Exit(130) from None
            except MemoryError as error:
                print(f"neurogames: not enough memory; {error}", file=sys.stderr)
                raise typer.Exit(2) from None
            except typer.Exit:
                raise
            except Exception as error:
                traceback.print_exc()
                named = cell(f"{type(error).__name__}: {' '.join(str(error).split())}").plain
                print(f"neurogames: internal error ({named}); please report it with the lines above", file=sys.stderr)
                raise typer.Exit(_INTERNAL) from None
            finally:
                say_on_leaving("")

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
def progress_bar(stage: str = "") -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on stderr, and give the function that moves it: ``advance(stage, done, total)``.

    While numba compiles, which is kept for later runs, the bar says so.

    Args:
        stage: what is done first; without it, the bar is shown only from the first move on.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    line, stages = bar.add_task(stage, total=None), [stage]

    def advance(stage: str, done: int, total: int) -> None:
        bar.start()
        stages.append(stage)
        bar.update(line, description=stage, completed=done, total=total)

    def tell_compiling(compiling: bool) -> None:
        bar.update(line, description=f"{stages[-1]} (compiling, once)" if compiling else stages[-1])

    if stage:
        bar.start()
    try:
        with _compilation_told(tell_compiling):
            yield advance
    except Exception:
        # The line that says what is wrong is the only one.
        bar.live.transient, bar.console.quiet = True, not bar.console.is_terminal
        raise
    finally:
        if bar.live.is_started:
            bar.stop()


@contextlib.contextmanager
def _compilation_told(tell: Callable[[bool], object]) -> Iterator[None]:
    """Tell when numba begins to compile and when it is done."""
    from numba.core import event  # takes half a second

    class Listener(event.Listener):
        """Of functions compiled within each other, the outermost counts."""

        depth = 0

        def on_start(self, _: object) -> None:
            self.depth += 1
            tell(True)

        def on_end(self, _: object) -> None:
            self.depth -= 1
            if not self.depth:
                tell(False)

    with event.install_listener("numba:compile", Listener()):
        yield


def run_and_say(
    study: Study[Settings],
    settings: Settings,
    out: Path | None = None,
    workers: int | None = None,
    cluster: str | None = None,
) -> FinishedStudy:
    """Run a study with a progress bar, and say what came out."""
    from neurogames.lab.studies.study import run_study  # loads torch

    with progress_bar("reading data") as advance:
        finished = run_study(study, settings, out, workers=workers, cluster=cluster, on_progress=advance)
    for sentence in finished.verdicts:
        say(f"• {sentence}")
    say(f"\nReport: {finished.report}")
    return finished
