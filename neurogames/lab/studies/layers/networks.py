"""The networks of the study, their rows, and how they are trained."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurogames._arguments import invalid_argument
from neurogames.bridge.training.train import train
from neurogames.lab.data.images import Images, grey_images
from neurogames.lab.studies.layers.settings import LayersSettings

Rows = tuple[Tensor, Tensor]
_BATCH = 64
_FILTERS, _HIDDEN = (8, 16), (64, 64, 32)
SGD = functools.partial(torch.optim.SGD, lr=0.05, momentum=0.9)
ADAM = functools.partial(torch.optim.Adam, lr=2e-3)


@dataclass(frozen=True, eq=False)
class StudyRows:
    """Rows of one repetition.

    Attributes:
        training: what networks are trained on.
        further: training rows of the data that they do not see.
        test: test rows of the data, the same in all repetitions.
        n_classes: number of classes.
    """

    training: Rows
    further: Rows
    test: Rows
    n_classes: int


@functools.lru_cache(maxsize=2)
def _images(data: str, rows: int | None) -> Images:
    return grey_images(data, rows=rows)


def check_data(settings: LayersSettings) -> None:
    """Refuse data with too few rows.

    Raises:
        ValueError: naming the setting.
    """
    rows = len(_images(settings.data, settings.rows).inputs)
    least = max(settings.adaptation_rows + settings.check_rows, settings.certificate_rows, settings.curvature_rows)
    if 3 * least > rows:
        raise invalid_argument("rows", rows, f"at least {3 * least}, of which a third is kept back")


def study_rows(settings: LayersSettings, seed: int) -> StudyRows:
    """Split the rows of the data: two thirds of the training rows are trained on."""
    found = _images(settings.data, settings.rows)
    order = torch.randperm(len(found.inputs), generator=torch.Generator().manual_seed(seed))
    inputs, targets = found.inputs[order], found.targets[order]
    cut, used = 2 * len(inputs) // 3, slice(0, settings.test_rows)
    return StudyRows(
        (inputs[:cut], targets[:cut]),
        (inputs[cut:], targets[cut:]),
        (found.test_inputs[used], found.test_targets[used]),
        found.n_classes,
    )


def build_network(kind: str, rows: StudyRows, seed: int) -> nn.Sequential:
    """Build an untrained network of four layers; the same seed gives the same weights."""
    features = rows.training[0][0].numel()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "MLP":
            sizes = [features, *_HIDDEN, rows.n_classes]
            parts: list[nn.Module] = [nn.Flatten()]
            for fan_in, fan_out in itertools.pairwise(sizes):
                parts += [nn.Linear(fan_in, fan_out), nn.ReLU()]
            return nn.Sequential(*parts[:-1])
        return nn.Sequential(
            nn.Conv2d(1, _FILTERS[0], 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(_FILTERS[0], _FILTERS[1], 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(4),
            nn.Flatten(),
            nn.Linear(16 * _FILTERS[1], 32),
            nn.ReLU(),
            nn.Linear(32, rows.n_classes),
        )


def trained_network(
    model: nn.Module,
    rows: Rows,
    *,
    optimizer: Callable[..., torch.optim.Optimizer] = ADAM,
    epochs: int,
    seed: int,
    on_epoch: Callable[[int, nn.Module], object] | None = None,
) -> nn.Module:
    """Train a copy of a network with cross-entropy."""
    return train(
        model,
        functional.cross_entropy,
        rows,
        optimizer=optimizer,
        epochs=epochs,
        batch_size=min(_BATCH, len(rows[0])),
        rng=torch.Generator().manual_seed(seed),
        on_epoch=on_epoch,
    ).model


@torch.no_grad()
def loss_and_accuracy(model: nn.Module, rows: Rows) -> tuple[float, float]:
    """Mean cross-entropy and accuracy."""
    outputs = model(rows[0])
    right = (outputs.argmax(dim=1) == rows[1]).double().mean()
    return float(functional.cross_entropy(outputs, rows[1])), float(right)


def cut(rows: Rows, start: int, count: int) -> Rows:
    """Some rows."""
    return rows[0][start : start + count], rows[1][start : start + count]
