"""Kronecker factors, their inverse and their eigenbasis beside explicit matrices."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neurogames.bridge.curvature import eigenbasis as eigenbasis_module
from neurogames.bridge.curvature.eigenbasis import eigenbasis
from neurogames.bridge.curvature.kronecker import damped_inverse, kronecker_factors

SHAPES = {"one place": (30, 1, 4, 3), "few places": (30, 2, 4, 3), "many places": (30, 40, 4, 3)}
by_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def arrays(rows, shared, d_in, d_out):
    """Inputs and gradients that depend on each other, so that no Kronecker product is exact."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(rows, shared, d_in, generator=generator, dtype=torch.float64)
    gradients = torch.randn(rows, shared, d_out, generator=generator, dtype=torch.float64)
    return inputs, gradients * inputs[:, :, :1]


def row_gradients(inputs, gradients):
    """The gradient of each row by itself."""
    return torch.stack([g.T @ a for a, g in zip(inputs, gradients, strict=True)])


def fisher(inputs, gradients):
    """The dense Fisher matrix of the weights, read row by row."""
    rows = row_gradients(inputs, gradients).flatten(1)
    return rows.T @ rows / len(rows)


@by_shape
@pytest.mark.parametrize("sharing", ["expand", "reduce"])
def test_factors_are_means_over_rows_and_places(shape, sharing):
    inputs, gradients = arrays(*shape)
    found = kronecker_factors(inputs, gradients, sharing=sharing)
    if sharing == "reduce":
        a, g = [row.mean(dim=0) for row in inputs], [row.sum(dim=0) for row in gradients]
    else:
        a, g = inputs.flatten(0, 1), gradients.flatten(0, 1)
    torch.testing.assert_close(found.inputs, sum(torch.outer(v, v) for v in a) / len(a))
    torch.testing.assert_close(found.outputs, sum(torch.outer(v, v) for v in g) / len(inputs))


@by_shape
def test_products_are_those_of_the_explicit_matrix(shape):
    inputs, gradients = arrays(*shape)
    factors = kronecker_factors(inputs, gradients)
    mean = row_gradients(inputs, gradients).mean(dim=0)
    dense = torch.kron(factors.outputs, factors.inputs)
    torch.testing.assert_close(factors.multiply(mean).flatten(), dense @ mean.flatten())
    torch.testing.assert_close(factors.multiply_mean(inputs, gradients), factors.multiply(mean))
    inverse = damped_inverse(factors, 0.3)
    balance = (factors.inputs.trace() / 4 / (factors.outputs.trace() / 3)).sqrt()
    shifted = [
        factor + shift * torch.eye(len(factor), dtype=torch.float64)
        for factor, shift in ((factors.outputs, 0.3**0.5 / balance), (factors.inputs, 0.3**0.5 * balance))
    ]
    expected = torch.linalg.solve(torch.kron(*shifted), mean.flatten())
    torch.testing.assert_close(inverse.multiply(mean).flatten(), expected)


def test_running_averages_are_weighted_means_of_the_factors():
    batches = [arrays(6, 2, 4, 3), [2 * part for part in arrays(6, 2, 4, 3)]]
    first, second = (kronecker_factors(*batch, sharing="reduce") for batch in batches)
    expected = [0.8 * getattr(first, part) + 0.2 * getattr(second, part) for part in ("inputs", "outputs")]
    first.average_(*batches[1], decay=0.8, sharing="reduce")
    torch.testing.assert_close([first.inputs, first.outputs], expected)


def test_a_factor_of_zeros_is_damped_too():
    inputs, gradients = arrays(6, 1, 4, 3)
    inverse = damped_inverse(kronecker_factors(inputs, 0 * gradients), 0.25)
    torch.testing.assert_close(inverse.outputs, 2 * torch.eye(3, dtype=torch.float64))


@by_shape
@pytest.mark.parametrize("chunk", [2**23, 40])
def test_moments_are_those_of_the_turned_gradients_of_single_rows(shape, chunk, monkeypatch):
    monkeypatch.setattr(eigenbasis_module, "_ENTRIES", chunk)
    inputs, gradients = arrays(*shape)
    given = inputs.clone(), gradients.clone()
    basis = eigenbasis(kronecker_factors(inputs, gradients))
    turned = torch.stack([basis.outputs.T @ each @ basis.inputs for each in row_gradients(inputs, gradients)])
    first, second = basis.moments(inputs, gradients)
    torch.testing.assert_close(first, turned.mean(dim=0))
    torch.testing.assert_close(basis.rotate_mean(inputs, gradients), first)
    torch.testing.assert_close(second, turned.square().mean(dim=0))
    torch.testing.assert_close((inputs, gradients), given, rtol=0, atol=0)


@by_shape
def test_the_eigenbasis_preconditions_as_the_explicit_matrix_and_is_nearer_to_the_fisher_matrix_than_the_product(shape):
    inputs, gradients = arrays(*shape)
    factors = kronecker_factors(inputs, gradients)
    basis = eigenbasis(factors)
    first, second = basis.moments(inputs, gradients)
    turn = torch.kron(basis.outputs, basis.inputs)
    dense = turn @ torch.diag(second.flatten()) @ turn.T
    mean = row_gradients(inputs, gradients).mean(dim=0)
    expected = torch.linalg.solve(dense + 0.1 * torch.eye(12, dtype=torch.float64), mean.flatten())
    torch.testing.assert_close(basis.precondition(mean, second, 0.1).flatten(), expected)
    torch.testing.assert_close(basis.rotate_back(first), mean)
    exact = fisher(inputs, gradients)
    assert (dense - exact).norm() < 0.99 * (torch.kron(factors.outputs, factors.inputs) - exact).norm()


def test_the_factors_of_a_linear_net_are_its_exact_gauss_newton_matrix():
    """Half the sum of squares: the gradients at the output that make the Gauss-Newton matrix are the unit vectors."""
    torch.manual_seed(0)
    first, second = nn.Linear(3, 4, bias=False).double(), nn.Linear(4, 2, bias=False).double()
    rows = torch.randn(7, 3, dtype=torch.float64)

    def outputs(weight):
        return rows @ weight.T @ second.weight.T

    jacobian = torch.autograd.functional.jacobian(outputs, first.weight).flatten(2)
    exact = torch.einsum("rki,rkj->ij", jacobian, jacobian) / 7
    inputs = rows.repeat_interleave(2, dim=0).unsqueeze(1)
    back = (2**0.5 * second.weight.detach()).repeat(7, 1).unsqueeze(1)
    factors = kronecker_factors(inputs, back)
    torch.testing.assert_close(torch.kron(factors.outputs, factors.inputs), exact.detach())


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
def test_each_kind_of_sharing_is_exact_where_it_says_so(sharing):
    """Squares at each of 5 places by themselves, or of the mean over the places."""
    torch.manual_seed(0)
    rows = torch.randn(6, 5, 3, dtype=torch.float64)
    weight = torch.randn(2, 3, dtype=torch.float64)

    def outputs(weight):
        found = rows @ weight.T
        return found.mean(dim=1, keepdim=True) if sharing == "reduce" else found

    jacobian = torch.autograd.functional.jacobian(outputs, weight).flatten(3)
    exact = torch.einsum("rski,rskj->ij", jacobian, jacobian) / 6
    inputs = rows.repeat_interleave(2, dim=0)
    back = 2**0.5 * torch.eye(2, dtype=torch.float64).repeat(6, 1).unsqueeze(1).expand(-1, 5, -1)
    back = back / 5 if sharing == "reduce" else back
    factors = kronecker_factors(inputs, back, sharing=sharing)
    torch.testing.assert_close(torch.kron(factors.outputs, factors.inputs), exact)


def test_wrong_arguments_are_refused():
    inputs, gradients = arrays(6, 2, 4, 3)
    for wrong in (gradients[:5], gradients[:, :1], gradients[:, 0]):
        with pytest.raises(ValueError, match="^gradients: got"):
            kronecker_factors(inputs, wrong)
    with pytest.raises(ValueError, match="^sharing: got"):
        kronecker_factors(inputs, gradients, sharing="mean")
    with pytest.raises(ValueError, match="^damping: got"):
        damped_inverse(kronecker_factors(inputs, gradients), 0.0)
