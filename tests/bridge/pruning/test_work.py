"""Counted work against the formulas of the layers."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from neurogames.bridge.pruning.work import count_parameters, measured_speed, multiply_adds


def test_linear_and_convolutions_cost_what_the_formulas_say():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, groups=8),
        nn.Flatten(), nn.Linear(8 * 9, 5),
    )  # fmt: skip
    x = torch.randn(4, 3, 10, 10)
    assert multiply_adds(model, x) == 4 * (8 * 100 * 3 * 9 + 8 * 9 * 9 + 72 * 5)
    assert count_parameters(model) == (3 * 8 * 9 + 8) + 16 + (8 * 9 + 8) + (72 * 5 + 5)
    line = nn.Conv1d(2, 4, 5)
    assert multiply_adds(line, (torch.randn(1, 2, 20),)) == 16 * 4 * 2 * 5
    assert multiply_adds(nn.Conv3d(1, 2, 2), torch.randn(1, 1, 3, 3, 3)) == 8 * 2 * 8


def test_attention_counts_its_products():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    tokens, width = 6, 8
    projections, products, hidden = 4 * width * width, 2 * tokens * width, 2 * width * 16
    x = torch.randn(3, tokens, width)
    assert multiply_adds(layer, x) == 3 * tokens * (projections + products + hidden)
    assert torch.backends.mha.get_fastpath_enabled()


def test_modes_and_running_statistics_stay():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4).eval(), nn.Dropout())
    before = {key: value.clone() for key, value in model.state_dict().items()}
    multiply_adds(model, torch.randn(5, 3))
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class Slow(nn.Module):
    """A model that takes a given time."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def forward(self, x):
        time.sleep(self.seconds)
        return x


def test_speed_is_the_ratio_of_times():
    assert 2 < measured_speed(Slow(0.016), Slow(0.002), torch.ones(1), repeats=7) < 16


def test_bad_input_is_refused():
    model = nn.Linear(3, 2)
    for inputs in (torch.ones(2, 4), "text", (torch.ones(2, 3), 1)):
        with pytest.raises(ValueError, match="example_inputs"):
            multiply_adds(model, inputs)
        with pytest.raises(ValueError, match="example_inputs"):
            measured_speed(model, model, inputs)
    with pytest.raises(ValueError, match="repeats"):
        measured_speed(model, model, torch.ones(2, 3), repeats=0)
