"""Small networks whose layers play in a chain, around a shortcut, and side by side."""

from __future__ import annotations

import torch
from torch import nn


class Residual(nn.Module):
    """A stem, a block of two layers with a shortcut around it, and a head."""

    def __init__(self, width: int = 4, *, projection: bool = True, outputs: int = 3):
        super().__init__()
        self.stem = nn.Linear(3, width)
        self.one, self.two = nn.Linear(width, width), nn.Linear(width, width)
        self.project = nn.Linear(width, width) if projection else nn.Identity()
        self.head = nn.Linear(width, outputs)

    def forward(self, x):
        x = torch.tanh(self.stem(x))
        inner = self.two(torch.tanh(self.one(x)))
        return self.head(torch.tanh(inner + self.project(x)))


class Inception(nn.Module):
    """Four branches that are put together, and a head."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(1, 2, 1)
        self.three_in, self.three = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 3, padding=1)
        self.five_in, self.five = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 5, padding=2)
        self.pool, self.pooled = nn.MaxPool2d(3, stride=1, padding=1), nn.Conv2d(1, 2, 1)
        self.head = nn.Linear(8 * 4 * 4, 3)

    def forward(self, x):
        parts = [
            self.one(x),
            self.three(torch.relu(self.three_in(x))),
            self.five(torch.relu(self.five_in(x))),
            self.pooled(self.pool(x)),
        ]
        return self.head(torch.relu(torch.cat(parts, dim=1)).flatten(1))


class Cooperative(nn.Module):
    """Pairs of layers side by side, F = f_1 + f_2, and a head."""

    def __init__(self, width: int = 4, blocks: int = 2, outputs: int = 3, *, bias: bool = True):
        super().__init__()
        self.one = nn.ModuleList(nn.Linear(width, width, bias=bias) for _ in range(blocks))
        self.two = nn.ModuleList(nn.Linear(width, width, bias=bias) for _ in range(blocks))
        self.head = nn.Linear(width, outputs, bias=bias)

    def forward(self, x):
        for one, two in zip(self.one, self.two, strict=True):
            x = torch.tanh(one(x) + two(x))
        return self.head(x)
