"""Public goods games against their payoffs, written out player by player."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.games import ClubGood, LinearGood, PublicGoodsGame, SigmoidGood, ThresholdGood

goods = st.sampled_from(
    ["club", "linear", ThresholdGood(0.3), ThresholdGood(1.0), SigmoidGood(0.4, 9.0), SigmoidGood(0.0, 0.1)]
)


def produced(good, share):
    if isinstance(good, ThresholdGood):
        return float(share >= good.share)
    if isinstance(good, SigmoidGood):
        low, here, high = (1 / (1 + np.exp(-good.steepness * (x - good.midpoint))) for x in (0.0, share, 1.0))
        return (here - low) / (high - low)
    return share


@given(n=st.integers(2, 40), cost=st.floats(0.01, 3), kappa=st.floats(0.1, 5), good=goods)
def test_gain_and_baseline_follow_the_payoffs(n, cost, kappa, good):
    game = PublicGoodsGame(n, cost, kappa, good)
    for k in range(n):
        rests = 0.0 if isinstance(game.good, ClubGood) else kappa * produced(game.good, k / n)
        acts = kappa * produced(game.good, (k + 1) / n) - cost
        np.testing.assert_allclose([game.baseline[k], game.gain[k]], [rests, acts - rests], atol=1e-12)


def test_the_textbook_good_has_a_constant_gain_and_no_tipping_point():
    game = PublicGoodsGame(10, 0.5, 2.0, "linear")
    np.testing.assert_allclose(game.gain, 2.0 / 10 - 0.5, atol=1e-15)
    assert game.tipping_point is None
    assert game.strict_equilibria().tolist() == [0]


def test_a_threshold_good_pays_pivotal_players_only():
    game = PublicGoodsGame(20, 0.2, 1.0, ThresholdGood(0.15))
    np.testing.assert_allclose(game.gain, np.where(np.arange(20) == 2, 0.8, -0.2))
    assert game.strict_equilibria().tolist() == [0, 3]


def test_a_sigmoid_good_lets_both_strategies_coexist():
    game = PublicGoodsGame(100, 0.01, 1.0, SigmoidGood(0.5, 10.0))
    inner = [count for count in game.strict_equilibria() if 0 < count < 100]
    assert len(inner) == 1
    np.testing.assert_allclose(game.good.produced(np.array([0.0, 1.0])), [0.0, 1.0], atol=1e-15)


@pytest.mark.parametrize("good", [ClubGood(), LinearGood(), ThresholdGood(0.4), SigmoidGood(0.3, 7.0)])
def test_limits_are_approached_by_large_populations(good):
    share = np.array([0.13, 0.5, 0.87])
    limits = PublicGoodsGame(10, 0.4, 2.0, good)
    for n in (1_000, 100_000):
        game = PublicGoodsGame(n, 0.4, 2.0 if good.excludable else 0.2 * n, good)
        k = (share * n).astype(int)
        np.testing.assert_allclose(game.gain[k], limits.limit_gain(share), atol=20 / n)
        np.testing.assert_allclose(game.limit_gain(share), limits.limit_gain(share), atol=1e-12)


@pytest.mark.parametrize("good", ["club", "linear", "threshold", "sigmoid"])
def test_games_survive_pickling(good):
    game = PublicGoodsGame(12, 0.3, 1.0, good)
    twin = pickle.loads(pickle.dumps(game))  # noqa: S301
    np.testing.assert_array_equal(twin.gain, game.gain)
    assert twin.good == game.good


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_players": 1}, "n_players: got 1, expected an integer >= 2"),
        ({"n_players": 2.5}, "n_players: got 2.5"),
        ({"cost": 0.0}, "cost: got 0.0, expected a number > 0"),
        ({"multiplier": np.nan}, "multiplier: got nan"),
        ({"good": "private"}, "good: got 'private', expected one of \\['club'"),
        ({"good": 3}, "good: got 3"),
    ],
)
def test_wrong_arguments_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        PublicGoodsGame(**({"n_players": 10, "cost": 0.4, "multiplier": 1.0} | changes))


@pytest.mark.parametrize(
    "build",
    [
        lambda: ThresholdGood(0.0),
        lambda: ThresholdGood(1.1),
        lambda: SigmoidGood(-0.1, 1.0),
        lambda: SigmoidGood(0.5, 0.0),
    ],
)
def test_wrong_goods_are_refused(build):
    with pytest.raises(ValueError, match="expected a"):
        build()
