"""All equilibria of three and more players, in boxes."""

from __future__ import annotations

import os
import zipfile
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from neurogames.engine import solve_nash
from neurogames.engine.equilibria import support_systems
from neurogames.engine.equilibria.support_systems import _jacobian, _range, _system, all_by_supports, n_supports
from neurogames.games import NormalFormGame, read_nfg, regret

ARCHIVE = Path(os.environ.get("NEUROGAMES_DATA", "nowhere"), "gambit_games.zip")
needs_files = pytest.mark.skipif(not ARCHIVE.is_file(), reason="needs gambit_games.zip in NEUROGAMES_DATA")


def same(found, expected):
    """Whether two lists of profiles are the same up to order."""
    rows, others = (sorted(tuple(np.concatenate(p).round(6) + 0.0) for p in profiles) for profiles in (found, expected))
    return rows == others


@needs_files
def test_the_game_with_nine_equilibria_has_nine(tmp_path):
    with zipfile.ZipFile(ARCHIVE) as archive:
        game = read_nfg(archive.extract("games/2x2x2.nfg", tmp_path))
    found = solve_nash(game)
    assert (len(found), found.complete, found.method, found.status) == (9, True, "supports", "ok")
    assert found.regret.max() < 1e-12
    assert found.unique is False


@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (2, 4)])
def test_two_players_have_the_equilibria_of_the_vertices(shape):
    rng = np.random.default_rng(sum(shape))
    for _ in range(8):
        game = NormalFormGame(rng.normal(size=(2, *shape)))
        found, expected = solve_nash(game, "supports"), solve_nash(game, "vertices")
        assert found.complete
        assert same(found, expected)


def test_three_players_with_a_bystander_have_those_of_two():
    rng = np.random.default_rng(3)
    for _ in range(5):
        two = rng.normal(size=(2, 2, 2))
        third = np.stack([rng.normal(size=(2, 2)), 9 + rng.normal(size=(2, 2))], axis=-1)  # its second action dominates
        first = [np.stack([-table, table], axis=-1) for table in two]
        three = NormalFormGame([*first, third])
        expected = [(*profile, np.array([0.0, 1.0])) for profile in solve_nash(NormalFormGame(two))]
        found = solve_nash(three)
        assert found.complete
        assert same(found, expected)


@pytest.mark.parametrize(("shape", "games"), [((2, 2, 2), 10), ((2, 3, 2), 3), ((2, 2, 2, 2), 1)])
def test_generic_games_have_an_odd_number_and_none_is_missed_by_other_methods(shape, games):
    rng = np.random.default_rng(7)
    for _ in range(games):
        game = NormalFormGame([rng.normal(size=shape) for _ in shape])
        found = solve_nash(game)
        assert found.complete
        assert len(found) % 2 == 1  # R. Wilson, Computing equilibria of n-person games (1971)
        for profile, value in zip(found, found.regret, strict=True):
            assert value == regret(game, profile) < 1e-9
        for other in (*solve_nash(game, "pure"), *solve_nash(game, "logit")):
            gaps = [max(np.abs(x - y).max() for x, y in zip(profile, other, strict=True)) for profile in found]
            assert min(gaps) < 1e-6


def test_a_symmetric_game_whose_roots_lie_on_cuts_is_solved():
    # Matching pennies in a circle of three: everybody wants to differ from the next; x = 1/2 is where boxes are cut.
    payoffs = [np.zeros((2, 2, 2)) for _ in range(3)]
    for s in product(range(2), repeat=3):
        for i in range(3):
            payoffs[i][s] = float(s[i] != s[(i + 1) % 3])
    found = solve_nash(NormalFormGame(payoffs))
    assert any(np.allclose(np.concatenate(profile), 0.5) for profile in found)
    assert found.complete


def test_a_continuum_is_never_called_complete():
    payoffs = [np.zeros((2, 2, 2)) for _ in range(3)]
    payoffs[0][0] = 1.0  # players 2 and 3 are indifferent
    found = solve_nash(NormalFormGame(payoffs), "auto")
    assert not found.complete
    search = all_by_supports(NormalFormGame(payoffs), 3000)
    assert ((0,), (0, 1), (0,)) in search.undecided


@pytest.mark.parametrize("bound", ["_MOST_BOXES", "_MOST_ROUNDS"])
def test_a_search_that_stops_at_a_bound_says_so(bound, monkeypatch):
    rng = np.random.default_rng(5)
    game = NormalFormGame([rng.normal(size=(2, 2, 2)) for _ in range(3)])
    assert all_by_supports(game, 3000).undecided == ()
    monkeypatch.setattr(support_systems, bound, 1)
    assert ((0, 1), (0, 1), (0, 1)) in all_by_supports(game, 3000).undecided


def test_ranges_and_derivatives_hold_what_they_bound():
    rng = np.random.default_rng(5)
    game = NormalFormGame([rng.normal(size=(3, 2, 3)) for _ in range(3)])
    supports = ((0, 2), (0, 1), (0, 1, 2))
    system = _system(game, supports)
    low = rng.uniform(-0.1, 0.5, size=(1, 4))
    high = low + rng.uniform(0.0, 0.4, size=(1, 4))
    points = rng.uniform(low, high, size=(200, 4))
    for i in range(3):
        for table in (system.equal[i], system.outside[i]):
            least, most = _range(system, table, i, low, high)
            values, _ = _range(system, table, i, points, points)
            assert (values >= least - 1e-12).all()
            assert (values <= most + 1e-12).all()
    # The polynomials are payoff differences of mixed profiles.
    x = points[0]
    mixed = [np.array([x[0], 0, 1 - x[0]]), np.array([x[1], 1 - x[1]]), np.array([x[2], x[3], 1 - x[2] - x[3]])]
    pays = np.einsum("abc,b,c->a", game.payoffs[0], mixed[1], mixed[2])
    assert _range(system, system.equal[0], 0, x[None], x[None])[0][0, 0] == pytest.approx(pays[0] - pays[2])
    assert _range(system, system.outside[0], 0, x[None], x[None])[0][0, 0] == pytest.approx(pays[1] - pays[2])
    least, most = _jacobian(system, low, high)
    slopes, _ = _jacobian(system, points, points)
    assert (slopes >= least - 1e-12).all()
    assert (slopes <= most + 1e-12).all()
    step = 1e-6 * np.eye(4)
    values = [
        np.concatenate([_range(system, t, i, y, y)[0] / system.scale[i] for i, t in enumerate(system.equal)], axis=1)
        for y in (x + step, x - step)
    ]
    np.testing.assert_allclose((values[0] - values[1]).T / 2e-6, slopes[0], atol=1e-7)


def test_large_games_are_refused_by_their_size():
    game = NormalFormGame([np.zeros((5, 5, 5))] * 3)
    assert n_supports(game) == 31**3
    with pytest.raises(ValueError, match="game: got '29791 support profiles', expected at most 5000"):
        solve_nash(game, "supports")
