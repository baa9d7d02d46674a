"""Does training as a game of layers do more than its curvature and its rate do?

DGNOpt solves in each step a dynamic game that the layers of a network play. Here three small networks, of residual,
inception and cooperative blocks, are trained with its four information structures and by SGD, SGD with clipping and
warm-up, AdamW, SOAP, Muon, EKFAC and EMSA, all with equally many trials on held-out rows. Beside it, each claim with
what could explain it: large steps beside the same curvature without feedback and SGD with steps as long, fictitious
players beside a larger rate, a bandit's alignments beside shuffled rewards. What is compared and what counts was
registered before the first run (neurogames/lab/studies/dgnopt/settings.py).

    python simulations/dgnopt.py [FOLDER]

takes some fifteen minutes of processor time and the extra "optimizers"; prints what can be said and the tables, and
writes results, figures and report into FOLDER (default: neurogames-runs/...). A second start goes on where the first
one stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurogames.lab import load_study
from neurogames.lab.cli.terminal import ends_plainly, run_and_say


@ends_plainly(resumes=True)
def main(
    folder: Annotated[Path | None, typer.Argument(help="Where to write; an unfinished study there is resumed.")] = None,
) -> None:
    """Run the study, and print its sentences and tables."""
    study = load_study("dgnopt")
    finished = run_and_say(study, study.settings(), folder)
    for title, table in finished.tables.items():
        print(f"\n{title}\n{table.to_string(index=False, float_format='{:.4g}'.format)}")


if __name__ == "__main__":
    typer.run(main)
