"""One repetition: a split of one table, and networks trained and measured on it as one ensemble.

The networks share the split, the initial weights, the order of rows and the uniform draws behind masks and target
noise (common random numbers), so that what differs between them is the keep probability, the target noise and the way
of training. What one network gives does not depend on which others are trained beside it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

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
from neurogames.bridge.ensembles.ensemble import Feedback
from neurogames.lab.data.datasets import load_dataset
from neurogames.lab.data.preparation import Prepared, prepare
from neurogames.lab.data.tables import Dataset
from neurogames.lab.studies.comparison.settings import (
    DROPOUT,
    LAW,
    LAW_AND_NOISE,
    REDUCED_EPOCHS,
    REDUCED_RATE,
    ComparisonSettings,
)

GROUPS = 5
COMPOSITION_ROWS = 256
GRID = ("target_noise", "training", "keep_prob")
FEEDBACK: dict[str, Feedback] = {DROPOUT: "dropout", LAW: "mean", LAW_AND_NOISE: "gaussian"}
"""What reaches hidden units in the trainings whose keep probability is that of the feedback."""


class Network(NamedTuple):
    """What tells one network of a repetition from the others."""

    target_noise: str
    training: str
    keep_prob: float


@dataclass(frozen=True, eq=False)
class Repetition:
    """A split of one table, and the seeds of what is drawn on it.

    Attributes:
        table: all rows, as loaded.
        data: training and test rows.
        noises: target noises by name.
        network_seed: of initial weights, order of rows, masks and target noise.
        noise_seed: of the input noise of robustness curves.
    """

    table: Dataset
    data: Prepared
    noises: Mapping[str, TargetNoise]
    network_seed: int
    noise_seed: int


def open_repetition(dataset: str, seed: int, settings: ComparisonSettings) -> Repetition:
    """Load and split a table."""
    split_seed, network_seed, noise_seed = seeds_of(dataset, seed)
    table = load_dataset(dataset, target=settings.target, task=settings.task)
    data = prepare(table, rng=np.random.default_rng(split_seed))
    return Repetition(table, data, target_noises(settings, data.task), network_seed, noise_seed)


def seeds_of(dataset: str, seed: int) -> tuple[int, int, int]:
    """Return the seeds of the split, the networks and the input noise of one repetition.

    >>> seeds_of("wine", 0) == seeds_of("wine", 0), seeds_of("wine", 0) == seeds_of("iris", 0)
    (True, False)
    """
    source = np.random.SeedSequence([zlib.crc32(dataset.encode()), seed])
    split, networks, noise = (int(word) for word in source.generate_state(3))
    return split, networks, noise


def train_and_measure(
    repetition: Repetition, trainings: Sequence[str], settings: ComparisonSettings
) -> dict[str, tuple[tuple[str, ...], NDArray[Any]]]:
    """Train a network for every target noise, way of training and keep probability, and measure it.

    Args:
        repetition: the rows and seeds.
        trainings: ways of training; at keep 1 all of them are plain backpropagation, one network.
        settings: those of the comparison.

    Returns:
        Dimensions and values over target_noise, training and keep_prob: ``curve`` (metric, level), ``area`` and
        ``slope`` (metric), ``composition`` (share), ``steps`` and ``diverged``.
    """
    data, noises = repetition.data, repetition.noises
    networks = [
        Network(noise, training, keep)
        for noise in noises
        for training in trainings
        for keep in settings.keep_probs
        if training == trainings[0] or keep < 1.0
    ]
    compose = _composition_of(data)
    compositions: list[NDArray[np.float64]] = []
    trained = train_ensemble(
        torch.from_numpy(data.train_inputs),
        torch.from_numpy(data.train_targets),
        seeds=[repetition.network_seed] * len(networks),
        hidden=settings.hidden,
        loss="mse" if data.task == "regression" else "cross_entropy",
        keep_prob=[one.keep_prob if one.training in FEEDBACK else 1.0 for one in networks],
        feedback=[FEEDBACK.get(one.training, "dropout") if one.keep_prob < 1.0 else "dropout" for one in networks],
        target_noise=[noises[one.target_noise] for one in networks] if data.task == "regression" else None,
        learning_rate=[
            settings.learning_rate * (one.keep_prob if one.training == REDUCED_RATE else 1.0) for one in networks
        ],
        epochs=[settings.epochs * (one.keep_prob if one.training == REDUCED_EPOCHS else 1.0) for one in networks],
        batch_size=settings.batch_size,
        record_at=settings.snapshots,
        on_record=lambda _, ensemble: compositions.append(compose(ensemble)),
    )
    curves = robustness_curves(trained.ensemble, repetition, settings)
    levels = list(settings.levels)
    values: dict[str, tuple[tuple[str, ...], NDArray[Any]]] = {
        "curve": (("metric", "level"), curves),
        "area": (("metric",), area_from_clean(levels, curves)),
        "slope": (("metric",), curve_slope(levels, curves)),
        "composition": (("share",), np.stack(compositions, axis=-1)),
        "steps": ((), trained.steps.astype(float)),
        "diverged": ((), ~trained.finished),
    }
    index = {network: place for place, network in enumerate(networks)}
    places = [
        index[Network(noise, training if keep < 1.0 else trainings[0], keep)]
        for noise in noises
        for training in trainings
        for keep in settings.keep_probs
    ]
    grid = np.array(places).reshape(len(noises), len(trainings), len(settings.keep_probs))
    return {name: ((*GRID, *dims), array[grid]) for name, (dims, array) in values.items()}


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


class InputNoise(Protocol):
    """What a robustness curve asks of the settings of a study."""

    @property
    def levels(self) -> tuple[float, ...]:
        """Sizes of the input noise, from 0 upward."""

    @property
    def noise_repeats(self) -> int:
        """Draws of the input noise at each level."""


def metrics_of(data: Prepared) -> Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]:
    """Return the metrics of a task by name."""
    return REGRESSION_METRICS if data.task == "regression" else CLASSIFICATION_METRICS


def robustness_curves(
    predict: Callable[[torch.Tensor], torch.Tensor], repetition: Repetition, settings: InputNoise
) -> NDArray[np.float64]:
    """Return metrics (networks, metric, level), or (metric, level) of one model, on test rows with noisy inputs."""
    data = repetition.data
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
        metrics=metrics_of(data),
        repeats=settings.noise_repeats,
        # Where features are standardised on the training split, one unit is one of its standard deviations.
        scale=1.0,
        to_units=to_units,
        rng=torch.Generator().manual_seed(repetition.noise_seed),
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
