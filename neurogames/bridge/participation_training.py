"""Training weights and participation together, many runs at once.

The runs of one call share the rows, the order of the mini-batches and the architecture; they may differ in first
weights, prices and costs. Each is trained as if it were alone. The rules are in ``participation_rules``.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurogames.bridge.gate_hooks import GatedProjection
from neurogames.bridge.gates import Gates, insert_gates
from neurogames.bridge.participation_certificate import FeeCertificate, fee_certificate
from neurogames.bridge.participation_rules import PaperCosts, RunningCurvature, fee_residual
from neurogames.bridge.stacked_modules import StackedModules, same_architecture, stack_modules
from neurogames.engine.schedules import Parameter, Schedule
from neurogames.games.arguments import number, refusal, whole

Loss = Callable[[Tensor, Tensor], Tensor]
_DECISIONS = 200
_COUNT_EVERY = 4
_FIRST_EXIT, _FULL_PRICE, _LAST_EXIT, _FIRST_SHARE = 0.05, 0.6, 0.65, 1e-3


@dataclass(frozen=True, eq=False)
class ParticipationTraining:
    """Networks trained together with the participation of their units.

    Attributes:
        models: one module per run, without gates; gating them by ``profile`` gives what was trained.
        profile: (runs, n) participation at the end.
        participation: (epochs, runs, n) participation after each epoch.
        loss: (epochs, runs) mean training loss of the epoch, each batch before its step.
        price: (epochs, runs) price at the end of each epoch.
        residual: (epochs, runs) max_i |BR_i(s) - s_i| after each epoch, with slopes on the check rows; under
            "equilibrium" with the running curvature too, so a noisy estimate.
        unsettled: (epochs, runs) share of the participants who would leave, or of all units that would move by more
            than 0.01 under "paper".
        certificate: per run of a price > 0 under "equilibrium": the end checked by running the network without each
            unit, on the check rows; None for other runs.
        status: per run "converged", or why not: by the certificate where there is one, else by the last residual.
    """

    models: tuple[nn.Module, ...]
    profile: NDArray[np.float64]
    participation: NDArray[np.float64]
    loss: NDArray[np.float64]
    price: NDArray[np.float64]
    residual: NDArray[np.float64]
    unsettled: NDArray[np.float64]
    certificate: tuple[FeeCertificate | None, ...]
    status: tuple[str, ...]


def rising_price(price: float) -> Schedule:
    """Return the price path that lets units leave one after another: small first, ``price`` from 60 % of training on.

    price(x) = 0 before x = 0.05, then price * 1e-3^((1 - u)^2) with u = (x - 0.05) / 0.55, the rise flat at its end.

    >>> [round(float(rising_price(2.0)(x)), 3) for x in (0.0, 0.05, 0.3, 0.6, 1.0)]
    [0.0, 0.002, 0.256, 2.0, 2.0]
    """
    return partial(_rising, price=number("price", price, "a price >= 0", lambda value: value >= 0))


def train_participation(
    models: nn.Module | Sequence[nn.Module],
    inputs: Tensor,
    targets: Tensor,
    *,
    loss: Loss = nn.functional.cross_entropy,
    rule: Literal["equilibrium", "paper"] = "equilibrium",
    price: Parameter | Sequence[Parameter] = 0.0,
    ridge: float | Sequence[float] = 0.0,
    competition: float | Sequence[float] = 0.0,
    units: str | Sequence[str] = ("neurons", "filters"),
    epochs: int = 20,
    batch_size: int = 128,
    learning_rate: Parameter = 1e-3,
    participation_rate: float = 1e-3,
    check_rows: int = 4096,
    tolerance: float = 0.05,
    rng: torch.Generator,
    on_epoch: Callable[[int, Callable[[Tensor], Tensor]], object] | None = None,
    progress: Callable[[float], object] | None = None,
) -> ParticipationTraining:
    """Train the weights by Adam on the loss, and the participation of units by a rule.

    Args:
        models: one module, from which every run starts, or one for each run; left as they are. Off the CPU all runs
            are one stack; on it they take turns, epoch by epoch, as that is faster there.
        inputs: (rows, ...) what the modules take.
        targets: (rows, ...) what the loss compares with.
        loss: (outputs, targets) -> mean loss of the rows.
        rule: "equilibrium" (units pay a fee and leave when it exceeds their worth) or "paper" (arXiv 2512.22106 as
            printed); see ``participation_rules``.
        price: "equilibrium": the fee in units of the loss; a number p means ``rising_price(p)``, a schedule is taken
            as it is. Units may leave between 5 and 65 % of training; the rest is for those who stay. "paper": gamma.
            One for all, or one per run; price 0 without ridge is plain training.
        ridge: "paper" only: beta >= 0, one for all or one per run.
        competition: "paper" only: eta, one for all or one per run.
        units: what is gated, as in :func:`neurogames.bridge.insert_gates`.
        epochs: passes over the rows; an incomplete last batch is left out, as its curvature would have another scale.
        batch_size: rows of a mini-batch.
        learning_rate: Adam's rate for the weights, a number or a schedule.
        participation_rate: "paper" only: rate of the gates.
        check_rows: the residual of an epoch is taken on this many first rows.
        tolerance: greatest last residual that counts as converged.
        rng: source of the order of the rows.
        on_epoch: called after each epoch with its number, from 1, and a function that gives the outputs
            (runs, rows, ...) of the gated networks for inputs (rows, ...).
        progress: called with the share of steps done.

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
    _check_data(runs[0].model, inputs, targets, loss)
    at_once = _runs_at_once(len(runs), inputs.device)
    courses = [
        _Course.opened(runs[first : first + at_once], loss, rule, units, learning_rate)
        for first in range(0, len(runs), at_once)
    ]
    epochs, batch_size = whole("epochs", epochs, least=1), whole("batch_size", batch_size, least=1)
    if len(inputs) < batch_size:
        raise refusal("inputs", f"{len(inputs)} rows", f"at least one batch of {batch_size} rows")
    check = slice(0, whole("check_rows", check_rows, least=1))
    number("participation_rate", participation_rate, "a rate > 0", lambda value: value > 0)
    number("tolerance", tolerance, "a tolerance > 0", lambda value: value > 0)
    if not isinstance(rng, torch.Generator):
        raise refusal("rng", rng, "a torch.Generator")
    steps = len(inputs) // batch_size
    decisions = max(1, epochs * steps // _DECISIONS)

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
                    if progress is not None:
                        taken = (epoch * len(courses) + place) * steps + step + 1
                        progress(taken / (epochs * len(courses) * steps))
                course.note(total / steps, inputs[check], targets[check], (epoch + 1) / epochs)
            if on_epoch is not None:
                on_epoch(epoch + 1, outputs)
        closed = [course.closed(inputs[check], targets[check], tolerance) for course in courses]
    return _joined(closed)


def _runs_at_once(runs: int, device: torch.device) -> int:
    """How many runs are one stack; products of stacked weights are slow on a CPU."""
    return 1 if device.type == "cpu" else runs


@dataclass(frozen=True, eq=False)
class _Run:
    """What one run starts from and is charged."""

    model: nn.Module
    price: Parameter
    ridge: float
    competition: float


def _checked_runs(
    models: nn.Module | Sequence[nn.Module], price: Any, ridge: Any, competition: Any, rule: str
) -> list[_Run]:
    """One entry for each run, or a refusal."""
    if rule not in ("equilibrium", "paper"):
        raise refusal("rule", rule, "'equilibrium' or 'paper'")
    given = {
        "models": [models] if isinstance(models, nn.Module) else list(models),
        "price": _listed(price),
        "ridge": _listed(ridge),
        "competition": _listed(competition),
    }
    runs = max(map(len, given.values()))
    for name, values in given.items():
        if len(values) not in (1, runs):
            raise refusal(name, f"{len(values)} values", f"one value, or one for each of {runs} runs")
        if name in ("ridge", "competition"):
            for value in values:
                least = 0.0 if name == "ridge" else -np.inf
                number(name, value, f"a number >= {least}", lambda got, least=least: got >= least)
                if rule == "equilibrium" and value != 0:
                    raise refusal(name, value, "0: it is a cost of rule 'paper'")
        given[name] = values * (runs // len(values))
    same_architecture(given["models"])
    return [_Run(*values) for values in zip(*given.values(), strict=True)]


@dataclass(frozen=True, eq=False)
class _Course:
    """A training under way: the stack, its gates layer by layer, and what revises them."""

    bare: tuple[nn.Module, ...]
    gates: Gates
    units: str | Sequence[str]
    stack: StackedModules
    layers: tuple[Tensor, ...]
    curvature: tuple[RunningCurvature, ...]
    costs: PaperCosts | None
    prices: tuple[Schedule, ...]
    rate: Schedule
    optimiser: torch.optim.Adam
    loss: Loss
    history: list[dict[str, Tensor]]

    @classmethod
    def opened(
        cls, runs: Sequence[_Run], loss: Loss, rule: str, units: str | Sequence[str], learning_rate: Parameter
    ) -> _Course:
        """Stack gated copies of the models."""
        gated = [copy.deepcopy(run.model) for run in runs]
        gates = [insert_gates(model, units) for model in gated]
        stack = stack_modules(gated)
        layers = tuple(stack.parameters[name] for name in gates[0].parameter_names)
        held = {id(layer) for layer in layers}
        weights = [value for value in stack.parameters.values() if id(value) not in held]
        column = partial(torch.tensor, dtype=layers[0].dtype, device=layers[0].device)
        costs = None
        if rule == "paper":
            for name in gates[0].modules:
                if f"{name}.weight" not in stack.parameters:
                    raise refusal(
                        "units", units, "neurons or filters for rule 'paper': heads have no theta of their own"
                    )
            prices = [number("price", run.price, "a number") for run in runs]
            ridges, competitions = [run.ridge for run in runs], [run.competition for run in runs]
            costs = PaperCosts(*(column(values)[:, None] for values in (ridges, prices, competitions)))
        return cls(
            bare=tuple(run.model for run in runs),
            gates=gates[0],
            units=units,
            stack=stack,
            layers=layers,
            curvature=tuple(RunningCurvature(layer) for layer in layers),
            costs=costs,
            prices=tuple(_as_schedule(run.price, rule) for run in runs),
            rate=learning_rate if callable(learning_rate) else partial(_steady, value=_positive(learning_rate)),
            optimiser=torch.optim.Adam(weights, lr=0.0, fused=True),
            loss=loss,
            history=[],
        )

    def price_at(self, done: float) -> Tensor:
        """(runs, 1) prices at a share of training."""
        values = [float(price(min(done, 1.0))) for price in self.prices]
        return torch.tensor(values, dtype=self.layers[0].dtype, device=self.layers[0].device)[:, None]

    def losses(
        self, inputs: Tensor, targets: Tensor, *, training: bool, exchanged: dict[str, Tensor] | None = None
    ) -> Tensor:
        """(runs,) mean losses."""
        outputs = self.stack(inputs, training=training, exchanged=exchanged)
        if self.stack.runs == 1:
            return self.loss(outputs[0], targets).unsqueeze(0)
        return torch.func.vmap(self.loss, in_dims=(0, None))(outputs, targets)

    def step(self, inputs: Tensor, targets: Tensor, done: float, step: int, participation_rate: float) -> Tensor:
        """One step of the weights, and of the paper's gates; the losses (runs,) before it."""
        for parameter in self.stack.parameters.values():
            parameter.grad = None
        if self.costs is not None:
            exchanged = {}
        elif step % _COUNT_EVERY == 0:
            exchanged = self._gates_by_row(len(inputs))
        else:  # the gates do not move by slopes, so that these are asked for only now and then
            exchanged = dict(zip(self.gates.parameter_names, map(Tensor.detach, self.layers), strict=True))
        losses = self.losses(inputs, targets, training=True, exchanged=exchanged)
        losses.sum().backward()
        self.optimiser.param_groups[0]["lr"] = float(self.rate(done))
        with torch.no_grad():
            if self.costs is not None:
                moves = [self.costs.force(layer.grad, layer, theta) for layer, theta in self._factors()]
                for layer, force in zip(self.layers, moves, strict=True):
                    layer.add_(force, alpha=participation_rate).clamp_(0, 1)
            elif step % _COUNT_EVERY == 0:
                self._count(exchanged, len(inputs))
        self.optimiser.step()
        return losses.detach()

    def _gates_by_row(self, rows: int) -> dict[str, Tensor]:
        """One gate (runs, rows, units) for each row of a batch; heads stand in a weight and cannot have that."""
        return {
            name: layer.detach().unsqueeze(1).expand(-1, rows, -1).requires_grad_()
            for name, place, layer in zip(self.gates.parameter_names, self.gates.places, self.layers, strict=True)
            if not isinstance(self.stack.template.get_submodule(place), GatedProjection)
        }

    def _count(self, by_row: dict[str, Tensor], rows: int) -> None:
        """Count the slopes of a mini-batch."""
        for name, layer, curvature in zip(self.gates.parameter_names, self.layers, self.curvature, strict=True):
            # Without slopes by row, rows E[g_i^2] over mini-batches of so many rows estimates the same, less surely.
            slopes = by_row[name].grad if name in by_row else layer.grad.unsqueeze(1)
            curvature.add(torch.linalg.vector_norm(slopes, dim=1).square() * rows)

    @torch.no_grad()
    def decide(self, done: float) -> None:
        """Take out, for good, the units whose worth is below the price."""
        if self.costs is None and _FIRST_EXIT <= done < _LAST_EXIT:
            price = self.price_at(done)
            for layer, curvature in zip(self.layers, self.curvature, strict=True):
                layer.mul_(curvature.value / 2 >= price)

    def _factors(self) -> list[tuple[Tensor, list[Tensor]]]:
        """Each gated layer with the parts of theta (runs, units, d): incoming weights, and bias."""
        pairs = []
        for name, layer in zip(self.gates.modules, self.layers, strict=True):
            found = [self.stack.parameters.get(f"{name}.{part}") for part in ("weight", "bias")]
            pairs.append(
                (layer, [part.flatten(2) if part.ndim > 2 else part.unsqueeze(2) for part in found if part is not None])
            )
        return pairs

    def note(self, loss: Tensor, inputs: Tensor, targets: Tensor, done: float) -> None:
        """Write down how the runs stand after an epoch of mean loss (runs,)."""
        residual, unsettled = self.check(inputs, targets, done)
        shares = torch.cat([layer.detach().clone() for layer in self.layers], dim=1)
        price = self.price_at(done).squeeze(1)
        self.history.append(
            {"participation": shares, "loss": loss, "price": price, "residual": residual, "unsettled": unsettled}
        )

    def check(self, inputs: Tensor, targets: Tensor, done: float) -> tuple[Tensor, Tensor]:
        """Residual and share of unsettled units, each (runs,)."""
        slopes = torch.autograd.grad(self.losses(inputs, targets, training=False).sum(), self.layers)
        with torch.no_grad():
            if self.costs is not None:
                pairs = zip(slopes, self._factors(), strict=True)
                moves = torch.cat([self.costs.residual(slope, *pair) for slope, pair in pairs], dim=1)
                return moves.amax(dim=1), (moves > 0.01).double().mean(dim=1)
            price, parts = self.price_at(done), zip(slopes, self.curvature, self.layers, strict=True)
            moves = torch.cat([fee_residual(slope, h.value, layer, price) for slope, h, layer in parts], dim=1)
            taking_part = torch.cat(self.layers, dim=1).sum(dim=1).clamp(min=1)
            return moves.amax(dim=1), (moves == 1).sum(dim=1) / taking_part

    def closed(self, inputs: Tensor, targets: Tensor, tolerance: float) -> ParticipationTraining:
        """Take the networks out of the stack and say how it went."""
        record = {
            name: torch.stack([epoch[name] for epoch in self.history]).double().cpu().numpy()
            for name in self.history[0]
        }
        models, certificates, status = [], [], []
        for run in range(self.stack.runs):
            module = copy.deepcopy(self.bare[run])
            gates = insert_gates(module, self.units)
            self.stack.fill(module, run)
            gates.remove()
            models.append(module)
            price, finite = record["price"][-1, run], np.isfinite(record["loss"][-1, run])
            certificate = None
            if self.costs is None and price > 0 and finite:
                profile = record["participation"][-1, run]
                certificate = fee_certificate(module, profile, price, self.loss, (inputs, targets), units=self.units)
            certificates.append(certificate)
            residual = record["residual"][-1, run] if certificate is None else certificate.residual
            status.append(_status(residual, tolerance) if finite else "diverged: the loss is not finite")
        return ParticipationTraining(
            tuple(models),
            record["participation"][-1],
            certificate=tuple(certificates),
            status=tuple(status),
            **record,
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


def _status(residual: float, tolerance: float) -> str:
    """What a residual says."""
    if residual <= tolerance:
        return "converged"
    return f"not converged: residual {residual:.2g} above {tolerance:.2g}"


def _check_data(model: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> None:
    """Refuse data that the model or the loss cannot read, before any work."""
    for name, value in (("inputs", inputs), ("targets", targets)):
        if not isinstance(value, Tensor) or value.ndim == 0 or len(value) == 0:
            raise refusal(name, getattr(value, "shape", type(value).__name__), "a tensor with rows")
        if value.is_floating_point() and not value.isfinite().all():
            raise refusal(name, f"{int((~value.isfinite()).sum())} entries that are not finite", "finite entries")
    if len(inputs) != len(targets):
        raise refusal("targets", f"{len(targets)} rows", f"{len(inputs)} rows, one for each of inputs")
    trial = copy.deepcopy(model).eval()
    with torch.no_grad():
        try:
            outputs = trial(inputs[:2])
            value = loss(outputs, targets[:2])
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            why = str(error).splitlines()[0]
            raise refusal(
                "inputs and targets",
                f"shapes {tuple(inputs.shape)} and {tuple(targets.shape)} ({why})",
                "rows that the model and the loss take",
            ) from None
    if outputs.ndim == 0 or len(outputs) != len(inputs[:2]):
        raise refusal("models", f"outputs of shape {tuple(outputs.shape)} for 2 rows", "one output for each row")
    if value.ndim:
        raise refusal("loss", f"an answer of shape {tuple(value.shape)}", "the mean over the rows, one number")


def _listed(value: Any) -> list[Any]:
    """The values of the runs, one if there is one for all."""
    if isinstance(value, (np.ndarray, Tensor)):
        value = value.tolist()
    return list(value) if isinstance(value, Sequence) else [value]


def _as_schedule(price: Parameter, rule: str) -> Schedule:
    """A price as a schedule: under the equilibrium rule a number rises to its height."""
    if callable(price):
        return price
    return rising_price(price) if rule == "equilibrium" else partial(_steady, value=number("price", price))


def _positive(value: Any) -> float:
    return number("learning_rate", value, "a number > 0", lambda result: result > 0)


def _steady(_: ArrayLike, value: float) -> float:
    return value


def _rising(progress: ArrayLike, price: float) -> NDArray[np.float64]:
    x = np.asarray(progress, dtype=np.float64)
    u = np.clip((x - _FIRST_EXIT) / (_FULL_PRICE - _FIRST_EXIT), 0.0, 1.0)
    return np.asarray(np.where(x < _FIRST_EXIT, 0.0, price * _FIRST_SHARE ** np.square(1 - u)))
