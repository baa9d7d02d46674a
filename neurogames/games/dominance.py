"""Actions dominated by other pure actions, and iterated elimination.

Action a of player i is strictly dominated by b if u_i(b, s) > u_i(a, s) whatever the others play, weakly if >= always
and > somewhere. Iterated elimination takes away, in each round, every dominated action of every player. What survives
strict elimination does not depend on the order; what survives weak elimination may, and here all go at once. Domination
by mixed strategies needs a linear program: ``dominance``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import one_of
from neurogames.games.normal_form import NormalFormGame, check_game, restrict

Kind = Literal["strict", "weak"]


@dataclass(frozen=True, eq=False)
class Survivors:
    """What iterated elimination leaves.

    Attributes:
        actions: n arrays of the surviving action numbers, in the numbering of the game one started with.
        game: the game of the survivors.
        rounds: number of rounds in which something was eliminated.
    """

    actions: tuple[NDArray[np.intp], ...]
    game: NormalFormGame
    rounds: int


def check_kind(kind: str) -> None:
    """Refuse anything but "strict" and "weak"."""
    one_of("kind", kind, get_args(Kind))


def action_rows(game: NormalFormGame, player: int) -> NDArray[np.float64]:
    """(a_i, rest) payoffs of one player: a row for each own action, a column for each profile of the others.

    Payoffs that stand for the same number are equal (``exact``).
    """
    return np.moveaxis(game.compared_payoffs[player], player, 0).reshape(game.n_actions[player], -1)


def dominated(game: NormalFormGame, kind: Kind = "strict") -> tuple[NDArray[np.bool_], ...]:
    """Mark the actions that another pure action dominates.

    Args:
        game: the game.
        kind: "strict" or "weak".

    Returns:
        n boolean arrays of shape (a_i,).

    Raises:
        ValueError: if the kind is neither.

    >>> prisoners = NormalFormGame.symmetric([[3, 0], [5, 1]])
    >>> dominated(prisoners)
    (array([ True, False]), array([ True, False]))
    """
    check_game(game)
    check_kind(kind)
    marks = []
    for player, actions in enumerate(game.n_actions):
        rows = action_rows(game, player)
        mark = np.zeros(actions, dtype=bool)
        for a in range(actions):
            if kind == "strict":
                mark[a] = (rows > rows[a]).all(axis=1).any()
            else:
                mark[a] = ((rows >= rows[a]).all(axis=1) & (rows > rows[a]).any(axis=1)).any()
        marks.append(mark)
    return tuple(marks)


def iterated_elimination(
    game: NormalFormGame,
    kind: Kind = "strict",
    find: Callable[[NormalFormGame, Kind], tuple[NDArray[np.bool_], ...]] = dominated,
) -> Survivors:
    """Eliminate dominated actions, all of a round at once, until none is left.

    Args:
        game: the game.
        kind: "strict" or "weak".
        find: marks the dominated actions of a game; :func:`neurogames.engine.dominance.mixed_dominated` allows mixed
            strategies to dominate.

    Returns:
        The surviving actions and their game.

    Reference: D. Pearce, Rationalizable strategic behavior and the problem of perfection, Econometrica 52 (1984).

    >>> guess = NormalFormGame(([[1, 1, 0], [0, 0, 2]], [[0, 2, 1], [3, 1, 0]]))
    >>> [actions.tolist() for actions in iterated_elimination(guess).actions]
    [[0], [1]]
    """
    check_game(game)
    check_kind(kind)
    actions = tuple(np.arange(size) for size in game.n_actions)
    rounds = 0
    while True:
        marks = find(game, kind)
        if not any(mark.any() for mark in marks):
            return Survivors(actions, game, rounds)
        actions = tuple(kept[~mark] for kept, mark in zip(actions, marks, strict=True))
        game = restrict(game, [np.flatnonzero(~mark) for mark in marks])
        rounds += 1
