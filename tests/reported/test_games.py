"""Inputs that were once answered wrongly, one line of source each: what came, what was wrong, what is right."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import product

import numpy as np
import pandas as pd
import pytest

from neurogames.engine.coalitions.core import least_core
from neurogames.engine.coalitions.nucleolus import nucleolus, prenucleolus
from neurogames.engine.coalitions.power import power_index
from neurogames.engine.coalitions.values import banzhaf, interactions, shapley
from neurogames.engine.equilibria.correlated import correlated_equilibrium, correlated_regret
from neurogames.engine.equilibria.dominance import best_dominating_strategy, mixed_dominated
from neurogames.engine.equilibria.logit_limit import logit_limit
from neurogames.engine.equilibria.nash import lemke_howson, solve_nash
from neurogames.engine.equilibria.quantal import logit_branch, logit_equilibrium
from neurogames.engine.equilibria.zero_sum import solve_zero_sum
from neurogames.games.coalition import TabularCoalitionGame
from neurogames.games.coalition_families import BankruptcyGame, MultipleMajorityGame, WeightedVotingGame
from neurogames.games.dominance import dominated
from neurogames.games.nfg import read_nfg
from neurogames.games.normal_form import NormalFormGame
from neurogames.games.replies import best_replies, pure_equilibria, regret

ROCK_PAPER_SCISSORS = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
CHICKEN = np.array([[6.0, 2.0], [7.0, 0.0]])


# Levels and penalties


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("level", [0.0, 1e8, -1e12, 1e15])
def test_correlated_equilibria_do_not_depend_on_the_level_of_payoffs(level, coarse):
    """Chicken + 1e8: a pure profile came with "ok"; its best welfare is 10.5 above twice the level."""
    found = correlated_equilibrium(NormalFormGame.symmetric(CHICKEN + level), coarse=coarse)
    assert found.status == "ok"
    assert found.value - 2 * level == pytest.approx(10.5, abs=max(1e-8, 4 * np.spacing(2 * level)))
    assert found.regret <= 1e-12
    assert found.gap <= 1e-12


@pytest.mark.parametrize("penalty", [-1e6, -1e9, -1e15])
def test_a_penalty_for_a_crash_does_not_hide_the_rest_of_chicken(penalty):
    """[[6, 2], [7, -1e9]]: regret 1.0 came with "ok"; the answer is no worse than the analytic one, without regret."""
    found = correlated_equilibrium(NormalFormGame.symmetric([[6.0, 2.0], [7.0, penalty]]))
    # No advice to crash; (0, 0) is advised as often as the two deviations from it are deterred.
    t = 1.0 / (2.0 - penalty)
    weight = 1.0 / (1.0 + 2.0 * t)
    assert found.status == "ok"
    assert found.regret <= 1e-15
    assert found.value == pytest.approx(weight * (12.0 + 2 * t * 9.0), rel=1e-12)


@pytest.mark.parametrize("penalty", [-1e3, -1e9, -1e12, -1e15])
def test_a_penalty_row_does_not_hide_a_zero_sum_game(penalty):
    """Rock, paper, scissors with a fourth row of -1e12: a pure answer with exploitability 2 came with "ok"."""
    matrix = np.vstack([ROCK_PAPER_SCISSORS, np.full(3, penalty)])
    for game in (matrix, -matrix.T):
        found = solve_zero_sum(NormalFormGame.zero_sum(game))
        assert found.status == "ok"
        assert found.value == pytest.approx(0.0, abs=1e-12)
        assert found.exploitability <= 1e-12
        nash = solve_nash(NormalFormGame.zero_sum(game))
        assert len(nash) == 1
        assert nash.regret.max() <= 1e-12


def test_paths_end_at_equilibria_beside_penalties():
    """Lemke and Howson's path in floats ended at no equilibrium; it is followed again in integers."""
    matrix = np.vstack([ROCK_PAPER_SCISSORS, np.full(3, -1e13)])
    for label in range(7):
        found = lemke_howson(NormalFormGame.zero_sum(matrix), label)
        assert found.status == "ok"
        assert found[0][0] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0.0])


def test_a_coalition_that_loses_enormously_does_not_set_the_unit_of_the_nucleolus():
    """One worth of -1e13 made all others vanish beside the tolerances of the programs."""
    table = np.array([0.0, 0.0, 0.0, 4.0, 0.0, 3.0, 1.0, 6.0])
    for solve in (nucleolus, prenucleolus, least_core):
        plain = solve(TabularCoalitionGame([*table[:6], -50.0, 6.0]))
        for loss in (-1e6, -1e13):
            other = solve(TabularCoalitionGame([*table[:6], loss, 6.0]))
            assert other.status == "ok"
            np.testing.assert_allclose(other.allocation, plain.allocation, atol=1e-9)


def test_domination_by_a_hair_and_beside_a_penalty_is_seen():
    """Margins were taken as zero below 1e-9 of the payoff range."""
    hair = NormalFormGame(([[1.0, 1.0], [1.0 + 1e-12, 1.0 + 1e-12], [-1e9, 5.0]], np.zeros((3, 2))))
    assert mixed_dominated(hair)[0].tolist() == [True, False, False]
    half = NormalFormGame(([[3.0, 0.0], [0.0, 3.0], [1.5, 1.5], [-1e14, -1e14]], np.zeros((4, 2))))
    assert mixed_dominated(half)[0].tolist() == [False, False, False, True]
    assert mixed_dominated(half, "weak")[0].tolist() == [False, False, False, True]
    found = best_dominating_strategy(NormalFormGame(([[0.3, 0.0], [0.0, 0.3], [0.1, 0.1]], np.zeros((3, 2)))), 0, 2)
    assert found.dominates
    assert found.margins == pytest.approx([0.05, 0.05])


# Decimals


def test_votes_are_counted_in_decimals():
    """[.1, .7, .2] with the quota .8: floats make .1 + .7 less than .8, and Shapley (0, .5, .5)."""
    assert shapley(WeightedVotingGame([0.1, 0.7, 0.2], 0.8)).values == pytest.approx([1 / 6, 2 / 3, 1 / 6])


@pytest.mark.parametrize(
    ("weights", "quota"),
    [
        ([1 / 3, 1 / 3, 1 / 3], 1),
        ([Fraction(1, 3)] * 3, 1),
        ([Decimal("0.1"), Decimal("0.2"), Decimal("0.7")], 1),
        (np.array([0.1, 0.2, 0.7], dtype=np.float32), 1),
        (pd.Series([0.1, 0.2, 0.7]), 1.0),
        ([0.1] * 10, 1),
        ([2**53 + 1, 2**53, 2**53], 3 * 2**53 + 1),
        ([10**30, 1, 1], 10**30 + 2),
    ],
)
def test_everybody_together_just_reaches_the_quota(weights, quota):
    """Sums in floats fall below the quota by rounding, or integers above 2^53 are rounded."""
    game = WeightedVotingGame(weights, quota)
    n = game.n_players
    assert game.value(np.ones(n, dtype=bool)) == 1.0
    for i in range(n):
        assert game.value(np.arange(n) != i) == 0.0


def test_votes_of_any_floats_follow_the_sums_of_fractions():
    rng = np.random.default_rng(0)
    for _ in range(50):
        n = int(rng.integers(1, 7))
        weights = (rng.integers(0, 30, n) / 10).tolist()
        quota = int(rng.integers(1, 60)) / 10
        game = WeightedVotingGame(weights, quota)
        exact = [Fraction(str(weight)) for weight in weights]
        for coalition in product([False, True], repeat=n):
            total = sum((w for w, there in zip(exact, coalition, strict=True) if there), Fraction(0))
            assert game.value(np.array(coalition)) == (total >= Fraction(str(quota)))


def test_the_whole_sum_of_decimal_claims_is_an_estate():
    """Claims of .1, .7 and .2 add up to less than 1 in floats, so the estate 1 was refused."""
    assert nucleolus(BankruptcyGame([0.1, 0.7, 0.2], 1.0)).allocation == pytest.approx([0.1, 0.7, 0.2])


def test_payoffs_tie_in_decimals():
    """.3 against .1 + .2: one of two equilibria was missing, and one of two best replies."""
    game = NormalFormGame(([[0.3, 0.0], [0.1 + 0.2, 1.0]], [[1.0, 0.0], [1.0, 0.0]]))
    assert pure_equilibria(game).tolist() == [[0, 0], [1, 0]]
    assert best_replies(game, ([1, 0], [1, 0]))[0].all()
    assert not any(mark.any() for mark in dominated(NormalFormGame(([[0.3], [0.1 + 0.2]], [[0.0], [0.0]])), "weak"))
    assert solve_nash(game).status == "ok"
    assert regret(game, ([1, 0], [1, 0])) == 0.0


def test_integers_that_no_float_holds_are_refused_as_payoffs():
    """2^53 and 2^53 + 1 became one payoff."""
    with pytest.raises(ValueError, match=r"^payoffs\[0\]: got 9007199254740993, expected integers that a float holds"):
        NormalFormGame(([[2**53, 2**53 + 1]], [[0, 0]]))
    assert NormalFormGame(([[2**53, 2**53 + 2]], [[0, 0]])).payoffs[0][0, 1] == 2.0**53 + 2


# What peers write


def test_a_bimatrix_of_pairs_is_refused():
    """quantecon's form of a bimatrix became the two matrices [[1, 1], [-2, 3]] and [[3, -2], [0, 0]]."""
    with pytest.raises(ValueError, match=r"^payoffs: got 'tuples of two in lists.*expected \(A, B\)"):
        NormalFormGame([[(1, 1), (-2, 3)], [(3, -2), (0, 0)]])


@pytest.mark.parametrize("payoffs", [[[4, 0], [3, 2]], np.zeros((3, 2, 3)), (2, 2), {"A": 1}, "game"])
def test_other_shapes_are_refused_with_the_forms_there_are(payoffs):
    with pytest.raises(ValueError, match=r"^payoffs.*\(A, B\).*zero_sum\(A\)"):
        NormalFormGame(payoffs)


@pytest.mark.parametrize(
    "call",
    [
        lambda a: solve_nash(a),
        lambda a: solve_nash(a, a),
        lambda a: lemke_howson(a),
        lambda a: solve_zero_sum(a),
        lambda a: correlated_equilibrium(a),
        lambda a: correlated_regret(a, a),
        lambda a: logit_equilibrium(a, 1.0),
        lambda a: logit_branch(a, 1.0),
        lambda a: mixed_dominated(a),
        lambda a: dominated(a),
        lambda a: pure_equilibria(a),
        lambda a: regret(a, ([1, 0], [1, 0])),
    ],
)
@pytest.mark.parametrize("matrix", [[[1, -1], [-1, 1]], np.eye(2), pd.DataFrame(np.eye(2))])
def test_matrices_in_the_place_of_a_game_are_refused_in_one_line(call, matrix):
    with pytest.raises(ValueError, match=r"^game: got 'an? (list|ndarray|DataFrame)', expected a NormalFormGame"):
        call(matrix)


def test_a_second_matrix_in_the_place_of_the_method_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^method: got 'ndarray', expected one of auto"):
        solve_nash(NormalFormGame.zero_sum(np.eye(2)), np.eye(2))


def test_data_frames_are_payoffs():
    frame = pd.DataFrame([[3, 0], [5, 1]], index=["a", "b"], columns=["c", "d"])
    assert NormalFormGame((frame, frame.T)).payoffs[1][0, 1] == 5.0
    assert solve_zero_sum(NormalFormGame.zero_sum(frame)).value == 1.0


def test_functions_are_games_with_a_number_of_players():
    """``shapley(function, n_players=3)`` raised a TypeError."""

    def squares(coalitions):
        return coalitions.sum(axis=1) ** 2

    assert shapley(squares, n_players=3).values.tolist() == [3.0, 3.0, 3.0]
    assert banzhaf(squares, n_players=3).values.tolist() == [3.0, 3.0, 3.0]
    assert interactions(squares, n_players=2).values[0, 1] == 2.0
    with pytest.raises(ValueError, match="^n_players: got None"):
        shapley(squares)
    for wrong in ([0, 1, 1, 3], np.zeros(4), {(): 0}):
        with pytest.raises(ValueError, match="^game: got '.*', expected a coalition game"):
            shapley(wrong)
        with pytest.raises(ValueError, match="^game: got '.*', expected a coalition game"):
            nucleolus(wrong)


@pytest.mark.parametrize(
    "content",
    [
        b'NFG 1 R "H\xe4uptling" { "A" "B" } { 1 1 }\n1 2',
        b'\xef\xbb\xbfNFG 1 R "H\xc3\xa4uptling" { "A" "B" } { 1 1 }\n1 2',
    ],
    ids=["Latin-1", "byte order mark"],
)
def test_files_in_old_encodings_are_read(content, tmp_path):
    """A UnicodeDecodeError, and an error at the first word that did not show the mark."""
    path = tmp_path / "game.nfg"
    path.write_bytes(content)
    assert read_nfg(path).labels.title == "Häuptling"


# Logit branches


@pytest.mark.parametrize("precision", [1.0, 2.0, 2.0001, 5.0, 1e4])
def test_the_branch_goes_straight_through_a_pitchfork(precision):
    """``NormalFormGame.symmetric(np.eye(2))`` at 2.0: the branch stopped where two others leave it."""
    found = logit_equilibrium(NormalFormGame.symmetric(np.eye(2)), precision)
    assert found.status == "ok"
    assert found.profile[0] == pytest.approx([0.5, 0.5])
    assert found.residual <= 1e-9


@pytest.mark.parametrize("size", [2, 3])
def test_the_branch_of_a_coordination_game_of_three_is_followed(size):
    tensor = np.zeros((size,) * 3)
    tensor[np.diag_indices(size, 3)] = 1.0
    game = NormalFormGame((tensor, tensor, tensor))
    for precision in (1.0, 6.0, 50.0):
        found = logit_equilibrium(game, precision)
        assert found.status == "ok"
        assert found.profile[2] == pytest.approx(np.full(size, 1 / size))
    profile, _, status = logit_limit(game)
    assert status == "ok"
    assert regret(game, profile) <= 1e-12


def test_branches_of_games_full_of_ties_are_followed():
    rng = np.random.default_rng(0)
    for shape in ((2, 2), (3, 3), (2, 2, 2)):
        for _ in range(10):
            game = NormalFormGame([rng.integers(0, 3, shape) for _ in shape])
            found = logit_equilibrium(game, 20.0)
            assert found.status == "ok"
            assert found.residual <= 1e-9


def test_a_great_precision_does_not_loosen_the_tolerance():
    """At precision 1e12 a residual of .4 came with "ok"."""
    for matrix in ([[2.0, -1.0], [-1.0, 1.0]], [[3.0, -1.0], [-2.0, 1.0]]):
        found = logit_equilibrium(NormalFormGame.zero_sum(matrix), 1e12)
        assert (found.status == "ok") == (found.residual <= 1e-9 and found.precision == 1e12)


# Sizes


def test_a_large_random_game_is_answered_by_paths_and_says_what_was_left_out():
    """``auto`` on a random game of 20 x 20 took half a minute."""
    rng = np.random.default_rng(0)
    game = NormalFormGame(rng.random((2, 20, 20)))
    found = solve_nash(game)
    assert found.method == "auto"
    assert not found.complete
    assert "others may be missing" in found.status
    assert len(found) >= len(solve_nash(game, "lemke_howson"))
    assert found.regret.max() <= 1e-12
    assert found.iterations < 100_000


def test_power_in_an_assembly_of_51_blocs():
    """Exact indices stopped at 22 players. Here by symmetry: blocs of one weight are alike, and all adds up to 1."""
    weights = [55, 38, 29, 29, 20, 20, 18, 16, 16, 16, 15, 15, 14, 13, 12, *[11] * 4, *[10] * 4, *[9] * 3, 8, 8, 7, 7]
    weights += [*[6] * 6, *[5] * 4, *[4] * 5, *[3] * 6]
    game = WeightedVotingGame(weights, sum(weights) // 2 + 1)
    assert game.n_players == 51
    for index in (shapley, banzhaf):
        values = index(game).values
        assert index(game).exact
        assert (np.diff(values) <= 0).all()
        assert np.ptp(values[-6:]) == 0.0
    assert shapley(game).values.sum() == pytest.approx(1.0, abs=1e-12)
    draws = np.random.default_rng(0).random((200_000, 50)) < 0.5
    others = draws @ np.array(weights[1:])
    critical = ((others < game.needed) & (others + weights[0] >= game.needed)).mean()
    assert banzhaf(game).values[0] == pytest.approx(critical, abs=0.005)


def test_power_of_27_members_with_three_majorities():
    """Two ways of counting agree, and votes that add nothing change nothing."""
    rng = np.random.default_rng(1)
    votes = [29, 29, 29, 29, 27, 27, 14, 13, 12, 12, 12, 12, 12, 10, 10, 10, 7, 7, 7, 7, 7, 4, 4, 4, 4, 4, 3]
    people = sorted(rng.integers(1, 171, 27).tolist(), reverse=True)
    three = [
        WeightedVotingGame(votes, 255),
        WeightedVotingGame([1] * 27, 14),
        WeightedVotingGame(people, -(-62 * sum(people) // 100)),
    ]
    whole = shapley(MultipleMajorityGame(three)).values
    assert whole.sum() == pytest.approx(1.0, abs=1e-12)
    easy = WeightedVotingGame([1] * 27, 1)
    assert np.array_equal(shapley(MultipleMajorityGame([*three, easy])).values, whole)
    single = shapley(MultipleMajorityGame([three[0], easy])).values
    assert single == pytest.approx(power_index(three[0], shapley=True), abs=1e-15)
