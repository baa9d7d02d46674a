"""Gradient dropout against plain training steps and nn.Dropout."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from neurogames.bridge.feedback.attached import attach_gradient_dropout
from tests.benchmarks.timing import medians

SHAPES = {"784-512-256-10, batch 128": ((784, 512, 256, 10), 128), "11-64-64-1, batch 64": ((11, 64, 64, 1), 64)}


def training_step(widths, batch, dropout=None, granularity=None):
    """A step of gradient descent as a function of nothing."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
    model = nn.Sequential(*layers[: -2 if dropout else -1])
    if granularity:
        attach_gradient_dropout(model, 0.8, rng=torch.Generator().manual_seed(0), granularity=granularity)
    rng = torch.Generator().manual_seed(1)
    inputs = torch.randn(batch, widths[0], generator=rng)
    targets = torch.randn(batch, widths[-1], generator=rng)
    descent = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step():
        descent.zero_grad()
        (model(inputs) - targets).square().mean().backward()
        descent.step()

    return model, step


@pytest.mark.benchmark
@pytest.mark.parametrize("shape", SHAPES)
def test_training_step(shape):
    torch.set_num_threads(1)
    settings = {
        "plain": {},
        "GradientDropout, unit": {"granularity": "unit"},
        "GradientDropout, layer": {"granularity": "layer"},
        "GradientDropout, sample": {"granularity": "sample"},
        "nn.Dropout": {"dropout": 0.2},
        "plain again": {},
    }
    print(f"\ntraining step, {shape}, keep 0.8, one thread")
    made = {name: training_step(*SHAPES[shape], **arguments) for name, arguments in settings.items()}
    medians({name: step for name, (_, step) in made.items()}, repeats=400)
    assert all(p.isfinite().all() for model, _ in made.values() for p in model.parameters())
