from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from neurogames.engine.equilibria import zero_sum
from neurogames.engine.equilibria.zero_sum import solve_zero_sum
from neurogames.games.normal_form import NormalFormGame
from neurogames.games.replies import exploitability


def slow_value(matrix):
    """max v with x A >= v, by the textbook program."""
    m, n = matrix.shape
    answer = linprog(
        [*[0] * m, -1],
        A_ub=np.column_stack([-matrix.T, np.ones(n)]),
        b_ub=np.zeros(n),
        A_eq=[[*[1] * m, 0]],
        b_eq=[1],
        bounds=[*[(0, None)] * m, (None, None)],
    )
    return -answer.fun


@given(st.integers(0, 10**9), st.sampled_from([2, 5, 10**6]))
def test_value_and_strategies_solve_the_textbook_program(seed, high):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-high, high, tuple(rng.integers(1, 12, 2))).astype(float)
    game = NormalFormGame.zero_sum(matrix)
    found = solve_zero_sum(game)
    assert found.status == "ok"
    assert found.value == pytest.approx(slow_value(matrix), abs=1e-8 * high)
    assert found.exploitability <= 1e-12 * max(1.0, game.payoff_range)
    assert found.exploitability == pytest.approx(float(exploitability(game, found.profile)), abs=1e-9 * high)
    assert found.regret <= found.exploitability + 1e-12 * high


@pytest.mark.parametrize("size", [3, 25, 101])
def test_cyclic_games_with_ties_everywhere_are_solved(size):
    step = (np.arange(size)[:, None] - np.arange(size)) % size
    matrix = np.where(step == 0, 0.0, np.where(step <= size // 2, 1.0, -1.0))
    found = solve_zero_sum(NormalFormGame.zero_sum(matrix))
    assert found.status == "ok"
    assert found.value == pytest.approx(0.0, abs=1e-12)
    assert found.profile[0] == pytest.approx(np.full(size, 1 / size), abs=1e-9)


def test_a_constant_sum_moves_the_value_of_neither_strategy():
    matrix = np.array([[2.0, -1.0], [-1.0, 1.0]])
    plain = solve_zero_sum(NormalFormGame.zero_sum(matrix))
    moved = solve_zero_sum(NormalFormGame((matrix + 3.0, 7.0 - matrix)))
    assert moved.value == pytest.approx(plain.value + 3.0)
    assert moved.profile[1] == pytest.approx(plain.profile[1])


@pytest.mark.parametrize(("unit", "level"), [(1.0, 0.0), (1e-9, 0.0), (1e9, 0.0), (1.0, -50.0)])
def test_where_pivots_fail_highs_answers_in_any_unit(monkeypatch, unit, level):
    rng = np.random.default_rng(0)
    game = NormalFormGame.zero_sum(unit * rng.random((6, 7)) + level)
    expected = solve_zero_sum(game)
    monkeypatch.setattr(zero_sum, "_simplex", lambda *_: (np.full(6, 1 / 6), np.full(7, 1 / 7), 0))
    found = solve_zero_sum(game)
    assert found.method == "highs"
    assert found.status == "ok"
    assert found.value == pytest.approx(expected.value, abs=1e-9 * unit)


def test_a_bad_answer_is_called_bad(monkeypatch):
    game = NormalFormGame.zero_sum(np.eye(3))
    monkeypatch.setattr(zero_sum, "_simplex", lambda *_: (np.eye(3)[0], np.eye(3)[0], 0))
    monkeypatch.setattr(zero_sum, "_highs", lambda *_: None)
    monkeypatch.setattr(zero_sum, "_exactly", lambda *_: None)
    found = solve_zero_sum(game)
    assert found.exploitability == 1.0
    assert found.status == "a deviation gains a share of its stake of 1, above 1e-09"


def test_games_that_are_not_zero_sum_are_refused():
    with pytest.raises(ValueError, match="a constant sum"):
        solve_zero_sum(NormalFormGame.symmetric([[3, 0], [5, 1]]))
    with pytest.raises(ValueError, match="2 players"):
        solve_zero_sum(NormalFormGame([[1.0]]))
