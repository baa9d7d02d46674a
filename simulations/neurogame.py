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

import sys
from pathlib import Path

from neurogames.lab.neurogame.settings import NeurogameSettings
from neurogames.lab.neurogame.study import run_neurogame

LARGE = {"rows": 5000, "test_rows": 5000, "epochs": 20}
STUDIES = {
    "digits": NeurogameSettings(),
    "mnist": NeurogameSettings(data="mnist", **LARGE),
    "fashion_mnist": NeurogameSettings(data="fashion_mnist", **LARGE),
}


def main(name: str, folder: Path | None) -> None:
    """Run one study, and print its sentences and tables."""
    study = run_neurogame(
        STUDIES[name], folder, progress=lambda stage, done, total: print(f"{stage} {done}/{total}", file=sys.stderr)
    )
    for sentence in study.verdicts:
        print(f"- {sentence}")
    for title, table in study.tables.items():
        print(f"\n{title}\n{table.to_string(index=False, float_format='{:.4g}'.format)}")
    print(f"\n{study.folder / 'report.html'}")


if __name__ == "__main__":
    asked = sys.argv[1] if len(sys.argv) > 1 else "digits"
    if asked not in STUDIES:
        sys.exit(f"study: got {asked!r}, expected one of {', '.join(STUDIES)}")
    main(asked, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
