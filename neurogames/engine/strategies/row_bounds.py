"""How far one switch can move what a player does: a bound that lets a row be used after the population has changed.

A row holds the accumulated probabilities P(S) that a revising user of a strategy next uses one of S. Where one player
of N switches, each P(S) moves by at most a number of order 1/N, whatever the composition and the set S. A draw that is
farther from P(S) than all moves since it was worked out falls on the same side of it as of the present one.

With A the matrix, w = max |A_jb - A_ja - (A_kb - A_ka)| and d = max |A_jb - A_ja|, one switch from a to b moves
differences of payoffs by at most w / (N - 1), and each payoff by at most d / (N - 1). Hence

    logit                    w / (4 tau (N - 1)), since P' = P (1 - P) <= 1/4 in the logarithm of the odds
    imitation, replicator    (1 + L w N / (N - 1)) / (N - 1), with L the slope of the probability to copy
    reproduction             r / (N - 1) + v g / (4 (N - 1)): one parent takes the place of another, each with at most
                             r times the least fitness; fitness moves by a factor, v g the greatest of its logarithms

and masks and mutation, which average over rows, move no farther. A best response may jump.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from neurogames.engine.choice import Imitation, Logit, Replicator
from neurogames.engine.process import Process
from neurogames.engine.strategies.reproduction import Reproduction
from neurogames.games.population import PopulationGame

JUMP = 2.0
"""More than any probability moves: nothing is known after a switch."""

_ROUNDING = 2.0**-40


def most_per_switch(game: PopulationGame, process: Process) -> float:
    """A bound of what one switch adds to, or takes from, any accumulated probability of a row; at most ``JUMP``.

    Args:
        game: a matrix game.
        process: a process that fits it.

    >>> from neurogames.engine import logit
    >>> game = PopulationGame.from_matrix([[2, 0], [0, 1]], 31)
    >>> round(most_per_switch(game, Process(logit(0.5))), 6)  # 3 / (4 0.5 30)
    0.05
    """
    choice, players = process.choice, game.n_players
    matrix = cast("np.ndarray", game.matrix)
    moves = matrix[:, :, None] - matrix[:, None, :]  # (n, n, n): what strategy j earns more when a becomes b
    apart = float(np.ptp(moves, axis=0).max()) / (players - 1)
    least, most = game.payoff_range()
    if isinstance(choice, Logit):
        bound = apart / (4.0 * cast(float, choice.temperature))
    elif isinstance(choice, Imitation):
        bound = _copied(cast(float, choice.intensity) / 4.0 * apart, players)
    elif isinstance(choice, Replicator):
        bound = _copied(apart / (most - least) if most > least else 0.0, players)
    elif isinstance(choice, Reproduction):
        ends = choice.log_fitness(np.array([least, most]))
        ratio = np.exp(min(float(ends[1] - ends[0]), 700.0))
        # In one step others move beside a parent that is as before, then this one gives way to one that is as after.
        each = float(np.abs(moves).max()) / (players - 1)
        moved = 2.0 * each / np.exp(ends[0]) if choice.fitness == "linear" else max(each, apart)
        bound = ratio / (players - 1) + choice.intensity * moved / 4.0
    else:
        bound = JUMP
    return float(bound) + _ROUNDING if bound < JUMP else JUMP


def _copied(moved: float, players: int) -> float:
    """The bound for a model met in a copying rule, whose probability to be copied has ``moved``."""
    return (1.0 + players * moved) / (players - 1)
