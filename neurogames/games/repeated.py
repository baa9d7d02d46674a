"""Strategies of a repeated two-player game: finite automata with random play.

A strategy has states s. In state s it plays action a with probability ``play[s, a]``; when a was carried out and the
other's action was b, it goes on to state ``after[s, a, b]``. Memory-one strategies and Moore machines are of this kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, given_array, integer, invalid_argument

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class RepeatedStrategy:
    """A strategy for a game that is repeated.

    Args:
        play: (S, A) probabilities of the actions in each state; rows sum to 1.
        after: (S, A, A) next state by own action and the other's action; or (S, A), by the other's action alone.
        label: its name.
        start: state in the first round.

    Raises:
        ValueError: if a row is no distribution, or a state is not one of 0..S-1.

    >>> tit_for_tat = RepeatedStrategy([[1, 0], [0, 1]], [[0, 1], [0, 1]], "tit for tat")
    >>> tit_for_tat
    RepeatedStrategy('tit for tat', 2 states, 2 actions)
    """

    play: NDArray[np.float64]
    after: NDArray[np.int64]
    label: str
    start: int

    def __init__(self, play: ArrayLike, after: ArrayLike, label: str, start: int = 0) -> None:
        law = finite_array("play", play, ndim=2)
        states, actions = law.shape
        if (law < 0).any() or np.abs(law.sum(axis=1) - 1.0).max() > _ROUNDING or actions < 2:
            sums = law.sum(axis=1)
            got = f"shape {law.shape}, least entry {law.min():g}, sums {sums.min():g} to {sums.max():g}"
            raise invalid_argument("play", got, "probabilities of 2 or more actions, rows that sum to 1")
        table = given_array("after", after)
        if table.dtype.kind not in "iu" or table.shape not in ((states, actions), (states, actions, actions)):
            got = f"{table.dtype} of shape {table.shape}"
            raise invalid_argument("after", got, f"whole numbers of shape {(states, actions, actions)}")
        if table.min() < 0 or table.max() >= states:
            raise invalid_argument("after", f"states {table.min()} to {table.max()}", f"states 0..{states - 1}")
        if table.ndim == 2:
            table = table[:, None, :]
        table = np.array(np.broadcast_to(table, (states, actions, actions)), dtype=np.int64)
        table.flags.writeable = False
        if not isinstance(label, str):
            raise invalid_argument("label", label, "a name")
        object.__setattr__(self, "play", law)
        object.__setattr__(self, "after", table)
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "start", integer("start", start, minimum=0, maximum=states - 1))

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return len(self.play)

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return int(self.play.shape[1])

    def __repr__(self) -> str:
        return f"RepeatedStrategy({self.label!r}, {self.n_states} states, {self.n_actions} actions)"


def memory_one(cooperation: ArrayLike, first: float, label: str) -> RepeatedStrategy:
    """A strategy for two actions that looks at the last round only.

    Args:
        cooperation: (p_CC, p_CD, p_DC, p_DD) probabilities of action 0 after each outcome, the own action named first.
        first: probability of action 0 in the first round.
        label: its name.

    Returns:
        The strategy; its states are the first round and the four outcomes.

    Raises:
        ValueError: if a number is no probability.

    >>> memory_one([1, 0, 0, 1], 1.0, "win stay, lose shift").play[:, 0]
    array([1., 1., 0., 0., 1.])

    Reference: M. Nowak and K. Sigmund, A strategy of win-stay, lose-shift that outperforms tit-for-tat in the
    Prisoner's Dilemma game, Nature 364 (1993).
    """
    chance = finite_array("cooperation", cooperation, ndim=1)
    if chance.shape != (4,) or chance.min() < 0 or chance.max() > 1:
        raise invalid_argument("cooperation", cooperation, "four probabilities, after CC, CD, DC and DD")
    opening = finite_array("first", first, ndim=0)
    if not 0 <= opening <= 1:
        raise invalid_argument("first", first, "a probability")
    plays = np.concatenate([[opening], chance])
    outcome = np.array([[1, 2], [3, 4]])
    return RepeatedStrategy(np.stack([plays, 1.0 - plays], axis=1), np.broadcast_to(outcome, (5, 2, 2)), label)


def moore_machine(
    actions: ArrayLike, after: ArrayLike, label: str, start: int = 0, n_actions: int = 2
) -> RepeatedStrategy:
    """A finite automaton whose states play fixed actions.

    Args:
        actions: (S,) action of each state.
        after: (S, A) next state by the other's action.
        label: its name.
        start: state in the first round.
        n_actions: A.

    Returns:
        The strategy.

    Raises:
        ValueError: if an action or a state does not exist.

    >>> grim = moore_machine([0, 1], [[0, 1], [1, 1]], "grim trigger")
    >>> grim.play[1]
    array([0., 1.])

    Reference: A. Rubinstein, Finite automata play the repeated prisoner's dilemma, Journal of Economic Theory 39
    (1986).
    """
    n = integer("n_actions", n_actions, minimum=2)
    chosen = given_array("actions", actions)
    if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or chosen.size == 0 or chosen.min() < 0 or chosen.max() >= n:
        raise invalid_argument("actions", actions, f"an action 0..{n - 1} for each state")
    return RepeatedStrategy(np.eye(n)[chosen], after, label, start)
