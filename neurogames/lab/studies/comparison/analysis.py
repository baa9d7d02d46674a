"""What a comparison says: gradient dropout against its controls, and simulation against training.

All questions are put to stored results. The *area* of a robustness curve is the mean distance from its clean
value over the noise levels: the smaller, the flatter. A flat curve is no merit by itself, since a constant
predictor has the flattest; hence each difference is taken three ways: against plain backpropagation, against the
two equal-work controls at the same keep probability, and at equal clean error along the controls' own paths.

The unit of a difference is the repetition (dataset, seed), that of a correlation the setting (dataset, keep).
Repetitions split the rows of the same tables anew, so their intervals speak of these tables, not of others.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.inference.association import claimed_sign, correlate, verdict
from neurogames.lab.inference.statistics import Interval, paired_difference
from neurogames.lab.studies.comparison.settings import TRAININGS

MAIN_METRIC = {"regression": "mse", "classification": "accuracy"}
OPPONENTS = ("plain backpropagation", "fewer epochs", "smaller steps", "equal clean error")


def settings_table(results: xr.Dataset) -> pd.DataFrame:
    """Return one row per dataset, target noise, way of training and keep probability: medians over seeds.

    Args:
        results: a comparison's results.

    Returns:
        Columns: the clean value of each metric, area and slope of the main metric, the composition at the end
        of training, optimizer steps, and how many repetitions diverged.
    """
    main = MAIN_METRIC[results.attrs["task"]]
    medians = results[["curve", "area", "slope", "composition"]].median("seed")
    clean = medians["curve"].isel(level=0)
    columns = {f"clean {metric}": clean.sel(metric=metric) for metric in results["metric"].values}
    columns["area"] = medians["area"].sel(metric=main)
    columns["slope"] = medians["slope"].sel(metric=main)
    columns["composition"] = medians["composition"].isel(share=-1)
    columns["steps"] = results["steps"].max("seed")
    columns["diverged"] = results["diverged"].sum("seed")
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


def against_controls(results: xr.Dataset, *, rng: np.random.Generator) -> pd.DataFrame:
    """Return how much flatter gradient dropout is than each opponent, with an interval over repetitions.

    The difference of areas (gradient dropout minus opponent), in units of the area of plain backpropagation on the
    same dataset, is averaged over the keep probabilities below 1, then over repetitions; negative means that gradient
    dropout has the flatter curve. At equal clean error the opponent is the point of a control's path with the same
    clean value, see :func:`area_at_equal_clean_value`.

    Args:
        results: a comparison's results.
        rng: numpy generator for the bootstrap.

    Returns:
        One row per target noise and opponent: ``difference``, ``low``, ``high``, ``p``, ``n`` repetitions,
        ``matched`` (the share of comparisons for which an opponent exists) and ``says``, a sentence.
    """
    main = MAIN_METRIC[results.attrs["task"]]
    area = results["area"].sel(metric=main)
    masked = area.sel(training="dropout").isel(keep_prob=slice(None, -1))
    opponents = {
        "plain backpropagation": area.sel(training="dropout").isel(keep_prob=-1),
        "fewer epochs": area.sel(training="fewer epochs").isel(keep_prob=slice(None, -1)),
        "smaller steps": area.sel(training="smaller steps").isel(keep_prob=slice(None, -1)),
        "equal clean error": equal_clean_error(results),
    }
    rows = []
    for noise, (name, opponent) in product(results["target_noise"].values, opponents.items()):
        ours, theirs = xr.broadcast(masked.sel(target_noise=noise), opponent.sel(target_noise=noise))
        gaps = (ours - theirs) / plain_area(results).sel(target_noise=noise)
        repetitions = gaps.mean("keep_prob", skipna=True).stack(run=("dataset", "seed")).dropna("run").values
        difference = _mean_gap(repetitions, rng)
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
                "says": _difference_sentence(name, difference.low, difference.high),
            }
        )
    return pd.DataFrame(rows)


def plain_area(results: xr.Dataset) -> xr.DataArray:
    """Return the area of plain backpropagation, the unit in which datasets can be compared.

    Args:
        results: a comparison's results.

    Returns:
        Mean over seeds of the area at keep 1, over dataset and target noise; NaN where a curve is perfectly flat.
    """
    area = results["area"].sel(metric=MAIN_METRIC[results.attrs["task"]], training="dropout", drop=True)
    plain = area.isel(keep_prob=-1, drop=True).mean("seed")
    return plain.where(plain > 0)


def equal_clean_error(results: xr.Dataset) -> xr.DataArray:
    """Return the controls' area at the clean value of each gradient-dropout network, mean of the two controls.

    Args:
        results: a comparison's results.

    Returns:
        Dimensions dataset, seed, target_noise and keep_prob (below 1); NaN where neither control's path passes
        through that clean value.
    """
    main = MAIN_METRIC[results.attrs["task"]]
    area = results["area"].sel(metric=main)
    clean = results["curve"].sel(metric=main).isel(level=0)
    masked = clean.sel(training="dropout")
    matches = [
        xr.apply_ufunc(
            area_at_equal_clean_value,
            masked.rename(keep_prob="wanted"),
            clean.sel(training=control),
            area.sel(training=control),
            input_core_dims=[["wanted"], ["keep_prob"], ["keep_prob"]],
            output_core_dims=[["wanted"]],
            vectorize=True,
        )
        for control in TRAININGS[1:]
    ]
    both = xr.concat(matches, dim="control", coords="minimal", compat="override").mean("control", skipna=True)
    return both.rename(wanted="keep_prob").isel(keep_prob=slice(None, -1))


def area_at_equal_clean_value(wanted: np.ndarray, clean: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Return the area where a control's path has each wanted clean value.

    The path joins the control's points (clean, area) in the order of keep by straight lines. Where it passes through
    the wanted value more than once, the passage nearest to the same place in the grid counts.

    Args:
        wanted: (keeps,) clean values of gradient dropout on the grid.
        clean: (keeps,) clean values of the control on the same grid.
        area: (keeps,) areas of the control.

    Returns:
        (keeps,) areas, NaN where the path does not pass through the wanted value.

    >>> area_at_equal_clean_value(np.array([3.0, 9.0]), np.array([4.0, 2.0]), np.array([1.0, 5.0]))
    array([ 3., nan])
    """
    before, after = clean[:-1], clean[1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = (wanted[:, None] - before) / (after - before)
    here, start = np.arange(len(wanted))[:, None], np.arange(len(before))
    # A stretch of one clean value passes through it everywhere.
    level = (wanted[:, None] == before) & (before == after)
    part = np.where(level, np.clip(here - start, 0.0, 1.0), part)
    passes = (part >= 0.0) & (part <= 1.0)
    distance = np.where(passes, np.abs(start + part - here), np.inf)
    nearest = distance.argmin(axis=1)
    rows = np.arange(len(wanted))
    found = area[nearest] + part[rows, nearest] * (area[nearest + 1] - area[nearest])
    return np.where(np.isfinite(distance[rows, nearest]), found, np.nan)


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
        ``claim`` (positive, negative or none) and ``says``, a sentence.
    """
    main = MAIN_METRIC[results.attrs["task"]]
    medians = results.median("seed")
    measured = {
        "robustness": -medians["area"].sel(metric=main) / plain_area(results),
        "measured composition": medians["composition"].isel(share=-1),
    }
    rows = []
    grid = product(results["target_noise"].values, results["mask"].values, measured.items(), TRAININGS)
    for noise, mask, (name, values), training in grid:
        simulated = results["exact"].sel(mask=mask).isel(sweep=-1)
        chosen = values.sel(target_noise=noise, training=training)
        chosen = (chosen - chosen.median("keep_prob")).transpose("dataset", "keep_prob").values
        predicted = np.broadcast_to(simulated.values, chosen.shape)
        found = correlate(
            predicted.ravel(),
            chosen.ravel(),
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
                "claim": claimed_sign(found),
                "says": verdict(found),
            }
        )
    return pd.DataFrame(rows)


def verdicts(controls: pd.DataFrame, correlated: pd.DataFrame) -> list[str]:
    """Return the sentences that open the report, each no more confident than the interval behind it.

    Args:
        controls: the table of :func:`against_controls`.
        correlated: the table of :func:`correlations`.

    Returns:
        One sentence or two per question, for the first target noise.
    """
    noise = controls["target noise"].iloc[0]
    one = controls[controls["target noise"] == noise].set_index("opponent")
    sentences = [f"{one.loc[name, 'says']} ({_numbers(one.loc[name])})." for name in OPPONENTS]
    if one.loc["plain backpropagation", "high"] < 0:
        sentences.insert(0, _less_work_sentence(one))
    for measured in correlated["measured"].unique():
        ours = correlated[(correlated["target noise"] == noise) & (correlated["measured"] == measured)]
        for mask in ours["simulated"].unique():
            rows = ours[ours["simulated"] == mask].set_index("training")
            sentence = rows.loc["dropout", "says"]
            claim = rows.loc["dropout", "claim"]
            same = [name for name in TRAININGS[1:] if rows.loc[name, "claim"] == claim]
            if claim != "none" and same:
                sentence += f" The same is found for {' and '.join(same)}, which the game does not model."
            sentences.append(sentence)
    return sentences


def _mean_gap(gaps: np.ndarray, rng: np.random.Generator) -> Interval:
    """Mean gap over repetitions, of which there may be none: all curves flat, or no control at that clean error."""
    if not len(gaps):
        return Interval(np.nan, np.nan, np.nan, 0, 0.95, "none", reason="no repetition can be compared")
    return paired_difference(gaps, np.zeros_like(gaps), rng=rng)


def _less_work_sentence(one: pd.DataFrame) -> str:
    """What the controls leave of a flatter curve."""
    flatter_still = [name for name in OPPONENTS[1:] if one.loc[name, "low"] > 0]
    undecided = [name for name in OPPONENTS[1:] if not one.loc[name, "low"] > 0 and not one.loc[name, "high"] < 0]
    if flatter_still:
        return f"Gradient dropout flattens the curve, but less than its controls do ({', '.join(flatter_still)})."
    if undecided:
        return f"Gradient dropout flattens the curve, but not beyond what its controls do ({', '.join(undecided)})."
    return "Gradient dropout flattens the curve beyond each of its controls."


def _difference_sentence(opponent: str, low: float, high: float) -> str:
    against = {
        "plain backpropagation": "plain backpropagation at equal settings",
        "fewer epochs": "plain training for epochs × keep",
        "smaller steps": "plain training with learning rate × keep",
        "equal clean error": "the controls at equal clean error",
    }[opponent]
    if not np.isfinite([low, high]).all():
        return f"Nothing can be said from these runs about the flatness of gradient dropout and {against}"
    if high < 0:
        return f"Gradient dropout has flatter curves than {against}"
    if low > 0:
        return f"Gradient dropout has steeper curves than {against}"
    return f"No difference in flatness can be claimed between gradient dropout and {against}"


def _numbers(row: pd.Series) -> str:
    difference, low, high = (100 * row[name] for name in ("difference", "low", "high"))
    count = "1 repetition" if row["n"] == 1 else f"{int(row['n'])} repetitions"
    if row["matched"] < 1.0:
        count += f", an opponent for {100 * row['matched']:.0f} % of the networks"
    if not np.isfinite(low):
        return count
    return (
        f"difference of areas {difference:+.1f} % of plain backpropagation's, interval {low:+.1f} to {high:+.1f} %, "
        f"{count}"
    )
