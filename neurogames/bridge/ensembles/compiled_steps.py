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

import numba
import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from neurogames.bridge.ensembles.coins import MEAN, SIGNS
from neurogames.bridge.ensembles.compiled_coins import fill_coins, mix
from neurogames.bridge.ensembles.stacked_steps import (
    EPSILON,
    FIRST_DECAY,
    SECOND_DECAY,
    EpochSlice,
    Recipe,
    Settings,
    State,
)
from neurogames.bridge.ensembles.streams import MASKS, MOMENTS, stream_keys

# BLAS has one number of threads for the whole process: of two trainings that overlap, the later would take the other's
# limit for what is to be restored. Each uses all cores, so that taking turns loses nothing.
_turn = threading.Lock()

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


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
    """Take the steps of a stretch network by network; see ``stacked_steps.take_steps``.

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
        (some,) float64: sum over the rows seen of the loss before each step, in the order of ``stretch.networks``.
    """
    losses = np.zeros(len(epoch_slice.networks))
    noise = epoch_slice.noise if epoch_slice.noise is not None else inputs.new_empty(len(losses), 0, 0)
    parameters = _arrays(state.weights + state.biases)
    memories = (_arrays(state.first), _arrays(state.second)) if recipe.adam else (parameters, parameters)
    keys, moment_keys = (stream_keys(settings.seeds, p).numpy().view(np.uint64) for p in (MASKS, MOMENTS))
    own = (epoch_slice.networks, epoch_slice.begin, epoch_slice.end, epoch_slice.keeps, epoch_slice.order, noise)

    def share(members: slice) -> None:
        _take_steps(
            (parameters, *memories),
            (settings.rates.numpy(), settings.feedback.numpy(), keys, moment_keys),
            (recipe.batch_size, recipe.cross_entropy, recipe.adam, recipe.rescale),
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


def _arrays(tensors: tuple[Tensor, ...]) -> tuple[np.ndarray, ...]:
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
        tuple(np.empty_like(gradient) for gradient in gradients) if moments else gradients,
        np.empty((rows, targets.shape[1]), kind),
        np.empty((rows if recipe.granularity == "sample" else 1, len(positions)), kind),
        positions,
    )


@_compiled
def _load(inputs, targets, order, noise, start, values, wanted):
    """Copy one mini-batch in the order given, and add the noise of its labels."""
    for r in range(values.shape[0]):
        source = order[start + r]
        for j in range(values.shape[1]):
            values[r, j] = inputs[source, j]
        for j in range(wanted.shape[1]):
            wanted[r, j] = targets[source, j]
            if noise.size > 0:
                wanted[r, j] += noise[start + r, j]


@_compiled
def _add_bias(values, bias, rectify):
    """Add the bias and, in hidden layers, apply the ReLU, which keeps NaN so that divergence is seen."""
    for r in range(values.shape[0]):
        for j in range(values.shape[1]):
            value = values[r, j] + bias[0, j]
            values[r, j] = values.dtype.type(0.0) if rectify and value < 0.0 else value


@_compiled
def _mean_squares(outputs, wanted, delta):
    """Mean squared error; ``delta`` becomes its derivative by the outputs."""
    total = 0.0
    scale = outputs.dtype.type(2.0 / outputs.size)
    for r in range(outputs.shape[0]):
        for j in range(outputs.shape[1]):
            error = outputs[r, j] - wanted[r, j]
            total += np.float64(error) ** 2
            delta[r, j] = scale * error
    return total / outputs.size


@_compiled
def _cross_entropy(outputs, wanted, delta):
    """Mean cross-entropy of the softmax; ``wanted[:, 0]`` holds class ids; ``delta`` becomes its derivative."""
    total = 0.0
    rows, classes = outputs.shape
    for r in range(rows):
        top = outputs[r, 0]
        for j in range(1, classes):
            top = max(top, outputs[r, j])
        norm = 0.0
        for j in range(classes):
            delta[r, j] = np.exp(outputs[r, j] - top)
            norm += delta[r, j]
        right = np.int64(wanted[r, 0])
        total += np.log(norm) - (outputs[r, right] - top)
        for j in range(classes):
            delta[r, j] /= norm * rows
        delta[r, right] -= 1.0 / rows
    return total / rows


@_compiled
def _sum_rows(delta, total):
    """Sum over the rows, into ``total`` of shape (1, units)."""
    total[:] = 0.0
    for r in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            total[0, j] += delta[r, j]


@_compiled
def _gate(delta, activation, masked, masks, column):
    """Multiply ``delta`` by the ReLU's derivative and by the mask of its unit, from ``column`` of ``masks`` on."""
    sample = masks.shape[0] > 1
    for r in range(delta.shape[0]):
        if masked:
            mask = masks[r if sample else 0, column:]
            for j in range(delta.shape[1]):
                delta[r, j] *= mask[j]
        for j in range(delta.shape[1]):
            delta[r, j] = delta[r, j] if activation[r, j] > 0.0 else delta.dtype.type(0.0)


@_compiled
def _backward(parameters, network, values, deltas, rows, masked, coins, gradients):
    """Gradients of all weights and biases, from the outputs' delta down; coins weigh what comes to a hidden unit."""
    layers = len(deltas)
    delta = deltas[layers - 1][:rows]
    column = coins.shape[1]
    for layer in range(layers - 1, -1, -1):
        below = values[layer][:rows]
        np.dot(below.T, delta, gradients[layer])
        _sum_rows(delta, gradients[layers + layer])
        if layer > 0:
            lower = deltas[layer - 1][:rows]
            np.dot(delta, parameters[layer][network].T, lower)
            column -= lower.shape[1]
            _gate(lower, below, masked, coins, column)
            delta = lower


@_compiled
def _adam(parameters, gradient, first, second, rate, step):
    """One step of Adam, as torch.optim.Adam takes it."""
    kind = parameters.dtype.type
    size = kind(rate / (1.0 - FIRST_DECAY**step))
    root = kind(1.0 / np.sqrt(1.0 - SECOND_DECAY**step))
    fresh, squares, eps = kind(1.0 - FIRST_DECAY), kind(1.0 - SECOND_DECAY), kind(EPSILON)
    for i in range(parameters.shape[0]):
        for j in range(parameters.shape[1]):
            slope = gradient[i, j]
            first[i, j] += fresh * (slope - first[i, j])
            second[i, j] += squares * (slope * slope - second[i, j])
            parameters[i, j] -= size * first[i, j] / (np.sqrt(second[i, j]) * root + eps)


@_compiled
def _twin_adam(parameters, gradient, drawn, first, second, rate, step):
    """As ``_adam``, with another gradient for the second memory: a kernel of its own, for a fifth array costs time."""
    kind = parameters.dtype.type
    size = kind(rate / (1.0 - FIRST_DECAY**step))
    root = kind(1.0 / np.sqrt(1.0 - SECOND_DECAY**step))
    fresh, squares, eps = kind(1.0 - FIRST_DECAY), kind(1.0 - SECOND_DECAY), kind(EPSILON)
    for i in range(parameters.shape[0]):
        for j in range(parameters.shape[1]):
            first[i, j] += fresh * (gradient[i, j] - first[i, j])
            second[i, j] += squares * (drawn[i, j] * drawn[i, j] - second[i, j])
            parameters[i, j] -= size * first[i, j] / (np.sqrt(second[i, j]) * root + eps)


@_compiled
def _sgd(parameters, gradient, rate):
    """One step of plain gradient descent."""
    size = parameters.dtype.type(rate)
    for i in range(parameters.shape[0]):
        for j in range(parameters.shape[1]):
            parameters[i, j] -= size * gradient[i, j]


@_compiled
def _take_steps(state, settings, recipe, data, own, done, scratch, losses):
    """All steps of a stretch, the networks in the outermost loop."""
    parameters, first, second = state
    rates, feedback, keys, moment_keys = settings
    batch_size, cross_entropy, adam, rescale = recipe
    inputs, targets = data
    networks, begin, end, keeps, order, noise = own
    values, deltas, gradients, moments, wanted, coins, positions = scratch
    layers = len(deltas)
    for k in range(len(networks)):
        network = networks[k]
        kind = feedback[network]
        for batch in range(begin[k], end[k]):
            start = batch * batch_size
            rows = min(batch_size, order.shape[1] - start)
            _load(inputs, targets, order[k], noise[k], start, values[0][:rows], wanted[:rows])
            for layer in range(layers):
                above = values[layer + 1][:rows]
                np.dot(values[layer][:rows], parameters[layer][network], above)
                _add_bias(above, parameters[layers + layer][network], layer < layers - 1)
            outputs, delta = values[layers][:rows], deltas[layers - 1][:rows]
            if cross_entropy:
                losses[k] += rows * _cross_entropy(outputs, wanted, delta)
            else:
                losses[k] += rows * _mean_squares(outputs, wanted, delta)
            keep = keeps[k, min(batch, keeps.shape[1] - 1)]
            masked = keep < 1.0
            if masked:
                fill_coins(kind, mix(keys[network] + np.uint64(done + batch)), keep, rescale, positions, coins)
            _backward(parameters, network, values, deltas, rows, masked, coins, gradients)
            twin = masked and adam and kind == MEAN
            if twin:
                key = mix(moment_keys[network] + np.uint64(done + batch))
                fill_coins(SIGNS, key, keep, rescale, positions, coins)
                _backward(parameters, network, values, deltas, rows, True, coins, moments)
            step = done + batch + 1
            for p in range(2 * layers):
                rate, parameter, gradient = rates[network, p % layers], parameters[p][network], gradients[p]
                if twin:
                    _twin_adam(parameter, gradient, moments[p], first[p][network], second[p][network], rate, step)
                elif adam:
                    _adam(parameter, gradient, first[p][network], second[p][network], rate, step)
                else:
                    _sgd(parameter, gradient, rate)
