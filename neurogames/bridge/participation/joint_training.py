"""Training weights and participation together, many runs at once.

The runs of one call share the rows, the order of the mini-batches and the architecture; they may differ in first
weights, prices and costs. Each is trained as if it were alone. The rules are in ``paper_rule`` and ``fee_rule``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from neurogames._arguments import instance, integer, invalid_argument, number
from neurogames.bridge.modules.data import Loss, matched_rows, try_rows
from neurogames.bridge.modules.evaluation import gradients_on
from neurogames.bridge.modules.stacked_modules import same_architecture
from neurogames.bridge.modules.units import Unit
from neurogames.bridge.participation.fee_rule import FeeRule
from neurogames.bridge.participation.gated_stack import gated_stack
from neurogames.bridge.participation.paper_rule import PaperRule
from neurogames.bridge.participation.participation_rule import ParticipationRule, RuleSettings, Run
from neurogames.bridge.participation.price_path import UnitBudget
from neurogames.bridge.participation.training_result import (
    Note,
    ParticipationTraining,
    epoch_note,
    joined_results,
    stack_result,
)
from neurogames.bridge.training.loop import OptimizerFactory, Plan, flushed_denormals, run_epochs, start_training
from neurogames.bridge.training.state import resume, training_state
from neurogames.bridge.training.train import FUSED_ADAM
from neurogames.engine.schedules import Parameter

_RULES: dict[str, Callable[..., ParticipationRule]] = {"equilibrium": FeeRule.of, "paper": PaperRule.of}


@gradients_on()
def train_participation(
    models: nn.Module | Sequence[nn.Module],
    inputs: Tensor,
    targets: Tensor,
    *,
    loss: Loss = nn.functional.cross_entropy,
    rule: Literal["equilibrium", "paper"] = "equilibrium",
    price: Parameter | UnitBudget | Sequence[Parameter | UnitBudget] = 0.0,
    ridge: float | Sequence[float] = 0.0,
    competition: float | Sequence[float] = 0.0,
    congestion: float = 0.0,
    units: Unit | Sequence[Unit] = ("neurons", "filters"),
    optimizer: OptimizerFactory | None = None,
    epochs: int = 20,
    batch_size: int = 128,
    learning_rate: Parameter | None = None,
    weight_decay: float = 0.0,
    participation_rate: float = 1e-3,
    check_rows: int = 4096,
    tolerance: float = 0.05,
    rng: torch.Generator,
    on_epoch: Callable[[int, Callable[[Tensor], Tensor]], object] | None = None,
    on_progress: Callable[[float], object] | None = None,
    on_state: Callable[[dict[str, Any]], object] | None = None,
    resume_from: Mapping[str, Any] | None = None,
) -> ParticipationTraining:
    """Train the weights on the loss by an optimizer, and the participation of units by a rule.

    Args:
        models: one module, from which every run starts, or one for each run; left as they are. Off the CPU all runs
            are one stack; on it they take turns, epoch by epoch, as that is faster there, and so they do where an
            ``optimizer`` is given, which might mix the runs of a stack.
        inputs: (rows, ...) what the modules take.
        targets: (rows, ...) what the loss compares with.
        loss: (outputs, targets) -> mean loss of the rows.
        rule: "equilibrium" (units pay a fee and leave when it exceeds their worth, see ``fee_rule``) or "paper" (arXiv
            2512.22106 as printed, see ``paper_rule``).
        price: "equilibrium": the fee in units of the loss; a number p means ``rising_price(p)``, a schedule is taken
            as it is; ``UnitBudget(k)`` is the price that clears when k units may stay. Units may leave between 5 and
            50 % of training, the least worth first, at one of 200 decisions (under a given price at most a tenth of
            them at each); the other half is for those who stay. "paper": gamma. One for all, or one per run; price 0
            without ridge is plain training.
        ridge: "paper" only: beta >= 0, one for all or one per run.
        competition: "paper" only: eta, one for all or one per run.
        congestion: "equilibrium" only, >= 0: by what power of its layer's fullness a unit pays more than the price, or
            less: price (x_l / x)^congestion, x_l the share of its layer and x of all units that take part; 0: all pay
            the price.
        units: what is gated, as in :func:`neurogames.bridge.insert_gates`.
        optimizer: function of a list of parameters that gives a torch optimizer of the weights of one run, such as
            ``functools.partial(torch.optim.SGD, lr=0.1)``; left out: Adam.
        epochs: passes over the rows; an incomplete last batch is left out, as its curvature would have another scale.
        batch_size: rows of a mini-batch.
        learning_rate: rate of the weights, a number or a schedule; None: the optimizer's own, 0.001 for Adam.
        weight_decay: >= 0, in place of the optimizer's own where above 0; with Adam that many times each weight is
            added to its slope in every step. Gates, and what units are worth and pay, know nothing of it.
        participation_rate: "paper" only: rate of the gates.
        check_rows: the residual of an epoch is taken on this many first rows.
        tolerance: greatest last residual that counts as an equilibrium.
        rng: source of the order of the rows.
        on_epoch: called after each epoch with its number, from 1, and a function that gives the outputs
            (runs, rows, ...) of the gated networks for inputs (rows, ...).
        on_progress: called with the share of steps done.
        on_state: called after each epoch with the state of the training, plain tensors and numbers for ``torch.save``.
        resume_from: such a state, as in :func:`neurogames.bridge.train`.

    Returns:
        The trained networks, their participation over time, residuals and status.

    Raises:
        ValueError: if an argument is out of range, data and model do not fit, or the runs cannot be told.

    >>> rng = torch.Generator().manual_seed(0)
    >>> inputs = torch.randn(256, 4, generator=rng)
    >>> net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
    >>> result = train_participation(
    ...     net, inputs, inputs[:, :1] ** 2, loss=nn.functional.mse_loss, price=[0, 9], batch_size=8, epochs=5, rng=rng
    ... )
    >>> result.profile.sum(axis=1)
    array([16.,  0.])

    Reference: Pruning as a Game, arXiv 2512.22106, eq. 16-18 for "paper".
    """
    if rule not in _RULES:
        raise invalid_argument("rule", rule, " or ".join(map(repr, _RULES)))
    runs = _checked_runs(models, price, ridge, competition)
    congestion = _not_negative("congestion", congestion)
    weight_decay = _not_negative("weight_decay", weight_decay)
    participation_rate = number("participation_rate", participation_rate, "a rate > 0", lambda value: value > 0)
    tolerance = number("tolerance", tolerance, "a tolerance > 0", lambda value: value > 0)
    if not isinstance(rng, torch.Generator):
        raise invalid_argument("rng", rng, "a torch.Generator")
    batch_size = integer("batch_size", batch_size, minimum=1)
    inputs, targets = matched_rows(inputs, targets, minimum=batch_size)
    plan = Plan(len(inputs), epochs, batch_size, drop_last=True)
    check = slice(0, integer("check_rows", check_rows, minimum=1))
    try_rows(runs[0].model, loss, (inputs, targets), model_name="models")
    settings = RuleSettings(plan.steps, congestion, participation_rate)
    at_once = _runs_at_once(len(runs), inputs.device) if optimizer is None else 1
    rules, trainings = [], []
    for first in range(0, len(runs), at_once):
        part = runs[first : first + at_once]
        acting = _RULES[rule](gated_stack([run.model for run in part], units), part, settings)
        rules.append(acting)
        trainings.append(
            start_training(
                acting.stack.network,
                loss,
                acting,
                plan,
                optimizer=FUSED_ADAM if optimizer is None else optimizer,
                learning_rate=learning_rate,
                weight_decay=weight_decay,
            )
        )
    notes: list[list[Note]] = [[] for _ in rules]
    done = 0
    if resume_from is not None:
        done, notes = resume(resume_from, trainings, plan, rng)
    checked = inputs[check], targets[check]

    def outputs(rows: Tensor) -> Tensor:
        return torch.cat([acting.stack.network.stack(rows) for acting in rules])

    def after_epoch(epoch: int, means: list[Tensor]) -> None:
        for acting, mean, noted in zip(rules, means, notes, strict=True):
            noted.append(epoch_note(acting, loss, checked, mean, epoch / plan.epochs))
        if on_epoch is not None:
            on_epoch(epoch, outputs)
        if on_state is not None:
            on_state(training_state(trainings, plan, rng, epoch=epoch, history=notes))

    with flushed_denormals():
        run_epochs(
            trainings,
            (inputs, targets),
            plan,
            rng=rng,
            first_epoch=done,
            after_epoch=after_epoch,
            on_progress=on_progress,
        )
        parts = [
            stack_result(acting, noted, loss, checked, tolerance) for acting, noted in zip(rules, notes, strict=True)
        ]
    return joined_results(parts)


def _runs_at_once(runs: int, device: torch.device) -> int:
    """How many runs are one stack; products of stacked weights are slow on a CPU."""
    return 1 if device.type == "cpu" else runs


def _checked_runs(models: nn.Module | Sequence[nn.Module], price: Any, ridge: Any, competition: Any) -> list[Run]:
    """One entry for each run, or an error."""
    instance("models", models, nn.Module | Sequence, "a torch module, or a sequence of them")
    given = {
        "models": [models] if isinstance(models, nn.Module) else list(models),
        "price": _listed(price),
        "ridge": [_not_negative("ridge", value) for value in _listed(ridge)],
        "competition": [number("competition", value) for value in _listed(competition)],
    }
    runs = max(map(len, given.values()))
    for name, values in given.items():
        if len(values) not in (1, runs):
            raise invalid_argument(name, f"{len(values)} values", f"one value, or one for each of {runs} runs")
        given[name] = values * (runs // len(values))
    same_architecture(given["models"])
    return [Run(*values) for values in zip(*given.values(), strict=True)]


def _not_negative(name: str, value: Any) -> float:
    return number(name, value, "a number >= 0", lambda result: result >= 0)


def _listed(value: Any) -> list[Any]:
    """The values of the runs, one if there is one for all."""
    if isinstance(value, (np.ndarray, Tensor)):
        value = value.tolist()
    return list(value) if isinstance(value, Sequence) else [value]
