"""Games in normal form: one payoff tensor for each player.

Player i = 0..n-1 has the actions 0..a_i - 1. A pure profile s = (s_0, ..., s_{n-1}) has one action for each player, and
``payoffs[i][s]`` is what player i gets there: every tensor has the same axes, axis j belonging to player j. (QuantEcon
rotates them, own axis first; :meth:`NormalFormGame.to_quantecon` turns them.) A mixed profile is a tuple of n
probability vectors, the i-th of shape (..., a_i); leading axes are a batch. What a profile is worth is computed in
:mod:`neurogames.games.replies`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, instance, invalid_argument
from neurogames.games.exact import comparable

_EXPECTED = "one payoff tensor for each player: (A, B) for two; see also zero_sum(A) and symmetric(A)"


@dataclass(frozen=True)
class Labels:
    """Names of a game and its parts.

    Attributes:
        title: name of the game.
        comment: anything one wants to say about it.
        players: n names.
        actions: n tuples of names, the i-th with a_i of them.

    Raises:
        ValueError: if one of them is no text.

    >>> labels = Labels("Chicken", "", ("Ann", "Bob"), (("swerve", "stay"), ("swerve", "stay")))
    >>> NormalFormGame(([[6.0, 2.0], [7.0, 0.0]], [[6.0, 7.0], [2.0, 0.0]]), labels).labels.players
    ('Ann', 'Bob')
    """

    title: str
    comment: str
    players: tuple[str, ...]
    actions: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for name, value in (("title", self.title), ("comment", self.comment)):
            instance(name, value, str, "a text")
        texts = "names: a sequence of texts"
        object.__setattr__(self, "players", _names("players", self.players, texts))
        given: object = self.actions
        if not isinstance(given, Sequence) or isinstance(given, str):
            raise invalid_argument("actions", given, f"for each player {texts}")
        object.__setattr__(self, "actions", tuple(_names("actions", names, texts) for names in given))


@dataclass(frozen=True, eq=False)
class NormalFormGame:
    """A finite game of n players.

    Args:
        payoffs: n arrays of one shape (a_1, ..., a_n); the i-th holds player i's payoff at each pure profile.
        labels: names of the game, its players and actions; numbers from 1 on when left out.

    Raises:
        ValueError: if a payoff is not finite, or if numbers of axes, shapes or labels do not agree.

    >>> chicken = NormalFormGame(([[0.0, 7.0], [2.0, 6.0]], [[0.0, 2.0], [7.0, 6.0]]))
    >>> chicken.n_players, chicken.n_actions, float(chicken.payoffs[1][1, 0])
    (2, (2, 2), 7.0)
    """

    payoffs: tuple[NDArray[np.float64], ...]
    labels: Labels

    def __init__(self, payoffs: Sequence[ArrayLike], labels: Labels | None = None) -> None:
        if not isinstance(payoffs, Sequence | np.ndarray) or isinstance(payoffs, str):
            raise invalid_argument("payoffs", _named(payoffs), _EXPECTED)
        n = len(payoffs)
        if n == 0:
            raise invalid_argument("payoffs", "no tensor", _EXPECTED)
        if n == 2 and _has_pairs(payoffs):
            got = "tuples of two in lists, which may be the payoffs of both players at one profile or rows of a matrix"
            raise invalid_argument("payoffs", got, "(A, B), a matrix (array or lists of numbers) for each player")
        tensors = tuple(_tensor(i, tensor, n) for i, tensor in enumerate(payoffs))
        shape = tensors[0].shape
        for i, tensor in enumerate(tensors):
            if tensor.shape != shape:
                raise invalid_argument(f"payoffs[{i}]", f"shape {tensor.shape}", f"the shape of payoffs[0], {shape}")
        if labels is None:
            labels = Labels(
                "", "", tuple(str(i + 1) for i in range(n)), tuple(tuple(str(k + 1) for k in range(a)) for a in shape)
            )
        elif not isinstance(labels, Labels):
            raise invalid_argument("labels", labels, "Labels")
        elif len(labels.players) != n or tuple(map(len, labels.actions)) != shape:
            got = f"{len(labels.players)} players with {tuple(map(len, labels.actions))} actions"
            raise invalid_argument("labels", got, f"names of {n} players with {shape} actions")
        object.__setattr__(self, "payoffs", tensors)
        object.__setattr__(self, "labels", labels)

    @classmethod
    def zero_sum(cls, matrix: ArrayLike) -> NormalFormGame:
        """Two players, the second of whom loses what the first gains.

        Args:
            matrix: (a_1, a_2) payoffs of the first player.

        Returns:
            The game (matrix, -matrix).

        >>> NormalFormGame.zero_sum([[1, -1], [-1, 1]]).payoffs[1]
        array([[-1.,  1.],
               [ 1., -1.]])
        """
        first = finite_array("matrix", matrix, ndim=2)
        return cls((first, 0.0 - first))

    @classmethod
    def symmetric(cls, matrix: ArrayLike) -> NormalFormGame:
        """Two players in the same position.

        Args:
            matrix: (a, a) what the action of the row pays against the action of the column.

        Returns:
            The game (matrix, transposed matrix).

        Raises:
            ValueError: if the matrix is not square.

        >>> NormalFormGame.symmetric([[2, 0], [3, 1]]).payoffs[1]
        array([[2., 3.],
               [0., 1.]])
        """
        first = finite_array("matrix", matrix, ndim=2)
        if first.shape[0] != first.shape[1]:
            raise invalid_argument("matrix", f"shape {first.shape}", "a square matrix")
        return cls((first, first.T))

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return len(self.payoffs)

    @property
    def n_actions(self) -> tuple[int, ...]:
        """Numbers of actions (a_1, ..., a_n)."""
        return self.payoffs[0].shape

    @property
    def payoff_range(self) -> float:
        """Greatest difference between two payoffs of one player."""
        return max(float(np.ptp(tensor)) for tensor in self.payoffs)

    @cached_property
    def compared_payoffs(self) -> tuple[NDArray[np.float64], ...]:
        """The payoffs to take differences of: each player's up to a constant, as the numbers they stand for."""
        tensors = tuple(comparable(tensor) for tensor in self.payoffs)
        for tensor in tensors:
            tensor.flags.writeable = False
        return tensors

    def to_nashpy(self) -> Any:
        """Return the two-player game as a ``nashpy.Game``.

        Raises:
            ValueError: if there are not two players.
        """
        if self.n_players != 2:
            raise invalid_argument("game", f"{self.n_players} players", "2 players, as nashpy has")
        return import_module("nashpy").Game(*(tensor.copy() for tensor in self.payoffs))

    @classmethod
    def from_nashpy(cls, game: Any) -> NormalFormGame:
        """Return a ``nashpy.Game`` as a game of this package."""
        return cls(game.payoff_matrices)

    def to_quantecon(self) -> Any:
        """Return the game as a ``quantecon.game_theory.NormalFormGame``, in which player i has his own axis first."""
        theory = import_module("quantecon.game_theory")
        n = self.n_players
        rotated = (
            np.ascontiguousarray(tensor.transpose([(i + k) % n for k in range(n)]))
            for i, tensor in enumerate(self.payoffs)
        )
        return theory.NormalFormGame([theory.Player(tensor.copy()) for tensor in rotated])

    @classmethod
    def from_quantecon(cls, game: Any) -> NormalFormGame:
        """Return a ``quantecon.game_theory.NormalFormGame`` as a game of this package."""
        n = game.N
        return cls(
            [player.payoff_array.transpose([(k - i) % n for k in range(n)]) for i, player in enumerate(game.players)]
        )


def check_game(game: object, n_players: int | None = None) -> None:
    """Refuse what is no game in normal form, or one of another number of players.

    >>> check_game(NormalFormGame.zero_sum([[1, -1], [-1, 1]]), 3)
    Traceback (most recent call last):
    ValueError: game: got '2 players', expected 3 players
    """
    if not isinstance(game, NormalFormGame):
        expected = "a NormalFormGame, such as NormalFormGame((A, B)) or NormalFormGame.zero_sum(A)"
        raise invalid_argument("game", _named(game), expected)
    if n_players is not None and game.n_players != n_players:
        raise invalid_argument("game", f"{game.n_players} players", f"{n_players} players")


def restrict(game: NormalFormGame, actions: Sequence[ArrayLike]) -> NormalFormGame:
    """Return the game in which each player keeps only some actions.

    Args:
        game: the game.
        actions: n arrays of action numbers, each with at least one.

    Returns:
        The smaller game, its labels kept.

    >>> restrict(NormalFormGame.zero_sum([[1, 2], [3, 4]]), ([1], [0, 1])).payoffs[0]
    array([[3., 4.]])
    """
    kept = [np.asarray(chosen, dtype=np.intp) for chosen in actions]
    labels = game.labels
    names = tuple(tuple(row[k] for k in chosen) for row, chosen in zip(labels.actions, kept, strict=True))
    grid = np.ix_(*kept)
    return NormalFormGame(
        [tensor[grid] for tensor in game.payoffs], Labels(labels.title, labels.comment, labels.players, names)
    )


def _names(name: str, value: object, expected: str) -> tuple[str, ...]:
    """Names as a tuple of texts."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(each, str) for each in value):
        raise invalid_argument(name, value, expected)
    return tuple(value)


def _named(value: object) -> object:
    """What came, short: a number as it is, anything longer by its type."""
    if value is None or isinstance(value, (int, float, str)):
        return value
    kind = type(value).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"


def _tensor(i: int, value: ArrayLike, n: int) -> NDArray[np.float64]:
    """Payoff tensor of player i of n, or an error that says which forms there are."""
    tensor = finite_array(f"payoffs[{i}]", value, ndim=None)
    if tensor.ndim != n:
        players = "1 player" if n == 1 else f"{n} players"
        expected = f"{n} axes, since {n} tensors are {players}; (A, B) for two players, zero_sum(A) for one matrix"
        raise invalid_argument(f"payoffs[{i}]", f"shape {tensor.shape}", expected)
    return tensor


def _has_pairs(payoffs: Any) -> bool:
    """Whether payoffs are nested lists with tuples of two numbers at the bottom, as quantecon writes a bimatrix."""
    return any(
        isinstance(row, list) and any(isinstance(cell, tuple) and len(cell) == 2 for cell in row) for row in payoffs
    )
