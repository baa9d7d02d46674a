"""Certificates of two-player profiles, compiled: what ``games.replies.certified_gains`` says of any game.

For each player the gain of his best deviation, and the greatest share of its stake that a deviation gains. The share
is free of units and levels, so it alone decides the status of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.compiled import compiled
from neurogames.games.normal_form import NormalFormGame
from neurogames.games.replies import Profile, certified_gains

Vector = NDArray[np.float64]


def certify(game: NormalFormGame, profiles: Sequence[Profile]) -> tuple[Vector, Vector]:
    """Regret (k,) of each profile, in payoff units, and the greatest share (k,) of its stake that a deviation gains.

    Args:
        game: the game.
        profiles: k mixed profiles.

    Returns:
        Regrets and shares; a profile is an equilibrium but for rounding iff its share is at most 1e-9.

    >>> pennies = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
    >>> certify(pennies, [(np.array([0.5, 0.5]), np.array([1.0, 0.0]))])
    (array([1.]), array([1.]))
    """
    regret, share = np.zeros(len(profiles)), np.zeros(len(profiles))
    if game.n_players == 2:
        first, second = game.compared_payoffs
        for k, (x, y) in enumerate(profiles):
            _, regret[k], share[k] = both_gains(first, second, x, y)
    else:
        for k, profile in enumerate(profiles):
            gain, part = certified_gains(game, profile)
            regret[k], share[k] = gain.max(), part.max()
    return regret, share


@compiled
def both_gains(first: Any, second: Any, x: Any, y: Any) -> Any:
    """Sum of the gains of both players, the greater one, and the greatest share of a stake."""
    m, n = first.shape
    # All payoffs are taken relative to the action that is played most, so that what they share costs no digits.
    r, s = x.argmax(), y.argmax()
    played, best, share = np.zeros(n), -np.inf, 0.0
    for i in range(m):
        if x[i] > 0.0:
            for j in range(n):
                played[j] += x[i] * (first[i, j] - first[r, j])
    for i in range(m):
        gain, stake = 0.0, 0.0
        for j in range(n):
            if y[j] > 0.0:
                part = y[j] * ((first[i, j] - first[r, j]) - played[j])
                gain += part
                stake += abs(part)
        best = max(best, gain)
        if gain > share * stake:
            share = gain / stake
    answered, other = np.zeros(m), -np.inf
    for i in range(m):
        for j in range(n):
            answered[i] += y[j] * (second[i, j] - second[i, s])
    gains, stakes = np.zeros(n), np.zeros(n)
    for i in range(m):
        if x[i] > 0.0:
            for j in range(n):
                part = x[i] * ((second[i, j] - second[i, s]) - answered[i])
                gains[j] += part
                stakes[j] += abs(part)
    for j in range(n):
        other = max(other, gains[j])
        if gains[j] > share * stakes[j]:
            share = gains[j] / stakes[j]
    return best + other, max(best, other), share
