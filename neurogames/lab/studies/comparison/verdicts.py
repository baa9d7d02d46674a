"""The sentences of a comparison, each no more confident than the interval behind it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from neurogames.lab.studies.comparison.settings import DROPOUT, REDUCED_EPOCHS, REDUCED_RATE, TRAININGS
from neurogames.lab.studies.tables import Row, rows_by

PLAIN, EQUAL_ERROR = "plain backpropagation", "equal clean error"
_AGAINST = {
    PLAIN: "plain backpropagation at equal settings",
    REDUCED_EPOCHS: "plain training for epochs × keep",
    REDUCED_RATE: "plain training with learning rate × keep",
    EQUAL_ERROR: "the controls at equal clean error",
}
OPPONENTS = tuple(_AGAINST)
"""What gradient dropout is held against."""


def comparison_verdicts(controls: pd.DataFrame, correlated: pd.DataFrame) -> list[str]:
    """Return the sentences that open the report, each no more confident than the interval behind it.

    Args:
        controls: the table of :func:`.analysis.against_controls`.
        correlated: the table of :func:`.analysis.correlations`.

    Returns:
        One sentence or two per question, for the first target noise.
    """
    noise = controls["target noise"].iloc[0]
    rows = rows_by(controls[controls["target noise"] == noise], "opponent")
    sentences = [f"{rows[name]['says']} ({_numbers(rows[name])})." for name in OPPONENTS]
    if rows[PLAIN]["high"] < 0:
        sentences.insert(0, _less_work_sentence(rows))
    for measured in correlated["measured"].unique():
        ours = correlated[(correlated["target noise"] == noise) & (correlated["measured"] == measured)]
        for mask in ours["simulated"].unique():
            found = rows_by(ours[ours["simulated"] == mask], "training")
            sentence, claim = str(found[DROPOUT]["says"]), found[DROPOUT]["claim"]
            same = [name for name in TRAININGS[1:] if found[name]["claim"] == claim]
            if claim != "none" and same:
                sentence += f" The same is found for {' and '.join(same)}, which the game does not model."
            sentences.append(sentence)
    return sentences


def _less_work_sentence(rows: dict[str, Row]) -> str:
    """What the controls leave of a flatter curve."""
    flatter_still = [name for name in OPPONENTS[1:] if rows[name]["low"] > 0]
    # A comparison with a missing end is False.
    undecided = [name for name in OPPONENTS[1:] if not rows[name]["low"] > 0 and not rows[name]["high"] < 0]
    if flatter_still:
        return f"Gradient dropout flattens the curve, but less than its controls do ({', '.join(flatter_still)})."
    if undecided:
        return f"Gradient dropout flattens the curve, but not beyond what its controls do ({', '.join(undecided)})."
    return "Gradient dropout flattens the curve beyond each of its controls."


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
