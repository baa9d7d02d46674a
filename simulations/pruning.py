"""Does pruning as a game earn its place? The paper's algorithm, the corrected rule, and every control.

The paper lets the units of a network play for participation, and stops after 20 epochs. Here its four configurations
are run on, so that one sees whether where it stops is an equilibrium. The corrected rule (units share the loss as their
common interest, and pay for taking part) is run with smaller and smaller budgets of units, at the price that clears,
and set against networks of the same shape from scratch, and against magnitude, Taylor and random pruning, all with the
same number of epochs; magnitude and Taylor once more with matched layer widths, to tell which units are chosen
from how many of each layer. Last, the game of a network trained plainly: its equilibrium, and how well it predicts the
loss when units are removed.

    python simulations/pruning.py [mnist | fashion_mnist | digits] [FOLDER]

takes the network 784-512-256-10 for MNIST (default; two hours on two cores), a small convolutional one and 3,000 rows
for Fashion-MNIST, and a small one for the digits of scikit-learn (some minutes); prints what can be said and the
tables, and writes results, figures and report into FOLDER (default: neurogames-runs/...). A second start goes on where
the first one stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurogames.lab import load_study
from neurogames.lab.cli.terminal import ends_plainly, run_and_say


@ends_plainly(resumes=True)
def main(
    data: Annotated[str, typer.Argument(help="digits, mnist or fashion_mnist.")] = "mnist",
    folder: Annotated[Path | None, typer.Argument(help="Where to write; an unfinished study there is resumed.")] = None,
) -> None:
    """Run the study of one data set, and print its sentences and tables."""
    study = load_study("pruning")
    finished = run_and_say(study, study.settings.for_data(data), folder)
    for title, table in finished.tables.items():
        print(f"\n{title}\n{table.to_string(index=False, float_format='{:.4g}'.format)}")


if __name__ == "__main__":
    typer.run(main)
