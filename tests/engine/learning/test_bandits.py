"""EXP3++ against its formulas, and its regret on stochastic and adversarial losses."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.engine.learning.bandits import BanditState, Exp3PlusPlus


def slow_probabilities(losses, t, c):
    """Seldin & Slivkins 2014, algorithm 1, one arm at a time."""
    K = len(losses)
    beta = 0.5 * np.sqrt(np.log(K) / (t * K))
    eps = []
    for a in range(K):
        gap = min(1.0, (losses[a] - min(losses)) / (t - 1))
        xi = c * np.log(t) ** 2 / (t * gap**2) if t * gap**2 > 1e-300 else np.inf
        eps.append(min(1 / (2 * K), beta, xi))
    rho = [np.exp(-beta * (loss - min(losses))) for loss in losses]
    return [(1 - sum(eps)) * r / sum(rho) + e for r, e in zip(rho, eps, strict=True)]


@given(
    losses=st.lists(st.floats(0, 1e5), min_size=2, max_size=6),
    t=st.integers(2, 10**6),
    c=st.sampled_from([18.0, 0.03, 1e-6]),
)
def test_probabilities_are_the_formula(losses, t, c):
    bandit = Exp3PlusPlus(len(losses), c)
    played = bandit.probabilities(BanditState(t, np.array(losses)))
    np.testing.assert_allclose(played, slow_probabilities(losses, t, c), rtol=1e-12, atol=1e-300)
    assert played.sum() == pytest.approx(1.0, abs=1e-14)
    assert (played > 0).all()


def test_replicas_are_rows_and_nothing_is_written():
    bandit, rng = Exp3PlusPlus(3), np.random.default_rng(0)
    state = BanditState(50, rng.random((4, 2, 3)) * 40)
    before = state.loss.copy()
    arms = bandit.draw(state, rng=rng)
    after = bandit.learn(state, arms, rng.random((4, 2)))
    np.testing.assert_array_equal(state.loss, before)
    assert arms.shape == (4, 2)
    assert after.round == 51
    assert np.count_nonzero(after.loss != before) == 8
    np.testing.assert_array_equal(
        bandit.probabilities(state)[1, 1], bandit.probabilities(BanditState(50, state.loss[1, 1]))
    )


def test_arms_are_drawn_by_their_probabilities_and_losses_are_unbiased():
    bandit, rng, count = Exp3PlusPlus(3), np.random.default_rng(1), 200_000
    state = BanditState(30, np.broadcast_to([3.0, 9.0, 20.0], (count, 3)))
    chance = bandit.probabilities(state)[0]
    arms = bandit.draw(state, rng=rng)
    share = np.bincount(arms, minlength=3) / count
    assert (np.abs(share - chance) < 5 * np.sqrt(chance * (1 - chance) / count)).all()
    losses = np.array([0.2, 0.5, 0.9])
    seen = bandit.learn(state, arms, losses[arms]).loss - state.loss
    assert (np.abs(seen.mean(axis=0) - losses) < 5 * seen.std(axis=0) / np.sqrt(count)).all()


@cache
def stochastic_regret(c):
    """Pseudo-regret (replicas,) after 2,048 and 8,192 rounds, two Bernoulli arms of loss 0.1 and 0.9."""
    bandit, rng, means = Exp3PlusPlus(2, c), np.random.default_rng(2), np.array([0.1, 0.9])
    state, regret, marks = bandit.start((60,)), np.zeros(60), []
    for t in range(1, 8193):
        arm = bandit.draw(state, rng=rng)
        regret += 0.8 * (arm == 1)
        state = bandit.learn(state, arm, (rng.random(60) < means[arm]).astype(float))
        if t in (2048, 8192):
            marks.append(regret.copy())
    return marks


def test_stochastic_regret_with_the_constant_of_the_proof_is_still_its_exploration():
    """Exploration is eta_t until t is near 10^12: beyond the learning phase regret grows by Delta sum_t eta_t."""
    early, late = stochastic_regret(18.0)
    expected = 0.8 * np.sum(0.5 * np.sqrt(np.log(2) / (2 * np.arange(2049, 8193))))
    grown = late - early
    assert abs(grown.mean() - expected) < 5 * grown.std() / np.sqrt(60) + 0.1
    assert late.mean() < 0.3 * 4 * np.sqrt(2 * 8192 * np.log(2))


def test_stochastic_regret_with_a_small_constant_grows_far_slower_than_a_square_root():
    early, late = stochastic_regret(1 / 32)
    proof_early, proof_late = stochastic_regret(18.0)
    assert late.mean() / early.mean() < 1.35  # a square root would double
    assert (late - early).mean() < 0.5 * (proof_late - proof_early).mean()


@pytest.mark.parametrize("adversary", ["leader", "turn"])
@pytest.mark.parametrize("c", [18.0, 1 / 32])
def test_adversarial_regret_is_below_its_bound(adversary, c):
    """At most 4 sqrt(K T ln K) for any exploration (Seldin & Slivkins 2014, theorem 1); a fixed arm may have T / 2."""
    K, T, replicas = 2, 2000, 40
    bandit, rng = Exp3PlusPlus(K, c), np.random.default_rng(3)
    state, paid, total = bandit.start((replicas,)), np.zeros(replicas), np.zeros((replicas, K))
    for t in range(T):
        if adversary == "leader":  # hits the arm that is played most
            loss = (bandit.probabilities(state) >= 0.5).astype(float)
        else:  # the good arm of the first 40 % is the bad one of the rest
            loss = np.tile([0.0, 0.6] if t < 0.4 * T else [1.0, 0.2], (replicas, 1))
        arm = bandit.draw(state, rng=rng)
        seen = loss[np.arange(replicas), arm]
        paid += seen
        total += loss
        state = bandit.learn(state, arm, seen)
    regret = paid - total.min(axis=1)
    bound = 4 * np.sqrt(K * T * np.log(K))
    assert bound < 0.25 * T
    assert regret.mean() + 5 * regret.std() / np.sqrt(replicas) < bound


@pytest.mark.parametrize(("arm", "loss"), [(2, 0.5), (-1, 0.5), (0.0, 0.5), (0, 1.5), (0, np.nan), ([0], 0.5)])
def test_wrong_feedback_is_refused(arm, loss):
    bandit = Exp3PlusPlus(2)
    with pytest.raises(ValueError, match=r"(arm|loss): got"):
        bandit.learn(bandit.start(), arm, loss)


@pytest.mark.parametrize("arguments", [(1,), (2, 0.0), (2.0,)])
def test_wrong_bandit_is_refused(arguments):
    with pytest.raises(ValueError, match="got"):
        Exp3PlusPlus(*arguments)
