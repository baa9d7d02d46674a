"""Do strong coalitions help? NEUROGAME layers against the controls that their paper does not have.

A NEUROGAME layer stands behind a convolution and lets through only units that form strong coalitions, by an energy and
Shapley values. Better accuracy, regularisation and explanations are claimed for it. Here several such layers (windows
2 x 2 and 3 x 3, the best half or 80 % of them, three schedules of the threshold) are set against the same network
without a layer, with a random mask and a magnitude mask of equal density, and a perceptron of as many parameters; their
Shapley values are set against Grad-CAM, by rank correlation and by taking pixels away or putting them in.

    python simulations/neurogame.py [digits | mnist | fashion_mnist] [FOLDER]

takes all digits of scikit-learn (default; some minutes), or 5,000 rows of MNIST or Fashion-MNIST (about an hour);
prints what can be said and the tables, and writes results, figures and report into FOLDER (default:
neurogames-runs/...). A second start goes on where the first one stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurogames.lab import load_study
from neurogames.lab.cli.terminal import ends_plainly, run_and_say


@ends_plainly(resumes=True)
def main(
    data: Annotated[str, typer.Argument(help="digits, mnist or fashion_mnist.")] = "digits",
    folder: Annotated[Path | None, typer.Argument(help="Where to write; an unfinished study there is resumed.")] = None,
) -> None:
    """Run the study of one data set, and print its sentences and tables."""
    study = load_study("neurogame")
    finished = run_and_say(study, study.settings.for_data(data), folder)
    for title, table in finished.tables.items():
        print(f"\n{title}\n{table.to_string(index=False, float_format='{:.4g}'.format)}")


if __name__ == "__main__":
    typer.run(main)
