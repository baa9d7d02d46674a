"""Estimated values: budgets, efficiency, exactness at full budgets, honest errors, and the identities they rest on."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.engine.coalitions.paired_design import allocate, draw_pairs, least_draws, strata
from neurogames.engine.coalitions.ridge import fit_ridge
from neurogames.engine.coalitions.transforms import coalition_rows, coalition_table
from neurogames.engine.coalitions.value_estimates import regress_interactions, regress_values
from neurogames.engine.coalitions.value_sampling import shapley_by_permutations, shapley_by_strata
from neurogames.engine.coalitions.values import banzhaf, interactions, shapley
from neurogames.games.coalition import TabularCoalitionGame, UnanimityGame
from neurogames.games.coalition_families import WeightedVotingGame
from neurogames.games.pairwise_energy import PairwiseEnergyGame

SHAPLEY = {"regression": shapley, "strata": shapley_by_strata, "permutations": shapley_by_permutations}
ESTIMATORS = SHAPLEY | {"Banzhaf": banzhaf, "interactions": interactions}
every_estimator = pytest.mark.parametrize("estimate", ESTIMATORS.values(), ids=ESTIMATORS)
every_shapley = pytest.mark.parametrize("estimate", SHAPLEY.values(), ids=SHAPLEY)


def exact(estimate):
    """The exact method that an estimator stands for."""
    return estimate if estimate in (banzhaf, interactions) else shapley


def random_game(n: int, carriers: int, seed: int) -> TabularCoalitionGame:
    """Sum of random unanimity games, as a table."""
    rng = np.random.default_rng(seed)
    members = rng.random((carriers, n)) < rng.uniform(0.1, 0.9, size=(carriers, 1))
    members[~members.any(axis=1), 0] = True
    table = coalition_table(UnanimityGame(members, rng.normal(size=carriers)))
    return TabularCoalitionGame(table + 1.0)  # v(empty) need not be 0


class Counting:
    """A game that remembers what it was asked."""

    def __init__(self, game):
        self.game, self.asked = game, []

    @property
    def n_players(self):
        return self.game.n_players

    def value(self, coalitions):
        before = coalitions.copy()
        self.asked.append(before)
        answer = self.game.value(coalitions)
        coalitions[:] = False  # whatever a game does with its rows must not matter to later ones
        return answer


def least_budget(estimate, game):
    """The least budget, read from the error."""
    with pytest.raises(ValueError, match=r"^budget: got 2, expected an integer >= \d+$") as refused:
        estimate(game, 2, rng=np.random.default_rng(0))
    return int(str(refused.value).split()[-1])


@every_estimator
@pytest.mark.parametrize("n", [4, 5, 8, 9])
def test_the_budget_is_kept_to_the_call_and_the_least_one_is_enough(estimate, n):
    least = least_budget(estimate, random_game(n, 5, n))
    assert least <= 1 << n
    for budget in sorted({least, least + 1, (least + (1 << n)) // 2, (1 << n) - 1, 1 << n, (1 << n) + 5}):
        if budget < least:
            continue
        game = Counting(random_game(n, 20, n))
        result = estimate(game, budget, rng=np.random.default_rng(1))
        asked = sum(map(len, game.asked))
        assert asked == result.budget <= budget
        assert np.isfinite(result.values).all()
        assert np.isfinite(result.stderr).all()
        assert result.exact == (budget >= 1 << n)
    with pytest.raises(ValueError, match=f"^budget: got {least - 1}, expected an integer >= {least}"):
        estimate(random_game(n, 5, n), least - 1, rng=np.random.default_rng(0))


@pytest.mark.parametrize("n", [2, 3])
@every_estimator
def test_with_two_or_three_players_every_budget_is_all_or_too_small(estimate, n):
    game = random_game(n, 3, 0)
    assert least_budget(estimate, game) == 1 << n
    assert estimate(game, 1 << n, rng=np.random.default_rng(0)).exact


@every_estimator
def test_a_budget_of_all_coalitions_gives_the_exact_values(estimate):
    game = random_game(7, 30, 2)
    result = estimate(game, 128, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(result.values, exact(estimate)(game).values)
    np.testing.assert_array_equal(result.stderr, 0.0)


@pytest.mark.parametrize(
    ("regress", "index", "value"),
    [
        (regress_values, "Shapley", lambda game: shapley(game)),
        (regress_values, "Banzhaf", lambda game: banzhaf(game)),
        (regress_interactions, "Shapley interaction", lambda game: interactions(game)),
        (regress_interactions, "Banzhaf interaction", lambda game: interactions(game, index="Banzhaf")),
    ],
)
@pytest.mark.parametrize("n", [6, 7])
def test_a_regression_on_all_pairs_is_exact_whatever_its_ridge(regress, index, value, n):
    # not the table of the exact method: the regression itself, though its model has too few characters for the game
    game = random_game(n, 40, n)
    result = regress(game, 1 << n, rng=np.random.default_rng(0), index=index)
    np.testing.assert_allclose(result.values, value(game).values, atol=1e-11)
    np.testing.assert_allclose(result.stderr, 0.0, atol=1e-12)
    assert result.method != "exact"


@every_shapley
@given(n=st.integers(4, 7), seed=st.integers(0, 10_000), share=st.floats(0.0, 1.0))
def test_estimated_shapley_values_are_efficient(estimate, n, seed, share):
    game = random_game(n, 12, seed)
    least = least_budget(estimate, game)
    result = estimate(game, int(least + share * ((1 << n) - least)), rng=np.random.default_rng(seed))
    np.testing.assert_allclose(result.values.sum(), game.values[-1] - game.values[0], atol=1e-11)


@every_estimator
def test_estimates_are_unbiased_and_their_errors_honest(estimate):
    truth = exact(estimate)
    covered, scores = [], []
    for seed in range(160):
        game = random_game(10, 30, seed % 8)
        result = estimate(game, 300, rng=np.random.default_rng(seed))
        error = result.values - truth(game).values
        pairs = np.triu_indices(10, 1) if error.ndim == 2 else slice(None)
        covered.append(
            np.mean(np.abs(error) <= 1.96 * result.stderr + 1e-12, where=~np.eye(*error.shape, dtype=bool))
            if error.ndim == 2
            else np.mean(np.abs(error) <= 1.96 * result.stderr + 1e-12)
        )
        scores.append(error[pairs] / np.maximum(result.stderr[pairs], 1e-12))
    # 95 % would be perfect; errors within a run are dependent, so that the mean over runs is compared
    assert 0.90 <= np.mean(covered) <= 0.985
    means = np.clip(np.array(scores), -10, 10).mean(axis=0)
    assert np.abs(means).max() < 4.5 / np.sqrt(160)


def test_regression_beats_the_plain_estimators_where_small_groups_matter():
    errors = {name: [] for name in SHAPLEY}
    for seed in range(12):
        game = random_game(12, 60, seed)
        truth = shapley(game).values
        for name, estimate in SHAPLEY.items():
            result = estimate(game, 800, rng=np.random.default_rng(seed))
            errors[name].append(np.mean((result.values - truth) ** 2) / truth.var())
    medians = {name: np.median(values) for name, values in errors.items()}
    assert medians["regression"] < 0.5 * medians["strata"]
    assert medians["regression"] < 0.5 * medians["permutations"]


@pytest.mark.parametrize("n", [24, 25, 64, 200])
def test_many_players_are_served_and_the_order_is_said(n):
    rng = np.random.default_rng(n)
    pairs = np.triu(rng.normal(size=(n, n)), 1)
    game = PairwiseEnergyGame(rng.normal(size=n), pairs + pairs.T)
    result = shapley(game, 2000, rng=rng)
    # a game of pairs has no odd character above size 1, so that both orders fit it without error
    np.testing.assert_allclose(result.values, game.shapley_values(), atol=1e-9 * n)
    assert result.method == f"odd regression of order {3 if n <= 24 else 1}"
    estimated = interactions(game, 2000, rng=rng) if n <= 64 else None
    if estimated is not None:
        z = (estimated.values - game.pairs)[np.triu_indices(n, 1)] / estimated.stderr[np.triu_indices(n, 1)]
        assert np.mean(np.abs(z) < 1.96) > 0.85


def test_order_three_needs_enough_pairs():
    game = WeightedVotingGame(np.ones(20), quota=11)
    least = least_budget(shapley, game)
    orders = {b: shapley(game, b, rng=np.random.default_rng(0)).method[-1] for b in (least, 284, 286, 2000)}
    assert orders == {least: "1", 284: "1", 286: "3", 2000: "3"}  # 1140 characters of size 3, 8 for each pair


def test_truncation_saves_calls_and_stays_efficient():
    game = Counting(WeightedVotingGame(np.arange(1.0, 13.0), quota=20))
    plain = shapley_by_permutations(game, 1000, rng=np.random.default_rng(0))
    cut = shapley_by_permutations(game, 1000, truncation=1e-9, rng=np.random.default_rng(0))
    truth = shapley(game.game).values
    np.testing.assert_allclose(cut.values.sum(), 1.0, atol=1e-12)
    assert cut.budget <= 1000
    assert int(cut.method.split()[0]) > 1.5 * int(plain.method.split()[0])
    assert np.abs(cut.values - truth).max() < 4 * cut.stderr.max() + 1e-9
    coarse = shapley_by_permutations(game, 1000, truncation=2.0, rng=np.random.default_rng(0))
    np.testing.assert_allclose(coarse.values.sum(), 1.0, atol=1e-12)
    with pytest.raises(ValueError, match="^truncation: got -1"):
        shapley_by_permutations(game, 1000, truncation=-1, rng=np.random.default_rng(0))


@every_estimator
def test_a_game_that_answers_with_nan_is_refused(estimate):
    class Broken:
        n_players = 6

        def value(self, coalitions):
            return np.where(coalitions.all(axis=-1), np.nan, 0.0)

    with pytest.raises(ValueError, match="^game: got"):
        estimate(Broken(), 60, rng=np.random.default_rng(0))


@given(n=st.integers(2, 9), seed=st.integers(0, 10_000), share=st.floats(0.0, 1.0))
def test_pairs_are_distinct_and_fill_the_borders_first(n, seed, share):
    rng = np.random.default_rng(seed)
    least, most = int(least_draws(n).sum()), int(strata(n).sum())
    assert most == 1 << (n - 1)
    total = int(least + share * (most - least))
    draws = allocate(n, np.ones(n // 2 + 1), total)
    assert draws.sum() == total
    assert (least_draws(n) <= draws).all()
    assert (draws <= strata(n)).all()
    pairs = draw_pairs(n, draws, rng)
    codes = pairs.coalitions @ (1 << np.arange(n))
    both = np.concatenate([codes, (1 << n) - 1 - codes])
    assert np.unique(both).size == 2 * total
    np.testing.assert_array_equal(pairs.coalitions.sum(axis=1), pairs.stratum)
    np.testing.assert_array_equal(np.bincount(pairs.stratum, minlength=draws.size), draws)
    np.testing.assert_allclose(pairs.inclusion, (draws / strata(n))[pairs.stratum])


@pytest.mark.parametrize(("n", "size"), [(9, 3), (8, 4)])
@pytest.mark.parametrize("count", [2, 20, 30])
def test_each_pair_of_a_size_is_drawn_as_often_as_any_other(n, size, count):
    # both ways of drawing, by rejection and by listing, with two sides of the middle size counted as one
    rng = np.random.default_rng(0)
    draws = np.zeros(n // 2 + 1, dtype=np.intp)
    draws[size] = count
    repeats = 3000
    codes = np.concatenate([draw_pairs(n, draws, rng).coalitions @ (1 << np.arange(n)) for _ in range(repeats)])
    seen = np.unique(np.minimum(codes, (1 << n) - 1 - codes) if 2 * size == n else codes, return_counts=True)[1]
    assert seen.size == strata(n)[size]
    chance = count / strata(n)[size]
    assert np.abs(seen - repeats * chance).max() < 5 * np.sqrt(repeats * chance * (1 - chance)) + 1e-9


@given(st.integers(3, 6), st.integers(0, 10_000))
def test_values_and_interactions_are_the_stated_sums_of_characters(n, seed):
    game = TabularCoalitionGame(np.random.default_rng(seed).normal(size=1 << n))
    rows = coalition_rows(np.arange(1 << n), n)
    signs = np.where(rows, 1.0, -1.0)
    values, pairs = np.zeros(n), np.zeros((n, n))
    for row in rows:
        coefficient = game.values @ signs[:, row].prod(axis=1) / (1 << n)
        members = np.flatnonzero(row)
        if members.size % 2:
            values[members] += 2.0 * coefficient / members.size
        for i, j in combinations(members, 2) if members.size % 2 == 0 else ():
            pairs[i, j] = pairs[j, i] = pairs[i, j] + 4.0 * coefficient / (members.size - 1)
    np.testing.assert_allclose(shapley(game).values, values, atol=1e-12)
    np.testing.assert_allclose(interactions(game).values, pairs, atol=1e-12)


@pytest.mark.parametrize(("m", "p"), [(30, 10), (12, 40), (15, 0)])
def test_the_ridge_fit_is_the_dense_solution_and_leaves_out_each_row_rightly(m, p):
    rng = np.random.default_rng(m)
    y, free, penalised = rng.normal(size=m), rng.normal(size=(m, 3)), rng.normal(size=(m, p))
    free = np.column_stack([free, free.sum(axis=1)])  # dependent columns
    weights = rng.uniform(0.5, 2.0, size=m)
    fit = fit_ridge(y, free, penalised, weights, np.ones(m))

    def dense(rows, ridge):
        if np.isinf(ridge):
            a = np.linalg.lstsq(free[rows] * np.sqrt(weights[rows, None]), y[rows] * np.sqrt(weights[rows]), rcond=None)
            return np.concatenate([a[0], np.zeros(p)])
        both = np.column_stack([free, penalised])
        system = np.concatenate([both[rows] * np.sqrt(weights[rows, None]), np.eye(4 + p)[4:] * np.sqrt(ridge)])
        return np.linalg.lstsq(system, np.concatenate([y[rows] * np.sqrt(weights[rows]), np.zeros(p)]), rcond=None)[0]

    columns = np.column_stack([free, penalised])
    everything = dense(np.arange(m), fit.ridge)
    np.testing.assert_allclose(fit.free, everything[:4], atol=1e-8)
    np.testing.assert_allclose(fit.penalised, everything[4:], atol=1e-8)
    np.testing.assert_allclose(fit.residual, y - columns @ everything, atol=1e-8)
    without = [y[r] - columns[r] @ dense(np.delete(np.arange(m), r), fit.ridge) for r in range(m)]
    np.testing.assert_allclose(fit.left_out, without, atol=1e-7)
    if p:
        for ridge in fit.ridge * np.array([0.3, 3.0]):
            other = [y[r] - columns[r] @ dense(np.delete(np.arange(m), r), ridge) for r in range(m)]
            assert np.sum(np.square(other)) > 0.98 * np.sum(np.square(without))


def test_a_thousand_players_do_not_overflow():
    game = PairwiseEnergyGame(np.arange(1000.0), np.zeros((1000, 1000)))
    result = shapley(game, 4000, rng=np.random.default_rng(0))
    np.testing.assert_allclose(result.values, np.arange(1000.0), atol=1e-6)
    assert result.stderr.max() < 1e-6
    with pytest.raises(ValueError, match="^budget: got 5000, expected at most 268,"):
        interactions(game, 5000, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"^game.n_players: got 1001"):
        shapley(PairwiseEnergyGame(np.ones(1001), np.zeros((1001, 1001))), 5000, rng=np.random.default_rng(0))
