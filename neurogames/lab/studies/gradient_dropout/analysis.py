"""What the search for annealing found: one row per cell, by the rules that were registered (see ``settings``)."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from neurogames.lab.inference.statistics import Interval, holm_adjusted, mean_difference
from neurogames.lab.studies.gradient_dropout.search import GRID
from neurogames.lab.studies.gradient_dropout.settings import LEAST_LEFT
from neurogames.lab.studies.tables import Row, records

ALPHA = 0.05
ANNEALING, NOT_AT_EQUAL_FIT, WORSE = "annealing", "better, not at equal fit", "worse"
NO_DIFFERENCE, NOT_DECIDED = "no difference claimed", "not decided"
OUTCOMES = (ANNEALING, NOT_AT_EQUAL_FIT, WORSE, NO_DIFFERENCE, NOT_DECIDED)


def search_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per cell of the search.

    Args:
        results: a study's results.

    Returns:
        The cell (``dataset``, ``strength``, ``recipe``, ``batch_size``, ``keep_prob``); the mean error with the
        shortcut broken of ``plain`` and ``law``; ``difference``, gradient dropout minus law, with its 95 % t interval
        ``low`` to ``high``, ``p`` (t test) and ``p_holm`` over ``n`` seeds; ``at_equal_fit``, gradient dropout minus
        the law at equal training loss, with its interval; ``composing``, the difference of the shares of units that
        compose, and ``minus_gaussian``, the difference to normal noise, with theirs; ``outcome``, one of ``OUTCOMES``.
    """
    ends = {name: results[f"broken_{name}"].isel(fit_time=-1) for name in ("plain", "law", "dropout", "gaussian")}
    compared = {
        "difference": ends["dropout"] - ends["law"],
        "at_equal_fit": ends["dropout"] - law_at_equal_fit(results),
        "composing": results["composing_share_dropout"] - results["composing_share_law"],
        "minus_gaussian": ends["dropout"] - ends["gaussian"],
    }
    seeds, rows = results.sizes["seed"], []
    for labels in product(*(results[name].values for name in ("dataset", *GRID))):
        cell = dict(zip(("dataset", *GRID), labels, strict=True))
        of_plain = {name: value for name, value in cell.items() if name != "keep_prob"}
        found = {name: mean_difference(values.sel(cell).dropna("seed").values) for name, values in compared.items()}
        main = found["difference"]
        means = {"plain": float(ends["plain"].sel(of_plain).mean()), "law": float(ends["law"].sel(cell).mean())}
        columns = {"difference": main.estimate, "low": main.low, "high": main.high, "p": main.p_value, "n": main.n}
        rows.append({**cell, **means, **columns, "decided": main.n >= LEAST_LEFT * seeds, **_others(found)})
    table = pd.DataFrame(rows)
    # A cell that is not decided counts among the tests.
    table["p_holm"] = holm_adjusted(table["p"].where(table["decided"], 1.0).to_numpy())
    table["outcome"] = [_outcome(row) for row in records(table)]
    return table.drop(columns="decided")


def law_at_equal_fit(results: xr.Dataset) -> xr.DataArray:
    """Return the law's error with the shortcut broken at the training loss that gradient dropout ends with.

    It is taken where the law's training loss first falls to that of gradient dropout, between recorded times in
    proportion to the losses; at the law's end, if it never does.
    """
    dims = ("dataset", "seed", *GRID)
    law, fit = (results[name].transpose(*dims, "fit_time") for name in ("broken_law", "fit_law"))
    wanted = results["fit_dropout"].isel(fit_time=-1, drop=True).transpose(*dims)
    flat = (fit.values.reshape(-1, fit.shape[-1]), law.values.reshape(-1, law.shape[-1]), wanted.values.ravel())
    values = [_at_first_crossing(*one) for one in zip(*flat, strict=True)]
    return wanted.copy(data=np.reshape(values, wanted.shape))


def pooled_table(results: xr.Dataset) -> pd.DataFrame:
    """Return the difference of gradient dropout and law averaged over tables and strengths in each seed.

    Data with classes are left out, whose errors have another unit.

    Returns:
        One row per recipe, batch size and keep probability: ``difference``, ``low``, ``high``, ``p``, ``p_holm`` over
        these rows, ``n`` seeds, and ``composing`` with its interval.
    """
    numbers = results.sel(dataset=numeric_data(results))
    ends = [numbers[f"broken_{name}"].isel(fit_time=-1) for name in ("dropout", "law")]
    shares = numbers["composing_share_dropout"] - numbers["composing_share_law"]
    compared = {"difference": ends[0] - ends[1], "composing": shares}
    rows = []
    for labels in product(*(results[name].values for name in GRID[1:])):
        cell = dict(zip(GRID[1:], labels, strict=True))
        found = {
            name: mean_difference(values.sel(cell).mean(("dataset", "strength"), skipna=False).dropna("seed").values)
            for name, values in compared.items()
        }
        main = found["difference"]
        columns = {"difference": main.estimate, "low": main.low, "high": main.high, "p": main.p_value, "n": main.n}
        rows.append({**cell, **columns, **_others({"composing": found["composing"]})})
    table = pd.DataFrame(rows)
    table["p_holm"] = holm_adjusted(table["p"].to_numpy())
    return table


def numeric_data(results: xr.Dataset) -> list[str]:
    """Return the data whose targets are numbers: those for which distances of predictions were measured."""
    known = results["distance_law"].notnull().any(("seed", "chain_optimizer", "step"))
    return [str(name) for name in results["dataset"].values[known.values]]


def _others(found: dict[str, Interval]) -> dict[str, float]:
    """Columns of all but the main difference."""
    columns: dict[str, float] = {}
    for name, interval in found.items():
        if name != "difference":
            ends = {f"{name}_low": interval.low, f"{name}_high": interval.high}
            columns |= {name: interval.estimate, **ends}
    return columns


def _outcome(row: Row) -> str:
    """The verdict on a cell, by what was registered; a comparison with a missing number is False."""
    if not row["decided"]:
        return NOT_DECIDED
    if not row["p_holm"] < ALPHA:
        return NO_DIFFERENCE
    if row["difference"] > 0:
        return WORSE
    return ANNEALING if row["at_equal_fit_high"] < 0 else NOT_AT_EQUAL_FIT


def _at_first_crossing(fit: NDArray[np.float64], error: NDArray[np.float64], wanted: float) -> float:
    """The error at which a falling loss first reaches a wanted value."""
    if not np.isfinite(wanted) or not np.isfinite(fit).all():
        return math.nan
    reached = np.flatnonzero(fit <= wanted)
    if not len(reached):
        return float(error[-1])
    place = int(reached[0])
    if place == 0:
        return float(error[0])
    part = (fit[place - 1] - wanted) / (fit[place - 1] - fit[place])
    return float(error[place - 1] + part * (error[place] - error[place - 1]))
