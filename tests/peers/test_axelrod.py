"""Matches in Axelrod (MIT) and here pay the same."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames import classic_strategy, memory_one, moore_machine, repeated_play
from neurogames.games.repeated_classics import TOURNAMENT_1980

axelrod = pytest.importorskip("axelrod", reason="axelrod is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")

DILEMMA = [[3.0, 0.0], [5.0, 1.0]]
ACTION = (axelrod.Action.C, axelrod.Action.D)


def machine(rng):
    """The same random automaton, here and there: Axelrod names the next action with the transition."""
    states = int(rng.integers(1, 7))
    actions, after = rng.integers(2, size=states), rng.integers(states, size=(states, 2))
    moves = [(s, ACTION[b], int(after[s, b]), ACTION[actions[after[s, b]]]) for s in range(states) for b in (0, 1)]
    theirs = axelrod.FSMPlayer(transitions=moves, initial_state=0, initial_action=ACTION[actions[0]])
    return moore_machine(actions, after, "drawn"), theirs


def certain_memory_one(rng):
    chances, first = rng.integers(2, size=4), int(rng.integers(2))
    theirs = axelrod.MemoryOnePlayer(four_vector=tuple(map(float, chances)), initial=ACTION[1 - first])
    return memory_one(chances, first, "drawn"), theirs


def scores(first, second, turns, seed=0, noise=0.0):
    match = axelrod.Match((first, second), turns=turns, seed=seed, noise=noise)
    match.play()
    return np.array(match.final_score_per_turn())


def test_200_random_pairs_pay_the_same_in_every_match():
    rng = np.random.default_rng(0)
    for k in range(200):
        ours, theirs = zip(*(machine(rng) if (k + i) % 3 else certain_memory_one(rng) for i in (0, 1)), strict=True)
        turns = int(rng.integers(1, 120))
        payoffs = repeated_play(DILEMMA, ours, rounds=turns).payoffs
        np.testing.assert_allclose([payoffs[0, 1], payoffs[1, 0]], scores(*theirs, turns), atol=1e-12)


def test_random_play_and_noise_have_the_mean_that_is_worked_out():
    rng = np.random.default_rng(1)
    turns, repeats = 100, 60
    for k in range(6):
        chances, noise = rng.uniform(size=(2, 4)), 0.1 * (k % 2)
        ours = [memory_one(row, 1, "drawn") for row in chances]
        play = repeated_play(DILEMMA, ours, rounds=turns, error=noise).payoffs
        drawn = [
            scores(*(axelrod.MemoryOnePlayer(four_vector=tuple(row)) for row in chances), turns, seed, noise)
            for seed in range(repeats)
        ]
        error = np.std(drawn, axis=0, ddof=1) / np.sqrt(repeats)
        assert (np.abs(np.mean(drawn, axis=0) - [play[0, 1], play[1, 0]]) < 4.5 * error).all()


def test_the_classics_are_theirs():
    names = {
        "tit for tat": axelrod.TitForTat,
        "suspicious tit for tat": axelrod.SuspiciousTitForTat,
        "tit for two tats": axelrod.TitFor2Tats,
        "win stay lose shift": axelrod.WinStayLoseShift,
        "grim trigger": axelrod.Grudger,
        "Davis": axelrod.FirstByDavis,
        "Nydegger": axelrod.FirstByNydegger,
        "Shubik": axelrod.FirstByShubik,
        "all cooperate": axelrod.Cooperator,
        "all defect": axelrod.Defector,
    }
    rng = np.random.default_rng(2)
    opponents = [machine(rng) for _ in range(8)]
    for name, theirs in names.items():
        for mine, other in opponents:
            payoffs = repeated_play(DILEMMA, [classic_strategy(name), mine], rounds=40).payoffs
            np.testing.assert_allclose([payoffs[0, 1], payoffs[1, 0]], scores(theirs(), other, 40), atol=1e-12)
    for name, theirs in {
        "Joss": axelrod.FirstByJoss,
        "Grofman": axelrod.FirstByGrofman,
        "Feld": axelrod.FirstByFeld,
        "extort 2": axelrod.ZDExtort2,
        "generous zero determinant 2": axelrod.ZDGTFT2,
        "generous tit for tat": axelrod.GTFT,
    }.items():
        mine, other = opponents[3]
        payoffs = repeated_play(DILEMMA, [classic_strategy(name), mine], rounds=100).payoffs
        drawn = [scores(theirs(), other, 100, seed) for seed in range(60)]
        error = np.std(drawn, axis=0, ddof=1) / np.sqrt(60)
        assert (np.abs(np.mean(drawn, axis=0) - [payoffs[0, 1], payoffs[1, 0]]) <= 4.5 * error + 1e-12).all(), name


def test_the_tournament_of_1980_has_the_scores_that_are_worked_out():
    theirs = {
        "tit for tat": axelrod.TitForTat,
        "Nydegger": axelrod.FirstByNydegger,
        "Grofman": axelrod.FirstByGrofman,
        "Shubik": axelrod.FirstByShubik,
        "grim trigger": axelrod.Grudger,
        "Davis": axelrod.FirstByDavis,
        "Feld": axelrod.FirstByFeld,
        "Joss": axelrod.FirstByJoss,
        "Tullock": axelrod.FirstByTullock,
        "random": axelrod.Random,
    }
    assert tuple(theirs) == TOURNAMENT_1980
    payoffs = repeated_play(DILEMMA, [classic_strategy(name) for name in theirs], rounds=200).payoffs
    repeats = 12
    for i, first in enumerate(theirs.values()):
        for j, second in enumerate(list(theirs.values())[: i + 1]):
            drawn = [scores(first(), second(), 200, 100 * (10 * i + j) + seed) for seed in range(repeats)]
            error = np.std(drawn, axis=0, ddof=1) / np.sqrt(repeats)
            # 55 pairs: five standard errors, of few matches.
            assert (np.abs(np.mean(drawn, axis=0) - [payoffs[i, j], payoffs[j, i]]) <= 5 * error + 1e-12).all(), (i, j)
