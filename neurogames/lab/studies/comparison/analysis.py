"""What a comparison says: gradient dropout against its controls, and simulation against training.

All questions are put to stored results. The *area* of a robustness curve is the mean distance from its clean
value over the noise levels: the smaller, the flatter. A flat curve is no merit by itself, since a constant
predictor has the flattest; hence each difference is taken four ways: against plain backpropagation, against the law
that was predicted, against the two equal-work controls at the same keep probability, and at equal clean error along
the controls' own paths.

The unit of a difference is the repetition (dataset, seed), that of a correlation the setting (dataset, keep).
Repetitions split the rows of the same tables anew, so their intervals speak of these tables, not of others.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.inference.association import claimed_sign, correlate, verdict
from neurogames.lab.studies.comparison.differences import mean_difference, with_law
from neurogames.lab.studies.comparison.equal_error import MAIN_METRIC, equal_clean_error, plain_area
from neurogames.lab.studies.comparison.sensitivity import DECIMALS, rank_correlation
from neurogames.lab.studies.comparison.settings import DROPOUT, LAW, REDUCED_EPOCHS, REDUCED_RATE, TRAININGS
from neurogames.lab.studies.comparison.verdicts import EQUAL_ERROR, PLAIN, difference_sentence


def settings_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per dataset, target noise, way of training and keep probability: medians over seeds.

    Args:
        results: a comparison's results.

    Returns:
        Columns: the clean value of each metric, area and slope of the main metric, the composition at the end
        of training, optimizer steps, and how many repetitions diverged.
    """
    main = MAIN_METRIC[results.attrs["task"]]
    trained = with_law(results)
    medians = trained[["curve", "area", "slope", "composition"]].median("seed")
    clean = medians["curve"].isel(level=0)
    columns = {f"clean {metric}": clean.sel(metric=metric) for metric in results["metric"].values}
    columns["area"] = medians["area"].sel(metric=main)
    columns["slope"] = medians["slope"].sel(metric=main)
    columns["composition"] = medians["composition"].isel(share=-1)
    columns["steps"] = trained["steps"].max("seed")
    columns["diverged"] = trained["diverged"].sum("seed")
    table = xr.Dataset(
        {name: column.drop_vars(["metric", "level", "share"], errors="ignore") for name, column in columns.items()}
    )
    order = ["dataset", "target_noise", "training", "keep_prob"]
    return table.to_dataframe(dim_order=order).reset_index()


def baseline_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per dataset and baseline: medians over seeds of the clean metrics and of the area."""
    main = MAIN_METRIC[results.attrs["task"]]
    clean = results["baseline_curve"].isel(level=0).median("seed")
    area = results["baseline_area"].sel(metric=main).median("seed")
    columns = {f"clean {metric}": clean.sel(metric=metric, drop=True) for metric in results["metric"].values}
    columns = {name: column.drop_vars("level") for name, column in columns.items()}
    table = xr.Dataset({**columns, "area": area.drop_vars("metric")})
    return table.to_dataframe(dim_order=["dataset", "baseline"]).reset_index()


def against_controls(results: xr.Dataset) -> pd.DataFrame:
    """Return how much flatter gradient dropout is than each opponent, with an interval over repetitions.

    The difference of areas (gradient dropout minus opponent), in units of the area of plain backpropagation on the
    same dataset, is averaged over the keep probabilities below 1, then over repetitions; negative means that gradient
    dropout has the flatter curve. At equal clean error the opponent is the point of a control's path with the same
    clean value, see :func:`.equal_error.area_at_equal_clean_value`.

    Args:
        results: a comparison's results.

    Returns:
        One row per target noise and opponent: ``difference``, ``low`` and ``high`` (95 %, t), ``p`` (t test), ``n``
        repetitions,
        ``matched`` (the share of comparisons for which an opponent exists) and ``says``, a sentence.
    """
    main = MAIN_METRIC[results.attrs["task"]]
    area = with_law(results)["area"].sel(metric=main)
    below_one = area.isel(keep_prob=slice(None, -1))
    masked = below_one.sel(training=DROPOUT)
    opponents = {
        PLAIN: area.sel(training=DROPOUT).isel(keep_prob=-1),
        **{name: below_one.sel(training=name) for name in (LAW, REDUCED_EPOCHS, REDUCED_RATE)},
        EQUAL_ERROR: equal_clean_error(results),
    }
    rows = []
    for noise, (name, opponent) in product(results["target_noise"].values, opponents.items()):
        ours, theirs = xr.broadcast(masked.sel(target_noise=noise), opponent.sel(target_noise=noise))
        gaps = (ours - theirs) / plain_area(results).sel(target_noise=noise)
        repetitions = gaps.mean("keep_prob", skipna=True).stack(run=("dataset", "seed")).dropna("run").values
        difference = mean_difference(repetitions)
        rows.append(
            {
                "target noise": noise,
                "opponent": name,
                "difference": difference.estimate,
                "low": difference.low,
                "high": difference.high,
                "p": difference.p_value,
                "n": difference.n,
                "matched": float(gaps.notnull().mean()),
                "says": difference_sentence(name, difference.low, difference.high),
            }
        )
    return pd.DataFrame(rows)


def correlations(results: xr.Dataset, *, rng: np.random.Generator) -> pd.DataFrame:
    """Return correlations of simulated composition with robustness and with measured composition.

    The unit is the setting (dataset, keep): runs are first brought to their median over seeds, and centred within
    each dataset, whose own level is none of the game's business. Robustness is minus the area of the main metric, in
    units of the area of plain backpropagation.
    The controls are held against the same simulation: what correlates as well for them is not evidence for the game.

    Args:
        results: a comparison's results.
        rng: numpy generator for bootstrap and permutations.

    Returns:
        One row per target noise, meaning of a mask, measured quantity and way of training: ``spearman``, its interval
        ``low`` to ``high``, ``spearman_p``, ``pearson``, ``pearson_low``, ``pearson_high``, ``pearson_p``, ``n``,
        ``distinct`` (different predictions among the n), ``least`` and ``greatest`` (Spearman's over the variations of
        the game's parameters, see :mod:`.sensitivity`),
        ``claim`` (positive, negative or none) and ``says``, a sentence.
    """
    main = MAIN_METRIC[results.attrs["task"]]
    medians = with_law(results)[["area", "composition"]].median("seed")
    measured = {
        "robustness": -medians["area"].sel(metric=main) / plain_area(results),
        "measured composition": medians["composition"].isel(share=-1),
    }
    varied = results["varied"].transpose("play", "variation", "keep_prob").round(DECIMALS)
    rows = []
    cases = list(product(results["target_noise"].values, results["mask"].values, measured.items()))
    # The law comes last, so that the draws behind the other intervals do not depend on it.
    grid = [(*case, training) for ways in (TRAININGS, (LAW,)) for case in cases for training in ways]
    for noise, mask, (name, values), training in grid:
        simulated = results["exact"].sel(mask=mask).isel(sweep=-1)
        chosen = values.sel(target_noise=noise, training=training)
        centred = (chosen - chosen.median("keep_prob")).transpose("dataset", "keep_prob").values
        predicted = np.broadcast_to(simulated.values, centred.shape)
        variations = np.tile(varied.sel(play=mask), len(centred))
        spread = [rank_correlation(one, centred.ravel()) for one in variations]
        found = correlate(
            predicted.ravel(),
            centred.ravel(),
            rng=rng,
            label_x=f"simulated composition ({mask})",
            label_y=f"{name} ({training})",
        )
        rows.append(
            {
                "target noise": noise,
                "simulated": mask,
                "measured": name,
                "training": training,
                "spearman": found.spearman,
                "low": found.spearman_interval[0],
                "high": found.spearman_interval[1],
                "spearman_p": found.spearman_p,
                "pearson": found.pearson,
                "pearson_low": found.pearson_interval[0],
                "pearson_high": found.pearson_interval[1],
                "pearson_p": found.pearson_p,
                "n": found.n,
                "distinct": len(np.unique(predicted.round(DECIMALS))),
                "least": np.nanmin(spread) if np.isfinite(spread).any() else np.nan,
                "greatest": np.nanmax(spread) if np.isfinite(spread).any() else np.nan,
                "claim": claimed_sign(found),
                "says": verdict(found),
            }
        )
    return pd.DataFrame(rows)
