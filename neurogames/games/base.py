"""What the engine asks of a two-action symmetric game: two vectors and their large-population limit.

N players each rest (0) or act (1). Every payoff follows from two vectors indexed by k = 0..N-1, the number of
OTHERS who act: ``baseline[k]`` is what resting pays and ``gain[k]`` what acting pays on top of it.
Anything with these attributes can be played; no inheritance is needed.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class TwoActionGame(Protocol):
    """A symmetric game of N players with two actions, as the engine sees it."""

    @property
    def n_players(self) -> int:
        """Number of players N."""
        ...

    @property
    def gain(self) -> NDArray[np.float64]:
        """(N,) extra payoff of acting when k others act."""
        ...

    @property
    def baseline(self) -> NDArray[np.float64]:
        """(N,) payoff of resting when k others act."""
        ...

    def limit_gain(self, share: ArrayLike) -> NDArray[np.float64]:
        """Extra payoff of acting when a share of a large population acts."""
        ...

    def limit_payoff_advantage(self, share: ArrayLike) -> NDArray[np.float64]:
        """What an actor earns more than a resting player of the same large population."""
        ...


def payoff_advantage(game: TwoActionGame) -> NDArray[np.float64]:
    """What an actor earns more than a rester of the same population, with C = 1..N-1 actors in all.

    The actor has C - 1 others who act, the rester has C, so the advantage is gain(C-1) + baseline(C-1) - baseline(C).
    It is what rules that compare payoffs between players see; the gain is what rules see that compare actions.

    Args:
        game: the game.

    Returns:
        (N-1,) payoff differences, entry C - 1 for C actors.
    """
    return game.gain[:-1] + game.baseline[:-1] - game.baseline[1:]
