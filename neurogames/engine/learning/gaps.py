"""How far joint laws of play are from equilibria, many laws at once; the twin of ``correlated_regret`` for one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurogames.games.normal_form import NormalFormGame

Array = NDArray[np.float64]


def swap_gains(game: NormalFormGame, law: Array) -> list[Array]:
    """For each player (..., a_i, a_i): what playing b whenever the law says a adds to his expected payoff.

    Args:
        game: the game.
        law: (..., a_1, ..., a_n) laws over profiles.

    Returns:
        n arrays, a before b.

    >>> chicken = NormalFormGame.symmetric([[6.0, 2.0], [7.0, 0.0]])
    >>> swap_gains(chicken, np.array([[1.0, 0.0], [0.0, 0.0]]))[0]
    array([[0., 1.],
           [0., 0.]])
    """
    n = game.n_players
    lead = law.shape[: law.ndim - n]
    flat = law.reshape(-1, *game.n_actions)
    gains = []
    for i, tensor in enumerate(game.compared_payoffs):
        size = game.n_actions[i]
        chance = np.moveaxis(flat, i + 1, 1).reshape(len(flat), size, -1)
        rows = np.moveaxis(tensor, i, 0).reshape(size, -1)
        gain = np.stack([chance[:, a] @ (rows - rows[a]).T for a in range(size)], axis=1)
        gains.append(gain.reshape(*lead, size, size))
    return gains


def correlated_gap(game: NormalFormGame, law: Array) -> Array:
    """(...) the most that a player gains by the best answer to each of his actions; 0 iff a correlated equilibrium."""
    return np.asarray(np.max([gain.max(axis=-1).sum(axis=-1) for gain in swap_gains(game, law)], axis=0))


def coarse_gap(game: NormalFormGame, law: Array) -> Array:
    """(...) the most that a player gains by one fixed action; 0 iff a coarse correlated equilibrium."""
    best = np.max([gain.sum(axis=-2).max(axis=-1) for gain in swap_gains(game, law)], axis=0)
    return np.asarray(np.maximum(0.0, best))
