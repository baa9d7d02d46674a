"""Automata that play again and again: exact means beside known results, plain simulation and exact fractions."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from neurogames import (
    PopulationGame,
    RepeatedStrategy,
    classic_strategy,
    correlated_regret,
    memory_one,
    moore_machine,
    repeated_play,
)
from neurogames.engine.repeated.repeated_play import _frequency
from neurogames.games.repeated_classics import TOURNAMENT_1980

DILEMMA = np.array([[3.0, 0.0], [5.0, 1.0]])


def random_automaton(rng: np.random.Generator, states: int, actions: int = 2) -> RepeatedStrategy:
    play = rng.dirichlet(np.ones(actions), size=states)
    return RepeatedStrategy(play, rng.integers(states, size=(states, actions, actions)), "drawn", rng.integers(states))


def dense_chain(first, second, error, misperception):
    """The chain of all pairs of states and pairs of actions, written down as it is defined."""
    actions = first.n_actions

    def mixed(chance):
        return np.where(np.eye(actions) > 0, 1 - chance, chance / (actions - 1))

    slips, sees = mixed(error), mixed(misperception)
    sizes = first.n_states, second.n_states
    chain = np.zeros((*sizes, *sizes))
    meets = np.zeros((*sizes, actions, actions))
    for s, t, a, b in np.ndindex(*sizes, actions, actions):
        meets[s, t, a, b] = (first.play[s] @ slips[:, a]) * (second.play[t] @ slips[:, b])
        for seen_a, seen_b in np.ndindex(actions, actions):
            goal = first.after[s, a, seen_b], second.after[t, b, seen_a]
            chain[s, t, *goal] += meets[s, t, a, b] * sees[a, seen_a] * sees[b, seen_b]
    size = sizes[0] * sizes[1]
    start = np.zeros(sizes)
    start[first.start, second.start] = 1.0
    return chain.reshape(size, size), meets.reshape(size, actions, actions), start.ravel()


@pytest.mark.parametrize("actions", [2, 3])
def test_frequencies_are_those_of_the_whole_chain(actions):
    rng = np.random.default_rng(actions)
    stage = rng.normal(size=(actions, actions))
    for _ in range(10):
        pair = [random_automaton(rng, int(rng.integers(1, 5)), actions) for _ in range(2)]
        error, misperception = rng.uniform(0, 0.3, size=2)
        chain, meets, start = dense_chain(*pair, error, misperception)
        size = len(chain)
        laws = {
            "rounds": np.mean([start @ np.linalg.matrix_power(chain, t) for t in range(7)], axis=0),
            "discount": 0.1 * np.linalg.solve((np.eye(size) - 0.9 * chain).T, start),
            "limit": start @ np.linalg.matrix_power((np.eye(size) + chain) / 2, 2**20),
        }
        settings = {"rounds": {"rounds": 7}, "discount": {"discount": 0.9}, "limit": {}}
        for name, law in laws.items():
            play = repeated_play(stage, pair, error=error, misperception=misperception, **settings[name])
            np.testing.assert_allclose(play.frequency[0, 1], np.einsum("p,pab->ab", law, meets), atol=1e-9)
            np.testing.assert_allclose(play.payoffs, np.einsum("ijab,ab->ij", play.frequency, stage), atol=1e-12)
            assert play.residual < 1e-14


def test_several_closed_classes_are_entered_by_their_chances():
    coin = RepeatedStrategy([[0.25, 0.75], [1, 0], [0, 1]], [[[1, 1], [2, 2]], [[1, 1]] * 2, [[2, 2]] * 2], "coin")
    play = repeated_play(DILEMMA, [coin, classic_strategy("all cooperate")])
    np.testing.assert_allclose(play.frequency[0, 1], [[0.25, 0.0], [0.75, 0.0]], atol=1e-15)
    # Cycles are of any length: time averages, not limits.
    alternating = moore_machine([0, 1], [[1, 1], [0, 0]], "alternates")
    assert repeated_play(DILEMMA, [alternating]).payoffs[0, 0] == 2.0


@pytest.mark.parametrize("error", [1e-3, 1e-12, 1e-100])
def test_rare_errors_cost_no_digits(error):
    names = ("tit for tat", "win stay lose shift", "all defect", "grim trigger")
    play = repeated_play(DILEMMA, [classic_strategy(name) for name in names], error=error)
    few = 8 * error + 1e-15
    # M. Nowak and K. Sigmund 1993: errors make tit for tat alternate, win-stay, lose-shift repairs them.
    assert play.payoffs[0, 0] == pytest.approx(2.25, abs=few)
    assert play.payoffs[1, 1] == pytest.approx(3.0, abs=few)
    assert play.payoffs[1, 2] == pytest.approx(0.5, abs=few)
    assert play.payoffs[3, 3] == pytest.approx(1.0, abs=few)


def test_tit_for_tat_in_exact_fractions():
    error, discount = Fraction(1, 8), Fraction(3, 4)
    # With itself under errors: states are outcomes; (1 - d) sum d^t over the first rounds, and a tail below 2^-60.
    law, total, weight = {(0, 0): Fraction(1)}, Fraction(0), 1 - discount
    for _ in range(150):
        done: dict[tuple[int, int], Fraction] = {}
        for (meant, other), chance in law.items():
            for a in (0, 1):
                for b in (0, 1):
                    part = chance * (error if a != meant else 1 - error) * (error if b != other else 1 - error)
                    done[a, b] = done.get((a, b), Fraction(0)) + part
        total += weight * sum(chance * int(DILEMMA[a, b]) for (a, b), chance in done.items())
        law, weight = {(b, a): chance for (a, b), chance in done.items()}, weight * discount
    play = repeated_play(DILEMMA, [classic_strategy("tit for tat")], error=0.125, discount=0.75)
    assert play.payoffs[0, 0] == pytest.approx(float(total), rel=1e-14)


def test_zero_determinant_strategies_fix_a_line_against_anybody():
    rng = np.random.default_rng(3)
    extortioner, generous = classic_strategy("extort 2"), classic_strategy("generous zero determinant 2")
    for _ in range(20):
        other = memory_one(rng.uniform(0.05, 0.95, size=4), rng.uniform(), "any")
        play = repeated_play(DILEMMA, [extortioner, generous, other])
        # W. Press and F. Dyson, PNAS 109 (2012): s_X - 1 = 2 (s_Y - 1); the generous one: s_X - 3 = 2 (s_Y - 3).
        assert play.payoffs[0, 2] - 1 == pytest.approx(2 * (play.payoffs[2, 0] - 1), abs=1e-12)
        assert play.payoffs[1, 2] - 3 == pytest.approx(2 * (play.payoffs[2, 1] - 3), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "to_cooperation", "to_defection"),
    [
        # It forgives with min(1 - (T - R) / (R - S), (R - P) / (T - P)): M. Nowak and K. Sigmund, Nature 355 (1992).
        ("generous tit for tat", 1.0, min(1 - (5 - 3) / (3 - 0), (3 - 1) / (5 - 1))),
        ("Joss", 0.9, 0.0),
        ("random", 0.5, 0.5),
        ("Grofman", 1.0, 1 / (1 + 5 / 7)),  # x = 2/7 x + (1 - x)
        ("win stay lose shift", 1.0, 0.5),
    ],
)
def test_shares_of_cooperation_against_those_who_always_do_the_same(name, to_cooperation, to_defection):
    names = (name, "all cooperate", "all defect")
    play = repeated_play(DILEMMA, [classic_strategy(each) for each in names])
    assert play.payoffs[0, 1] == pytest.approx(3 * to_cooperation + 5 * (1 - to_cooperation))
    assert play.payoffs[0, 2] == pytest.approx(1 - to_defection)


def test_nydegger_defects_after_the_outcomes_that_axelrod_lists():
    """Axelrod, Effective choice in the prisoner's dilemma, Journal of Conflict Resolution 24 (1980), appendix."""
    listed = {1, 6, 7, 17, 22, 23, 26, 29, 30, 31, 33, 38, 39, 45, 49, 54, 55, 58, 61}
    rule = classic_strategy("Nydegger")
    for history in product(product((0, 1), repeat=2), repeat=3):
        state = 0
        for own, other in ((0, 0), *history):  # one round more: after three it is not the opening any more
            state = rule.after[state, own, other]
        total = sum(weight * (own + 2 * other) for weight, (own, other) in zip((1, 4, 16), history, strict=True))
        assert rule.play[state].argmax() == int(total in listed)


def test_davis_is_patient_for_ten_rounds():
    play = repeated_play(DILEMMA, [classic_strategy("Davis"), classic_strategy("all defect")], rounds=40)
    assert play.payoffs[0, 1] * 40 == pytest.approx(30)


def shubik(own, other):
    """Cooperates unless it is retaliating: its k-th retaliation lasts k rounds."""
    crossed = left = 0
    for mine, theirs in zip(own, other, strict=True):
        if left:
            left -= 1
        elif mine == 0 and theirs == 1:
            crossed += 1
            left = crossed
    return 0.0 if left else 1.0


def feld(_own, other):
    return 1.0 if not other else 0.0 if other[-1] else max(0.5, 1.0 - 0.5 * len(other) / 200)


def tullock(own, other):
    return 1.0 if len(own) < 11 else max(0.0, other[-10:].count(0) / 10 - 0.1)


@pytest.mark.parametrize(
    ("name", "rule", "rounds"), [("Shubik", shubik, 60), ("Feld", feld, 11), ("Tullock", tullock, 17)]
)
def test_an_automaton_plays_as_its_description_over_all_histories(name, rule, rounds):
    rng = np.random.default_rng(11)
    mine = classic_strategy(name)
    for _ in range(6):
        states = int(rng.integers(1, 6))
        actions, after = rng.integers(2, size=states), rng.integers(states, size=(states, 2))
        other = moore_machine(actions, after, "drawn")
        law, met = {((), (), 0): 1.0}, np.zeros((2, 2))
        for _round in range(rounds):
            following = {}
            for (own, theirs, state), chance in law.items():
                cooperates, answer = rule(own, theirs), int(actions[state])
                for action, part in ((0, cooperates), (1, 1.0 - cooperates)):
                    if part > 0:
                        key = ((*own, action), (*theirs, answer), int(after[state, action]))
                        following[key] = following.get(key, 0.0) + chance * part
                        met[action, answer] += chance * part / rounds
            law = following
        found, _ = _frequency(mine, other, 1.0, rounds, 0.0, 0.0)
        np.testing.assert_allclose(found, met, atol=1e-12)


def test_the_tournament_of_1980_as_far_as_its_entries_are_automata():
    play = repeated_play(DILEMMA, [classic_strategy(name) for name in TOURNAMENT_1980], rounds=200)
    nice = {"tit for tat", "Nydegger", "Grofman", "Shubik", "grim trigger", "Davis"}
    order = [TOURNAMENT_1980[k] for k in np.argsort(-play.scores)]
    # The report's first finding: what is never the first to defect comes before what is.
    assert set(order[: len(nice)]) == nice
    for i, first in enumerate(TOURNAMENT_1980):
        for j, second in enumerate(TOURNAMENT_1980):
            if {first, second} <= nice:
                assert play.payoffs[i, j] * 200 == pytest.approx(600, abs=1e-9)
    assert play.payoffs[0, -1] * 200 == pytest.approx(1.5 + 199 * 2.25)


def test_the_strategies_are_a_game():
    names = ("all cooperate", "all defect", "tit for tat")
    play = repeated_play(DILEMMA, [classic_strategy(name) for name in names], rounds=10)
    game, population = play.game(), play.population(20)
    assert game.labels.actions == (names, names)
    assert isinstance(population, PopulationGame)
    assert population.labels == names
    np.testing.assert_array_equal(population.matrix, play.payoffs)
    defect = np.zeros((3, 3))
    defect[1, 1] = 1.0
    assert correlated_regret(game, defect) == 0.0
    assert "best score" in repr(play)


def test_refusals():
    tit = classic_strategy("tit for tat")
    wide = RepeatedStrategy(np.eye(3), np.zeros((3, 3), dtype=int), "three actions")
    cases = [
        ("stage", lambda: repeated_play([[1, 2]], [tit])),
        ("strategies", lambda: repeated_play(DILEMMA, [])),
        ("strategies", lambda: repeated_play(DILEMMA, [tit, wide])),
        ("discount", lambda: repeated_play(DILEMMA, [tit], discount=1.5)),
        ("rounds", lambda: repeated_play(DILEMMA, [tit], discount=0.5, rounds=3)),
        ("error", lambda: repeated_play(DILEMMA, [tit], error=-0.1)),
        ("play", lambda: RepeatedStrategy([[0.5, 0.4]], [[0, 0]], "half")),
        ("after", lambda: RepeatedStrategy([[0.5, 0.5]], [[0, 1]], "lost")),
        ("cooperation", lambda: memory_one([1, 0, 1], 1, "short")),
        ("actions", lambda: moore_machine([0, 2], [[0, 1], [1, 1]], "unknown")),
        ("name", lambda: classic_strategy("tat for tit")),
    ]
    for name, call in cases:
        with pytest.raises(ValueError, match=f"^{name}: got .*, expected "):
            call()
