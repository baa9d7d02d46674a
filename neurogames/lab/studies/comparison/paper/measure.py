"""What a run of the paper's protocol measures: first the law, then gradient dropout, by right and published loss.

The paper's public code subtracts labels (rows,) from outputs (rows, 1). The difference has the shape (rows, rows), so
its loss is the mean over all pairs of an output and a label, and draws every output towards the mean label of its
mini-batch::

    published loss = 1/B^2 sum_i sum_j (f_i - y_j)^2,    squared error = 1/B sum_i (f_i - y_i)^2
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurogames._arguments import invalid_argument
from neurogames.bridge import (
    CLASSIFICATION_METRICS,
    REGRESSION_METRICS,
    NoNoise,
    attach_gradient_dropout,
    initial_ensemble,
    sample_noise,
    train,
    train_ensemble,
)
from neurogames.bridge.ensembles.ensemble import Feedback
from neurogames.bridge.feedback.target_noise import TargetNoise
from neurogames.lab.data.datasets import load_dataset
from neurogames.lab.data.preparation import Prepared, prepare
from neurogames.lab.data.tables import short_name
from neurogames.lab.studies.comparison.baselines import BASELINES, baseline_models
from neurogames.lab.studies.comparison.paper.published import TABLES
from neurogames.lab.studies.comparison.paper.settings import PaperSettings
from neurogames.lab.studies.comparison.repetition import Repetition, metrics_of, robustness_curves, seeds_of

METRICS = (*REGRESSION_METRICS, *CLASSIFICATION_METRICS)
"""Those of both tasks; a table has NaN for the metrics of the other."""
CURVE = ("metric", "level")


def check_paper_data(settings: PaperSettings) -> None:
    """Load and prepare every table once.

    Raises:
        ValueError: if one cannot be used, or has fewer training rows than a batch.
    """
    for name in settings.data:
        rows = len(_open(name, settings.first_seed, settings).data.train_inputs)
        if rows < settings.batch_size:
            raise invalid_argument("batch_size", settings.batch_size, f"at most the {rows} training rows of {name}")


def measure_law(dataset: str, network: str, seed: int, *, settings: PaperSettings) -> xr.Dataset:
    """Train the law: plain training in which each hidden layer gets the mean of what the mask would let through.

    Returns:
        ``law_curve`` over target_noise, keep_prob, metric and level; NaN at keep 1, which is plain training.
    """
    repetition = _open(dataset, seed, settings)
    curves = _curves_of_ensemble(repetition, settings.hidden(network), "mean", settings)
    return _stored({"law_curve": (("target_noise", "keep_prob", *CURVE), curves)}, settings)


def measure_dropout(dataset: str, network: str, seed: int, *, settings: PaperSettings) -> xr.Dataset:
    """Train with gradient dropout, and fit the baselines.

    Returns:
        ``curve`` over target_noise, keep_prob, metric and level; ``baseline_curve`` over baseline, metric and level;
        ``regression`` (whether the table is one) and ``training_rows``.
    """
    repetition = _open(dataset, seed, settings)
    curves = _curves_of_ensemble(repetition, settings.hidden(network), "dropout", settings)
    baselines = np.stack([_curves(one, repetition, settings) for one in _raw_baselines(repetition.data)])
    variables = {
        "curve": (("target_noise", "keep_prob", *CURVE), curves),
        "baseline_curve": (("baseline", *CURVE), baselines),
        "regression": ((), repetition.data.task == "regression"),
        "training_rows": ((), len(repetition.data.train_inputs)),
    }
    return _stored(variables, settings).assign_coords(baseline=list(BASELINES))


def measure_published_loss(dataset: str, network: str, seed: int, *, settings: PaperSettings) -> xr.Dataset:
    """Train with gradient dropout by the loss of the paper's public code, from the same initial weights.

    Returns:
        ``published_curve`` over target_noise, keep_prob, metric and level; NaN for classification, whose loss is as
        it should be.
    """
    repetition = _open(dataset, seed, settings)
    curves = _nothing(settings)
    if repetition.data.task == "regression":
        for name, noise in repetition.noises.items():
            for k, keep_prob in enumerate(settings.keep_probs):
                place = settings.target_noises.index(name), k
                curves[place] = _published_loss(repetition, settings.hidden(network), noise, keep_prob, settings)
    return _stored({"published_curve": (("target_noise", "keep_prob", *CURVE), curves)}, settings)


def _open(dataset: str, seed: int, settings: PaperSettings) -> Repetition:
    """Split a table, left in its own units, with the noises that are meant for it."""
    split_seed, network_seed, noise_seed = seeds_of(dataset, seed)
    table = load_dataset(dataset, target=settings.target, task=settings.task_of(dataset))
    data = prepare(table, standardise=False, rng=np.random.default_rng(split_seed))
    own_number = TABLES.get(short_name(dataset), (None, None))[0]
    named = {name: settings.named_noise(name) for name in settings.target_noises}
    noises = {name: one.noise for name, one in named.items() if one.table in (None, own_number)}
    if data.task == "classification":
        noises = {name: noise for name, noise in noises.items() if isinstance(noise, NoNoise)}
    return Repetition(table, data, noises, network_seed, noise_seed)


def _curves_of_ensemble(
    repetition: Repetition, hidden: tuple[int, ...], feedback: Feedback, settings: PaperSettings
) -> NDArray[np.float64]:
    """Train a network for every target noise and keep probability, and draw its curves."""
    data, curves = repetition.data, _nothing(settings)
    keeps = settings.keep_probs if feedback == "dropout" else settings.keep_probs[:-1]
    places = [(settings.target_noises.index(name), k) for name in repetition.noises for k in range(len(keeps))]
    if not places:
        return curves
    trained = train_ensemble(
        torch.from_numpy(data.train_inputs),
        torch.from_numpy(data.train_targets),
        seeds=[repetition.network_seed] * len(places),
        hidden=hidden,
        loss="mse" if data.task == "regression" else "cross_entropy",
        keep_prob=[keeps[k] for _, k in places],
        feedback=feedback,
        target_noise=[repetition.noises[settings.target_noises[n]] for n, _ in places],
        learning_rate=settings.learning_rate,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
    )
    measured = _curves(trained.ensemble, repetition, settings)
    measured[~trained.finished] = np.nan
    for place, one in zip(places, measured, strict=True):
        curves[place] = one
    return curves


def _published_loss(
    repetition: Repetition, hidden: tuple[int, ...], noise: TargetNoise, keep_prob: float, settings: PaperSettings
) -> NDArray[np.float64]:
    """Curves of one network trained by the mean over all pairs of an output and a label."""
    data = repetition.data
    widths = (data.train_inputs.shape[1], *hidden, 1)
    model = initial_ensemble(widths, [repetition.network_seed]).network(0)
    masks, order, draws = (torch.Generator().manual_seed(repetition.network_seed + k) for k in range(3))
    if keep_prob < 1.0:
        attach_gradient_dropout(model, keep_prob, rng=masks)
    trained = train(
        model,
        functools.partial(_all_pairs, noise=noise, deviation=float(data.train_targets.std()), rng=draws),
        (torch.from_numpy(data.train_inputs), torch.from_numpy(data.train_targets)),
        optimizer=functools.partial(torch.optim.Adam, lr=settings.learning_rate),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        rng=order,
    )
    found = _curves(trained.model, repetition, settings)
    return found if trained.status == "ok" else np.full_like(found, np.nan)


def _all_pairs(
    outputs: Tensor, labels: Tensor, *, noise: TargetNoise, deviation: float, rng: torch.Generator
) -> Tensor:
    """Mean over all pairs of an output and a label with its noise of their squared difference."""
    noisy = labels.ravel() + sample_noise(noise, labels.ravel().shape, deviation=deviation, rng=rng)
    return (outputs.reshape(-1, 1) - noisy).square().mean()


def _raw_baselines(data: Prepared) -> list[Any]:
    """Baselines as predictors from rows in their own units, fitted on standardised rows for better conditioning."""
    mean, std = data.train_inputs.mean(axis=0), data.train_inputs.std(axis=0)
    middle, spread = 0.0, 1.0
    standard = replace(data, train_inputs=(data.train_inputs - mean) / std)
    if data.task == "regression":
        middle, spread = float(data.train_targets.mean()), float(data.train_targets.std())
        standard = replace(standard, train_targets=(data.train_targets - middle) / np.float32(spread))

    def from_own_units(model: Any) -> Any:
        return lambda inputs: model((inputs - torch.from_numpy(mean)) / torch.from_numpy(std)) * spread + middle

    return [from_own_units(model) for model in baseline_models(standard)]


def _curves(predict: Any, repetition: Repetition, settings: PaperSettings) -> NDArray[np.float64]:
    """Curves (networks, metric, level), or (metric, level) of one model, with NaN for metrics of the other task."""
    found = robustness_curves(predict, repetition, settings)
    whole = np.full((*found.shape[:-2], len(METRICS), len(settings.levels)), np.nan)
    whole[..., [METRICS.index(name) for name in metrics_of(repetition.data)], :] = found
    return whole


def _nothing(settings: PaperSettings) -> NDArray[np.float64]:
    """NaN for every target noise, keep probability, metric and level."""
    shape = len(settings.target_noises), len(settings.keep_probs), len(METRICS), len(settings.levels)
    return np.full(shape, np.nan)


def _stored(variables: dict[str, Any], settings: PaperSettings) -> xr.Dataset:
    """Values with the labels that all parts share."""
    labels = {
        "target_noise": list(settings.target_noises),
        "keep_prob": list(settings.keep_probs),
        "metric": list(METRICS),
        "level": list(settings.levels),
    }
    used = {dim for dims, _ in variables.values() for dim in dims}
    return xr.Dataset(variables, coords={name: values for name, values in labels.items() if name in used})
