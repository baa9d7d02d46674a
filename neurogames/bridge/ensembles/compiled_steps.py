"""Training steps on the CPU, compiled: one network after the other, its whole state in the processor's cache.

It takes the same steps as ``stacked_steps`` (which defines them), in another order of work. A network of a few
thousand parameters, its optimizer's memory and one batch of its activations fit into a core's own cache, so
that taking all steps of an epoch for one network before turning to the next is faster than stepping all
networks together. It also needs no memory for the gradients of many networks, and makes the result of a network
independent of its company and of the number of threads to the last bit. Threads share the networks among
them; the products call BLAS.
"""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import Executor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController
from torch import Tensor

from neurogames.bridge.ensembles.coins import MEAN
from neurogames.bridge.ensembles.stacked_steps import EpochSlice, Recipe, Settings, State
from neurogames.bridge.ensembles.step_kernels import take_network_steps
from neurogames.bridge.ensembles.streams import MASKS, MOMENTS, stream_keys

# BLAS has one number of threads for the whole process: of two trainings that overlap, the later would take the other's
# limit for what is to be restored. Each uses all cores, so that taking turns loses nothing.
_turn = threading.Lock()

_Arrays = tuple[NDArray[Any], ...]


def take_steps(
    state: State,
    recipe: Recipe,
    settings: Settings,
    inputs: Tensor,
    targets: Tensor,
    epoch_slice: EpochSlice,
    *,
    pool: Executor,
    threads: int,
    blas: ThreadpoolController,
) -> Tensor:
    """Take the steps of a slice of an epoch, network by network; see ``stacked_steps.take_steps``.

    Args:
        state: parameters and memories of all networks, contiguous CPU tensors.
        recipe: what all networks have in common.
        settings: what each network has of its own.
        inputs: (rows, features).
        targets: (rows, outputs), or (rows, 1) class ids as floating numbers.
        epoch_slice: which steps of which networks.
        pool: runs the threads.
        threads: how many parts the networks are shared out to.
        blas: keeps BLAS from starting threads of its own inside each of them.

    Returns:
        (some,) float64: sum over the rows seen of the loss before each step, in the order of ``epoch_slice.networks``.
    """
    losses = np.zeros(len(epoch_slice.networks))
    noise = epoch_slice.noise if epoch_slice.noise is not None else inputs.new_empty(len(losses), 0, 0)
    parameters = _arrays(state.weights + state.biases)
    memories = (_arrays(state.first), _arrays(state.second)) if recipe.adam else (parameters, parameters)
    keys, moment_keys = (stream_keys(settings.seeds, p).numpy().view(np.uint64) for p in (MASKS, MOMENTS))
    own = (epoch_slice.networks, epoch_slice.begin, epoch_slice.end, epoch_slice.keeps, epoch_slice.order, noise)

    def share(members: slice) -> None:
        take_network_steps(
            (parameters, *memories),
            (settings.rates.numpy(), settings.feedback.numpy(), keys, moment_keys),
            (recipe.batch_size, recipe.cross_entropy, recipe.adam, recipe.rescale, recipe.moment_draws),
            (inputs.numpy(), targets.numpy()),
            tuple(tensor.numpy()[members] for tensor in own),
            epoch_slice.done,
            _scratch(state, recipe, targets, moments=recipe.adam and bool((settings.feedback == MEAN).any())),
            losses[members],
        )

    edges = np.linspace(0, len(losses), threads + 1).astype(int)
    with _turn, blas.limit(limits=1, user_api="blas"):
        list(pool.map(share, [slice(a, b) for a, b in itertools.pairwise(edges) if a < b]))
    return torch.from_numpy(losses)


def _arrays(tensors: tuple[Tensor, ...]) -> _Arrays:
    return tuple(tensor.numpy() for tensor in tensors)


def _scratch(state: State, recipe: Recipe, targets: Tensor, *, moments: bool) -> tuple[Any, ...]:
    """Room for one mini-batch of one network: values, deltas, gradients, labels, coins and their positions."""
    kind = targets.numpy().dtype
    widths = (state.weights[0].shape[1], *(weight.shape[2] for weight in state.weights))
    positions = recipe.mask_positions(widths).numpy()
    rows = recipe.batch_size
    gradients = tuple(np.empty(tensor.shape[1:], kind) for tensor in state.weights + state.biases)
    return (
        tuple(np.empty((rows, width), kind) for width in widths),
        tuple(np.empty((rows, width), kind) for width in widths[1:]),
        gradients,
        *((tuple(map(np.empty_like, gradients)), tuple(map(np.empty_like, gradients))) if moments else [gradients] * 2),
        np.empty((rows, targets.shape[1]), kind),
        np.empty((rows if recipe.granularity == "sample" else 1, len(positions)), kind),
        positions,
    )
