"""Nash equilibria that were found, and what is known about those that were not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.display.tables import mixed_profiles
from neurogames.engine.equilibria.components import Groups
from neurogames.games.replies import Profile


@dataclass(frozen=True, eq=False)
class NashSolutions:
    """Equilibria of a game.

    Attributes:
        profiles: the equilibria, each a tuple of n strategies of shapes (a_1,), ..., (a_n,).
        regret: (k,) regret of each, computed from the game, in payoff units.
        status: "ok", or why something is missing, or that a deviation gains more than 1e-9 of its stake
            (``games.replies.certified_gains``).
        unique: True or False when known, None when not.
        complete: whether ``profiles`` determine the set of all equilibria: all of them if there are finitely many, all
            extreme ones otherwise.
        degenerate: whether the game is degenerate; None when not known.
        index: index +1 or -1 of each equilibrium of a nondegenerate two-player game, None otherwise.
        subsets: maximal Nash subsets as tuples of numbers of profiles: every mixture of the first strategies of a
            subset with every mixture of the second ones is an equilibrium, and there are no others. None unless
            complete. More than two players: each profile is one, being isolated.
        components: the subsets joined where they meet; a component of one number is an isolated equilibrium.
        method: how they were found; "exact vertices" where rounding could have decided and integers were used.
        iterations: bases visited, pivots or steps.
    """

    profiles: tuple[Profile, ...]
    regret: NDArray[np.float64]
    status: str
    unique: bool | None
    complete: bool
    degenerate: bool | None
    index: tuple[int, ...] | None
    subsets: Groups | None
    components: Groups | None
    method: str
    iterations: int

    def __len__(self) -> int:
        return len(self.profiles)

    def __iter__(self) -> Iterator[Profile]:
        return iter(self.profiles)

    def __getitem__(self, number: int) -> Profile:
        return self.profiles[number]

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each equilibrium, player and action, counted from 1."""
        known = {} if self.index is None else {"index": self.index}
        return mixed_profiles(self.profiles, regret=self.regret.tolist(), **known)
