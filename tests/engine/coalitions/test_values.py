"""Exact values against averages over all orders and all coalitions, and the axioms that define them."""

from __future__ import annotations

from itertools import combinations, permutations
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.engine.coalitions.transforms import coalition_rows, coalition_table, harsanyi_dividends
from neurogames.engine.coalitions.values import banzhaf, interactions, shapley
from neurogames.games.coalition import FunctionCoalitionGame, TabularCoalitionGame, UnanimityGame
from neurogames.games.coalition_families import AirportGame
from neurogames.games.pairwise_energy import PairwiseEnergyGame


@st.composite
def tables(draw, least=1, most=5):
    n = draw(st.integers(least, most))
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(size=1 << n)


def by_orders(table: np.ndarray) -> np.ndarray:
    """Shapley values as the mean over all orders of joining."""
    n = table.size.bit_length() - 1
    values = np.zeros(n)
    for order in permutations(range(n)):
        inside = 0
        for i in order:
            values[i] += table[inside | 1 << i] - table[inside]
            inside |= 1 << i
    return values / factorial(n)


def by_subsets(table: np.ndarray) -> np.ndarray:
    """Banzhaf values as the mean over all coalitions of the others."""
    n = table.size.bit_length() - 1
    return np.array(
        [np.mean([table[s | 1 << i] - table[s] for s in range(1 << n) if not s >> i & 1]) for i in range(n)]
    )


def merged(table: np.ndarray, i: int, j: int, kind: str) -> np.ndarray:
    """Game of the others and one more player, last: i and j as one, only i, or only j."""
    n = table.size.bit_length() - 1
    others = [k for k in range(n) if k not in (i, j)]
    last = {"both": 1 << i | 1 << j, "i": 1 << i, "j": 1 << j}[kind]
    result = np.empty(1 << (n - 1))
    for s in range(result.size):
        players = sum(1 << k for place, k in enumerate(others) if s >> place & 1)
        result[s] = table[players | (last if s >> (n - 2) & 1 else 0)]
    return result


@given(tables())
def test_exact_values_are_means_over_orders_and_over_coalitions(table):
    game = TabularCoalitionGame(table)
    np.testing.assert_allclose(shapley(game).values, by_orders(table), atol=1e-13)
    np.testing.assert_allclose(banzhaf(game).values, by_subsets(table), atol=1e-13)


@given(tables(least=2))
def test_an_interaction_is_what_two_gain_by_playing_as_one(table):
    # Owen 1972, Grabisch and Roubens 1999: I_ij = phi_[ij] without i and j apart - phi_i without j - phi_j without i
    game = TabularCoalitionGame(table)
    for index, value in (("Shapley", by_orders), ("Banzhaf", by_subsets)):
        found = interactions(game, index=index).values
        np.testing.assert_array_equal(found, found.T)
        np.testing.assert_array_equal(np.diagonal(found), 0.0)
        for i, j in combinations(range(game.n_players), 2):
            expected = sum(
                sign * value(merged(table, i, j, kind))[-1] for kind, sign in (("both", 1), ("i", -1), ("j", -1))
            )
            np.testing.assert_allclose(found[i, j], expected, atol=1e-13)


@given(tables())
def test_a_game_is_the_sum_of_its_dividends_and_each_is_shared_equally(table):
    n = table.size.bit_length() - 1
    before = table.copy()
    share = harsanyi_dividends(table)
    np.testing.assert_array_equal(table, before)
    rows = coalition_rows(np.arange(1, 1 << n), n)
    game = UnanimityGame(rows, share[1:])
    np.testing.assert_allclose(coalition_table(game) + table[0], table, atol=1e-12)
    np.testing.assert_allclose(shapley(TabularCoalitionGame(table)).values, game.shapley_values(), atol=1e-12)
    np.testing.assert_allclose(banzhaf(TabularCoalitionGame(table)).values, game.banzhaf_values(), atol=1e-12)


@given(tables(least=2))
def test_efficiency_symmetry_null_player_and_linearity(table):
    n = table.size.bit_length() - 1
    values = shapley(TabularCoalitionGame(table)).values
    np.testing.assert_allclose(values.sum(), table[-1] - table[0], atol=1e-12)
    rows = coalition_rows(np.arange(1 << n), n)
    swapped = rows.copy()
    swapped[:, [0, 1]] = swapped[:, [1, 0]]
    alike = 0.5 * (table + table[swapped @ (1 << np.arange(n))])
    with_null = np.concatenate([table, table])  # the last player adds nothing to anybody
    other = np.sin(np.arange(table.size) * 1.7)
    for value in (shapley, banzhaf):
        fair = value(TabularCoalitionGame(alike)).values
        np.testing.assert_allclose(fair[0], fair[1], atol=1e-13)
        extended = value(TabularCoalitionGame(with_null)).values
        assert extended[-1] == 0.0
        np.testing.assert_allclose(extended[:-1], value(TabularCoalitionGame(table)).values, atol=1e-13)
        np.testing.assert_allclose(
            value(TabularCoalitionGame(2.0 * table - 3.0 * other)).values,
            2.0 * value(TabularCoalitionGame(table)).values - 3.0 * value(TabularCoalitionGame(other)).values,
            atol=1e-12,
        )


def test_closed_forms_of_eighteen_players_are_met_by_the_table():
    rng = np.random.default_rng(3)
    costs = rng.random(18)
    airport = shapley(AirportGame(costs))
    np.testing.assert_allclose(airport.values, AirportGame(costs).shapley_values(), atol=1e-12)
    assert (airport.budget, airport.method, airport.exact) == (1 << 18, "exact", True)
    pairs = rng.normal(size=(12, 12))
    energy = PairwiseEnergyGame(rng.normal(size=12), np.triu(pairs, 1) + np.triu(pairs, 1).T)
    for value in (shapley, banzhaf):
        np.testing.assert_allclose(value(energy).values, energy.shapley_values(), atol=1e-12)
    for index in ("Shapley", "Banzhaf"):
        np.testing.assert_allclose(interactions(energy, index=index).values, energy.pairs, atol=1e-12)


def test_the_game_is_asked_in_chunks_that_never_hold_all_coalitions():
    lengths = []

    def worth(coalitions):
        lengths.append(len(coalitions))
        return coalitions.sum(axis=1)

    shapley(FunctionCoalitionGame(18, worth))
    assert sum(lengths) == 1 << 18
    assert max(lengths) <= 1 << 16


def test_too_many_players_or_a_missing_generator_are_refused():
    game = AirportGame(np.ones(23))
    for value in (shapley, banzhaf, interactions):
        with pytest.raises(ValueError, match=r"^game: got '23 players', expected at most 22"):
            value(game)
        with pytest.raises(ValueError, match="^rng: got None"):
            value(game, 1000)
        with pytest.raises(ValueError, match="^budget: got 2.5"):
            value(game, 2.5)
    with pytest.raises(ValueError, match="^index: got 'shapley'"):
        interactions(AirportGame(np.ones(3)), index="shapley")
    with pytest.raises(ValueError, match=r"^game.n_players: got 1"):
        interactions(AirportGame([1.0]))


def test_a_single_player_gets_everything():
    game = TabularCoalitionGame([1.0, 4.0])
    assert shapley(game).values == banzhaf(game).values == [3.0]


@pytest.mark.parametrize("table", [[1.0, 2.0, 3.0], [np.nan, 1.0], ["a", "b"]])
def test_dividends_of_what_is_no_table_are_refused(table):
    with pytest.raises(ValueError, match="(values|table): got"):
        harsanyi_dividends(table)


def test_a_seed_is_no_generator():
    with pytest.raises(ValueError, match="rng: got 0, expected a numpy Generator"):
        shapley(AirportGame(np.arange(6.0)), 40, rng=0)
