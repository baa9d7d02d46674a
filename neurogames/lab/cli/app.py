"""The command ``neurogames``, one module per command.

Wrong input ends with one line and exit code 2, Ctrl-C with 130; what had been finished stays on disk. Modules that
load torch are imported inside the commands that need them, so that the others start at once.
"""

from __future__ import annotations

import typer

from neurogames.lab.cli.analyze import analyze
from neurogames.lab.cli.compare import compare
from neurogames.lab.cli.datasets import datasets
from neurogames.lab.cli.prune import prune
from neurogames.lab.cli.report import report
from neurogames.lab.cli.simulate import simulate
from neurogames.lab.cli.study import study
from neurogames.lab.cli.units import units

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Game-theoretic questions about neural networks.",
)
for command in (compare, simulate, study, report, analyze, prune, units, datasets):
    app.command()(command)
