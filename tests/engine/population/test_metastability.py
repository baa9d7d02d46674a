"""Kramers' estimate of escapes: where it starts in the valley does not matter, nor which action has which name."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine.population.metastability import free_energy, metastable_escape
from neurogames.games import PublicGoodsGame, SymmetricGame

CLUB = PublicGoodsGame(100, 0.45, 1.0)


@pytest.mark.parametrize("start", [1, 5, 15])
def test_every_start_in_the_valley_has_the_same_estimate(start):
    from_below, found = (metastable_escape(CLUB, 0.1, start=each, target=90) for each in (0, start))
    assert (found.valley, found.ridge) == (from_below.valley, from_below.ridge)
    assert found.barrier == from_below.barrier
    assert found.ratio == pytest.approx(from_below.ratio, rel=0.02)


@pytest.mark.parametrize("start", [0, 10])
def test_renaming_the_actions_mirrors_the_escape(start):
    mirrored = SymmetricGame(-CLUB.gain[::-1])
    up, down = (
        metastable_escape(CLUB, 0.1, start=start, target=90),
        metastable_escape(mirrored, 0.1, start=100 - start, target=10),
    )
    assert (down.valley, down.ridge) == (100 - up.valley, 100 - up.ridge)
    assert down.barrier == pytest.approx(up.barrier)
    assert down.ratio == pytest.approx(up.ratio)


def test_the_barrier_is_that_of_the_free_energy():
    found, energy = metastable_escape(CLUB, 0.1, start=3, target=90), free_energy(CLUB, 0.1)
    assert found.barrier == pytest.approx(energy[found.ridge] - energy[found.valley])
    assert energy[found.ridge] == energy[:90].max()
    assert energy[found.valley] == energy[: found.ridge].min()


def test_small_and_equal_counts_are_refused():
    with pytest.raises(ValueError, match="target: got 3, expected another count than start"):
        metastable_escape(CLUB, 0.1, start=3, target=3)
    assert np.isfinite(metastable_escape(CLUB, 0.1, start=0, target=1).ratio)
