"""Accuracy and cost of every method, by the rules that were registered (see ``settings``)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from neurogames.lab.inference.statistics import Interval, holm_adjusted, mean_difference
from neurogames.lab.studies.dgnopt.methods import GAMES, METHODS, OPEN, OPPONENTS

ALPHA = 0.05
MOST_MISSING = 0.2
"""Share of the seeds that may miss a target before its cost is not decided."""
PAPER_MARGINS = (-0.01, 0.28)
"""Accuracy of DGNOpt minus the best other method, in points: tables 2 and 3 of arXiv 2105.03788."""
COSTS = ("steps", "seconds", "operations")
BETTER, WORSE, NO_DIFFERENCE, NOT_DECIDED = "better", "worse", "no difference claimed", "not decided"


def final_accuracy(results: xr.Dataset) -> xr.DataArray:
    """Return test accuracies at the end, (seed, network, optimizer), in percent."""
    return 100 * results["accuracy"].isel(step=-1, drop=True).transpose("seed", "network", "optimizer")


def accuracy_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per network and method.

    Args:
        results: a study's results.

    Returns:
        ``network``, ``method``; the chosen ``rate`` and ``second`` setting and their ``held_out`` accuracy; the mean
        test ``accuracy`` in percent with its 95 % t interval over seeds ``low`` to ``high``; ``binomial``, the standard
        error that the number of test rows leaves; ``minus_opponent``, the paired difference to the chosen opponent,
        with its interval; ``diverged``, in how many seeds; ``clamped`` and ``feedback``, means over steps.
    """
    ends, rows = final_accuracy(results), []
    for network, method in product(results["network"].values, METHODS):
        values = ends.sel(network=network, optimizer=method)
        opponent = ends.sel(network=network, optimizer=choose(results, network, OPPONENTS))
        own, minus = mean_difference(values.values), mean_difference((values - opponent).values)
        one = results.sel(network=network, optimizer=method)
        share = own.estimate / 100
        rows.append(
            {
                "network": str(network),
                "method": method,
                "rate": float(one["rate"]),
                "second": float(one["second"]),
                "held_out": 100 * float(one["held_out"]),
                "accuracy": own.estimate,
                "low": own.low,
                "high": own.high,
                "binomial": 100 * math.sqrt(share * (1 - share) / int(results["tests"])),
                **_named("minus_opponent", minus),
                "diverged": int((one["diverged"] > 0).sum()),
                "clamped": float(one["clamped"].mean()),
                "feedback": float(one["feedback"].median()),
            }
        )
    return pd.DataFrame(rows)


def choose(results: xr.Dataset, network: str, methods: Iterable[str]) -> str:
    """Return the method with the highest held-out accuracy in a network, of equals the earlier."""
    held_out = results["held_out"].sel(network=network)
    return max(methods, key=lambda method: float(held_out.sel(optimizer=method)))


def claim_table(results: xr.Dataset) -> pd.DataFrame:
    """Return, for each network, the chosen structure of the game against the chosen opponent.

    Returns:
        ``network``, ``game``, ``opponent``, ``difference`` of accuracies in points with its 95 % t interval, ``p``,
        ``p_holm`` over networks, ``n`` seeds, ``outcome``.
    """
    ends, rows = final_accuracy(results), []
    for network in results["network"].values:
        game, opponent = (choose(results, network, methods) for methods in (GAMES, OPPONENTS))
        at = ends.sel(network=network)
        found = mean_difference((at.sel(optimizer=game) - at.sel(optimizer=opponent)).values)
        rows.append({"network": str(network), "game": game, "opponent": opponent, **columns(found)})
    return judged(rows)


def structure_table(results: xr.Dataset) -> pd.DataFrame:
    """Return, for each network and structure of the game, its accuracy minus that of the open loop.

    Returns:
        ``network``, ``structure`` and the columns of :func:`claim_table`.
    """
    ends, rows = final_accuracy(results), []
    for network, structure in product(results["network"].values, GAMES):
        at = ends.sel(network=network)
        found = mean_difference((at.sel(optimizer=structure) - at.sel(optimizer=OPEN)).values)
        rows.append({"network": str(network), "structure": structure, **columns(found)})
    return judged(rows)


def cost_table(results: xr.Dataset, target: float) -> pd.DataFrame:
    """Return what it costs the chosen structure to reach a target, over what it costs the chosen opponent.

    Args:
        results: a study's results.
        target: test accuracy in (0, 1).

    Returns:
        ``network``, ``game``, ``opponent``, ``cost``; ``ratio`` (geometric mean over seeds in which both reach the
        target) with its 95 % t interval, ``p_holm``, ``n``, ``missed`` seeds, ``outcome``.
    """
    spent, rows = costs(results, target), []
    for network, cost in product(results["network"].values, COSTS):
        game, opponent = (choose(results, network, methods) for methods in (GAMES, OPPONENTS))
        at = spent[cost].sel(network=network)
        ratio = np.log((at.sel(optimizer=game) / at.sel(optimizer=opponent)).values)
        reached = ratio[np.isfinite(ratio)]
        found = columns(mean_difference(reached)) if len(reached) > 1 else _unknown(len(reached))
        rows.append(
            {"network": str(network), "game": game, "opponent": opponent, "cost": cost, **found}
            | {"missed": len(ratio) - len(reached), "decided": len(ratio) - len(reached) <= MOST_MISSING * len(ratio)}
        )
    table = judged(rows, lower_is_better=True)
    for name in ("difference", "low", "high"):
        table[name] = np.exp(table[name])
    return table.rename(columns={"difference": "ratio"})


def costs(results: xr.Dataset, target: float) -> xr.Dataset:
    """Return steps, seconds and operations to a target over (seed, network, optimizer); nan where it is not reached."""
    reached = results["accuracy"] >= target
    steps = reached.idxmax("step").where(reached.any("step")).where(lambda step: step > 0)
    return xr.Dataset(
        {"steps": steps, "seconds": steps * results["step_seconds"], "operations": steps * results["flops"]}
    )


def price_table(results: xr.Dataset, target: float) -> pd.DataFrame:
    """Return what a step costs each method, and what it costs to reach the target.

    Returns:
        ``network``, ``method``; ``milliseconds`` of processor time of a step (median over seeds) and ``over_ekfac``,
        ``over_sgd``; ``megaflops`` of a step; ``state``, kilobytes that the optimizer keeps, and ``state_over_ekfac``;
        ``steps``, ``seconds``, ``gigaflops`` to the target (medians over the seeds that reach it), ``reached``, their
        number; ``tuning_seconds`` of all trials.
    """
    spent, rows = costs(results, target), []
    seconds = results["step_seconds"].median("seed")
    for network, method in product(results["network"].values, METHODS):
        one = {"network": network, "optimizer": method}
        beside = {"network": network, "optimizer": "EKFAC"}
        medians = spent.sel(one).median("seed")
        rows.append(
            {
                "network": str(network),
                "method": method,
                "milliseconds": 1e3 * float(seconds.sel(one)),
                "over_ekfac": float(seconds.sel(one) / seconds.sel(beside)),
                "over_sgd": float(seconds.sel(one) / seconds.sel(network=network, optimizer="SGD")),
                "megaflops": 1e-6 * float(results["flops"].sel(one)),
                "state": 1e-3 * float(results["state"].sel(one)),
                "state_over_ekfac": float(results["state"].sel(one) / results["state"].sel(beside)),
                "steps": float(medians["steps"]),
                "seconds": float(medians["seconds"]),
                "gigaflops": 1e-9 * float(medians["operations"]),
                "reached": int(spent["steps"].sel(one).notnull().sum()),
                "tuning_seconds": float(results["trial_seconds"].sel(one).sum()),
            }
        )
    return pd.DataFrame(rows)


def columns(found: Interval) -> dict[str, float]:
    """Return the columns of a difference."""
    return {
        "difference": found.estimate,
        "low": found.low,
        "high": found.high,
        "p": 1.0 if math.isnan(found.p_value) else found.p_value,
        "n": found.n,
    }


def judged(rows: Sequence[dict[str, object]], *, lower_is_better: bool = False) -> pd.DataFrame:
    """Return differences as a table, their p-values corrected over its rows by Holm's method, each with its outcome.

    Args:
        rows: each with the columns of :func:`columns`; one that is not ``decided``, if it says so, counts among the
            tests.
        lower_is_better: whether a difference below 0 is the better one.
    """
    table = pd.DataFrame(rows)
    decided = table.pop("decided") if "decided" in table else pd.Series(True, index=table.index)
    table["p_holm"] = holm_adjusted(table["p"].where(decided, 1.0).to_numpy())
    better = (table["difference"] < 0) if lower_is_better else (table["difference"] > 0)
    table["outcome"] = np.where(better, BETTER, WORSE)
    table.loc[table["p_holm"] >= ALPHA, "outcome"] = NO_DIFFERENCE
    table.loc[~decided, "outcome"] = NOT_DECIDED
    return table


def interval_of(values: ArrayLike) -> tuple[float, float, float]:
    """Return a mean with the ends of its 95 % t interval."""
    found = mean_difference(values)
    return found.estimate, found.low, found.high


def _named(name: str, found: Interval) -> dict[str, float]:
    return {name: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high}


def _unknown(n: int) -> dict[str, float]:
    """Columns of a difference of fewer than two seeds."""
    return {"difference": math.nan, "low": math.nan, "high": math.nan, "p": 1.0, "n": n}
