"""What the study says of the game of the plainly trained network: whether it is solved, and what it predicts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.stats
import xarray as xr

from neurogames.lab.inference.statistics import Interval, paired_difference
from neurogames.lab.studies.pruning.game import uniqueness_words
from neurogames.lab.studies.tables import Row, records

COUNTING = "share removed"
ALL_PROFILES, SMALL, LARGE = "all", "small removals", "large removals"


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
    return uniqueness_words(
        bool(one["game_unique"]),
        float(one["game_smallest_eigenvalue"]),
        float(one["game_eigenvalue_error"]),
        str(one["game_eigenvalue_status"].values),
    )


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
        One row per prediction and range of profiles: ``spearman`` with ``minimum`` and ``maximum``, ``on_test_rows``
        and ``predicted_over_real``.
    """
    grouped = rank_correlations(results).groupby(["prediction", "profiles"], sort=False)
    table = grouped.agg(
        spearman=("spearman", "median"),
        minimum=("spearman", "min"),
        maximum=("spearman", "max"),
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


def game_sentence(results: xr.Dataset) -> str:
    """The equilibrium of the dense network's game."""
    seeds, units = results.sizes["seed"], results.sizes["unit"]
    middle = {
        name: float(results[f"game_{name}"].median())
        for name in ("extraction_seconds", "solution_seconds", "participating", "anarchy")
    }
    dominated = (results["game_dominated"] > 0).sum("unit")
    unique, residual = int(results["game_unique"].sum()), float(results["game_residual"].max())
    certain = int(results["game_anarchy_certain"].sum())
    at_least = "" if certain == seeds else ", for the equilibria found"
    return (
        f"The second-order game of the plainly trained network ({units} units, price of its median unit) is taken in "
        f"{middle['extraction_seconds']:.2g} s and solved in {middle['solution_seconds']:.2g} s, residual at most "
        f"{residual:.0e}. In its equilibrium {middle['participating']:g} units take part, and "
        f"{float(dominated.median()):g} are strictly dominated (last round {int(results['game_dominated'].max())}). It "
        f"is proved to be the only one in {unique} of {seeds} seeds; the price of anarchy is {middle['anarchy']:.2f}"
        f"{at_least}."
    )


def ranking_sentence(results: xr.Dataset, *, rng: np.random.Generator) -> str:
    """Whether the game ranks real losses, and better than counting the removed units or leaving out interactions."""
    table, parts = _by_range(results), []
    for label in (ALL_PROFILES, SMALL, LARGE):
        row = table["taylor", label]
        others = []
        for opponent, words in ((COUNTING, "the share removed alone"), ("no interaction", "without interactions")):
            gap = _spearman_gap(results, opponent, label, rng)
            others.append(f"{_versus(gap)} {words} ({table[opponent, label]['spearman']:.2f})")
        parts.append(
            f"over {label} {row['spearman']:.2f} ({row['minimum']:.2f} to {row['maximum']:.2f}), {', '.join(others)}"
        )
    middle = float(results["game_removed_share"].isel(profile=results.sizes["profile"] // 2 - 1).max())
    parts[1] = parts[1].replace(SMALL, f"{SMALL} (up to {middle:.0%} of the units)")
    parts[0] = parts[0].replace(f"over {ALL_PROFILES}", f"over all {results.sizes['profile']} random profiles")
    return f"Spearman of the game's predicted with the real rise of the loss: {'; '.join(parts)}."


def _spearman_gap(results: xr.Dataset, opponent: str, label: str, rng: np.random.Generator) -> Interval | None:
    """Difference over seeds of the game's and another prediction's correlation; None where one is not defined."""
    table = rank_correlations(results)
    table = table[table["profiles"] == label]
    ours, theirs = (table.loc[table["prediction"] == name, "spearman"].to_numpy() for name in ("taylor", opponent))
    if np.isnan([*ours, *theirs]).any():
        return None
    return paired_difference(ours, theirs, rng=rng)


def _versus(gap: Interval | None) -> str:
    if gap is None:
        return "not comparable with"
    if gap.low > 0:
        return "better than"
    return "worse than" if gap.high < 0 else "not distinguishable from"


def size_sentence(results: xr.Dataset) -> str:
    """Whether the predicted rise has the right size."""
    ratio = {key: row["predicted_over_real"] for key, row in _by_range(results).items()}
    return (
        f"The game predicts {ratio['taylor', SMALL]:.2f} of the real rise for small removals and "
        f"{ratio['taylor', LARGE]:.2f} for large ones (medians); with exact values of single units "
        f"{ratio['ablation', SMALL]:.2f} and {ratio['ablation', LARGE]:.2f}, with gradients alone "
        f"{ratio['descent', SMALL]:.2f} and {ratio['descent', LARGE]:.2f}."
    )


def _by_range(results: xr.Dataset) -> dict[tuple[str, str], Row]:
    """The rows of the table of predictions by prediction and range of profiles."""
    return {(row["prediction"], row["profiles"]): row for row in records(prediction_table(results))}
