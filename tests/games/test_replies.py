from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.games.normal_form import NormalFormGame
from neurogames.games.replies import action_payoffs, best_replies, exploitability, gains, pure_equilibria, regret


def random_game(seed, shape):
    rng = np.random.default_rng(seed)
    return NormalFormGame([rng.normal(size=shape) for _ in shape]), rng


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def slow_action_payoffs(game, profile, player):
    result = np.zeros(game.n_actions[player])
    for pure in product(*map(range, game.n_actions)):
        weight = np.prod([profile[j][pure[j]] for j in range(game.n_players) if j != player])
        result[pure[player]] += weight * game.payoffs[player][pure]
    return result


@given(st.integers(0, 10**6), shapes)
def test_action_payoffs_equal_the_sum_over_all_profiles(seed, shape):
    game, rng = random_game(seed, shape)
    profile = [rng.dirichlet(np.ones(size)) for size in shape]
    for player, values in enumerate(action_payoffs(game, profile)):
        assert np.allclose(values, slow_action_payoffs(game, profile, player), atol=1e-12)


@given(st.integers(0, 10**6), shapes)
def test_a_batch_of_profiles_equals_its_rows(seed, shape):
    game, rng = random_game(seed, shape)
    profiles = [rng.dirichlet(np.ones(size), size=(2, 3)) for size in shape]
    batch = regret(game, profiles)
    assert batch.shape == (2, 3)
    for row in product(range(2), range(3)):
        assert np.isclose(batch[row], regret(game, [part[row] for part in profiles]), atol=1e-12)


@given(st.integers(0, 10**6), shapes)
def test_regret_is_the_greatest_gain_and_exploitability_their_sum(seed, shape):
    game, rng = random_game(seed, shape)
    profile = [rng.dirichlet(np.ones(size)) for size in shape]
    each = gains(game, profile)
    assert (each >= -1e-12).all()
    assert regret(game, profile) == each.max()
    assert exploitability(game, profile) == each.sum()


@given(st.integers(0, 10**6), shapes)
def test_pure_equilibria_are_the_pure_profiles_without_regret(seed, shape):
    rng = np.random.default_rng(seed)
    game = NormalFormGame([rng.integers(0, 3, shape) for _ in shape])
    found = {tuple(row) for row in pure_equilibria(game).tolist()}
    for pure in product(*map(range, shape)):
        profile = [np.eye(size)[action] for size, action in zip(shape, pure, strict=True)]
        assert (regret(game, profile) == 0) == (pure in found)


def test_best_replies_are_marked_up_to_rounding():
    game = NormalFormGame.zero_sum([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    uniform = np.full(3, 1 / 3)
    assert all(mark.all() for mark in best_replies(game, (uniform, uniform)))
    assert [mark.tolist() for mark in best_replies(game, ([1, 0, 0], uniform))][1] == [False, True, False]


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (([0.5, 0.5],), "one for each of 2 players"),
        (([0.5, 0.5], [1.0]), r"profile\[1\]: got 'shape \(1,\)'"),
        (([0.5, 0.6], [0.5, 0.5]), "probabilities that sum to 1"),
        (([-0.5, 1.5], [0.5, 0.5]), "probabilities that sum to 1"),
        (([np.nan, 0.5], [0.5, 0.5]), "probabilities that sum to 1"),
    ],
)
def test_what_is_no_profile_is_refused(profile, message):
    with pytest.raises(ValueError, match=message):
        regret(NormalFormGame.zero_sum(np.eye(2)), profile)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda game: regret(game, (["a", "b"], [0.5, 0.5])), r"profile\[0\]: got \['a', 'b'\]"),
        (lambda game: regret(game, 5), "profile: got 5"),
        (lambda game: regret(game, (np.full((3, 2), 0.5), np.full((2, 2), 0.5))), "leading axes that agree"),
        (lambda game: best_replies(game, ([0.5, 0.5], [0.5, 0.5]), tolerance=-1.0), "tolerance: got -1.0"),
    ],
)
def test_wrong_input_is_named_before_numpy_meets_it(call, message):
    with pytest.raises(ValueError, match=message):
        call(NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]]))
