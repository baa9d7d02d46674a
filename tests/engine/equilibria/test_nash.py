from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogames.engine.equilibria.bimatrix import extreme_equilibria
from neurogames.engine.equilibria.dictionaries import positive
from neurogames.engine.equilibria.exact_vertices import exact_vertices
from neurogames.engine.equilibria.nash import lemke_howson, solve_nash
from neurogames.engine.equilibria.vertices import vertices
from neurogames.games.normal_form import NormalFormGame
from neurogames.games.replies import regret


def exact_solve(rows, values):
    """Gauss-Jordan in fractions; None if singular."""
    a = [[*map(Fraction, row), Fraction(value)] for row, value in zip(rows, values, strict=True)]
    size = len(a)
    for c in range(size):
        pivot = next((r for r in range(c, size) if a[r][c] != 0), None)
        if pivot is None:
            return None
        a[c], a[pivot] = a[pivot], a[c]
        a[c] = [entry / a[c][c] for entry in a[c]]
        for r in range(size):
            if r != c and a[r][c] != 0:
                a[r] = [x - a[r][c] * y for x, y in zip(a[r], a[c], strict=True)]
    return tuple(row[-1] for row in a)


def brute_vertices(matrix):
    """All vertices of {z >= 0, M z <= 1} with their tight constraints, by trying every basis."""
    q, d = len(matrix), len(matrix[0])
    matrix = [[Fraction(value) for value in row] for row in matrix]
    rows = [[int(i == c) for c in range(d)] for i in range(d)] + [list(row) for row in matrix]
    found = {}
    for chosen in combinations(range(d + q), d):
        z = exact_solve([rows[k] for k in chosen], [0 if k < d else 1 for k in chosen])
        if z is None or min(z) < 0:
            continue
        slack = [1 - sum(m * x for m, x in zip(row, z, strict=True)) for row in matrix]
        if min(slack) >= 0:
            found[z] = frozenset(k for k, value in enumerate([*z, *slack]) if value == 0)
    return found


def exact_extreme_equilibria(a, b):
    """Slow exact twin: pairs of vertices that have all labels."""
    m, n = a.shape
    first = brute_vertices((b.T - b.min() + 1).tolist())
    second = brute_vertices((a - a.min() + 1).tolist())
    pairs = set()
    for x, labels in first.items():
        for y, tight in second.items():
            turned = {m + k if k < n else k - n for k in tight}
            if any(x) and len(labels | turned) == m + n:
                pairs.add((tuple(v / sum(x) for v in x), tuple(v / sum(y) for v in y)))
    degenerate = any(len(t) > m for t in first.values()) or any(len(t) > n for t in second.values())
    return pairs, degenerate


def as_set(profiles):
    return {tuple(map(tuple, (x.round(9) + 0.0, y.round(9) + 0.0))) for x, y in profiles}


@settings(max_examples=60)
@given(st.integers(0, 10**9), st.integers(1, 4), st.integers(1, 4), st.sampled_from([2, 4, 50]))
def test_extreme_equilibria_equal_those_of_exact_arithmetic(seed, m, n, high):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, high, (2, m, n))
    expected, degenerate = exact_extreme_equilibria(a, b)
    found = solve_nash(NormalFormGame((a, b)))
    assert found.complete
    assert found.status == "ok"
    assert found.degenerate == degenerate
    assert as_set(found) == {tuple(tuple(round(float(v), 9) for v in part) for part in profile) for profile in expected}
    assert len(found) == len(expected)
    assert found.regret.max() <= 1e-12
    assert found.unique == (len(expected) == 1)


@settings(max_examples=30)
@given(st.integers(0, 10**9), st.integers(2, 4), st.sampled_from([20, 28, 36]))
def test_games_a_hair_from_degenerate_are_solved_exactly(seed, m, bits):
    rng = np.random.default_rng(seed)
    # Dyadic, so that the twin's shift of the payoffs is exact.
    a, b = rng.integers(0, 3, (2, m, 3)) + rng.integers(-8, 9, (2, m, 3)) * 2.0**-bits
    expected, degenerate = exact_extreme_equilibria(a, b)
    found = solve_nash(NormalFormGame((a, b)))
    assert found.status == "ok"
    assert found.degenerate == degenerate
    assert len(found) == len(expected)
    assert as_set(found) == {tuple(tuple(round(float(v), 9) for v in part) for part in profile) for profile in expected}


def test_rounding_is_not_left_to_decide():
    nearly = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5 + 1e-11]])
    found = solve_nash(NormalFormGame((nearly, np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))))
    assert found.method == "exact vertices"
    assert found.degenerate is False
    assert sum(found.index) == 1
    assert solve_nash(NormalFormGame.zero_sum(np.eye(3))).method == "vertices"


@given(st.integers(0, 10**9), st.integers(1, 4), st.integers(1, 4), st.sampled_from([2, 3, 100]))
def test_the_walk_in_integers_is_the_walk_in_floats(seed, q, d, high):
    rng = np.random.default_rng(seed)
    payoffs = rng.integers(0, high, (q, d)).astype(float)
    fast, slow = vertices(positive(payoffs), 10_000), exact_vertices(payoffs, 10_000)
    assert fast.complete
    assert slow.complete
    assert fast.clear
    one = {
        tuple(tight): tuple(z / max(z.sum(), 1e-9)) for tight, z in zip(fast.tight.tolist(), fast.points, strict=True)
    }
    other = {tuple(tight): tuple(z) for tight, z in zip(slow.tight.tolist(), slow.points, strict=True)}
    assert one.keys() == other.keys()
    assert all(one[key] == pytest.approx(other[key], abs=1e-12) for key in one)
    signs = {tuple(basis): sign for basis, sign in zip(fast.cobasic.tolist(), fast.sign.tolist(), strict=True)}
    assert signs == dict(zip(map(tuple, slow.cobasic.tolist()), slow.sign.tolist(), strict=True))


def test_the_walk_in_integers_stops_where_told():
    rng = np.random.default_rng(0)
    found = exact_vertices(rng.random((5, 5)), 7)
    assert not found.complete
    assert len(found.points) == 7


@given(st.integers(0, 10**9))
def test_every_mixture_within_a_nash_subset_is_an_equilibrium(seed):
    rng = np.random.default_rng(seed)
    game = NormalFormGame(rng.integers(0, 2, (2, 3, 4)))
    found = solve_nash(game)
    for subset in found.subsets:
        weights = rng.dirichlet(np.ones(len(subset)), size=2)
        x = sum(w * found[k][0] for w, k in zip(weights[0], subset, strict=True))
        y = sum(w * found[k][1] for w, k in zip(weights[1], subset, strict=True))
        assert regret(game, (x, y)) <= 1e-12


@given(st.integers(0, 10**9))
def test_nash_subsets_are_maximal_and_cover_all_extreme_equilibria(seed):
    rng = np.random.default_rng(seed)
    found = solve_nash(NormalFormGame(rng.integers(0, 2, (2, 4, 3))))
    sets = [frozenset(subset) for subset in found.subsets]
    assert frozenset().union(*sets) == set(range(len(found)))
    assert not any(one < other for one in sets for other in sets)
    groups = [set(group) for group in found.components]
    assert sorted(k for group in groups for k in group) == list(range(len(found)))
    assert all(any(subset <= group for group in groups) for subset in sets)


@given(st.integers(0, 10**9), st.integers(2, 6), st.integers(2, 6))
def test_indices_of_a_generic_game_add_up_to_one(seed, m, n):
    rng = np.random.default_rng(seed)
    game = NormalFormGame(rng.random((2, m, n)))
    found = solve_nash(game)
    assert sum(found.index) == 1
    for (x, y), index in zip(found, found.index, strict=True):
        i, j = x > 0, y > 0
        assert i.sum() == j.sum()
        a, b = (tensor[np.ix_(i, j)] for tensor in game.payoffs)
        sign = np.sign(np.linalg.det(a + 1)) * np.sign(np.linalg.det(b + 1))
        assert index == (-1) ** (i.sum() + 1) * sign


@given(st.integers(0, 10**9), st.sampled_from([2, 3, 1000]))
def test_every_lemke_howson_path_ends_in_an_equilibrium(seed, high):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 8, 2))
    game = NormalFormGame(rng.integers(0, high, (2, *shape)))
    for label in range(sum(shape)):
        found = lemke_howson(game, label)
        assert found.status == "ok"
        assert len(found) == 1
        assert found.regret[0] <= 1e-12 * max(1.0, game.payoff_range)
        assert not found.complete


def test_lemke_howson_paths_end_at_distinct_members_of_the_full_list():
    rng = np.random.default_rng(7)
    for _ in range(20):
        game = NormalFormGame(rng.random((2, 6, 6)))
        paths = solve_nash(game, "lemke_howson")
        everything, ends = as_set(solve_nash(game)), as_set(paths)
        assert ends <= everything
        assert len(ends) == len(paths)


@pytest.mark.parametrize("labels", [64, 65, 73])
def test_games_with_more_labels_than_a_word_has_bits_are_solved(labels):
    rng = np.random.default_rng(5)
    game = NormalFormGame(rng.random((2, 3, labels - 3)))
    found = solve_nash(game)
    assert found.complete
    assert sum(found.index) == 1
    assert found.regret.max() <= 1e-12
    twin = solve_nash(NormalFormGame((game.payoffs[1].T, game.payoffs[0].T)))
    assert as_set(found) == as_set((x, y) for y, x in twin)


def test_payoffs_may_be_shifted_for_each_action_of_the_opponent_and_scaled():
    rng = np.random.default_rng(11)
    a, b = rng.random((2, 5, 5))
    moved = NormalFormGame((1e6 * (a + rng.random(5)), 1e-6 * (b + 100 * rng.random((5, 1)))))
    assert {k[0] for k in as_set(solve_nash(moved))} == {k[0] for k in as_set(solve_nash(NormalFormGame((a, b))))}


def test_an_incomplete_walk_claims_nothing():
    rng = np.random.default_rng(2)
    found = extreme_equilibria(NormalFormGame(rng.random((2, 6, 6))), 20)
    assert not found.complete
    assert found.degenerate is None


def test_where_the_polytopes_are_too_large_paths_and_pure_equilibria_remain(monkeypatch):
    monkeypatch.setattr("neurogames.engine.equilibria.nash._MOST_BASES", 30)
    rng = np.random.default_rng(2)
    game = NormalFormGame(rng.random((2, 6, 6)))
    found = solve_nash(game)
    assert not found.complete
    assert found.unique is not True
    assert "more vertices than" in found.status
    assert len(found) >= 1
    assert found.regret.max() <= 1e-12
    assert found.subsets is None


def test_vertices_are_those_of_exact_arithmetic():
    rng = np.random.default_rng(8)
    for _ in range(10):
        matrix = rng.integers(1, 4, (4, 3))
        found = vertices(matrix.astype(float), 10_000)
        assert {tuple(z.round(9) + 0.0) for z in found.points} == {
            tuple(round(float(v), 9) for v in z) for z in brute_vertices(matrix.tolist())
        }


def test_positive_matrices_keep_best_replies():
    rng = np.random.default_rng(9)
    matrix = 100 * rng.normal(size=(5, 4))
    scaled = positive(matrix)
    assert scaled.min() == 1.0
    assert scaled.max() == 2.0
    mixtures = rng.dirichlet(np.ones(4), 50)
    assert np.array_equal((mixtures @ matrix.T).argmax(axis=1), (mixtures @ scaled.T).argmax(axis=1))


@pytest.mark.parametrize("shape", [(3, 2, 3), (2, 2, 2, 2, 2)])
def test_equilibria_of_large_games_of_more_players_are_certified_and_never_called_complete(shape):
    rng = np.random.default_rng(4)
    for _ in range(5):
        game = NormalFormGame([rng.random(shape) for _ in shape])
        found = solve_nash(game)
        assert len(found) >= 1
        assert found.status == "ok"
        assert not found.complete
        assert found.unique is not True
        assert found.regret.max() <= 1e-9
        for profile, value in zip(found, found.regret, strict=True):
            assert value == regret(game, profile)


def test_one_player_takes_his_best_actions():
    found = solve_nash(NormalFormGame([[1.0, 3.0, 3.0]]))
    assert len(found) == 2
    assert found.complete
    assert found.components == ((0, 1),)
    assert solve_nash(NormalFormGame([[1.0, 3.0]])).unique


@pytest.mark.parametrize("method", ["auto", "vertices", "lemke_howson", "pure", "logit"])
def test_solvers_leave_the_game_as_it_was(method):
    rng = np.random.default_rng(1)
    payoffs = rng.random((2, 3, 3))
    game = NormalFormGame(payoffs.copy())
    solve_nash(game, method)
    assert np.array_equal(np.stack(game.payoffs), payoffs)


def test_unknown_methods_and_labels_are_refused():
    game = NormalFormGame.zero_sum(np.eye(2))
    with pytest.raises(ValueError, match="method: got 'magic'"):
        solve_nash(game, "magic")
    with pytest.raises(ValueError, match="label: got 4"):
        lemke_howson(game, 4)
    three = NormalFormGame([np.zeros((2, 2, 2))] * 3)
    with pytest.raises(ValueError, match="for a game of 3 players"):
        solve_nash(three, "vertices")
    with pytest.raises(ValueError, match="3 players"):
        lemke_howson(three)


def test_the_logit_limit_of_one_player_is_not_taken_for_all_best_actions():
    found = solve_nash(NormalFormGame([[1.0, 2.0, 2.0]]), "logit")
    assert len(found) == 1
    assert found.unique is None
    assert not found.complete


def test_payoffs_that_differ_by_little_are_not_merged_into_a_degenerate_game():
    game = NormalFormGame(([[1e12, 0.0], [0.0, 1e-6]], [[1e-6, 0.0], [0.0, 1e12]]))
    found = solve_nash(game)
    assert (found.method, found.degenerate, sorted(found.index), len(found)) == ("exact vertices", False, [-1, 1, 1], 3)
