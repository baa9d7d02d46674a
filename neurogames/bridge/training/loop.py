"""The one training loop: every method of training is a network, a torch optimizer and a rule that go through it.

In each epoch the rows are shuffled once, by ``rng``. Several trainings share that order and take turns epoch by epoch.
A step is the optimizer's ``step`` with a closure that evaluates loss and slopes, so that optimizers that search along
a line work as well as those that ask once. Numbers below the least normal one count as 0 meanwhile: an optimizer's
memory of units without slope fades into them, and they are slow.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neurogames._arguments import integer, invalid_argument, number
from neurogames.bridge.modules.data import Data, Loss
from neurogames.bridge.training.network import ModuleNetwork, Network
from neurogames.bridge.training.rule import Moment, Rule
from neurogames.engine.schedules import Parameter

OptimizerFactory = Callable[..., torch.optim.Optimizer]
"""Builds an optimizer of the parameters that it is given, such as ``functools.partial(torch.optim.SGD, lr=0.1)``.

A class with ``takes_model = True``, or a partial of it, is called with the model, and with the parameters as
``params``: it puts hooks on the model, and takes them off by ``remove()``.
"""


@dataclass(frozen=True)
class Plan:
    """How often which rows are seen.

    Args:
        rows: number of training rows.
        epochs: passes over them.
        batch_size: rows of a mini-batch.
        drop_last: leave out the rows of an epoch that do not fill a batch.

    >>> plan = Plan(rows=70, epochs=2, batch_size=32)
    >>> plan.steps, [len(batch) for batch in plan.batches(torch.arange(70))]
    (6, [32, 32, 6])
    """

    rows: int
    epochs: int
    batch_size: int
    drop_last: bool = False

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        integer("epochs", self.epochs, minimum=1)
        integer("batch_size", self.batch_size, minimum=1, maximum=2**62)

    @property
    def steps_per_epoch(self) -> int:
        """Mini-batches of an epoch."""
        return self.rows // self.batch_size if self.drop_last else -(-self.rows // self.batch_size)

    @property
    def steps(self) -> int:
        """Mini-batches of all epochs."""
        return self.epochs * self.steps_per_epoch

    @property
    def rows_used(self) -> int:
        """Rows seen in an epoch."""
        return min(self.rows, self.steps_per_epoch * self.batch_size)

    def batches(self, order: Tensor) -> Sequence[Tensor]:
        """Cut an order (rows,) of the rows into mini-batches."""
        return torch.split(order[: self.rows_used], self.batch_size)


@dataclass(frozen=True, eq=False)
class Training:
    """What one step needs.

    Attributes:
        network: what is trained.
        loss: (outputs, targets) -> mean loss of the rows.
        rule: what acts beside the optimizer.
        optimizer: moves the parameters that are not the rule's own.
        rates: learning rate of each step; None where it is the optimizer's and does not change.
    """

    network: Network
    loss: Loss
    rule: Rule
    optimizer: torch.optim.Optimizer
    rates: tuple[float, ...] | None

    def step(self, inputs: Tensor, targets: Tensor, moment: Moment) -> Tensor:
        """Take one step; returns the losses (runs,) before it."""
        parameters, own = self.network.parameters, self.rule.own_parameters
        exchanged = self.rule.exchange(moment)
        if self.rates is not None:
            for group in self.optimizer.param_groups:
                group["lr"] = self.rates[moment.step]
        seen: list[Tensor] = []

        def evaluate() -> Any:  # a tensor, as a float would make every step wait for the device
            first = not seen
            for name, leaf in parameters.items():
                if first or name not in own:  # the rule reads its slopes of the first evaluation behind the last
                    leaf.grad = None
            values = exchanged if first else {name: parameters[name].detach() for name in own}
            losses = self.network.losses(self.loss, inputs, targets, training=True, exchanged=values)
            total = losses.sum()
            torch.autograd.backward(total)
            seen.append(losses.detach())
            return total.detach()

        self.optimizer.step(evaluate)
        if not seen:
            got = type(self.optimizer).__name__
            raise invalid_argument("optimizer", got, "an optimizer whose step calls the closure that it is given")
        with torch.no_grad():
            self.rule.step(moment)
        return seen[0]

    def finish(self) -> None:
        """Take off what the optimizer has put on the model."""
        optimizer: Any = self.optimizer
        if getattr(optimizer, "takes_model", False):
            optimizer.remove()


def start_training(
    network: Network,
    loss: Loss,
    rule: Rule,
    plan: Plan,
    *,
    optimizer: OptimizerFactory,
    learning_rate: Parameter | None = None,
    weight_decay: float = 0.0,
) -> Training:
    """Build the optimizer and check the learning rate of every step.

    Args:
        network: what is trained.
        loss: (outputs, targets) -> mean loss of the rows.
        rule: what acts beside the optimizer.
        plan: how many steps there are.
        optimizer: called with the list of the parameters that require gradients and are not the rule's own.
        learning_rate: rate of all parameters, a number > 0 or a schedule >= 0; None: the optimizer's own.
        weight_decay: the optimizer's ``weight_decay``, where it is above 0.

    Returns:
        A training that has not begun.

    Raises:
        ValueError: if there is nothing to optimize, the optimizer cannot be built or knows no such setting, or a rate
            is out of range.
    """
    weights = [
        value for name, value in network.parameters.items() if value.requires_grad and name not in rule.own_parameters
    ]
    if not weights:
        raise invalid_argument("model", "no parameter that requires gradients", "at least one")
    built = _built(optimizer, weights, network)
    rates: tuple[float, ...] | None = None
    if callable(learning_rate):
        given = [learning_rate(step / plan.steps) for step in range(plan.steps)]
        rates = tuple(number("learning_rate", rate, "a schedule of numbers >= 0", lambda r: r >= 0) for rate in given)
    elif learning_rate is not None:
        learning_rate = number("learning_rate", learning_rate, "a number > 0", lambda rate: rate > 0)
    settings = {"lr": learning_rate, "weight_decay": weight_decay or None}
    for (key, value), name in zip(settings.items(), ("learning_rate", "weight_decay"), strict=True):
        for group in built.param_groups:
            if value is not None and key not in group:
                expected = f"an optimizer with {key!r} among its settings, or no {name} here"
                raise invalid_argument("optimizer", type(built).__name__, expected)
            if value is not None and not callable(value):
                group[key] = value
    return Training(network, loss, rule, built, rates)


def _built(optimizer: OptimizerFactory, weights: list[Tensor], network: Network) -> torch.optim.Optimizer:
    """The optimizer of these parameters."""
    takes_model = getattr(getattr(optimizer, "func", optimizer), "takes_model", False)
    module = network.module if isinstance(network, ModuleNetwork) else None
    if takes_model and module is None:
        raise invalid_argument("optimizer", optimizer, "one of parameters, as no single model is trained here")
    expected = "a function of the parameters that gives a torch optimizer"
    if not callable(optimizer):
        raise invalid_argument("optimizer", optimizer, expected)
    try:
        built: Any = optimizer(module, params=weights) if takes_model else optimizer(weights)
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise invalid_argument("optimizer", optimizer, f"{expected}; it says: {error}") from error
    if not isinstance(built, torch.optim.Optimizer):
        raise invalid_argument("optimizer", f"a function that gives {type(built).__name__}", expected)
    return built


def run_epochs(
    trainings: Sequence[Training],
    data: Data,
    plan: Plan,
    *,
    rng: torch.Generator,
    first_epoch: int = 0,
    after_epoch: Callable[[int, list[Tensor]], object],
    on_progress: Callable[[float], object] | None = None,
) -> None:
    """Train.

    Args:
        trainings: those that share rows and their order; they take turns, epoch by epoch.
        data: inputs (rows, ...) and targets (rows, ...), where the networks are.
        plan: how often which rows are seen.
        rng: source of the order of the rows.
        first_epoch: number of epochs that are done already.
        after_epoch: called after each epoch with its number, from 1, and for each training the losses (runs,) of the
            epoch, mean over its rows, each batch before its step.
        on_progress: called after each step with the share of all steps done.
    """
    inputs, targets = data
    total_steps = len(trainings) * plan.steps
    with flushed_denormals():
        for epoch in range(first_epoch, plan.epochs):
            order = torch.randperm(plan.rows, generator=rng, device=rng.device).to(inputs.device)
            losses = []
            for place, training in enumerate(trainings):
                total = torch.zeros(training.network.runs, dtype=_sum_type(training.network), device=inputs.device)
                for step, rows in enumerate(plan.batches(order)):
                    moment = Moment(epoch * plan.steps_per_epoch + step, plan.steps, len(rows))
                    seen = training.step(inputs[rows], targets[rows], moment)
                    total.add_(seen, alpha=len(rows) / plan.batch_size)
                    if on_progress is not None:
                        taken = (epoch * len(trainings) + place) * plan.steps_per_epoch + step + 1
                        on_progress(taken / total_steps)
                losses.append(total / (plan.rows_used / plan.batch_size))
            after_epoch(epoch + 1, losses)


def _sum_type(network: Network) -> torch.dtype:
    """Losses of many batches are added up in single precision at least."""
    return torch.promote_types(next(iter(network.parameters.values())).dtype, torch.float32)


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """Let numbers below the least normal one be zeros."""
    flushed = float(torch.tensor(1e-39) * 1.0) == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
