"""First passages: pieces of a run make the run, and their law is that of the exact chain."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from neurogames.engine import Process, escape_times, geometric, logit, population_chain
from neurogames.engine.population import first_passage, generator
from neurogames.engine.population.simulate import threshold_tables
from neurogames.games import PublicGoodsGame

GAME = PublicGoodsGame(12, 0.4, 1.0)


@pytest.mark.parametrize("revision", ["one", "all"])
@pytest.mark.parametrize("cooling", [False, True])
def test_a_run_in_pieces_is_the_run(revision, cooling):
    process = Process(logit(geometric(0.3, 0.2) if cooling else 0.2), revision)
    wait = first_passage._wait_one if revision == "one" else first_passage._wait_all
    ((first, length, tables),) = threshold_tables(GAME, process, 5)
    assert (first, length) == (0, 5)
    ends = []
    for cuts in ([0, 5], [0, 1, 3, 5]):
        count, steps = np.zeros(50, dtype=np.int64), np.full(50, -1, dtype=np.int64)
        state = generator.states(50, np.random.default_rng(1))
        for start, end in pairwise(cuts):
            some = tables[start:end] if cooling else tables
            wait(some, count, state, start, end - start, 9, 1, 12, steps)
        ends.append((count, steps, state))
    for whole, pieces in zip(*ends, strict=True):
        np.testing.assert_array_equal(whole, pieces)
    assert 0 < (ends[0][1] >= 0).sum() < 50


@pytest.mark.parametrize("revision", ["one", "all"])
@pytest.mark.parametrize(("start", "target"), [(2, 9), (10, 3)])
def test_mean_times_are_those_of_the_chain(revision, start, target):
    process = Process(logit(0.3), revision)
    exact = population_chain(GAME, process).escape_time(start, target)
    found = escape_times(
        GAME, process, start=start, target=target, replicas=4000, max_sweeps=10**6, rng=np.random.default_rng(3)
    )
    assert not found.censored.any()
    assert abs(found.mean - exact.sweeps) < 4 * found.stderr
    assert found.stderr == pytest.approx(found.sweeps.std(ddof=1) / np.sqrt(4000))


def test_who_has_arrived_needs_no_time_and_who_never_does_is_censored():
    process = Process(logit(0.3))
    draws = {"replicas": 5, "rng": np.random.default_rng(0)}
    assert escape_times(GAME, process, start=4, target=4, max_sweeps=3, **draws).sweeps.tolist() == [0.0] * 5
    never = escape_times(GAME, Process(logit(1e-6)), start=0, target=12, max_sweeps=3, **draws)
    assert never.censored.all()
    assert never.sweeps.tolist() == [3.0] * 5
