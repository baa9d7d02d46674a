"""The law itself on chains: how far masked training is from its law, and how fast single layers learn.

To first order in the learning rate gradient dropout is its law. What is left is a diffusion, so the distance of
predictions falls as the square root of the rate when time (rate times steps) is held fixed.
"""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from neurogames.bridge import initial_ensemble, train_ensemble
from neurogames.lab.studies.gradient_dropout.course import DROPOUT, FEEDBACK, LAW, PLAIN, Rows
from neurogames.lab.studies.gradient_dropout.settings import GradientDropoutSettings, Recipe, law_grid

TINY = 1e-7
"""A learning rate at which gradients stay what they are at the start."""


def measure_distances(rows: Rows, settings: GradientDropoutSettings, seed: int) -> xr.Dataset:
    """Measure how far masked training is from its law, over a decade of learning rates at equal time.

    Returns:
        Over chain_optimizer and step (the learning rate in units of the largest): ``distance_law`` and
        ``distance_plain``, root mean square differences of predictions on test rows to gradient dropout; missing for
        classes, whose outputs have no unit.
    """
    if rows.loss != "mse":
        return _distances(np.full((2, 2, settings.law_rates), np.nan), settings)
    firsts = [Recipe("sgd", settings.sgd_rates[0]), Recipe("adam", settings.adam_rates[0])]
    found = np.empty((2, len(firsts), settings.law_rates))
    for row, (optimizer, first) in enumerate(firsts):
        for column, rate in enumerate(law_grid(settings.law_rates, first)):
            ways = (LAW, PLAIN, DROPOUT)
            trained = train_ensemble(
                rows.inputs,
                rows.targets,
                seeds=[seed] * len(ways),
                hidden=settings.hidden,
                loss=rows.loss,
                keep_prob=[1.0 if way == PLAIN else settings.course_keep for way in ways],
                feedback=[FEEDBACK[way] for way in ways],
                learning_rate=rate,
                epochs=settings.epochs * first / rate,
                batch_size=settings.batch_sizes[0],
                optimizer=optimizer,
            )
            law, plain, masked = trained.ensemble(rows.test_inputs).double()
            found[:, row, column] = [float((masked - one).square().mean().sqrt()) for one in (law, plain)]
    return _distances(found, settings)


def measure_layer_rates(rows: Rows, settings: GradientDropoutSettings, seed: int) -> NDArray[np.float64]:
    """Measure the rates of single layers under SGD with masks, as multiples of plain training's.

    With d_l the way that the weights of layer l have gone after many tiny steps, masked and plain on the same rows::

        rate_l = <d_l masked, d_l plain> / <d_l plain, d_l plain>

    Returns:
        (layers,) rates, the output layer last.
    """
    inputs, targets = rows.inputs.double(), rows.targets
    steps_per_epoch = -(-len(inputs) // settings.batch_sizes[0])
    trained = train_ensemble(
        inputs,
        targets.double() if targets.is_floating_point() else targets,
        seeds=[seed, seed],
        hidden=settings.hidden,
        loss=rows.loss,
        keep_prob=[settings.course_keep, 1.0],
        learning_rate=TINY,
        epochs=settings.rate_steps / steps_per_epoch,
        batch_size=settings.batch_sizes[0],
        optimizer="sgd",
    )
    start = initial_ensemble(trained.ensemble.widths, [seed, seed], dtype=torch.float64)
    rates = []
    for before, after in zip(start.weights, trained.ensemble.weights, strict=True):
        masked, plain = (after - before).flatten(1)
        rates.append(float(masked @ plain / plain.square().sum()))
    return np.array(rates)


def _distances(values: NDArray[np.float64], settings: GradientDropoutSettings) -> xr.Dataset:
    """Distances (law and plain, optimizer, step) with their labels."""
    labels = {"chain_optimizer": ["sgd", "adam"], "step": law_grid(settings.law_rates, 1.0)}
    dims = ("chain_optimizer", "step")
    return xr.Dataset({"distance_law": (dims, values[0]), "distance_plain": (dims, values[1])}, labels)
