from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.engine.equilibria.alpha_rank import alpha_rank, log_fixation
from neurogames.games.normal_form import NormalFormGame


def dense_twin(game, alpha, m):
    """Transition matrix by the definition, stationary law by least squares."""
    profiles = list(np.ndindex(*game.n_actions))
    eta = 1 / sum(a - 1 for a in game.n_actions)
    chain = np.zeros((len(profiles), len(profiles)))
    for k, s in enumerate(profiles):
        for j, t in enumerate(profiles):
            moved = [i for i in range(len(s)) if s[i] != t[i]]
            if len(moved) == 1:
                x = alpha * (game.payoffs[moved[0]][t] - game.payoffs[moved[0]][s])
                chain[k, j] = eta * (1 / m if x == 0 else (1 - np.exp(-x)) / (1 - np.exp(-m * x)))
        chain[k, k] = 1 - chain[k].sum()
    system = np.vstack([chain.T - np.eye(len(profiles)), np.ones(len(profiles))])
    return np.linalg.lstsq(system, np.eye(len(profiles) + 1)[-1], rcond=None)[0].reshape(game.n_actions)


@given(st.integers(0, 10**6), st.sampled_from([(2, 2), (3, 2), (2, 2, 2), (1, 3)]), st.floats(0.01, 1.0))
def test_law_equals_that_of_the_dense_chain(seed, shape, alpha):
    rng = np.random.default_rng(seed)
    game = NormalFormGame([rng.integers(-2, 3, shape) for _ in shape])
    found = alpha_rank(game, alpha, population_size=7)
    assert found.stationary == pytest.approx(dense_twin(game, alpha, 7), abs=1e-9)
    assert found.residual <= 1e-12


@pytest.mark.parametrize("x", [-800.0, -3.0, -1e-9, 0.0, 1e-12, 0.7, 900.0])
def test_fixation_is_right_in_every_range(x):
    with mpmath.workdps(80):
        exact = mpmath.log(-mpmath.expm1(-mpmath.mpf(x)) / -mpmath.expm1(-30 * mpmath.mpf(x))) if x else -mpmath.log(30)
        assert float(log_fixation(np.array(x), 30)) == pytest.approx(float(exact), rel=1e-12)


def test_two_profiles_are_ranked_in_closed_form():
    # One player, two actions: detailed balance gives exp((m - 1) x) for the ratio of the two shares.
    found = alpha_rank(NormalFormGame([[0.0, 1.0]]), 0.3, population_size=11)
    assert found.stationary[1] / found.stationary[0] == pytest.approx(np.exp(10 * 0.3))


def test_no_intensity_is_too_great():
    coordination = NormalFormGame.symmetric([[2.0, 0.0], [0.0, 1.0]])
    found = alpha_rank(coordination, 1e5)
    assert found.stationary == pytest.approx(np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert np.isfinite(found.log_stationary).all()
    cycle = alpha_rank(NormalFormGame.zero_sum([[1, -1], [-1, 1]]), 1e5)
    assert cycle.stationary == pytest.approx(np.full((2, 2), 0.25))


@given(st.integers(0, 10**6))
def test_permuting_the_actions_permutes_the_law(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(4, 4))
    order = rng.permutation(4)
    for fitness in ("pair", "mixed"):
        options = {"population_size": 6, "populations": "one", "fitness": fitness}
        plain = alpha_rank(NormalFormGame.symmetric(matrix), 0.8, **options).stationary
        turned = alpha_rank(NormalFormGame.symmetric(matrix[np.ix_(order, order)]), 0.8, **options).stationary
        assert turned == pytest.approx(plain[order])


def test_in_a_constant_sum_game_pairs_and_populations_differ_by_a_factor_of_alpha():
    # With A + A^T = 0 the mixed fitness difference does not depend on the count: it is A[t, s] m / (m - 1), half of
    # the difference of a pair times m / (m - 1).
    game = NormalFormGame.symmetric([[0, -1, 2], [1, 0, -3], [-2, 3, 0]])
    mixed = alpha_rank(game, 0.5, population_size=9, populations="one", fitness="mixed").stationary
    pair = alpha_rank(game, 0.5 * 9 / 8 / 2, population_size=9, populations="one").stationary
    assert mixed == pytest.approx(pair)


def test_wrong_arguments_are_refused():
    game = NormalFormGame.zero_sum([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(ValueError, match="alpha: got 0"):
        alpha_rank(game, 0.0)
    with pytest.raises(ValueError, match="population_size: got 1"):
        alpha_rank(game, 1.0, population_size=1)
    with pytest.raises(ValueError, match="populations: got 'many', expected 'each' or 'one'"):
        alpha_rank(game, 1.0, populations="many")
    with pytest.raises(ValueError, match="a symmetric game"):
        alpha_rank(game, 1.0, populations="one")


def test_an_intensity_beyond_all_numbers_is_refused():
    with pytest.raises(ValueError, match=r"alpha: got 1e\+300"):
        alpha_rank(NormalFormGame.symmetric([[-1e12, 2e12], [0.0, 1e12]]), 1e300)
