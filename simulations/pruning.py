"""Does pruning as a game earn its place? The paper's algorithm, the corrected rule, and every control.

The paper lets the units of a network play for participation, and stops after 20 epochs. Here its four configurations
are run on, so that one sees whether where it stops is an equilibrium. The corrected rule (units share the loss as their
common interest, and pay a fee) is run over a path of fees, and set against networks of the same shape from scratch, and
against magnitude, Taylor and random pruning, all with the same number of epochs. Last, the game of a network trained
plainly: its equilibrium, and how well it predicts the loss when units are removed.

    python simulations/pruning.py [mnist | fashion_mnist | digits] [FOLDER]

takes the network 784-512-256-10 for MNIST (default; an hour or more), a small convolutional one and 5,000 rows for
Fashion-MNIST (nearly an hour), and a small one for the digits of scikit-learn (some minutes); prints what can be said
and the tables, and writes results, figures and report into FOLDER (default: neurogames-runs/...). A second start goes
on where the first one stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path

from neurogames.lab.pruning.settings import PruningSettings
from neurogames.lab.pruning.study import run_pruning

STUDIES = {
    "mnist": PruningSettings(),
    "fashion_mnist": PruningSettings(
        data="fashion_mnist",
        architecture="cnn",
        hidden=(8, 16, 32),
        prices=(1e-3, 4e-3, 1.5e-2, 6e-2, 0.2),
        rows=5000,
        batch_size=32,
    ),
    "digits": PruningSettings().quick(),
}


def main(name: str, folder: Path | None) -> None:
    """Run one study, and print its sentences and tables."""
    study = run_pruning(
        STUDIES[name], folder, progress=lambda stage, done, total: print(f"{stage} {done}/{total}", file=sys.stderr)
    )
    for sentence in study.verdicts:
        print(f"- {sentence}")
    for title, table in study.tables.items():
        print(f"\n{title}\n{table.to_string(index=False, float_format='{:.4g}'.format)}")
    print(f"\n{study.folder / 'report.html'}")


if __name__ == "__main__":
    asked = sys.argv[1] if len(sys.argv) > 1 else "mnist"
    if asked not in STUDIES:
        sys.exit(f"study: got {asked!r}, expected one of {', '.join(STUDIES)}")
    main(asked, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
