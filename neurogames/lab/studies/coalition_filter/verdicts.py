"""The sentences of the NEUROGAME study: a verdict per claim, with the intervals it rests on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.studies.coalition_filter.analysis import (
    ACCURACY,
    GAP,
    TEST_LOSS,
    Quantity,
    arm_table,
    filters_of,
    map_table,
)
from neurogames.lab.studies.coalition_filter.settings import CONTROLS, MLP
from neurogames.lab.studies.tables import Row, rows_by

_PLACES = {"accuracy": 2, "test loss": 3, "loss gap": 3, "agreement": 2, "deletion": 3, "insertion": 3}


def neurogame_verdicts(results: xr.Dataset, differences: pd.DataFrame, maps: pd.DataFrame) -> list[str]:
    """Return the sentences that open the report.

    Args:
        results: a NEUROGAME study's results.
        differences: the table of :func:`neurogames.lab.studies.coalition_filter.analysis.difference_table`.
        maps: the table of :func:`neurogames.lab.studies.coalition_filter.analysis.map_differences`.

    Returns:
        What was trained; generalisation, regularisation and interpretability; the other filters; what it costs.
    """
    name = filters_of(results)[0]
    ours = differences[differences["filter"] == name]
    return [
        _accuracies(results, name),
        _generalisation(ours),
        _regularisation(ours),
        _agreement(maps[maps["filter"] == name], results, name),
        _faithfulness(maps[maps["filter"] == name]),
        *_other_filters(results, differences),
        _cost(results, name),
    ]


def _accuracies(results: xr.Dataset, name: str) -> str:
    table = rows_by(arm_table(results), "arm")
    parts = "; ".join(f"{arm} {table[arm]['accuracy']:.2f} %" for arm in (name, *CONTROLS, MLP))
    return (
        f"Mean test accuracy over {results.sizes['seed']} seeds after {results.sizes['epoch']} epochs: {parts}. The "
        f"filter lets {table[name]['passed']:.0f} % of the units through, and {table[name]['active']:.0f} % of all are "
        f"not 0 behind it, against {table['no gate']['active']:.0f} % without a gate."
    )


def _generalisation(ours: pd.DataFrame) -> str:
    rows = _rows(ours, ACCURACY)
    return f"Better generalisation: {_verdict(rows)}. {_against(rows, ACCURACY)}."


def _regularisation(ours: pd.DataFrame) -> str:
    losses, gaps = _rows(ours, TEST_LOSS), _rows(ours, GAP)
    lower, narrower = losses["no gate"]["claims"], gaps["no gate"]["claims"]
    if narrower == "better":
        word = {
            "better": "supported here against no gate, as a narrower gap and a lower test loss (95 % intervals exclude "
            "0)",
            "none": "not supported here against no gate: the gap to the training loss is narrower (95 % interval "
            "excludes 0), but the 95 % interval of the test loss does not exclude 0",
            "worse": "not supported here against no gate: the gap is narrower, but the test loss is higher (95 % "
            "intervals exclude 0): it fits worse",
        }[lower]
    elif narrower == "worse" or lower == "worse":
        word = "contradicted here against no gate (95 % interval excludes 0)"
    else:
        word = "not supported here against no gate (the 95 % interval of the gap does not exclude 0)"
    return f"Regularisation: {word}. {_against(losses, TEST_LOSS)}. {_against(gaps, GAP)}."


def _agreement(maps: pd.DataFrame, results: xr.Dataset, name: str) -> str:
    table = map_table(results)
    agreement = rows_by(table[table["filter"] == name], "map")
    means = ", ".join(f"{shown} {agreement[shown]['agreement']:.2f}" for shown in ("Shapley", "magnitude", "random"))
    rows = rows_by(maps[maps["quantity"] == "agreement"], "opponent")
    if "magnitude" not in rows:
        return f"Interpretability, agreement with Grad-CAM (rank correlation): {means}; some could not be computed."
    word = {
        "better": "more than plain magnitude does (95 % interval excludes 0)",
        "worse": "less than plain magnitude does, which takes no game (95 % interval excludes 0)",
        "none": "neither more nor less than plain magnitude does (95 % interval does not exclude 0)",
    }[rows["magnitude"]["claims"]]
    above_chance = rows["random"]["claims"] == "better"
    chance = "more than a random map does" if above_chance else "no more than a random map does, by its 95 % interval"
    return (
        f"Interpretability: Shapley maps agree with Grad-CAM {chance}, and {word} (mean rank correlation over pixels: "
        f"{means}; Shapley minus magnitude {_numbers(rows['magnitude'], 'agreement')})."
    )


def _faithfulness(maps: pd.DataFrame) -> str:
    parts = []
    for quantity, good in (("deletion", "less"), ("insertion", "more")):
        rows = rows_by(maps[maps["quantity"] == quantity], "opponent")
        listed = "; ".join(
            f"{row['claims'].replace('none', 'no claim')} against {other} ({_numbers(row, quantity)})"
            for other, row in rows.items()
        )
        parts.append(f"{quantity} area ({good} is better) {listed}")
    return (
        "Interpretability, does the predicted class depend on the pixels that the Shapley map names: "
        f"{', and '.join(parts)}. Intervals are one by one, not corrected for their number."
    )


def _other_filters(results: xr.Dataset, differences: pd.DataFrame) -> list[str]:
    first, *others = filters_of(results)
    if not others:
        return []
    table, accuracy = rows_by(arm_table(results), "arm"), differences[differences["quantity"] == ACCURACY.name]
    rows = rows_by(accuracy[accuracy["opponent"] == first], "filter")
    parts = "; ".join(
        f"{name} {table[name]['accuracy']:.2f} % ({_numbers(rows[name], 'accuracy')}; "
        f"{table[name]['passed']:.1f} % let through)"
        for name in others
    )
    against = accuracy[accuracy["opponent"] == "no gate"]
    beat, lost = ((against["claims"] == claim).sum() for claim in ("better", "worse"))
    return [
        f"Other filters, accuracy and difference from {first} ({table[first]['passed']:.1f} % let through): "
        f"{parts}. Of all {len(against)} filters {beat} {'is' if beat == 1 else 'are'} more accurate than no gate, and "
        f"{lost} less (95 % intervals that exclude 0, one by one, not corrected for their number)."
    ]


def _cost(results: xr.Dataset, name: str) -> str:
    seconds = results["seconds"]
    parts = ", ".join(
        f"{float((seconds.sel(arm=name) / seconds.sel(arm=arm)).median()):.2g} times that of {arm}"
        for arm in ("no gate", MLP)
    )
    return f"An epoch of training with {name} takes {parts} (medians over seeds)."


def _rows(ours: pd.DataFrame, quantity: Quantity) -> dict[str, Row]:
    return rows_by(ours[ours["quantity"] == quantity.name], "opponent")


def _verdict(rows: dict[str, Row]) -> str:
    claims = {arm: rows[arm]["claims"] for arm in CONTROLS}
    if all(claim == "better" for claim in claims.values()):
        return "supported here, against every control with the same trunk (95 % intervals exclude 0)"
    lost = [arm for arm in CONTROLS if claims[arm] == "worse"]
    if lost:
        return f"contradicted here, worse than {' and '.join(lost)} (95 % interval excludes 0)"
    won = [arm for arm in CONTROLS if claims[arm] == "better"]
    if won:
        return f"not supported here, better than {' and '.join(won)} only (95 % interval excludes 0)"
    return "not supported here, no 95 % interval of a difference excludes 0"


def _against(rows: dict[str, Row], quantity: Quantity) -> str:
    unit = f" in {quantity.unit}" if quantity.unit else ""
    parts = "; ".join(f"{arm} {_numbers(rows[arm], quantity.name)}" for arm in (*CONTROLS, MLP))
    return f"Difference of the {quantity.words}{unit} from {parts}"


def _numbers(row: Row, quantity: str) -> str:
    places = _PLACES[quantity]
    if np.isnan(row["low"]):
        return f"{row['difference']:+.{places}f}, no interval"
    return f"{row['difference']:+.{places}f}, {row['low']:+.{places}f} to {row['high']:+.{places}f}"
