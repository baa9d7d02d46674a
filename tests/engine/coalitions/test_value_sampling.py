"""Sampled Shapley values beside their definition on the very coalitions that were asked for, errors included."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine.coalitions.value_sampling import shapley_by_permutations, shapley_by_strata
from neurogames.engine.coalitions.values import shapley
from neurogames.games.coalition import FunctionCoalitionGame, TabularCoalitionGame


class Asked:
    """A random game that keeps which coalitions it was asked for, in order."""

    def __init__(self, n, seed=0):
        self.table = np.random.default_rng(seed).normal(size=2**n).cumsum()
        self.rows = []
        self.game = FunctionCoalitionGame(n, self.worths)
        self.exact = shapley(TabularCoalitionGame(self.table)).values

    def worth(self, row):
        return self.table[sum(1 << i for i, inside in enumerate(row) if inside)]

    def worths(self, members):
        self.rows += [tuple(row) for row in members.tolist()]
        return np.array([self.worth(row) for row in members.tolist()])


def joins(order, asked, limit=0.0):
    """What each player adds in an order, and how many coalitions it took; the end is known."""
    n, whole = len(order), asked.worth([True] * len(order))
    members, before, added = [False] * n, asked.worth([False] * n), [0.0] * n
    for step, player in enumerate(order):
        members[player] = True
        worth = asked.worth(members)
        added[player], before = worth - before, worth
        if abs(whole - worth) < limit and step < n - 1:
            for late in order[step + 1 :]:
                added[late] = (whole - worth) / (n - 1 - step)
            return added, step + 1
    return added, n - 1


@pytest.mark.parametrize("truncation", [0.0, 1.5])
def test_permutations_are_means_over_orders_and_their_reverses(truncation):
    n, budget, cost = 7, 110, 12
    asked = Asked(n)
    found = shapley_by_permutations(asked.game, budget, truncation=truncation, rng=np.random.default_rng(3))
    rng, left, pairs = np.random.default_rng(3), budget - 2, []
    while left >= cost:
        for order in rng.permuted(np.tile(np.arange(n), (left // cost, 1)), axis=1).tolist():
            both = [joins(way, asked, truncation) for way in (order, order[::-1])]
            pairs.append(np.mean([added for added, _ in both], axis=0))
            left -= sum(calls for _, calls in both)
    assert found.budget == budget - left == len(asked.rows)
    assert len(pairs) == 9 if truncation == 0 else len(pairs) > 9
    np.testing.assert_allclose(found.values, np.mean(pairs, axis=0), atol=1e-12)
    np.testing.assert_allclose(found.stderr, np.std(pairs, axis=0, ddof=1) / len(pairs) ** 0.5, atol=1e-12)
    cut = f", truncated at {truncation}" if truncation else ""
    assert found.method == f"{len(pairs)} pairs of permutations{cut}"
    assert found.values.sum() == pytest.approx(asked.table[-1] - asked.table[0])
    if truncation == 0:
        assert (np.abs(found.values - asked.exact) < 5 * found.stderr).all()


@pytest.mark.parametrize(
    ("n", "budget", "used"),
    # 2 + 2 n coalitions at the border, then rings of 2 n for h = 2, 3 (n where h is half of n).
    [(7, 110, 16 + 3 * 28), (7, 118, 16 + 3 * 28 + 14), (8, 200, 18 + 4 * 40 + 16), (8, 98, 98)],
)
def test_strata_are_differences_of_means_over_rings(n, budget, used):
    asked = Asked(n)
    found = shapley_by_strata(asked.game, budget, rng=np.random.default_rng(5))
    assert found.budget == len(asked.rows) == used
    assert asked.rows[:2] == [(False,) * n, (True,) * n]
    expected, variance, rings = np.full(n, (asked.table[-1] - asked.table[0]) / n), np.zeros(n), []
    for h in range(1, n // 2 + 1):
        rows = [row for row in asked.rows[2:] if sum(row) in (h, n - h)]
        size = n if 2 * h == n else 2 * n
        estimates = []
        for ring in (rows[k : k + size] for k in range(0, len(rows), size)):
            part = np.zeros(n)
            for s in {h, n - h}:
                of_size = [row for row in ring if sum(row) == s]
                assert len(of_size) == n
                for i in range(n):
                    inside = [asked.worth(row) for row in of_size if row[i]]
                    outside = [asked.worth(row) for row in of_size if not row[i]]
                    assert (len(inside), len(outside)) == (s, n - s)
                    part[i] += (np.mean(inside) - np.mean(outside)) / n
            estimates.append(part)
        expected += np.mean(estimates, axis=0)
        if h > 1:
            rings.append(len(estimates))
            variance += np.var(estimates, axis=0, ddof=1) / len(estimates)
        else:
            assert len(estimates) == 1
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    np.testing.assert_allclose(found.stderr, np.sqrt(variance), atol=1e-12)
    assert found.method == f"strata of at least {min(rings)} rings"
    assert max(rings) - min(rings) <= 1
    assert found.values.sum() == pytest.approx(asked.table[-1] - asked.table[0])


@pytest.mark.parametrize("sample", [shapley_by_permutations, shapley_by_strata])
def test_estimates_are_right_on_average(sample):
    asked = Asked(7)
    runs = [sample(asked.game, 90, rng=np.random.default_rng(seed)) for seed in range(60)]
    values = np.array([run.values for run in runs])
    assert (np.abs(values.mean(axis=0) - asked.exact) < 4.5 * values.std(axis=0, ddof=1) / 60**0.5).all()


@pytest.mark.parametrize(("sample", "n", "least"), [(shapley_by_permutations, 7, 26), (shapley_by_strata, 7, 72)])
def test_two_of_each_are_the_least_and_all_coalitions_are_exact(sample, n, least):
    asked = Asked(n)
    assert sample(asked.game, least, rng=np.random.default_rng(0)).budget == least
    with pytest.raises(ValueError, match=f"^budget: got {least - 1}, expected an integer >= {least}"):
        sample(asked.game, least - 1, rng=np.random.default_rng(0))
    exact = sample(asked.game, 2**n, rng=np.random.default_rng(0))
    np.testing.assert_allclose(exact.values, asked.exact, atol=1e-12)
    np.testing.assert_array_equal(exact.stderr, 0.0)
    # Of three players, all eight coalitions are fewer than the least sample.
    with pytest.raises(ValueError, match="^budget: got 7, expected an integer >= 8"):
        sample(Asked(3).game, 7, rng=np.random.default_rng(0))
