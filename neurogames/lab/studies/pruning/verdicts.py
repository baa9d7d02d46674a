"""The sentences of the pruning study, each no more confident than the interval or the certificate behind it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.studies.pruning.analysis import (
    ALL_SIZES,
    SETTLED,
    equilibrium_table,
    method_table,
    paper_table,
    published,
    stopping_epoch,
)
from neurogames.lab.studies.pruning.game_findings import game_sentence, ranking_sentence, size_sentence
from neurogames.lab.studies.pruning.measure import CONTROLS, MATCHED_WIDTHS, METHODS
from neurogames.lab.studies.tables import Row, records, rows_by

COLLAPSE = 10.0
"""Percentage points below the best accuracy so far from which on a run is said to have collapsed."""


def pruning_verdicts(results: xr.Dataset, differences: pd.DataFrame, *, rng: np.random.Generator) -> list[str]:
    """Return the sentences that open the report.

    Args:
        results: a pruning study's results.
        differences: the table of :func:`neurogames.lab.studies.pruning.analysis.difference_table`.
        rng: numpy generator for sign flips.

    Returns:
        What pruning by the corrected rule keeps; which controls are better where; whether its end is an equilibrium;
        what the paper's runs are; what the game of the dense network predicts.
    """
    return [
        path_sentence(results),
        *(opponent_sentence(differences, opponent) for opponent in (*CONTROLS, "dense")),
        single_unit_sentence(results),
        seeds_sentence(differences),
        certificate_sentence(results),
        *(paper_sentence(results, str(name)) for name in results["configuration"].values),
        stopping_sentence(results),
        *published_sentences(results),
        game_sentence(results),
        ranking_sentence(results, rng=rng),
        size_sentence(results),
    ]


def path_sentence(results: xr.Dataset) -> str:
    """How accurate the networks are that keep so many units."""
    table = method_table(results)
    (dense,) = records(table[table["method"] == "dense"])
    path = "; ".join(
        f"{row['units']:g} units: {row['accuracy']:.2f} % ({row['minimum']:.2f} to {row['maximum']:.2f})"
        for row in records(table[table["method"] == "equilibrium"])
    )
    return (
        f"The corrected rule keeps, of {dense['units']:g} units ({dense['accuracy']:.2f} % accuracy, "
        f"{dense['minimum']:.2f} to {dense['maximum']:.2f}), in the median over {results.sizes['seed']} seeds (minimum "
        f"to maximum): {path}."
    )


def opponent_sentence(differences: pd.DataFrame, opponent: str) -> str:
    """Whether the equilibrium is more accurate than an opponent, over all sizes and at single ones."""
    rows = rows_by(differences[differences["opponent"] == opponent], "unit_budget")
    over_all = rows.pop(ALL_SIZES)
    equal = "" if opponent in MATCHED_WIDTHS else " at equal numbers of units"
    name = "the dense network (all its units)" if opponent == "dense" else f"{opponent}{equal}"
    start = {
        "more": f"Over all sizes the equilibrium is more accurate than {name}",
        "less": f"Over all sizes the equilibrium is less accurate than {name}",
        "none": f"Over all sizes no difference in accuracy can be claimed between the equilibrium and {name}",
    }[over_all["claims"]]
    parts = []
    for claim in ("more", "less"):
        places = "; ".join(f"{units} ({_points(row)})" for units, row in rows.items() if row["claims"] == claim)
        if places:
            parts.append(f"it is {claim} accurate with {places} units")
    single_words = "; ".join(parts) if parts else "at no single size can a difference be claimed"
    return f"{start} ({_points(over_all)}); {single_words}."


def _points(row: Row) -> str:
    """Difference with its interval in words."""
    if np.isnan(row["low"]):
        return f"{row['difference']:+.2f} points in every one of {row['n']} seeds, no interval"
    return f"{row['difference']:+.2f} points, 95 % interval {row['low']:+.2f} to {row['high']:+.2f}"


def single_unit_sentence(results: xr.Dataset) -> str:
    """Who has a layer with one unit left, which may cost more than the units themselves.

    Controls with the layer widths of the equilibrium are not named beside it.
    """
    alone = (results["layer_units"] == 1).any("layer").sum("seed")
    seeds, parts = results.sizes["seed"], []
    for method in (name for name in METHODS if name not in ("from scratch", *MATCHED_WIDTHS)):
        counts = alone.sel({"method": method}).to_series()
        places = ", ".join(f"{unit_budget} ({count} of {seeds})" for unit_budget, count in counts.items() if count)
        if places:
            parts.append(f"{method} with {places} units")
    if not parts:
        return "No method is left with a single unit in a layer."
    return (
        f"With a single unit in some layer are left {'; '.join(parts)}: what is lost there may be lost to the sharing "
        "out over layers, and not to the choice of units."
    )


def seeds_sentence(differences: pd.DataFrame) -> str:
    """How much so few seeds can show."""
    n, count = int(differences["n"].iloc[0]), len(differences)
    smallest_p = 2.0 ** (1 - n)
    caution = (
        "so no claim here is significant by that test, and the t intervals rest on the differences being normal"
        if smallest_p > 0.05
        else "and the table shows its p beside every t interval"
    )
    return (
        f"These intervals are over {n} seeds: a sign-flip test cannot go below p = {smallest_p:.2g}, {caution}. Of "
        f"{count} intervals of 95 % about {0.05 * count:.0f} would miss the truth by chance."
    )


def certificate_sentence(results: xr.Dataset) -> str:
    """Whether the end of the corrected rule is an equilibrium by exact removal."""
    table = equilibrium_table(results)
    runs, stay = int(table["n"].sum()), int(table["no_unit_leaves"].sum())
    # Where no unit is left the smallest worth is infinite, and no unit can leave.
    smallest = float(results["worth_over_fee"].where(np.isfinite(results["worth_over_fee"])).min())
    worth = "" if np.isnan(smallest) else f": the smallest worth of a unit is {smallest:.2f} times what it pays"
    if stay == runs:
        sentence = f"In all {runs} runs of the corrected rule no unit gains by leaving"
    else:
        failing = table.loc[table["no_unit_leaves"] < table["n"], "unit_budget"]
        places = ", ".join(map(str, failing))
        whole = f"In {stay} of {runs} runs of the corrected rule no unit gains by leaving"
        sentence = f"{whole} (not in all with {places} units)"
    settled = int(table["settled"].sum())
    return (
        f"{sentence}, by running the network without each unit in turn{worth}. The certificate's residual, which asks "
        f"for partial shares too, is at most {SETTLED:g} in {settled} of {runs} runs; whoever has left may not "
        "come back in this game."
    )


def paper_sentence(results: xr.Dataset, configuration: str) -> str:
    """What one of the paper's configurations is at the epoch where it stops, and later."""
    table = paper_table(results)
    rows = records(table[table["configuration"] == configuration])
    stop, end = rows[0], rows[-1]
    n = results.sizes["seed"]
    epochs = [collapse_epoch(one) for one in 100 * _accuracies(results, configuration)]
    fallen = [epoch for epoch in epochs if epoch is not None]
    text = (
        f"{configuration} of the paper, rerun: at epoch {stop['epoch']} {stop['accuracy']:.2f} % with "
        f"{stop['units']:g} units, residual {stop['residual']:.2f}, and {stop['fraction_off_best_response']:.0f} % of "
        "the units would move on"
    )
    if published(results):
        text += f" (published: {stop['published_accuracy']:.2f} % with {stop['published_units']:g})"
    if end["epoch"] > stop["epoch"]:
        text += f"; at epoch {end['epoch']} {end['accuracy']:.2f} % with {end['units']:g}, "
        text += f"residual {end['residual']:.2f}"
    if fallen:
        between = f"{min(fallen)}" if min(fallen) == max(fallen) else f"{min(fallen)} to {max(fallen)}"
        text += f". It collapses in {len(fallen)} of {n} seeds, at epoch {between}"
    else:
        text += f". It does not collapse within {int(results['paper_epoch'][-1])} epochs"
    return text + "."


def collapse_epoch(accuracy: np.ndarray) -> int | None:
    """Return the first epoch whose accuracy lies more than 10 points below the best so far, or None.

    >>> collapse_epoch(np.array([90.0, 97.0, 96.0, 60.0])), collapse_epoch(np.array([90.0, 97.0]))
    (4, None)
    """
    fallen = np.flatnonzero(accuracy < np.maximum.accumulate(accuracy) - COLLAPSE)
    return int(fallen[0]) + 1 if fallen.size else None


def stopping_sentence(results: xr.Dataset) -> str:
    """Equilibrium, stopping time, or collapse."""
    stop, last = stopping_epoch(results), int(results["paper_epoch"][-1])
    accuracy, residual = results["paper_accuracy"], results["paper_residual"]
    best = accuracy.max("paper_epoch")
    parts, whole = [], 0
    for epoch in dict.fromkeys((stop, last)):
        now, at_rest = accuracy.sel(paper_epoch=epoch), residual.sel(paper_epoch=epoch) <= SETTLED
        count = int(at_rest.sum())
        whole += int((at_rest & (now >= best - COLLAPSE / 100)).sum())
        if count:
            reached = f"{count} (accuracy {100 * float(now.where(at_rest).min()):.1f} to "
            reached += f"{100 * float(now.where(at_rest).max()):.1f} %)"
        else:
            reached = f"none (smallest residual {float(residual.sel(paper_epoch=epoch).min()):.2f})"
        parts.append(f"at epoch {epoch} {reached}")
    text = f"In equilibrium (residual at most {SETTLED:g}) are, of the paper's {best.size} runs, {', '.join(parts)}."
    at_stop = int((residual.sel(paper_epoch=stop) <= SETTLED).sum())
    if at_stop < best.size:
        text += (
            f" What {'the others keep' if at_stop else 'is kept'} where the paper stops is decided by when one stops."
        )
    if whole == 0 and int((residual <= SETTLED).any("paper_epoch").sum()):
        text += " Every equilibrium that was reached is a collapsed network."
    return text


def published_sentences(results: xr.Dataset) -> list[str]:
    """The corrected rule beside the paper's published points, at no more units than printed; none for other data."""
    table = method_table(results)
    ours = records(table[table["method"] == "equilibrium"])
    parts = []
    for configuration, (accuracy, units) in published(results).items():
        best = max((row for row in ours if row["units"] <= units), key=lambda row: float(row["units"]), default=None)
        if best is None:
            found = "no network so small"
        else:
            reach = f"from {best['minimum']:.2f} to {best['maximum']:.2f}"
            found = f"{best['accuracy']:.2f} % with {best['units']:g}, {reach}"
        parts.append(f"{configuration} {100 * accuracy:.2f} % with {units} units, here {found}")
    if not parts:
        return []
    return [f"The paper's published points against the corrected rule at no more units (medians): {'; '.join(parts)}."]


def _accuracies(results: xr.Dataset, configuration: str) -> np.ndarray:
    """(seeds, epochs) accuracies of one configuration."""
    return results["paper_accuracy"].sel(configuration=configuration).transpose("seed", "paper_epoch").values
