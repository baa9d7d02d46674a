"""What one training step of an ensemble is, and how a device takes it for all networks at once.

The state of K networks is one tensor (K, ...) per layer for weights, biases and the optimizer's two memories. For one
mini-batch of B rows, with hidden activations a_l, outputs z, incoming gradient g_l = dL/da_l, one step is

    dL/dz = 2 (z - y) / (B outputs)  or  (softmax(z) - onehot(y)) / B
    d_l = g_l * 1[a_l > 0] * m_l,   g_{l-1} = d_l W_l^T,   dL/dW_l = a_{l-1}^T d_l,   dL/db_l = sum of d_l over rows

and then SGD or Adam (betas 0.9 and 0.999, eps 1e-8). m_l is the mask of gradient dropout (arXiv 2507.19143): it stands
on a hidden layer's activation, so it silences the unit's incoming weights and what the unit would pass down, not its
outgoing weights. The derivatives are written out because an ensemble step is short: building autograd's graph
would cost more than the step. Masks are 1[u < keep] with u from the network's stream, a new draw for every step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neurogames.bridge.ensembles.streams import MASKS, uniforms

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8  # of Adam, as torch.optim.Adam has them


@dataclass(frozen=True)
class Recipe:
    """What all networks have in common.

    Args:
        batch_size: rows of a mini-batch; the last one of an epoch may have fewer.
        cross_entropy: loss is cross-entropy over class ids, else mean squared error.
        adam: optimizer is Adam, else plain SGD.
        granularity: "unit" (one mask entry per unit for the whole mini-batch), "sample" (one per row and unit), or
            "layer" (one per layer).
        rescale: divide kept gradients by keep.
    """

    batch_size: int
    cross_entropy: bool
    adam: bool
    granularity: str
    rescale: bool

    def mask_positions(self, widths: tuple[int, ...]) -> Tensor:
        """Position in a step's draw of each hidden unit's entry for the first row: (hidden units,) int64."""
        hidden = torch.tensor(widths[1:-1], dtype=torch.int64)
        owners = torch.arange(len(hidden)) if self.granularity == "layer" else None
        return torch.arange(int(hidden.sum())) if owners is None else owners.repeat_interleave(hidden)


@dataclass(frozen=True, eq=False)
class State:
    """Everything that changes in training; the tensors are overwritten by every step.

    Args:
        weights: (networks, fan_in, fan_out) per layer.
        biases: (networks, 1, fan_out) per layer.
        first: Adam's first memory, shaped like weights then biases; empty for SGD.
        second: Adam's second memory, as ``first``.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    first: tuple[Tensor, ...]
    second: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Settings:
    """What each network has of its own, every tensor (networks,).

    Args:
        seeds: int64.
        rates: learning rates, float64.
        keeps: keep probabilities in (0, 1], float64.
    """

    seeds: Tensor
    rates: Tensor
    keeps: Tensor


@dataclass(frozen=True, eq=False)
class EpochSlice:
    """Part of one epoch for some of the networks.

    Args:
        networks: (some,) int64, which networks take part.
        order: (some, rows) int64, the order of the training rows in this epoch.
        noise: (some, rows, outputs), what is added to the label at each place of the order; None for nothing.
        begin: (some,) int64, the first mini-batch taken, 0 for the first of the epoch.
        end: (some,) int64, one past the last mini-batch taken.
        done: optimizer steps that went before the epoch.
    """

    networks: Tensor
    order: Tensor
    noise: Tensor | None
    begin: Tensor
    end: Tensor
    done: int


def take_steps(
    state: State, recipe: Recipe, settings: Settings, inputs: Tensor, targets: Tensor, epoch_slice: EpochSlice
) -> Tensor:
    """Take the steps of a slice of an epoch for all its networks together, overwriting ``state``.

    Args:
        state: parameters and memories of all networks.
        recipe: what all networks have in common.
        settings: what each network has of its own.
        inputs: (rows, features).
        targets: (rows, outputs), or (rows, 1) class ids as floating numbers.
        epoch_slice: which steps of which networks.

    Returns:
        (some,) float64: sum over the rows seen of the loss before each step, in the order of ``epoch_slice.networks``.
    """
    losses = torch.zeros(len(epoch_slice.networks), dtype=torch.float64, device=inputs.device)
    bounds = torch.stack([epoch_slice.begin, epoch_slice.end])
    for begin, end in torch.unique(bounds, dim=1).T.tolist():
        members = ((epoch_slice.begin == begin) & (epoch_slice.end == end)).nonzero()[:, 0]
        networks = epoch_slice.networks[members]
        part = _gather(state, networks)
        rates, keeps = settings.rates[networks], settings.keeps[networks]
        seeds, masked = settings.seeds[networks], bool((keeps < 1).any())  # read here: a step must not wait for a GPU
        for batch in range(begin, end):
            places = slice(batch * recipe.batch_size, (batch + 1) * recipe.batch_size)
            rows = epoch_slice.order[members, places]
            wanted = targets[rows]
            if epoch_slice.noise is not None:
                wanted = wanted + epoch_slice.noise[members, places]
            masks = _masks(recipe, part, seeds, keeps, epoch_slice.done + batch) if masked else ()
            loss, gradients = _backward(part, recipe, inputs[rows], wanted, masks)
            losses[members] += loss * rows.shape[1]
            _descend(part, recipe, rates, gradients, epoch_slice.done + batch + 1)
        _scatter(part, state, networks)
    return losses


def _tensors(state: State) -> tuple[Tensor, ...]:
    return (*state.weights, *state.biases, *state.first, *state.second)


def _gather(state: State, networks: Tensor) -> State:
    """A copy of the state of some networks."""
    copies = [tuple(t[networks] for t in ts) for ts in (state.weights, state.biases, state.first, state.second)]
    return State(*copies)


def _scatter(part: State, state: State, networks: Tensor) -> None:
    """Write the state of some networks back."""
    for source, target in zip(_tensors(part), _tensors(state), strict=True):
        target[networks] = source


def _masks(recipe: Recipe, state: State, seeds: Tensor, keeps: Tensor, step: int) -> tuple[Tensor, ...]:
    """The masks of one step, (networks, 1 or rows, units) per hidden layer."""
    hidden = [bias.shape[2] for bias in state.biases[:-1]]
    if not hidden:
        return ()
    rows = recipe.batch_size if recipe.granularity == "sample" else 1
    positions = recipe.mask_positions((0, *hidden, 0)).to(seeds.device)
    draws = uniforms(seeds, MASKS, step, (rows, int(positions[-1]) + 1))[:, :, positions]
    values = (1 / keeps if recipe.rescale else torch.ones_like(keeps)).to(state.weights[0].dtype)
    return torch.split(torch.where(draws < keeps[:, None, None], values[:, None, None], 0), hidden, dim=2)


def _backward(
    state: State, recipe: Recipe, inputs: Tensor, wanted: Tensor, masks: tuple[Tensor, ...]
) -> tuple[Tensor, list[Tensor]]:
    """Loss of each network (networks,) and the gradients of all weights, then all biases; no masks drop nothing."""
    rows = inputs.shape[1]
    activations = [inputs]
    for weight, bias in zip(state.weights[:-1], state.biases[:-1], strict=True):
        activations.append(torch.baddbmm(bias, activations[-1], weight).relu_())
    outputs = torch.baddbmm(state.biases[-1], activations[-1], state.weights[-1])
    if recipe.cross_entropy:
        logs = outputs.log_softmax(dim=2)
        classes = wanted.long()
        loss = -logs.gather(2, classes).mean(dim=(1, 2))
        delta = logs.exp_().scatter_add_(2, classes, -torch.ones_like(wanted)).div_(rows)
    else:
        error = outputs.sub_(wanted)
        loss = error.square().mean(dim=(1, 2))
        delta = error.mul_(2 / (rows * error.shape[2]))
    slopes: list[Tensor] = []
    shifts: list[Tensor] = []
    for layer in reversed(range(len(state.weights))):
        slopes.insert(0, activations[layer].mT @ delta)
        shifts.insert(0, delta.sum(dim=1, keepdim=True))
        if layer:
            delta = (delta @ state.weights[layer].mT).mul_(activations[layer] > 0)
            if masks:
                delta.mul_(masks[layer - 1][:, :rows])
    return loss.double(), slopes + shifts


def _descend(state: State, recipe: Recipe, rates: Tensor, gradients: list[Tensor], step: int) -> None:
    """One step of the optimizer, each network with its own learning rate; ``step`` counts from 1."""
    parameters = [*state.weights, *state.biases]
    if not recipe.adam:
        size = rates.to(gradients[0].dtype)[:, None, None]
        torch._foreach_addcmul_(parameters, gradients, [size.expand_as(g) for g in gradients], -1.0)
        return
    first, second = list(state.first), list(state.second)
    torch._foreach_lerp_(first, gradients, 1 - FIRST_DECAY)
    torch._foreach_mul_(second, SECOND_DECAY)
    torch._foreach_addcmul_(second, gradients, gradients, 1 - SECOND_DECAY)
    scale = torch._foreach_sqrt(second)
    torch._foreach_div_(scale, (1 - SECOND_DECAY**step) ** 0.5)
    torch._foreach_add_(scale, EPSILON)
    size = (rates / (1 - FIRST_DECAY**step)).to(gradients[0].dtype)[:, None, None]
    torch._foreach_addcdiv_(parameters, torch._foreach_mul(first, [size.expand_as(g) for g in first]), scale, -1.0)
