"""The table of games between two populations and of processes; one line makes a new member."""

from __future__ import annotations

import numpy as np

from neurogames.engine import Process, best_response, death_birth, imitation, logit, moran, replicator
from neurogames.games import TwoPopulationGame

SIZES = (3, 4)

GAMES = {
    "pennies": TwoPopulationGame([[1, -1], [-1, 1]], [[-1, 1], [1, -1]], SIZES),
    "battle": TwoPopulationGame([[2, 0], [0, 1]], [[1, 0], [0, 2]], SIZES, ("he", "she"), (("a", "b"), ("a", "b"))),
    "2 x 3": TwoPopulationGame([[1.0, 0.2, 0.7], [0.4, 0.9, 0.5]], [[0.3, 1.1, 0.2], [0.8, 0.1, 0.6]], SIZES),
}

PROCESSES = {
    "logit": Process(logit(0.3)),
    "logit, hold, all": Process(logit(0.3), "all", 0.6),
    "logit, blind, mutation": Process(logit(0.2), "one", 0.7, "blind", 0.1),
    "best response, mutation": Process(best_response(), mutation=0.1),
    "imitation": Process(imitation(1.5)),
    "imitation, blind, all": Process(imitation(1.5), "all", 0.5, "blind", 0.05),
    "replicator": Process(replicator()),
    "Moran": Process(moran(1.0), mutation=0.05),
    "Wright and Fisher": Process(moran(1.0), "all", mutation=0.05),
    "death and birth": Process(death_birth(0.8), mutation=0.02),
    "two processes": (Process(logit(0.4)), Process(imitation(2.0), mutation=np.full((3, 3), 1 / 3))),
}


def fits(game, process):
    """A mutation matrix belongs to populations of its size."""
    return not isinstance(process, tuple) or game.n_strategies[1] == 3
