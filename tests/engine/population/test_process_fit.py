"""The law of flips against all 2^N states; fits against populations played player by player."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from neurogames.engine import Process, best_response, fit_process, logit
from neurogames.engine.population.flips import log_law_of_flips
from neurogames.engine.population.process_fit import CONTROL
from neurogames.engine.process import switching
from neurogames.games import PublicGoodsGame

PROCESSES = list(product(("logit", "best response"), ("one", "all"), ("hold", "blind")))


def process_of(rule, revision, masked, keep_prob, temperature=0.2):
    return Process(logit(temperature) if rule == "logit" else best_response(), revision, keep_prob, masked)


def name_of(rule, revision, masked):
    return f"{rule}, {'all at once' if revision == 'all' else 'one at a time'}, {masked}"


def play(game, process, records, replicas, rng):
    """States (replicas, records + 1, N), one record a sweep, every player by itself."""
    n, each = game.n_players, np.arange(replicas)
    rates = switching(game, process)
    on, off = np.exp(rates.log_on), np.exp(rates.log_off)
    states = rng.random((replicas, n)) < 0.5
    path = [states.copy()]
    for _ in range(records):
        if process.revision == "all":
            others = states.sum(axis=1, keepdims=True) - states
            switch = np.where(states, off[np.minimum(others, n - 1)], on[np.minimum(others, n - 1)])
            states = states ^ (rng.random(states.shape) < switch)
        else:
            for _ in range(n):
                player = rng.integers(n, size=replicas)
                own = states[each, player]
                others = states.sum(axis=1) - own
                states[each, player] = own ^ (rng.random(replicas) < np.where(own, off[others], on[others]))
        path.append(states.copy())
    return np.stack(path, axis=1)


@pytest.mark.parametrize(("rule", "revision", "masked"), PROCESSES)
def test_flips_have_the_law_of_the_chain_of_all_states(rule, revision, masked):
    n, pace = 4, 0.75
    rates = switching(PublicGoodsGame(n, 0.4, 1.0), process_of(rule, revision, masked, 0.6))
    on, off = np.exp(rates.log_on), np.exp(rates.log_off)
    states = np.array(list(product([False, True], repeat=n)))
    others = states.sum(axis=1, keepdims=True) - states
    switch = np.where(states, off[np.minimum(others, n - 1)], on[np.minimum(others, n - 1)])
    flipped = states[:, None] ^ states[None, :]
    if revision == "all":
        chance = np.where(flipped, pace * switch[:, None], 1 - pace * switch[:, None]).prod(axis=-1)
    else:
        single = np.where(flipped.sum(-1) == 1, (flipped * switch[:, None]).sum(-1) / n, 0.0)
        single[np.diag_indices(len(states))] = 1 - single.sum(axis=1)
        chance = np.linalg.matrix_power(single, round(pace * n))
    counts = np.stack(
        np.broadcast_arrays(
            states.sum(-1)[:, None],
            (states[:, None] & ~states[None]).sum(-1),
            (~states[:, None] & states[None]).sum(-1),
        ),
        axis=-1,
    ).reshape(-1, 3)
    np.testing.assert_allclose(
        np.exp(log_law_of_flips(rates, counts, revision, pace)), chance.ravel(), rtol=1e-10, atol=1e-15
    )


@pytest.mark.parametrize("trial", range(16))
def test_the_true_process_is_named_or_among_those_that_cannot_be_told(trial):
    rng = np.random.default_rng(trial)
    kind = PROCESSES[trial % 8]
    game, keep_prob = PublicGoodsGame(int(rng.integers(6, 16)), 0.4, 1.0), float(rng.uniform(0.3, 0.9))
    temperature = float(np.exp(rng.uniform(np.log(0.05), np.log(0.5))))
    found = fit_process(
        game, play(game, process_of(*kind, keep_prob, temperature), 60, 4, rng), keep_prob=keep_prob, pace=1.0
    )
    assert name_of(*kind) in found.possible
    assert len(found.processes) == 9


def test_enough_records_of_a_process_that_moves_single_it_out_with_its_temperature():
    game, process = PublicGoodsGame(10, 0.4, 1.0), Process(logit(0.3), "all", 0.5, "hold")
    states = play(game, process, 150, 40, np.random.default_rng(0))
    found = fit_process(game, states, keep_prob=0.5, pace=1.0)
    assert found.verdict == "logit, all at once, hold"
    assert found.temperature[0] == pytest.approx(0.3, rel=0.1)
    assert found.behind[0] == 0
    assert list(found.log_likelihood) == sorted(found.log_likelihood, reverse=True)
    free = fit_process(game, states, keep_prob=0.5)
    assert found.processes[0] in free.possible
    assert free.pace[free.processes.index(found.processes[0])] == pytest.approx(1.0, rel=0.1)


def test_states_that_follow_no_game_are_said_to_need_none():
    rng = np.random.default_rng(0)
    states = rng.random((20, 100, 10)) < 0.3
    found = fit_process(PublicGoodsGame(10, 0.4, 1.0), states, pace=1.0)
    assert found.possible == (CONTROL,)
    assert found.verdict == "none of these: two constant rates are likelier"
    assert repr(found) == f"ProcessFit({found.verdict!r}, 980 held-out transitions)"


def test_more_than_a_round_between_records_leaves_out_rounds_of_all():
    game = PublicGoodsGame(6, 0.4, 1.0)
    states = play(game, Process(logit(0.3)), 100, 1, np.random.default_rng(0))[0]
    assert not any("all at once" in name for name in fit_process(game, states, pace=2.0).processes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"states": np.zeros((50, 7), dtype=bool)}, r"states: got 'shape \(50, 7\)"),
        ({"states": np.full((50, 6), 0.5)}, "states: got 'other values than 0 and 1'"),
        ({"states": np.zeros((30, 6))}, "states: got '14 transitions to fit to and 15 held out'"),
        ({"keep_prob": 0.0}, "keep_prob: got 0.0"),
        ({"pace": 0.0}, "pace: got 0.0"),
        ({"held_out": 1.0}, "held_out: got 1.0"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, message):
    given = {"states": np.zeros((60, 6), dtype=bool)} | change
    with pytest.raises(ValueError, match=message):
        fit_process(PublicGoodsGame(6, 0.4, 1.0), **given)
