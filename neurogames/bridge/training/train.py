"""Training of one module."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.modules.data import Data, Loss, data_pair, try_rows
from neurogames.bridge.modules.evaluation import copy_module, gradients_on
from neurogames.bridge.training.loop import OptimizerFactory, Plan, run_epochs, start_training
from neurogames.bridge.training.network import ModuleNetwork
from neurogames.bridge.training.rule import Rule
from neurogames.bridge.training.state import resume, training_state
from neurogames.engine.schedules import Parameter

FUSED_ADAM: OptimizerFactory = functools.partial(torch.optim.Adam, fused=True)
"""Adam with torch's defaults (rate 0.001), each step in one kernel."""


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained copy of a module, and how its training went.

    Attributes:
        model: the copy, in the mode that the original was in.
        loss: (epochs,) mean over the rows of an epoch of the loss of each batch just before its step.
        status: "ok", or "diverged: ..." with where it happened.
    """

    model: nn.Module
    loss: NDArray[np.float64]
    status: str


@gradients_on()
def train(
    model: nn.Module,
    loss: Loss,
    data: Data,
    *,
    optimizer: OptimizerFactory = FUSED_ADAM,
    learning_rate: Parameter | None = None,
    rule: Callable[[nn.Module], Rule] | None = None,
    epochs: int = 20,
    batch_size: int = 128,
    drop_last: bool = False,
    rng: torch.Generator,
    on_epoch: Callable[[int, nn.Module], object] | None = None,
    on_progress: Callable[[float], object] | None = None,
    on_state: Callable[[dict[str, Any]], object] | None = None,
    resume_from: Mapping[str, Any] | None = None,
) -> TrainedModel:
    """Train a copy of a module with any torch optimizer.

    Each epoch is one pass over the rows in a new order, in mini-batches, with every part in training mode. Hooks of the
    module (gradient dropout) are copied with it and act on the copy.

    Args:
        model: any module that takes one tensor; it stays as it is.
        loss: (outputs, targets) -> mean loss of the rows.
        data: inputs (rows, ...) and targets (rows, ...), where the model is.
        optimizer: function of a list of parameters that gives a torch optimizer, such as
            ``functools.partial(torch.optim.SGD, lr=0.1)``; one that needs a closure, and ``KFAC`` or ``EKFAC``, which
            are given the copy, work too.
        learning_rate: rate of all parameters in place of the optimizer's own: a number > 0, or a schedule >= 0 of the
            progress step / steps.
        rule: function of the copy that gives a :class:`Rule` to act beside the optimizer.
        epochs: passes over the rows.
        batch_size: rows of a mini-batch.
        drop_last: leave out the rows of an epoch that do not fill a batch.
        rng: source of the order of the rows.
        on_epoch: called after each epoch with its number, from 1, and the copy under training, to look at.
        on_progress: called after each step with the share of steps done.
        on_state: called after each epoch with the state of the training, plain tensors and numbers for ``torch.save``.
        resume_from: such a state; training goes on behind it, to the same result as if it had never stopped, and
            ``rng`` is set to where it was. Model, data and settings have to be the same; the optimizer's own settings
            are those of the state. What modules keep outside of parameters and buffers starts anew.

    Returns:
        The trained copy, its losses and status.

    Raises:
        ValueError: if an argument is out of range, data and model do not fit, or the state is that of another training.

    >>> _ = torch.manual_seed(0)
    >>> rng = torch.Generator().manual_seed(0)
    >>> inputs = torch.randn(256, 3, generator=rng)
    >>> net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))
    >>> sgd = functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9)
    >>> data = inputs, inputs[:, :1] ** 2
    >>> trained = train(net, nn.functional.mse_loss, data, optimizer=sgd, batch_size=32, rng=rng)
    >>> bool(trained.loss[-1] < trained.loss[0] / 2), trained.status
    (True, 'ok')
    """
    if not isinstance(model, nn.Module):
        raise invalid_argument("model", model, "a torch module")
    if not isinstance(rng, torch.Generator):
        raise invalid_argument("rng", rng, "a torch.Generator")
    inputs, targets = data_pair(data)
    plan = Plan(len(inputs), epochs, batch_size, drop_last)
    if plan.steps == 0:
        raise invalid_argument("data", f"{len(inputs)} rows", f"at least one batch of {batch_size} rows")
    try_rows(model, loss, (inputs, targets), name="data")
    modes = {name: part.training for name, part in model.named_modules()}
    network = ModuleNetwork(copy_module(model).train())
    acting = Rule() if rule is None else rule(network.module)
    if not isinstance(acting, Rule):
        raise invalid_argument("rule", f"a function that gives {type(acting).__name__}", "one that gives a Rule")
    training = start_training(network, loss, acting, plan, optimizer=optimizer, learning_rate=learning_rate)
    losses: list[Tensor] = []
    first = 0
    if resume_from is not None:
        first, (losses,) = resume(resume_from, [training], plan, rng)

    def after_epoch(epoch: int, means: list[Tensor]) -> None:
        losses.append(means[0].squeeze(0).cpu())
        if on_epoch is not None:
            on_epoch(epoch, network.module)
            network.module.train()
        if on_state is not None:
            on_state(training_state([training], plan, rng, epoch=epoch, history=[losses]))

    run_epochs(
        [training],
        (inputs, targets),
        plan,
        rng=rng,
        first_epoch=first,
        after_epoch=after_epoch,
        on_progress=on_progress,
    )
    training.finish()
    for parameter in network.module.parameters():
        parameter.grad = None
    for name, part in network.module.named_modules():
        part.training = modes.get(name, model.training)
    record = torch.stack(losses).double().cpu().numpy()
    return TrainedModel(network.module, record, _status(record, network.module))


@torch.no_grad()
def _status(loss: NDArray[np.float64], model: nn.Module) -> str:
    """Whether everything stayed finite."""
    lost = np.flatnonzero(~np.isfinite(loss))
    if lost.size:
        return f"diverged: the loss is not finite in epoch {lost[0] + 1}"
    if all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
        return "ok"
    return "diverged: a parameter is not finite after the last step"
