"""Shapley values of means of games, with orders for each part, against exact values of the mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from neurogames.engine.coalitions.transforms import coalition_table
from neurogames.engine.coalitions.value_estimates import regress_values
from neurogames.engine.coalitions.values import shapley
from neurogames.engine.coalitions.values_by_components import least_budget, shapley_by_components
from neurogames.games.coalition import FunctionCoalitionGame, TabularCoalitionGame, permutations_array


@dataclass(frozen=True, eq=False)
class TablesGame:
    """The mean of games that are given by tables (parts, 2^n)."""

    tables: np.ndarray

    @property
    def n_players(self):
        return self.tables.shape[1].bit_length() - 1

    @property
    def n_components(self):
        return len(self.tables)

    def value(self, coalitions):
        return TabularCoalitionGame(self.tables.mean(axis=0)).value(coalitions)

    def values_along_permutations(self, orders):
        orders = permutations_array(orders, self.n_components, self.n_players)
        joined = np.concatenate(
            [np.zeros((self.n_components, 1), dtype=np.intp), np.cumsum(1 << orders, axis=1)], axis=1
        )
        return np.take_along_axis(self.tables, joined, axis=1)


def rough(n_components, n_players, seed=0):
    """Tables of random numbers, of different size from part to part."""
    rng = np.random.default_rng(seed)
    return TablesGame(rng.normal(size=(n_components, 1 << n_players)) * rng.uniform(0.1, 3.0, size=(n_components, 1)))


def test_estimates_are_unbiased_and_their_errors_are_what_they_say():
    game = rough(30, 5)
    exact = shapley(game).values
    found = [shapley_by_components(game, 40, rng=np.random.default_rng(seed)) for seed in range(2000)]
    values, errors = np.array([one.values for one in found]), np.array([one.stderr for one in found])
    np.testing.assert_allclose(values.mean(axis=0), exact, atol=4 * values.std() / np.sqrt(len(found)))
    np.testing.assert_allclose((errors**2).mean(axis=0), values.var(axis=0), rtol=0.15)
    for one in found[:20]:
        assert one.values.sum() == pytest.approx(float(game.value([True] * 5) - game.value([False] * 5)))
    assert found[0].budget == 34
    assert found[0].method == "4 pairs of orders for each of 30 parts"


def test_what_is_a_sum_over_players_and_pairs_is_exact_at_once():
    rng = np.random.default_rng(1)
    members = (np.arange(64)[:, None] >> np.arange(6) & 1).astype(float)
    own, pairs = rng.normal(size=(7, 6)), rng.normal(size=(7, 6, 6))
    game = TablesGame(own @ members.T + np.einsum("si,rij,sj->rs", members, pairs, members) + 5.0)
    found = shapley_by_components(game, least_budget(6), rng=rng)
    np.testing.assert_allclose(found.values, shapley(game).values, atol=1e-12)
    np.testing.assert_allclose(found.stderr, 0, atol=1e-12)


def test_orders_of_their_own_average_out_what_parts_have_in_common():
    """All parts are the same game: with R of them the error is that of R times the budget."""
    table = np.random.default_rng(2).normal(size=256)
    exact = shapley(TabularCoalitionGame(table)).values

    def error(n_components):
        game = TablesGame(np.tile(table, (n_components, 1)))
        found = [shapley_by_components(game, 60, rng=np.random.default_rng(seed)).values - exact for seed in range(100)]
        return np.sqrt(np.mean(np.square(found)))

    assert error(64) == pytest.approx(error(1) / 8, rel=0.2)


def test_shapley_chooses_it_for_many_parts():
    many, few = rough(100, 8), rough(99, 8)
    assert shapley(many, 100, rng=np.random.default_rng(3)).method.endswith("of 100 parts")
    np.testing.assert_array_equal(
        shapley(many, 100, rng=np.random.default_rng(3)).values,
        shapley_by_components(many, 100, rng=np.random.default_rng(3)).values,
    )
    np.testing.assert_array_equal(
        shapley(few, 100, rng=np.random.default_rng(3)).values,
        regress_values(few, 100, rng=np.random.default_rng(3), index="Shapley").values,
    )
    assert shapley(many, 256).exact
    np.testing.assert_allclose(coalition_table(many), many.tables.mean(axis=0))


def test_a_plain_game_is_no_mean():
    game = FunctionCoalitionGame(8, lambda coalitions: coalitions.sum(axis=1) ** 2)
    assert "regression" in shapley(game, 100, rng=np.random.default_rng(0)).method


@pytest.mark.parametrize(
    ("changes", "name"), [({"budget": 21}, "budget"), ({"budget": 40.5}, "budget"), ({"rng": 3}, "rng")]
)
def test_bad_input_is_refused(changes, name):
    with pytest.raises(ValueError, match=f"^{name}:"):
        shapley_by_components(rough(3, 6), **{"budget": 60, "rng": np.random.default_rng(0)} | changes)


@pytest.mark.parametrize("orders", [[[0, 1, 2]], [[0, 1], [1, 0]], [[0, 1, 1], [2, 1, 0]], [[0.0, 1.0, 2.0]] * 2])
def test_orders_of_another_kind_are_refused(orders):
    with pytest.raises(ValueError, match=r"^orders: .*integers \(2, 3\)"):
        rough(2, 3).values_along_permutations(orders)


def test_a_game_that_answers_in_another_shape_is_refused():
    class Short(TablesGame):
        def values_along_permutations(self, orders):
            return super().values_along_permutations(orders)[:, :-1]

    with pytest.raises(ValueError, match=r"^game: .*\(3, 7\)"):
        shapley_by_components(Short(rough(3, 6).tables), 60, rng=np.random.default_rng(0))
