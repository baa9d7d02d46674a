from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from neurogames.engine.equilibria.logit_limit import logit_limit
from neurogames.engine.equilibria.quantal import logit_branch, logit_equilibrium
from neurogames.games.normal_form import NormalFormGame
from neurogames.games.replies import action_payoffs, regret

shapes = st.sampled_from([(2, 2), (3, 4), (2, 3, 2), (1, 2), (3,)])


def fixed_point(game, precision):
    """Slow twin for small precisions, where the logit answer contracts."""
    profile = tuple(np.full(size, 1 / size) for size in game.n_actions)
    for _ in range(150):
        answers = [np.exp(precision * u) for u in action_payoffs(game, profile)]
        profile = tuple(answer / answer.sum() for answer in answers)
    return profile


@given(st.integers(0, 10**6), shapes)
def test_at_low_precision_it_is_the_limit_of_logit_answers(seed, shape):
    rng = np.random.default_rng(seed)
    game = NormalFormGame([rng.random(shape) for _ in shape])
    found = logit_equilibrium(game, 0.8)
    for strategy, expected in zip(found.profile, fixed_point(game, 0.8), strict=True):
        assert strategy == pytest.approx(expected, abs=1e-10)


@given(st.integers(0, 10**6), shapes, st.sampled_from([0.0, 0.3, 3.0, 40.0]))
def test_every_equilibrium_solves_its_equations(seed, shape, precision):
    rng = np.random.default_rng(seed)
    game = NormalFormGame([rng.random(shape) for _ in shape])
    found = logit_equilibrium(game, precision)
    assert found.status == "ok"
    assert found.precision == precision
    assert found.residual <= 1e-8
    assert found.regret == regret(game, found.profile)


@given(st.integers(0, 10**6))
def test_units_of_payoff_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    payoffs = rng.random((2, 3, 3))
    plain = logit_equilibrium(NormalFormGame(payoffs), 4.0)
    scaled = logit_equilibrium(NormalFormGame(1e3 * payoffs + 7.0), 4e-3)
    assert scaled.profile[0] == pytest.approx(plain.profile[0], abs=1e-7)


@pytest.mark.parametrize("prize", [0.4, 1.0, 3.6, 9.0])
@pytest.mark.parametrize("precision", [0.5, 3.0, 30.0])
def test_generalised_matching_pennies_has_the_one_solution_of_its_two_equations(prize, precision):
    # Row: prize if both 1, 1 if both 2; column the opposite, 1 for each mismatch.
    game = NormalFormGame(([[prize, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]))

    def answer(q):
        p = 1 / (1 + np.exp(-precision * (prize * q - (1 - q))))
        return 1 / (1 + np.exp(-precision * ((1 - p) - p))), p

    q = brentq(lambda q: answer(q)[0] - q, 0.0, 1.0, xtol=1e-14)
    found = logit_equilibrium(game, precision)
    assert found.profile[1][0] == pytest.approx(q, abs=1e-8)
    assert found.profile[0][0] == pytest.approx(answer(q)[1], abs=1e-8)


FOLDED = NormalFormGame(([[8, 9, 2], [0, 5, 9], [9, 8, 3]], [[5, 3, 0], [7, 4, 9], [5, 6, 8]]))


def test_the_branch_goes_round_its_folds():
    branch = logit_branch(FOLDED, 20.0)
    assert branch.status == "ok"
    steps = np.diff(branch.precision)
    assert (steps < 0).any()
    assert steps[0] > 0
    assert steps[-1] > 0
    for k, precision in enumerate(branch.precision):
        profile = [part[k] for part in branch.profile]
        for strategy, payoffs in zip(profile, action_payoffs(FOLDED, profile), strict=True):
            answer = np.exp(precision * payoffs)
            assert strategy == pytest.approx(answer / answer.sum(), abs=1e-8)


def test_of_several_equilibria_of_the_branch_the_first_is_given():
    precision = 0.71
    branch = logit_branch(FOLDED, 20.0)
    crossings = np.flatnonzero(np.diff(np.sign(branch.precision - precision)))
    assert len(crossings) == 3
    first = logit_equilibrium(FOLDED, precision).profile[0]
    near = [branch.profile[0][k] for k in crossings]
    assert np.argmin([np.abs(first - other).max() for other in near]) == 0


@given(st.integers(0, 10**6), st.sampled_from([(2, 2), (3, 3), (2, 2, 2)]))
def test_the_limit_is_a_nash_equilibrium(seed, shape):
    rng = np.random.default_rng(seed)
    game = NormalFormGame([rng.random(shape) for _ in shape])
    profile, _, status = logit_limit(game)
    assert status == "ok"
    assert regret(game, profile) <= 1e-9


def test_the_limit_selects_the_risk_dominant_equilibrium():
    for payoff in (2.0, 1.3, 0.8):
        profile, _, _ = logit_limit(NormalFormGame.symmetric([[payoff, 0.0], [0.0, 1.0]]))
        assert profile[0] == pytest.approx([float(payoff > 1), float(payoff < 1)])


def test_constant_payoffs_leave_the_uniform_profile():
    found = logit_equilibrium(NormalFormGame([np.ones((2, 3))] * 2), 1e4)
    assert found.profile[1] == pytest.approx(np.full(3, 1 / 3))


@pytest.mark.parametrize("precision", [-1.0, np.inf, np.nan])
def test_a_precision_out_of_range_is_refused(precision):
    with pytest.raises(ValueError, match="precision: got"):
        logit_equilibrium(NormalFormGame.zero_sum(np.eye(2)), precision)
