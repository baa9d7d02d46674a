"""Well-known strategies of the repeated prisoner's dilemma that are finite automata; action 0 cooperates.

Ten of the fifteen entries of the tournament of 1980 are of this kind: ``TOURNAMENT_1980``. Friedman's is "grim
trigger". Feld's counts the rounds up to 200, Tullock's remembers ten, and Shubik's counts how often it was crossed,
here up to 25 times, which no match of less than 350 rounds can exceed. The other five are absent:

- Tideman and Chieruzzi keep both scores, the defections of the other and the rounds since the last new beginning, which
  is millions of states; Downing keeps three counts, as many.
- Stein and Rapoport, and Graaskamp, test whether the other one plays at random; the report does not say how exactly.
- One, without a name, adjusts its chance of cooperation in a way that was not published.

Reference: R. Axelrod, Effective choice in the prisoner's dilemma, Journal of Conflict Resolution 24 (1980), for the
tournament; A. Stewart and J. Plotkin, Extortion and cooperation in the Prisoner's Dilemma, PNAS 109 (2012), for the
zero-determinant strategies.
"""

from __future__ import annotations

import itertools
from typing import Literal, get_args

import numpy as np

from neurogames._arguments import one_of
from neurogames.games.repeated import RepeatedStrategy, memory_one, moore_machine

ClassicName = Literal[
    "all cooperate",
    "all defect",
    "random",
    "tit for tat",
    "suspicious tit for tat",
    "tit for two tats",
    "generous tit for tat",
    "win stay lose shift",
    "grim trigger",
    "Joss",
    "Grofman",
    "Davis",
    "Nydegger",
    "Shubik",
    "Feld",
    "Tullock",
    "extort 2",
    "generous zero determinant 2",
]
TOURNAMENT_1980: tuple[ClassicName, ...] = (
    "tit for tat",
    "Nydegger",
    "Grofman",
    "Shubik",
    "grim trigger",
    "Davis",
    "Feld",
    "Joss",
    "Tullock",
    "random",
)

# (p_CC, p_CD, p_DC, p_DD) and the first round; the last two are for the payoffs 3, 0, 5, 1.
_MEMORY_ONE = {
    "all cooperate": ((1, 1, 1, 1), 1),
    "all defect": ((0, 0, 0, 0), 0),
    "random": ((0.5, 0.5, 0.5, 0.5), 0.5),
    "tit for tat": ((1, 0, 1, 0), 1),
    "suspicious tit for tat": ((1, 0, 1, 0), 0),
    "generous tit for tat": ((1, 1 / 3, 1, 1 / 3), 1),
    "win stay lose shift": ((1, 0, 0, 1), 1),
    "Joss": ((0.9, 0, 0.9, 0), 1),
    "Grofman": ((1, 2 / 7, 2 / 7, 1), 1),
    "extort 2": ((8 / 9, 1 / 2, 1 / 3, 0), 1),
    "generous zero determinant 2": ((1, 1 / 8, 1, 1 / 4), 1),
}
_DAVIS_PATIENCE = 10
_SHUBIK_LONGEST = 25
_FELD_ROUNDS = 200
_TULLOCK_MEMORY = 10
_NYDEGGER_DEFECTS = (1, 6, 7, 17, 22, 23, 26, 29, 30, 31, 33, 38, 39, 45, 49, 54, 55, 58, 61)


def classic_strategy(name: ClassicName) -> RepeatedStrategy:
    """A well-known strategy of the repeated prisoner's dilemma.

    Args:
        name: such as "tit for tat"; see ``ClassicName``.

    Returns:
        The strategy; action 0 cooperates, action 1 defects.

    Raises:
        ValueError: if the name is not known.

    >>> classic_strategy("Davis")
    RepeatedStrategy('Davis', 21 states, 2 actions)
    """
    one_of("name", name, get_args(ClassicName))
    if name in _MEMORY_ONE:
        chances, first = _MEMORY_ONE[name]
        return memory_one(chances, first, name)
    if name == "grim trigger":
        return moore_machine([0, 1], [[0, 1], [1, 1]], name)
    if name == "tit for two tats":
        return moore_machine([0, 0, 1], [[0, 1], [0, 2], [0, 2]], name)
    return {"Davis": _davis, "Nydegger": _nydegger, "Shubik": _shubik, "Feld": _feld, "Tullock": _tullock}[name]()


def _davis() -> RepeatedStrategy:
    """Ten rounds of cooperation, then grim trigger, which has seen those ten."""
    patience = _DAVIS_PATIENCE
    # States 0..10: rounds passed without a defection. States 11..20: rounds 1..9 with one, then defection for good.
    after = [[min(t + 1, patience), patience + t + 1 if t < patience else 2 * patience] for t in range(patience + 1)]
    after += [[min(patience + t + 1, 2 * patience)] * 2 for t in range(1, patience + 1)]
    return moore_machine([0] * (2 * patience) + [1], after, "Davis")


def _nydegger() -> RepeatedStrategy:
    """Tit for tat for three rounds with one exception, then by the outcomes of the last three rounds."""
    histories = [
        history for length in range(4) for history in itertools.product(((0, 0), (0, 1), (1, 0), (1, 1)), repeat=length)
    ]
    number = {history: k for k, history in enumerate(histories)}
    after = np.empty((len(histories), 2, 2), dtype=np.int64)
    for history, own, other in itertools.product(histories, (0, 1), (0, 1)):
        after[number[history], own, other] = number[(*history, (own, other))[-3:]]
    return RepeatedStrategy(np.eye(2)[[_nydegger_action(history) for history in histories]], after, "Nydegger")


def _nydegger_action(history: tuple[tuple[int, int], ...]) -> int:
    """Its action after the outcomes (own action, other's action) of up to three rounds."""
    if len(history) < 2:
        return history[0][1] if history else 0
    if len(history) == 2:
        # The exception: it cooperated alone in the first round and defected alone in the second.
        return 1 if history == ((0, 1), (1, 0)) else history[1][1]
    # The other's defection counts 2, the own one 1; the last round counts 16, the one before 4.
    score = sum(weight * (2 * other + own) for weight, (own, other) in zip((1, 4, 16), history, strict=True))
    return int(score in _NYDEGGER_DEFECTS)


def _shubik() -> RepeatedStrategy:
    """Cooperation, until a defection then: the k-th time that this happens, k rounds of defection before the next."""
    longest = _SHUBIK_LONGEST
    # State k = 0..longest cooperates, having been crossed k times; after them, the rounds of each retaliation.
    actions, after = [0] * (longest + 1), []
    begin = longest + 1
    retaliations: list[list[int]] = []
    for crossed in range(longest + 1):
        length = min(crossed + 1, longest)
        after.append([crossed, begin])
        retaliations += [[begin + k + 1] * 2 for k in range(length - 1)] + [[length] * 2]
        begin += length
    actions += [1] * len(retaliations)
    return moore_machine(actions, after + retaliations, "Shubik")


def _feld() -> RepeatedStrategy:
    """Tit for tat that answers cooperation with less and less of it, on a straight line from 1 to 1/2."""
    rounds = _FELD_ROUNDS
    # State 0 begins; 2 t - 1 and 2 t are round t after the other's cooperation and after its defection.
    cooperation = [1.0]
    for t in range(1, rounds + 1):
        cooperation += [1.0 - 0.5 * t / rounds, 0.0]
    after = [[2 * min(t, rounds) - 1, 2 * min(t, rounds)] for t in range(1, rounds + 2) for _ in (0, 1)][1:]
    return RepeatedStrategy([[chance, 1.0 - chance] for chance in cooperation], after, "Feld")


def _tullock() -> RepeatedStrategy:
    """Eleven rounds of cooperation, then 10 % less of it than the other has shown in ten rounds."""
    memory = _TULLOCK_MEMORY
    windows = 2**memory
    # States before round 11 are what was seen, a leading 1 and then its bits; so are those of round 11 and, behind
    # them, of all later rounds.
    cooperation, after = [], []
    for seen in range(1, 3 * windows):
        early = seen < 2 * windows
        bits = seen if early else seen - windows
        share = 1.0 - (bits - windows).bit_count() / memory
        cooperation.append(1.0 if early else max(0.0, share - 0.1))
        if seen < windows:
            after.append([2 * seen - 1, 2 * seen])
        else:
            after.append([2 * windows - 1 + (2 * bits + other) % windows for other in (0, 1)])
    return RepeatedStrategy([[chance, 1.0 - chance] for chance in cooperation], after, "Tullock")
