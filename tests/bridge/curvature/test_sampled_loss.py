"""Losses of drawn labels: their gradient draw by draw, and its second moment, the Hessian of the true loss."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from neurogames.bridge.curvature.sampled_loss import sampled_loss


def generator(seed=3):
    return torch.Generator().manual_seed(seed)


def gradient(outputs, likelihood, seed=3):
    y = outputs.clone().requires_grad_()
    loss = sampled_loss(y, likelihood, rng=generator(seed))
    assert loss.shape == ()
    loss.backward()
    return y.grad


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 3), (5, 3, 2)])
def test_of_squares_each_output_has_normal_noise_of_the_mean_squares_curvature(shape):
    outputs = torch.ones(shape, dtype=torch.float64)
    noise = torch.randn(shape, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(gradient(outputs, "gaussian"), math.sqrt(2 / math.prod(shape[1:])) * noise)
    row = torch.autograd.functional.hessian(lambda y: functional.mse_loss(y, torch.zeros_like(y)), outputs[:1])
    expected = torch.eye(math.prod(shape[1:]), dtype=torch.float64) * 2 / math.prod(shape[1:])
    torch.testing.assert_close(row.reshape(expected.shape), expected)


@pytest.mark.parametrize("shape", [(4, 2), (4, 3), (4, 3, 5), (2, 3, 2, 2)])
def test_of_classes_each_place_has_its_softmax_minus_a_label_drawn_from_it(shape):
    outputs = torch.randn(shape, generator=generator(0), dtype=torch.float64)
    places = math.prod(shape[2:])
    errors = (outputs.softmax(dim=1) - gradient(outputs, "categorical") * places).movedim(1, -1).reshape(-1, shape[1])
    torch.testing.assert_close(errors, functional.one_hot(errors.argmax(dim=1), shape[1]).double(), rtol=0, atol=1e-12)


def test_labels_are_drawn_as_often_as_their_softmax_says():
    rows, outputs = 20_000, torch.tensor([[0.0, 1.0, -1.0]], dtype=torch.float64)
    p = outputs.softmax(dim=1)
    slopes = gradient(outputs.expand(rows, 3), "categorical")
    exact = torch.diag(p[0]) - p.T @ p
    torch.testing.assert_close(slopes.T @ slopes / rows, exact, rtol=0, atol=5 * 0.5 / rows**0.5)
    assert slopes.mean(dim=0).abs().max() < 5 * 0.5 / rows**0.5


@pytest.mark.parametrize(
    ("outputs", "likelihood", "rng", "name"),
    [
        (torch.zeros(3), "categorical", generator(), "outputs"),
        (torch.zeros(3, 2), "poisson", generator(), "likelihood"),
        (torch.zeros(3, 2), "gaussian", 3, "rng"),
    ],
)
def test_wrong_arguments_are_named(outputs, likelihood, rng, name):
    with pytest.raises(ValueError, match=f"^{name}: got "):
        sampled_loss(outputs, likelihood, rng=rng)
