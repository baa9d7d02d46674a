"""The gap, the coordination gap and the curvature of layers through trainings: SGD, Adam, gradient dropout, its twin.

What is said about it is a description; nothing was claimed before.
"""

from __future__ import annotations

import contextlib

import numpy as np
import torch
import xarray as xr
from torch import nn
from torch.nn import functional

from neurogames.bridge.extraction.nash_gap import nash_gap
from neurogames.bridge.feedback.attached import attach_gradient_dropout
from neurogames.bridge.feedback.mean_feedback import attach_mean_feedback
from neurogames.bridge.modules.evaluation import copy_module
from neurogames.lab.studies.layers.networks import (
    ADAM,
    SGD,
    StudyRows,
    build_network,
    cut,
    study_rows,
    trained_network,
)
from neurogames.lab.studies.layers.settings import WAYS, LayersSettings

COURSE = ("loss", "gap", "coordination_gap", "held_out_gap", "smallest_curvature", "largest_curvature")


def measure_course(seed: int, *, settings: LayersSettings) -> xr.Dataset:
    """Follow the gap of the MLP through each way of training.

    Returns:
        Over (way, checkpoint): ``course_NAME`` for each name of ``COURSE``; the held-out gap is the largest gain of a
        layer on held-out rows, the curvatures are the smallest of all parameters and the largest of a layer. Over
        (way, checkpoint): ``deviator``, the layer that gains most, from 1.
    """
    rows = study_rows(settings, seed)
    used = cut(rows.training, 0, settings.curvature_rows)
    held_out = cut(rows.further, 0, settings.curvature_rows)
    numbers = np.empty((len(WAYS), len(settings.checkpoints), len(COURSE) + 1))
    for place, way in enumerate(WAYS):
        for point, model in enumerate(checkpoints(way, rows, settings, seed)):
            found = nash_gap(
                model,
                functional.cross_entropy,
                used,
                held_out=held_out,
                starts=0,
                steps=settings.search_steps,
                rng=np.random.default_rng(seed),
            )
            assert found.held_out_gain is not None
            numbers[place, point] = (
                found.loss,
                found.gap,
                found.coordination_gap,
                found.held_out_gain.max(),
                found.joint_curvature,
                found.largest_curvature.max(),
                1 + int(found.gain.argmax()),
            )
    dims = ("way", "checkpoint")
    values = {f"course_{name}": (dims, numbers[..., column]) for column, name in enumerate(COURSE)}
    values["deviator"] = (dims, numbers[..., -1])
    return xr.Dataset(values, {"way": list(WAYS), "checkpoint": list(settings.checkpoints)})


def checkpoints(
    way: str, rows: StudyRows, settings: LayersSettings, seed: int, keep_prob: float | None = None
) -> list[nn.Module]:
    """The MLP at each checkpoint of one way of training."""
    keep_prob = settings.keep_prob if keep_prob is None else keep_prob
    model = build_network("MLP", rows, seed)
    found: list[nn.Module] = [copy_module(model)]
    handle: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    if way == "gradient dropout":
        handle = attach_gradient_dropout(model, keep_prob, rng=torch.Generator().manual_seed(seed))
    elif way == "mean feedback":
        handle = attach_mean_feedback(model, keep_prob)

    def keep(epoch: int, network: nn.Module) -> None:
        if epoch in settings.checkpoints:
            copy = build_network("MLP", rows, seed)
            copy.load_state_dict(network.state_dict())
            found.append(copy)

    with handle:
        trained_network(
            model,
            rows.training,
            optimizer=ADAM if way == "Adam" else SGD,
            epochs=settings.epochs,
            seed=seed,
            on_epoch=keep,
        )
    return found
