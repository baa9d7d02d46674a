"""What revising players of two populations do: a matrix of log probabilities in each.

The rules are those of :mod:`neurogames.engine.strategies.switching`; whom a player copies, or whose offspring takes
its place, is of its own population.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine.process import Process
from neurogames.engine.strategies.switching import check_process, log_rule, rule_range
from neurogames.games.two_populations import TwoPopulationGame

Array = NDArray[np.float64]
Processes = Process | tuple[Process, Process]


def check_two_populations(game: TwoPopulationGame, process: Processes) -> tuple[Process, Process]:
    """The process of each population, or the refusal of what does not fit.

    Raises:
        ValueError: for another game, no process, schedules, or populations that revise differently.
    """
    if not isinstance(game, TwoPopulationGame):
        raise invalid_argument("game", type(game).__name__, "a TwoPopulationGame")
    pair = process if isinstance(process, tuple) else (process, process)
    if len(pair) != 2:
        raise invalid_argument("process", f"{len(pair)} processes", "one, or one for each of the two populations")
    for each, n in zip(pair, game.n_strategies, strict=True):
        check_process(each, n)
    if pair[0].revision != pair[1].revision:
        raise invalid_argument("process", "revision 'one' and 'all'", "the same revision in both populations")
    return pair


def log_switching_pair(
    game: TwoPopulationGame, pair: tuple[Process, Process], counts: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> tuple[Array, Array]:
    """Log probabilities that a revising user of i next uses j, in each population.

    Args:
        game: the game.
        pair: the process of each population.
        counts: (S, n) and (S, m) compositions.

    Returns:
        (S, n, n) and (S, m, m); rows of strategies that nobody uses have no meaning.
    """
    shares = tuple(count / size for count, size in zip(counts, game.n_players, strict=True))
    found = []
    for place, own in enumerate(game.payoffs(*shares)):
        count, size = counts[place], game.n_players[place]
        n = own.shape[-1]
        rivals = np.maximum(count[:, None, :] - np.eye(n, dtype=np.int64), 0) / (size - 1)
        found.append(_log_rules(game, pair, place, own, rivals, shares[place]))
    return found[0], found[1]


def limit_log_switching_pair(
    game: TwoPopulationGame, pair: tuple[Process, Process], shares: tuple[Array, Array]
) -> tuple[Array, Array]:
    """The same in large populations, over shares (S, n) and (S, m)."""
    found = []
    for place, own in enumerate(game.payoffs(*shares)):
        rivals = np.broadcast_to(shares[place][:, None, :], (*own.shape, own.shape[-1]))
        found.append(_log_rules(game, pair, place, own, rivals, shares[place]))
    return found[0], found[1]


def payoff_range(game: TwoPopulationGame, place: int) -> tuple[float, float]:
    """Least and greatest payoff in one of the populations."""
    matrix = (game.first, game.second)[place]
    return float(matrix.min()), float(matrix.max())


def _log_rules(
    game: TwoPopulationGame, pair: tuple[Process, Process], place: int, own: Array, rivals: Array, share: Array
) -> Array:
    shape = (*own.shape, own.shape[-1])
    offers, everyone = (np.broadcast_to(each[:, None, :], shape) for each in (own, share))
    spread = rule_range(pair[place].choice, *payoff_range(game, place))
    return log_rule(pair[place], spread, offers, own, rivals, everyone)
