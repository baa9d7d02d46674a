"""What the numbers of an analysis say, in sentences, and the tables behind them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.lab.studies.analysis.measure import nash_gap_of

_SURE = 1.96


def player_table(results: xr.Dataset) -> pd.DataFrame:
    """One row for each player, the largest gain first."""
    found = nash_gap_of(results)
    table = pd.DataFrame(
        {
            "player": found.players,
            "gain": found.gain,
            "at_most": found.bound,
            "found_by": found.method,
            "gradient": found.gradient,
            "relative_gradient": found.relative_gradient,
            "smallest_curvature": found.smallest_curvature,
            "largest_curvature": found.largest_curvature,
        }
    )
    if found.held_out_gain is not None:
        table.insert(4, "held_out_gain", found.held_out_gain)
        table.insert(5, "held_out_stderr", found.held_out_stderr)
    return table.sort_values("gain", ascending=False, kind="stable", ignore_index=True)


def fee_table(results: xr.Dataset) -> pd.DataFrame:
    """Share of units that stay by fee: by exact removal where it was made, and as predicted."""
    columns = {"fee": results["fee"].values}
    if "staying" in results:
        columns["exact_removal"] = results["staying"].values
    columns |= {
        str(name): results["predicted_staying"].sel(prediction=name).values for name in results["prediction"].values
    }
    return pd.DataFrame(columns)


def good_table(results: xr.Dataset) -> pd.DataFrame:
    """How well each public good fits the gain, the best first."""
    names = ("chi2", "criterion", "probability", "explained")
    return pd.DataFrame({"good": results["good"].values, **{name: results[f"good_{name}"].values for name in names}})


def gap_sentences(results: xr.Dataset) -> list[str]:
    """What is known about the players of the loss."""
    found = nash_gap_of(results)
    said = [found.verdict]
    if found.held_out_gain is not None and found.gap > found.epsilon:
        place = int(found.gain.argmax())
        gain, error = found.held_out_gain[place], found.held_out_stderr[place]  # type: ignore[index]
        excludes = abs(gain) > _SURE * error
        said.append(
            f"On held-out rows the same deviation of {found.deviator!r} changes the loss by {-gain:+.3g} "
            f"(standard error {error:.2g}; the 95 % interval {'excludes' if excludes else 'includes'} 0)."
        )
    bent = found.smallest_curvature < -2e-3 * np.abs(found.largest_curvature)
    names = [repr(name) for name, down in zip(found.players, bent, strict=True) if down]
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        said.append(f"The own curvature of {', '.join(names[:3])}{more} is negative: the loss bends down there.")
    if np.isfinite(found.joint_curvature):
        said.append(f"The smallest curvature of the loss in all parameters together is {found.joint_curvature:.3g}.")
    listed = "; ".join(found.symmetries) if found.symmetries else "none found"
    said.append(f"Continuous symmetries, along which no equilibrium can be strict: {listed}.")
    if found.status != "ok":
        said.append(f"Bounded answer: {found.status}.")
    return said


def layer_sentences(results: xr.Dataset) -> list[str]:
    """What is known about the public goods game of a layer."""
    if not results.attrs["layer"]:
        return [f"No public goods game was fitted: {results.attrs['no_layer']}."]
    slope, error = float(results["synergy"]), float(results["synergy_stderr"])
    kind = "more together (synergy)" if slope > 0 else "less together (redundancy)"
    told = f"are worth {kind}" if abs(slope) > _SURE * error else "show neither synergy nor redundancy"
    said = [
        f"Units of {results.attrs['layer']!r} {told}: slope of the gain {slope:.3g} (standard error {error:.2g}).",
        f"Who a unit is explains {float(results['heterogeneity']):.0%} of the variance that the common gain leaves.",
    ]
    if "good" in results.coords:
        good = results.attrs["good"]
        best = str(results["good"].values[0])
        fits = f"the {good} good fits within its errors" if good else f"none fits; the {best} good comes nearest"
        said.append(f"As a public good: {fits} and explains {float(results['good_explained'][0]):.0%} of the gain.")
    if "staying" in results:
        errors = abs(results["predicted_staying"] - results["staying"]).mean("fee")
        listed = ", ".join(f"{name} {float(errors.sel(prediction=name)):.3f}" for name in errors["prediction"].values)
        said.append(f"Mean error of the predicted share that stays at a fee, against exact removal: {listed}.")
    return said
