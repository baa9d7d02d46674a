"""One cell of a comparison: all networks of one repetition on one dataset, trained as one ensemble and measured.

The networks of a cell share the split, the initial weights, the order of rows and the uniform draws behind masks and
target noise (common random numbers), so that what differs between them is the keep probability, the target noise and
the way of training.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, LogisticRegression

from neurogames.bridge import (
    CLASSIFICATION_METRICS,
    REGRESSION_METRICS,
    Ensemble,
    GaussianNoise,
    NoNoise,
    StableNoise,
    TargetNoise,
    UniformNoise,
    ablation_composition,
    area_from_clean,
    curve_slope,
    noise_curve,
    quantile_groups,
    train_ensemble,
)
from neurogames.lab.data.datasets import load_dataset
from neurogames.lab.data.preparation import Prepared, prepare
from neurogames.lab.studies.comparison.settings import TRAININGS, Settings

GROUPS = 5
COMPOSITION_ROWS = 256
BASELINES = ("constant", "linear")


class Network(NamedTuple):
    """What tells one network of a cell from the others."""

    target_noise: str
    training: str
    keep_prob: float


def measure_repetition(dataset: str, seed: int, *, settings: Mapping[str, Any]) -> xr.Dataset:
    """Train and measure every network of one repetition.

    Args:
        dataset: name or path of the table.
        seed: number of the repetition; with the dataset's name it decides every draw.
        settings: :meth:`neurogames.lab.studies.comparison.settings.Settings.to_dict` of the comparison.

    Returns:
        Over target_noise, training and keep_prob: ``curve`` (metric, level), ``area`` and ``slope`` (metric),
        ``composition`` (share), ``steps`` and ``diverged``; over baseline: ``baseline_curve`` and ``baseline_area``.
        Mean squared error is in variances of the training target, SMAPE in the target's own unit.
    """
    chosen = Settings.from_dict(settings)
    source = np.random.SeedSequence([zlib.crc32(dataset.encode()), seed])
    split_seed, network_seed, noise_seed = (int(word) for word in source.generate_state(3))
    table = load_dataset(dataset, target=chosen.target, task=chosen.task)
    data = prepare(table, rng=np.random.default_rng(split_seed))
    noises = target_noises(chosen, data.task)
    networks = [
        Network(noise, training, keep)
        for noise in noises
        for training in TRAININGS
        for keep in chosen.keep_probs
        # At keep 1 the three ways of training are one network.
        if training == TRAININGS[0] or keep < 1.0
    ]
    inputs = torch.from_numpy(data.train_inputs)
    targets = torch.from_numpy(data.train_targets)
    compose = _composition_of(data)
    compositions: list[NDArray[np.float64]] = []
    trained = train_ensemble(
        inputs,
        targets,
        seeds=[network_seed] * len(networks),
        hidden=chosen.hidden,
        loss="mse" if data.task == "regression" else "cross_entropy",
        keep_prob=[one.keep_prob if one.training == "dropout" else 1.0 for one in networks],
        target_noise=[noises[one.target_noise] for one in networks] if data.task == "regression" else None,
        learning_rate=[
            chosen.learning_rate * (one.keep_prob if one.training == "smaller steps" else 1.0) for one in networks
        ],
        epochs=[chosen.epochs * (one.keep_prob if one.training == "fewer epochs" else 1.0) for one in networks],
        batch_size=chosen.batch_size,
        record_at=chosen.snapshots,
        on_record=lambda _, ensemble: compositions.append(compose(ensemble)),
    )
    curves = _curves(trained.ensemble, data, chosen, noise_seed)
    levels = list(chosen.levels)
    values = {
        "curve": (("metric", "level"), curves),
        "area": (("metric",), area_from_clean(levels, curves)),
        "slope": (("metric",), curve_slope(levels, curves)),
        "composition": (("share",), np.stack(compositions, axis=-1)),
        "steps": ((), trained.steps.astype(float)),
        "diverged": ((), ~trained.finished),
    }
    places = _places(networks, chosen, list(noises))
    grid = ("target_noise", "training", "keep_prob")
    variables = {name: ((*grid, *dims), array[places]) for name, (dims, array) in values.items()}
    baseline = np.stack([_curves(predict, data, chosen, noise_seed) for predict in _baselines(data)])
    variables["baseline_curve"] = (("baseline", "metric", "level"), baseline)
    variables["baseline_area"] = (("baseline", "metric"), area_from_clean(levels, baseline))
    return xr.Dataset(
        variables,
        coords={
            "target_noise": list(noises),
            "training": list(TRAININGS),
            "keep_prob": list(chosen.keep_probs),
            "metric": list(_metrics(data)),
            "level": levels,
            "share": list(chosen.snapshots),
            "baseline": list(BASELINES),
        },
        attrs={"task": data.task},
    )


def target_noises(settings: Settings, task: str) -> dict[str, TargetNoise]:
    """Return the target noises of a comparison by name; classification has none.

    >>> list(target_noises(Settings(), "classification"))
    ['none']
    """
    known: dict[str, TargetNoise] = {
        "none": NoNoise(),
        "uniform": UniformNoise(settings.noise_factor),
        "gaussian": GaussianNoise(settings.noise_factor),
        "stable": StableNoise(settings.stable_alpha, factor=settings.noise_factor),
    }
    names = settings.target_noises if task == "regression" else ("none",)
    return {name: known[name] for name in names}


def _places(networks: list[Network], settings: Settings, noises: list[str]) -> NDArray[np.intp]:
    """Index of the network at each point of the grid (target noise, training, keep)."""
    index = {network: place for place, network in enumerate(networks)}
    places = [
        index[Network(noise, training if keep < 1.0 else TRAININGS[0], keep)]
        for noise in noises
        for training in TRAININGS
        for keep in settings.keep_probs
    ]
    return np.array(places).reshape(len(noises), len(TRAININGS), len(settings.keep_probs))


def _metrics(data: Prepared) -> Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]:
    return REGRESSION_METRICS if data.task == "regression" else CLASSIFICATION_METRICS


def _curves(
    predict: Callable[[torch.Tensor], torch.Tensor], data: Prepared, settings: Settings, seed: int
) -> NDArray[np.float64]:
    """Metrics (networks, metric, level), or (metric, level) of one model, on test rows with noisy inputs."""
    targets = torch.from_numpy(data.test_targets)
    to_units = None
    if data.task == "regression":
        targets = targets * data.target_std + data.target_mean

        def to_units(outputs: torch.Tensor) -> torch.Tensor:
            return outputs * data.target_std + data.target_mean

    curves = noise_curve(
        predict,
        torch.from_numpy(data.test_inputs),
        targets,
        levels=settings.levels,
        metrics=_metrics(data),
        repeats=settings.noise_repeats,
        # Features are standardised on the training split, so one unit is one of its deviations.
        scale=1.0,
        to_units=to_units,
        rng=torch.Generator().manual_seed(seed),
    )
    if data.task == "regression":
        curves["mse"] = curves["mse"] / data.target_std**2
    return np.stack(list(curves.values()), axis=-2)


def _composition_of(data: Prepared) -> Callable[[Ensemble], NDArray[np.float64]]:
    """Return the measurement of composition levels (networks,) on a fixed sample of training rows."""
    rows = np.linspace(0, len(data.train_inputs) - 1, min(COMPOSITION_ROWS, len(data.train_inputs))).astype(int)
    inputs, targets = torch.from_numpy(data.train_inputs[rows]), torch.from_numpy(data.train_targets[rows])
    groups = quantile_groups(targets, GROUPS) if data.task == "regression" else targets
    return lambda ensemble: ablation_composition(ensemble, inputs, targets, groups).level.numpy()


def _baselines(data: Prepared) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    """Constant predictor and linear model, in the order of ``BASELINES``."""
    if data.task == "regression":
        constant = torch.zeros(1)
        fitted = LinearRegression().fit(data.train_inputs, data.train_targets)
        weight, bias = fitted.coef_[:, None], fitted.intercept_
    else:
        counts = np.bincount(data.train_targets, minlength=len(data.class_names))
        constant = torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32))
        logistic = LogisticRegression(max_iter=2000).fit(data.train_inputs, data.train_targets)
        weight, bias = logistic.coef_.T, logistic.intercept_
        if weight.shape[1] == 1:
            # Two classes share one column of weights; the first class has logit 0.
            weight, bias = np.hstack([np.zeros_like(weight), weight]), np.append(0.0, bias)
    slope = torch.from_numpy(np.asarray(weight, dtype=np.float32))
    offset = torch.from_numpy(np.atleast_1d(np.asarray(bias, dtype=np.float32)))
    return [
        lambda inputs: constant.expand(len(inputs), len(constant)),
        lambda inputs: inputs @ slope + offset,
    ]
