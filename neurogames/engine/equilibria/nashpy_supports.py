"""Nashpy's equilibria of a two-player game, and which of ours it misses: a cross-check by an independent program.

Nashpy solves the equations of indifference for each pair of supports, and compares payoffs without a tolerance. It
misses equilibria

- of degenerate games, where the equations of a support have many solutions: of a continuum it finds some corners;
- whose payoffs are equal only up to rounding, also in games that are not degenerate.

It tries every pair of subsets of actions, (2^m - 1)(2^n - 1) of them.

Reference: V. Knight and J. Campbell, Nashpy: a Python library for the computation of Nash equilibria, Journal of Open
Source Software 3 (2018), 904.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from neurogames._arguments import invalid_argument
from neurogames.games.normal_form import NormalFormGame, check_game
from neurogames.games.replies import Profile

_MOST_PAIRS = 70_000


def nashpy_equilibria(game: NormalFormGame) -> list[Profile]:
    """What nashpy finds by support enumeration.

    Args:
        game: two players with m and n actions, (2^m - 1)(2^n - 1) <= 70,000.

    Returns:
        The profiles as nashpy returns them, which are not checked here.

    Raises:
        ValueError: there are not two players, or too many supports.

    >>> [first.tolist() for first, _ in nashpy_equilibria(NormalFormGame.zero_sum([[1, -1], [-1, 1]]))]
    [[0.5, 0.5]]
    """
    check_game(game, 2)
    pairs = support_pairs(game)
    if pairs > _MOST_PAIRS:
        raise invalid_argument("game", f"{pairs} pairs of supports", f"at most {_MOST_PAIRS} for nashpy")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # that the game may be degenerate, which is known here
        return [(np.asarray(first), np.asarray(second)) for first, second in game.to_nashpy().support_enumeration()]


def support_pairs(game: NormalFormGame) -> int:
    """How many pairs of supports nashpy tries."""
    first, second = game.n_actions
    return int((2**first - 1) * (2**second - 1))


def missed(found: Sequence[Profile], known: Sequence[Profile], *, same: float) -> int:
    """How many of the known profiles are not among those found, to ``same`` in every probability.

    >>> missed([], [(np.array([1.0]), np.array([1.0]))], same=1e-8)
    1
    """
    rows = [np.concatenate(profile) for profile in found]
    return sum(not any(np.abs(row - np.concatenate(profile)).max() <= same for row in rows) for profile in known)
