from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.engine.equilibria.evolutionary import is_evolutionarily_stable, stable_strategies, strictly_copositive
from neurogames.games.normal_form import NormalFormGame


@given(st.integers(0, 10**6), st.integers(2, 5))
def test_stable_strategies_repel_every_invader_near_by_and_others_do_not(seed, size):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-4, 5, (size, size)).astype(float)
    found = stable_strategies(NormalFormGame.symmetric(matrix))
    assert found.status == "ok"
    invaders = np.concatenate([rng.dirichlet(np.full(size, 0.3), 400), np.eye(size)])
    for p, stable in zip(found.equilibria, found.stable, strict=True):
        # p is stable iff p A r > r A r for all r near p.
        near = p + 1e-3 * (invaders - p)
        margin = ((p - near) * (near @ matrix.T)).sum(axis=1) / ((near - p) ** 2).sum(axis=1).clip(1e-12)
        if stable:
            assert (margin[np.abs(invaders - p).max(axis=1) > 0.05] > 0).all()
    for p in found.strategies:
        assert is_evolutionarily_stable(NormalFormGame.symmetric(matrix), p)


def slow_stable(matrix, p):
    """Sampled second condition on the face of best replies; False is certain, True is likely."""
    rng = np.random.default_rng(0)
    payoffs = matrix @ p
    replies = np.flatnonzero(payoffs >= payoffs.max() - 1e-9)
    q = np.zeros((20_000, len(p)))
    q[:, replies] = rng.dirichlet(np.full(len(replies), 0.5), 20_000)
    q = np.concatenate([q, np.eye(len(p))[replies]])
    apart = np.abs(q - p).max(axis=1) > 1e-6
    scale = ((q - p) ** 2).sum(axis=1)
    return bool((((p - q) * (q @ matrix.T)).sum(axis=1)[apart] > 1e-9 * scale[apart]).all())


def test_stability_agrees_with_a_search_for_invaders():
    rng = np.random.default_rng(12)
    checked = 0
    for _ in range(40):
        matrix = rng.normal(size=(4, 4))
        found = stable_strategies(NormalFormGame.symmetric(matrix))
        for p, stable in zip(found.equilibria, found.stable, strict=True):
            assert slow_stable(matrix, p) == stable
            checked += stable
    assert checked > 20


@pytest.mark.parametrize(("value", "cost"), [(2.0, 3.0), (1.0, 4.0)])
def test_hawks_and_doves_mix_with_the_ratio_of_value_and_cost(value, cost):
    game = NormalFormGame.symmetric([[(value - cost) / 2, value], [0.0, value / 2]])
    assert stable_strategies(game).strategies == pytest.approx(np.array([[value / cost, 1 - value / cost]]))


def test_hawks_alone_are_stable_when_the_prize_is_worth_the_fight():
    game = NormalFormGame.symmetric([[0.5, 3.0], [0.0, 1.5]])
    assert stable_strategies(game).strategies.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(("prize", "count"), [(0.9, 0), (1.0, 0), (1.1, 1)])
def test_rock_paper_scissors_is_stable_iff_winning_pays_more_than_losing_costs(prize, count):
    game = NormalFormGame.symmetric([[0, -1, prize], [prize, 0, -1], [-1, prize, 0]])
    assert len(stable_strategies(game).strategies) == count


def test_a_weakly_dominated_equilibrium_is_not_stable():
    found = stable_strategies(NormalFormGame.symmetric([[1.0, 1.0], [1.0, 0.0]]))
    assert found.strategies.tolist() == [[1.0, 0.0]]
    assert not is_evolutionarily_stable(NormalFormGame.symmetric(np.ones((2, 2))), [1.0, 0.0])


def test_copositivity_agrees_with_a_search():
    rng = np.random.default_rng(6)
    z = np.concatenate([rng.dirichlet(np.full(4, 0.4), 20_000), np.eye(4)])
    answers = []
    for _ in range(150):
        matrix = rng.normal(size=(4, 4)) + 1.2 * np.eye(4) + 0.4
        matrix = matrix + matrix.T
        least = ((z @ matrix) * z).sum(axis=1).min()
        if abs(least) > 0.02:
            answers.append(strictly_copositive(matrix))
            assert answers[-1] == (least > 0)
    assert 20 < sum(answers) < len(answers) - 20
    assert strictly_copositive(np.zeros((0, 0)))
    assert not strictly_copositive(np.zeros((2, 2)))


def test_asymmetric_games_and_wrong_strategies_are_refused():
    with pytest.raises(ValueError, match="the transpose"):
        stable_strategies(NormalFormGame.zero_sum([[1.0, 2.0], [3.0, 4.0]]))
    with pytest.raises(ValueError, match="2 probabilities"):
        is_evolutionarily_stable(NormalFormGame.symmetric(np.eye(2)), [0.3, 0.3])


def test_strategies_that_rounding_may_have_decided_on_are_found_in_integers():
    hair = NormalFormGame.symmetric([[1.0, 0.0], [1.0 - 1e-11, 5.0]])
    found = stable_strategies(hair)
    assert found.status == "ok"
    assert found.strategies.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert found.equilibria[2, 1] == pytest.approx(2e-12, rel=1e-6)
