"""Operators against the dense matrices that they stand for, over the networks of the extraction tests."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import eigsh
from torch import nn
from torch.nn import functional

from neurogames.bridge.curvature import lanczos
from neurogames.bridge.curvature.gate_curvature import gate_curvature
from neurogames.bridge.curvature.gate_operators import gate_gauss_newton, gate_hessian
from neurogames.bridge.curvature.lanczos import eigenvalue_ends
from neurogames.bridge.curvature.operator import CurvatureOperator
from neurogames.bridge.gates.gated_loss import gated_loss
from neurogames.bridge.gates.gates import insert_gates, present_gates
from tests.bridge.cases import CASES

KINDS = ("neurons", "filters", "heads")


def dense(matrix):
    return CurvatureOperator(len(matrix), lambda vectors: vectors @ matrix, matrix.dtype, matrix.device)


def symmetric(size, seed=0):
    matrix = torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return matrix + matrix.T


def slow_matrices(model, loss, data):
    """Hessian and Gauss-Newton matrix in the gates, by autograd's dense derivatives and one output Hessian a row."""
    gates = insert_gates(model.eval(), KINDS)
    inputs, targets = data

    def outputs(shares):
        parts = dict(zip(gates.parameter_names, shares.split(gates.sizes), strict=True))
        return torch.func.functional_call(model, parts, (inputs,))

    ones = torch.ones(gates.n_players, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(lambda shares: loss(outputs(shares), targets), ones)
    jacobian = torch.autograd.functional.jacobian(outputs, ones)
    values = outputs(ones).detach()
    gauss_newton = torch.zeros_like(hessian)
    for row, target in enumerate(targets):
        inner = torch.autograd.functional.hessian(
            lambda z, target=target: loss(z[None], target[None]), values[row]
        ).reshape(values[row].numel(), -1)
        part = jacobian[row].flatten(0, -2)
        gauss_newton += part.T @ inner @ part / len(values)
    gates.remove()
    return hessian, gauss_newton


@pytest.mark.parametrize("name", CASES)
def test_products_are_those_of_the_exact_matrices(name, monkeypatch):
    case = CASES[name]
    model, data, loss = case.model(dtype=torch.float64), case.data(5, dtype=torch.float64), case.loss
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        exact = slow_matrices(model, loss, data)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    monkeypatch.setattr("neurogames.bridge.gates.gated_loss._MOST_ROWS", 2)  # several pieces
    with gated_loss(model, loss, data, units=KINDS) as gated:
        for operator, matrix in zip((gate_hessian(gated), gate_gauss_newton(gated)), exact, strict=True):
            vectors = torch.randn(len(matrix), 3, dtype=torch.float64)
            torch.testing.assert_close(operator @ vectors, matrix @ vectors, atol=1e-10, rtol=1e-8)
            torch.testing.assert_close(operator @ vectors[:, 0], matrix @ vectors[:, 0], atol=1e-10, rtol=1e-8)
            assert operator.shape == tuple(matrix.shape)
        found = gate_gauss_newton(gated)
        starts = np.cumsum((0, *gated.gates.sizes))
    blocks = gate_curvature(model, loss, data, units=KINDS).blocks
    with gated_loss(model, loss, data, units=KINDS) as gated:
        found = gate_gauss_newton(gated)
        for block, first, last in zip(blocks, starts[:-1], starts[1:], strict=True):
            np.testing.assert_allclose(found.block(slice(first, last)).to_dense(), block, atol=1e-10)
    assert present_gates(model) is None


def test_negative_curvature_of_the_loss_is_cut_in_the_operator_as_in_the_blocks():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 2)).double()
    data = torch.randn(9, 2, dtype=torch.float64), torch.full((9, 2), 3.0, dtype=torch.float64)

    def bounded(outputs, goal):
        return (1 - torch.exp(-((outputs - goal) ** 2) / 2)).mean()

    curvature = gate_curvature(model, bounded, data)
    assert curvature.clipped > 0.5
    with gated_loss(model, bounded, data) as gated:
        np.testing.assert_allclose(gate_gauss_newton(gated).to_dense(), curvature.blocks[0], atol=1e-12)


def test_an_operator_is_one_matrix_in_all_its_forms():
    matrix = symmetric(7)
    operator = dense(matrix)
    vectors = torch.randn(7, 3, dtype=torch.float64)
    torch.testing.assert_close(operator @ vectors, matrix @ vectors)
    torch.testing.assert_close(operator.to_dense(), matrix)
    torch.testing.assert_close(operator.block(slice(2, 6)).to_dense(), matrix[2:6, 2:6])
    np.testing.assert_allclose(operator.to_scipy() @ vectors.numpy(), matrix @ vectors)
    np.testing.assert_allclose(operator.to_scipy() @ vectors[:, 0].numpy(), matrix @ vectors[:, 0])
    largest = eigsh(operator.to_scipy(), k=1, which="LA", return_eigenvectors=False)
    np.testing.assert_allclose(largest[0], np.linalg.eigvalsh(matrix)[-1])


@pytest.mark.parametrize("vectors", [torch.ones(6), torch.ones(3, 7), torch.ones(7, 2, 2), np.ones(7), torch.tensor(1)])
def test_vectors_of_another_size_are_refused(vectors):
    with pytest.raises(ValueError, match="^vectors: got"):
        dense(symmetric(7)) @ vectors


@pytest.mark.parametrize("shift", [0.0, 40.0, -40.0])
def test_lanczos_finds_the_ends_of_the_spectrum(shift, monkeypatch):
    monkeypatch.setattr(lanczos, "_DENSE", 2)
    matrix = symmetric(60) + shift * torch.eye(60, dtype=torch.float64)
    values = np.linalg.eigvalsh(matrix)
    found = eigenvalue_ends(dense(matrix))
    assert found == pytest.approx((values[0], values[-1]), abs=1e-3 * np.abs(values).max())
    assert eigenvalue_ends(dense(matrix)) == found


def test_lanczos_that_does_not_converge_says_nan(monkeypatch):
    monkeypatch.setattr(lanczos, "_DENSE", 2)
    monkeypatch.setattr(lanczos, "_TOLERANCE", 1e-14)
    monkeypatch.setattr(lanczos, "_RESTARTS", 1)
    assert np.isnan(eigenvalue_ends(dense(symmetric(300)))).all()


def test_functional_losses_are_differentiated_twice_without_gradients_left_behind():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    data = torch.randn(6, 3), torch.arange(6) % 2
    with torch.no_grad(), gated_loss(model, functional.cross_entropy, data) as gated:
        found = [operator(gated) @ torch.ones(4, 2) for operator in (gate_hessian, gate_gauss_newton)]
    assert all(not product.requires_grad and product.dtype == torch.float64 for product in found)
    assert all(parameter.grad is None for parameter in model.parameters())
