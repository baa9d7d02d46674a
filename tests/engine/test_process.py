"""Processes, rules and schedules: what they mean at the edges, and what they refuse."""

from __future__ import annotations

import pickle

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.engine import (
    Process,
    best_response,
    constant,
    cosine,
    geometric,
    imitation,
    linear,
    logit,
    piecewise,
    replicator,
    switching,
)
from neurogames.engine.process import limit_switching
from neurogames.games import PublicGoodsGame, SymmetricGame

GAME = PublicGoodsGame(20, 0.4, 1.0)


@given(gain=st.floats(-5, 5), temperature=st.floats(1e-3, 10), keep=st.floats(0.01, 1.0))
def test_logarithms_are_exact_far_out_in_the_tails(gain, temperature, keep):
    game = SymmetricGame([gain, gain])
    for masked in ("hold", "blind"):
        rates = switching(game, Process(logit(temperature), "one", keep, masked))
        with mp.workdps(60):
            seen = 1 / (1 + mp.exp(-mp.mpf(gain) / mp.mpf(temperature)))
            without = mp.mpf(0) if masked == "hold" else mp.mpf(1) / 2
            on = mp.mpf(keep) * seen + (1 - mp.mpf(keep)) * without
            off = mp.mpf(keep) * (1 - seen) + (1 - mp.mpf(keep)) * without
            for log, chance in (
                (rates.log_on, on),
                (rates.log_off, off),
                (rates.log_not_on, 1 - on),
                (rates.log_not_off, 1 - off),
            ):
                if chance > mp.mpf(10) ** -50:
                    expected = mp.log(chance)
                else:  # 1 - on cancels in 60 digits; on and off are complements where nobody is masked
                    continue
                assert abs(mp.mpf(float(log[0])) - expected) < 1e-15 * max(1, abs(expected)) * 8


def test_cold_logit_is_best_response():
    cold, best = (switching(GAME, Process(choice)) for choice in (logit(1e-12), best_response()))
    np.testing.assert_allclose(np.exp(cold.log_on), np.exp(best.log_on))
    np.testing.assert_allclose(np.exp(cold.log_off), np.exp(best.log_off))


def test_an_indifferent_best_responder_tosses_a_coin():
    rates = switching(SymmetricGame([0.0, 0.0]), Process(best_response()))
    np.testing.assert_array_equal(np.exp(rates.log_on), 0.5)
    np.testing.assert_array_equal(np.exp(rates.log_off), 0.5)


def test_without_selection_imitation_is_the_voter_model_at_half_speed():
    rates = switching(GAME, Process(imitation(0.0)))
    np.testing.assert_allclose(np.exp(rates.log_on), np.arange(20) / 19 / 2)
    np.testing.assert_allclose(np.exp(rates.log_off), np.arange(20)[::-1] / 19 / 2)


@pytest.mark.parametrize("rule", [logit(0.3), best_response(), imitation(2.0), replicator()])
@pytest.mark.parametrize("masked", ["hold", "blind"])
def test_in_a_large_population_the_switching_is_that_of_the_limit(rule, masked):
    share = np.array([0.1, 0.3, 0.5, 0.9])
    game = PublicGoodsGame(100_001, 0.4, 1.0)
    process = Process(rule, "one", 0.7, masked)
    rates, limit = switching(game, process), limit_switching(game, process, share)
    at = np.rint(share * 100_000).astype(int)
    for name in ("log_on", "log_not_on", "log_off", "log_not_off"):
        np.testing.assert_allclose(np.exp(getattr(rates, name)[at]), np.exp(getattr(limit, name)), atol=2e-5)


def test_proportional_imitation_does_not_depend_on_the_unit_of_payoffs():
    base = SymmetricGame([-1.0, 0.5, 2.0], [0.0, 1.0, 0.3])
    scaled = SymmetricGame(7 * base.gain, 7 * base.baseline + 3)
    one, other = (switching(game, Process(replicator())) for game in (base, scaled))
    np.testing.assert_allclose(np.exp(one.log_on), np.exp(other.log_on), atol=1e-14)


def test_a_blind_replicator_stays():
    seen, masked = (switching(GAME, Process(replicator(), "one", 0.3, masked)) for masked in ("hold", "blind"))
    np.testing.assert_allclose(seen.log_on, masked.log_on)


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (constant(0.3), [0.3, 0.3, 0.3]),
        (linear(0.2, 1.0), [0.2, 0.6, 1.0]),
        (geometric(4.0, 1.0), [4.0, 2.0, 1.0]),
        (cosine(1.0, 0.0), [1.0, 0.5, 0.0]),
        (piecewise([(0.25, 1.0), (0.75, 3.0)]), [1.0, 2.0, 3.0]),
    ],
)
def test_schedules_run_from_start_to_end_take_arrays_and_pickle(schedule, values):
    np.testing.assert_allclose(schedule([0.0, 0.5, 1.0]), values, atol=1e-15)
    np.testing.assert_allclose(schedule(np.array([[0.0], [0.5]])), [[values[0]], [values[1]]], atol=1e-15)
    assert float(schedule(0.5)) == pytest.approx(values[1])
    twin = pickle.loads(pickle.dumps(schedule))  # noqa: S301
    np.testing.assert_array_equal(twin([0.1, 0.9]), schedule([0.1, 0.9]))


def test_a_matrix_of_mutation_becomes_rows_that_can_be_compared():
    assert Process(logit(0.1), mutation=[[1, 0], [0.25, 0.75]]).mutation == ((1.0, 0.0), (0.25, 0.75))
    assert Process(logit(0.1), mutation=0).mutation == 0.0


def test_any_function_of_progress_is_a_schedule():
    process = Process(logit(lambda progress: 1.0 - 0.5 * progress))
    assert not process.constant
    rates = switching(GAME, process, progress=1.0)
    np.testing.assert_allclose(rates.log_on, switching(GAME, Process(logit(0.5))).log_on)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: logit(0.0), "temperature: got 0.0, expected a temperature > 0"),
        (lambda: logit("cold"), "temperature: got 'cold'"),
        (lambda: imitation(-1.0), "intensity: got -1.0"),
        (lambda: Process(logit(0.1), keep_prob=0.0), r"keep_prob: got 0.0, expected a probability in \(0, 1\]"),
        (lambda: Process(logit(0.1), keep_prob=1.5), "keep_prob: got 1.5"),
        (lambda: Process(logit(0.1), revision="both"), "revision: got 'both', expected 'one' or 'all'"),
        (lambda: Process(logit(0.1), masked="drop"), "masked: got 'drop', expected 'hold' or 'blind'"),
        (lambda: Process(0.1), "choice: got 0.1, expected a choice rule"),
        (lambda: Process(logit(0.1), mutation=1.0), "mutation: got 1.0, expected a rate in"),
        (lambda: Process(logit(0.1), mutation=[[0.5, 0.4], [0, 1]]), "mutation: got .*expected a square matrix"),
        (lambda: Process(logit(0.1), mutation=np.ones((1, 2)) / 2), "mutation: got .*expected a square matrix"),
        (lambda: geometric(0.0, 1.0), "start: got 0.0"),
        (lambda: piecewise([(0.5, 1.0), (0.2, 1.0)]), "points"),
        (lambda: piecewise([(0.5, 1.0, 2.0)]), "points"),
        (lambda: linear(np.nan, 1.0), "start: got nan"),
    ],
)
def test_wrong_arguments_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
