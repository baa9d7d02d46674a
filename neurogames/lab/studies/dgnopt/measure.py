"""What the study measures: settings are chosen once, and then every repetition trains with them."""

from __future__ import annotations

import time

import numpy as np
import xarray as xr

from neurogames.bridge import count_parameters
from neurogames.lab.studies.dgnopt.methods import METHODS, check_peers
from neurogames.lab.studies.dgnopt.settings import DGNOptSettings
from neurogames.lab.studies.dgnopt.training import (
    Course,
    Rows,
    fresh_network,
    mean,
    step_cost,
    steps_in,
    study_rows,
    train_one,
    tuning_rows,
)

TUNING_SEED = 10_000
"""Seed of the start from which settings are chosen; none of the repetitions'."""


def check_data(settings: DGNOptSettings) -> None:
    """Refuse a missing package, and images that cannot be used.

    Raises:
        ValueError: a package is missing, there are no such images, or fewer held-in rows than a batch.
    """
    check_peers()
    tuning_rows(study_rows(settings))


def measure_tuning(seed: int, *, settings: DGNOptSettings) -> xr.Dataset:
    """Try the settings of every method on held-out training rows, and count what a step costs.

    Returns:
        Over network, optimizer and trial ``trial_accuracy`` and ``trial_seconds``; over network and optimizer ``rate``
        and ``second``, the chosen settings, ``held_out``, their accuracy, ``flops`` and ``state`` (bytes);
        over network ``parameters``, their number; and ``tests``, the number of test rows.
    """
    rows, shape = tuning_rows(study_rows(settings)), (len(settings.networks), len(METHODS))
    scores, seconds = (np.zeros((*shape, settings.trials)) for _ in range(2))
    found = {name: np.zeros(shape) for name in ("rate", "second", "held_out", "flops", "state")}
    for i, network in enumerate(settings.networks):
        for j, (name, method) in enumerate(METHODS.items()):
            trials = method.trials(settings.trials)
            for k, (rate, second) in enumerate(trials):
                begun = time.process_time()
                scores[i, j, k] = _trained(network, name, rate, second, rows, settings, seed + TUNING_SEED).final
                seconds[i, j, k] = time.process_time() - begun
            best = int(scores[i, j].argmax())
            model = fresh_network(network, rows, settings, seed)
            optimizer = method.build(model, *trials[best], settings.refresh)
            flops, state = step_cost(model, optimizer, rows, settings)
            values = (*trials[best], scores[i, j, best], flops, state)
            for key, value in zip(found, values, strict=True):
                found[key][i, j] = value
    dims = ("network", "optimizer")
    variables = {
        "trial_accuracy": ((*dims, "trial"), scores),
        "trial_seconds": ((*dims, "trial"), seconds),
        **{key: (dims, values) for key, values in found.items()},
        "parameters": ("network", [_parameters(network, rows, settings) for network in settings.networks]),
        "tests": len(study_rows(settings).test_inputs),
    }
    return xr.Dataset(variables, {"network": list(settings.networks), "optimizer": list(METHODS)})


def measure_accuracy(seed: int, *, settings: DGNOptSettings, known: xr.Dataset) -> xr.Dataset:
    """Train every network by every method with its chosen settings.

    Args:
        seed: number of the repetition.
        settings: those of the study.
        known: what :func:`measure_tuning` gives.

    Returns:
        Over network and optimizer, ``accuracy`` at recorded steps, and ``step_seconds``, ``clamped`` and ``feedback``
        (means over steps), ``diverged``.
    """
    rows = study_rows(settings)
    last = steps_in(rows, settings)
    steps = sorted({*range(0, last + 1, settings.record), last})
    shape = (len(settings.networks), len(METHODS))
    accuracies = np.zeros((*shape, len(steps)))
    ends = {name: np.zeros(shape) for name in ("step_seconds", "clamped", "feedback", "diverged")}
    for i, network in enumerate(settings.networks):
        for j, name in enumerate(METHODS):
            chosen = known.sel(network=network, optimizer=name)
            rate, second = float(chosen["rate"]), float(chosen["second"])
            course = _trained(network, name, rate, second, rows, settings, seed)
            accuracies[i, j] = [course.accuracy.get(step, course.final) for step in steps]
            means = (mean(course.clamped), mean(course.feedback))
            values = (course.seconds / len(course.lengths), *means, course.diverged)
            for key, value in zip(ends, values, strict=True):
                ends[key][i, j] = value
    dims = ("network", "optimizer")
    variables = {"accuracy": ((*dims, "step"), accuracies), **{key: (dims, value) for key, value in ends.items()}}
    coordinates = {"network": list(settings.networks), "optimizer": list(METHODS), "step": steps}
    return xr.Dataset(variables, coordinates)


def _parameters(network: str, rows: Rows, settings: DGNOptSettings) -> int:
    """Number of parameters of a network."""
    return count_parameters(fresh_network(network, rows, settings, 0))


def _trained(
    network: str, name: str, rate: float, second: float, rows: Rows, settings: DGNOptSettings, seed: int
) -> Course:
    """A network trained by a method from a seed."""
    method, model = METHODS[name], fresh_network(network, rows, settings, seed)
    optimizer = method.build(model, rate, second, settings.refresh)
    return train_one(model, optimizer, rows, settings, seed, clip=second if method.clips else None)
