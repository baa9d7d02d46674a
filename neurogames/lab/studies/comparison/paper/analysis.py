"""What a run of the paper's protocol says: curves beside the paper's read-off numbers, and the law's part of flatness.

A curve is that of SMAPE for a regression and of accuracy for a classification. Its area is the mean distance from the
value without input noise; differences of areas are in units of plain training's mean area on the same table.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from neurogames.bridge import area_from_clean
from neurogames.lab.data.tables import short_name
from neurogames.lab.studies.comparison.differences import BEYOND, BY_LAW, WHOLE, mean_difference
from neurogames.lab.studies.comparison.paper.noise_names import parse_noise_name
from neurogames.lab.studies.comparison.paper.published import READ_OFF
from neurogames.lab.studies.comparison.paper.settings import PaperSettings

DROPOUT, LAW, PUBLISHED = "gradient dropout", "law", "gradient dropout, published loss"
CURVES = {DROPOUT: "curve", LAW: "law_curve", PUBLISHED: "published_curve"}
"""The variable of the results in which each way of training has its curves."""
_EFFECTS = ["dataset", "network", "target noise", "part", "difference", "low", "high", "p", "n"]


def main_curves(results: xr.Dataset, dataset: str, network: str) -> dict[str, xr.DataArray]:
    """Return the curves by which a table is judged, for each way of training.

    Args:
        results: those of a run.
        dataset: its table.
        network: label of its network.

    Returns:
        Over seed, target_noise, keep_prob and level.
    """
    here = results.sel(dataset=dataset, network=network)
    metric = main_metric(results, dataset)
    order = ("seed", "target_noise", "keep_prob", "level")
    return {name: here[variable].sel(metric=metric, drop=True).transpose(*order) for name, variable in CURVES.items()}


def main_metric(results: xr.Dataset, dataset: str) -> str:
    """Return ``smape`` for a regression, ``accuracy`` for a classification."""
    return "smape" if bool(results["regression"].sel(dataset=dataset).values.all()) else "accuracy"


def curve_table(results: xr.Dataset, settings: PaperSettings) -> pd.DataFrame:
    """Return one row per table, network, target noise, way of training and keep probability.

    Args:
        results: those of a run.
        settings: those of the run.

    Returns:
        Columns: ``metric``, ``n`` repetitions that came to an end, means over them of the value without input noise
        (``clean``) and at the largest level (``noisy``), and of the area; ``paper clean`` and ``paper noisy`` read off
        the paper's plots, NaN where it has none.
    """
    rows = []
    for dataset, network in _pairs(results):
        for training, curves in main_curves(results, dataset, network).items():
            area = area_of(curves)
            for noise in settings.target_noises:
                for keep in settings.keep_probs:
                    one = curves.sel(target_noise=noise, keep_prob=keep).dropna("seed")
                    if not one.sizes["seed"]:
                        continue
                    clean, noisy = (float(one.isel(level=end).mean()) for end in (0, -1))
                    published = _read_off(dataset, network, noise, keep, settings)
                    rows.append(
                        {
                            "dataset": dataset,
                            "network": network,
                            "target noise": noise,
                            "training": training,
                            "keep": keep,
                            "metric": main_metric(results, dataset),
                            "n": one.sizes["seed"],
                            "clean": clean,
                            "noisy": noisy,
                            "area": float(area.sel(target_noise=noise, keep_prob=keep).mean("seed")),
                            "paper clean": published[0],
                            "paper noisy": published[1],
                        }
                    )
    return pd.DataFrame(rows)


def effect_table(results: xr.Dataset, settings: PaperSettings) -> pd.DataFrame:
    """Split the effect of gradient dropout on flatness into the part of the law and what is beyond it.

    In each repetition, averaged over keep probabilities below 1, whole = by the law + beyond the law; networks are
    those trained by squared error or cross-entropy.

    Args:
        results: those of a run.
        settings: those of the run.

    Returns:
        One row per table, network, target noise and part: ``difference`` in units of plain training's mean area,
        ``low`` and ``high`` (95 %, t), ``p`` (t test) and ``n`` repetitions; negative is flatter. Where plain training
        has no area, as of a network that gives every row the same class, there is no row.
    """
    rows = []
    for dataset, network in _pairs(results):
        curves = main_curves(results, dataset, network)
        dropout, law = area_of(curves[DROPOUT]), area_of(curves[LAW])
        for noise in settings.target_noises:
            masked, predicted = (area.sel(target_noise=noise)[:, :-1] for area in (dropout, law))
            plain = dropout.sel(target_noise=noise)[:, -1]
            unit = float(plain.mean("seed"))
            if not unit > 0:
                continue
            parts = {WHOLE: masked - plain, BY_LAW: predicted - plain, BEYOND: masked - predicted}
            usable = np.isfinite(parts[WHOLE] + parts[BY_LAW])
            for part, values in parts.items():
                found = mean_difference(values.where(usable).mean("keep_prob").dropna("seed").values / unit)
                rows.append(
                    {
                        "dataset": dataset,
                        "network": network,
                        "target noise": noise,
                        "part": part,
                        "difference": found.estimate,
                        "low": found.low,
                        "high": found.high,
                        "p": found.p_value,
                        "n": found.n,
                    }
                )
    return pd.DataFrame(rows, columns=_EFFECTS)


def distance_to_paper(table: pd.DataFrame) -> dict[str, float]:
    """Return the mean distance of our values from the paper's read-off numbers, for each loss.

    Args:
        table: that of :func:`curve_table`.

    Returns:
        Means over the read-off numbers, both ends of each curve, of the absolute differences; empty where the run has
        no setting for which there are any.
    """
    known = table.dropna(subset="paper clean")
    known = known[known["training"] != LAW]
    gaps = np.abs(known[["clean", "noisy"]].to_numpy() - known[["paper clean", "paper noisy"]].to_numpy()).mean(axis=1)
    return {str(name): float(part.mean()) for name, part in known.assign(gap=gaps).groupby("training")["gap"]}


def area_of(curves: xr.DataArray) -> xr.DataArray:
    """Return the mean distance of curves (..., level) from their value without input noise."""
    areas = area_from_clean(curves["level"].values, curves.values)
    return curves.isel(level=0, drop=True).copy(data=areas)


def _pairs(results: xr.Dataset) -> Iterator[tuple[str, str]]:
    """Every table with every network."""
    for dataset in results["dataset"].values:
        for network in results["network"].values:
            yield str(dataset), str(network)


def _read_off(dataset: str, network: str, noise: str, keep: float, settings: PaperSettings) -> tuple[float, float]:
    """The paper's two numbers of a setting, or NaN."""
    here = READ_OFF[(READ_OFF["dataset"] == short_name(dataset)) & (READ_OFF["network"] == network)]
    for row in here.itertuples(index=False, name=None):
        _, name, kept, clean, noisy, _ = row
        if kept == keep and parse_noise_name(name).noise == settings.named_noise(noise).noise:
            return float(clean), float(noisy)
    return np.nan, np.nan
