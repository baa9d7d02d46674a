"""What one training step of an ensemble is, and how a device takes it for all networks at once.

The state of K networks is one tensor (K, ...) per layer for weights, biases and the optimizer's two memories. For one
mini-batch of B rows, with hidden activations a_l, outputs z, incoming gradient g_l = dL/da_l, one step is

    dL/dz = 2 (z - y) / (B outputs)  or  (softmax(z) - onehot(y)) / B
    d_l = g_l * 1[a_l > 0] * m_l,   g_{l-1} = d_l W_l^T,   dL/dW_l = a_{l-1}^T d_l,   dL/db_l = sum of d_l over rows

and then SGD or Adam (betas 0.9 and 0.999, eps 1e-8). m_l is the mask of gradient dropout (arXiv 2507.19143): it stands
on a hidden layer's activation, so it silences the unit's incoming weights and what the unit would pass down, not its
outgoing weights. The derivatives are written out because an ensemble step is short: building autograd's graph
would cost more than the step. Masks are 1[u < keep] with u from the network's stream, a new draw for every step;
a network may have their mean instead, or Gaussian factors (``coins``). With the mean, Adam's second memory is of
gradients with coins of their own, a few draws per step, whose mean square is that of masked gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neurogames.bridge.ensembles.coins import MEAN, SIGNS, coins
from neurogames.bridge.ensembles.streams import MASKS, MOMENTS

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
        moment_draws: gradients with coins per step, whose mean square Adam remembers where feedback is the mean.
    """

    batch_size: int
    cross_entropy: bool
    adam: bool
    granularity: str
    rescale: bool
    moment_draws: int = 2

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
    """What each network has of its own.

    Args:
        seeds: (networks,) int64.
        rates: (networks, layers) float64, learning rate of each layer from the inputs on.
        feedback: (networks,) int64, which factors weigh the feedback to hidden units, as numbered in ``coins``.
    """

    seeds: Tensor
    rates: Tensor
    feedback: Tensor


@dataclass(frozen=True, eq=False)
class EpochSlice:
    """Part of one epoch for some of the networks.

    Args:
        networks: (some,) int64, which networks take part.
        order: (some, rows) int64, the order of the training rows in this epoch.
        noise: (some, rows, outputs), what is added to the label at each place of the order; None for nothing.
        begin: (some,) int64, the first mini-batch taken, 0 for the first of the epoch.
        end: (some,) int64, one past the last mini-batch taken.
        keeps: (some, mini-batches) float64, keep probability in [0, 1] at each; or (some, 1), the same at all.
        done: optimizer steps that went before the epoch.
    """

    networks: Tensor
    order: Tensor
    noise: Tensor | None
    begin: Tensor
    end: Tensor
    keeps: Tensor
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
        rates, seeds, kinds = settings.rates[networks], settings.seeds[networks], settings.feedback[networks]
        keeps = epoch_slice.keeps[members]
        masked, twins = bool((keeps < 1).any()), kinds == MEAN  # read here: a step must not wait for a GPU
        moments = masked and recipe.adam and bool(twins.any())
        for batch in range(begin, end):
            places = slice(batch * recipe.batch_size, (batch + 1) * recipe.batch_size)
            rows = epoch_slice.order[members, places]
            wanted = targets[rows]
            if epoch_slice.noise is not None:
                wanted = wanted + epoch_slice.noise[members, places]
            step, keep = epoch_slice.done + batch, keeps[:, min(batch, keeps.shape[1] - 1)]
            activations, loss, delta = _forward(part, recipe, inputs[rows], wanted)
            factors = _factors(recipe, part, kinds, seeds, keep, MASKS, step) if masked else ()
            gradients = _backward(part, activations, delta, factors)
            squares = None
            if moments:
                mean = [torch.zeros_like(gradient) for gradient in gradients]
                for draw in range(recipe.moment_draws):
                    counter = step * recipe.moment_draws + draw
                    factors = _factors(recipe, part, torch.full_like(kinds, SIGNS), seeds, keep, MOMENTS, counter)
                    drawn = _backward(part, activations, delta, factors)
                    torch._foreach_addcmul_(mean, drawn, drawn, 1 / recipe.moment_draws)
                squares = [
                    torch.where(twins[:, None, None], own, gradient.square())
                    for own, gradient in zip(mean, gradients, strict=True)
                ]
            losses[members] += loss * rows.shape[1]
            _descend(part, recipe, rates, gradients, squares, step + 1)
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


def _factors(
    recipe: Recipe, state: State, kinds: Tensor, seeds: Tensor, keeps: Tensor, purpose: int, step: int
) -> tuple[Tensor, ...]:
    """What weighs the feedback of one step, (networks, 1 or rows, units) per hidden layer."""
    hidden = [bias.shape[2] for bias in state.biases[:-1]]
    if not hidden:
        return ()
    rows = recipe.batch_size if recipe.granularity == "sample" else 1
    positions = recipe.mask_positions((0, *hidden, 0)).to(seeds.device)
    shape = (rows, int(positions[-1]) + 1)
    drawn = coins(kinds, seeds, keeps, purpose=purpose, step=step, shape=shape, rescale=recipe.rescale)
    return torch.split(drawn.to(state.weights[0].dtype)[:, :, positions], hidden, dim=2)


def _forward(state: State, recipe: Recipe, inputs: Tensor, wanted: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """Inputs and hidden activations, loss of each network (networks,), and its derivative by the outputs."""
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
    return activations, loss.double(), delta


def _backward(state: State, activations: list[Tensor], delta: Tensor, factors: tuple[Tensor, ...]) -> list[Tensor]:
    """Gradients of all weights, then all biases; no factors weigh nothing."""
    rows = delta.shape[1]
    slopes: list[Tensor] = []
    shifts: list[Tensor] = []
    for layer in reversed(range(len(state.weights))):
        slopes.insert(0, activations[layer].mT @ delta)
        shifts.insert(0, delta.sum(dim=1, keepdim=True))
        if layer:
            delta = (delta @ state.weights[layer].mT).mul_(activations[layer] > 0)
            if factors:
                delta.mul_(factors[layer - 1][:, :rows])
    return slopes + shifts


def _descend(
    state: State, recipe: Recipe, rates: Tensor, gradients: list[Tensor], squares: list[Tensor] | None, step: int
) -> None:
    """One step of the optimizer, each layer with its own learning rate; ``step`` counts from 1.

    Args:
        state: parameters and memories, overwritten.
        recipe: which optimizer.
        rates: (networks, layers).
        gradients: of all weights, then all biases.
        squares: what Adam's second memory takes in; None for the squares of the gradients.
        step: which step of the networks this is.
    """
    parameters = [*state.weights, *state.biases]
    if not recipe.adam:
        torch._foreach_addcmul_(parameters, gradients, _expanded(rates, gradients), -1.0)
        return
    first, second = list(state.first), list(state.second)
    torch._foreach_lerp_(first, gradients, 1 - FIRST_DECAY)
    if squares is None:
        torch._foreach_mul_(second, SECOND_DECAY)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - SECOND_DECAY)
    else:
        torch._foreach_lerp_(second, squares, 1 - SECOND_DECAY)
    scale = torch._foreach_sqrt(second)
    torch._foreach_div_(scale, (1 - SECOND_DECAY**step) ** 0.5)
    torch._foreach_add_(scale, EPSILON)
    size = _expanded(rates / (1 - FIRST_DECAY**step), first)
    torch._foreach_addcdiv_(parameters, torch._foreach_mul(first, size), scale, -1.0)


def _expanded(rates: Tensor, like: list[Tensor]) -> list[Tensor]:
    """Rates (networks, layers) in the shapes of all weights, then all biases."""
    layers = rates.shape[1]
    sizes = rates.to(like[0].dtype)[:, :, None, None].unbind(dim=1)
    return [sizes[position % layers].expand_as(tensor) for position, tensor in enumerate(like)]
