"""Games and equilibria agree with quantecon's."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine.equilibria.nash import lemke_howson, solve_nash
from neurogames.engine.equilibria.zero_sum import solve_zero_sum
from neurogames.games.normal_form import NormalFormGame
from neurogames.games.replies import pure_equilibria

theory = pytest.importorskip("quantecon.game_theory")
optimize = pytest.importorskip("quantecon.optimize")


def as_set(profiles):
    return {tuple(tuple(np.round(part, 7) + 0.0) for part in profile) for profile in profiles}


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (2, 2, 3, 2)])
def test_a_game_goes_to_quantecon_and_back(shape):
    rng = np.random.default_rng(0)
    game = NormalFormGame([rng.random(shape) for _ in shape])
    theirs = game.to_quantecon()
    for s in np.ndindex(shape):
        value = theirs[s if len(shape) > 1 else s[0]]
        assert np.ravel(value) == pytest.approx([tensor[s] for tensor in game.payoffs])
    again = NormalFormGame.from_quantecon(theirs)
    assert all(np.array_equal(a, b) for a, b in zip(game.payoffs, again.payoffs, strict=True))
    theirs.players[0].payoff_array[...] = 0.0
    assert game.payoffs[0].any()


@pytest.mark.parametrize(("shape", "games"), [((2, 2), 400), ((3, 3), 400), ((4, 3), 300), ((5, 5), 200), ((7, 7), 40)])
def test_all_equilibria_of_generic_games_are_those_of_vertex_enumeration(shape, games):
    rng = np.random.default_rng(sum(shape))
    for _ in range(games):
        game = NormalFormGame(rng.random((2, *shape)))
        found = solve_nash(game)
        expected = theory.vertex_enumeration(game.to_quantecon())
        assert len(found) == len(expected)
        assert as_set(found) == as_set(expected)


def test_lemke_howson_ends_where_quantecons_does():
    rng = np.random.default_rng(1)
    for _ in range(100):
        game = NormalFormGame(rng.random((2, 6, 5)))
        label = int(rng.integers(11))
        assert as_set(lemke_howson(game, label)) == as_set([theory.lemke_howson(game.to_quantecon(), init_pivot=label)])


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 2), (2, 2, 2, 2)])
def test_pure_equilibria_are_those_of_brute_force(shape):
    rng = np.random.default_rng(2)
    for _ in range(40):
        game = NormalFormGame([rng.integers(0, 4, shape) for _ in shape])
        expected = {tuple(map(int, profile)) for profile in theory.pure_nash_brute(game.to_quantecon())}
        assert {tuple(row) for row in pure_equilibria(game).tolist()} == expected


def test_values_of_zero_sum_games_are_those_of_minmax():
    rng = np.random.default_rng(3)
    for _ in range(300):
        matrix = rng.normal(size=tuple(rng.integers(1, 30, 2)))
        value, x, y = optimize.minmax(matrix)
        found = solve_zero_sum(NormalFormGame.zero_sum(matrix))
        assert found.value == pytest.approx(value, abs=1e-9)
        assert found.profile[0] == pytest.approx(x, abs=1e-7)
        assert found.profile[1] == pytest.approx(y, abs=1e-7)
