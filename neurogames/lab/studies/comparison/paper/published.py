"""What the paper on gradient dropout, arXiv 2507.19143, has published of its runs: tables, and numbers off its plots.

The numbers are SMAPE, in [0, 2], of the network of five layers of 150 units after 10 epochs, means of 10 runs, read off
the paper's plots by eye: their last digit is uncertain.
"""

from __future__ import annotations

import pandas as pd

from neurogames.lab.data.tables import Task

TABLES: dict[str, tuple[int, Task]] = {
    "wisc_bc_data": (1, "classification"),
    "car_evaluation": (2, "classification"),
    "StudentPerformanceFactors": (3, "regression"),
    "allhyper": (4, "classification"),
    "eye_movements": (5, "classification"),
    "wine_quality": (6, "regression"),
    "Hill_Valley_with_noise": (7, "classification"),
    "Hill_Valley_without_noise": (8, "classification"),
    "294_satellite_image": (9, "regression"),
    "1030_ERA": (10, "regression"),
}
"""The ten tables of the paper by name: number and task. Wine, satellite image and ERA have whole-numbered targets."""

READ_OFF = pd.DataFrame(
    [
        ("StudentPerformanceFactors", "NoNoise", 1.0, 0.0447, 0.0787),
        ("StudentPerformanceFactors", "NoNoise", 0.5, 0.0477, 0.0770),
        ("StudentPerformanceFactors", "NoNoise", 0.1, 0.0600, 0.0627),
        ("wine_quality", "NoNoise", 1.0, 0.1235, 0.1895),
        ("wine_quality", "NoNoise", 0.5, 0.1230, 0.1710),
        ("wine_quality", "NoNoise", 0.1, 0.1278, 0.1600),
        ("wine_quality", "StableA1B0", 1.0, 0.1585, 0.1960),
        ("wine_quality", "StableA1B0", 0.5, 0.1250, 0.1680),
        ("wine_quality", "StableA1B0", 0.1, 0.1300, 0.1630),
    ],
    columns=["dataset", "target noise", "keep", "paper clean", "paper noisy"],
).assign(network="5x150")
"""SMAPE without input noise ("clean") and at its largest level, 1.96 ("noisy")."""
