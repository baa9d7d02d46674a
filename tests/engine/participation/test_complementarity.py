"""Equilibria of participation games: solver, boxes, all equilibria and uniqueness, against slow exact twins."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from neurogames.engine.participation import complementarity
from neurogames.engine.participation import rationalizable as boxes
from neurogames.engine.participation import uniqueness as eigenvalues
from neurogames.engine.participation.complementarity import solve_participation
from neurogames.engine.participation.efficiency import price_of_anarchy
from neurogames.engine.participation.participation_equilibria import participation_equilibria
from neurogames.engine.participation.rationalizable import rationalizable_box
from neurogames.engine.participation.uniqueness import participation_uniqueness
from neurogames.games.participation import ParticipationGame

seeds = st.integers(0, 10**6)


def random_game(seed, n=8, d=5, ridge=(0.2, 1.0), competition=1.0, blocks=None, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return ParticipationGame(
        rng.normal(0.5, 1.0, n),
        (rng.normal(size=(n, d)) / np.sqrt(d)).astype(dtype),
        ridge=rng.uniform(*ridge, n),
        price=0.05,
        competition=competition,
        blocks=blocks,
    )


def brute_force(game):
    """All isolated equilibria, by 3^n linear systems."""
    matrix, drive, n = game.matrix(), game.drive, game.n_players
    found = []
    for kinds in itertools.product((0, 1, 2), repeat=n):
        shares = np.array([1.0 if kind == 1 else 0.0 for kind in kinds])
        inner = [i for i in range(n) if kinds[i] == 2]
        if inner:
            block = matrix[np.ix_(inner, inner)]
            if np.linalg.cond(block) > 1e9:
                continue
            shares[inner] = np.linalg.solve(block, drive[inner] - matrix[inner] @ shares)
        slope = drive - matrix @ shares
        fits = all(
            (kind == 0 and slope[i] <= 1e-10)
            or (kind == 1 and slope[i] >= -1e-10)
            or (kind == 2 and -1e-10 <= shares[i] <= 1 + 1e-10)
            for i, kind in enumerate(kinds)
        )
        if fits and not any(np.abs(shares - other).max() < 1e-7 for other in found):
            found.append(shares)
    return np.array(found)


# --- one equilibrium


@given(seed=seeds, blocks=st.sampled_from([None, [0, 0, 0, 1, 1, 1, 1, 1], [0, 1, 0, 1, 0, 1, 0, 1]]))
def test_unique_equilibrium_maximises_the_potential(seed, blocks):
    game = random_game(seed, ridge=(0.6, 1.0), blocks=blocks)
    solution = solve_participation(game, tolerance=1e-11)
    twin = minimize(
        lambda s: -game.potential(np.clip(s, 0, 1)),
        np.full(8, 0.5),
        jac=lambda s: game.matrix() @ np.clip(s, 0, 1) - game.drive,
        bounds=[(0, 1)] * 8,
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10},
    )
    assert solution.status == "ok"
    assert solution.unique
    assert solution.regret <= 1e-18
    np.testing.assert_allclose(solution.profile, twin.x, atol=1e-5)
    assert game.potential(solution.profile) >= -twin.fun - 1e-10


@given(seed=seeds, competition=st.sampled_from([-1.5, 0.0, 3.0]))
def test_a_fixed_point_is_reached_whatever_the_curvature(seed, competition):
    """Also where M is indefinite, and from every start; the certificate is computed by other code."""
    game = random_game(seed, ridge=(0.05, 0.5), competition=competition)
    starts = np.concatenate([np.zeros((1, 8)), np.ones((1, 8)), np.random.default_rng(seed).random((2, 8))])
    before = starts.copy()
    solution = solve_participation(game, start=starts)
    assert solution.status == "ok"
    assert solution.profile.shape == (4, 8)
    assert (game.residual(solution.profile) <= 1e-9).all()
    assert (solution.regret <= 1e-15).all()
    assert (game.potential(solution.profile) >= game.potential(starts) - 1e-12).all()
    np.testing.assert_array_equal(starts, before)
    for row, profile in zip(starts, solution.profile, strict=True):
        np.testing.assert_array_equal(solve_participation(game, start=row).profile, profile)


def plain_gauss_seidel(game, sweeps):
    """Best responses in turn on the dense matrix: no skipping, no leaps."""
    matrix, s = game.matrix(), np.zeros(game.n_players)
    for _ in range(sweeps):
        for i in range(game.n_players):
            force = game.drive[i] - matrix[i] @ s + matrix[i, i] * s[i]
            s[i] = min(max(force / matrix[i, i], 0.0), 1.0)
    return s


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("blocks", [None, np.arange(60) % 3])
def test_skips_and_leaps_do_not_change_the_answer(dtype, blocks):
    game = random_game(3, n=60, d=10, ridge=(0.6, 0.9), blocks=blocks, dtype=dtype)
    solution = solve_participation(game, tolerance=1e-12)
    np.testing.assert_allclose(solution.profile, plain_gauss_seidel(game, 1500), atol=1e-9)


def test_leaps_solve_what_sweeps_alone_do_not(monkeypatch):
    """Many more players than dimensions: condition number in the hundreds."""
    game = random_game(0, n=3000, d=10, ridge=(0.55, 0.55))
    fast = solve_participation(game)
    assert fast.status == "ok"
    assert fast.iterations < 60
    monkeypatch.setattr(complementarity, "_SLOW", np.inf)
    slow = solve_participation(game, max_sweeps=10 * fast.iterations)
    assert slow.status.startswith("residual")
    assert game.residual(slow.profile) > 1e-9
    assert game.potential(slow.profile) < game.potential(fast.profile)


def test_nearly_parallel_factors_are_solved():
    rng = np.random.default_rng(4)
    factors = np.ones((400, 30)) + 1e-3 * rng.normal(size=(400, 30))
    game = ParticipationGame(rng.uniform(0, 30, 400), factors, 0.505, 0.1, 1.0)
    solution = solve_participation(game, tolerance=1e-10)
    assert solution.status == "ok"
    assert solution.unique


def test_unfinished_solve_says_so_with_its_true_regret():
    game = random_game(1, n=200, d=5, ridge=(0.51, 0.52))
    solution = solve_participation(game, max_sweeps=1)
    assert solution.status.startswith("residual after 1 sweeps")
    assert solution.regret == game.regret(solution.profile) > 1e-6


@pytest.mark.parametrize("competition", [0.0, 1.0, -1.0])
def test_zero_factors_and_zero_ridge_have_equilibria_too(competition):
    factors = [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]
    game = ParticipationGame([1.0, 0.5, 0.0, 0.5], factors, [1.0, 0.0, 0.0, 0.3], competition=competition)
    solution = solve_participation(game, start=0.25)
    assert solution.status == "ok"
    assert solution.profile[0] == 1.0
    assert solution.profile[2] == 0.25  # indifferent: it stays where it is


def test_uniqueness_is_only_claimed_when_known():
    assert solve_participation(random_game(0, ridge=(0.6, 0.7))).unique is True
    rivals = ParticipationGame([1.0, 1.0], [[1.0], [1.0]], ridge=0.25, competition=1.0)
    assert solve_participation(rivals).unique is None
    orthogonal = ParticipationGame([1.0, 1.0], np.eye(2), ridge=0.25, competition=1.0)
    assert solve_participation(orthogonal).unique is True
    indifferent = participation_uniqueness(ParticipationGame([0.0, 0.0], np.zeros((2, 1)), ridge=0.0))
    assert (indifferent.eigenvalue, indifferent.error, indifferent.unique) == (0.0, 0.0, None)


@pytest.mark.parametrize(
    "change", [{"start": [0.5]}, {"start": 2.0}, {"tolerance": 0.0}, {"max_sweeps": 0}, {"start": np.nan}]
)
def test_wrong_options_are_refused(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))}: got"):
        solve_participation(random_game(0), **change)


# --- uniqueness


@given(seed=seeds, competition=st.sampled_from([-0.7, 0.3, 1.0, 2.0]))
@settings(max_examples=20)
def test_lanczos_finds_the_dense_eigenvalue(seed, competition):
    game = random_game(seed, n=60, d=90, competition=competition, blocks=np.arange(60) % 2)
    dense = participation_uniqueness(game)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eigenvalues, "_DENSE", 0)
        lanczos = participation_uniqueness(game)
    assert dense.eigenvalue == pytest.approx(float(np.linalg.eigvalsh(game.matrix())[0]), abs=1e-12)
    assert lanczos.eigenvalue == pytest.approx(dense.eigenvalue, abs=1e-9)
    assert lanczos.unique == dense.unique
    assert dense.error < 1e-10


# --- the rationalisable box


def exact_rounds(game, rounds):
    """Iterated interval best responses, term by term."""
    matrix = game.matrix()
    off, c = matrix - np.diag(np.diag(matrix)), np.diag(matrix)
    low, high = np.zeros(len(c)), np.ones(len(c))
    for _ in range(rounds):
        least = game.drive - np.where(off > 0, off * high, off * low).sum(axis=1)
        most = game.drive - np.where(off > 0, off * low, off * high).sum(axis=1)
        low, high = np.clip(least / c, 0, 1), np.clip(most / c, 0, 1)
    return low, high


@given(seed=seeds, competition=st.sampled_from([-0.5, 0.2, 1.0]), rounds=st.integers(1, 6))
def test_box_is_the_iterated_interval_best_response(seed, competition, rounds):
    game = random_game(seed, competition=competition, blocks=[0, 0, 0, 0, 0, 1, 1, 1])
    box = rationalizable_box(game, max_rounds=rounds, tolerance=1e-10)
    low, high = exact_rounds(game, box.rounds)
    np.testing.assert_allclose(box.lower, low, atol=1e-11)
    np.testing.assert_allclose(box.upper, high, atol=1e-11)
    assert (box.lower <= low + 1e-16).all()  # rounded outwards
    assert (box.upper >= high - 1e-16).all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boxes, "_DENSE", 0)
        patch.setattr(boxes, "_CHUNK", 3)
        chunked = rationalizable_box(game, max_rounds=rounds, tolerance=1e-10)
    np.testing.assert_allclose(chunked.lower, box.lower, atol=1e-12)
    np.testing.assert_allclose(chunked.upper, box.upper, atol=1e-12)
    np.testing.assert_array_equal(chunked.decided, box.decided)


@given(seed=seeds, competition=st.sampled_from([-1.0, 0.5, 2.0]))
def test_every_equilibrium_lies_in_the_box(seed, competition):
    game = random_game(seed, n=5, d=3, ridge=(0.1, 0.6), competition=competition)
    box = rationalizable_box(game)
    found = participation_equilibria(game).profiles
    assert (found >= box.lower - 1e-8).all()
    assert (found <= box.upper + 1e-8).all()
    if box.dominance_solvable:
        assert found.shape[0] == 1
        np.testing.assert_allclose(found[0], box.upper, atol=1e-7)


def test_weak_competition_is_dominance_solvable_and_rounds_are_told():
    game = random_game(2, n=30, d=40, ridge=(1.0, 2.0), competition=0.1)
    box = rationalizable_box(game)
    assert box.dominance_solvable
    assert box.status == "ok"
    np.testing.assert_allclose(box.lower, solve_participation(game).profile, atol=1e-7)
    assert box.decided.min() >= 1
    assert box.decided.max() == box.rounds
    early = rationalizable_box(game, max_rounds=int(box.decided.min()))
    np.testing.assert_array_equal(early.decided > 0, box.decided == box.decided.min())


def test_players_without_curvature_take_an_end_or_anything():
    """A linear payoff: the best response to a force > 0 is 1, to one < 0 is 0, and to none all of [0, 1]."""
    game = ParticipationGame([0.5, -0.5, 0.0], np.zeros((3, 1)), ridge=0.0)
    forces = game.drive
    np.testing.assert_array_equal(boxes._reply(game, forces, lowest=True), [1, 0, 0])
    np.testing.assert_array_equal(boxes._reply(game, forces, lowest=False), [1, 0, 1])
    box = rationalizable_box(game)
    np.testing.assert_array_equal(box.lower, [1, 0, 0])
    np.testing.assert_array_equal(box.upper, [1, 0, 1])


def test_rivals_are_not_dominance_solvable():
    rivals = ParticipationGame([1.0, 1.0], [[1.0], [1.0]], ridge=0.25, competition=1.0)
    box = rationalizable_box(rivals)
    assert not box.dominance_solvable
    np.testing.assert_allclose([box.lower, box.upper], [[0, 0], [1, 1]], atol=1e-12)
    np.testing.assert_array_equal(box.decided, 0)


# --- all equilibria


@given(
    seed=seeds,
    n=st.integers(1, 6),
    d=st.integers(1, 6),
    competition=st.sampled_from([-1.0, 0.5, 1.5, 4.0]),
    least=st.sampled_from([0.0, 0.02, 0.3]),
)
@settings(max_examples=60)
def test_search_finds_what_all_supports_give(seed, n, d, competition, least):
    game = random_game(seed, n=n, d=d, ridge=(least, 2 * least), competition=competition)
    found = participation_equilibria(game)
    expected = brute_force(game)
    assert found.complete
    assert found.status == "ok"
    assert found.profiles.shape == expected.shape
    assert found.profiles.shape[0] % 2 == 1  # the index theorem: generic games have an odd number
    distance = np.abs(found.profiles[:, None] - expected[None]).max(axis=2)
    assert (distance.min(axis=0) < 1e-9).all()
    assert (found.regret <= 1e-15).all()
    assert (np.diff(found.potential) <= 1e-11).all()


def test_twenty_players_are_enumerated():
    game = random_game(7, n=20, d=20, ridge=(0.1, 0.1))
    found = participation_equilibria(game)
    assert found.method == "enumerated"
    assert found.complete
    assert found.profiles.shape[0] % 2 == 1
    assert (found.regret <= 1e-14).all()
    reached = solve_participation(game, start=np.random.default_rng(0).random((30, 20))).profile
    distance = np.abs(reached[:, None] - found.profiles[None]).max(axis=2).min(axis=1)
    assert (distance < 1e-7).all()


def test_a_search_that_is_given_up_says_so():
    found = participation_equilibria(random_game(7, n=15, d=3, ridge=(0.1, 0.1)), max_nodes=5)
    assert not found.complete
    assert found.status == "search given up after 5 nodes"
    with pytest.raises(ValueError, match="max_nodes: got 0, expected an integer >= 1"):
        participation_equilibria(random_game(7, n=2, d=1, ridge=(0.1, 0.1)), max_nodes=0)
    assert participation_equilibria(random_game(7, n=2, d=1, ridge=(0.1, 0.1)), max_nodes=1).profiles.shape[1] == 2


def test_a_continuum_is_not_passed_off_as_points():
    """Two copies of one neuron with 2 beta = eta: only the sum of their shares matters."""
    twins = ParticipationGame([0.8, 0.8], [[1.0], [1.0]], ridge=0.5, competition=1.0)
    found = participation_equilibria(twins)
    assert found.continuum.all()
    np.testing.assert_allclose(found.profiles.sum(axis=1), 0.8, atol=1e-9)
    ends = found.profiles[np.lexsort(found.profiles.T[::-1])]
    np.testing.assert_allclose(ends[[0, -1]], [[0.0, 0.8], [0.8, 0.0]], atol=1e-9)


def test_above_twenty_players_the_result_says_what_it_is():
    single = participation_equilibria(random_game(1, n=40, ridge=(0.6, 0.7)))
    assert (single.method, single.complete, len(single.profiles)) == ("unique", True, 1)
    game = random_game(1, n=40, ridge=(0.1, 0.1))
    sampled = participation_equilibria(game, starts=np.random.default_rng(0).random((25, 40)))
    assert sampled.method == "sampled"
    assert not sampled.complete
    assert sampled.status == "a sample: best responses from 25 starts"
    assert (sampled.regret <= 1e-12).all()
    assert 1 <= len(participation_equilibria(game).profiles) <= 3
    with pytest.raises(ValueError, match="starts: got"):
        participation_equilibria(game, starts=np.zeros(40))
    with pytest.raises(ValueError, match="starts: got"):
        participation_equilibria(random_game(1), starts=np.zeros((1, 8)))


@given(seed=seeds, competition=st.sampled_from([-0.3, 0.5, 2.0]))
@settings(max_examples=15)
def test_no_sampled_profile_has_more_welfare_than_the_optimum(seed, competition):
    game = random_game(seed, n=5, d=3, ridge=(0.1, 0.5), competition=competition)
    result = price_of_anarchy(game)
    profiles = np.random.default_rng(seed).random((3000, 5))
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=5)))
    best = game.welfare(result.optimum)
    assert game.welfare(np.concatenate([profiles, corners])).max() <= best + 1e-12
    assert result.complete
    assert 1.0 - 1e-12 <= result.stability <= result.anarchy
    worst = participation_equilibria(game).welfare.min()
    assert worst >= -1e-12
    if worst > 1e-9:
        assert result.anarchy == pytest.approx(best / worst)


def test_nothing_to_gain_has_price_one():
    assert price_of_anarchy(ParticipationGame([-1.0, -1.0], np.eye(2), 1.0)).anarchy == 1.0
