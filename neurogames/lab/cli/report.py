"""The command report: the page of a finished study, written again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from neurogames.lab.cli.terminal import ends_plainly, say
from neurogames.lab.studies.registry import study_of


@ends_plainly(resumes=False)
def report(folder: Annotated[Path, Argument(help="Folder of a finished study.")]) -> None:
    """Write the report of a finished study again."""
    study = study_of(folder)
    from neurogames.lab.studies.study import write_report  # loads torch

    say(f"Report: {write_report(study, folder).report}")
