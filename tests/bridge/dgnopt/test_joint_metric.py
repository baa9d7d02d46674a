"""Layers that cooperate: Kronecker solvers against dense matrices."""

from __future__ import annotations

from functools import partial
from itertools import combinations

import numpy as np
import pytest
import torch

from neurogames.bridge.curvature.layer_curvature import EKFACCurvature, KFACCurvature
from neurogames.bridge.dgnopt import rows as rows_module
from neurogames.bridge.dgnopt.curvatures import NetworkCurvature
from neurogames.bridge.dgnopt.joint_curvature import JointCurvature, cross_factors
from neurogames.bridge.dgnopt.joint_metric import ConjugateGradients, JointMetric
from neurogames.bridge.dgnopt.layer_rules import DiagonalCurvature, EKFACRule, KFACRule, damped_factors
from neurogames.bridge.dgnopt.metric import LayerMetric, SeparateMetric
from neurogames.bridge.dgnopt.pair_solver import PairSolver, PaperSolver
from neurogames.bridge.dgnopt.rows import Rows, RowSlopes
from neurogames.bridge.dgnopt.value import Value

SHAPES = [(4, 3), (2, 5), (3, 3)]  # d_out, d_in
DAMPING = 0.2


def batch(layers=3, rows=6, shared=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(rows, shared, 8, generator=generator, dtype=torch.float64)
    mix = [torch.randn(8, d, generator=generator, dtype=torch.float64) for shape in SHAPES[:layers] for d in shape]
    return [(common @ mix[2 * i + 1], common @ mix[2 * i]) for i in range(layers)]


def joint(layers=2, seed=0):
    arrays = batch(layers, seed=seed)
    own = []
    for a, g in arrays:
        A, B = cross_factors((a, g), (a, g))
        own.append(damped_factors(A, B, DAMPING))
    cross = {(i, j): cross_factors(arrays[i], arrays[j]) for i, j in combinations(range(layers), 2)}
    return JointCurvature(tuple(own), cross)


def dense(operator, layers):
    """The matrix of an operator on the moves of some layers."""
    shapes = SHAPES[:layers]
    sizes = [o * i for o, i in shapes]
    eye = torch.eye(sum(sizes), dtype=torch.float64)
    parts = [part.reshape(-1, *shape) for part, shape in zip(eye.split(sizes, dim=1), shapes, strict=True)]
    return torch.cat([part.flatten(1) for part in operator(parts)], dim=1).T


def kronecker(A, B):
    """vec(B X A') of X (d_out, d_in), rows of X behind each other."""
    return torch.kron(B, A)


@pytest.mark.parametrize("layers", [2, 3])
def test_the_blocks_are_kronecker_products_and_positive_definite(layers):
    curvature = joint(layers)
    matrix = dense(curvature.multiply, layers)
    rows = []
    for i in range(layers):
        row = []
        for j in range(layers):
            if i == j:
                row.append(kronecker(*curvature.own[i]))
            elif i < j:
                row.append(kronecker(*curvature.cross[i, j]))
            else:
                row.append(kronecker(*curvature.cross[j, i]).T)
        rows.append(torch.cat(row, dim=1))
    np.testing.assert_allclose(matrix, torch.cat(rows), rtol=1e-12, atol=1e-12)
    assert torch.linalg.eigvalsh(matrix).min() > 0


@pytest.mark.parametrize("seed", range(3))
def test_two_layers_are_solved_exactly(seed):
    curvature = joint(2, seed)
    matrix = dense(curvature.multiply, 2)
    np.testing.assert_allclose(
        dense(PairSolver.of(curvature).solve, 2), torch.linalg.inv(matrix), rtol=1e-8, atol=1e-10
    )


@pytest.mark.parametrize("layers", [2, 3])
def test_conjugate_gradients_solve_any_number(layers):
    curvature = joint(layers)
    found = dense(ConjugateGradients.of(curvature).solve, layers)
    expected = torch.linalg.inv(dense(curvature.multiply, layers))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * float(expected.abs().max()))


def test_layers_that_do_not_see_each_other_are_solved_one_by_one():
    curvature = JointCurvature(joint(2).own, {})
    found = dense(ConjugateGradients.of(curvature).solve, 2)
    np.testing.assert_allclose(found, torch.linalg.inv(dense(curvature.multiply, 2)), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_the_papers_schur_complement_is_one_term_of_the_exact_one(seed):
    """Proposition 5: (A_uu - A') x (B_uu - B'), where the exact one is that and two positive terms more."""
    curvature = joint(2, seed)
    n = SHAPES[0][0] * SHAPES[0][1]
    matrix = dense(curvature.multiply, 2)
    uu, uv, vv = matrix[:n, :n], matrix[:n, n:], matrix[n:, n:]
    exact = uu - uv @ torch.linalg.inv(vv) @ uv.T
    (A_u, B_u), (A_v, B_v) = curvature.own
    A, B = curvature.cross[0, 1]
    paper = kronecker(A_u - A @ torch.linalg.inv(A_v) @ A.T, B_u - B @ torch.linalg.inv(B_v) @ B.T)
    assert torch.linalg.eigvalsh(exact - paper).min() > -1e-12
    assert torch.trace(paper) < 0.95 * torch.trace(exact)
    # k_u = S^-1 (P_u - P_uv P_vv^-1 P_v), equation (11) with (14).
    found = dense(PaperSolver.of(curvature).solve, 2)[:n]
    expected = torch.linalg.solve(paper, torch.cat([torch.eye(n, dtype=uu.dtype), -uv @ torch.linalg.inv(vv)], dim=1))
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)
    # The exact complement in the same place gives the joint Newton step.
    right = torch.cat([torch.eye(n, dtype=uu.dtype), -uv @ torch.linalg.inv(vv)], dim=1)
    newton = torch.linalg.solve(exact, right)
    np.testing.assert_allclose(dense(PairSolver.of(curvature).solve, 2)[:n], newton, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("shared", [1, 2])
@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("rule", [KFACRule(KFACCurvature()), EKFACRule(EKFACCurvature())])
def test_the_curvature_of_a_network_has_the_own_blocks_of_its_rule(rule, layers, shared):
    """And across layers what KFAC has, between the same scales; the metric is its inverse, row by row too."""
    arrays = batch(layers, shared=shared)
    names = [f"layer{i}" for i in range(layers)]
    memories = {name: {} for name in names}
    curvature = NetworkCurvature(
        rule,
        memories.__getitem__,
        dict.fromkeys(names, DAMPING),
        frozenset(combinations(names, 2)),
    )
    slopes = [torch.einsum("rso,rsi->oi", g, a) / len(a) for a, g in arrays]
    value = Value.terminal(6, 1, slopes[0])
    curvature.observe(names, slopes, [Rows(a, g.unsqueeze(0)) for a, g in arrays], value, needed=True)
    metric = curvature.metric(names, value)
    assert isinstance(metric, JointMetric)
    matrix = dense(metric.curve, layers)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-10, atol=1e-12)
    assert torch.linalg.eigvalsh(matrix).min() > 0
    inverse = dense(metric.direction, layers)
    np.testing.assert_allclose(inverse @ matrix, np.eye(len(matrix)), atol=1e-7)
    start = 0
    for name, (o, i) in zip(names, SHAPES, strict=False):
        alone = NetworkCurvature(rule, memories.__getitem__, {name: DAMPING}).metric([name], value)
        block = matrix[start : start + o * i, start : start + o * i]
        expected = torch.stack([alone.curve([e.reshape(o, i)])[0].flatten() for e in torch.eye(o * i).double()])
        np.testing.assert_allclose(block, expected, rtol=1e-8, atol=1e-10)
        start += o * i
    rows = [Rows(a, torch.stack([g, g.flip(0)])) for a, g in arrays]
    u = torch.cat([own.slopes().flatten(2) for own in rows], dim=2)
    np.testing.assert_allclose(metric.gram(rows), u @ inverse @ u.mT, rtol=1e-6, atol=1e-8)


def test_layers_with_different_places_do_not_see_each_other():
    (a, g), (b, h) = batch(2)
    assert cross_factors((a, g), (b[:, :1], h[:, :1])) is None


@pytest.mark.parametrize("shared", [1, 3])
def test_gram_of_single_layers(shared):
    """With one place a row by a shortcut, otherwise from the slopes of single rows."""
    (a, g), *_ = batch(1, shared=shared)
    rows = Rows(a, torch.stack([g, g.flip(0)]))
    u = rows.slopes()
    generator = torch.Generator().manual_seed(1)
    D = torch.rand(4, 3, generator=generator, dtype=torch.float64) + 0.5
    U_A = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64)).Q
    U_B = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64)).Q
    half = torch.tensor(0.5, dtype=torch.float64)
    for metric in (LayerMetric(), LayerMetric(D), LayerMetric(D, U_A, U_B), LayerMetric(half)):
        expected = torch.einsum("rjoi,rkoi->rjk", u, metric.direction(u))
        np.testing.assert_allclose(metric.gram(rows), expected, rtol=1e-10)
        np.testing.assert_allclose(metric.curve(metric.direction(u)), u, rtol=1e-10, atol=1e-12)
        both = SeparateMetric((metric, metric))
        np.testing.assert_allclose(both.gram([rows, rows]), 2 * expected, rtol=1e-10)
    weights = torch.rand(6, 2, generator=generator, dtype=torch.float64)
    mean = torch.einsum("rjoi,rj->oi", u, weights) / 6
    np.testing.assert_allclose(rows.mean_slope(weights), mean, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(rows.along(D), torch.einsum("rjoi,oi->rj", u, D), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(("shared", "kind"), [(1, Rows), (3, RowSlopes), (30, RowSlopes), (3, None)])
def test_rows_in_the_coordinates_of_an_eigenbasis(shared, kind, own, monkeypatch):
    """Arrays turned first or slopes turned, and rows left as they are where there are too many."""
    (a, g), *_ = batch(1, shared=shared)
    if kind is None:
        monkeypatch.setattr(rows_module, "ENTRIES", 6 * 12 - 1)
    rows = Rows(a, torch.stack([g, g.flip(0)]), g + 1) if own else Rows(a, g.unsqueeze(0))
    rank = len(rows.columns)
    generator = torch.Generator().manual_seed(1)
    U_A, U_B = (torch.linalg.qr(torch.randn(n, n, generator=generator).double()).Q for n in (3, 4))
    D = torch.rand(4, 3, generator=generator).double() + 0.5
    taken, weights = torch.rand(2, 6, rank, generator=generator).double()
    seen = rows.turn(U_A, U_B)
    if kind is None:
        assert seen is rows
        return
    assert isinstance(seen, kind)
    assert seen.turned
    u = U_B.T @ rows.slopes() @ U_A
    metric = LayerMetric(D, U_A, U_B)
    close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)
    close(metric.gram(seen), torch.einsum("rjoi,rkoi->rjk", u, u / D))
    close(metric.gram(seen), metric.gram(rows))
    close(metric.along(seen, D), torch.einsum("rjoi,oi->rj", u, D))
    close(metric.along(seen, D), metric.along(rows, D))
    close(metric.mean_slope(seen, weights), torch.einsum("rjoi,rj->oi", u, weights) / 6)
    close(metric.mean_slope(seen, weights), metric.mean_slope(rows, weights))
    for part in (None, taken):
        whole = U_B.T @ torch.einsum("rso,rsi->roi", rows.gradient(part), a) @ U_A
        squares, kept = whole.square().mean(dim=0), torch.full_like(D, torch.nan)
        seen.average_squares_(kept, part, decay=0.0)
        close(kept, squares)
        kept = D.clone()
        seen.average_squares_(kept, part, decay=0.75)
        close(kept, 0.75 * D + 0.25 * squares)
        close(U_B.T @ rows.mean_gradient(part) @ U_A, whole.mean(dim=0))
        if isinstance(seen, Rows):
            close(seen.mean_gradient(part), whole.mean(dim=0))


@pytest.mark.parametrize("rank", [1, 2])
def test_the_value_under_gains_that_are_approximate(rank):
    """V = min over nothing: insert u = -(k + K dx), K = H q_u q_x', k = H Q_u into the quadratic, dense."""
    generator = torch.Generator().manual_seed(rank)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    n, m = 5, 4
    Z, U, Q_u = draw(n, rank), 0.2 * draw(m, rank), draw(m)
    root = draw(m, m)
    C = root @ root.T + torch.eye(m, dtype=torch.float64)
    H = torch.linalg.inv(C) + 0.05 * draw(m, m)
    k, K, Q_x = H @ Q_u, H @ U @ Z.T, draw(n)
    expected_x = Q_x - Z @ U.T @ k - K.T @ (Q_u - C @ k)
    cross = Z @ U.T @ K
    expected_xx = Z @ Z.T - cross - cross.T + K.T @ C @ K
    first, second = U.T @ H @ U, U.T @ H.T @ C @ H @ U
    value = Value.terminal(1, rank, Z).before(
        (first + first.T - second).unsqueeze(0), (U.T @ k + U.T @ H.T @ (Q_u - C @ k)).unsqueeze(0)
    )
    assert value.clamped == 0
    np.testing.assert_allclose(Z @ value.weights[0] @ Z.T, expected_xx, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(Q_x - Z @ value.taken[0], expected_x, rtol=1e-9, atol=1e-11)


def test_a_column_that_asks_for_more_curvature_is_cut_and_counted():
    value = Value.terminal(2, 1, torch.zeros((), dtype=torch.float64))
    after = value.before(torch.tensor([[[0.75]], [[4.0]]]).double(), torch.tensor([[0.5], [0.5]]).double())
    assert after.weights.flatten().tolist() == [0.25, 0.0]
    assert after.taken.flatten().tolist() == [0.5, 0.0]
    assert (int(after.clamped), after.columns) == (1, 2)
    two = Value.terminal(1, 2, torch.zeros((), dtype=torch.float64))
    after = two.before(torch.diag(torch.tensor([0.75, 4.0])).double().unsqueeze(0), torch.ones(1, 2).double())
    np.testing.assert_allclose(after.weights[0], np.diag([0.25, 0.0]), atol=1e-12)
    np.testing.assert_allclose(after.taken[0], [1.0, 0.0], atol=1e-12)


def test_settings_of_the_diagonal_out_of_range_are_refused():
    for wrong in ({"decay": 1.0}, {"eps": 0.0}, {"slope_decay": -0.1}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}: got"):
            DiagonalCurvature(**wrong)
