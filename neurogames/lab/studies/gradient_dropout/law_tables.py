"""What the study says of the law itself: distances over learning rates, rates of layers, and courses of composition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.bridge import feedback_factors
from neurogames.lab.inference.statistics import mean_difference
from neurogames.lab.studies.gradient_dropout.analysis import numeric_data
from neurogames.lab.studies.gradient_dropout.course import DROPOUT, LAW, PLAIN
from neurogames.lab.studies.gradient_dropout.course_figure import fitted_stretch, law_factor
from neurogames.lab.studies.gradient_dropout.settings import GradientDropoutSettings

SHOWN_TIMES = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0)


def distance_table(results: xr.Dataset) -> pd.DataFrame:
    """Return how far gradient dropout is from its law, and how that falls with the learning rate.

    Returns:
        One row per table and optimizer: root mean square distances of predictions to the law at the largest and the
        smallest rate, and to plain training at the largest; ``slope``, the exponent of the rate, with its 95 % t
        interval over seeds (a diffusion has .5).
    """
    rows = []
    step = np.log(results["step"].values)
    centred = step - step.mean()
    for name in numeric_data(results):
        for optimizer in results["chain_optimizer"].values:
            chosen = {"dataset": name, "chain_optimizer": optimizer}
            law = results["distance_law"].sel(chosen).transpose("seed", "step").values
            plain = results["distance_plain"].sel(chosen).isel(step=0)
            found = mean_difference(np.log(law) @ centred / (centred @ centred))
            rows.append(
                {
                    "dataset": name,
                    "optimizer": str(optimizer),
                    "to_law": float(law[:, 0].mean()),
                    "to_law_at_smallest_rate": float(law[:, -1].mean()),
                    "to_plain": float(plain.mean()),
                    "slope": found.estimate,
                    "low": found.low,
                    "high": found.high,
                    "n": found.n,
                }
            )
    return pd.DataFrame(rows)


def layer_table(results: xr.Dataset, settings: GradientDropoutSettings) -> pd.DataFrame:
    """Return the measured rates of single layers under SGD beside those of the law.

    Returns:
        One row per data and layer: ``law``, ``measured`` with its 95 % t interval over seeds, and ``ratio``.
    """
    law = feedback_factors(len(settings.hidden), settings.course_keep, optimizer="sgd")
    names = [*(f"hidden {place}" for place in range(1, len(law))), "output"]
    rows = []
    for name in results["dataset"].values:
        for layer, (label, factor) in enumerate(zip(names, law, strict=True)):
            found = mean_difference(results["layer_rate"].sel(dataset=name).isel(layer=layer).values)
            ends = {"low": found.low, "high": found.high, "ratio": found.estimate / factor}
            rows.append({"dataset": str(name), "layer": label, "law": factor, "measured": found.estimate, **ends})
    return pd.DataFrame(rows)


def course_table(results: xr.Dataset, settings: GradientDropoutSettings) -> pd.DataFrame:
    """Return the share of units that compose over training, and by what factor time is stretched.

    Returns:
        One row per data, strength and way of training: the mean share at 0, 5, 10, 25, 50 and 100 % of training;
        ``largest_distance`` of the mean course to that of gradient dropout; ``stretch``, the factor that brings plain
        training's course closest, with its jackknife interval, and ``stretch_by_law`` of the last hidden layer.
    """
    rows = []
    for name in results["dataset"].values:
        for strength in results["strength"].values:
            chosen = results.sel(dataset=name, strength=strength)
            means = {way: chosen[f"composing_{way}"].mean("seed") for way in (PLAIN, DROPOUT, LAW)}
            for way, mean in means.items():
                shares = {f"{100 * at:g} %": float(mean.sel(time=at, method="nearest")) for at in SHOWN_TIMES}
                row = {"dataset": str(name), "strength": float(strength), "way": way, **shares}
                row["largest_distance"] = float(abs(mean - means[DROPOUT]).max())
                if way != PLAIN:
                    found = fitted_stretch(chosen, way)
                    row |= {"stretch": found.factor, "stretch_low": found.low, "stretch_high": found.high}
                    row["stretch_by_law"] = law_factor(settings.course_keep, "adam")
                rows.append(row)
    return pd.DataFrame(rows)
