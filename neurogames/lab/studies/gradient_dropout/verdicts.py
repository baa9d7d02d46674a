"""The sentences of the study of gradient dropout: a verdict per claim, with the numbers it rests on."""

from __future__ import annotations

import numpy as np
import pandas as pd

from neurogames.lab.studies.gradient_dropout.analysis import (
    ALPHA,
    ANNEALING,
    NO_DIFFERENCE,
    NOT_AT_EQUAL_FIT,
    NOT_DECIDED,
    WORSE,
)
from neurogames.lab.studies.gradient_dropout.course import LAW, PLAIN
from neurogames.lab.studies.tables import records

SLOPE = (0.4, 0.6)
"""Where the exponent of a diffusion, .5, is looked for."""
LAYER_TOLERANCE = 0.03
"""How far measured rates of layers may be from the law's."""


def answer(cells: pd.DataFrame) -> str:
    """Return the sentence that answers: in how many cells gradient dropout anneals, by what was registered.

    Args:
        cells: the table of :func:`.analysis.search_table`.
    """
    count = cells["outcome"].value_counts()
    found, fit, worse = (int(count.get(name, 0)) for name in (ANNEALING, NOT_AT_EQUAL_FIT, WORSE))
    parts = [
        f"By the rule that was registered, gradient dropout anneals in {found or 'none'} of {len(cells)} cells",
        f"in {fit} its error is lower, but not at equal fit" if fit else "",
        f"in {worse or 'none'} it is worse than its law",
    ]
    return f"{'; '.join(part for part in parts if part)} (corrected p < .05)."


def study_verdicts(
    cells: pd.DataFrame, pooled: pd.DataFrame, distances: pd.DataFrame, layers: pd.DataFrame, courses: pd.DataFrame
) -> list[str]:
    """Return the sentences of the report.

    Args:
        cells: the table of :func:`.analysis.search_table`.
        pooled: that of :func:`.analysis.pooled_table`.
        distances: that of :func:`.law_tables.distance_table`.
        layers: that of :func:`.law_tables.layer_table`.
        courses: that of :func:`.law_tables.course_table`.
    """
    return [
        f"Annealing: {_annealing_word(cells)}. {answer(cells)}",
        _by_difference(cells),
        _equal_fit_sentence(cells),
        _pooled_sentence(pooled),
        composing_sentence(cells),
        gaussian_sentence(cells),
        layer_sentence(layers),
        *([distance_sentence(distances)] if len(distances) else []),
        course_sentence(courses),
    ]


def layer_sentence(layers: pd.DataFrame) -> str:
    """Say how near the measured rates of layers are to the law."""
    off = (layers["ratio"] - 1).abs()
    word = "supported" if (off <= LAYER_TOLERANCE).all() else "not supported everywhere"
    return (
        f"Each layer learns at the rate of the law, within 3 % (SGD): {word}. The largest distance is "
        f"{100 * off.max():.1f} %, over {layers['dataset'].nunique()} data and {layers['layer'].nunique()} layers."
    )


def distance_sentence(distances: pd.DataFrame) -> str:
    """Say how the distance to the law falls with the learning rate."""
    parts = []
    for optimizer, rows in distances.groupby("optimizer", sort=False):
        inside = rows["slope"].between(*SLOPE).sum()
        name = {"sgd": "SGD", "adam": "Adam"}[str(optimizer)]
        parts.append(
            f"{name}: mean exponent {rows['slope'].mean():.2f}, between .4 and .6 on {inside} of {len(rows)} tables, "
            f"distance {rows['to_law'].mean():.3f} at the largest rate (to plain training "
            f"{rows['to_plain'].mean():.3f})"
        )
    return f"What is left is a diffusion, which falls as the square root of the rate. {'; '.join(parts)}."


def course_sentence(courses: pd.DataFrame) -> str:
    """Say how well the law predicts the course of composition."""
    law, plain = (courses[courses["way"] == way]["largest_distance"].to_numpy() for way in (LAW, PLAIN))
    nearer = int((law < plain).sum())
    word = "supported" if nearer == len(law) else f"supported for {nearer} of {len(law)}"
    return (
        "The law predicts the course of composition better than plain training does, for each pair of data and "
        f"strength: {word}. The largest distance of the mean courses to that with masks is {np.median(law):.3f} for "
        f"the law (median; at most {law.max():.3f}) and {np.median(plain):.3f} for plain training (at most "
        f"{plain.max():.3f})."
    )


def _annealing_word(cells: pd.DataFrame) -> str:
    found, worse = ((cells["outcome"] == name).sum() for name in (ANNEALING, WORSE))
    if not found:
        return "not found"
    return "found, in some cells" if found > worse else "found in some cells, but in as many or more it is worse"


def _by_difference(cells: pd.DataFrame) -> str:
    decided = cells[cells["outcome"] != NOT_DECIDED]
    unclear, lost = ((cells["outcome"] == name).sum() for name in (NO_DIFFERENCE, NOT_DECIDED))
    parts = [
        f"in {unclear} cells no difference can be claimed (median {_median(decided, NO_DIFFERENCE):+.3f})",
        f"{lost} are not decided, because networks diverged" if lost else "",
    ]
    ordered = records(decided.dropna(subset="difference").sort_values("difference"))
    if ordered:
        best = ordered[0]
        parts.append(
            f"the best cell for gradient dropout is {best['dataset']}, strength {best['strength']:g}, "
            f"{best['recipe']}, batch {best['batch_size']}, keep {best['keep_prob']:g}: {best['difference']:+.3f} "
            f"({best['low']:+.3f} to {best['high']:+.3f}), corrected p = {best['p_holm']:.2g}"
        )
    text = "; ".join(part for part in parts if part)
    return f"{text[0].upper()}{text[1:]}."


def _equal_fit_sentence(cells: pd.DataFrame) -> str:
    lower, higher = (cells["at_equal_fit_high"] < 0).sum(), (cells["at_equal_fit_low"] > 0).sum()
    return (
        "Against the law at equal training loss, taken earlier in its training where that loss is higher, the error is "
        f"lower in {lower} and higher in {higher} of {len(cells)} cells (95 % intervals that exclude 0, one by one). "
        "This was registered as a condition and not as an outcome; between few recorded times it is rough."
    )


def _pooled_sentence(pooled: pd.DataFrame) -> str:
    clear = pooled[pooled["p_holm"] < ALPHA]
    parts = []
    for word, rows in (("lower", clear[clear["difference"] < 0]), ("higher", clear[clear["difference"] > 0])):
        listed = ", ".join(
            f"{row['recipe']}, batch {row['batch_size']}, keep {row['keep_prob']:g} ({row['difference']:+.3f}, "
            f"{row['low']:+.3f} to {row['high']:+.3f})"
            for row in records(rows)
        )
        parts.append(f"{word} than the law's: {listed or 'nowhere'}")
    return f"Averaged over tables and strengths, the error with the shortcut broken is {'; '.join(parts)}."


def composing_sentence(cells: pd.DataFrame) -> str:
    """Say in how many cells more or fewer units compose than under the law."""
    more, fewer = (cells["composing_low"] > 0).sum(), (cells["composing_high"] < 0).sum()
    return (
        f"Units that compose, dropout minus law: more in {more} and fewer in {fewer} of {len(cells)} cells (95 % "
        f"intervals that exclude 0, one by one; about {0.05 * len(cells):.0f} would by chance); median "
        f"{cells['composing'].median():+.3f}."
    )


def gaussian_sentence(cells: pd.DataFrame) -> str:
    """Say in how many cells gradient dropout differs from normal noise of its covariance."""
    lower, higher = (cells["minus_gaussian_high"] < 0).sum(), (cells["minus_gaussian_low"] > 0).sum()
    return (
        "Against normal gradient noise of the mask's covariance, the error of gradient dropout with the shortcut "
        f"broken is lower in {lower} and higher in {higher} of {len(cells)} cells (95 % intervals that exclude 0, one "
        f"by one; about {0.05 * len(cells):.0f} would by chance); median {cells['minus_gaussian'].median():+.4f}."
    )


def _median(cells: pd.DataFrame, outcome: str) -> float:
    return float(cells.loc[cells["outcome"] == outcome, "difference"].median())
