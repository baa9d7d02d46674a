"""Dynamic Game Theoretic Neural Optimizer (arXiv 2105.03788): the recursions of its game against the exact sweep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.engine.linear_quadratic.riccati import solve_linear_quadratic
from neurogames.games.dynamic import LinearQuadraticGame, LinearQuadraticStage

seeds = st.integers(0, 10**6)


def shared_game(rng, n=3, sizes=(2, 2), stages=3, coupling=1.0):
    """All players pay one cost, as the layers of a network do; deviations dx, du around a trajectory."""
    width, made = n + sum(sizes), []
    for _ in range(stages):
        root = rng.normal(size=(width, width))
        hessian = root @ root.T + np.eye(width)
        u, v = slice(n, n + sizes[0]), slice(n + sizes[0], width)
        hessian[u, v] *= coupling
        hessian[v, u] *= coupling
        made.append(
            LinearQuadraticStage(
                rng.normal(size=(n, n)),
                [rng.normal(size=(n, m)) for m in sizes],
                np.stack([hessian] * len(sizes)),
                np.stack([rng.normal(size=width)] * len(sizes)),
            )
        )
    end = rng.normal(size=n)
    return LinearQuadraticGame(made, np.stack([np.outer(end, end)] * len(sizes)), np.stack([end] * len(sizes)))


def expansion(stage, value):
    """Blocks of P = l + V(F): gradient and Hessian in (x, u, v)."""
    F = np.concatenate([stage.transition, stage.control], axis=1)
    hessian = stage.hessian[0] + F.T @ value.hessian[0] @ F
    return stage.gradient[0] + F.T @ value.gradient[0], hessian


def blocks(gradient, hessian, n=3, m=2):
    x, u, v = slice(0, n), slice(n, n + m), slice(n + m, n + 2 * m)
    return {a: gradient[s] for a, s in zip("xuv", (x, u, v), strict=True)} | {
        a + b: hessian[s, r]
        for a, s in zip("xuv", (x, u, v), strict=True)
        for b, r in zip("xuv", (x, u, v), strict=True)
    }


@given(seed=seeds)
def test_equation_11_is_the_joint_newton_step(seed):
    """k_u = P~_uu^+ (P_u - P_uv I), K_u = P~_uu^+ (P_ux - P_uv L), P~_uu = P_uu - P_uv P_vv^+ P_vu."""
    game = shared_game(np.random.default_rng(seed))
    solution = solve_linear_quadratic(game, "cooperative")
    for t, stage in enumerate(game.stages):
        P = blocks(*expansion(stage, solution.values[t + 1]))
        for one, two, rows in (("u", "v", slice(0, 2)), ("v", "u", slice(2, 4))):
            inverse = np.linalg.pinv(P[two + two])
            schur = P[one + one] - P[one + two] @ inverse @ P[two + one]
            k = np.linalg.pinv(schur) @ (P[one] - P[one + two] @ inverse @ P[two])
            K = np.linalg.pinv(schur) @ (P[one + "x"] - P[one + two] @ inverse @ P[two + "x"])
            np.testing.assert_allclose(solution.laws[t].offset[rows], k, rtol=1e-6, atol=1e-8)
            np.testing.assert_allclose(solution.laws[t].gain[rows], K, rtol=1e-6, atol=1e-8)


@given(seed=seeds)
def test_value_recursion_of_the_group_rational_game(seed):
    """W_x = P_x - P_xu k_u - P_xv k_v and W_xx = P_xx - P_xu K_u - P_xv K_v for exact gains."""
    game = shared_game(np.random.default_rng(seed))
    solution = solve_linear_quadratic(game, "cooperative")
    for t, stage in enumerate(game.stages):
        gradient, hessian = expansion(stage, solution.values[t + 1])
        here, law = solution.values[t], solution.laws[t]
        np.testing.assert_allclose(here.gradient[0], gradient[:3] - hessian[:3, 3:] @ law.offset, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(here.hessian[0], hessian[:3, :3] - hessian[:3, 3:] @ law.gain, rtol=1e-6, atol=1e-7)


@given(seed=seeds)
def test_equation_9_is_the_feedback_game_of_one_layer_per_stage(seed):
    """k = Q_uu^+ Q_u, K = Q_uu^+ Q_ux, V_x = Q_x - Q_xu k, V_xx = Q_xx - Q_xu K."""
    game = shared_game(np.random.default_rng(seed), sizes=(2,))
    solution = solve_linear_quadratic(game, "feedback")
    for t, stage in enumerate(game.stages):
        gradient, hessian = expansion(stage, solution.values[t + 1])
        inverse = np.linalg.pinv(hessian[3:, 3:])
        law, here = solution.laws[t], solution.values[t]
        np.testing.assert_allclose(law.offset, inverse @ gradient[3:], rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(law.gain, inverse @ hessian[3:, :3], rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(here.gradient[0], gradient[:3] - hessian[:3, 3:] @ law.offset, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(here.hessian[0], hessian[:3, :3] - hessian[:3, 3:] @ law.gain, rtol=1e-6, atol=1e-7)


def test_theorem_6_without_coupling_equation_11_is_equation_9():
    """P_uv = 0 at the last stage (no value coupling, no cost coupling): each player's own step is the joint one."""
    game = shared_game(np.random.default_rng(0), stages=1, coupling=0.0)
    flat = LinearQuadraticGame(game.stages, np.zeros((2, 3, 3)), game.terminal_gradient)
    law = solve_linear_quadratic(flat, "cooperative").laws[0]
    gradient, hessian = expansion(flat.stages[0], solve_linear_quadratic(flat, "cooperative").values[1])
    for rows in (slice(3, 5), slice(5, 7)):
        own = np.linalg.pinv(hessian[rows, rows])
        np.testing.assert_allclose(law.offset[rows.start - 3 : rows.stop - 3], own @ gradient[rows], rtol=1e-10)
        np.testing.assert_allclose(law.gain[rows.start - 3 : rows.stop - 3], own @ hessian[rows, :3], rtol=1e-10)


@given(seed=seeds)
def test_a_rank_one_value_stays_rank_one(seed):
    """V_xx = z z' with costs in u only: the next z is sqrt(1 - q_u' Q_uu^-1 q_u) q_x, q_u = F_u'z, q_x = F_x'z."""
    rng = np.random.default_rng(seed)
    A, B, z = rng.normal(size=(3, 3)), rng.normal(size=(3, 2)), rng.normal(size=3)
    root = rng.normal(size=(2, 2))
    cost = np.zeros((5, 5))
    cost[3:, 3:] = root @ root.T + np.eye(2)
    game = LinearQuadraticGame((LinearQuadraticStage(A, [B], cost[None]),), np.outer(z, z)[None])
    q_u, q_x = B.T @ z, A.T @ z
    Q_uu = cost[3:, 3:] + np.outer(q_u, q_u)
    following = np.sqrt(1 - q_u @ np.linalg.solve(Q_uu, q_u)) * q_x
    value = solve_linear_quadratic(game).values[0].hessian[0]
    np.testing.assert_allclose(value, np.outer(following, following), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("players", [2, 4, 6])
def test_fictitious_players_of_one_parameter_are_a_larger_step(players):
    """theta = sum of N parts: all curvature blocks are equal, so the exact Schur complement vanishes; with damping e
    added to the own blocks the joint step is Newton's with damping e / N, and with unit curvature N plain steps."""
    curvature, gradient, damping = 2.0, 3.0, 0.4
    joint = np.full((players, players), curvature)
    inverse = np.linalg.pinv(joint[1:, 1:])
    assert joint[0, 0] - joint[0, 1:] @ inverse @ joint[1:, 0] == pytest.approx(0.0, abs=1e-12)
    step = np.linalg.solve(joint + damping * np.eye(players), np.full(players, gradient)).sum()
    assert step == pytest.approx(gradient / (curvature + damping / players))
    stage = LinearQuadraticStage(
        [[1.0]],
        [[[1.0]]] * players,
        np.stack([np.diag([0.0] + [1.0] * players)] * players),
    )
    game = LinearQuadraticGame((stage,), np.zeros((players, 1, 1)), np.full((players, 1), gradient))
    assert solve_linear_quadratic(game, "open_loop").laws[0].offset.sum() == pytest.approx(players * gradient)
