"""Published numbers of coalition games, and the closed form of the pairwise energy."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations
from math import comb, factorial

import numpy as np
import pytest

from neurogames.engine.coalitions.core import core_violation, least_core
from neurogames.engine.coalitions.nucleolus import nucleolus
from neurogames.engine.coalitions.values import banzhaf, interactions, shapley
from neurogames.games.coalition import UnanimityGame
from neurogames.games.coalition_families import AirportGame, BankruptcyGame, GloveMarketGame, WeightedVotingGame
from neurogames.games.pairwise_energy import spin_energy_game


@pytest.mark.parametrize(
    ("estate", "division"),
    [(100, [100 / 3, 100 / 3, 100 / 3]), (200, [50, 75, 75]), (300, [50, 100, 150])],
)
def test_aumann_maschler_1985_the_nucleolus_divides_as_the_talmud(estate, division):
    result = nucleolus(BankruptcyGame([100, 200, 300], estate))
    np.testing.assert_allclose(result.allocation, division, atol=1e-10)
    assert result.objection < 1e-9


def test_aumann_maschler_1985_contested_garment():
    np.testing.assert_allclose(nucleolus(BankruptcyGame([50, 100], 100)).allocation, [25, 75], atol=1e-10)


def test_shapley_shubik_of_the_un_security_council():
    # a motion needs all five permanent members and four of the ten others
    result = shapley(WeightedVotingGame([7] * 5 + [1] * 10, quota=39))
    expected = [float(Fraction(421, 2145))] * 5 + [float(Fraction(4, 2145))] * 10
    np.testing.assert_allclose(result.values, expected, atol=1e-14)
    np.testing.assert_allclose(result.values[[0, 5]], [0.1963, 0.001865], atol=5e-5)


def test_banzhaf_of_the_un_security_council():
    # swings: all other permanent members and at least four others; all permanent members and exactly three others
    result = banzhaf(WeightedVotingGame([7] * 5 + [1] * 10, quota=39))
    permanent = sum(comb(10, k) for k in range(4, 11)) / 2**14
    np.testing.assert_allclose(result.values, [permanent] * 5 + [comb(9, 3) / 2**14] * 10, atol=1e-14)


def test_littlechild_owen_1973_airport_fees():
    costs = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.6, 5.0])
    values = np.zeros(7)
    for order in permutations(range(7)):
        built = 0.0
        for i in order:
            values[i] -= max(costs[i] - built, 0.0)
            built = max(built, costs[i])
    game = AirportGame(costs)
    np.testing.assert_allclose(game.shapley_values(), values / factorial(7), atol=1e-12)
    np.testing.assert_allclose(shapley(game).values, game.shapley_values(), atol=1e-12)
    assert (
        core_violation(game, game.shapley_values()).excess <= 1e-12
    )  # runways are cheaper together: the game is convex


def test_littlechild_1974_the_nucleolus_of_an_airport_game():
    # the smallest user pays min(1/2, 2/3, 3/3), the next min((2 - 1/2)/2, (3 - 1/2)/2), the largest the rest
    np.testing.assert_allclose(nucleolus(AirportGame([1.0, 2.0, 3.0])).allocation, [-0.5, -0.75, -1.75], atol=1e-10)


@pytest.mark.parametrize(("left", "right"), [(1, 2), (2, 3), (3, 3), (2, 5)])
def test_shapley_shubik_1969_the_long_side_of_the_glove_market_gets_nothing_in_the_core(left, right):
    game = GloveMarketGame(left, right)
    short = left <= right
    expected = np.repeat([0.5, 0.5] if left == right else [float(short), float(not short)], [left, right])
    assert core_violation(game, expected).excess <= 0
    result = nucleolus(game)
    np.testing.assert_allclose(result.allocation, expected, atol=1e-10)
    np.testing.assert_allclose(least_core(game).excess, 0.0, atol=1e-10)


def test_shapley_values_of_one_left_and_two_right_gloves():
    np.testing.assert_allclose(shapley(GloveMarketGame(1, 2)).values, [4 / 6, 1 / 6, 1 / 6], atol=1e-15)


def test_grabisch_roubens_1999_interactions_of_a_unanimity_game():
    carrier = np.array([True, True, True, True, False])
    together = np.outer(carrier, carrier) & ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(interactions(UnanimityGame(carrier)).values, together / 3, atol=1e-15)
    np.testing.assert_allclose(interactions(UnanimityGame(carrier), index="Banzhaf").values, together / 4, atol=1e-15)


@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (1, 5)])
@pytest.mark.parametrize("continuous", [False, True])
def test_arxiv_2410_12264_equation_1_for_the_pairwise_energy_is_a_closed_form(shape, continuous):
    # phi_i = beta s_i + (alpha / 2) sum over neighbours of s_i s_j, and Banzhaf is the same
    rng = np.random.default_rng(5)
    activations = rng.normal(size=shape)
    spins = activations if continuous else np.sign(activations - np.median(activations) + 1e-9)
    alpha, beta = 0.8, -0.3
    expected = np.empty(shape)
    for row, column in np.ndindex(shape):
        around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        near = sum(spins[r, c] for r, c in around if 0 <= r < shape[0] and 0 <= c < shape[1])
        expected[row, column] = spins[row, column] * (beta + 0.5 * alpha * near)
    game = spin_energy_game(spins, alpha=alpha, beta=beta)
    for values in (game.shapley_values(), shapley(game).values, banzhaf(game).values):
        np.testing.assert_allclose(values, expected.ravel(), atol=1e-13)
    estimate = shapley(game, 100, rng=rng)
    assert not estimate.exact or game.n_players < 7
    np.testing.assert_allclose(estimate.values, expected.ravel(), atol=1e-12)


def test_uniform_coalitions_give_banzhaf_and_not_shapley():
    game = WeightedVotingGame([3, 2, 1, 1, 1], quota=5)
    rng = np.random.default_rng(0)
    coalitions = rng.random((200_000, 5)) < 0.5
    with_, without = coalitions.copy(), coalitions.copy()
    with_[:, 0], without[:, 0] = True, False
    mean = (game.value(with_) - game.value(without)).mean()
    assert abs(mean - banzhaf(game).values[0]) < 0.005
    assert abs(mean - shapley(game).values[0]) > 0.05
