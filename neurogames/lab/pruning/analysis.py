"""What the pruning study says: tables, and sentences no surer than the seeds allow.

All questions are put to stored results. The unit of every difference is the repetition (seed): first weights, order
of the rows and whatever is drawn. Repetitions share the test rows, so an interval speaks of training anew, on these
data, and not of other data. With n seeds no sign-flip test can go below p = 2^(1-n); tables show it beside the t
interval, which is what sentences rest on.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.stats
import xarray as xr

from neurogames.lab.pruning.game import uniqueness_words
from neurogames.lab.pruning.measure import CONTROLS, METHODS
from neurogames.lab.statistics import Interval, paired_difference

PAPER_EPOCH = 20
"""The epoch at which the paper stops."""
PUBLISHED = {
    "Very High Beta": (0.9664, 768),
    "Extreme Beta": (0.9115, 37),
    "L1 Sparsity Strong": (0.8957, 13),
    "L1+L2 Combined": (0.9154, 15),
}
"""Accuracy and units kept of 768, on MNIST, as printed in arXiv 2512.22106, table 1 (percentages removed: 0, 95.18,
98.31 and 98.05)."""
SETTLED = 0.05
"""Greatest best-response residual that is called an equilibrium here."""
POINTS = 100.0
ALL_SIZES, COUNTING = "all", "share removed"
ALL_PROFILES, SMALL, LARGE = "all", "small removals", "large removals"


def published(results: xr.Dataset) -> dict[str, tuple[float, int]]:
    """Return the paper's points where the study is of the paper's network, else nothing."""
    settings = results.attrs["settings"]
    same = settings["data"] == "mnist" and settings["architecture"] == "mlp" and settings["hidden"] == [512, 256]
    return PUBLISHED if same else {}


def stopping_epoch(results: xr.Dataset) -> int:
    """Return the epoch at which the paper stops, or the last one if the runs are shorter."""
    return min(PAPER_EPOCH, int(results["paper_epoch"][-1]))


def method_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per number of seats and method, and one for the dense network.

    Args:
        results: a pruning study's results.

    Returns:
        Columns: ``seats``, ``method``, and over seeds the median ``accuracy`` (%) with ``least`` and ``greatest``,
        median ``units``, ``multiply_adds`` and ``test_loss``.
    """
    dense = results["dense_accuracy"].values * POINTS
    everybody = int(results["dense_units"].median())
    rows = [_method_row(everybody, "dense", dense, results["dense_units"], results["dense_multiply_adds"], np.nan)]
    for seats in results["seats"].values:
        for method in METHODS:
            one = results.sel({"seats": seats, "method": method})
            loss = float(one["test_loss"].median())
            accuracy = one["accuracy"].values * POINTS
            rows.append(_method_row(int(seats), method, accuracy, one["units"], one["multiply_adds"], loss))
    return pd.DataFrame(rows)


def _method_row(
    seats: int, method: str, accuracy: np.ndarray, units: xr.DataArray, work: xr.DataArray, loss: float
) -> dict[str, object]:
    return {
        "seats": seats,
        "method": method,
        "units": float(units.median()),
        "multiply_adds": float(work.median()),
        "accuracy": float(np.median(accuracy)),
        "least": float(accuracy.min()),
        "greatest": float(accuracy.max()),
        "test_loss": loss,
    }


def difference_table(results: xr.Dataset, *, rng: np.random.Generator) -> pd.DataFrame:
    """Return how much more accurate the equilibrium is than each opponent, paired by seed.

    Args:
        results: a pruning study's results.
        rng: numpy generator for the sign flips.

    Returns:
        One row per opponent (the controls of equal numbers of units, and the dense network) and number of seats, and
        one for the mean over these: ``difference`` in percentage points, its t interval ``low`` to ``high`` over ``n``
        seeds, the sign-flip ``p``, and ``claims``: "more", "less" or "none".
    """
    ours = results["accuracy"].sel({"method": "equilibrium"})
    rows = []
    for opponent in (*CONTROLS, "dense"):
        theirs = results["dense_accuracy"] if opponent == "dense" else results["accuracy"].sel({"method": opponent})
        gaps = (POINTS * (ours - theirs)).round(9).transpose("seed", "seats")
        compared = {f"{seats}": gaps.sel(seats=seats) for seats in results["seats"].values}
        for seats, one in {**compared, ALL_SIZES: gaps.mean("seats")}.items():
            found = paired_difference(one.values, np.zeros(len(one)), rng=rng)
            rows.append(
                {
                    "opponent": opponent,
                    "seats": seats,
                    "difference": found.estimate,
                    "low": found.low,
                    "high": found.high,
                    "p": found.p_value,
                    "n": found.n,
                    "claims": _claim(found),
                }
            )
    return pd.DataFrame(rows)


def _claim(interval: Interval) -> str:
    """What an interval allows to be claimed; the comparison is False where there is none."""
    if interval.low > 0:
        return "more"
    return "less" if interval.high < 0 else "none"


def equilibrium_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per number of seats: whether the corrected rule has ended in an equilibrium.

    Args:
        results: a pruning study's results.

    Returns:
        Columns: ``units`` kept and the ``price`` that cleared (medians), ``least_worth`` (over seeds and units, the
        exact worth of a unit over what it pays; nobody gains by leaving where it is 1 or more), ``nobody_leaves`` (in
        how many of ``n`` seeds), the greatest ``residual`` of the certificate and ``settled`` (in how many seeds it is
        at most 0.05).
    """
    rows = []
    for seats in results["seats"].values:
        one = results.sel(seats=seats)
        rows.append(
            {
                "seats": int(seats),
                "units": float(one["units"].sel({"method": "equilibrium"}).median()),
                "price": float(one["clearing_price"].median()),
                "least_worth": float(one["worth_over_fee"].min()),
                "nobody_leaves": int((one["worth_over_fee"] >= 1).sum()),
                "residual": float(one["residual"].max()),
                "settled": int((one["residual"] <= SETTLED).sum()),
                "n": one.sizes["seed"],
            }
        )
    return pd.DataFrame(rows)


def paper_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per configuration of the paper and epoch (where it stops, and the last).

    Args:
        results: a pruning study's results.

    Returns:
        Columns: medians over seeds of ``accuracy`` (%) with ``least`` and ``greatest``, ``units`` kept, ``residual``
        and ``unsettled`` (% of units that would still move by more than 0.01); ``published_accuracy`` and
        ``published_units`` at the stopping epoch, where the study is of the paper's network.
    """
    rows = []
    stop, last = stopping_epoch(results), int(results["paper_epoch"][-1])
    for configuration in results["configuration"].values:
        for epoch in dict.fromkeys((stop, last)):
            one = results.sel(configuration=configuration, paper_epoch=epoch)
            accuracy = one["paper_accuracy"].values * POINTS
            printed = published(results).get(str(configuration)) if epoch == stop else None
            rows.append(
                {
                    "configuration": str(configuration),
                    "epoch": epoch,
                    "accuracy": float(np.median(accuracy)),
                    "least": float(accuracy.min()),
                    "greatest": float(accuracy.max()),
                    "units": float(one["paper_units"].median()),
                    "residual": float(one["paper_residual"].median()),
                    "unsettled": float(one["paper_unsettled"].median()) * POINTS,
                    "published_accuracy": np.nan if printed is None else POINTS * printed[0],
                    "published_units": np.nan if printed is None else float(printed[1]),
                }
            )
    return pd.DataFrame(rows)


def game_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per seed: the game of the network trained plainly, at the price of its median unit.

    Args:
        results: a pruning study's results.

    Returns:
        Columns: seconds of extraction and solution, price, units taking part, residual, regret, whether uniqueness is
        proved and the smallest eigenvalue, price of anarchy and whether it is certain, how many units are dominated
        and the last round in which one was found to be.
    """
    rows = []
    for seed in results["seed"].values:
        one = results.sel(seed=seed)
        rounds = one["game_dominated"].values
        rows.append(
            {
                "seed": int(seed),
                "extraction_seconds": float(one["game_extraction_seconds"]),
                "solution_seconds": float(one["game_solution_seconds"]),
                "price": float(one["game_price"]),
                "units": rounds.size,
                "taking_part": int(one["game_participating"]),
                "residual": float(one["game_residual"]),
                "regret": float(one["game_regret"]),
                "unique": _uniqueness(one),
                "anarchy": float(one["game_anarchy"]),
                "certain": "yes" if int(one["game_anarchy_certain"]) else "no",
                "dominated": int((rounds > 0).sum()),
                "last_round": int(rounds.max()),
            }
        )
    return pd.DataFrame(rows)


def _uniqueness(one: xr.Dataset) -> str:
    """Whether the equilibrium of one seed is proved to be the only one."""
    numbers = (float(one[f"game_{name}"]) for name in ("smallest_eigenvalue", "eigenvalue_error"))
    return uniqueness_words(bool(one["game_unique"]), *numbers, status=str(one["game_eigenvalue_status"].values))


def rank_correlations(results: xr.Dataset) -> pd.DataFrame:
    """Return Spearman's correlation of each prediction with the real rise of the loss, over random profiles.

    "share removed" predicts by the number of removed units alone: what correlates no better than it knows nothing of
    who is removed. Small and large removals are the lower and the upper half of the profiles.

    Args:
        results: a pruning study's results.

    Returns:
        One row per prediction, range of profiles and seed: ``spearman`` on the rows of the game, ``on_test_rows``, and
        the median of ``predicted_over_real``. NaN where one side is constant.
    """
    count = results.sizes["profile"]
    ranges = {ALL_PROFILES: slice(None), SMALL: slice(0, count // 2), LARGE: slice(count // 2, None)}
    rows = []
    for seed in results["seed"].values:
        one = results.sel(seed=seed)
        real, test = one["game_real"].values, one["game_test"].values
        guesses = {str(name): one["game_predicted"].sel(prediction=name).values for name in one["prediction"].values}
        for name, guess in {**guesses, COUNTING: one["game_removed_share"].values}.items():
            for label, part in ranges.items():
                rows.append(
                    {
                        "prediction": name,
                        "profiles": label,
                        "seed": int(seed),
                        "spearman": _spearman(guess[part], real[part]),
                        "on_test_rows": _spearman(guess[part], test[part]),
                        "predicted_over_real": np.nan if name == COUNTING else _ratio(guess[part], real[part]),
                    }
                )
    return pd.DataFrame(rows)


def prediction_table(results: xr.Dataset) -> pd.DataFrame:
    """Return :func:`rank_correlations`, brought to medians over seeds.

    Args:
        results: a pruning study's results.

    Returns:
        One row per prediction and range of profiles: ``spearman`` with ``least`` and ``greatest``, ``on_test_rows``
        and ``predicted_over_real``.
    """
    grouped = rank_correlations(results).groupby(["prediction", "profiles"], sort=False)
    table = grouped.agg(
        spearman=("spearman", "median"),
        least=("spearman", "min"),
        greatest=("spearman", "max"),
        on_test_rows=("on_test_rows", "median"),
        predicted_over_real=("predicted_over_real", "median"),
    )
    return table.reset_index()


def _spearman(x: np.ndarray, y: np.ndarray) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(scipy.stats.spearmanr(x, y).statistic)


def _ratio(guess: np.ndarray, real: np.ndarray) -> float:
    """Median of guess over real, where the real rise is not 0."""
    moved = real != 0
    return float(np.median(guess[moved] / real[moved])) if moved.any() else float("nan")
