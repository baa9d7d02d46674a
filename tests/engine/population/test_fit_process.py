"""Which process made a record: exact laws beside all configurations, and verdicts where the truth is known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from neurogames.engine import Process, fit_process, logit, switching
from neurogames.engine.population.fit_process import BetterReply
from neurogames.engine.population.unit_laws import pair_laws
from neurogames.games import PublicGoodsGame, SymmetricGame


def begins_and_stays(game, process):
    """Chances that a player acts after its revision, by the number of others: if it rested, and if it acted."""
    rates = switching(game, process)
    return np.exp(rates.log_on), 1.0 - np.exp(rates.log_off)


def simulated(game, process, *, populations, records, sweeps, rng):
    """Player by player, as the process is defined."""
    begins, stays = begins_and_stays(game, process)
    n = game.n_players
    states = rng.random((populations, n)) < rng.random((populations, 1))
    seen = [states]
    rows = np.arange(populations)
    for _ in range((records - 1) * sweeps):
        if process.revision == "all":
            others = np.minimum(states.sum(axis=1, keepdims=True) - states, n - 1)
            states = rng.random(states.shape) < np.where(states, stays[others], begins[others])
        else:
            states = states.copy()
            for _ in range(n):
                who = rng.integers(0, n, populations)
                acts = states[rows, who]
                others = states.sum(axis=1) - acts
                states[rows, who] = rng.random(populations) < np.where(acts, stays[others], begins[others])
        seen.append(states)
    return np.stack(seen[::sweeps], axis=1)


def configurations(game, process):
    """The chain on all 2^n configurations, for one revision or one round."""
    n = game.n_players
    begins, stays = begins_and_stays(game, process)
    states = list(product([0, 1], repeat=n))
    chain = np.zeros((2**n, 2**n))
    for (x, before), (y, after) in product(enumerate(states), repeat=2):
        acts = [(stays if before[i] else begins)[sum(before) - before[i]] for i in range(n)]
        chances = [acts[i] if after[i] else 1.0 - acts[i] for i in range(n)]
        if process.revision == "all":
            chain[x, y] = np.prod(chances)
        else:
            alike = [i for i in range(n) if all(before[j] == after[j] for j in range(n) if j != i)]
            chain[x, y] = sum(chances[i] for i in alike) / n
    return states, chain


@pytest.mark.parametrize("revision", ["one", "all"])
@pytest.mark.parametrize("choice", [logit(0.3), BetterReply(0.2)], ids=["logit", "better reply"])
def test_laws_of_pairs_are_those_of_all_configurations(revision, choice):
    game, process = PublicGoodsGame(4, 0.4, 1.0), Process(choice, revision, 0.5, "blind")
    states, chain = configurations(game, process)
    laws = pair_laws(game, process, range(5), 2)
    for sweeps in (1, 2):
        power = np.linalg.matrix_power(chain, sweeps * (1 if revision == "all" else 4))
        for count, law in enumerate(laws):
            start = states.index((1,) * count + (0,) * (4 - count))
            expected = np.zeros(law.shape[1:])
            for y, after in enumerate(states):
                expected[sum(after[:count]), sum(after[count:])] += power[start, y]
            np.testing.assert_allclose(law[sweeps - 1], expected, atol=1e-12)


TRUTHS = [
    Process(logit(0.1), "all", 0.5, "blind"),
    Process(logit(0.1), "one", 0.5, "hold"),
    Process(BetterReply(0.1), "all", 0.5, "hold"),
    Process(BetterReply(0.3), "one", 0.5, "blind"),
]


def test_the_process_that_made_a_record_is_named_or_it_cannot_be_told():
    game, rng = PublicGoodsGame(16, 0.5, 1.0), np.random.default_rng(1)
    named = 0
    for truth in TRUTHS:
        kind = "better reply" if isinstance(truth.choice, BetterReply) else "logit"
        states = simulated(game, truth, populations=60, records=12, sweeps=1, rng=rng)
        found = fit_process(states, game, keep_prob=0.5)
        right = next(each for each in found.candidates if each.name == f"{kind}, {truth.revision}, {truth.masked}")
        assert right.plausible
        for question in ("choice", "revision", "masked"):
            answer = found.answer(question)
            assert answer in (right.is_of(question), "cannot tell")
            named += answer != "cannot tell"
        best, worst = found.candidates[0], found.candidates[-1]
        assert worst.behind[0] == pytest.approx(best.held_out - worst.held_out)
        assert best.name in found.verdict
    assert named >= 8


def test_cost_keep_probability_and_pace_may_be_free():
    games = [PublicGoodsGame(12, cost, 1.0) for cost in (0.2, 0.5, 0.8)]
    truth = Process(logit(0.1), "all", 0.5, "blind")
    states = simulated(games[2], truth, populations=20, records=8, sweeps=2, rng=np.random.default_rng(0))
    best = fit_process(states, games, keep_prob=(0.25, 0.5, 1.0), sweeps=(1, 2)).candidates[0]
    assert (best.game, best.process.revision, best.process.masked) == (2, "all", "blind")


def test_players_who_do_not_look_at_each_other_play_no_game():
    rng = np.random.default_rng(0)
    states = rng.random((20, 9, 12)) < 0.4
    found = fit_process(states, SymmetricGame(np.linspace(-1.0, 1.0, 12)))
    assert found.plausible == ()
    assert found.answer("choice") == "cannot tell"
    assert found.ahead[1] < 0


@pytest.mark.parametrize(
    ("states", "games", "words"),
    [
        (np.zeros((3, 2, 4)), PublicGoodsGame(4, 0.4, 1.0), "states: .*float64"),
        (np.zeros((2, 2, 4), dtype=bool), PublicGoodsGame(4, 0.4, 1.0), "states: .*populations >= 3"),
        (np.zeros((3, 2, 4), dtype=bool), PublicGoodsGame(5, 0.4, 1.0), "games: .*5 players"),
        (np.zeros((3, 2, 4), dtype=bool), [], "games: .*none"),
    ],
)
def test_records_that_fit_no_game_are_refused(states, games, words):
    with pytest.raises(ValueError, match=words):
        fit_process(states, games)
