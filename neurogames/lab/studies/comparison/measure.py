"""What a comparison measures: the simulated game, the prediction of the law, and then the trainings.

The prediction is a stage of its own, stored before any network with masks is trained.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from neurogames._arguments import invalid_argument
from neurogames.bridge import area_from_clean
from neurogames.games import PublicGoodsGame
from neurogames.lab.data.datasets import load_dataset
from neurogames.lab.data.preparation import prepare
from neurogames.lab.studies.comparison.baselines import BASELINES, baseline_models
from neurogames.lab.studies.comparison.course import MEASURED, PREDICTED, measure_composing
from neurogames.lab.studies.comparison.repetition import (
    Repetition,
    metrics_of,
    open_repetition,
    robustness_curves,
    train_and_measure,
)
from neurogames.lab.studies.comparison.sensitivity import vary_game
from neurogames.lab.studies.comparison.settings import PREDICTIONS, TRAININGS, ComparisonSettings
from neurogames.lab.studies.comparison.simulation import simulate_composition

TABLE_FACTS = ("rows", "training_rows", "features", "text_columns", "inputs", "missing")


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
    """Simulate the game that stands beside the networks, and vary its parameters.

    See :func:`.simulation.simulate_composition` and :func:`.sensitivity.vary_game`.
    """
    simulated = simulate_composition(
        PublicGoodsGame(settings.n_players, settings.cost, settings.multiplier),
        keep_probs=settings.keep_probs,
        temperature=settings.temperature,
        sweeps=settings.sweeps,
        replicas=settings.replicas,
        rng=np.random.default_rng([seed, 0]),
    )
    return simulated.merge(vary_game(settings))


def measure_prediction(dataset: str, seed: int, *, settings: ComparisonSettings) -> xr.Dataset:
    """Predict one repetition from the law, without any mask.

    The predicted networks start from the same weights and see the same rows in the same order as those that are
    trained with masks later, see :func:`neurogames.bridge.predict_training`.

    Args:
        dataset: name or path of the table.
        seed: number of the repetition.
        settings: those of the comparison.

    Returns:
        Over target_noise, prediction (the law, and the law with normal noise of the mask's covariance) and
        keep_prob: what :func:`measure_repetition` measures, each name with the prefix ``predicted_``; over time, with a
        planted shortcut, ``composing_law`` and ``composing_plain``; and facts about the table, see ``TABLE_FACTS``.
    """
    repetition = open_repetition(dataset, seed, settings)
    found = train_and_measure(repetition, PREDICTIONS, settings)
    renamed: dict[str, Any] = {
        f"predicted_{name}": (tuple("prediction" if dim == "training" else dim for dim in dims), values)
        for name, (dims, values) in found.items()
    }
    renamed |= {f"table_{name}": ((), value) for name, value in zip(TABLE_FACTS, _facts(repetition), strict=True)}
    labels = _labels(repetition, settings)
    stored = xr.Dataset(
        renamed, coords={**labels, "prediction": list(PREDICTIONS)}, attrs={"task": repetition.data.task}
    )
    return stored.merge(measure_composing(repetition, PREDICTED, settings))


def measure_repetition(dataset: str, seed: int, *, settings: ComparisonSettings) -> xr.Dataset:
    """Train and measure every network of one repetition.

    Args:
        dataset: name or path of the table.
        seed: number of the repetition; with the dataset's name it decides every draw.
        settings: those of the comparison.

    Returns:
        Over target_noise, training and keep_prob: ``curve`` (metric, level), ``area`` and ``slope`` (metric),
        ``composition`` (share), ``steps`` and ``diverged``; over baseline: ``baseline_curve`` and ``baseline_area``;
        over time, with a planted shortcut: ``composing_dropout``.
        Mean squared error is in variances of the training target, SMAPE in the target's own unit.
    """
    repetition = open_repetition(dataset, seed, settings)
    variables = dict(train_and_measure(repetition, TRAININGS, settings))
    baseline = np.stack([robustness_curves(one, repetition, settings) for one in baseline_models(repetition.data)])
    variables["baseline_curve"] = (("baseline", "metric", "level"), baseline)
    variables["baseline_area"] = (("baseline", "metric"), area_from_clean(list(settings.levels), baseline))
    labels = _labels(repetition, settings)
    measured = xr.Dataset(
        variables,
        coords={**labels, "training": list(TRAININGS), "baseline": list(BASELINES)},
        attrs={"task": repetition.data.task},
    )
    return measured.merge(measure_composing(repetition, MEASURED, settings))


def _facts(repetition: Repetition) -> tuple[int, ...]:
    """Numbers about a table, in the order of ``TABLE_FACTS``."""
    table, data = repetition.table, repetition.data
    texts = int((table.features.dtypes != np.float64).sum())
    missing = int(table.features.isna().sum().sum())
    shape = len(table.target), len(data.train_inputs), table.features.shape[1]
    return (*shape, texts, data.train_inputs.shape[1], missing)


def _labels(repetition: Repetition, settings: ComparisonSettings) -> dict[str, list[str] | list[float]]:
    """What both stages are labelled with."""
    return {
        "target_noise": list(repetition.noises),
        "keep_prob": list(settings.keep_probs),
        "metric": list(metrics_of(repetition.data)),
        "level": list(settings.levels),
        "share": list(settings.snapshots),
    }
