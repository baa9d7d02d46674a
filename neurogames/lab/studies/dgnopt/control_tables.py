"""What the tests of single claims found: large steps, fictitious players, alignments."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.inference.statistics import mean_difference
from neurogames.lab.studies.dgnopt.analysis import columns, interval_of, judged
from neurogames.lab.studies.dgnopt.controls import ALIGNMENTS, BANDIT, LARGE_CONTROLS, LARGE_WAYS, SGD

SHORT = 1.0
"""By how many points SGD must fall short of its own best rate for a rate to be large."""


def large_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per network, way of training and large rate.

    Returns:
        ``network``, ``way``, ``rate``; mean ``accuracy`` in percent with its 95 % t interval; ``short``, by how many
        points it is below the way's own best rate; ``clamped`` and ``feedback``, and ``length`` of a step (medians over
        seeds of means over steps); ``diverged``, in how many seeds.
    """
    means, rows = 100 * results["large_accuracy"].mean("seed"), []
    for network, way, rate in product(results["large_network"].values, LARGE_WAYS, results["large_rate"].values):
        one = results.sel(large_network=network, way=way, large_rate=rate)
        estimate, low, high = interval_of(100 * one["large_accuracy"].values)
        best = float(means.sel(large_network=network, way=way).max())
        rows.append(
            {"network": str(network), "way": way, "rate": float(rate), "accuracy": estimate, "low": low, "high": high}
            | {"short": best - estimate, "diverged": int((one["large_diverged"] > 0).sum())}
            | {name: float(one[f"large_{name}"].median()) for name in ("clamped", "feedback", "length")}
        )
    return pd.DataFrame(rows)


def stability_table(results: xr.Dataset) -> pd.DataFrame:
    """Return feedback minus its controls at every rate.

    Returns:
        ``network``, ``way`` with feedback, ``control``, ``rate``, ``large`` (whether SGD is over a point short of its
        best rate); ``difference`` in points with its 95 % t interval, ``p``, ``p_holm`` over all rows, ``outcome``.
    """
    accuracies, rows = 100 * results["large_accuracy"], []
    plain = accuracies.sel(way=SGD).mean("seed")
    for network, (way, controls) in product(results["large_network"].values, LARGE_CONTROLS.items()):
        short = plain.sel(large_network=network).max() - plain.sel(large_network=network)
        for control, rate in product(controls, results["large_rate"].values):
            at = accuracies.sel(large_network=network, large_rate=rate)
            found = mean_difference((at.sel(way=way) - at.sel(way=control)).values)
            label = {"network": str(network), "way": way, "control": control, "rate": float(rate)}
            rows.append({**label, "large": bool(short.sel(large_rate=rate) > SHORT), **columns(found)})
    return judged(rows)


def player_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per curvature and number of fictitious players.

    Returns:
        ``curvature``, ``players``; medians over seeds of ``steps`` to the target with them and of ``control_steps``
        with what would explain them (nan if most seeds do not reach it); ``same``, in how many seeds both are equal
        (or both miss it), of ``n``; ``gap``, the largest difference of the weights at the end over the largest weight.
    """
    rows = []
    for curvature, players in product(results["player_curvature"].values, results["players"].values):
        one = results.sel(player_curvature=curvature, players=players)
        steps, control = one["player_steps"].values, one["control_steps"].values
        same = (steps == control) | (np.isnan(steps) & np.isnan(control))
        medians = [float(np.median(np.nan_to_num(values, nan=np.inf))) for values in (steps, control)]
        found = [value if np.isfinite(value) else np.nan for value in medians]
        rows.append(
            {"curvature": str(curvature), "players": int(players), "steps": found[0], "control_steps": found[1]}
            | {"same": int(same.sum()), "n": len(same), "gap": float(one["player_gap"].max())}
        )
    return pd.DataFrame(rows)


def alignment_table(results: xr.Dataset) -> pd.DataFrame:
    """Return the accuracy of the bandit's alignments minus that of each other way to choose them.

    Returns:
        ``control``, the mean ``accuracy`` of it in percent, ``difference`` in points with its 95 % t interval, ``p``,
        ``p_holm`` over the controls, ``n``, ``outcome``.
    """
    accuracies, rows = 100 * results["alignment_accuracy"], []
    bandit = accuracies.sel(alignment=BANDIT)
    for control in ALIGNMENTS:
        if control != BANDIT:
            other = accuracies.sel(alignment=control)
            found = mean_difference((bandit - other).values)
            rows.append({"control": control, "accuracy": float(other.mean()), **columns(found)})
    return judged(rows)
