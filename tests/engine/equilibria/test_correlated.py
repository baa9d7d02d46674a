from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.engine.equilibria.correlated import correlated_equilibrium, correlated_regret
from neurogames.engine.equilibria.nash import solve_nash
from neurogames.games.normal_form import NormalFormGame
from neurogames.games.replies import regret


def random_game(seed, shape):
    rng = np.random.default_rng(seed)
    return NormalFormGame([rng.normal(size=shape) for _ in shape]), rng


def slow_regret(game, q, coarse):
    """By the definition, deviation by deviation."""
    worst = 0.0
    for i, tensor in enumerate(game.payoffs):
        size = tensor.shape[i]
        gain = np.zeros((size, size))
        for s in np.ndindex(*q.shape):
            for b in range(size):
                gain[s[i], b] += q[s] * (tensor[(*s[:i], b, *s[i + 1 :])] - tensor[s])
        worst = max(worst, gain.sum(axis=0).max() if coarse else gain.max(axis=1).sum())
    return worst


@given(st.integers(0, 10**6), st.sampled_from([(2, 2), (3, 4), (2, 3, 2), (1, 3)]), st.booleans())
def test_the_best_equilibrium_is_one_and_no_nash_equilibrium_beats_it(seed, shape, coarse):
    game, _ = random_game(seed, shape)
    best = correlated_equilibrium(game, coarse=coarse)
    assert best.status == "ok"
    assert best.distribution.sum() == pytest.approx(1.0)
    assert best.regret <= 1e-8
    assert best.value == pytest.approx(best.payoffs.sum())
    for profile in solve_nash(game):
        law = profile[0]
        for strategy in profile[1:]:
            law = np.multiply.outer(law, strategy)
        assert best.value >= sum((law * tensor).sum() for tensor in game.payoffs) - 1e-6
    assert correlated_equilibrium(game, coarse=True).value >= best.value - 1e-8


@given(st.integers(0, 10**6), st.sampled_from([(2, 2), (3, 2), (2, 2, 3)]), st.booleans())
def test_regret_follows_the_definition(seed, shape, coarse):
    game, rng = random_game(seed, shape)
    q = rng.dirichlet(np.ones(int(np.prod(shape)))).reshape(shape)
    assert correlated_regret(game, q, coarse=coarse) == pytest.approx(slow_regret(game, q, coarse), abs=1e-12)


@given(st.integers(0, 10**6))
def test_a_product_of_strategies_is_correlated_iff_it_is_nash(seed):
    game, rng = random_game(seed, (3, 3))
    x, y = rng.dirichlet(np.ones(3), 2)
    law = np.outer(x, y)
    assert (correlated_regret(game, law) > 1e-12) == (regret(game, (x, y)) > 1e-12)


def test_any_objective_is_maximised():
    chicken = NormalFormGame.symmetric([[6.0, 2.0], [7.0, 0.0]])
    crash = np.array([[0.0, 0.0], [0.0, 1.0]])
    worst = correlated_equilibrium(chicken, crash)
    assert worst.value == pytest.approx(worst.distribution[1, 1])
    # The mixed equilibrium, 1/3 against 1/3, crashes most often.
    assert worst.value == pytest.approx(1 / 9, abs=1e-8) or worst.value > 1 / 9


def test_a_wrong_objective_is_refused():
    game = NormalFormGame.zero_sum(np.eye(2))
    with pytest.raises(ValueError, match="objective: got 'fame'"):
        correlated_equilibrium(game, "fame")
    with pytest.raises(ValueError, match=r"the shape of the payoffs, \(2, 2\)"):
        correlated_equilibrium(game, np.zeros((3, 2)))


@pytest.mark.parametrize("distribution", [[[1.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]], [[2.0, -1.0], [0.0, 0.0]]])
def test_what_is_no_distribution_over_profiles_has_no_regret(distribution):
    with pytest.raises(ValueError, match="distribution: got"):
        correlated_regret(NormalFormGame.symmetric([[6.0, 2.0], [7.0, 0.0]]), distribution)
