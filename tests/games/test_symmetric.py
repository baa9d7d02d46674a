"""Symmetric games against their definitions, profile by profile."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from neurogames.games import SymmetricGame
from neurogames.games.base import payoff_advantage

payoffs = st.floats(-3, 3, allow_nan=False)
vectors = st.integers(2, 5).flatmap(
    lambda n: st.tuples(st.lists(payoffs, min_size=n, max_size=n), st.lists(payoffs, min_size=n, max_size=n))
)


def payoff(game, profile, player):
    """Payoff of one player, from the definition of gain and baseline."""
    others = sum(profile) - profile[player]
    return game.baseline[others] + game.gain[others] * profile[player]


@given(vectors=vectors)
def test_potential_rises_by_what_the_deviator_gains(vectors):
    game = SymmetricGame(*vectors)
    potential = game.potential()
    assert potential.shape == (game.n_players + 1,)
    for profile in itertools.product((0, 1), repeat=game.n_players):
        for player in range(game.n_players):
            other = list(profile)
            other[player] = 1 - other[player]
            gained = payoff(game, other, player) - payoff(game, profile, player)
            np.testing.assert_allclose(potential[sum(other)] - potential[sum(profile)], gained, atol=1e-12)


@given(vectors=vectors)
def test_strict_equilibria_are_those_where_every_deviator_loses(vectors):
    game = SymmetricGame(vectors[0])
    strict = set()
    for profile in itertools.product((0, 1), repeat=game.n_players):
        flips = [(*profile[:player], 1 - profile[player], *profile[player + 1 :]) for player in range(game.n_players)]
        if all(payoff(game, flip, i) < payoff(game, profile, i) for i, flip in enumerate(flips)):
            strict.add(sum(profile))
    assert game.strict_equilibria().tolist() == sorted(strict)


@given(cents=st.lists(st.integers(-300, 300), min_size=2, max_size=12).map(sorted))
def test_risk_dominance_of_the_extremes_is_the_laplacian_rule(cents):
    assume(cents[0] < 0 < cents[-1] and sum(cents) != 0)
    game = SymmetricGame(np.array(cents) / 100)
    assert set(game.strict_equilibria().tolist()) == {0, game.n_players}
    assert game.risk_dominant() == (game.n_players if sum(cents) > 0 else 0)


def test_risk_dominance_of_two_players_is_that_of_harsanyi_and_selten():
    assert SymmetricGame([-1.0, 1.5]).risk_dominant() == 2
    assert SymmetricGame([-1.5, 1.0]).risk_dominant() == 0
    assert SymmetricGame([-1.0, 1.0]).risk_dominant() is None


@pytest.mark.parametrize(
    ("gain", "tipping"),
    [
        ([-1, 1], 1.5),
        ([-1, 0, 1], 2.0),
        ([-1, 0, 0, 1], 3.0),
        ([0, 1, 1], 1.0),
        ([1, -1, 3], 2.25),
        ([1, 1, 1], None),
        ([-1, -1], None),
        ([1, -1], None),
        ([-2, -1, 0], None),
    ],
)
def test_tipping_point_is_where_acting_starts_to_pay(gain, tipping):
    assert SymmetricGame(gain).tipping_point == tipping


@given(vectors=vectors)
def test_lead_compares_players_of_one_population(vectors):
    game = SymmetricGame(*vectors)
    for actors in range(1, game.n_players):
        profile = [1] * actors + [0] * (game.n_players - actors)
        expected = payoff(game, profile, 0) - payoff(game, profile, game.n_players - 1)
        np.testing.assert_allclose(payoff_advantage(game)[actors - 1], expected, atol=1e-12)


def test_limits_run_through_the_given_points():
    game = SymmetricGame([-1.0, 0.5, 2.0, 1.0], [0.0, 1.0, 1.5, 1.5])
    np.testing.assert_allclose(game.limit_gain([[0, 1 / 3], [2 / 3, 1]]), [[-1.0, 0.5], [2.0, 1.0]])
    np.testing.assert_allclose(game.limit_payoff_advantage([0.25, 0.5, 0.75]), payoff_advantage(game))


def test_a_game_keeps_its_own_read_only_copy():
    gain = np.array([-1.0, 1.0])
    game = SymmetricGame(gain)
    gain[0] = 5.0
    assert game.gain[0] == -1.0
    with pytest.raises(ValueError, match="read-only"):
        game.gain[0] = 3.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0],), "gain: got '1 entries', expected one entry for each of at least 2 players"),
        (([1.0, np.nan],), "gain: .*not finite"),
        (([[1.0, 2.0]],), "gain: got 'shape"),
        (("club",), "gain: got 'club'"),
        (([1.0, 2.0], [1.0]), "baseline: got '1 entries', expected as many as gain has, 2"),
    ],
)
def test_wrong_vectors_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SymmetricGame(*arguments)
