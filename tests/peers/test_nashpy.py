"""Two-player public goods games have the equilibria that nashpy finds."""

from __future__ import annotations

import nashpy
import numpy as np
import pytest

from neurogames.games import PublicGoodsGame, SigmoidGood, ThresholdGood


@pytest.mark.parametrize(
    "good", ["club", "linear", ThresholdGood(0.5), ThresholdGood(1.0), SigmoidGood(0.3, 5.0)], ids=str
)
@pytest.mark.parametrize("cost", [0.17, 0.61, 1.3])
def test_strict_equilibria_of_two_players_are_nashpys_pure_ones(good, cost):
    game = PublicGoodsGame(2, cost, 1.07, good)
    rests, acts = game.baseline, game.baseline + game.gain
    row = np.array([rests, acts])
    found = nashpy.Game(row, row.T).support_enumeration()
    pure = {int(a[1] + b[1]) for a, b in found if max(a) == max(b) == 1.0}
    assert set(game.strict_equilibria().tolist()) == pure


def test_mixed_equilibrium_of_a_stag_hunt_makes_the_gain_vanish():
    game = PublicGoodsGame(2, 0.7, 1.0)
    row = np.array([game.baseline, game.baseline + game.gain])
    mixed = next(a for a, _ in nashpy.Game(row, row.T).support_enumeration() if 0 < a[1] < 1)
    np.testing.assert_allclose(mixed @ game.gain, 0.0, atol=1e-12)
