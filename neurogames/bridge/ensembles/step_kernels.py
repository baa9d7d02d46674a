"""The kernels of ``compiled_steps``: one network's training steps in plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.bridge.ensembles.coins import GAUSSIAN, MEAN, SIGNS
from neurogames.bridge.ensembles.stacked_steps import EPSILON, FIRST_DECAY, SECOND_DECAY
from neurogames.bridge.ensembles.streams import FIRST, GOLDEN, SECOND
from neurogames.engine.compiled import compiled

_Array = NDArray[Any]
_Arrays = tuple[_Array, ...]


@compiled(error_model="numpy")
def _mix(word: np.uint64) -> np.uint64:
    """SplitMix64's output function, equal to that of ``streams``."""
    word = word + np.uint64(GOLDEN)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(FIRST)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(SECOND)
    return word ^ (word >> np.uint64(31))


@compiled(error_model="numpy")
def _fill_coins(kind: int, key: np.uint64, keep: float, rescale: bool, positions: _Array, coins: _Array) -> None:
    """Fill ``coins`` (1 or rows, units) with the factors of one step; ``positions`` say where in the draw they are."""
    scale = 1.0 / keep if rescale else 1.0
    if kind == MEAN:
        coins[:] = scale * keep
        return
    heads, tails, share = scale, 0.0, keep
    if kind == SIGNS:
        heads, tails, share = scale * np.sqrt(keep), -scale * np.sqrt(keep), (1.0 + np.sqrt(keep)) / 2.0
    spread = np.sqrt(keep * (1.0 - keep))
    for r in range(coins.shape[0]):
        for j in range(coins.shape[1]):
            bits = _mix(_mix(np.uint64(r * coins.shape[1] + positions[j])) ^ key)
            uniform = (np.int64(bits >> np.uint64(41)) + 0.5) * 2.0**-23
            if kind == GAUSSIAN:
                angle = (np.int64((bits >> np.uint64(18)) & np.uint64(2**23 - 1)) + 0.5) * 2.0**-22 * np.pi
                radius = (np.int64(bits & np.uint64(2**18 - 1)) + 0.5) * 2.0**-18
                coins[r, j] = scale * (keep + spread * np.sqrt(-2.0 * np.log(radius)) * np.cos(angle))
            else:
                coins[r, j] = heads if uniform < share else tails


@compiled(error_model="numpy")
def _load(
    inputs: _Array, targets: _Array, order: _Array, noise: _Array, start: int, values: _Array, wanted: _Array
) -> None:
    """Copy one mini-batch in the order given, and add the noise of its labels."""
    for r in range(values.shape[0]):
        source = order[start + r]
        for j in range(values.shape[1]):
            values[r, j] = inputs[source, j]
        for j in range(wanted.shape[1]):
            wanted[r, j] = targets[source, j]
            if noise.size > 0:
                wanted[r, j] += noise[start + r, j]


@compiled(error_model="numpy")
def _add_bias(values: _Array, bias: _Array, rectify: bool) -> None:
    """Add the bias and, in hidden layers, apply the ReLU, which keeps NaN so that divergence is seen."""
    for r in range(values.shape[0]):
        for j in range(values.shape[1]):
            value = values[r, j] + bias[0, j]
            values[r, j] = values.dtype.type(0.0) if rectify and value < 0.0 else value


@compiled(error_model="numpy")
def _mean_squares(outputs: _Array, wanted: _Array, delta: _Array) -> float:
    """Mean squared error; ``delta`` becomes its derivative by the outputs."""
    total = 0.0
    scale = outputs.dtype.type(2.0 / outputs.size)
    for r in range(outputs.shape[0]):
        for j in range(outputs.shape[1]):
            error = outputs[r, j] - wanted[r, j]
            total += np.float64(error) ** 2
            delta[r, j] = scale * error
    return float(total / outputs.size)


@compiled(error_model="numpy")
def _cross_entropy(outputs: _Array, wanted: _Array, delta: _Array) -> float:
    """Mean cross-entropy of the softmax; ``wanted[:, 0]`` holds class ids; ``delta`` becomes its derivative."""
    total: float = 0.0
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
    return float(total / rows)


@compiled(error_model="numpy")
def _sum_rows(delta: _Array, total: _Array) -> None:
    """Sum over the rows, into ``total`` of shape (1, units)."""
    total[:] = 0.0
    for r in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            total[0, j] += delta[r, j]


@compiled(error_model="numpy")
def _gate(delta: _Array, activation: _Array, masked: bool, masks: _Array, column: int) -> None:
    """Multiply ``delta`` by the ReLU's derivative and by the mask of its unit, from ``column`` of ``masks`` on."""
    sample = masks.shape[0] > 1
    for r in range(delta.shape[0]):
        if masked:
            mask = masks[r if sample else 0, column:]
            for j in range(delta.shape[1]):
                delta[r, j] *= mask[j]
        for j in range(delta.shape[1]):
            delta[r, j] = delta[r, j] if activation[r, j] > 0.0 else delta.dtype.type(0.0)


@compiled(error_model="numpy")
def _backward(
    parameters: _Arrays,
    network: int,
    values: _Arrays,
    deltas: _Arrays,
    rows: int,
    masked: bool,
    coins: _Array,
    gradients: _Arrays,
) -> None:
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


@compiled(error_model="numpy")
def _adam(parameters: _Array, gradient: _Array, first: _Array, second: _Array, rate: float, step: int) -> None:
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


@compiled(error_model="numpy")
def _add_squares(gradient: _Array, share: float, squares: _Array) -> None:
    """Add a share of the squares of a gradient."""
    part = squares.dtype.type(share)
    for i in range(squares.shape[0]):
        for j in range(squares.shape[1]):
            squares[i, j] += part * gradient[i, j] * gradient[i, j]


@compiled(error_model="numpy")
def _twin_adam(
    parameters: _Array, gradient: _Array, squares: _Array, first: _Array, second: _Array, rate: float, step: int
) -> None:
    """As ``_adam``, with other squares for the second memory: a kernel of its own, for a fifth array costs time."""
    kind = parameters.dtype.type
    size = kind(rate / (1.0 - FIRST_DECAY**step))
    root = kind(1.0 / np.sqrt(1.0 - SECOND_DECAY**step))
    fresh, renewed, eps = kind(1.0 - FIRST_DECAY), kind(1.0 - SECOND_DECAY), kind(EPSILON)
    for i in range(parameters.shape[0]):
        for j in range(parameters.shape[1]):
            first[i, j] += fresh * (gradient[i, j] - first[i, j])
            second[i, j] += renewed * (squares[i, j] - second[i, j])
            parameters[i, j] -= size * first[i, j] / (np.sqrt(second[i, j]) * root + eps)


@compiled(error_model="numpy")
def _sgd(parameters: _Array, gradient: _Array, rate: float) -> None:
    """One step of plain gradient descent."""
    size = parameters.dtype.type(rate)
    for i in range(parameters.shape[0]):
        for j in range(parameters.shape[1]):
            parameters[i, j] -= size * gradient[i, j]


@compiled(error_model="numpy")
def take_network_steps(
    state: tuple[_Arrays, _Arrays, _Arrays],
    settings: _Arrays,
    recipe: tuple[int, bool, bool, bool, int],
    data: tuple[_Array, _Array],
    own: _Arrays,
    done: int,
    scratch: tuple[Any, ...],
    losses: _Array,
) -> None:
    """All steps of a slice of an epoch, the networks in the outermost loop."""
    parameters, first, second = state
    rates, feedback, keys, moment_keys = settings
    batch_size, cross_entropy, adam, rescale, draws = recipe
    inputs, targets = data
    networks, begin, end, keeps, order, noise = own
    values, deltas, gradients, drawn, squares, wanted, coins, positions = scratch
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
                _fill_coins(kind, _mix(keys[network] + np.uint64(done + batch)), keep, rescale, positions, coins)
            _backward(parameters, network, values, deltas, rows, masked, coins, gradients)
            twin = masked and adam and kind == MEAN
            if twin:
                for p in range(2 * layers):
                    squares[p][:] = 0.0
                for draw in range(draws):
                    key = _mix(moment_keys[network] + np.uint64((done + batch) * draws + draw))
                    _fill_coins(SIGNS, key, keep, rescale, positions, coins)
                    _backward(parameters, network, values, deltas, rows, True, coins, drawn)
                    for p in range(2 * layers):
                        _add_squares(drawn[p], 1.0 / draws, squares[p])
            step = done + batch + 1
            for p in range(2 * layers):
                rate, parameter, gradient = rates[network, p % layers], parameters[p][network], gradients[p]
                if twin:
                    _twin_adam(parameter, gradient, squares[p], first[p][network], second[p][network], rate, step)
                elif adam:
                    _adam(parameter, gradient, first[p][network], second[p][network], rate, step)
                else:
                    _sgd(parameter, gradient, rate)
