"""What a comparison measures: the simulated game once, and all networks of one repetition trained as one ensemble.

The networks of a cell share the split, the initial weights, the order of rows and the uniform draws behind masks and
target noise (common random numbers), so that what differs between them is the keep probability, the target noise and
the way of training.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import xarray as xr
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, LogisticRegression

from neurogames._arguments import invalid_argument
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
from neurogames.games import PublicGoodsGame
from neurogames.lab.data.datasets import load_dataset
from neurogames.lab.data.preparation import Prepared, prepare
from neurogames.lab.studies.comparison.settings import (
    DROPOUT,
    REDUCED_EPOCHS,
    REDUCED_RATE,
    TRAININGS,
    ComparisonSettings,
)
from neurogames.lab.studies.comparison.simulation import simulate_composition

GROUPS = 5
COMPOSITION_ROWS = 256
BASELINES = ("constant", "linear")


class Network(NamedTuple):
    """What tells one network of a cell from the others."""

    target_noise: str
    training: str
    keep_prob: float


def check_data(settings: ComparisonSettings) -> dict[str, str]:
    """Load and prepare every dataset once.

    Returns:
        A checksum of each table by its name: a run whose table changes is another run.

    Raises:
        ValueError: if one cannot be used, has fewer training rows than a batch, or they are of different tasks.
    """
    tasks, checksums = {}, {}
    for name in settings.data:
        table = load_dataset(name, target=settings.target, task=settings.task)
        rows = len(prepare(table, rng=np.random.default_rng(settings.first_seed)).train_inputs)
        if rows < settings.batch_size:
            raise invalid_argument("batch_size", settings.batch_size, f"at most the {rows} training rows of {name}")
        hashed = pd.util.hash_pandas_object(table.features.assign(**{"": table.target}), index=False)
        tasks[name], checksums[name] = table.task, hashlib.sha256(hashed.to_numpy().tobytes()).hexdigest()[:16]
    if len(set(tasks.values())) > 1:
        raise invalid_argument("data", tasks, "datasets of one task, or task= to force it")
    return checksums


def measure_simulation(seed: int, *, settings: ComparisonSettings) -> xr.Dataset:
    """Simulate the game that stands beside the networks, see :func:`.simulation.simulate_composition`."""
    return simulate_composition(
        PublicGoodsGame(settings.n_players, settings.cost, settings.multiplier),
        keep_probs=settings.keep_probs,
        temperature=settings.temperature,
        sweeps=settings.sweeps,
        replicas=settings.replicas,
        rng=np.random.default_rng([seed, 0]),
    )


def measure_repetition(dataset: str, seed: int, *, settings: ComparisonSettings) -> xr.Dataset:
    """Train and measure every network of one repetition.

    Args:
        dataset: name or path of the table.
        seed: number of the repetition; with the dataset's name it decides every draw.
        settings: those of the comparison.

    Returns:
        Over target_noise, training and keep_prob: ``curve`` (metric, level), ``area`` and ``slope`` (metric),
        ``composition`` (share), ``steps`` and ``diverged``; over baseline: ``baseline_curve`` and ``baseline_area``.
        Mean squared error is in variances of the training target, SMAPE in the target's own unit.
    """
    source = np.random.SeedSequence([zlib.crc32(dataset.encode()), seed])
    split_seed, network_seed, noise_seed = (int(word) for word in source.generate_state(3))
    table = load_dataset(dataset, target=settings.target, task=settings.task)
    data = prepare(table, rng=np.random.default_rng(split_seed))
    noises = target_noises(settings, data.task)
    networks = [
        Network(noise, training, keep)
        for noise in noises
        for training in TRAININGS
        for keep in settings.keep_probs
        # At keep 1 the three ways of training are one network.
        if training == DROPOUT or keep < 1.0
    ]
    inputs = torch.from_numpy(data.train_inputs)
    targets = torch.from_numpy(data.train_targets)
    compose = _composition_of(data)
    compositions: list[NDArray[np.float64]] = []
    trained = train_ensemble(
        inputs,
        targets,
        seeds=[network_seed] * len(networks),
        hidden=settings.hidden,
        loss="mse" if data.task == "regression" else "cross_entropy",
        keep_prob=[one.keep_prob if one.training == DROPOUT else 1.0 for one in networks],
        target_noise=[noises[one.target_noise] for one in networks] if data.task == "regression" else None,
        learning_rate=[
            settings.learning_rate * (one.keep_prob if one.training == REDUCED_RATE else 1.0) for one in networks
        ],
        epochs=[settings.epochs * (one.keep_prob if one.training == REDUCED_EPOCHS else 1.0) for one in networks],
        batch_size=settings.batch_size,
        record_at=settings.snapshots,
        on_record=lambda _, ensemble: compositions.append(compose(ensemble)),
    )
    curves = _curves(trained.ensemble, data, settings, noise_seed)
    levels = list(settings.levels)
    values = {
        "curve": (("metric", "level"), curves),
        "area": (("metric",), area_from_clean(levels, curves)),
        "slope": (("metric",), curve_slope(levels, curves)),
        "composition": (("share",), np.stack(compositions, axis=-1)),
        "steps": ((), trained.steps.astype(float)),
        "diverged": ((), ~trained.finished),
    }
    places = _places(networks, settings, list(noises))
    grid = ("target_noise", "training", "keep_prob")
    variables = {name: ((*grid, *dims), array[places]) for name, (dims, array) in values.items()}
    baseline = np.stack([_curves(predict, data, settings, noise_seed) for predict in _baselines(data)])
    variables["baseline_curve"] = (("baseline", "metric", "level"), baseline)
    variables["baseline_area"] = (("baseline", "metric"), area_from_clean(levels, baseline))
    return xr.Dataset(
        variables,
        coords={
            "target_noise": list(noises),
            "training": list(TRAININGS),
            "keep_prob": list(settings.keep_probs),
            "metric": list(_metrics(data)),
            "level": levels,
            "share": list(settings.snapshots),
            "baseline": list(BASELINES),
        },
        attrs={"task": data.task},
    )


def target_noises(settings: ComparisonSettings, task: str) -> dict[str, TargetNoise]:
    """Return the target noises of a comparison by name; classification has none.

    >>> list(target_noises(ComparisonSettings(), "classification"))
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


def _places(networks: list[Network], settings: ComparisonSettings, noises: list[str]) -> NDArray[np.intp]:
    """Index of the network at each point of the grid (target noise, training, keep)."""
    index = {network: place for place, network in enumerate(networks)}
    places = [
        index[Network(noise, training if keep < 1.0 else DROPOUT, keep)]
        for noise in noises
        for training in TRAININGS
        for keep in settings.keep_probs
    ]
    return np.array(places).reshape(len(noises), len(TRAININGS), len(settings.keep_probs))


def _metrics(data: Prepared) -> Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]:
    return REGRESSION_METRICS if data.task == "regression" else CLASSIFICATION_METRICS


def _curves(
    predict: Callable[[torch.Tensor], torch.Tensor], data: Prepared, settings: ComparisonSettings, seed: int
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
        # Features are standardised on the training split, so one unit is one of its standard deviations.
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
