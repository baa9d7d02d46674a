"""Simulated paths: what they keep to, whatever is drawn. Their laws are tested in test_laws.py."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from neurogames.engine import (
    Process,
    best_response,
    escape_times,
    imitation,
    linear,
    logit,
    population_chain,
    simulate,
)
from neurogames.games import PublicGoodsGame, SymmetricGame

GAME = PublicGoodsGame(20, 0.4, 1.0)
revisions = pytest.mark.parametrize("revision", ["one", "all"])


def rng():
    return np.random.default_rng(5)


@revisions
@pytest.mark.parametrize("keep", [0.5, linear(0.2, 1.0)], ids=["constant", "scheduled"])
def test_a_path_does_not_depend_on_how_many_others_there_are(revision, keep):
    process = Process(logit(0.1), revision, keep)
    few = simulate(GAME, process, start=[3, 5], sweeps=30, replicas=2, rng=rng())
    many = simulate(GAME, process, start=[3, 5, 9, 0, 20], sweeps=30, replicas=5, rng=rng())
    np.testing.assert_array_equal(few.count, many.count[:2])


@revisions
def test_recording_less_often_shows_the_same_path(revision):
    process = Process(logit(0.1), revision)
    each = simulate(GAME, process, start=4, sweeps=23, replicas=3, rng=rng())
    some = simulate(GAME, process, start=4, sweeps=23, replicas=3, rng=rng(), every=5)
    np.testing.assert_array_equal(some.time, [0, 5, 10, 15, 20])
    np.testing.assert_array_equal(some.count, each.count[:, ::5])


@revisions
def test_a_schedule_that_is_constant_changes_nothing(revision):
    plain = simulate(GAME, Process(logit(0.1), revision), start=4, sweeps=40, rng=rng())
    scheduled = simulate(GAME, Process(logit(linear(0.1, 0.1)), revision), start=4, sweeps=40, rng=rng())
    np.testing.assert_array_equal(plain.count, scheduled.count)


@revisions
def test_tables_in_pieces_give_the_path_of_tables_at_once(revision, monkeypatch):
    process = Process(logit(linear(1.0, 0.1)), revision)
    whole = simulate(GAME, process, start=4, sweeps=50, replicas=2, rng=rng(), every=3)
    monkeypatch.setattr(sys.modules["neurogames.engine.population.simulate"], "_TABLE_ENTRIES", 21 * 7)
    pieces = simulate(GAME, process, start=4, sweeps=50, replicas=2, rng=rng(), every=3)
    np.testing.assert_array_equal(whole.count, pieces.count)


@revisions
def test_counts_stay_between_nobody_and_everybody(revision):
    for game in (SymmetricGame([5.0, 5.0]), SymmetricGame([-5.0, -5.0, -5.0]), SymmetricGame(np.zeros(7))):
        path = simulate(game, Process(logit(0.01), revision), start=0, sweeps=300, replicas=4, rng=rng())
        assert path.count.min() >= 0
        assert path.count.max() <= game.n_players


@revisions
def test_absorbing_counts_absorb(revision):
    for start in (0, 20):
        for choice in (imitation(1.0), best_response()):
            path = simulate(GAME, Process(choice, revision), start=start, sweeps=200, rng=rng())
            assert (path.count == start).all()


def test_a_certain_answer_is_certain_in_every_round():
    game = SymmetricGame(np.ones(1000))
    path = simulate(game, Process(best_response(), "all"), start=0, sweeps=3, replicas=50, rng=rng())
    assert (path.count[:, 1:] == 1000).all()


@revisions
def test_no_sweeps_give_the_start_alone(revision):
    path = simulate(GAME, Process(logit(0.1), revision), start=[1, 2], sweeps=0, replicas=2, rng=rng())
    np.testing.assert_array_equal(path.count, [[1], [2]])


@revisions
@pytest.mark.parametrize(("start", "target"), [(0, 11), (20, 9), (4, 4)])
def test_first_passages_have_the_exact_mean(revision, start, target):
    process = Process(logit(0.25), revision, 0.7)
    times = escape_times(GAME, process, start=start, target=target, replicas=3000, max_sweeps=10**6, rng=rng())
    exact = population_chain(GAME, process).escape_time(start, target).sweeps
    assert not times.censored.any()
    assert abs(times.mean - exact) <= 4.5 * times.stderr


@revisions
def test_first_passages_along_a_schedule_have_the_exact_law(revision):
    """The share that has arrived is the mass of the chain made absorbing at the target."""
    process = Process(logit(0.1), revision, linear(0.1, 1.0), "blind")
    game, target, sweeps = PublicGoodsGame(8, 0.4, 1.0), 5, 20
    times = escape_times(game, process, start=0, target=target, replicas=4000, max_sweeps=sweeps, rng=rng())
    law = np.eye(9)[0]
    for sweep in range(sweeps):
        fixed = Process(logit(0.1), revision, 0.1 + 0.9 * sweep / sweeps, "blind")
        matrix = population_chain(game, fixed).transition_matrix()
        matrix[target:] = np.eye(9)[target:]
        law = law @ np.linalg.matrix_power(matrix, 8 if revision == "one" else 1)
        arrived = (times.sweeps <= sweep + 1) & ~times.censored
        expected = law[target:].sum()
        assert abs(arrived.mean() - expected) < 5 * np.sqrt(expected * (1 - expected) / 4000) + 1e-3


def test_what_did_not_arrive_is_censored_and_never_averaged():
    times = escape_times(GAME, Process(logit(0.08)), start=0, target=14, replicas=20, max_sweeps=100, rng=rng())
    assert times.censored.any()
    assert (times.sweeps[times.censored] == 100).all()
    assert np.isnan(times.mean)
    assert np.isnan(times.stderr)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": 21}, "start: got 21, expected integers in \\[0, 20\\]"),
        ({"start": 0.5}, "start: got 0.5"),
        ({"start": [1, 2, 3]}, "start: got"),
        ({"sweeps": -1}, "sweeps: got -1"),
        ({"replicas": 0}, "replicas: got 0"),
        ({"every": 0}, "every: got 0"),
        ({"rng": 7}, "rng: got 7, expected a numpy.random.Generator"),
    ],
)
def test_wrong_arguments_are_refused(changes, message):
    arguments = {"start": 0, "sweeps": 3, "replicas": 2, "rng": rng()} | changes
    with pytest.raises(ValueError, match=message):
        simulate(GAME, Process(logit(0.1)), **arguments)
