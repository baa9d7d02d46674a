"""Games whose equilibria are published, one test for each."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from neurogames.engine.equilibria.alpha_rank import alpha_rank
from neurogames.engine.equilibria.correlated import correlated_equilibrium
from neurogames.engine.equilibria.evolutionary import stable_strategies
from neurogames.engine.equilibria.nash import lemke_howson, solve_nash
from neurogames.engine.equilibria.potential import decompose_game, is_potential_game
from neurogames.engine.equilibria.quantal import logit_equilibrium
from neurogames.engine.equilibria.zero_sum import solve_zero_sum
from neurogames.games.dominance import iterated_elimination
from neurogames.games.normal_form import NormalFormGame
from neurogames.games.replies import pure_equilibria, regret

VON_STENGEL_75 = NormalFormGame(
    (
        [
            [9504, -660, 19976, -20526, 1776, -8976],
            [-111771, 31680, -130944, 168124, -8514, 52764],
            [397584, -113850, 451176, -586476, 29216, -178761],
            [171204, -45936, 208626, -263076, 14124, -84436],
            [1303104, -453420, 1227336, -1718376, 72336, -461736],
            [737154, -227040, 774576, -1039236, 48081, -300036],
        ],
        [
            [72336, 48081, 29216, 14124, 1776, -8514],
            [-461736, -300036, -178761, -84436, -8976, 52764],
            [1227336, 774576, 451176, 208626, 19976, -130944],
            [-1718376, -1039236, -586476, -263076, -20526, 168124],
            [1303104, 737154, 397584, 171204, 9504, -111771],
            [-453420, -227040, -113850, -45936, -660, 31680],
        ],
    )
)


def rounded(found, digits=6):
    return {(tuple(x.round(digits) + 0.0), tuple(y.round(digits) + 0.0)) for x, y in found}


def exactly(*profiles):
    return {tuple(tuple(np.round(np.asarray(part, dtype=float), 6)) for part in profile) for profile in profiles}


def test_von_stengel_1999_the_game_of_dual_cyclic_polytopes_has_75_equilibria():
    found = solve_nash(VON_STENGEL_75)
    assert len(found) == 75
    assert found.status == "ok"
    assert found.complete
    assert found.degenerate is False
    assert found.method == "vertices"
    assert sum(found.index) == 1
    # A simple polytope of dimension 6 with 12 facets has at most 112 vertices, and cyclic duals have them all.
    assert found.iterations == 2 * 112
    assert found.regret.max() <= 1e-14 * VON_STENGEL_75.payoff_range


def test_von_stengel_2007_example_3_3_has_three_equilibria():
    found = solve_nash(NormalFormGame(([[3, 3], [2, 5], [0, 6]], [[3, 2], [2, 6], [3, 1]])))
    assert rounded(found) == exactly(
        ((1, 0, 0), (1, 0)), ((0.8, 0.2, 0), (2 / 3, 1 / 3)), ((0, 1 / 3, 2 / 3), (1 / 3, 2 / 3))
    )
    assert found.degenerate is False


def test_von_stengel_2007_the_degenerate_variant_has_a_segment_and_a_point():
    found = solve_nash(NormalFormGame(([[3, 3], [2, 5], [0, 6]], [[3, 3], [2, 6], [3, 1]])))
    assert found.degenerate
    assert rounded(found) == exactly(
        ((1, 0, 0), (1, 0)), ((1, 0, 0), (2 / 3, 1 / 3)), ((0, 1 / 3, 2 / 3), (1 / 3, 2 / 3))
    )
    assert found.components == ((0, 1), (2,))


def test_winkels_1979_game_has_twelve_extreme_equilibria_in_one_component():
    game = NormalFormGame(
        (
            [[1, 3], [1, 3], [3, 1], [3, 1], [2.5, 2.5], [2.5, 2.5]],
            [[1, 2], [0, -1], [-2, 2], [4, -1], [-1, 6], [6, -1]],
        )
    )
    found = solve_nash(game)
    assert len(found) == 12
    assert found.components == (tuple(range(12)),)
    assert sorted(map(len, found.subsets)) == [2, 2, 2, 2, 2, 4, 4]


def test_nashpy_issue_82_all_eight_equilibria_are_found():
    # Costs in the issue; a game of payoffs here.
    a = -np.array([[0, 0, 6, 0, 0], [0, 0, 3, 2, 1], [4, 3, 0, 0, 1]])
    b = -np.array([[3, 0, 2, 1, 0], [0, 2, 0, 0, 4], [4, 0, 2, 4, 4]])
    found = solve_nash(NormalFormGame((a, b)))
    assert found.degenerate
    assert rounded(found) == exactly(
        ((1, 0, 0), (0, 1, 0, 0, 0)),
        ((1, 0, 0), (0, 0, 0, 0, 1)),
        ((2 / 3, 1 / 3, 0), (0, 1, 0, 0, 0)),
        ((1 / 3, 1 / 2, 1 / 6), (0, 4 / 9, 2 / 9, 1 / 3, 0)),
        ((0, 1 / 2, 1 / 2), (0, 1 / 2, 1 / 2, 0, 0)),
        ((0, 1, 0), (3 / 7, 0, 4 / 7, 0, 0)),
        ((0, 1, 0), (1, 0, 0, 0, 0)),
        ((0, 1, 0), (3 / 8, 0, 1 / 4, 3 / 8, 0)),
    )


def test_nashpy_issue_83_every_label_leads_to_the_one_equilibrium():
    a = [[9.5, -7.8], [-9.6, 0.3], [-7.1, -1.4], [5.9, 7.6], [9, 0.3], [7.5, 6.9], [-3.1, 3.6], [-8.4, -3.7]]
    b = [[0.2, 0.6], [0.4, 0.1], [0.9, 0], [0.4, 0.1], [0.1, 0.2], [0.2, 0.1], [0.8, 1], [0.2, 0.4]]
    game = NormalFormGame((a, b))
    found = solve_nash(game)
    assert found.unique
    assert found.degenerate is False
    for label in range(10):
        end = lemke_howson(game, label)
        assert end[0][0] == pytest.approx(found[0][0])
        assert end[0][1] == pytest.approx([22 / 27, 5 / 27])


def test_nashpy_issue_222_a_segment_of_equilibria_is_called_one():
    found = solve_nash(NormalFormGame(([[-3, 3], [-3, 5]], [[2, 7], [4, 2]])))
    assert rounded(found) == exactly(((0, 1), (1, 0)), ((2 / 7, 5 / 7), (1, 0)))
    assert found.components == ((0, 1),)
    assert found.degenerate
    assert found.unique is False


def test_nashpy_issue_231_a_degenerate_tournament_has_one_equilibrium():
    a = [
        [0, -1, -1, -1, 1, -1],
        [1, 0, 1, -1, -1, -1],
        [1, -1, 0, -1, -1, 1],
        [1, 1, 1, 0, -1, -1],
        [-1, 1, 1, 1, 0, -1],
        [1, 1, -1, 1, 1, 0],
    ]
    found = solve_nash(NormalFormGame.zero_sum(a))
    assert found.degenerate
    assert found.unique
    assert found[0][0] == pytest.approx([0, 0, 1 / 3, 0, 1 / 3, 1 / 3])


def test_nash_1951_identical_actions_make_one_component_of_the_whole_square():
    found = solve_nash(NormalFormGame([np.zeros((3, 3))] * 2))
    assert len(found) == 9
    assert found.components == (tuple(range(9)),) == found.subsets


def test_aumann_1974_chicken_has_a_correlated_equilibrium_better_than_all_nash_equilibria():
    chicken = NormalFormGame.symmetric([[6.0, 2.0], [7.0, 0.0]])
    best = correlated_equilibrium(chicken)
    assert best.payoffs == pytest.approx([5.25, 5.25])
    assert max(sum(float(x @ u @ y) for u in chicken.payoffs) for x, y in solve_nash(chicken)) == pytest.approx(28 / 3)
    # Aumann's own lottery, a third each, is one too.
    assert best.value > 10.0


def test_rosenthal_1973_congestion_games_have_the_potential_of_summed_delays():
    # Three drivers, two roads; each of k drivers on road r waits delay[r][k - 1].
    delay = np.array([[1.0, 2.0, 9.0], [2.0, 3.0, 4.0]])
    shape = (2, 2, 2)
    potential, payoffs = np.zeros(shape), np.zeros((3, *shape))
    for s in np.ndindex(shape):
        on = np.bincount(s, minlength=2)
        potential[s] = -sum(delay[r, : on[r]].sum() for r in range(2))
        for i in range(3):
            payoffs[i][s] = -delay[s[i], on[s[i]] - 1]
    game = NormalFormGame(payoffs)
    found = is_potential_game(game)
    assert found
    assert found.potential == pytest.approx(potential - potential.mean())
    best = np.argwhere(found.potential >= found.potential.max() - 1e-12)
    assert {tuple(row) for row in best} <= {tuple(row) for row in pure_equilibria(game)}


def test_candogan_2011_matching_pennies_is_harmonic_and_coordination_is_not():
    pennies = decompose_game(NormalFormGame.zero_sum([[1, -1], [-1, 1]]))
    assert np.abs(pennies.potential).max() < 1e-15
    battle = decompose_game(NormalFormGame(([[3, 0], [0, 2]], [[2, 0], [0, 3]])))
    # Section 6: in a battle of the sexes no flow goes round.
    assert max(np.abs(u).max() for u in battle.harmonic_part.payoffs) < 1e-15


def test_candogan_2011_rock_paper_scissors_is_harmonic_with_any_stakes_that_balance():
    x, y, z = 3.0, 1.0, 2.0
    general = NormalFormGame.zero_sum([[0, -3 * x, 3 * y], [3 * x, 0, -3 * z], [-3 * y, 3 * z, 0]])
    parts = decompose_game(general)
    # Theorem: the harmonic part is the game with equal stakes x + y + z.
    stake = x + y + z
    assert parts.harmonic_part.payoffs[0] == pytest.approx(
        np.array([[0, -stake, stake], [stake, 0, -stake], [-stake, stake, 0]])
    )


def test_prisoners_dilemma_is_solved_by_strict_dominance_alone():
    left = iterated_elimination(NormalFormGame.symmetric([[3, 0], [5, 1]]))
    assert [actions.tolist() for actions in left.actions] == [[1], [1]]


def test_beauty_contest_shrinks_to_the_lowest_guess():
    # Two players guess 0..10 and the one nearest to 2/3 of the mean wins: the lower guess.
    guess = np.arange(11)
    wins = np.where(guess[:, None] < guess, 1.0, np.where(guess[:, None] == guess, 0.5, 0.0))
    left = iterated_elimination(NormalFormGame((wins, 1 - wins)), "weak")
    assert [actions.tolist() for actions in left.actions] == [[0], [0]]


def test_maynard_smith_1973_retaliators_are_not_stable_beside_doves():
    # Hawk, dove, retaliator with V = 2, C = 4.
    game = NormalFormGame.symmetric([[-1, 2, -1], [0, 1, 1], [-1, 1, 1]])
    found = stable_strategies(game)
    assert rounded([(p, p) for p in found.strategies]) == exactly(((0.5, 0.5, 0), (0.5, 0.5, 0)))


def test_von_neumann_1928_morra_is_fair():
    # Two-finger Morra: (shown, guessed) in 11, 12, 21, 22.
    morra = [[0, 2, -3, 0], [-2, 0, 0, 3], [3, 0, 0, -4], [0, -3, 4, 0]]
    found = solve_zero_sum(NormalFormGame.zero_sum(morra))
    assert found.value == pytest.approx(0.0, abs=1e-15)
    # Optimal are the mixtures of the second and third action with between 4/7 and 3/5 of the second.
    shares = found.profile[0]
    assert 4 / 7 - 1e-12 <= shares[1] <= 3 / 5 + 1e-12
    assert shares[1] + shares[2] == pytest.approx(1.0)


def test_ochs_1995_as_estimated_by_mckelvey_and_palfrey_1995():
    # Asymmetric matching pennies, payoffs in 1982 cents; 128 choices of each side. Gambit's manual has the estimate.
    pennies = NormalFormGame(([[1.1141, 0], [0, 0.2785]], [[0, 1.1141], [1.1141, 0]]))
    data = 128 * np.array([0.527, 0.473]), 128 * np.array([0.366, 0.634])

    def loss(precision):
        profile = logit_equilibrium(pennies, precision).profile
        return -sum(float(count @ np.log(part)) for count, part in zip(data, profile, strict=True))

    best = minimize_scalar(loss, bounds=(1.0, 3.0), method="bounded", options={"xatol": 1e-6})
    assert best.x == pytest.approx(1.84561, abs=1e-5)
    assert best.fun == pytest.approx(174.764532, abs=1e-6)


def test_goeree_and_holt_2001_own_payoffs_move_the_logit_row_player_and_not_the_nash_one():
    # Ten little treasures, matching pennies 320/40, 80/40 and 44/40: Nash predicts 1/2 for the row throughout.
    shares = []
    for prize in (320.0, 80.0, 44.0):
        game = NormalFormGame(([[prize, 40.0], [40.0, 80.0]], [[40.0, 80.0], [80.0, 40.0]]))
        assert solve_nash(game)[0][0] == pytest.approx([0.5, 0.5])
        assert solve_nash(game)[0][1][0] == pytest.approx(40 / prize)
        shares.append(logit_equilibrium(game, 0.05).profile[0][0])
    assert shares[0] > shares[1] > shares[2]
    assert shares[1] == pytest.approx(0.5)


def test_han_2013_shares_of_five_strategies_as_in_openspiel():
    r, t, p, s, delta, eps = 1.0, 2.0, 0.0, -1.0, 4.0, 0.25
    game = NormalFormGame.symmetric(
        [
            [r - eps / 2, r - eps, 0, s + delta - eps, r - eps],
            [r, r, s, s, s],
            [0, t, p, p, p],
            [t - delta, t, p, p, p],
            [r, t, p, p, p],
        ]
    )
    found = alpha_rank(game, 0.1, population_size=20, populations="one", fitness="mixed")
    assert found.stationary == pytest.approx([0.40966787, 0.07959841, 0.20506998, 0.08505983, 0.2206039], abs=1e-6)


def test_omidshafiei_2019_rock_paper_scissors_and_the_battle_of_the_sexes():
    cycle = NormalFormGame.symmetric([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    assert alpha_rank(cycle, 100.0, populations="one").stationary == pytest.approx([1 / 3] * 3)
    battle = NormalFormGame(([[3, 0], [0, 2]], [[2, 0], [0, 3]]))
    assert alpha_rank(battle, 100.0).stationary == pytest.approx(np.array([[0.5, 0.0], [0.0, 0.5]]))


def test_every_published_equilibrium_above_has_no_regret():
    found = solve_nash(VON_STENGEL_75)
    x, y = (np.array(part) for part in zip(*found, strict=True))
    assert regret(VON_STENGEL_75, (x, y)) == pytest.approx(found.regret, abs=1e-9)
