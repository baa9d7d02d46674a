"""The command report: the page of a finished study, written again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from neurogames.lab.cli.terminal import ends_plainly, say
from neurogames.lab.runs.store import read_dataset
from neurogames.lab.studies.registry import study_of

ANALYSIS = "analysis"
"""What the results of ``analyze`` bear in place of the name of a study."""


@ends_plainly(resumes=False)
def report(folder: Annotated[Path, Argument(help="Folder of a finished study, or of analyze.")]) -> None:
    """Write the report of a finished study or analysis again."""
    if read_dataset(folder / "results.nc").attrs.get("study") == ANALYSIS:
        from neurogames.lab.studies.analysis.run import write_analysis  # loads torch

        say(f"Report: {write_analysis(folder).report}")
        return
    study = study_of(folder)
    from neurogames.lab.studies.study import write_report  # loads torch

    say(f"Report: {write_report(study, folder).report}")
