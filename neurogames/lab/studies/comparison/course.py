"""The second prediction of a comparison: when units compose in a training whose table has a planted shortcut.

Beside the table as it is, each repetition trains on the table with one more feature that agrees with the target in
training and is broken in testing. Units first learn what composes, then the detour takes them. Gradient dropout goes
through the same course later, and the law, stored beforehand, says when.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.data.tables import short_name
from neurogames.lab.inference.statistics import mean_difference
from neurogames.lab.studies.comparison.repetition import Repetition
from neurogames.lab.studies.comparison.settings import ComparisonSettings
from neurogames.lab.studies.gradient_dropout.course import DROPOUT, LAW, PLAIN, measure_course
from neurogames.lab.studies.gradient_dropout.course_figure import plot_course
from neurogames.lab.studies.page import DrawnFigure, Finding
from neurogames.lab.studies.tables import rows_by

STRENGTH, KEEP = 0.9, 0.2
"""Correlation of the planted feature with the target (or how often it tells the class), and the keep probability."""
PREDICTED, MEASURED = (LAW, PLAIN), (DROPOUT,)
"""Ways of training before and after the prediction is stored."""


def measure_composing(repetition: Repetition, ways: Sequence[str], settings: ComparisonSettings) -> xr.Dataset:
    """Return the share of units that compose over one training, for each way of training.

    Args:
        repetition: the rows and seeds.
        ways: some of "law", "plain" and "dropout".
        settings: those of the comparison; networks and training are the same.

    Returns:
        ``composing_WAY`` over time, see :func:`neurogames.lab.studies.gradient_dropout.course.measure_course`.
    """
    return measure_course(
        repetition.data,
        seed=repetition.network_seed,
        ways=ways,
        strength=STRENGTH,
        keep_prob=KEEP,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        hidden=settings.hidden,
    )


def course_table(results: xr.Dataset) -> pd.DataFrame:
    """Return how far the measured course is from the predicted one, and from plain training's.

    Args:
        results: a comparison's results.

    Returns:
        One row per dataset and opponent (law, plain): ``difference`` of the shares that compose, gradient dropout minus
        opponent, mean over the times of training, with ``low``, ``high`` (95 %, t over repetitions), ``p`` (t test) and
        ``n``; and ``largest``, the largest distance of the means over repetitions at one time.
    """
    rows = []
    for dataset in results["dataset"].values:
        shares = {way: results[f"composing_{way}"].sel(dataset=dataset) for way in (LAW, PLAIN, DROPOUT)}
        for opponent in (LAW, PLAIN):
            gaps = (shares[DROPOUT] - shares[opponent]).transpose("seed", "time").dropna("seed")
            found = mean_difference(gaps.mean("time").values)
            rows.append(
                {
                    "dataset": str(dataset),
                    "opponent": opponent,
                    "difference": found.estimate,
                    "low": found.low,
                    "high": found.high,
                    "p": found.p_value,
                    "n": found.n,
                    "largest": float(np.abs(gaps.mean("seed")).max()) if found.n else np.nan,
                }
            )
    return pd.DataFrame(rows)


def course_finding(results: xr.Dataset, table: pd.DataFrame) -> Finding:
    """Return what the page says about the course, for the first table.

    Args:
        results: a comparison's results.
        table: that of :func:`course_table`.
    """
    rows = rows_by(table.head(2), "opponent")
    law, plain = rows[LAW], rows[PLAIN]
    courses = results[[f"composing_{way}" for way in (LAW, PLAIN, DROPOUT)]].isel(dataset=0)
    return Finding(
        "Do units take the same course, only later?",
        f"share of composing units, measured minus law {_points(law)}",
        f"A feature that agrees with the target (strength {STRENGTH:g}) is planted in {short_name(law['dataset'])}, "
        "and broken in testing: a detour. Here a unit of the last hidden layer composes if holding it at its mean "
        f"raises the error where the detour is broken. At keep {KEEP:g} the measured course lies at most "
        f"{100 * law['largest']:.0f} percentage points from the law's and {100 * plain['largest']:.0f} from plain "
        "training's. The number is the mean over training (95 % t interval over repetitions); annealing needs it above "
        "0.",
        DrawnFigure(
            "course",
            plot_course(courses, keep_prob=KEEP, optimizer="adam"),
            "Above: share of units that compose over training. Below: the game, whose players hold without feedback, "
            "with time stretched by the law's factor; only the stretch is compared, not the height.",
        ),
    )


def _points(row: dict[str, float]) -> str:
    """A difference of shares in percentage points."""
    if not np.isfinite(row["low"]):
        return "unknown, too few repetitions"
    difference, low, high = (100 * row[name] for name in ("difference", "low", "high"))
    return f"{difference:+.1f} points ({low:+.1f} to {high:+.1f})"
