"""Is there an annealing? Does the noise of gradient dropout's mask let units leave a detour that the law would keep?

Gradient dropout lets each hidden unit learn in a step only with some probability. On average that is its law: plain
training with slower hidden layers. Here a shortcut is planted in five regression tables and in small colour images,
and broken in testing. Networks with masks are set against their law and against normal gradient noise of the same
covariance, for two optimizers at two rates, two batch sizes, two keep probabilities and two strengths of the shortcut.
What is compared and what counts was registered before the first run
(neurogames/lab/studies/gradient_dropout/settings.py). Beside it: the law itself on chains of layers, and the course of
composition that it predicts.

    python simulations/gradient_dropout.py [FOLDER]

takes the data from the folder that NEUROGAMES_DATA names, and some twenty minutes of processor time; prints what can
be said and the tables, and writes results, figures and report into FOLDER (default: neurogames-runs/...). A second
start goes on where the first one stopped.
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
    study = load_study("gradient-dropout")
    finished = run_and_say(study, study.settings(), folder)
    for title, table in finished.tables.items():
        print(f"\n{title}\n{table.to_string(index=False, float_format='{:.4g}'.format)}")


if __name__ == "__main__":
    typer.run(main)
