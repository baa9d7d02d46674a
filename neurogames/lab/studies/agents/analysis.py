"""Whether the three views agree, in a sentence, and the table of where they end.

The simulated mean of R replicas, each a share in [0, 1] of known spread s around the exact mean, is farther from it
than

    e = L / (3 R) + sqrt((L / (3 R))^2 + 2 s^2 L / R),     L = log(2 K / 0.05),

in any of K comparisons with probability at most 5 % (Bernstein's inequality), however rare what moves it. The mean
field is that of infinitely many agents: it counts as near where it is within 1 / sqrt(N) of N of them.

Reference: S. Bernstein (1924), as in S. Boucheron, G. Lugosi and P. Massart, Concentration Inequalities (2013), 2.8.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.studies.agents.exact import ON_GRAPH
from neurogames.lab.studies.agents.settings import SWEPT

_LEVEL = 0.05
_ROUNDING = 1e-9
_REASONS = 3
_LISTED = 6
_FINITE = "so many agents do what infinitely many do not"
_ON_GRAPH = "neighbours on this graph do what a well-mixed population does not"


def agreement(results: xr.Dataset, replicas: int) -> tuple[str, list[str]]:
    """Whether the views agree.

    Args:
        results: of all combinations.
        replicas: R.

    Returns:
        One sentence that says it, and further ones on each pair of views.
    """
    status = results["status"]
    on_graph = bool((status.sel(view="exact") == ON_GRAPH).any())
    known = bool(results["exact"].notnull().any())
    whole = bool(results["exact"].notnull().all())
    told, verdicts = [], []
    if known:
        near, sentence = _beside_exact(results, replicas)
        verdicts.append(near)
        told.append(sentence)
    reference = results["exact"] if whole else results["simulated"]
    name = "exact" if whole else "simulated"
    # A simulated mean has an error of its own.
    slack = 0.0 if whole else 2.0 * results["standard_error"]
    off: xr.DataArray = abs(results["mean_field"] - reference)
    scale = 1.0 / np.sqrt(results["n_players"])
    near = bool((off <= scale + slack).all())
    largest = float(off.max())
    size = f"1/sqrt(N) = {float(scale.min()):.2g}" if scale.min() == scale.max() else "1/sqrt(N)"
    size += "" if whole else " and two standard errors"
    verdicts.append(near)
    told.append(
        f"The mean field is at most {largest:.2g} from the {name} mean shares, "
        + (f"within {size}." if near else f"beyond {size}: {_ON_GRAPH if on_graph else _FINITE}.")
    )
    if not whole:
        told.insert(0, f"There is no exact chain {'here' if not known else 'everywhere'}: {said(status, 'exact')}.")
    if (status.sel(view="mean field") != "ok").any():
        told.append(f"Of the mean field: {said(status, 'mean field')}.")
    views = "three views" if known else "two views"
    if all(verdicts):
        answer = f"The {views} agree."
    elif known and verdicts[0]:
        answer = "Simulation and exact chain agree; the mean field departs from them."
    elif not known:
        answer = "Simulation and mean field do not agree."
    else:
        answer = "Simulation and exact chain do not agree."
    return f"{answer} {' '.join(told)}", told


def end_table(results: xr.Dataset) -> pd.DataFrame:
    """Where each view ends, by combination and strategy."""
    names = ["simulated", "standard_error", "exact", "mean_field"]
    last = results[names].isel(time=-1, drop=True).assign(long_run=results["stationary"])
    frame = last.to_dataframe().reset_index()
    keys = [name for name in (*SWEPT, "strategy") if name in frame.columns]
    return frame[[*keys, *names, "long_run"]]


def said(status: xr.DataArray, view: str) -> str:
    """What is to be known of a view, and of how many combinations."""
    each = status.sel(view=view).values.reshape(-1).tolist()
    reasons = {reason: each.count(reason) for reason in dict.fromkeys(each) if reason != "ok"}
    parts = [
        reason if count == len(each) else f"{reason} ({count} of {len(each)} combinations)"
        for reason, count in reasons.items()
    ]
    more = f"; and {len(parts) - _REASONS} reasons more" if len(parts) > _REASONS else ""
    return "; ".join(parts[:_REASONS]) + more


def take_over_table(results: xr.Dataset) -> pd.DataFrame:
    """What takes over, exactly and in the replicas that have ended; empty where nothing does."""
    found = results[["takes_over", "took_over", "sweeps_until"]].drop_vars(
        ["time", "strategy", "view"], errors="ignore"
    )
    frame = found.to_dataframe().reset_index()
    frame = frame[frame["took_over"].notna()]
    keys = [name for name in (*SWEPT, "outcome") if name in frame.columns]
    names = {"takes_over": "exact_probability", "took_over": "simulated_so_far", "sweeps_until": "exact_mean_sweeps"}
    return frame[[*keys, *names]].rename(columns=names)


def take_over_sentence(first: xr.Dataset) -> str:
    """Which outcome takes over at one combination: exact, or seen in the replicas; empty where nothing does."""
    if first["took_over"].isnull().any():
        return ""
    known, end = bool(first["takes_over"].notnull().all()), int(first["time"][-1])
    seen = first["takes_over" if known else "took_over"]
    order = np.argsort(-seen.values, kind="stable")[:_LISTED] if seen.size > _LISTED else range(seen.size)
    shares = ", ".join(f"{seen['outcome'].values[k]} {float(seen[k]):.3g}" for k in order)
    shares += ", ..." if seen.size > _LISTED else ""
    if known:
        return f"{shares}; after {float(first['sweeps_until']):.4g} sweeps on average, exactly"
    return f"{shares} of the replicas by sweep {end}"


def _beside_exact(results: xr.Dataset, replicas: int) -> tuple[bool, str]:
    """Whether simulated means are within their bounds around the exact ones."""
    off: xr.DataArray = abs(results["simulated"] - results["exact"])
    later = off.isel(time=slice(1, None))
    comparisons = int(later.notnull().sum())
    log = np.log(2.0 * comparisons / _LEVEL)
    share = log / (3.0 * replicas)
    bound = share + np.sqrt(share**2 + 2.0 * results["exact_spread"] ** 2 * log / replicas)
    beyond = int((off > bound + _ROUNDING).sum())
    largest = float(off.max())
    if beyond == 0:
        return True, (
            f"The simulated mean shares are within their 95 % bounds around the exact ones in all {comparisons} "
            f"comparisons, at most {largest:.2g} off."
        )
    return False, (
        f"The simulated mean shares leave their 95 % bounds around the exact ones in {beyond} of {comparisons} "
        f"comparisons, by up to {largest:.2g}."
    )
