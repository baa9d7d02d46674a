"""The course of composition over a training, where a shortcut is planted: plain, with the law, and with masks.

A unit of the last hidden layer composes when holding it at its mean raises the loss on test rows whose shortcut is
broken (``neurogames.bridge.shortcut_composition``). Units first learn what composes, then a strong detour takes them.
A mask stretches time: the same course is run through later, and the law, plain training with the mean of the mask,
predicts when.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from neurogames._arguments import invalid_argument
from neurogames.bridge import Ensemble, shortcut_composition, train_ensemble
from neurogames.bridge.ensembles.ensemble import Feedback
from neurogames.lab.data.images import Images
from neurogames.lab.data.preparation import Prepared
from neurogames.lab.data.shortcut import Kind, PlantedShortcut, plant_shortcut

Optimizer = Literal["adam", "sgd"]

PLAIN, LAW, DROPOUT, GAUSSIAN = "plain", "law", "dropout", "gaussian"
FEEDBACK: dict[str, Feedback] = {PLAIN: "dropout", LAW: "mean", DROPOUT: "dropout", GAUSSIAN: "gaussian"}
"""What reaches hidden units in each way of training; plain has keep probability 1."""
TIMES = (0.0, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.33, 0.42, 0.5, 0.65, 0.8, 1.0)
"""Shares of training at which units are looked at."""


class Rows(NamedTuple):
    """Rows as networks take them: training and test rows with the shortcut, and test rows with it broken."""

    inputs: Tensor
    targets: Tensor
    test_inputs: Tensor
    broken_inputs: Tensor
    test_targets: Tensor

    @property
    def loss(self) -> Literal["mse", "cross_entropy"]:
        """The loss for these targets."""
        return "mse" if self.targets.is_floating_point() else "cross_entropy"


def measure_course(
    data: Prepared | Images,
    *,
    seed: int,
    ways: Sequence[str] = (LAW, PLAIN, DROPOUT),
    strength: float = 0.9,
    kind: Kind | None = None,
    keep_prob: float = 0.2,
    optimizer: Optimizer = "adam",
    learning_rate: float = 1e-3,
    batch_size: int = 64,
    epochs: int = 40,
    hidden: tuple[int, ...] = (64, 64),
    times: Sequence[float] = TIMES,
) -> xr.Dataset:
    """Follow the share of units that compose through one training, in each of several ways.

    All ways start from the same weights and see the same rows in the same order. So the law can be asked for, and
    stored, before a network with masks is trained: what one way gives does not depend on the others.

    Args:
        data: a prepared table, or images.
        seed: of the planted shortcut, the initial weights, the order of the rows and the masks.
        ways: some of "plain", "law", "dropout" and "gaussian".
        strength: of the shortcut, in [0, 1], see :func:`neurogames.lab.plant_shortcut`.
        kind: of the shortcut; the first that suits the data if not given.
        keep_prob: probability in [0, 1] that a unit gets its gradient; plain training has 1.
        optimizer: "adam" or "sgd".
        learning_rate: > 0.
        batch_size: rows of a mini-batch.
        epochs: passes over the training rows.
        hidden: units of the hidden layers.
        times: increasing shares of training in [0, 1].

    Returns:
        For every way, over time: ``composing_WAY``, the share of the units of the last hidden layer that compose.

    Raises:
        ValueError: an unknown way, or what ``plant_shortcut`` and ``train_ensemble`` refuse.

    >>> from neurogames.lab import load_dataset, prepare
    >>> wine = prepare(load_dataset("wine"), rng=np.random.default_rng(0))
    >>> found = measure_course(wine, seed=0, ways=["law"], epochs=1, hidden=(4,), times=[0.0, 1.0])
    >>> found["composing_law"].dims, bool((found["composing_law"] <= 1).all())
    (('time',), True)
    """
    for way in ways:
        if way not in FEEDBACK:
            raise invalid_argument("ways", way, f"some of {', '.join(FEEDBACK)}")
    rows, network_seed = planted_rows(data, strength=strength, kind=kind, seed=seed)
    seen: list[NDArray[np.float64]] = []
    train_ensemble(
        rows.inputs,
        rows.targets,
        seeds=[network_seed] * len(ways),
        hidden=hidden,
        loss=rows.loss,
        keep_prob=[1.0 if way == PLAIN else keep_prob for way in ways],
        feedback=[FEEDBACK[way] for way in ways],
        learning_rate=learning_rate,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        record_at=list(times),
        on_record=lambda _, ensemble: seen.append(composing_share(ensemble, rows)),
    )
    shares = np.stack(seen, axis=1)
    return xr.Dataset(
        {f"composing_{way}": ("time", share) for way, share in zip(ways, shares, strict=True)},
        {"time": np.array(times, dtype=np.float64)},
    )


def planted_rows(data: Prepared | Images, *, strength: float, kind: Kind | None = None, seed: int) -> tuple[Rows, int]:
    """Return the data with a shortcut planted, and the seed of the networks that are trained on it.

    Args:
        data: a prepared table, or images.
        strength: of the shortcut, in [0, 1].
        kind: of the shortcut; the first that suits the data if not given.
        seed: decides both.
    """
    plant_seed, network_seed = (int(word) for word in np.random.SeedSequence(seed).generate_state(2))
    planted = plant_shortcut(data, strength=strength, kind=kind, rng=np.random.default_rng(plant_seed))
    return as_rows(planted), network_seed


def as_rows(planted: PlantedShortcut) -> Rows:
    """Return planted rows as tensors (rows, features), images flattened."""
    inputs, tests, broken = (
        torch.from_numpy(part.reshape(len(part), -1))
        for part in (planted.train_inputs, planted.test_inputs, planted.broken_inputs)
    )
    return Rows(inputs, torch.from_numpy(planted.train_targets), tests, broken, torch.from_numpy(planted.test_targets))


def composing_share(ensemble: Ensemble, rows: Rows) -> NDArray[np.float64]:
    """Return the share of units of the last hidden layer that compose, (networks,); NaN for a diverged network."""
    found = shortcut_composition(ensemble, rows.broken_inputs, rows.test_targets)
    last = found.layers == found.layers.max()
    share = found.composing[:, last].double().mean(dim=1)
    return share.masked_fill(found.scores[:, last].isnan().any(dim=1), torch.nan).numpy()
