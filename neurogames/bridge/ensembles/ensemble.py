"""Training many networks at once: each with its own seed, keep probability, target noise, rate and length.

Network k is trained exactly as if it were alone, by mini-batches in an order of its own, with gradient dropout: the
gradient at a hidden layer's activation is multiplied by a mask that keeps each unit with probability
``keep_prob``, one draw per step, or by the mask's mean. Time is counted per network: an epoch is one pass over the
rows, in ceil(rows / batch_size) optimizer steps of which the last may hold fewer rows, and a share s in [0, 1] of ITS
OWN training is reached after round(s * steps) steps. All draws come from the network's own stream (``streams``), so
that neither the other networks nor the number of threads change a result.

With Adam a unit whose gradient is masked still moves, by the optimizer's memory of earlier gradients; with SGD
its incoming weights stand still for that step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from neurogames._arguments import fits_in_memory, integer, invalid_argument, number
from neurogames.bridge.ensembles.networks import Ensemble, initial_ensemble
from neurogames.bridge.ensembles.per_network import feedback_kinds, keep_courses, per_network, rates_of_layers
from neurogames.bridge.ensembles.stacked_steps import Recipe, Settings, State
from neurogames.bridge.ensembles.training import (
    TrainingLog,
    TrainingState,
    advance,
    backend,
    group_count,
    one_torch_thread,
)
from neurogames.bridge.feedback.target_noise import TargetNoise
from neurogames.bridge.modules.data import finite_rows, matched_rows
from neurogames.bridge.modules.evaluation import gradients_on

Feedback = Literal["dropout", "mean", "gaussian"]
Schedule = Callable[[float], float]


@dataclass(frozen=True, eq=False)
class Trained:
    """Trained networks and how their training went.

    Args:
        ensemble: the networks in the order of their seeds; a diverged one as it was when it was stopped.
        train_loss: (networks, epochs), mean over the rows of an epoch of the loss just before the step they
            were used in, against labels with their noise; NaN where a network was not trained any more.
        steps: (networks,) optimizer steps taken.
        status: for each network "ok", or "diverged: ..." with where it happened.
    """

    ensemble: Ensemble
    train_loss: NDArray[np.float64]
    steps: NDArray[np.int64]
    status: tuple[str, ...]

    @property
    def finished(self) -> NDArray[np.bool_]:
        """Which networks came to the end of their training with finite parameters; (networks,)."""
        return np.array([status == "ok" for status in self.status])


@gradients_on()
def train_ensemble(
    inputs: Tensor,
    targets: Tensor,
    *,
    seeds: Sequence[int],
    hidden: Sequence[int] = (64, 64),
    loss: Literal["mse", "cross_entropy"] = "mse",
    keep_prob: float | Schedule | Sequence[float | Schedule] = 1.0,
    feedback: Feedback | Sequence[Feedback] = "dropout",
    target_noise: TargetNoise | Sequence[TargetNoise | None] | None = None,
    learning_rate: float | Sequence[float] = 1e-3,
    layer_rates: ArrayLike | None = None,
    epochs: float | Sequence[float] = 20,
    batch_size: int = 64,
    optimizer: Literal["adam", "sgd"] = "adam",
    granularity: Literal["unit", "sample", "layer"] = "unit",
    rescale: bool = False,
    moment_draws: int = 2,
    record_at: Sequence[float] = (),
    on_record: Callable[[float, Ensemble], object] | None = None,
    on_progress: Callable[[float], object] | None = None,
) -> Trained:
    """Train one ReLU network per seed on the same rows, by gradient dropout.

    With mask m_j = 1[u_j < keep], redrawn each step, the gradient g of unit j's activation becomes

        g' = (g * 1[x > 0]) * m_j

    for all rows of the mini-batch (granularity "unit"), without the factor 1/keep unless ``rescale``. keep 1
    is plain backpropagation. Networks start from Xavier-uniform weights and biases 0.01.

    Args:
        inputs: (rows, features), float32 or float64; its dtype and device are those of the networks.
        targets: for "mse" (rows,) or (rows, outputs) numbers; for "cross_entropy" (rows,) integer class ids
            0, 1, ..., of which the largest decides the number of outputs.
        seeds: one integer per network, the source of all its randomness.
        hidden: units of the hidden layers.
        loss: "mse", mean over rows and outputs of (output - label)^2, or "cross_entropy" of the softmax.
        keep_prob: probability in [0, 1] that a unit gets its gradient, or a schedule of it, read before step s of
            S at progress s / S; one for all, or one per network. At 0 only the output layer learns.
        feedback: one for all, or one per network. "dropout": the mask m; "mean": its mean keep, which is the
            training that gradient dropout is on average (with Adam the second memory is that of masked gradients,
            by ``moment_draws`` backward passes more); "gaussian": normal factors with the mask's mean and
            variance, that is, gradient noise of the mask's covariance.
        target_noise: noise of the labels, drawn afresh for every label of every mini-batch; regression
            only; one for all, or one per network (None for no noise).
        learning_rate: > 0; one number, or one per network.
        layer_rates: >= 0, factor of the learning rate of each layer, the output layer last: (layers,), or
            (networks, layers). ``feedback_factors`` gives those to which gradient dropout amounts.
        epochs: > 0, may be fractional; one number, or one per network. The number of steps is
            round(epochs * ceil(rows / batch_size)), at least 1.
        batch_size: rows of a mini-batch.
        optimizer: "adam" (betas 0.9 and 0.999, eps 1e-8) or "sgd".
        granularity: "unit", one mask entry per unit for the whole mini-batch; "sample", one per row and
            unit; "layer", one per layer.
        rescale: divide the kept gradients by keep, so that the mean over masks is the true gradient. With Adam
            that changes nothing, up to ``eps``.
        moment_draws: with Adam and feedback "mean", gradients with coins per step for the second memory; each costs
            about half a step. The area between robustness curves came out within .3 % of plain's of that of sixteen
            draws with two, within 1.6 % with one (two tables, keep .1 to .4, 30 networks each).
        record_at: shares of training in [0, 1], increasing.
        on_record: called with a share and a copy of all networks, each after that share of its own training.
        on_progress: called with the fraction of all steps done, in [0, 1].

    Returns:
        The networks, their losses, steps and status. A network whose loss or parameters stop being finite
        is stopped and says so in its status; the others go on.

    Raises:
        ValueError: an argument is out of range, the table has fewer rows than a batch or entries that are not
            finite, a target has one value only, or label noise is asked for class ids.

    Reference: gradient-dropout game, arXiv 2507.19143, whose code drops with the probability it calls p.

    >>> inputs = torch.linspace(-1, 1, 128)[:, None]
    >>> trained = train_ensemble(
    ...     inputs, inputs[:, 0] ** 2, seeds=[0, 1], keep_prob=[1.0, 0.5], epochs=[10, 30], learning_rate=0.02
    ... )
    >>> trained.steps.tolist(), trained.status
    ([20, 60], ('ok', 'ok'))
    >>> bool((trained.ensemble(inputs)[:, :, 0] - inputs[:, 0] ** 2).square().mean() < 0.02)
    True
    """
    batch_size = integer("batch_size", batch_size, minimum=1)
    inputs = _checked_inputs(inputs, batch_size)
    if not isinstance(seeds, Iterable):
        raise invalid_argument("seeds", seeds, "one integer for each network")
    if not isinstance(hidden, Iterable):
        raise invalid_argument("hidden", hidden, "numbers of units, one for each hidden layer")
    seeds = [integer("seeds", seed, minimum=-(2**63), maximum=2**63 - 1) for seed in seeds]
    count = integer("number of seeds", len(seeds), minimum=1)
    _one_of("loss", loss, ("mse", "cross_entropy"))
    _one_of("optimizer", optimizer, ("adam", "sgd"))
    _one_of("granularity", granularity, ("unit", "sample", "layer"))
    targets, outputs = _checked_targets(targets, inputs, loss)
    kinds = feedback_kinds(feedback, count)
    moment_draws = integer("moment_draws", moment_draws, minimum=1)
    rates = rates_of_layers(
        [_positive("learning_rate", rate) for rate in per_network("learning_rate", learning_rate, count)],
        layer_rates,
        len(hidden) + 1,
    )
    lengths = [_positive("epochs", length) for length in per_network("epochs", epochs, count)]
    fits_in_memory("epochs", epochs, int(sum(lengths)))
    noises = _label_noises(per_network("target_noise", target_noise, count), targets, loss)
    shares = [number("record_at", share, "shares in [0, 1]", lambda value: 0 <= value <= 1) for share in record_at]
    if shares != sorted(set(shares)) or (shares and on_record is None):
        raise invalid_argument("record_at", list(record_at), "increasing shares, and a function on_record to call")
    steps_per_epoch = -(-len(inputs) // batch_size)
    planned = np.array([max(1, round(length * steps_per_epoch)) for length in lengths])
    courses = keep_courses(per_network("keep_prob", keep_prob, count), planned, rescale=bool(rescale))

    with one_torch_thread():
        ensemble = initial_ensemble(
            (inputs.shape[1], *hidden, outputs), seeds, device=inputs.device, dtype=inputs.dtype
        )
        remembered = ensemble.weights + ensemble.biases if optimizer == "adam" else ()
        first, second = (tuple(torch.zeros_like(tensor) for tensor in remembered) for _ in range(2))
        on_device = partial(torch.tensor, device=inputs.device)
        training = TrainingState(
            State(ensemble.weights, ensemble.biases, first, second),
            Recipe(batch_size, loss == "cross_entropy", optimizer == "adam", granularity, bool(rescale), moment_draws),
            Settings(on_device(seeds), on_device(rates), on_device(kinds)),
            inputs,
            targets,
            noises,
            courses,
        )
    log = TrainingLog.opened(planned, steps_per_epoch)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        take_steps = backend(inputs.device, pool)
        for share in sorted({*shares, 1.0}):
            goal = np.round(share * planned).astype(np.int64)
            for networks in np.array_split(np.arange(count), group_count(training)):
                for _ in advance(training, log, take_steps, networks, goal):
                    if on_progress is not None:
                        on_progress(float(np.where(log.alive, log.taken, planned).sum() / planned.sum()))
            if share in shares and on_record is not None:
                on_record(share, ensemble.copy())
    with one_torch_thread():
        return _closed(ensemble, log)


def _closed(ensemble: Ensemble, log: TrainingLog) -> Trained:
    """Say how it went."""
    finite = torch.stack([t.isfinite().all(dim=(1, 2)) for t in ensemble.weights + ensemble.biases]).all(dim=0)
    status = [
        f"diverged: the loss is not finite in epoch {epoch}"
        if epoch
        else ("ok" if intact else "diverged: a parameter is not finite after the last step")
        for epoch, intact in zip(log.diverged_in.tolist(), finite.tolist(), strict=True)
    ]
    nothing = np.full(log.loss_sum.shape, np.nan)
    losses = np.divide(log.loss_sum, log.rows_seen, out=nothing, where=log.rows_seen > 0)
    return Trained(ensemble, losses, log.taken, tuple(status))


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Refuse what is not on the list."""
    if value not in allowed:
        raise invalid_argument(name, value, " or ".join(map(repr, allowed)))


def _positive(name: str, value: Any) -> float:
    return number(name, value, "a finite number > 0", lambda result: result > 0)


def _checked_inputs(inputs: Tensor, batch_size: int) -> Tensor:
    """The table as the compiled steps read it, or an error."""
    rows = finite_rows(inputs, minimum=batch_size)
    if rows.dtype not in (torch.float32, torch.float64):
        raise invalid_argument("inputs", rows.dtype, "a tensor of float32 or float64")
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise invalid_argument("inputs", f"shape {tuple(rows.shape)}", "shape (rows, features)")
    return rows.contiguous()


def _checked_targets(targets: Tensor, inputs: Tensor, loss: str) -> tuple[Tensor, int]:
    """Targets (rows, outputs) in the dtype of the inputs, and the number of outputs, or an error."""
    _, labels = matched_rows(inputs, targets)
    if labels.ndim > 2:
        raise invalid_argument("targets", f"shape {tuple(labels.shape)}", "shape (rows,) or (rows, outputs)")
    # Labels get their second axis here, once: outputs (B, 1) minus labels (B,) would be a (B, B) table.
    table = labels.to(inputs.device).reshape(len(inputs), -1)
    if table.is_complex():
        raise invalid_argument("targets", targets.dtype, "real numbers or class ids")
    if loss == "cross_entropy":
        whole_numbers = not (table.is_floating_point() or table.dtype == torch.bool)
        if not whole_numbers or labels.ndim != 1 or table.min() < 0:
            got = f"{labels.dtype} of shape {tuple(labels.shape)}"
            raise invalid_argument("targets", got, "(rows,) class ids 0, 1, ...")
    elif not (table := table.to(inputs.dtype)).isfinite().all():  # judged in the type in which they are learned
        got = f"{int((~table.isfinite()).sum())} entries that are not finite in {inputs.dtype}"
        raise invalid_argument("targets", got, "finite entries")
    if table.shape[1] == 0 or (table == table[0]).all(dim=0).any():
        raise invalid_argument("targets", "one value only", "targets that differ between rows")
    outputs = int(table.max()) + 1 if loss == "cross_entropy" else table.shape[1]
    return table.to(inputs.dtype).contiguous(), outputs


def _label_noises(
    noises: list[TargetNoise | None], targets: Tensor, loss: str
) -> list[tuple[TargetNoise, NDArray[np.bool_], Tensor]]:
    """Each noise that is not nothing, whose it is, and its amplitude for every output."""
    deviations = targets.double().std(dim=0, correction=0).tolist()
    groups = []
    for k, noise in enumerate(noises):
        if noise is None or noise in noises[:k]:
            continue
        if not callable(getattr(noise, "amplitude", None)) or not callable(getattr(noise, "transform", None)):
            raise invalid_argument("target_noise", noise, "a noise with transform and amplitude, or None")
        amplitude = torch.tensor([noise.amplitude(deviation) for deviation in deviations], dtype=torch.float64)
        if not amplitude.any():
            continue
        if loss == "cross_entropy":
            raise invalid_argument("target_noise", noise, "none: class ids have no noise to be added to")
        members = np.array([other == noise for other in noises])
        groups.append((noise, members, amplitude.to(targets)))
    return groups
