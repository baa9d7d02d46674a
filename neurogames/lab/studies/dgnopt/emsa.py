"""The extended method of successive approximations: every layer maximises an augmented Hamiltonian of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_input


class _Seen(NamedTuple):
    """A layer's inputs and outputs in a pass."""

    inputs: Tensor
    outputs: Tensor


class EMSA(torch.optim.Optimizer):
    r"""Train Linear layers and convolutions by Pontryagin's principle, one layer at a time.

    With states x and row-wise costates p from one pass forward and backward, each layer f(x; W) moves to about

        argmin over W of   mean over rows of   g . f(x; W) + rho/2 |f(x; W) - y|^2 + rho/2 |J(W)' g - J(W_0)' g|^2

    where y are its outputs, g the slope of the row's loss in them, J the Jacobian of f in x, and W_0 the weights
    before. Both penalties keep the state and costate equations nearly satisfied. The minimum is sought by L-BFGS.

    Args:
        model: a network all of whose parameters are those of Linear layers and convolutions called once.
        rho: weight > 0 of the penalties; the larger, the shorter the step.
        iterations: of L-BFGS in each layer and step.

    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(32, 3)
    >>> model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    >>> optimizer = EMSA(model, rho=5.0)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (model(x)[:, 0] - x.sum(dim=1)).square().mean()
    ...     loss.backward()
    ...     return loss.detach()
    >>> losses = [optimizer.step(closure).item() for _ in range(30)]
    >>> losses[-1] < 0.1 * losses[0]
    True

    Reference: Q. Li, L. Chen, C. Tai and W. E, Maximum Principle Based Algorithms for Deep Learning, JMLR 18 (2018).
    """

    def __init__(self, model: nn.Module, *, rho: float, iterations: int = 5) -> None:
        super().__init__(model.parameters(), {"rho": rho, "iterations": iterations})
        self._layers = [layer for layer in model.modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
        self._seen: dict[nn.Module, _Seen] = {}
        for layer in self._layers:
            layer.register_forward_hook(self._note)

    def _note(self, layer: nn.Module, inputs: tuple[Any, ...], outputs: Tensor) -> None:
        """Keep what a layer reads and gives, and let its slope be kept."""
        if outputs.requires_grad:
            outputs.retain_grad()
            self._seen[layer] = _Seen(inputs[0].detach(), outputs)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; the closure calls the model once, runs the loss, a mean over rows, backward and returns it."""
        assert closure is not None
        loss = closure()
        if torch.isfinite(torch.as_tensor(loss)):
            seen, self._seen = self._seen, {}
            group = self.param_groups[0]
            for layer, (inputs, outputs) in seen.items():
                assert outputs.grad is not None
                slopes = outputs.grad * len(inputs)
                _maximise(layer, inputs, outputs.detach(), slopes, group["rho"], group["iterations"])
        return loss


def _maximise(layer: nn.Module, inputs: Tensor, outputs: Tensor, slopes: Tensor, rho: float, iterations: int) -> None:
    """Move the weights of a layer towards the maximum of its augmented Hamiltonian."""
    costates, rows = _backward(layer, inputs, slopes).detach(), len(inputs)
    inner = torch.optim.LBFGS(layer.parameters(), max_iter=iterations, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        inner.zero_grad()
        found = layer.forward(inputs)  # without the hook
        apart = (found - outputs).square().sum() + (_backward(layer, inputs, slopes) - costates).square().sum()
        value: Tensor = ((slopes * found).sum() + rho / 2 * apart) / rows
        value.backward()
        return value.detach()

    with torch.enable_grad():
        inner.step(objective)
    inner.zero_grad()


def _backward(layer: nn.Module, inputs: Tensor, slopes: Tensor) -> Tensor:
    """The costate that a layer hands back: slopes in its outputs times its Jacobian in the inputs."""
    weight: Any = layer.weight
    if isinstance(layer, nn.Conv2d):
        # Unlike conv_transpose2d it knows how large the inputs were.
        back: Tensor = conv2d_input(inputs.shape, weight, slopes, layer.stride, layer.padding)
    else:
        back = slopes @ weight
    return back
