"""What the study of layers says: tables of differences paired by repetition, with 95 % t intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.inference.statistics import Interval, mean_difference, paired_difference
from neurogames.lab.studies.layers.course import COURSE
from neurogames.lab.studies.layers.settings import ALL_LAYERS, LAYERS, NO_FREEZING

POINTS = 100.0
GAIN, CHECK_GAIN, CHECKED = "gain", "check gain", "tried on check rows"
STOPPED = "all, early stopping"
CONTROLS = ("relative gradient", "last", "first", "random", ALL_LAYERS, STOPPED)
"""Against which the registered claim about fine-tuning is held."""
CURVATURE, EIGENVALUES, CONSTANT = "curvature along the gradient", "largest eigenvalues", "ratio 1"
_CHOSEN_BY = {GAIN: "tuning_gain", CHECK_GAIN: "tuning_held_out_gain", "relative gradient": "relative_gradient"}


def policy_accuracies(results: xr.Dataset) -> xr.DataArray:
    """Accuracy on shifted test rows by (policy, seed, network, shift)."""
    tuned = results["tuned_accuracy"]
    single = tuned.isel(choice=slice(0, LAYERS))
    found = {name: single.isel(choice=results[by].argmax("layer")) for name, by in _CHOSEN_BY.items()}
    found |= {
        "last": single.isel(choice=LAYERS - 1),
        "first": single.isel(choice=0),
        "random": single.mean("choice"),
        ALL_LAYERS: tuned.sel(choice=ALL_LAYERS),
        STOPPED: results["stopped_accuracy"].sel(choice=ALL_LAYERS),
        CHECKED: single.isel(choice=results["check_loss"].isel(choice=slice(0, LAYERS)).argmin("choice")),
        "none": results["untuned_accuracy"],
    }
    parts = [part.drop_vars("choice", errors="ignore") for part in found.values()]
    joined = xr.concat(parts, pd.Index(list(found), name="policy"), coords="minimal", compat="override")
    return joined.transpose("policy", "seed", "network", "shift")


def tuning_table(results: xr.Dataset, *, rng: np.random.Generator) -> pd.DataFrame:
    """Mean accuracy of each policy, and the differences of the two policies in question to it."""
    means = policy_accuracies(results).mean(["network", "shift"]) * POINTS
    rows = []
    for policy in means["policy"].values:
        row = {"policy": policy, "accuracy": float(means.sel(policy=policy).mean())}
        for question in (GAIN, CHECK_GAIN):
            between = paired_difference(means.sel(policy=question), means.sel(policy=policy), rng=rng)
            row |= _named(between, question.replace(" ", "_"))
        rows.append(row)
    return pd.DataFrame(rows)


def without_one_shift(results: xr.Dataset, control: str) -> tuple[float, str]:
    """The smallest difference of "gain" to a control when one shift is left out, in points, and that shift."""
    accuracy = policy_accuracies(results)
    difference = POINTS * (accuracy.sel(policy=GAIN) - accuracy.sel(policy=control)).mean(["seed", "network"])
    rest = (difference.sum("shift") - difference) / (difference.sizes["shift"] - 1)
    place = int(rest.values.argmin())
    return float(rest[place]), str(rest["shift"].values[place])


def shift_table(results: xr.Dataset) -> pd.DataFrame:
    """Accuracy of each policy by network and shift, and which layers had the largest gain."""
    accuracy = POINTS * policy_accuracies(results).mean("seed")
    chosen = results["tuning_gain"].argmax("layer")
    rows = []
    for network in results["network"].values:
        for shift in results["shift"].values:
            at = {"network": network, "shift": shift}
            counts = np.bincount(chosen.sel(at).values, minlength=LAYERS)
            values = {
                str(policy): float(accuracy.sel({**at, "policy": policy})) for policy in accuracy["policy"].values
            }
            rows.append({**at, **values, "chosen": ", ".join(map(str, counts))})
    return pd.DataFrame(rows)


def freezing_table(results: xr.Dataset) -> pd.DataFrame:
    """Accuracy and seconds of each rule beside those without freezing."""
    accuracy = POINTS * results["freezing_accuracy"].mean("network")
    seconds = log_of(results["freezing_seconds"]).mean("network")
    rows = []
    for rule in results["rule"].values:
        worse = mean_difference(accuracy.sel(rule=rule) - accuracy.sel(rule=NO_FREEZING))
        slower = mean_difference(seconds.sel(rule=rule) - seconds.sel(rule=NO_FREEZING))
        one = results.sel(rule=rule)
        rows.append(
            {
                "rule": rule,
                "accuracy": float(accuracy.sel(rule=rule).mean()),
                **_named(worse, "points"),
                "seconds": float(np.exp(slower.estimate)),
                "seconds_low": float(np.exp(slower.low)),
                "seconds_high": float(np.exp(slower.high)),
                "rule_share": float((one["rule_seconds"] / one["freezing_seconds"]).mean()),
                "frozen": float((one["frozen_at"] < 1).mean()),
            }
        )
    return pd.DataFrame(rows)


def step_ratios(results: xr.Dataset) -> xr.DataArray:
    """Largest step in turn by largest step together, (seed, network, point, sweeps)."""
    return results["largest_in_turn"] / results["largest_together"]


def step_table(results: xr.Dataset, *, rng: np.random.Generator) -> pd.DataFrame:
    """Errors of the logarithm of predicted ratios of step sizes."""
    known = results["predicted_ratio"].notnull() & results["eigenvalue_ratio"].notnull()
    rows = []
    for sweeps in results["sweeps"].values:
        truth = log_of(step_ratios(results).sel(sweeps=sweeps))
        said = {
            CURVATURE: log_of(results["predicted_ratio"]),
            EIGENVALUES: log_of(results["eigenvalue_ratio"]),
            CONSTANT: xr.zeros_like(truth),
        }
        errors = {name: abs(value - truth).where(known).mean(["network", "point"]) for name, value in said.items()}
        for name, error in errors.items():
            between = paired_difference(errors[CURVATURE], error, rng=rng)
            rank = _rank_correlation(said[name].where(known), truth.where(known))
            rows.append(
                {
                    "sweeps": int(sweeps),
                    "prediction": name,
                    "error": float(error.mean()),
                    **_named(between, "difference"),
                    "rank_correlation": rank,
                    "points": int(known.sum()),
                }
            )
    return pd.DataFrame(rows)


def point_table(results: xr.Dataset) -> pd.DataFrame:
    """Medians over repetitions of measured and predicted ratios, by checkpoint."""
    ratios = step_ratios(results).median("seed")
    rows = []
    for network in results["network"].values:
        for point in results["point"].values:
            at = {"network": network, "point": point}
            medians = {
                name: float(results[name].sel(at).median("seed")) for name in ("predicted_ratio", "eigenvalue_ratio")
            }
            measured = {
                f"measured_{sweeps}": float(ratios.sel({**at, "sweeps": sweeps})) for sweeps in ratios["sweeps"].values
            }
            share = results["largest_together"].sel(at) / results["predicted_together"].sel(at)
            rows.append({**at, **medians, **measured, "together_by_predicted": float(share[:, 0].median())})
    return pd.DataFrame(rows)


def course_table(results: xr.Dataset) -> pd.DataFrame:
    """Medians over repetitions of all that is followed."""
    medians = {name: results[f"course_{name}"].median("seed") for name in COURSE}
    rows = [
        {"way": way, "epoch": int(epoch)}
        | {name: float(value.sel(way=way, checkpoint=epoch)) for name, value in medians.items()}
        for way in results["way"].values
        for epoch in results["checkpoint"].values
    ]
    return pd.DataFrame(rows)


def defence_table(results: xr.Dataset, *, rng: np.random.Generator) -> pd.DataFrame:
    """Worst and mean accuracy on fresh perturbations of each policy, and the mixture's differences."""
    accuracy = POINTS * results["fresh_accuracy"]
    worst, mean = accuracy.min("fresh"), accuracy.mean("fresh")
    rows = []
    for policy in results["policy"].values:
        row = {"policy": policy, "worst": float(worst.sel(policy=policy).mean())}
        row |= _named(paired_difference(worst.isel(policy=0), worst.sel(policy=policy), rng=rng), "worst_difference")
        row |= {"mean": float(mean.sel(policy=policy).mean())}
        row |= _named(paired_difference(mean.isel(policy=0), mean.sel(policy=policy), rng=rng), "mean_difference")
        rows.append(row)
    return pd.DataFrame(rows)


def log_of(values: xr.DataArray) -> xr.DataArray:
    """Natural logarithm; NaN where there is none."""
    found: xr.DataArray = xr.apply_ufunc(np.log, values)
    return found


def _rank_correlation(one: xr.DataArray, other: xr.DataArray) -> float:
    pairs = pd.DataFrame({"one": one.values.ravel(), "other": other.values.ravel()}).dropna()
    constant = pairs.nunique().min() < 2
    return float("nan") if constant else float(pairs["one"].corr(pairs["other"], method="spearman"))


def _named(interval: Interval, name: str) -> dict[str, float]:
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
