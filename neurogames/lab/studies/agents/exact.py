"""What is known exactly of well-mixed agents at one combination: mean shares, the long run, and who takes over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine import Process, strategy_chain, two_population_chain
from neurogames.engine.two_populations.results import pair_names
from neurogames.games import PopulationGame, TwoPopulationGame
from neurogames.games.compositions import n_compositions

Array = NDArray[np.float64]

ON_GRAPH = "the agents stand on a graph"
"""Why there is no exact chain."""
_MOST_STATES = {"one": 6000, "all": 400}
_MOST_STEPS = 1e9


@dataclass(frozen=True, eq=False)
class ExactViews:
    """Exact answers; the strategies of two populations stand side by side.

    Attributes:
        mean: (T, K) mean shares.
        spread: (T, K) standard deviation of a single replica.
        stationary: (K,) mean shares in the long run; NaN where they are not unique.
        long_run: "ok", or why they are not.
        takes_over: probability of each outcome (see ``outcomes``); NaN where nothing takes over for good.
        sweeps: expected time until then.
    """

    mean: Array
    spread: Array
    stationary: Array
    long_run: str
    takes_over: Array
    sweeps: float


def exact_views(
    game: PopulationGame | TwoPopulationGame, process: Process, counts: Sequence[NDArray[np.int64]], times: Array
) -> ExactViews:
    """Follow the chain from a start.

    Args:
        game: the game.
        process: the process.
        counts: compositions at time 0, of one population or two.
        times: (T,) in sweeps; the first is 0.

    Returns:
        What it answers.
    """
    later = [int(time) for time in times[1:]]
    chain: Any
    start: Any
    if isinstance(game, TwoPopulationGame):
        chain, start = two_population_chain(game, process), counts
        states = chain.states
    else:
        chain, start = strategy_chain(game, process), counts[0]
        states = (chain.states,)
    share = np.concatenate([each / count.sum() for each, count in zip(states, counts, strict=True)], axis=1)
    begin = np.concatenate([count / count.sum() for count in counts])
    law = chain.transient(start, later).probability
    mean = np.concatenate([begin[None], law @ share])
    square = np.concatenate([begin[None] ** 2, law @ share**2])
    rest = chain.stationary()
    stationary = np.exp(rest.log_probability) @ share
    takes_over, sweeps = np.full(len(outcomes(game)), np.nan), np.nan
    if copies_only(process):
        absorbed = chain.absorption(start)
        takes_over, sweeps = absorbed.probability.reshape(-1), absorbed.escape.sweeps
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    return ExactViews(mean, spread, stationary, rest.status, takes_over, sweeps)


def copies_only(process: Process) -> bool:
    """Whether no strategy comes back that nobody uses, so that one takes over in the end."""
    return process.choice.copies and not np.any(np.asarray(process.mutation))


def outcomes(game: PopulationGame | TwoPopulationGame) -> tuple[str, ...]:
    """Names of what can take over: a strategy, or a pair of them in two populations."""
    if isinstance(game, TwoPopulationGame):
        return pair_names(game)
    return game.labels


def too_large(game: PopulationGame | TwoPopulationGame, process: Process, sweeps: int) -> str:
    """Why the exact chain is not followed, or an empty text where it is."""
    if isinstance(game, TwoPopulationGame):
        each = zip(game.n_players, game.n_strategies, strict=True)
        size, moves = (
            math.prod(n_compositions(players, n) for players, n in each),
            sum(n * n for n in game.n_strategies),
        )
        most, players = _MOST_STATES[process.revision] // 4, sum(game.n_players)
    else:
        size, moves = n_compositions(game.n_players, game.n_strategies), game.n_strategies**2
        most, players = _MOST_STATES[process.revision], game.n_players
    if size > most:
        return f"it would have {size:,} states, more than {most:,}"
    work = size * moves * players * sweeps if process.revision == "one" else size**2 * sweeps
    return f"it would take {work:.0e} steps, more than {_MOST_STEPS:.0e}" if work > _MOST_STEPS else ""
