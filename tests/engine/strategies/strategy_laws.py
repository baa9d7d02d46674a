"""The table of games and processes with several strategies; one line makes a new member."""

from __future__ import annotations

import numpy as np

from neurogames.engine import Process, best_response, death_birth, imitation, logit, moran, replicator
from neurogames.games import PopulationGame, contribution_game

PLAYERS = 6
MUTATION = np.array([[0.9, 0.1, 0.0], [0.0, 0.7, 0.3], [0.2, 0.05, 0.75]])


def loners(group):
    """A public good of three that one may stay out of: contributes, does not, stays out."""
    gives, takes = group[:, 0], group[:, 1]
    share = 1.8 * gives / np.maximum(gives + takes, 1)
    alone = gives + takes == 1
    return np.stack([np.where(alone, 0.4, share - 1), np.where(alone, 0.4, share), np.full(len(group), 0.4)], axis=1)


def crowded(others):
    """Each strategy pays less the more others use it, and one of them depends on a second."""
    share = others / (PLAYERS - 1)
    return np.stack([1.5 - share[..., 0] ** 2, 1.2 - share[..., 1], 0.5 + share[..., 0] * share[..., 2]], axis=-1)


GAMES = {
    "rock, paper, scissors": PopulationGame.from_matrix([[0.5, 0, 2], [2, 0.5, 0], [0, 2, 0.5]], PLAYERS),
    "any matrix": PopulationGame.from_matrix([[1.0, 0.3, 0.8], [1.4, 0.2, 0.1], [0.9, 0.7, 0.6]], PLAYERS),
    "loners": PopulationGame.from_groups(loners, 3, 3, PLAYERS),
    "amounts": contribution_game([0, 1, 2], group_size=3, n_players=PLAYERS, multiplier=1.6, threshold=1.0),
    "function": PopulationGame(crowded, 3, PLAYERS),
}

PROCESSES = {
    "logit": Process(logit(0.3)),
    "logit, hold, all": Process(logit(0.3), "all", 0.6),
    "logit, blind, mutation": Process(logit(0.2), "one", 0.7, "blind", 0.1),
    "best response, mutation": Process(best_response(), mutation=0.1),
    "best response, all, blind": Process(best_response(), "all", 0.7, "blind"),
    "imitation": Process(imitation(1.5)),
    "imitation, blind, all": Process(imitation(1.5), "all", 0.5, "blind"),
    "imitation, mutation": Process(imitation(2.0), mutation=0.05),
    "imitation, hold, matrix": Process(imitation(2.0), "one", 0.6, "hold", MUTATION),
    "replicator": Process(replicator()),
    "replicator, all, mutation": Process(replicator(), "all", mutation=0.03),
    "Moran": Process(moran(1.0)),
    "Moran, matrix": Process(moran(1.2), mutation=MUTATION),
    "Moran, linear": Process(moran(0.5, "linear"), mutation=0.1),
    "Wright and Fisher": Process(moran(1.0), "all", mutation=0.05),
    "death and birth": Process(death_birth(0.8), mutation=0.02),
    "death and birth, linear, all": Process(death_birth(0.4, "linear"), "all"),
}
