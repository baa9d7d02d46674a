"""Files, equilibria and logit branches agree with Gambit's, exact arithmetic included."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from neurogames.engine.equilibria.nash import solve_nash
from neurogames.engine.equilibria.quantal import logit_equilibrium
from neurogames.games.dominance import dominated
from neurogames.games.nfg import read_nfg, write_nfg
from neurogames.games.normal_form import Labels, NormalFormGame

gambit = pytest.importorskip("pygambit")


def gambits(game):
    """The game with exact payoffs."""
    exact = np.vectorize(lambda value: gambit.Rational(*Fraction(float(value)).as_integer_ratio()), otypes=[object])
    return gambit.Game.from_arrays(*(exact(tensor) for tensor in game.payoffs))


def strategies(profile, game):
    return tuple(tuple(round(float(profile[strategy]), 7) for strategy in player.strategies) for player in game.players)


def as_set(found):
    return {tuple(tuple(np.round(part, 7) + 0.0) for part in profile) for profile in found}


@pytest.mark.parametrize(("high", "size", "games"), [(2, 3, 60), (4, 3, 60), (1000, 3, 60), (2, 4, 15), (1000, 4, 15)])
def test_extreme_equilibria_are_those_of_exact_enumeration_degenerate_games_included(high, size, games):
    rng = np.random.default_rng(high + size)
    for _ in range(games):
        game = NormalFormGame(rng.integers(0, high, (2, size, size)))
        theirs = gambits(game)
        expected = {strategies(p, theirs) for p in gambit.nash.enummixed_solve(theirs, rational=True).equilibria}
        assert as_set(solve_nash(game)) == expected


def test_games_a_hair_from_degenerate_have_the_equilibria_of_exact_enumeration():
    rng = np.random.default_rng(9)
    for scale in (1e-5, 1e-8, 1e-10, 1e-12):
        for _ in range(10):
            game = NormalFormGame(rng.integers(0, 3, (2, 3, 3)) + scale * rng.normal(size=(2, 3, 3)))
            theirs = gambits(game)
            expected = {strategies(p, theirs) for p in gambit.nash.enummixed_solve(theirs, rational=True).equilibria}
            assert as_set(solve_nash(game)) == expected


@pytest.mark.parametrize("outcomes", [False, True])
def test_gambit_reads_what_is_written(tmp_path, outcomes):
    rng = np.random.default_rng(0)
    labels = Labels('a "quoted" title', 'why, "not"', ("one", "two", "3"), (("u", "d"), ("l", "m", "r"), ("x", "y")))
    game = NormalFormGame([rng.normal(size=(2, 3, 2)).round(rng.integers(0, 17)) for _ in range(3)], labels)
    write_nfg(game, tmp_path / "game.nfg", outcomes=outcomes)
    theirs = gambit.read_nfg(str(tmp_path / "game.nfg"))
    assert theirs.title == labels.title
    assert [player.label for player in theirs.players] == list(labels.players)
    assert [[s.label for s in player.strategies] for player in theirs.players] == [list(a) for a in labels.actions]
    for s in np.ndindex(2, 3, 2):
        outcome = theirs[s]
        assert [float(outcome[player]) for player in theirs.players] == [float(u[s]) for u in game.payoffs]


@pytest.mark.parametrize("size", [(2, 3), (2, 2, 3)])
def test_what_gambit_writes_is_read(tmp_path, size):
    rng = np.random.default_rng(1)
    payoffs = [rng.integers(-9, 9, size) for _ in size]
    thirds = [np.vectorize(lambda value: gambit.Rational(int(value), 3), otypes=[object])(tensor) for tensor in payoffs]
    theirs = gambit.Game.from_arrays(*thirds, title="thirds")
    (tmp_path / "game.nfg").write_text(theirs.to_nfg())
    game = read_nfg(tmp_path / "game.nfg")
    assert game.labels.title == "thirds"
    for mine, tensor in zip(game.payoffs, payoffs, strict=True):
        assert mine == pytest.approx(tensor / 3, abs=1e-15)


@pytest.mark.parametrize("precision", [0.2, 1.0, 5.0, 30.0])
@pytest.mark.parametrize("shape", [(2, 2), (3, 4), (2, 2, 2)])
def test_logit_equilibria_are_those_of_gambits_principal_branch(shape, precision):
    rng = np.random.default_rng(len(shape))
    for _ in range(3):
        game = NormalFormGame([rng.random(shape).round(6) for _ in shape])
        theirs = gambit.Game.from_arrays(*game.payoffs)
        expected = gambit.qre.logit_solve_lambda(theirs, precision)[0].profile
        found = logit_equilibrium(game, precision)
        for mine, player in zip(found.profile, theirs.players, strict=True):
            assert mine == pytest.approx([float(expected[s]) for s in player.strategies], abs=2e-6)


def test_round_a_fold_the_branch_is_gambits():
    game = NormalFormGame(([[8, 9, 2], [0, 5, 9], [9, 8, 3]], [[5, 3, 0], [7, 4, 9], [5, 6, 8]]))
    theirs = gambit.Game.from_arrays(*game.payoffs)
    for precision in (0.71, 3.0):
        expected = gambit.qre.logit_solve_lambda(theirs, precision)[0].profile
        found = logit_equilibrium(game, precision)
        for mine, player in zip(found.profile, theirs.players, strict=True):
            assert mine == pytest.approx([float(expected[s]) for s in player.strategies], abs=1e-5)


def test_strictly_dominated_actions_are_gambits():
    rng = np.random.default_rng(4)
    for _ in range(30):
        game = NormalFormGame(rng.integers(0, 5, (2, 3, 3)))
        theirs = gambits(game)
        left = set(gambit.supports.undominated_strategies_solve(theirs.strategy_support_profile(), strict=True))
        marks = dominated(game)
        for player, mark in zip(theirs.players, marks, strict=True):
            assert [s not in left for s in player.strategies] == mark.tolist()
