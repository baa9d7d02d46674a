"""The sentences of the study of layers: a verdict per registered claim, with the numbers it rests on."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import xarray as xr

from neurogames.lab.studies.layers.analysis import (
    CHECK_GAIN,
    CONSTANT,
    CONTROLS,
    EIGENVALUES,
    GAIN,
    without_one_shift,
)
from neurogames.lab.studies.layers.settings import CERTIFICATE, LAYERS
from neurogames.lab.studies.tables import Row, records, rows_by

MARGIN = 0.2
"""Points of accuracy that count as no loss."""


def layers_verdicts(
    results: xr.Dataset, tuning: pd.DataFrame, freezing: pd.DataFrame, steps: pd.DataFrame, defence: pd.DataFrame
) -> list[str]:
    """Return the sentences of the report, from the tables of :mod:`.analysis`."""
    return [
        _tuning_sentence(results, tuning, GAIN, "on the adaptation rows"),
        _tuning_sentence(results, tuning, CHECK_GAIN, "on the check rows"),
        freezing_sentence(freezing),
        *(_step_sentence(steps, sweeps) for sweeps in sorted(set(steps["sweeps"]))),
        course_sentence(results),
        game_sentence(results),
        defence_sentence(defence),
    ]


def claim_word(lows: Sequence[float], highs: Sequence[float]) -> str:
    """Say what intervals of differences to several controls support, where larger is better.

    >>> claim_word([0.1, 0.2], [1.0, 2.0]), claim_word([-2.0, 0.2], [-1.0, 2.0]), claim_word([-1.0], [1.0])
    ('supported', 'contradicted', 'not supported')
    """
    if all(low > 0 for low in lows):
        return "supported"
    return "contradicted" if any(high < 0 for high in highs) else "not supported"


def _tuning_sentence(results: xr.Dataset, tuning: pd.DataFrame, question: str, where: str) -> str:
    rows = rows_by(tuning, "policy")
    name = question.replace(" ", "_")
    word = claim_word(*([rows[control][f"{name}_{end}"] for control in CONTROLS] for end in ("low", "high")))
    against = ", ".join(f"{control} {_signed(rows[control], name)}" for control in CONTROLS)
    counts = results[{GAIN: "tuning_gain", CHECK_GAIN: "tuning_held_out_gain"}[question]].argmax("layer")
    chosen = ", ".join(f"{float((counts == place).mean()):.0%}" for place in range(LAYERS))
    said = (
        f"Fine-tune the layer with the largest gain {where}: {word}. Accuracy {rows[question]['accuracy']:.1f} %; "
        f"difference in points to {against}. Layers 1 to {LAYERS} were chosen in {chosen} of the cases."
    )
    if question == GAIN:
        least, shift = without_one_shift(results, "last")
        return f"{said} Without the shift '{shift}' the difference to last is {least:+.1f} points."
    return said


def freezing_sentence(freezing: pd.DataFrame) -> str:
    """Say whether freezing by the certificate loses nothing and saves time."""
    rows = rows_by(freezing, "rule")
    ours = rows[CERTIFICATE]
    holds, saves = ours["points_low"] > -MARGIN, ours["seconds_high"] < 1
    slower = "takes more seconds" if ours["seconds_low"] > 1 else "saves no seconds that can be told"
    word = "supported" if holds and saves else "not supported"
    parts = [
        f"accuracy is {'not worse' if holds else 'not shown to be no worse'} by {MARGIN} points",
        "and it saves seconds" if saves else f"and it {slower}",
    ]
    others = "; ".join(
        f"{name} {_signed(row, 'points')} at {row['seconds']:.2f} of the seconds"
        for name, row in rows.items()
        if name not in (CERTIFICATE, "no freezing")
    )
    return (
        f"A layer is finished when its held-out gain is below its standard error: {word}; {' '.join(parts)} "
        f"({_signed(ours, 'points')} points, {ours['seconds']:.2f} of the seconds, {ours['seconds_low']:.2f} to "
        f"{ours['seconds_high']:.2f}, of which {ours['rule_share']:.0%} for the certificate; {ours['frozen']:.0%} of "
        f"the layers were frozen). Controls: {others}."
    )


def _step_sentence(steps: pd.DataFrame, sweeps: int) -> str:
    rows = rows_by(steps[steps["sweeps"] == sweeps], "prediction")
    controls = [rows[EIGENVALUES], rows[CONSTANT]]
    word = claim_word([-row["difference_high"] for row in controls], [-row["difference_low"] for row in controls])
    errors = ", ".join(f"{name} {row['error']:.2f}" for name, row in rows.items())
    ranks = ", ".join(f"{name} {row['rank_correlation']:.2f}" for name, row in rows.items() if name != CONSTANT)
    return (
        f"Coordination predicts how much larger a step layers bear in turn ({sweeps} sweep{'s' * (sweeps > 1)}): "
        f"{word}. Error of the logarithm: {errors}; difference to the eigenvalues "
        f"{_signed(controls[0], 'difference', 2)}, to ratio 1 {_signed(controls[1], 'difference', 2)}. Rank "
        f"correlation over checkpoints: {ranks}."
    )


def course_sentence(results: xr.Dataset) -> str:
    """Say what the gap was at the end of each way of training."""
    last = results.isel(checkpoint=-1)
    parts = []
    for way in results["way"].values:
        one = last.sel(way=way).median("seed")
        parts.append(
            f"{way}: loss {float(one['course_loss']):.2g}, gap {float(one['course_gap']):.2g}, coordination gap "
            f"{float(one['course_coordination_gap']):.2g}, on held-out rows {float(one['course_held_out_gap']):+.2g}"
        )
    return f"At the end of training (medians): {'; '.join(parts)}."


def game_sentence(results: xr.Dataset) -> str:
    """Say what the games of networks against perturbations are worth."""
    value, low, high = (float(results[name].mean()) for name in ("game_value", "game_low", "game_high"))
    mixed = float(((results["defender_probability"] > 0.01).sum("defender") > 1).mean())
    best = results["payoff"].min("attack").max("defender")
    means = {
        place: results[f"{place}_probability"].mean("seed").to_series().sort_values(ascending=False).head(3)
        for place in ("defender", "attack")
    }
    words = {place: ", ".join(f"{name} {share:.2f}" for name, share in part.items()) for place, part in means.items()}
    return (
        f"Networks against perturbations: value {100 * value:.1f} % (mean; interval over rows {100 * low:.1f} to "
        f"{100 * high:.1f}), {100 * (value - float(best.mean())):+.1f} points to the best single network. More than "
        f"one network is drawn in {mixed:.0%} of the games. Networks: {words['defender']}. Worst mixture: "
        f"{words['attack']}."
    )


def defence_sentence(defence: pd.DataFrame) -> str:
    """Say whether the optimal mixture is more robust to what it has not seen."""
    mixture, *others = records(defence)
    word = claim_word([row["worst_difference_low"] for row in others], [row["worst_difference_high"] for row in others])
    against = " and ".join(f"{row['policy']} {_signed(row, 'worst_difference')}" for row in others)
    return (
        f"The optimal mixture is more robust to fresh perturbations: {word}. Worst accuracy {mixture['worst']:.1f} %; "
        f"difference in points to {against}."
    )


def _signed(row: Row, name: str, digits: int = 1) -> str:
    estimate, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if low != low:
        return f"{estimate:+.{digits}f} (no interval)"
    return f"{estimate:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"
