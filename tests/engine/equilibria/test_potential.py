from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.engine.equilibria.potential import decompose_game, is_potential_game, least_squares_potential
from neurogames.games.normal_form import NormalFormGame
from neurogames.games.replies import regret

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def random_game(seed, shape):
    rng = np.random.default_rng(seed)
    return NormalFormGame([rng.normal(size=shape) for _ in shape]), rng


def inner(first, second):
    return sum(size * (u * v).sum() for size, u, v in zip(first.n_actions, first.payoffs, second.payoffs, strict=True))


def slow_potential(game):
    """Least squares over all deviations, edge by edge."""
    number = np.arange(game.payoffs[0].size).reshape(game.n_actions)
    rows, values = [], []
    for i, tensor in enumerate(game.payoffs):
        for s in np.ndindex(*game.n_actions):
            for b in range(s[i]):
                t = (*s[:i], b, *s[i + 1 :])
                row = np.zeros(number.size)
                row[number[s]], row[number[t]] = 1.0, -1.0
                rows.append(row)
                values.append(tensor[s] - tensor[t])
    if not rows:
        return np.zeros(game.n_actions)
    return np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0].reshape(game.n_actions)


@given(st.integers(0, 10**6), shapes)
def test_potential_is_the_least_squares_one(seed, shape):
    game, _ = random_game(seed, shape)
    phi = least_squares_potential(game)
    expected = slow_potential(game)
    assert phi == pytest.approx(expected - expected.mean(), abs=1e-9)


@given(st.integers(0, 10**6), shapes)
def test_the_three_parts_add_up_and_are_orthogonal(seed, shape):
    game, _ = random_game(seed, shape)
    parts = decompose_game(game)
    three = (parts.potential_part, parts.harmonic_part, parts.nonstrategic_part)
    for tensor, *pieces in zip(game.payoffs, *(part.payoffs for part in three), strict=True):
        assert tensor == pytest.approx(sum(pieces), abs=1e-12)
    for i, one in enumerate(three):
        for other in three[:i]:
            assert inner(one, other) == pytest.approx(0.0, abs=1e-9)
    assert inner(game, game) == pytest.approx(sum(inner(part, part) for part in three))


@given(st.integers(0, 10**6), shapes)
def test_each_part_is_what_it_is_called(seed, shape):
    game, _ = random_game(seed, shape)
    parts = decompose_game(game)
    assert is_potential_game(parts.potential_part, tolerance=1e-6)
    for i, tensor in enumerate(parts.nonstrategic_part.payoffs):
        assert np.ptp(tensor, axis=i) == pytest.approx(0.0, abs=1e-12)
    uniform = [np.full(size, 1 / size) for size in shape]
    assert regret(parts.harmonic_part, uniform) <= 1e-9
    flow = sum(
        size * (tensor - tensor.mean(axis=i, keepdims=True))
        for i, (size, tensor) in enumerate(zip(shape, parts.harmonic_part.payoffs, strict=True))
    )
    assert flow == pytest.approx(0.0, abs=1e-9)


@given(st.integers(0, 10**6), shapes)
def test_a_game_made_from_a_potential_is_one_and_gives_it_back(seed, shape):
    rng = np.random.default_rng(seed)
    phi = rng.normal(size=shape)
    game = NormalFormGame(
        [phi + rng.normal(size=[1 if k == i else a for k, a in enumerate(shape)]) for i in range(len(shape))]
    )
    found = is_potential_game(game)
    assert found
    assert found.residual <= 1e-12
    assert found.potential == pytest.approx(phi - phi.mean(), abs=1e-9)


@given(st.integers(0, 10**6))
def test_a_generic_game_is_no_potential_game(seed):
    game, _ = random_game(seed, (3, 3))
    found = is_potential_game(game)
    assert not found
    assert found.residual > 1e-6


@pytest.mark.parametrize("level", [0.1, 1e15])
def test_a_level_shared_by_all_payoffs_changes_no_answer(level):
    assert is_potential_game(NormalFormGame([np.full((3, 3), level)] * 2))
    assert is_potential_game(NormalFormGame([np.array([[2.0, 0.0], [0.0, 1.0]]) + level] * 2))
    cycle = np.array([[8.0, -8.0], [-8.0, 8.0]])
    assert not is_potential_game(NormalFormGame((level + cycle, level - cycle)))


@pytest.mark.parametrize("tolerance", [-1.0, np.nan])
def test_a_tolerance_that_is_none_is_refused(tolerance):
    with pytest.raises(ValueError, match="tolerance: got"):
        is_potential_game(NormalFormGame.symmetric([[1.0]]), tolerance=tolerance)
