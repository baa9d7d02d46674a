"""How far a correlation of simulation with measurement is a choice of the game's parameters.

Cost, yield, temperature and number of players of the public goods game are not published, nor who revises and what a
masked player does. Each parameter is varied alone, for each of the four ways to play; what changes sign under that
supports no claim. The game knows nothing of a dataset but the keep probability, so that settings of several datasets
share their predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from neurogames.engine import Process, logit, population_chain
from neurogames.games import PublicGoodsGame
from neurogames.lab.inference.resampling import correlation
from neurogames.lab.studies.comparison.equal_error import MAIN_METRIC, plain_area
from neurogames.lab.studies.comparison.settings import DROPOUT, ComparisonSettings
from neurogames.lab.studies.comparison.simulation import MASKS, Mask

PLAYS = {**MASKS, "blind, all at once": Mask("all", "blind")}
VARIATIONS: dict[str, tuple[str, float]] = {
    "as set": ("cost", 1.0),
    "c × 0.75": ("cost", 0.75),
    "c × 1.25": ("cost", 1.25),
    "kappa × 0.8": ("multiplier", 0.8),
    "kappa × 1.25": ("multiplier", 1.25),
    "temperature × 0.5": ("temperature", 0.5),
    "temperature × 2": ("temperature", 2.0),
    "N × 0.5": ("n_players", 0.5),
    "N × 2": ("n_players", 2.0),
}
DECIMALS = 9
"""Shares that agree to so many decimals are one prediction: what is below is rounding."""


def vary_game(settings: ComparisonSettings) -> xr.Dataset:
    """Return the exact share of composers at the end, for every way to play and one parameter varied at a time.

    Args:
        settings: those of the comparison.

    Returns:
        ``varied`` over play, variation and keep_prob.
    """
    shares = np.empty((len(PLAYS), len(VARIATIONS), len(settings.keep_probs)))
    for row, play in enumerate(PLAYS.values()):
        for column, (name, factor) in enumerate(VARIATIONS.values()):
            values: dict[str, Any] = {name: getattr(settings, name) * factor}
            players = max(2, round(values.get("n_players", settings.n_players)))
            game = PublicGoodsGame(
                players, values.get("cost", settings.cost), values.get("multiplier", settings.multiplier)
            )
            choice = logit(values.get("temperature", settings.temperature))
            for place, keep in enumerate(settings.keep_probs):
                process = Process(choice, revision=play.revision, keep_prob=keep, masked=play.masked)
                chain = population_chain(game, process)
                shares[row, column, place] = chain.transient(0, [settings.sweeps]).mean_share()[0]
    return xr.Dataset(
        {"varied": (("play", "variation", "keep_prob"), shares)},
        coords={"play": list(PLAYS), "variation": list(VARIATIONS), "keep_prob": list(settings.keep_probs)},
    )


def sensitivity_table(results: xr.Dataset) -> pd.DataFrame:
    """Correlate every variation of the game with the keep probability and with what was measured.

    Args:
        results: a comparison's results.

    Returns:
        One row per quantity and way to play, for the first target noise: Spearman's correlation over settings
        (dataset, keep probability) under each variation, ``both_signs`` (whether some are above 0 and others below),
        ``settings`` and ``distinct``, how many settings there are and how many different predictions they hold.
    """
    rows = []
    for name, values in measured_quantities(results).items():
        flat = values.transpose("dataset", "keep_prob").values.ravel()
        for play in results["play"].values:
            varied = results["varied"].sel(play=play).round(DECIMALS)
            found = {
                str(variation): rank_correlation(
                    np.tile(varied.sel(variation=variation), values.sizes["dataset"]), flat
                )
                for variation in results["variation"].values
            }
            rows.append(
                {
                    "with": name,
                    "simulated": play,
                    **found,
                    "both_signs": both_signs(found),
                    "settings": int(np.isfinite(flat).sum()),
                    "distinct": len(np.unique(varied.isel(variation=0))),
                }
            )
    return pd.DataFrame(rows)


def measured_quantities(results: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return keep probability, robustness and composition of gradient dropout by (dataset, keep probability)."""
    medians = results[["area", "composition"]].sel(training=DROPOUT).isel(target_noise=0).median("seed")
    area = medians["area"].sel(metric=MAIN_METRIC[results.attrs["task"]])
    robustness = -area / plain_area(results).isel(target_noise=0)
    composition = medians["composition"].isel(share=-1)
    return {
        "keep probability": xr.zeros_like(composition) + results["keep_prob"],
        "robustness": robustness - robustness.median("keep_prob"),
        "measured composition": composition - composition.median("keep_prob"),
    }


def both_signs(correlations: Mapping[str, float]) -> bool:
    """Return whether some correlations lie above 0 and others below.

    >>> both_signs({"as set": 0.2, "N × 2": -0.9}), both_signs({"as set": 0.2, "N × 2": 0.0})
    (True, False)
    """
    values = np.array(list(correlations.values()))
    return bool((values > 0).any() and (values < 0).any())


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return Spearman's correlation over pairs that are finite; NaN where a column has one value only.

    >>> rank_correlation(np.array([1.0, 2.0, np.nan, 3.0]), np.array([9.0, 7.0, 8.0, 1.0]))
    -1.0
    """
    usable = np.isfinite(first) & np.isfinite(second)
    if usable.sum() < 2:
        return float("nan")
    return float(correlation(first[usable], second[usable], ranked=True))


def sensitivity_sentence(table: pd.DataFrame) -> str:
    """Say how many settings hold how many predictions, and where the sign is a choice of parameters.

    Args:
        table: that of :func:`sensitivity_table`.
    """
    game = table[table["with"] == "keep probability"]
    names = ", ".join(game.loc[game["both_signs"], "simulated"].map("'{}'".format))
    chosen = f"the sign of {names} against keep is" if names else "no sign against keep is"
    return (
        f"The {int(game['settings'].iloc[0])} settings hold {int(game['distinct'].max())} distinct predictions, since "
        f"the game knows the keep probability only; {chosen} a choice of the game's parameters."
    )
