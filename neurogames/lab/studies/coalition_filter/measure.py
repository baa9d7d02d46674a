"""One repetition of the NEUROGAME study: every filter and every control, trained from one start on one order of rows.

All networks with a trunk start from the same weights, see the same mini-batches and have the same number of epochs.
Losses are measured after each epoch on all training and all test rows, in ``eval()``: a filter then has the last
level of its threshold. Nothing is chosen by the test rows; the networks of the last epoch count.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn
from torch.nn import functional

from neurogames._arguments import invalid_argument
from neurogames.bridge.coalition_filter.coalition_layers import CoalitionFilter, set_progress
from neurogames.bridge.coalition_filter.neurogame_net import NeuroGameNet, matched_mlp, parameter_count
from neurogames.bridge.training.rule import Moment, Rule
from neurogames.bridge.training.train import train
from neurogames.lab.data.images import Images, grey_images
from neurogames.lab.studies.coalition_filter.maps import measure_examples, measure_maps
from neurogames.lab.studies.coalition_filter.settings import CONTROLS, MLP, NeurogameSettings, coalition_filter

_BATCH = 1000
HISTORY = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "active")


def check_data(settings: NeurogameSettings) -> None:
    """Refuse data with too few rows, and windows larger than the images.

    Raises:
        ValueError: naming the setting.
    """
    images = study_images(settings)
    for name, fewest, rows in (
        ("batch_size", settings.batch_size, len(images.inputs)),
        ("explained", settings.explained, len(images.test_inputs)),
    ):
        if fewest > rows:
            raise invalid_argument(name, fewest, f"at most the {rows} rows there are")
    for window, *_ in settings.variants:
        if window > min(images.shape):
            raise invalid_argument(
                "variants", f"windows of {window} x {window}", f"windows within images of {images.shape}"
            )


def measure_neurogame(seed: int, *, settings: NeurogameSettings) -> xr.Dataset:
    """Train every arm and measure it.

    Args:
        seed: of first weights, order of rows, random masks and random maps.
        settings: those of the study.

    Returns:
        Over (arm, epoch): losses, accuracies and ``active``, the share of units behind the gate that are not 0. Over
        arm: ``passed``, the share that the gate lets through, ``parameters`` and ``seconds`` (median of an epoch's
        training). Over (filter, map, ...): what ``maps`` measures.
    """
    images = study_images(settings)
    maps: list[xr.Dataset] = []
    histories, lasts, examples = [], [], xr.Dataset()
    for arm in settings.arms:
        model, history, seconds = train_arm(build_arm(arm, settings, images, seed), images, settings, seed)
        histories.append(history)
        lasts.append((passed_share(model, images.test_inputs), parameter_count(model), seconds))
        if isinstance(model, NeuroGameNet) and arm in settings.filters:
            examples = examples if maps else measure_examples(model, images)
            maps.append(measure_maps(model, images, settings.explained, seed))
    measured = np.array(histories)
    result = xr.Dataset(
        {name: (("arm", "epoch"), measured[:, :, place]) for place, name in enumerate(HISTORY)},
        {"arm": list(settings.arms), "epoch": np.arange(1, settings.epochs + 1)},
    )
    for name, values in zip(("passed", "parameters", "seconds"), zip(*lasts, strict=True), strict=True):
        result[name] = ("arm", list(values))
    return result.merge(xr.concat(maps, "filter").assign_coords(filter=list(settings.filters))).merge(examples)


def study_images(settings: NeurogameSettings) -> Images:
    """Load the images of a study, cut to its test rows."""
    found = grey_images(settings.data, rows=settings.rows)
    used = slice(0, settings.test_rows)
    return Images(
        found.name, found.inputs, found.targets, found.test_inputs[used], found.test_targets[used], found.source
    )


def build_arm(arm: str, settings: NeurogameSettings, images: Images, seed: int) -> nn.Module:
    """Build an untrained network by the name of its arm; the same seed gives every trunk the same weights."""
    rng = torch.Generator().manual_seed(2 * seed)
    if arm == MLP:
        trunk = NeuroGameNet(images.shape, images.n_classes, rng=torch.Generator().manual_seed(0))
        return matched_mlp(images.shape, images.n_classes, parameter_count(trunk), rng=rng)
    variant = settings.variants[0 if arm in CONTROLS else settings.filters.index(arm)]
    gate = CONTROLS.get(arm, "coalition")
    return NeuroGameNet(images.shape, images.n_classes, rng=rng, coalitions=coalition_filter(variant), gate=gate)


class _FollowProgress(Rule):
    """Moves the filters of a network along their schedules, the last step at their last level."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def exchange(self, moment: Moment) -> dict[str, Tensor]:
        """Set the progress of this step."""
        set_progress(self._model, moment.step / max(moment.steps - 1, 1))
        return {}


def train_arm(
    model: nn.Module, images: Images, settings: NeurogameSettings, seed: int
) -> tuple[nn.Module, list[tuple[float, ...]], float]:
    """Train a copy of a network; returns it, its history (epochs, ``HISTORY``), and the median seconds of an epoch."""
    history: list[tuple[float, ...]] = []
    marks = [time.perf_counter()]

    def measure(_epoch: int, network: nn.Module) -> None:
        marks.append(time.perf_counter())
        train_loss, train_accuracy, _ = _measured(network, images.inputs, images.targets)
        test_loss, test_accuracy, active = _measured(network, images.test_inputs, images.test_targets)
        history.append((train_loss, test_loss, train_accuracy, test_accuracy, active))
        marks.append(time.perf_counter())

    trained = train(
        model,
        functional.cross_entropy,
        (images.inputs, images.targets),
        optimizer=functools.partial(torch.optim.Adam, lr=settings.learning_rate),
        rule=_FollowProgress,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        rng=torch.Generator().manual_seed(2 * seed + 1),
        on_epoch=measure,
    )
    return trained.model, history, float(np.median(np.diff(marks)[::2]))


@torch.no_grad()
def passed_share(model: nn.Module, inputs: Tensor) -> float:
    """Share of the units that the gate of a network lets through; 1 where there is no filter."""
    model.eval()
    if not isinstance(model, NeuroGameNet):
        return 1.0
    coalitions = getattr(model.gate, "coalitions", model.gate)
    if not isinstance(coalitions, CoalitionFilter):
        return 1.0
    shares = [
        coalitions.mask(model.activation(model.convolution(part))).double().mean((1, 2, 3))
        for part in inputs.split(_BATCH)
    ]
    return float(torch.cat(shares).mean())


@torch.no_grad()
def _measured(model: nn.Module, inputs: Tensor, targets: Tensor) -> tuple[float, float, float]:
    """Loss, accuracy, and share of units behind the gate that are not 0 (for an MLP, of its hidden units)."""
    model.eval()
    place = model.gate if isinstance(model, NeuroGameNet) else model.get_submodule("2")
    with _outputs_of(place) as seen:
        scores = torch.cat([model(part) for part in inputs.split(_BATCH)])
    active = sum(int(part.count_nonzero()) for part in seen) / sum(part.numel() for part in seen)
    accuracy = float((scores.argmax(dim=1) == targets).double().mean())
    return float(functional.cross_entropy(scores, targets)), accuracy, active


@contextmanager
def _outputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """List what a module puts out meanwhile."""
    seen: list[Tensor] = []
    handle = module.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    try:
        yield seen
    finally:
        handle.remove()
