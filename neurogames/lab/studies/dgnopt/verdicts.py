"""The sentences of the study of DGNOpt: a verdict per claim, with the numbers it rests on."""

from __future__ import annotations

import pandas as pd

from neurogames.lab.studies.dgnopt.analysis import BETTER, COSTS, NOT_DECIDED, PAPER_MARGINS, WORSE
from neurogames.lab.studies.dgnopt.controls import FIXED, LARGE_CONTROLS, SHUFFLED
from neurogames.lab.studies.dgnopt.methods import BOTH, FEEDBACK
from neurogames.lab.studies.tables import Row, records, rows_by

LONGEST = 1.4
"""The paper's claim: a step takes at most this many times that of EKFAC."""
LEARNT = 20.0
"""Mean accuracy in percent that some way to choose alignments must reach for a difference between them to tell."""


def answer(claims: pd.DataFrame) -> str:
    """Return the sentence that answers: in how many networks the game is more accurate than the best opponent.

    Args:
        claims: the table of :func:`.analysis.claim_table`.
    """
    better, worse = ((claims["outcome"] == name).sum() for name in (BETTER, WORSE))
    return (
        f"By the rule that was registered, the game of layers is more accurate than the best opponent in "
        f"{better or 'none'} of {len(claims)} networks, and less accurate in {worse or 'none'} (corrected p < .05)."
    )


def accuracy_sentence(claims: pd.DataFrame, accuracies: pd.DataFrame) -> str:
    """Say what the game gains in accuracy, beside the paper's margins and the error that the test rows leave."""
    parts = [
        f"{row['network']}, {row['game']} minus {row['opponent']}: {_points(row)}, p = {row['p_holm']:.2g}"
        for row in records(claims)
    ]
    return (
        f"Accuracy: {_supported(claims)}. {'; '.join(parts)}. The paper's margins are {PAPER_MARGINS[0]:+.2f} to "
        f"{PAPER_MARGINS[1]:+.2f} points, without spreads; the binomial error of one accuracy here is "
        f"{accuracies['binomial'].median():.2f} points (median)."
    )


def structure_sentence(structures: pd.DataFrame) -> str:
    """Say what each structure adds to the open loop with the same curvature."""
    parts = []
    for name, rows in structures.groupby("structure", sort=False):
        found = [f"{row['network']} {_points(row)} ({row['outcome']})" for row in records(rows)]
        parts.append(f"{name}: {', '.join(found)}")
    return f"Structures, minus the open loop with the same curvature and the same trials: {'; '.join(parts)}."


def cost_sentence(costs: pd.DataFrame, target: float) -> str:
    """Say what the game costs to a target, over the opponent."""
    parts = []
    for network, rows in costs.groupby("network", sort=False):
        known = rows_by(rows, "cost")
        ratios = ", ".join(
            f"{cost} {NOT_DECIDED}"
            if known[cost]["outcome"] == NOT_DECIDED
            else f"{cost} × {known[cost]['ratio']:.2f} ({known[cost]['low']:.2f} to {known[cost]['high']:.2f})"
            for cost in COSTS
        )
        first = records(rows)[0]
        parts.append(f"{network}, {first['game']} over {first['opponent']}: {ratios}")
    less, more = (int((costs["outcome"] == name).sum()) for name in (BETTER, WORSE))
    return (
        f"Cost to {100 * target:g} % on test rows: less in {less} and more in {more} of {len(costs)} comparisons "
        f"(corrected p < .05). {'; '.join(parts)}."
    )


def stability_sentence(stability: pd.DataFrame, large: pd.DataFrame) -> str:
    """Say whether feedback stabilises training at large steps."""
    asked = stability[stability["large"]]
    cells = [rows for _, rows in asked.groupby(["network", "way", "rate"], sort=False)]
    held = sum(bool((rows["outcome"] == BETTER).all()) for rows in cells)
    parts = []
    for way, controls in LARGE_CONTROLS.items():
        for control in controls:
            rows = stability[(stability["way"] == way) & (stability["control"] == control)]
            better, worse = ((rows["outcome"] == name).sum() for name in (BETTER, WORSE))
            parts.append(f"{way} beside {control}: better at {better} and worse at {worse} of {len(rows)} rates")
    feedback = large[large["way"].isin(LARGE_CONTROLS)]
    word = "not tested, since SGD was not short of its best at any rate" if not cells else _of(held, len(cells))
    return (
        f"Stability at large steps: {word}. {'; '.join(parts)} (corrected p < .05). With contracted values "
        f"{100 * feedback['clamped'].median():.0f} % of the rows' feedback is cut off by the clamp (median)."
    )


def player_sentence(players: pd.DataFrame) -> str:
    """Say whether fictitious players are explained by the rate or the damping."""
    parts = []
    for curvature, rows in players.groupby("curvature", sort=False):
        what = "the rate times N" if curvature == "identity" else "the damping over N"
        word = "explained" if (rows["same"] == rows["n"]).all() else "not fully explained"
        shown = ", ".join(f"N = {row['players']}: {_steps(row['steps'])}" for row in records(rows))
        parts.append(
            f"with curvature {curvature} they are {word} by {what}, which needs equally many steps in "
            f"{rows['same'].sum()} of {rows['n'].sum()} trainings (largest relative difference of the weights "
            f"{rows['gap'].max():.1g}); {shown}"
        )
    return f"Fictitious players: {'; '.join(parts)}."


def alignment_sentence(alignments: pd.DataFrame, share: float, arms: int) -> str:
    """Say whether the bandit finds better alignments than no bandit does."""
    parts = [f"minus {row['control']} {_points(row)}" for row in records(alignments)]
    word = "supported" if (alignments["outcome"] == BETTER).all() else "not supported"
    if (alignments["accuracy"] < LEARNT).all():
        word = "not tested, since hardly a network learnt anything"
    known = rows_by(alignments, "control")
    learns = known[SHUFFLED]["outcome"] == BETTER
    gain = "it gains" if learns else "no gain can be claimed"
    return (
        f"Alignments that a bandit chooses ({arms} in the residual network): {word}. The bandit {', '.join(parts)}; "
        f"{gain} over shuffled rewards, from which nothing can be learnt. "
        f"The fixed alignment has {known[FIXED]['accuracy']:.1f} %. Its rewards take {100 * share:.0f} % of the time."
    )


def runtime_sentence(prices: pd.DataFrame) -> str:
    """Say how long a step takes beside EKFAC."""
    parts, within = [], []
    for name in (FEEDBACK, BOTH):
        rows = prices[prices["method"] == name]
        within += [row["over_ekfac"] <= LONGEST for row in records(rows)]
        times = ", ".join(f"{row['network']} {row['over_ekfac']:.2f}" for row in records(rows))
        parts.append(f"{name}: {times}")
    return (
        f"A step takes at most {LONGEST} times as long as one of EKFAC: {_of(sum(within), len(within))}. "
        f"{'; '.join(parts)} (small networks, one processor, where the overhead of single operations counts most)."
    )


def _supported(claims: pd.DataFrame) -> str:
    return _of(int((claims["outcome"] == BETTER).sum()), len(claims))


def _of(count: int, total: int) -> str:
    """A verdict on a claim that holds so often."""
    if count == total:
        return "supported"
    return f"supported in {count} of {total}" if count else "not supported"


def _points(row: Row) -> str:
    return f"{row['difference']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f})"


def _steps(value: float) -> str:
    return "not reached" if value != value else f"{value:.0f} steps"
