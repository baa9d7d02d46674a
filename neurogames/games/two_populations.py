"""A game between two populations: everybody plays a two-player game with all players of the other population.

N players of the first population use strategies i, M of the second use j. With y the shares in the second population
a user of i earns (A y)_i, with x those in the first a user of j earns (B' x)_j. What a player does changes nothing for
its own population, so that finite and infinite populations have the same payoffs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, integer, invalid_argument, numbers
from neurogames.games.normal_form import NormalFormGame, check_game

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TwoPopulationGame:
    """A two-player game played between two populations.

    Args:
        first: A, (n, m) what strategy i of the first population pays against j of the second.
        second: B, (n, m) what strategy j of the second population pays against i of the first.
        n_players: N and M, at least 2 each.
        players: names of the populations.
        labels: names of the strategies in each; numbers from 1 on when left out.

    Raises:
        ValueError: if the matrices are not finite or of different shape, or a number is out of range.

    >>> pennies = TwoPopulationGame([[1, -1], [-1, 1]], [[-1, 1], [1, -1]], (10, 20))
    >>> [pay.tolist() for pay in pennies.payoffs([0.5, 0.5], [1.0, 0.0])]
    [[1.0, -1.0], [0.0, 0.0]]
    """

    first: Array
    second: Array
    n_players: tuple[int, int]
    players: tuple[str, str]
    labels: tuple[tuple[str, ...], tuple[str, ...]]

    def __init__(
        self,
        first: ArrayLike,
        second: ArrayLike,
        n_players: tuple[int, int],
        players: tuple[str, str] = ("1", "2"),
        labels: tuple[tuple[str, ...], tuple[str, ...]] = ((), ()),
    ) -> None:
        own, other = finite_array("first", first, ndim=2), finite_array("second", second, ndim=2)
        if min(own.shape) < 2:
            raise invalid_argument("first", f"shape {own.shape}", "two strategies at least in each population")
        if other.shape != own.shape:
            raise invalid_argument("second", f"shape {other.shape}", f"shape {own.shape}, as the first has")
        if not isinstance(n_players, tuple | list) or len(n_players) != 2:
            raise invalid_argument("n_players", n_players, "two numbers, one for each population")
        sizes = tuple(integer("n_players", size, minimum=2) for size in n_players)
        pairs: tuple[tuple[str, object], ...] = (("players", players), ("labels", labels))
        for name, pair in pairs:
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise invalid_argument(name, pair, "two of them, one for each population")
        names = tuple(
            tuple(given) or tuple(str(k + 1) for k in range(n)) for given, n in zip(labels, own.shape, strict=True)
        )
        if tuple(map(len, names)) != own.shape:
            raise invalid_argument("labels", f"{len(names[0])} and {len(names[1])} names", f"{own.shape} of them")
        values = {"first": own, "second": other, "n_players": sizes, "players": tuple(players), "labels": names}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_normal_form(cls, game: NormalFormGame, n_players: tuple[int, int]) -> TwoPopulationGame:
        """The game of two populations whose players are those of a game in normal form, names kept.

        Args:
            game: two players.
            n_players: N and M.

        Returns:
            The game.

        Raises:
            ValueError: if there are not two players.

        >>> TwoPopulationGame.from_normal_form(NormalFormGame.zero_sum([[1, -1], [-1, 1]]), (9, 9)).n_strategies
        (2, 2)
        """
        check_game(game, 2)
        (first, second), labels = game.payoffs, game.labels
        players, actions = labels.players, labels.actions
        return cls(first, second, n_players, (players[0], players[1]), (actions[0], actions[1]))

    @property
    def n_strategies(self) -> tuple[int, int]:
        """N and m."""
        return self.first.shape[0], self.first.shape[1]

    def __repr__(self) -> str:
        parts = zip(self.n_players, self.players, self.labels, strict=True)
        said = " | ".join(f"{size} {name}: {', '.join(own[:6])}{', ...' * (len(own) > 6)}" for size, name, own in parts)
        return f"TwoPopulationGame({said})"

    def payoffs(self, first_share: ArrayLike, second_share: ArrayLike) -> tuple[Array, Array]:
        """What every strategy pays in each population.

        Args:
            first_share: (..., n) shares x in the first population.
            second_share: (..., m) shares y in the second.

        Returns:
            (..., n) payoffs A y and (..., m) payoffs B' x.

        Raises:
            ValueError: if the shapes are others.
        """
        x = numbers("first_share", first_share, f"shares of shape (..., {self.first.shape[0]})")
        y = numbers("second_share", second_share, f"shares of shape (..., {self.first.shape[1]})")
        for name, share, n in (("first_share", x, self.first.shape[0]), ("second_share", y, self.first.shape[1])):
            if share.ndim == 0 or share.shape[-1] != n:
                raise invalid_argument(name, f"shape {share.shape}", f"shape (..., {n})")
        return y @ self.first.T, x @ self.second
