"""What are layers as players good for? Which to fine-tune, which is finished, and how large a step they bear.

All layers of a network share its loss. What a layer could gain alone is set against the usual rules: to choose which
layer to fine-tune after a shift of the data, and to freeze layers that are finished. The curvature between layers is
asked how much larger a step they bear one after another than all at once. The gap is followed through training with
SGD, Adam, gradient dropout and its mean; and networks play against perturbations of their inputs.

    python simulations/layers.py [digits | mnist | fashion_mnist] [FOLDER]

takes some minutes of processor time for each repetition of the digits (default); prints what can be said and the
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
    data: Annotated[str, typer.Argument(help="digits, mnist or fashion_mnist.")] = "digits",
    folder: Annotated[Path | None, typer.Argument(help="Where to write; an unfinished study there is resumed.")] = None,
) -> None:
    """Run the study of one data set, and print its sentences and tables."""
    study = load_study("layers")
    finished = run_and_say(study, study.settings.for_data(data), folder)
    for title, table in finished.tables.items():
        print(f"\n{title}\n{table.to_string(index=False, float_format='{:.4g}'.format)}")


if __name__ == "__main__":
    typer.run(main)
