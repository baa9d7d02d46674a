"""What a revising player of a polymatrix game does, in logarithms, mask and mutation included."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.process import Process
from neurogames.engine.strategies.switching import log_rule
from neurogames.games.polymatrix import PolymatrixGame


def log_revision(process: Process, offers: NDArray[np.float64], terms: float) -> NDArray[np.float64]:
    """Log probabilities from each strategy to each other one.

    Args:
        process: logit or best response.
        offers: (S, n) what each strategy would pay.
        terms: sum of the sizes of the terms of a payoff, at most: best responses ignore its rounding.

    Returns:
        (S, n, n).

    >>> from neurogames.engine import logit
    >>> np.exp(log_revision(Process(logit(1.0)), np.array([[0.0, np.log(3.0)]]), 2.0))[0]
    array([[0.25, 0.75],
           [0.25, 0.75]])
    """
    size, n = offers.shape
    if n == 1:
        return np.zeros((size, 1, 1))
    cube = np.broadcast_to(offers[:, None, :], (size, n, n))
    # Whom one could copy plays no part in these rules.
    nobody = np.zeros((size, n, n))
    return log_rule(process, terms, cube, offers, nobody, nobody)


def revisions(process: Process, players: int) -> int:
    """Steps of the chain in a sweep."""
    return players if cast(str, process.revision) == "one" else 1


def largest_terms(game: PolymatrixGame) -> float:
    """Most that the sizes of the payoffs at the edges of a player add up to."""
    return float(np.abs(game.table).max(initial=0.0) * np.diff(game.first).max(initial=0))
