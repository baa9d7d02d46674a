"""The sentences of a comparison, each no more confident than the interval behind it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.studies.comparison.differences import BEYOND, BY_LAW, WHOLE, mean_difference
from neurogames.lab.studies.comparison.settings import DROPOUT, LAW, REDUCED_EPOCHS, REDUCED_RATE, TRAININGS
from neurogames.lab.studies.tables import Row, rows_by

PLAIN, EQUAL_ERROR = "plain backpropagation", "equal clean error"
_AGAINST = {
    PLAIN: "plain backpropagation at equal settings",
    LAW: "the law, which only slows hidden layers down",
    REDUCED_EPOCHS: "plain training for epochs × keep",
    REDUCED_RATE: "plain training with learning rate × keep",
    EQUAL_ERROR: "the controls at equal clean error",
}
OPPONENTS = tuple(_AGAINST)
"""What gradient dropout is held against."""


def answer(parts: pd.DataFrame) -> str:
    """Return the sentence that answers: what gradient dropout does, and how much of it the law predicted.

    Args:
        parts: the table of :func:`.differences.effects`.

    Returns:
        One sentence or two, for the first target noise.
    """
    rows = rows_by(parts[parts["target noise"] == parts["target noise"].iloc[0]], "part")
    whole, law, beyond = rows[WHOLE], rows[BY_LAW], rows[BEYOND]
    if not np.isfinite([whole["low"], beyond["low"]]).all():
        return "Nothing can be said from these runs: all curves are flat, or too few repetitions came to an end."
    predicted = f"{100 * law['difference']:+.1f} %"
    if whole["low"] <= 0 <= whole["high"]:
        start = f"No effect on robustness can be claimed ({percent(whole)}; predicted {predicted})"
    else:
        way = "flatter" if whole["high"] < 0 else "steeper"
        start = f"It makes robustness curves {way}, by {percent(whole)}; the law predicted {predicted} beforehand"
    if beyond["low"] <= 0 <= beyond["high"]:
        return f"{start}. No effect beyond the law, which slows hidden layers down, can be claimed ({percent(beyond)})."
    sign = (
        "flatter still, as the paper's annealing would" if beyond["high"] < 0 else "steeper, against the paper's claim"
    )
    return f"{start}. Slower hidden layers do not explain all: the mask's noise makes them {sign} ({percent(beyond)})."


def comparison_verdicts(parts: pd.DataFrame, controls: pd.DataFrame, correlated: pd.DataFrame) -> list[str]:
    """Return the sentences of the report, each no more confident than the interval behind it.

    Args:
        parts: the table of :func:`.differences.effects`.
        controls: the table of :func:`.analysis.against_controls`.
        correlated: the table of :func:`.analysis.correlations`.

    Returns:
        The answer, then one sentence per question, for the first target noise.
    """
    noise = controls["target noise"].iloc[0]
    rows = rows_by(controls[controls["target noise"] == noise], "opponent")
    sentences = [answer(parts), *(f"{rows[name]['says']} ({_numbers(rows[name])})." for name in OPPONENTS)]
    for measured in correlated["measured"].unique():
        ours = correlated[(correlated["target noise"] == noise) & (correlated["measured"] == measured)]
        for mask in ours["simulated"].unique():
            found = rows_by(ours[ours["simulated"] == mask], "training")
            sentence, claim = str(found[DROPOUT]["says"]), found[DROPOUT]["claim"]
            same = [name for name in TRAININGS[1:] if found[name]["claim"] == claim]
            if claim != "none" and same:
                sentence += f" The same is found for {' and '.join(same)}, which the game does not model."
            least, greatest = found[DROPOUT]["least"], found[DROPOUT]["greatest"]
            if least < 0 < greatest:
                sentence += f" With other parameters of the game it lies between {least:.2f} and {greatest:.2f}."
            sentences.append(sentence)
    return sentences


def difference_sentence(opponent: str, low: float, high: float) -> str:
    """Say whether gradient dropout is flatter than an opponent, by the interval of the difference."""
    against = _AGAINST[opponent]
    if not np.isfinite([low, high]).all():
        return f"Nothing can be said from these runs about the flatness of gradient dropout and {against}"
    if high < 0:
        return f"Gradient dropout has flatter curves than {against}"
    if low > 0:
        return f"Gradient dropout has steeper curves than {against}"
    return f"No difference in flatness can be claimed between gradient dropout and {against}"


def _numbers(row: Row) -> str:
    difference, low, high = (100 * row[name] for name in ("difference", "low", "high"))
    count = "1 repetition" if row["n"] == 1 else f"{int(row['n'])} repetitions"
    if row["matched"] < 1.0:
        count += f", an opponent for {100 * row['matched']:.0f} % of the networks"
    if not np.isfinite(low):
        return count
    return (
        f"difference of areas {difference:+.1f} % of plain backpropagation's, 95 % interval {low:+.1f} to "
        f"{high:+.1f} %, {count}"
    )


def percent(row: Row) -> str:
    """Return a difference with its interval, in percent of plain's area."""
    difference, low, high = (100 * row[name] for name in ("difference", "low", "high"))
    return f"{difference:+.1f} %, 95 % interval {low:+.1f} to {high:+.1f}"


def p_text(row: Row) -> str:
    """Return a p-value in words.

    >>> p_text({"p": 0.0004}), p_text({"p": 0.031})
    ('p < .001', 'p = .031')
    """
    p = row["p"]
    if not np.isfinite(p):
        return "no test"
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)


def composition_text(results: xr.Dataset) -> str:
    """Return the share of composing units, gradient dropout minus law, with its t interval."""
    ends = results["composition"].sel(training=DROPOUT) - results["predicted_composition"].sel(prediction=LAW)
    below = ends.isel(share=-1, target_noise=0, keep_prob=slice(None, -1)).mean("keep_prob", skipna=True)
    found = mean_difference(below.stack(run=("dataset", "seed")).dropna("run").values)
    if not np.isfinite(found.low):
        return "nothing can be said"
    return f"{found.estimate:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
