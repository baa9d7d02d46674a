"""The networks of the study: residual, inception and cooperative blocks, small enough for a processor.

They have no batch norm, and their weights are drawn by torch's usual law.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

NETWORKS = ("residual", "inception", "cooperative")
CHAIN = "chain"
"""A network without parallel layers, which fictitious players need."""


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions; where the size changes, the shortcut is a 1 x 1 convolution, which may act at either."""

    def __init__(self, entering: int, leaving: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(entering, leaving, 3, stride=stride, padding=1)
        self.second = nn.Conv2d(leaving, leaving, 3, padding=1)
        changes = stride > 1 or entering != leaving
        self.shortcut = nn.Conv2d(entering, leaving, 1, stride=stride) if changes else nn.Identity()

    def forward(self, state: Tensor) -> Tensor:
        """Return the next state."""
        inner = self.second(functional.relu(self.first(state)))
        result: Tensor = functional.relu(inner + self.shortcut(state))
        return result


class InceptionBlock(nn.Module):
    """Four branches side by side: 1 x 1, 3 x 3 and 5 x 5 convolutions, and a 1 x 1 convolution of a 3 x 3 pool."""

    def __init__(self, entering: int, leaving: int) -> None:
        super().__init__()
        width = leaving // 4
        self.one = nn.Conv2d(entering, width, 1)
        self.three = nn.Conv2d(entering, width, 3, padding=1)
        self.five = nn.Conv2d(entering, width, 5, padding=2)
        self.pooled = nn.Conv2d(entering, width, 1)
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, state: Tensor) -> Tensor:
        """Return the next state."""
        branches = [self.one(state), self.three(state), self.five(state), self.pooled(self.pool(state))]
        return functional.relu(torch.cat(branches, dim=1))


class CooperativeBlock(nn.Module):
    """Two dense layers whose results are added: F = f_1 + f_2."""

    def __init__(self, entering: int, leaving: int) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(entering, leaving), nn.Linear(entering, leaving)

    def forward(self, state: Tensor) -> Tensor:
        """Return the next state."""
        return functional.relu(self.one(state)) + torch.tanh(self.two(state))


def untrained(name: str, shape: tuple[int, int, int], n_classes: int, width: int, seed: int) -> nn.Sequential:
    """Build a network, with weights drawn from a seed; torch's own generator stays as it is.

    Args:
        name: one of ``NETWORKS``, or ``CHAIN``.
        shape: channels, height and width of the images.
        n_classes: number of outputs.
        width: channels of the first block of convolutions; four times that are the units of a dense layer.
        seed: of the weights.

    Returns:
        The network. Residual: a convolution, three blocks of ``width``, ``width`` and 2 ``width`` channels (the first
        and the last halve the image and have a convolution as shortcut), a mean over places, a Linear layer. Inception:
        a convolution with stride 2, one block, a pool, a Linear layer. Cooperative: two blocks of dense layers and a
        Linear layer. Chain: two dense layers and a Linear layer, without anything in parallel.

    >>> sum(weights.numel() for weights in untrained("residual", (1, 8, 8), 10, 8, 0).parameters())
    6290
    """
    build: dict[str, Callable[[], list[nn.Module]]] = {
        "residual": lambda: _residual(shape, n_classes, width),
        "inception": lambda: _inception(shape, n_classes, width),
        "cooperative": lambda: _cooperative(shape, n_classes, 4 * width),
        CHAIN: lambda: _chain(shape, n_classes, 4 * width),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(*build[name]())


def _residual(shape: tuple[int, int, int], n_classes: int, width: int) -> list[nn.Module]:
    return [
        nn.Conv2d(shape[0], width, 3, padding=1),
        nn.ReLU(),
        ResidualBlock(width, width, 2),
        ResidualBlock(width, width, 1),
        ResidualBlock(width, 2 * width, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, n_classes),
    ]


def _inception(shape: tuple[int, int, int], n_classes: int, width: int) -> list[nn.Module]:
    height, breadth = ((side + 1) // 2 // 2 for side in shape[1:])
    return [
        nn.Conv2d(shape[0], width, 3, stride=2, padding=1),
        nn.ReLU(),
        InceptionBlock(width, 4 * width),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * width * height * breadth, n_classes),
    ]


def _cooperative(shape: tuple[int, int, int], n_classes: int, units: int) -> list[nn.Module]:
    entering = shape[0] * shape[1] * shape[2]
    return [
        nn.Flatten(),
        CooperativeBlock(entering, units),
        CooperativeBlock(units, units),
        nn.Linear(units, n_classes),
    ]


def _chain(shape: tuple[int, int, int], n_classes: int, units: int) -> list[nn.Module]:
    entering = shape[0] * shape[1] * shape[2]
    first, second = nn.Linear(entering, units), nn.Linear(units, units)
    return [nn.Flatten(), first, nn.Tanh(), second, nn.Tanh(), nn.Linear(units, n_classes)]
