"""The sentences of the NEUROGAME study: a verdict per claim, with the intervals it rests on."""

from __future__ import annotations

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
    table = arm_table(results).set_index("arm")
    parts = "; ".join(f"{arm} {table.loc[arm, 'accuracy']:.2f} %" for arm in (name, *CONTROLS, MLP))
    return (
        f"Mean test accuracy over {results.sizes['seed']} seeds after {results.sizes['epoch']} epochs: {parts}. The "
        f"filter lets {table.loc[name, 'passed']:.0f} % of the units through, and {table.loc[name, 'active']:.0f} % of "
        f"all are not 0 behind it, against {table.loc['no gate', 'active']:.0f} % without a gate."
    )


def _generalisation(ours: pd.DataFrame) -> str:
    rows = _rows(ours, ACCURACY)
    return f"Better generalisation: {_verdict(rows, list(CONTROLS))}. {_against(rows, ACCURACY)}."


def _regularisation(ours: pd.DataFrame) -> str:
    losses, gaps = _rows(ours, TEST_LOSS), _rows(ours, GAP)
    lower, narrower = losses.loc["no gate", "claims"], gaps.loc["no gate", "claims"]
    if narrower == "better":
        word = {
            "better": "borne out here against no gate, as a narrower gap and a lower test loss",
            "none": "only the gap to the training loss is surely narrower than without a gate, the test loss is not "
            "surely lower",
            "worse": "the gap is narrower than without a gate, but the test loss is surely higher: it fits worse",
        }[lower]
    elif narrower == "worse" or lower == "worse":
        word = "contradicted here against no gate"
    else:
        word = "not borne out here against no gate"
    return f"Regularisation: {word}. {_against(losses, TEST_LOSS)}. {_against(gaps, GAP)}."


def _agreement(maps: pd.DataFrame, results: xr.Dataset, name: str) -> str:
    table = map_table(results).set_index(["filter", "map"])["agreement"]
    means = ", ".join(f"{shown} {table[name, shown]:.2f}" for shown in ("Shapley", "magnitude", "random"))
    rows = maps[maps["quantity"] == "agreement"].set_index("opponent")
    if "magnitude" not in rows.index:
        return f"Interpretability, agreement with Grad-CAM (rank correlation): {means}; some could not be computed."
    word = {
        "better": "surely more than plain magnitude does",
        "worse": "surely less than plain magnitude does, which takes no game",
        "none": "not surely more or less than plain magnitude does",
    }[rows.loc["magnitude", "claims"]]
    chance = "more than a random map does" if rows.loc["random", "claims"] == "better" else "not surely above chance"
    return (
        f"Interpretability: Shapley maps agree with Grad-CAM {chance}, and {word} (mean rank correlation over pixels: "
        f"{means}; Shapley minus magnitude {_numbers(rows.loc['magnitude'], 'agreement')})."
    )


def _faithfulness(maps: pd.DataFrame) -> str:
    parts = []
    for quantity, good in (("deletion", "less"), ("insertion", "more")):
        rows = maps[maps["quantity"] == quantity].set_index("opponent")
        listed = "; ".join(
            f"{rows.loc[other, 'claims'].replace('none', 'no sure difference')} against {other} "
            f"({_numbers(rows.loc[other], quantity)})"
            for other in rows.index
        )
        parts.append(f"{quantity} area ({good} is better) {listed}")
    return (
        f"Interpretability, does the class hang on the pixels that the Shapley map names: {', and '.join(parts)}. "
        "Intervals are one by one, not corrected for their number."
    )


def _other_filters(results: xr.Dataset, differences: pd.DataFrame) -> list[str]:
    first, *others = filters_of(results)
    if not others:
        return []
    table = arm_table(results).set_index("arm")
    rows = differences[(differences["quantity"] == ACCURACY.name) & (differences["opponent"] == first)]
    rows = rows.set_index("filter")
    parts = "; ".join(
        f"{name} {table.loc[name, 'accuracy']:.2f} % ({_numbers(rows.loc[name], 'accuracy')}; "
        f"{table.loc[name, 'passed']:.1f} % let through)"
        for name in others
    )
    against = differences[(differences["quantity"] == ACCURACY.name) & (differences["opponent"] == "no gate")]
    beat, lost = ((against["claims"] == claim).sum() for claim in ("better", "worse"))
    return [
        f"Other filters, accuracy and difference from {first} ({table.loc[first, 'passed']:.1f} % let through): "
        f"{parts}. Of all {len(against)} filters {beat} {'is' if beat == 1 else 'are'} surely more accurate than no "
        f"gate, and {lost} surely less (95 % intervals one by one, not corrected for their number)."
    ]


def _cost(results: xr.Dataset, name: str) -> str:
    seconds = results["seconds"]
    parts = ", ".join(
        f"{float((seconds.sel(arm=name) / seconds.sel(arm=arm)).median()):.2g} times that of {arm}"
        for arm in ("no gate", MLP)
    )
    return f"An epoch of training with {name} takes {parts} (medians over seeds)."


def _rows(ours: pd.DataFrame, quantity: Quantity) -> pd.DataFrame:
    return ours[ours["quantity"] == quantity.name].set_index("opponent")


def _verdict(rows: pd.DataFrame, controls: list[str]) -> str:
    claims = rows.loc[controls, "claims"]
    if (claims == "better").all():
        return "borne out here, against every control with the same trunk"
    lost = [arm for arm in controls if claims[arm] == "worse"]
    if lost:
        return f"contradicted here, surely worse than {' and '.join(lost)}"
    won = [arm for arm in controls if claims[arm] == "better"]
    beaten = f"surely better than {' and '.join(won)} only" if won else "no control is surely beaten"
    return f"not borne out here, {beaten}"


def _against(rows: pd.DataFrame, quantity: Quantity) -> str:
    unit = f" in {quantity.unit}" if quantity.unit else ""
    parts = "; ".join(f"{arm} {_numbers(rows.loc[arm], quantity.name)}" for arm in (*CONTROLS, MLP))
    return f"Difference of the {quantity.words}{unit} from {parts}"


def _numbers(row: pd.Series, quantity: str) -> str:
    places = _PLACES[quantity]
    if pd.isna(row["low"]):
        return f"{row['difference']:+.{places}f}, no interval"
    return f"{row['difference']:+.{places}f}, {row['low']:+.{places}f} to {row['high']:+.{places}f}"
