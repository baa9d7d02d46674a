"""Linear-quadratic games: the Riccati sweeps against one big linear system and against deviations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_are

from neurogames.engine.linear_quadratic import riccati
from neurogames.engine.linear_quadratic.riccati import ControlLaw, solve_linear_quadratic
from neurogames.games.dynamic import LinearQuadraticGame, LinearQuadraticStage
from tests.games.test_dynamic import random_game

INFORMATION = ("feedback", "open_loop", "cooperative")
seeds = st.integers(0, 10**6)


def split(game, flat):
    """Controls of all stages from one long vector (..., sum of widths)."""
    ends = np.cumsum([stage.control.shape[1] for stage in game.stages])[:-1]
    return np.split(flat, ends, axis=-1)


def sequence_costs(game, start):
    """Costs as quadratics of the whole control sequence, by evaluating them: Hessians, gradients (N, .)."""
    width = sum(stage.control.shape[1] for stage in game.stages)
    unit = np.eye(width)

    def cost(flat):
        return game.costs(np.broadcast_to(start, (*flat.shape[:-1], start.size)), split(game, flat))

    zero = cost(np.zeros((1, width)))[0]
    up, down = cost(unit), cost(-unit)
    gradient = 0.5 * (up - down).T
    pairs = cost((unit[:, None] + unit[None]).reshape(-1, width)).reshape(width, width, -1)
    hessian = np.moveaxis(pairs - up[:, None] - up[None] + zero, -1, 0)
    return hessian, gradient


def owners(game):
    """Player of each entry of the long vector."""
    return np.concatenate([np.repeat(np.arange(game.n_players), [p.shape[1] for p in s.controls]) for s in game.stages])


@given(seed=seeds)
def test_open_loop_is_the_nash_equilibrium_of_whole_sequences(seed):
    game, start = random_game(seed), np.random.default_rng(seed).normal(size=3)
    solution = solve_linear_quadratic(game, "open_loop")
    assert solution.status == "ok"
    hessian, gradient = sequence_costs(game, start)
    own = owners(game)
    rows = np.arange(own.size)
    twin = np.linalg.solve(hessian[own, rows], -gradient[own, rows])
    np.testing.assert_allclose(np.concatenate(solution.controls(game, start)), twin, rtol=1e-6, atol=1e-7)
    assert (solution.regret < 1e-7 * (1 + sum(np.abs(v.hessian).max() for v in solution.values))).all()


@given(seed=seeds)
def test_cooperation_minimises_the_sum_of_costs(seed):
    game, start = random_game(seed), np.random.default_rng(seed).normal(size=3)
    solution = solve_linear_quadratic(game, "cooperative")
    hessian, gradient = sequence_costs(game, start)
    twin = np.linalg.solve(hessian.sum(axis=0), -gradient.sum(axis=0))
    controls = solution.controls(game, start)
    np.testing.assert_allclose(np.concatenate(controls), twin, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(solution.values[0](start), game.costs(start, controls), rtol=1e-9, atol=1e-9)
    others = solve_linear_quadratic(game, "feedback")
    assert solution.values[0](start).sum() <= others.values[0](start).sum() + 1e-9


def followed_costs(game, start, laws, stage_moved=None, nudge=None):
    """Costs when all follow the laws, but for a nudge at one stage."""
    x, controls = np.asarray(start), []
    for t, (stage, law) in enumerate(zip(game.stages, laws, strict=True)):
        u = -(law.offset + law.gain @ x)
        if t == stage_moved:
            u = u + nudge
        controls.append(u)
        x = stage.transition @ x + stage.control @ u + stage.drift
    return game.costs(start, controls)


@given(seed=seeds)
def test_no_player_gains_by_one_nudge_against_feedback_laws(seed):
    """The one-shot deviation principle, player by player, at every stage, while all react to the new state."""
    game, rng = random_game(seed), np.random.default_rng(seed)
    solution = solve_linear_quadratic(game, "feedback")
    assert solution.status == "ok"
    start = rng.normal(size=3)
    reached = followed_costs(game, start, solution.laws)
    np.testing.assert_allclose(solution.values[0](start), reached, rtol=1e-9, atol=1e-9)
    for t, stage in enumerate(game.stages):
        for i, part in enumerate(stage.parts):
            nudge = np.zeros(stage.control.shape[1])
            nudge[part] = rng.normal(size=part.stop - part.start)
            up, down = (followed_costs(game, start, solution.laws, t, sign * nudge)[i] for sign in (1, -1))
            assert min(up, down) >= reached[i] - 1e-8 * (1 + abs(reached[i]))
            assert up - down == pytest.approx(0.0, abs=1e-7 * (1 + abs(up)))
    assert (solution.regret < 1e-7 * (1 + np.abs(solution.values[0].hessian).max())).all()


@given(seed=seeds)
def test_one_player_has_one_solution_whatever_the_information(seed):
    game, start = random_game(seed, controls=((3,), (3,))), np.random.default_rng(seed).normal(size=3)
    controls = {info: np.concatenate(solve_linear_quadratic(game, info).controls(game, start)) for info in INFORMATION}
    hessian, gradient = sequence_costs(game, start)
    for found in controls.values():
        np.testing.assert_allclose(found, np.linalg.solve(hessian[0], -gradient[0]), rtol=1e-7, atol=1e-8)


def test_a_long_game_of_one_player_approaches_the_algebraic_riccati_equation():
    rng = np.random.default_rng(0)
    A, B, Q, R = rng.normal(size=(3, 3)), rng.normal(size=(3, 2)), np.eye(3), 0.3 * np.eye(2)
    stage = LinearQuadraticStage(A, [B], np.block([[Q, np.zeros((3, 2))], [np.zeros((2, 3)), R]])[None])
    solution = solve_linear_quadratic(LinearQuadraticGame((stage,) * 80, Q[None]))
    P = solve_discrete_are(A, B, Q, R)
    np.testing.assert_allclose(solution.values[0].hessian[0], P, rtol=1e-9)
    np.testing.assert_allclose(solution.laws[0].gain, np.linalg.solve(R + B.T @ P @ B, B.T @ P @ A), rtol=1e-9)


@given(seed=seeds)
def test_a_team_with_one_cost_plays_the_same_whatever_the_information(seed):
    """Players who share the cost: the equilibrium is unique and is the joint optimum."""
    game = random_game(seed)
    shared = LinearQuadraticGame(
        [
            LinearQuadraticStage(s.transition, s.controls, s.hessian[[0, 0]], s.gradient[[0, 0]], s.drift)
            for s in game.stages
        ],
        game.terminal_hessian[[0, 0]],
        game.terminal_gradient[[0, 0]],
    )
    start = np.random.default_rng(seed).normal(size=3)
    paths = [np.concatenate(solve_linear_quadratic(shared, info).controls(shared, start)) for info in INFORMATION]
    np.testing.assert_allclose(paths[0], paths[2], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(paths[1], paths[2], rtol=1e-6, atol=1e-7)


def two_rivals(stages):
    stage = LinearQuadraticStage([[1.0]], [[[1.0]], [[1.0]]], [np.diag([0, 1, 0]), np.diag([0, 0, 1])])
    return LinearQuadraticGame((stage,) * stages, [[[1.0]], [[1.0]]])


def test_two_stage_game_by_hand():
    """x' = x + u + v, cost of each own control squared over 2 at both stages plus the last state squared over 2.

    Last stage: u = v = -x/3, so each pays V = x^2 / 9. First stage, feedback: u = -(2/9)(x + u + v), so u = -2x/13.
    Open loop: the costate is the last state, all four controls are alike and equal -x/5.
    """
    game = two_rivals(2)
    feedback, open_loop = (solve_linear_quadratic(game, info) for info in ("feedback", "open_loop"))
    np.testing.assert_allclose(feedback.laws[0].gain, [[2 / 13]] * 2, rtol=1e-13)
    np.testing.assert_allclose(feedback.laws[1].gain, [[1 / 3]] * 2, rtol=1e-13)
    np.testing.assert_allclose(open_loop.controls(game, [1.0]), [[-0.2, -0.2], [-0.2, -0.2]], rtol=1e-13)
    assert feedback.unique
    assert open_loop.unique


@pytest.mark.parametrize("information", ["feedback", "open_loop"])
def test_the_certificate_sees_a_law_that_is_no_equilibrium(information):
    """The regret of tampered laws is what a best reply to them saves, found by solving for the whole sequence."""
    game, start = random_game(11), np.array([0.6, 0.0, 0.8])
    doubled = information == "open_loop"
    laws = [ControlLaw(law.gain + 0.1, law.offset - 0.2) for law in solve_linear_quadratic(game, information).laws]
    reached = riccati._evaluated(game, laws)[0]
    played, x = [], start
    for stage, law in zip(game.stages, laws, strict=True):
        played.append(-(law.offset + law.gain @ x))
        x = stage.transition @ x + stage.control @ played[-1] + stage.drift
    for i in range(2):
        reply, fixed = riccati._reply_game(game, laws, i, doubled=doubled)
        _, best, _, status = riccati._sweep(reply, costate=False, names=[i])
        assert status == "ok"
        y = np.concatenate([start, start]) if doubled else start
        saved = reached(start)[i] - best[0](y)[0] - fixed
        assert saved > 1e-3
        assert riccati._saving(reached, i, best[0], fixed) >= saved
        if doubled:
            hessian, gradient = sequence_costs(game, start)
            mine = owners(game) == i
            flat = np.concatenate(played)
            slope = (hessian[i] @ flat + gradient[i])[mine]
            assert saved == pytest.approx(0.5 * slope @ np.linalg.solve(hessian[i][np.ix_(mine, mine)], slope))


def test_a_player_may_be_without_control_at_a_stage():
    """Turns: player 0 moves first, player 1 last; its feedback reply is Stackelberg play, solved by hand.

    x' = x + u, then x'' = x' + v; player 0 pays u^2/2 + x''^2/2, player 1 pays v^2/2 + x''^2/2: hence v = -x'/2 and
    u = -(1/4)(x + u).
    """
    first = LinearQuadraticStage([[1.0]], [[[1.0]], np.zeros((1, 0))], [np.diag([0, 1]), np.zeros((2, 2))])
    last = LinearQuadraticStage([[1.0]], [np.zeros((1, 0)), [[1.0]]], [np.zeros((2, 2)), np.diag([0, 1])])
    solution = solve_linear_quadratic(LinearQuadraticGame((first, last), [[[1.0]], [[1.0]]]))
    np.testing.assert_allclose(solution.laws[0].gain, [[0.2]], rtol=1e-13)
    np.testing.assert_allclose(solution.laws[1].gain, [[0.5]], rtol=1e-13)
    assert (solution.regret < 1e-13).all()


@pytest.mark.parametrize("information", INFORMATION)
def test_a_cost_that_falls_without_end_is_a_status(information):
    stage = LinearQuadraticStage([[1.0]], [[[1.0]], [[1.0]]], [np.diag([0, -9, 0]), np.diag([0, 0, 1])])
    solution = solve_linear_quadratic(LinearQuadraticGame((stage,) * 2, [[[1.0]], [[1.0]]]), information)
    assert solution.status.startswith("the cost of player 0 is not convex in its own control at stage 1")
    assert solution.unique is None
    assert np.isnan(solution.regret).all()
    assert solution.laws == ()


def test_singular_conditions_are_told_apart():
    """Player 1's control does nothing: free of charge there are many equilibria, with a linear reward none."""
    idle = [np.diag([0.0, 1.0, 0.0]), np.zeros((3, 3))]
    end = [[[1.0]], [[1.0]]]
    free = LinearQuadraticStage([[1.0]], [[[1.0]], [[0.0]]], idle)
    solution = solve_linear_quadratic(LinearQuadraticGame((free,), end))
    assert (solution.status, solution.unique) == ("ok", False)
    np.testing.assert_allclose(solution.laws[0].gain, [[0.5], [0.0]], atol=1e-14)
    rewarded = LinearQuadraticStage([[1.0]], [[[1.0]], [[0.0]]], idle, gradient=[[0, 0, 0], [0, 0, -1.0]])
    solution = solve_linear_quadratic(LinearQuadraticGame((rewarded,), end))
    assert solution.status == "the first-order conditions at stage 0 contradict each other (singular R)"
    assert solution.unique is None
    assert solution.laws == ()


def test_unknown_information_is_refused():
    with pytest.raises(ValueError, match="information: got 'closed'"):
        solve_linear_quadratic(two_rivals(1), "closed")
