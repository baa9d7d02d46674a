"""What the commands share: how they speak, how they show progress, and how they end."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def ends_plainly(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command end with one line and an exit code where it would end with a traceback."""

    @functools.wraps(command)
    def run(*words: object, **options: object) -> None:
        try:
            command(*words, **options)
        except (ValueError, OSError) as error:
            # A refusal is one line, whatever it quotes.
            print(f"neurogames: {' '.join(str(error).split())}", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            print("neurogames: interrupted; the same command goes on where this one stopped", file=sys.stderr)
            raise typer.Exit(130) from None

    return run


def say(text: str) -> None:
    """Print a line as it is."""
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


def progress_bar() -> Progress:
    """Return a bar on stderr, to be entered by ``with``."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
