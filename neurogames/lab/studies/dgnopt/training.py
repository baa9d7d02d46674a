"""One training of one network: its accuracy over time, and what a step costs."""

from __future__ import annotations

import functools
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from neurogames.bridge import DGNOpt
from neurogames.lab.data.images import Images, load_images
from neurogames.lab.studies.dgnopt.networks import untrained
from neurogames.lab.studies.dgnopt.settings import HELD_OUT, DGNOptSettings

Closure = Callable[[], Any]
WARM_UP = 0.1
"""Share of the steps over which the rate of clipped SGD rises."""


class Rows(NamedTuple):
    """Rows to train on, and rows to test on."""

    inputs: Tensor
    targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.inputs.shape[1:]
        return channels, height, width


@dataclass(eq=False)
class Course:
    """What a training did.

    Attributes:
        accuracy: on test rows, by steps taken; the last is that of the end.
        lengths: Euclidean length of each step, over all parameters.
        clamped: share of rows in each step whose feedback was cut off, for DGNOpt.
        feedback: |K dx| / |k| in each step, for DGNOpt.
        seconds: processor time of all steps, without tests.
        reward_seconds: wall time of DGNOpt's rewards, which is part of it.
        diverged: whether the loss was not finite at some step, or DGNOpt skipped one.
    """

    accuracy: dict[int, float] = field(default_factory=dict)
    lengths: list[float] = field(default_factory=list)
    clamped: list[float] = field(default_factory=list)
    feedback: list[float] = field(default_factory=list)
    seconds: float = 0.0
    reward_seconds: float = 0.0
    diverged: bool = False

    @property
    def final(self) -> float:
        """Accuracy at the end."""
        return self.accuracy[max(self.accuracy)]

    def steps_to(self, target: float) -> float:
        """Return the first recorded number of steps at which a target is reached; nan if it is not.

        >>> Course({0: 0.1, 4: 0.9}).steps_to(0.8)
        4
        """
        return next((step for step, value in sorted(self.accuracy.items()) if value >= target), math.nan)


@functools.lru_cache(maxsize=2)
def open_rows(data: str, side: int, rows: int | None, test_rows: int | None) -> Rows:
    """Load images, averaged down, in the order in which they are stored."""
    images: Images = load_images(data)
    factor = max(1, min(images.shape) // side)
    small, tests = (functional.avg_pool2d(part, factor) for part in (images.inputs[:rows], images.test_inputs))
    return Rows(small, images.targets[:rows], tests[:test_rows], images.test_targets[:test_rows])


def study_rows(settings: DGNOptSettings) -> Rows:
    """Return the rows of a study."""
    return open_rows(settings.data, settings.side, settings.rows, settings.test_rows)


def tuning_rows(rows: Rows) -> Rows:
    """Return training rows only: most to train on, the others to choose settings by."""
    cut = len(rows.inputs) - max(1, round(HELD_OUT * len(rows.inputs)))
    return Rows(rows.inputs[:cut], rows.targets[:cut], rows.inputs[cut:], rows.targets[cut:])


def fresh_network(network: str, rows: Rows, settings: DGNOptSettings, seed: int) -> nn.Module:
    """Return an untrained network that fits the rows."""
    return untrained(network, rows.shape, int(rows.targets.max()) + 1, settings.width, seed)


def mean(values: Sequence[float]) -> float:
    """Return the mean of finite values; 0 if there are none."""
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else 0.0


def steps_in(rows: Rows, settings: DGNOptSettings) -> int:
    """Return how many steps a training has; batches are whole."""
    return settings.epochs * max(1, len(rows.inputs) // settings.batch_size)


def train_one(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    rows: Rows,
    settings: DGNOptSettings,
    seed: int,
    *,
    clip: float | None = None,
    lengths: list[float] | None = None,
) -> Course:
    """Train a network in place.

    Args:
        model: the network, in training mode.
        optimizer: its optimizer.
        rows: what to train and test on.
        settings: those of the study.
        seed: of the order of the rows.
        clip: norm at which gradients are clipped; then the rate rises over the first tenth of the steps.
        lengths: how long each step is to be made; as the optimizer makes it, if not given.

    Returns:
        What it did. A training whose loss is not finite ends there.
    """
    course, steps = Course(), steps_in(rows, settings)
    warm_up = max(1, round(WARM_UP * steps))
    rates = [group["lr"] for group in optimizer.param_groups] if clip is not None else []
    course.accuracy[0] = accuracy(model, rows)
    for step, batch in enumerate(_batches(rows, settings, seed), start=1):
        for group, rate in zip(optimizer.param_groups, rates, strict=False):
            group["lr"] = rate * min(1.0, step / warm_up)
        closure = _closure(model, optimizer, rows.inputs[batch], rows.targets[batch], clip)
        before = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
        begun = time.process_time()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*the step is skipped")  # it is counted instead
            loss = optimizer.step(closure)
        course.seconds += time.process_time() - begun
        _note(course, model, optimizer, before, lengths[step - 1] if lengths else None)
        if not math.isfinite(float(loss)):
            course.diverged = True
            break
        if step % settings.record == 0:
            course.accuracy[step] = accuracy(model, rows)
    course.accuracy[steps] = accuracy(model, rows)
    return course


def step_cost(
    model: nn.Module, optimizer: torch.optim.Optimizer, rows: Rows, settings: DGNOptSettings
) -> tuple[float, int]:
    """Train a network for one period between eigenbases, and count.

    Returns:
        Floating-point operations of a step, as torch counts them (products of matrices and convolutions; no
        eigendecompositions), and the bytes that the optimizer keeps between steps.
    """
    batches, taken = _batches(rows, settings, 0), 0
    with FlopCounterMode(display=False) as counter:
        for batch, _ in zip(batches, range(settings.refresh), strict=False):
            optimizer.step(_closure(model, optimizer, rows.inputs[batch], rows.targets[batch], None))
            taken += 1
    return counter.get_total_flops() / taken, _state_bytes(optimizer)


@torch.no_grad()
def accuracy(model: nn.Module, rows: Rows) -> float:
    """Return the share of test rows whose class is found; outputs that are no numbers find the first class."""
    outputs = torch.cat([model(part) for part in rows.test_inputs.split(1000)])
    return float((outputs.nan_to_num(-math.inf).argmax(dim=1) == rows.test_targets).double().mean())


def _batches(rows: Rows, settings: DGNOptSettings, seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    size = min(settings.batch_size, len(rows.inputs))
    for _ in range(settings.epochs):
        order = torch.randperm(len(rows.inputs), generator=generator)
        yield from order[: len(order) // size * size].split(size)


def _closure(
    model: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, targets: Tensor, clip: float | None
) -> Closure:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(inputs), targets)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        return loss.detach()

    return closure


@torch.no_grad()
def _note(
    course: Course, model: nn.Module, optimizer: torch.optim.Optimizer, before: Tensor, wanted: float | None
) -> None:
    """Note what a step did, after bringing it to a wanted length."""
    moved = nn.utils.parameters_to_vector(model.parameters()) - before
    length = float(moved.norm())
    if wanted is not None and length > 0 and math.isfinite(length):
        nn.utils.vector_to_parameters(before + moved * (wanted / length), model.parameters())
        length = wanted
    course.lengths.append(length)
    if isinstance(optimizer, DGNOpt):
        course.clamped.append(optimizer.last_step.clamped)
        course.feedback.append(optimizer.last_step.feedback)
        course.reward_seconds += optimizer.last_step.reward_seconds
        course.diverged |= not optimizer.last_step.taken


def _state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Bytes of the tensors in the state of an optimizer, each counted once."""
    found: dict[int, int] = {}
    waiting: list[object] = [optimizer.state]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Tensor):
            found[id(one)] = one.numel() * one.element_size()
        elif isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple)):
            waiting.extend(one)
        elif hasattr(one, "__dataclass_fields__"):
            waiting.extend(vars(one).values())
    return sum(found.values())
