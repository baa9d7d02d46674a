"""Training weights and participation together, many runs at once.

The runs of one call share the rows, the order of the mini-batches and the architecture; they may differ in first
weights, prices and costs. Each is trained as if it were alone. The rules are in ``rules``.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from neurogames._arguments import integer, invalid_argument, number
from neurogames.bridge.modules.stacked_modules import same_architecture
from neurogames.bridge.participation.course import Course, Loss, Run
from neurogames.bridge.participation.price_path import LEAST_STEPS, UnitBudget
from neurogames.bridge.participation.training_result import ParticipationTraining
from neurogames.engine.schedules import Parameter

_DECISIONS = 200


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
    units: str | Sequence[str] = ("neurons", "filters"),
    epochs: int = 20,
    batch_size: int = 128,
    learning_rate: Parameter = 1e-3,
    weight_decay: float = 0.0,
    participation_rate: float = 1e-3,
    check_rows: int = 4096,
    tolerance: float = 0.05,
    rng: torch.Generator,
    on_epoch: Callable[[int, Callable[[Tensor], Tensor]], object] | None = None,
    on_progress: Callable[[float], object] | None = None,
) -> ParticipationTraining:
    """Train the weights by Adam on the loss, and the participation of units by a rule.

    Args:
        models: one module, from which every run starts, or one for each run; left as they are. Off the CPU all runs
            are one stack; on it they take turns, epoch by epoch, as that is faster there.
        inputs: (rows, ...) what the modules take.
        targets: (rows, ...) what the loss compares with.
        loss: (outputs, targets) -> mean loss of the rows.
        rule: "equilibrium" (units pay a fee and leave when it exceeds their worth) or "paper" (arXiv 2512.22106 as
            printed); see ``rules``.
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
        epochs: passes over the rows; an incomplete last batch is left out, as its curvature would have another scale.
        batch_size: rows of a mini-batch.
        learning_rate: Adam's rate for the weights, a number or a schedule.
        weight_decay: >= 0, that many times each weight is added to its slope in every step. Gates, and what units are
            worth and pay, know nothing of it.
        participation_rate: "paper" only: rate of the gates.
        check_rows: the residual of an epoch is taken on this many first rows.
        tolerance: greatest last residual that counts as converged.
        rng: source of the order of the rows.
        on_epoch: called after each epoch with its number, from 1, and a function that gives the outputs
            (runs, rows, ...) of the gated networks for inputs (rows, ...).
        on_progress: called with the share of steps done.

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
    runs = _checked_runs(models, price, ridge, competition, rule)
    congestion = number("congestion", congestion, "a number >= 0", lambda value: value >= 0)
    weight_decay = number("weight_decay", weight_decay, "a number >= 0", lambda value: value >= 0)
    if rule == "paper" and congestion != 0:
        raise invalid_argument("congestion", congestion, "0: it belongs to rule 'equilibrium'")
    _check_data(runs[0].model, inputs, targets, loss)
    at_once = _runs_at_once(len(runs), inputs.device)
    courses = [
        Course.opened(
            runs[first : first + at_once],
            loss,
            rule,
            units,
            learning_rate,
            congestion=congestion,
            weight_decay=weight_decay,
        )
        for first in range(0, len(runs), at_once)
    ]
    epochs, batch_size = integer("epochs", epochs, minimum=1), integer("batch_size", batch_size, minimum=1)
    if len(inputs) < batch_size:
        raise invalid_argument("inputs", f"{len(inputs)} rows", f"at least one batch of {batch_size} rows")
    check = slice(0, integer("check_rows", check_rows, minimum=1))
    number("participation_rate", participation_rate, "a rate > 0", lambda value: value > 0)
    number("tolerance", tolerance, "a tolerance > 0", lambda value: value > 0)
    if not isinstance(rng, torch.Generator):
        raise invalid_argument("rng", rng, "a torch.Generator")
    steps = len(inputs) // batch_size
    decisions = max(1, epochs * steps // _DECISIONS)
    for run in runs:
        _check_unit_budget(run, courses[0].gates.n_players, epochs * steps)

    def outputs(rows: Tensor) -> Tensor:
        return torch.cat([course.stack(rows) for course in courses])

    with _flushed_denormals():
        for epoch in range(epochs):
            order = torch.randperm(len(inputs), generator=rng, device=rng.device).to(inputs.device)
            for place, course in enumerate(courses):
                total = torch.zeros(course.stack.runs, device=inputs.device)
                for step in range(steps):
                    number_of_step = epoch * steps + step
                    rows = order[step * batch_size : (step + 1) * batch_size]
                    done = number_of_step / (epochs * steps)
                    total += course.step(inputs[rows], targets[rows], done, number_of_step, participation_rate)
                    if number_of_step % decisions == 0:
                        course.decide(done)
                    if on_progress is not None:
                        taken = (epoch * len(courses) + place) * steps + step + 1
                        on_progress(taken / (epochs * len(courses) * steps))
                course.note(total / steps, inputs[check], targets[check], (epoch + 1) / epochs)
            if on_epoch is not None:
                on_epoch(epoch + 1, outputs)
        closed = [course.closed(inputs[check], targets[check], tolerance) for course in courses]
    return _joined(closed)


def _runs_at_once(runs: int, device: torch.device) -> int:
    """How many runs are one stack; products of stacked weights are slow on a CPU."""
    return 1 if device.type == "cpu" else runs


def _checked_runs(
    models: nn.Module | Sequence[nn.Module], price: Any, ridge: Any, competition: Any, rule: str
) -> list[Run]:
    """One entry for each run, or an error."""
    if rule not in ("equilibrium", "paper"):
        raise invalid_argument("rule", rule, "'equilibrium' or 'paper'")
    given = {
        "models": [models] if isinstance(models, nn.Module) else list(models),
        "price": _listed(price),
        "ridge": _listed(ridge),
        "competition": _listed(competition),
    }
    runs = max(map(len, given.values()))
    for name, values in given.items():
        if len(values) not in (1, runs):
            raise invalid_argument(name, f"{len(values)} values", f"one value, or one for each of {runs} runs")
        if name in ("ridge", "competition"):
            for value in values:
                least = 0.0 if name == "ridge" else -np.inf
                number(name, value, f"a number >= {least}", lambda got, least=least: got >= least)
                if rule == "equilibrium" and value != 0:
                    raise invalid_argument(name, value, "0: it is a cost of rule 'paper'")
        given[name] = values * (runs // len(values))
    same_architecture(given["models"])
    return [Run(*values) for values in zip(*given.values(), strict=True)]


def _check_unit_budget(run: Run, n_units: int, steps: int) -> None:
    """Refuse a unit budget above the number of units, or one that cannot be reached in time."""
    if isinstance(run.price, UnitBudget):
        if run.price.units > n_units:
            raise invalid_argument("price", run.price, f"at most the {n_units} units there are")
        if steps < LEAST_STEPS:
            raise invalid_argument(
                "epochs", f"{steps} steps in all", f"at least {LEAST_STEPS} steps for a price that clears"
            )


def _joined(parts: Sequence[ParticipationTraining]) -> ParticipationTraining:
    """The runs of all parts, in order."""
    merged: dict[str, Any] = {}
    for field in fields(ParticipationTraining):
        values = [getattr(part, field.name) for part in parts]
        if isinstance(values[0], tuple):
            merged[field.name] = tuple(itertools.chain.from_iterable(values))
        else:
            merged[field.name] = np.concatenate(values, axis=0 if field.name == "profile" else 1)
    return ParticipationTraining(**merged)


@contextlib.contextmanager
def _flushed_denormals() -> Iterator[None]:
    """Let vanishing numbers be zeros: Adam's memory of units that have left fades into them, and they are slow."""
    flushed = float(torch.tensor(1e-39) * 1.0) == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)


def _check_data(model: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> None:
    """Refuse data that the model or the loss cannot read, before any work."""
    for name, value in (("inputs", inputs), ("targets", targets)):
        if not isinstance(value, Tensor) or value.ndim == 0 or len(value) == 0:
            raise invalid_argument(name, getattr(value, "shape", type(value).__name__), "a tensor with rows")
        if value.is_floating_point() and not value.isfinite().all():
            raise invalid_argument(
                name, f"{int((~value.isfinite()).sum())} entries that are not finite", "finite entries"
            )
    if len(inputs) != len(targets):
        raise invalid_argument("targets", f"{len(targets)} rows", f"{len(inputs)} rows, one for each of inputs")
    trial = copy.deepcopy(model).eval()
    with torch.no_grad():
        try:
            outputs = trial(inputs[:2])
            value = loss(outputs, targets[:2])
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            why = str(error).splitlines()[0]
            raise invalid_argument(
                "inputs and targets",
                f"shapes {tuple(inputs.shape)} and {tuple(targets.shape)} ({why})",
                "rows that the model and the loss take",
            ) from None
    if outputs.ndim == 0 or len(outputs) != len(inputs[:2]):
        raise invalid_argument(
            "models", f"outputs of shape {tuple(outputs.shape)} for 2 rows", "one output for each row"
        )
    if value.ndim:
        raise invalid_argument("loss", f"an answer of shape {tuple(value.shape)}", "the mean over the rows, one number")


def _listed(value: Any) -> list[Any]:
    """The values of the runs, one if there is one for all."""
    if isinstance(value, (np.ndarray, Tensor)):
        value = value.tolist()
    return list(value) if isinstance(value, Sequence) else [value]
