"""Nashpy as a cross-check: what it finds is certified here, and what it misses is counted."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine import solve_nash
from neurogames.engine.equilibria.nashpy_supports import support_pairs
from neurogames.games import NormalFormGame


def test_all_equilibria_of_the_battle_of_the_sexes_are_found_by_both():
    found = solve_nash(NormalFormGame(([[3, 0], [0, 2]], [[2, 0], [0, 3]])), "nashpy")
    assert (len(found), found.status, found.complete, found.method) == (3, "ok", True, "nashpy")
    assert found.regret.max() < 1e-12


def test_what_nashpy_misses_is_counted_by_the_vertices():
    rng = np.random.default_rng(0)
    missing = []
    for _ in range(40):
        game = NormalFormGame((rng.normal(size=(3, 3)), rng.normal(size=(3, 3))))
        theirs, ours = solve_nash(game, "nashpy"), solve_nash(game)
        assert ours.complete
        lost = len(ours) - len(theirs)
        missing.append(lost)
        assert theirs.complete == (lost == 0)
        assert theirs.status == ("ok" if not lost else f"nashpy misses {lost} of {len(ours)} extreme equilibria")
    # Payoffs of a support that are equal but for rounding are unequal for nashpy.
    assert 0 < sum(missing) < 40


def test_a_corner_of_a_continuum_that_nashpy_does_not_see_is_counted():
    game = NormalFormGame(([[-3, 3], [-3, 5]], [[2, 7], [4, 2]]))
    found = solve_nash(game, "nashpy")
    assert len(found) + int(found.status != "ok") >= 2
    assert found.degenerate


def test_every_pair_of_supports_is_counted():
    assert support_pairs(NormalFormGame([np.zeros((2, 3))] * 2)) == (2**2 - 1) * (2**3 - 1)


@pytest.mark.parametrize(
    ("game", "words"),
    [
        (NormalFormGame([np.zeros((2, 2, 2))] * 3), "method: .*3 players"),
        (NormalFormGame.zero_sum(np.eye(10)), "game: .*pairs of supports"),
    ],
)
def test_games_that_are_too_large_for_nashpy_are_refused(game, words):
    with pytest.raises(ValueError, match=words):
        solve_nash(game, "nashpy")
