from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.feedback.law import feedback_factors


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, x):
        hidden = self.first(x).relu()
        return self.last(hidden + self.second(hidden))


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.same, self.last = nn.Linear(3, 3), nn.Linear(3, 1)

    def forward(self, x):
        return self.last(self.same(self.same(x).relu()).relu())


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.last = nn.Parameter(torch.ones(4, 3)), nn.Linear(4, 1)

    def forward(self, x):
        return self.last(functional.linear(x, self.weight).relu())


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(3, 1)

    def forward(self, x):
        return self.last(x) if x.sum() > 0 else self.last(-x)


@pytest.mark.parametrize(
    ("optimizer", "rescale", "powers"),
    [
        ("sgd", False, (3, 2, 1, 0)),
        ("momentum", False, (3, 2, 1, 0)),
        ("sgd", True, (0, 0, 0, 0)),
        ("adam", False, (1.5, 1, 0.5, 0)),
        ("adam", True, (1.5, 1, 0.5, 0)),
        ("adamw", False, (1.5, 1, 0.5, 0)),
        ("rmsprop", True, (1.5, 1, 0.5, 0)),
    ],
)
def test_the_table_of_the_law(optimizer, rescale, powers):
    factors = feedback_factors(3, 0.2, optimizer=optimizer, rescale=rescale)
    assert factors == pytest.approx([0.2**power for power in powers])


def test_without_feedback_only_the_output_layer_learns_and_with_all_of_it_every_layer():
    for optimizer in ("sgd", "adam"):
        assert feedback_factors(2, 0, optimizer=optimizer) == (0, 0, 1)
        assert feedback_factors(2, 1, optimizer=optimizer) == (1, 1, 1)


def test_a_model_counts_its_own_layers():
    assert feedback_factors(mlp(), 0.3, optimizer="sgd") == feedback_factors(2, 0.3, optimizer="sgd")
    conv = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    before = {name: value.clone() for name, value in conv.state_dict().items()}
    assert feedback_factors(conv, 0.3, optimizer="sgd") == (0.3, 1.0)
    assert all(torch.equal(value, before[name]) for name, value in conv.state_dict().items())


@pytest.mark.parametrize("model", [Residual(), Shared()])
def test_a_model_that_is_no_chain_is_refused(model):
    with pytest.raises(ValueError, match=r"model: got '\w+ with branches or shared layers', expected a chain"):
        feedback_factors(model, 0.5, optimizer="sgd")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep_prob": 1.2}, r"keep_prob: got 1.2, expected a probability in \[0, 1\]"),
        ({"keep_prob": -0.1}, "keep_prob: got -0.1"),
        ({"keep_prob": float("nan")}, "keep_prob: got nan"),
        ({"keep_prob": 0.0, "rescale": True}, "keep_prob: got 0.0, expected .* where it rescales"),
        ({"optimizer": "lion"}, "optimizer: got 'lion', expected one whose law is known: 'sgd', 'momentum', 'rmsprop'"),
        ({"model": 0}, "model: got 0, expected an integer in"),
        (
            {"model": nn.Linear(3, 1)},
            "model: got 'Linear that calls 0 .*', expected at least one hidden layer",
        ),
        (
            {"model": Functional()},
            "model: got 'Functional that calls 1 .*', expected at least one hidden layer",
        ),
        ({"model": Branching()}, "model: got 'Branching', expected a chain whose operations"),
        ({"model": "mlp"}, "model: got 'mlp', expected an integer in"),
    ],
)
def test_what_the_law_does_not_cover_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        feedback_factors(**{"model": 2, "keep_prob": 0.5, "optimizer": "sgd", **arguments})
