"""Many multilayer perceptrons of one shape, held as stacked tensors.

With networks k = 1..K, layers l = 0..L (L hidden layers) and inputs x, the ensemble computes for all k at once

    a_0 = x,   a_{l+1} = relu(a_l W_l + b_l) for l < L,   output = a_L W_L + b_L,

with W_l of shape (K, fan_in, fan_out) and b_l of shape (K, 1, fan_out). Activations are (networks, rows, units);
hidden layer 0 is the first one after the inputs. One network is an ensemble of one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurogames._arguments import instance, integer, invalid_argument
from neurogames.bridge.ensembles.streams import INITIAL_WEIGHTS, uniforms
from neurogames.bridge.modules.evaluation import gradients_on


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks of one shape as stacked tensors, with ReLU hidden layers and a linear output.

    Args:
        weights: one tensor (networks, fan_in, fan_out) per layer; inputs are multiplied from the left.
        biases: one tensor (networks, 1, fan_out) per layer.

    Raises:
        ValueError: the shapes do not fit together.

    >>> ensemble = initial_ensemble((3, 5, 1), seeds=[0, 1])
    >>> ensemble(torch.zeros(4, 3)).shape
    torch.Size([2, 4, 1])
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        if not self.weights or len(self.weights) != len(self.biases):
            got = f"{len(self.weights)} weights and {len(self.biases)} biases"
            raise invalid_argument(
                "weights, biases", got, "one weight and one bias for every layer, at least one layer"
            )
        incoming = self.weights[0].shape[1] if self.weights[0].ndim == 3 else 0
        networks = len(self.weights[0])
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            outgoing = weight.shape[-1]
            if weight.shape != (networks, incoming, outgoing) or bias.shape != (networks, 1, outgoing):
                raise invalid_argument(
                    f"layer {layer}",
                    f"weight {tuple(weight.shape)} and bias {tuple(bias.shape)}",
                    f"shapes ({networks}, {incoming}, fan_out) and ({networks}, 1, fan_out)",
                )
            incoming = outgoing

    def __len__(self) -> int:
        return len(self.weights[0])

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers of inputs, of units of each hidden layer, and of outputs."""
        return (self.weights[0].shape[1], *(weight.shape[2] for weight in self.weights))

    def __call__(self, inputs: Tensor) -> Tensor:
        """Outputs (networks, rows, outputs) for inputs (rows, features), or (networks, rows, features)."""
        return self._run(0, self._stacked("inputs", inputs, 0))[-1]

    def activations(self, inputs: Tensor) -> list[Tensor]:
        """Post-ReLU activations, one tensor (networks, rows, units) for every hidden layer.

        Args:
            inputs: (rows, features), the same for all networks, or (networks, rows, features).

        Returns:
            One tensor per hidden layer, the first hidden layer first.

        Raises:
            ValueError: ``inputs`` has another shape.
        """
        return self._run(0, self._stacked("inputs", inputs, 0))[:-1]

    def forward_from(self, layer: int, activations: Tensor) -> Tensor:
        """Outputs that follow when hidden layer ``layer`` has the given activations.

        Args:
            layer: index of a hidden layer, 0 is the first.
            activations: (networks, rows, units) post-ReLU activations of that layer, or (rows, units) for all alike.

        Returns:
            Outputs (networks, rows, outputs).

        Raises:
            ValueError: there is no such hidden layer, or the shape is another.

        >>> ensemble, inputs = initial_ensemble((3, 5, 4, 1), seeds=[0, 1]), torch.ones(2, 3)
        >>> torch.equal(ensemble.forward_from(1, ensemble.activations(inputs)[1]), ensemble(inputs))
        True
        """
        if len(self.weights) < 2:
            raise invalid_argument("layer", layer, "an ensemble with hidden layers")
        layer = integer("layer", layer, minimum=0, maximum=len(self.weights) - 2)
        return self._run(layer + 1, self._stacked("activations", activations, layer + 1))[-1]

    def select(self, index: Sequence[int] | slice | Tensor) -> Ensemble:
        """Part of the networks, in the order of ``index`` (a slice, integer positions or a boolean mask)."""
        if not isinstance(index, slice):
            index = torch.as_tensor(index, device=self.weights[0].device)
        return Ensemble(tuple(w[index] for w in self.weights), tuple(b[index] for b in self.biases))

    def copy(self) -> Ensemble:
        """The same networks in tensors of their own."""
        return Ensemble(tuple(w.clone() for w in self.weights), tuple(b.clone() for b in self.biases))

    def network(self, k: int) -> nn.Sequential:
        """Network ``k`` as a plain torch model with copied weights: Linear, ReLU, Linear, ..., Linear.

        >>> ensemble, inputs = initial_ensemble((3, 5, 1), seeds=[0, 1]), torch.ones(2, 3)
        >>> torch.allclose(ensemble.network(1)(inputs), ensemble(inputs)[1])
        True
        """
        k = integer("k", k, minimum=0, maximum=len(self) - 1)
        modules: list[nn.Module] = []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            incoming, outgoing = weight.shape[1:]
            linear = nn.Linear(incoming, outgoing, device="meta", dtype=weight.dtype).to_empty(device=weight.device)
            with torch.no_grad():
                linear.weight.copy_(weight[k].T)
                linear.bias.copy_(bias[k, 0])
            modules += [linear, nn.ReLU()]
        return nn.Sequential(*modules[:-1])

    @staticmethod
    def stack(models: Sequence[nn.Sequential]) -> Ensemble:
        """Stack plain torch models (Linear, ReLU, ..., Linear, all of one shape) with copied weights.

        Args:
            models: at least one model.

        Returns:
            The ensemble, detached from the models.

        Raises:
            ValueError: a model is of another make, or the models differ in shape.

        >>> ensemble = initial_ensemble((3, 5, 1), seeds=[0, 1])
        >>> again = Ensemble.stack([ensemble.network(0), ensemble.network(1)])
        >>> all(torch.equal(a, b) for a, b in zip(ensemble.weights, again.weights))
        True
        """
        if not models:
            raise invalid_argument("models", "none", "at least one model")
        stacks = [_linear_layers(model) for model in models]
        shapes = {tuple(tuple(linear.weight.shape) for linear in linears) for linears in stacks}
        if len(shapes) != 1:
            raise invalid_argument("models", f"{len(shapes)} different shapes", "models of one shape")
        layers = list(zip(*stacks, strict=True))
        weights = tuple(torch.stack([linear.weight.detach().T for linear in layer]) for layer in layers)
        biases = tuple(torch.stack([linear.bias.detach()[None] for linear in layer]) for layer in layers)
        return Ensemble(weights, biases)

    def _stacked(self, name: str, values: Tensor, layer: int) -> Tensor:
        """``values`` as (networks, rows, fan_in of ``layer``), or refused; a shared table is not copied."""
        width = self.weights[layer].shape[1]
        shared = values.ndim == 2 and values.shape[1] == width
        if not shared and (values.ndim != 3 or values.shape[0] != len(self) or values.shape[2] != width):
            expected = f"shape (rows, {width}) or ({len(self)}, rows, {width})"
            raise invalid_argument(name, f"shape {tuple(values.shape)}", expected)
        weight = self.weights[layer]
        if (values.dtype, values.device) != (weight.dtype, weight.device):
            raise invalid_argument(name, f"{values.dtype} on {values.device}", f"{weight.dtype} on {weight.device}")
        return values.expand(len(self), *values.shape[-2:])

    def _run(self, layer: int, values: Tensor) -> list[Tensor]:
        """Activations of each hidden layer from ``layer`` on, and the outputs last."""
        results = []
        for weight, bias in zip(self.weights[layer:-1], self.biases[layer:-1], strict=True):
            values = torch.baddbmm(bias, values, weight).relu()
            results.append(values)
        return [*results, torch.baddbmm(self.biases[-1], values, self.weights[-1])]


def _linear_layers(model: nn.Sequential) -> list[nn.Linear]:
    """The Linear layers of a plain multilayer perceptron, or an error."""
    modules = list(model)
    kinds = [nn.Linear if position % 2 == 0 else nn.ReLU for position in range(len(modules))]
    fits = len(modules) % 2 == 1 and all(isinstance(m, kind) for m, kind in zip(modules, kinds, strict=True))
    linears = [module for module in modules if isinstance(module, nn.Linear)]
    if not fits or any(linear.bias is None for linear in linears):
        made_of = ", ".join(type(module).__name__ for module in modules)
        raise invalid_argument("models", made_of, "Linear, ReLU, Linear, ..., Linear with biases")
    return linears


@gradients_on()
def initial_ensemble(
    widths: Sequence[int],
    seeds: Sequence[int] | Tensor,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Ensemble:
    """Untrained networks: Xavier-uniform weights, every bias 0.01.

    W ~ Uniform(-a, a) with a = sqrt(6 / (fan_in + fan_out)), drawn from each network's own stream.

    Args:
        widths: numbers of inputs, of units of each hidden layer, and of outputs; at least two numbers.
        seeds: one integer per network.
        device: where the tensors live.
        dtype: torch.float32 or torch.float64.

    Returns:
        One network per seed; a network depends on its own seed only.

    Raises:
        ValueError: fewer than two widths, a width below 1, no seeds or one that is no integer, or another dtype.

    Reference: public code of the gradient-dropout game, arXiv 2507.19143.

    >>> initial_ensemble((10, 32, 32, 1), seeds=range(3)).widths
    (10, 32, 32, 1)
    """
    instance("widths", widths, Sequence, "numbers of inputs, hidden units and outputs")
    instance("seeds", seeds, Iterable, "integers, one for each network")
    widths = [integer("widths", width, minimum=1) for width in widths]
    if len(widths) < 2:
        raise invalid_argument("widths", widths, "numbers of inputs, hidden units and outputs")
    if dtype not in (torch.float32, torch.float64):
        raise invalid_argument("dtype", dtype, "torch.float32 or torch.float64")
    given = seeds.tolist() if isinstance(seeds, Tensor) else list(seeds)
    if not given:
        raise invalid_argument("seeds", "none", "at least one integer")
    device = seeds.device if device is None and isinstance(seeds, Tensor) else device
    given = [integer("seeds", seed, minimum=-(2**63), maximum=2**63 - 1) for seed in given]
    seeds = torch.tensor(given, device=device)
    weights, biases = [], []
    for layer, (incoming, outgoing) in enumerate(itertools.pairwise(widths)):
        bound = math.sqrt(6.0 / (incoming + outgoing))
        draws = uniforms(seeds, INITIAL_WEIGHTS, layer, (incoming, outgoing), dtype)
        weights.append(draws.mul_(2 * bound).sub_(bound))
        biases.append(torch.full((len(seeds), 1, outgoing), 0.01, dtype=dtype, device=seeds.device))
    return Ensemble(tuple(weights), tuple(biases))
