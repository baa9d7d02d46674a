"""Well-known strategies beside their descriptions: what each plays after a history, in words of its inventor."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from neurogames.games.repeated_classics import ClassicName, classic_strategy

C, D = 0, 1


def last(own, other, *, first, chances):
    """The chance to cooperate by the outcome of the last round: CC, CD, DC, DD."""
    return chances[2 * own[-1] + other[-1]] if own else first


def joss(_own, other):
    return 1.0 if not other else 0.0 if other[-1] == D else 0.9


def win_stay_lose_shift(own, other):
    """It repeats what has earned 3 or 5, and changes what has earned 0 or 1."""
    return 1.0 if not own else float((own[-1] == C) == (other[-1] == C))


def grofman(own, other):
    """After both did the same it cooperates, else with probability 2/7."""
    return 1.0 if not own or own[-1] == other[-1] else 2 / 7


def davis(_own, other):
    return 1.0 if len(other) < 10 else float(D not in other)


def nydegger(own, other):
    """Axelrod (1980), appendix, with the list of the published code."""
    if len(own) < 3:
        alone = list(zip(own, other, strict=True)) == [(C, D), (D, C)]
        return 1.0 if not own else 0.0 if alone or other[-1] == D else 1.0
    code = [2 * theirs + mine for mine, theirs in zip(own[-3:], other[-3:], strict=True)]
    listed = {1, 6, 7, 17, 22, 23, 26, 29, 30, 31, 33, 38, 39, 45, 49, 54, 55, 58, 61}
    return 0.0 if 16 * code[2] + 4 * code[1] + code[0] in listed else 1.0


def shubik(own, other):
    """It retaliates for one round more each time that it is crossed while it cooperates."""
    crossed = left = 0
    for mine, theirs in zip(own, other, strict=True):
        if left:
            left -= 1
        elif mine == C and theirs == D:
            crossed += 1
            left = crossed
    return 0.0 if left else 1.0


def feld(_own, other):
    return 1.0 if not other else 0.0 if other[-1] == D else max(0.5, 1.0 - 0.5 * len(other) / 200)


def tullock(_own, other):
    return 1.0 if len(other) < 11 else max(0.0, other[-10:].count(C) / 10 - 0.1)


DESCRIPTIONS = {
    "all cooperate": lambda *_: 1.0,
    "all defect": lambda *_: 0.0,
    "random": lambda *_: 0.5,
    "tit for tat": lambda _, other: float(not other or other[-1] == C),
    "suspicious tit for tat": lambda _, other: float(bool(other) and other[-1] == C),
    "tit for two tats": lambda _, other: float(other[-2:] != [D, D]),
    "generous tit for tat": lambda _, other: 1.0 if not other or other[-1] == C else 1 / 3,
    "win stay lose shift": win_stay_lose_shift,
    "grim trigger": lambda _, other: float(D not in other),
    "Joss": joss,
    "Grofman": grofman,
    "Davis": davis,
    "Nydegger": nydegger,
    "Shubik": shubik,
    "Feld": feld,
    "Tullock": tullock,
    "extort 2": lambda *seen: last(*seen, first=1.0, chances=(8 / 9, 1 / 2, 1 / 3, 0.0)),
    "generous zero determinant 2": lambda *seen: last(*seen, first=1.0, chances=(1.0, 1 / 8, 1.0, 1 / 4)),
}


@pytest.mark.parametrize("name", get_args(ClassicName))
def test_a_strategy_plays_as_its_description_after_every_round_of_a_match(name):
    rng = np.random.default_rng(5)
    rule, strategy = DESCRIPTIONS[name], classic_strategy(name)
    assert strategy.label == name
    slips = 0.0 if name == "Shubik" else 0.3  # its automaton does not see what it does by mistake
    # Against those who defect now and then, half of the time, and always: Shubik's retaliations come to 25 rounds.
    for defects, rounds in ((0.02, 230), (0.1, 100), *[(0.5, 40)] * 8, (1.0, 349)):
        own, other, state = [], [], strategy.start
        for _ in range(rounds):
            cooperates = rule(own, other)
            assert strategy.play[state, C] == pytest.approx(cooperates, abs=1e-12)
            own.append(int(rng.random() >= cooperates) ^ int(rng.random() < slips))
            other.append(D if rng.random() < defects else C)
            state = strategy.after[state, own[-1], other[-1]]


@pytest.mark.parametrize(
    ("name", "states"),
    [("Davis", 21), ("Nydegger", 85), ("Shubik", 26 + 25 * 26 // 2 + 25), ("Feld", 401), ("Tullock", 3 * 1024 - 1)],
)
def test_a_strategy_remembers_as_much_as_is_said(name, states):
    assert classic_strategy(name).n_states == states
