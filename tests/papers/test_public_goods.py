"""The public goods game of the gradient-dropout paper (arXiv 2507.19143): its tipping point and what follows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.engine import Process, escape_times, logit, mean_field, population_chain
from neurogames.games import PublicGoodsGame

GAME = PublicGoodsGame(20, cost=0.4, multiplier=1.0)
TEMPERATURE = 0.08
ONE, ALL, BLIND = ("one", "hold"), ("all", "hold"), ("one", "blind")

# Expected sweeps from C = 0 to C >= 14, with as many digits as are given.
ESCAPES = [
    (ONE, 1.0, "729"),
    (ONE, 0.5, "1458"),
    (ONE, 0.4, "1823"),
    (ONE, 0.1, "7292"),
    (ALL, 1.0, "19348"),
    (ALL, 0.5, "3930"),
    (ALL, 0.4, "3836"),
    (ALL, 0.1, "8534"),
    (BLIND, 0.9, "31"),
    (BLIND, 0.5, "4.9"),
    (BLIND, 0.1, "7.0"),
]


@pytest.mark.parametrize(("meaning", "keep", "published"), ESCAPES)
def test_escape_table_to_the_digits_given(meaning, keep, published):
    revision, masked = meaning
    chain = population_chain(GAME, Process(logit(TEMPERATURE), revision, keep, masked))
    time = chain.escape_time(0, 14)
    digits = len(published.split(".")[1]) if "." in published else 0
    assert f"{time.sweeps:.{digits}f}" == published
    assert time.residual < 1e-12


@pytest.mark.parametrize(("meaning", "keep"), [(meaning, keep) for meaning, keep, _ in ESCAPES])
def test_escape_table_is_what_agents_do(meaning, keep):
    revision, masked = meaning
    process = Process(logit(TEMPERATURE), revision, keep, masked)
    exact = population_chain(GAME, process).escape_time(0, 14).sweeps
    rng = np.random.default_rng(11)
    seen = escape_times(GAME, process, start=0, target=14, replicas=400, max_sweeps=400_000, rng=rng)
    assert not seen.censored.any()
    assert abs(seen.mean - exact) < 4.5 * seen.stderr


def test_all_at_once_escape_is_fastest_at_an_intermediate_keep():
    keeps = np.round(np.arange(0.05, 1.0001, 0.05), 2)
    times = [
        population_chain(GAME, Process(logit(TEMPERATURE), "all", keep)).escape_time(0, 14).sweeps for keep in keeps
    ]
    assert 0.35 <= keeps[int(np.argmin(times))] <= 0.5
    assert times[-1] > 5 * min(times)


@given(n=st.integers(2, 300), cost=st.floats(0.05, 3), kappa=st.floats(0.1, 5))
def test_tipping_point_is_cost_times_players_over_multiplier(n, cost, kappa):
    game = PublicGoodsGame(n, cost, kappa)
    stated = cost * n / kappa
    if 1 + 1e-9 < stated < n - 1e-9:
        np.testing.assert_allclose(game.tipping_point, stated, rtol=1e-13)
    counts = np.arange(1, n + 1)
    clear = np.abs(counts - stated) > 1e-9
    np.testing.assert_array_equal((game.gain > 0)[clear], (counts >= stated)[clear])


@given(n=st.integers(2, 300), cost=st.floats(0.05, 3), kappa=st.floats(0.1, 5))
def test_both_extremes_are_strict_between_the_two_bounds_on_cost(n, cost, kappa):
    game = PublicGoodsGame(n, cost, kappa)
    strict = set(game.strict_equilibria().tolist())
    if min(abs(cost - kappa / n), abs(cost - kappa)) > 1e-9:
        assert (strict == {0, n}) == (kappa / n < cost < kappa)
    counts = np.arange(n + 1)
    np.testing.assert_allclose(game.potential(), kappa * counts * (counts + 1) / (2 * n) - cost * counts, atol=1e-9)
    border = kappa * (n + 1) / (2 * n)
    if kappa / n < cost < kappa and abs(cost - border) > 1e-9:
        assert game.risk_dominant() == (n if cost < border else 0)


def test_at_the_border_of_risk_dominance_neither_is():
    assert PublicGoodsGame(20, cost=0.525, multiplier=1.0).risk_dominant() is None


def test_barrier_from_all_detour_is_about_half_of_cost_squared_over_multiplier():
    game = PublicGoodsGame(10_000, cost=0.4, multiplier=1.0)
    np.testing.assert_allclose(-game.potential().min(), 10_000 * 0.4**2 / 2, rtol=1e-3)


def test_escape_time_grows_with_the_barrier_of_the_free_energy():
    """At keep 1 log escape time and the free-energy barrier F differ by less than a power of N."""
    for n in (200, 2000, 20_000):
        game = PublicGoodsGame(n, cost=0.4, multiplier=1.0)
        chain = population_chain(game, Process(logit(TEMPERATURE)))
        law = chain.stationary().log_probability
        saddle = round(mean_field(game, Process(logit(TEMPERATURE))).equilibria()[1].share * n)
        barrier = law[:saddle].max() - law[saddle]
        assert abs(chain.escape_time(0, int(0.7 * n)).log_sweeps - barrier) < 2 * np.log(n)


@given(tau=st.floats(0.01, 0.24), kappa=st.floats(0.5, 3), keep=st.floats(0.1, 1.0))
def test_folds_in_closed_form_are_where_the_number_of_equilibria_changes(tau, kappa, keep):
    process = Process(logit(tau * kappa), keep_prob=keep, masked="blind")
    folds = mean_field(PublicGoodsGame(20, 0.5 * kappa, kappa), process).folds()
    assert len(folds) == (2 if 4 * tau < keep else 0)
    for fold, inward in zip(folds, (1, -1), strict=False):
        gap = folds[1] - folds[0]
        if gap < 1e-2 * kappa:
            continue
        for step, number in ((inward * gap / 50, 3), (-inward * gap / 50, 1)):
            if fold + step > 0:
                game = PublicGoodsGame(20, fold + step, kappa)
                assert len(mean_field(game, process).equilibria()) == number


def test_critical_keep_is_where_the_detour_disappears():
    critical = mean_field(GAME, Process(logit(TEMPERATURE), masked="blind")).critical_keep_prob()
    for keep, number in ((critical * 1.001, 3), (critical * 0.999, 1)):
        found = mean_field(GAME, Process(logit(TEMPERATURE), keep_prob=keep, masked="blind")).equilibria()
        assert len(found) == number
    assert found[0].share > 0.5
    fold = mean_field(GAME, Process(logit(TEMPERATURE), keep_prob=critical, masked="blind")).folds()[0]
    np.testing.assert_allclose(fold, GAME.cost, atol=1e-14)


@pytest.mark.parametrize("cost", [0.2, 0.6])
def test_no_critical_keep_where_there_is_no_detour_to_lose_or_none_that_masking_removes(cost):
    process = Process(logit(TEMPERATURE), masked="blind")
    assert mean_field(PublicGoodsGame(20, cost, 1.0), process).critical_keep_prob() is None


def test_keeping_more_and_more_lands_in_composition():
    """Lowering keep removes the detour for c < kappa/2, and raising it again leaves everybody composing."""
    from neurogames.engine import linear

    annealed = Process(logit(TEMPERATURE), keep_prob=linear(0.3, 1.0), masked="blind")
    plain = Process(logit(TEMPERATURE))
    assert population_chain(GAME, annealed).transient(0, 40).mean_share() > 0.95
    assert population_chain(GAME, plain).transient(0, 40).mean_share() < 0.1
