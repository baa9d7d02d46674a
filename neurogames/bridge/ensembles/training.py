"""How networks are taken through their epochs: what is drawn when, who is in which epoch, and who does the steps.

Epoch e of a network is determined by its seed and e alone: the order of the rows and the noise of the labels are drawn
for the whole epoch with counter e, masks with the number of the step. So training can stop in the middle of an epoch
and go on later by drawing the same epoch again, and networks in different epochs can be trained side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController
from torch import Tensor

from neurogames.bridge.ensembles import compiled_steps, stacked_steps
from neurogames.bridge.ensembles.stacked_steps import EpochSlice, Recipe, Settings, State
from neurogames.bridge.ensembles.streams import LABELS, ORDER, permutations, uniforms
from neurogames.bridge.feedback.target_noise import TargetNoise


@dataclass(frozen=True, eq=False)
class TrainingState:
    """What is trained, on what, and how.

    Args:
        state: parameters and optimizer memories; its tensors are overwritten.
        recipe: what all networks have in common.
        settings: what each network has of its own.
        inputs: (rows, features).
        targets: (rows, outputs), or (rows, 1) class ids as floating numbers.
        noises: label noises with the networks that have them, (networks,), and their amplitude per output.
        keeps: keep probabilities in [0, 1], for each network (1,), or (steps,) where a schedule moves them.
    """

    state: State
    recipe: Recipe
    settings: Settings
    inputs: Tensor
    targets: Tensor
    noises: list[tuple[TargetNoise, NDArray[np.bool_], Tensor]]
    keeps: list[NDArray[np.float64]]

    @property
    def steps_per_epoch(self) -> int:
        """Mini-batches of one pass over the rows, the last of which may hold fewer rows."""
        return -(-len(self.inputs) // self.recipe.batch_size)


@dataclass(frozen=True, eq=False)
class TrainingLog:
    """How far each network has come; the arrays are overwritten as training goes on.

    Args:
        taken: (networks,) optimizer steps taken.
        alive: (networks,) False once the loss was not finite.
        diverged_in: (networks,) the epoch in which that was, counted from 1, or 0.
        loss_sum: (networks, epochs) sum over the rows seen of the loss before the step.
        rows_seen: (networks, epochs).
    """

    taken: NDArray[np.int64]
    alive: NDArray[np.bool_]
    diverged_in: NDArray[np.int64]
    loss_sum: NDArray[np.float64]
    rows_seen: NDArray[np.int64]

    @staticmethod
    def opened(planned: NDArray[np.int64], steps_per_epoch: int) -> TrainingLog:
        """Nothing done yet."""
        shape = (len(planned), -(-int(planned.max()) // steps_per_epoch))
        nothing, zeros = np.zeros_like(planned), np.zeros(shape, dtype=np.int64)
        return TrainingLog(nothing, np.ones(len(planned), dtype=bool), nothing.copy(), np.zeros(shape), zeros)


def advance(
    training: TrainingState,
    log: TrainingLog,
    take_steps: Callable[..., Tensor],
    networks: NDArray[np.int64],
    goal: NDArray[np.int64],
) -> Iterator[None]:
    """Train some networks up to their goals, one epoch at a time, the lagging ones first."""
    per_epoch, rows = training.steps_per_epoch, len(training.inputs)
    while len(active := networks[log.alive[networks] & (log.taken[networks] < goal[networks])]):
        epochs = log.taken[active] // per_epoch
        epoch = int(epochs.min())
        active = active[epochs == epoch]
        begin = log.taken[active] - epoch * per_epoch
        end = np.minimum(goal[active] - epoch * per_epoch, per_epoch)
        with one_torch_thread():
            epoch_slice = _epoch_slice(training, active, epoch, begin, end)
        loss = take_steps(
            training.state,
            training.recipe,
            training.settings,
            training.inputs,
            training.targets,
            epoch_slice,
        )
        losses = loss.cpu().numpy()
        log.taken[active] += end - begin
        log.loss_sum[active, epoch] += losses
        log.rows_seen[active, epoch] += np.minimum(end * training.recipe.batch_size, rows)
        log.rows_seen[active, epoch] -= begin * training.recipe.batch_size
        lost = active[~np.isfinite(losses)]
        log.alive[lost] = False
        log.diverged_in[lost] = epoch + 1
        yield


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Draws are short: on a busy machine torch's threads would wait for each other far longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _epoch_slice(
    training: TrainingState,
    networks: NDArray[np.int64],
    epoch: int,
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
) -> EpochSlice:
    """Draw the order of the rows and the noise of the labels of one epoch."""
    rows, outputs = training.targets.shape
    device = training.inputs.device
    index = torch.from_numpy(networks).to(device)
    seeds = training.settings.seeds[index]
    noise = None
    for law, members, amplitude in training.noises:
        mine = torch.from_numpy(members[networks]).to(device)
        if mine.any():
            draws = uniforms(seeds[mine], LABELS, epoch, (2, rows, outputs), training.inputs.dtype)
            noise = draws.new_zeros(len(networks), rows, outputs) if noise is None else noise
            noise[mine] = law.transform(draws[:, 0], draws[:, 1]) * amplitude
    order = permutations(seeds, ORDER, epoch, rows)
    first, last = (torch.from_numpy(limit).to(device) for limit in (begin, end))
    keeps = torch.from_numpy(_keeps(training, networks, epoch)).to(device)
    return EpochSlice(index, order, noise, first, last, keeps, epoch * training.steps_per_epoch)


def _keeps(training: TrainingState, networks: NDArray[np.int64], epoch: int) -> NDArray[np.float64]:
    """Keep probabilities of one epoch: (networks, 1) where no schedule moves them, else (networks, steps)."""
    chosen = [training.keeps[k] for k in networks]
    if all(len(keeps) == 1 for keeps in chosen):
        return np.array(chosen)
    start = epoch * training.steps_per_epoch
    steps = np.arange(start, start + training.steps_per_epoch)
    return np.stack([keeps[np.minimum(steps, len(keeps) - 1)] for keeps in chosen])


def backend(device: torch.device, pool: Executor) -> Callable[..., Tensor]:
    """How steps are taken: compiled, one network after the other, on the CPU; stacked on other devices."""
    if device.type != "cpu":
        return stacked_steps.take_steps
    return partial(compiled_steps.take_steps, pool=pool, threads=torch.get_num_threads(), blas=ThreadpoolController())


def group_count(training: TrainingState) -> int:
    """In how many groups networks are trained, so that the draws of an epoch stay small beside the state."""
    rows, outputs = training.targets.shape
    count = len(training.settings.seeds)
    cpu = training.inputs.device.type == "cpu"
    together = (2**18 if cpu else 2**26) // (rows * (1 + 2 * outputs * bool(training.noises)))
    return -(-count // max(together, torch.get_num_threads()))
