"""Where a population of n strategies goes from each of its compositions, and with what probability.

One revision moves one player from strategy i to j != i: at most n (n - 1) moves from each composition. A round of all
leads from every composition to every other one. Both are kept as rows of targets with log probabilities.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine.compiled import compiled
from neurogames.engine.population import wide
from neurogames.engine.process import Process
from neurogames.engine.strategies.switching import log_switching
from neurogames.games.compositions import compositions, n_compositions, ranks
from neurogames.games.population import PopulationGame

_MOST_WORK = 2**33


class Moves(NamedTuple):
    """Moves between compositions.

    Attributes:
        states: (S, n) compositions, in lexicographic order.
        target: (S, K) where a move leads.
        log_probability: (S, K) of that move; -inf where there is none.
        log_stay: (S,) log probability that nothing changes; already in the moves of a round.
        band: greatest distance between the places of a composition and of its target.
    """

    states: NDArray[np.int64]
    target: NDArray[np.int64]
    log_probability: NDArray[np.float64]
    log_stay: NDArray[np.float64]
    band: int


def check_size(game: PopulationGame, process: Process) -> None:
    """Refuse a chain that is too large, before any work.

    Raises:
        ValueError: naming its number of compositions.
    """
    n, players = game.n_strategies, game.n_players
    size = n_compositions(players, n)
    if process.revision == "one":
        work = size * n_compositions(players, max(n - 1, 1)) ** 2
    else:
        work = size * max(size**2, players * (players + 1) ** (n - 1) * n)
    if work > _MOST_WORK:
        got = f"{size} compositions of {players} players and {n} strategies, {work:.1e} steps"
        raise invalid_argument(
            "game", got, f"a chain of at most {_MOST_WORK:.1e} steps: fewer players, or simulate_strategies"
        )


def single_moves(game: PopulationGame, process: Process) -> Moves:
    """Moves of one revision: a random player is picked, then it changes its strategy or not."""
    n, players = game.n_strategies, game.n_players
    states = compositions(players, n)
    log_rule = log_switching(game, process, states)
    with np.errstate(divide="ignore"):
        log_picked = np.log(states / players)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    target = np.empty((len(states), len(pairs)), dtype=np.int64)
    log_probability = np.empty(target.shape)
    step = np.eye(n, dtype=np.int64)
    for k, (i, j) in enumerate(pairs):
        possible = states[:, i] > 0
        target[:, k] = ranks(states + np.where(possible[:, None], step[j] - step[i], 0), players)
        log_probability[:, k] = np.where(possible, log_picked[:, i] + log_rule[:, i, j], -np.inf)
    own = np.where(states > 0, log_rule[:, np.arange(n), np.arange(n)], 0.0)
    log_stay = np.logaddexp.reduce(log_picked + own, axis=1)
    band = int(np.abs(target - np.arange(len(states))[:, None]).max())
    return Moves(states, target, log_probability, log_stay, band)


def round_moves(game: PopulationGame, process: Process) -> Moves:
    """Moves of a round in which everybody revises, each by the rule of the composition before it."""
    n, players = game.n_strategies, game.n_players
    states = compositions(players, n)
    log_rule = log_switching(game, process, states)
    size = len(states)
    log_probability = np.empty((size, size))
    places = states[:, :-1] @ (players + 1) ** np.arange(n - 1)
    fill_rounds(states, log_rule, places, (players + 1) ** np.arange(n - 1), log_probability)
    target = np.broadcast_to(np.arange(size), (size, size))
    return Moves(states, target, log_probability, np.diag(log_probability).copy(), size - 1)


@compiled
def fill_rounds(states: Any, log_rule: Any, places: Any, radix: Any, log_probability: Any) -> None:
    """Laws of the next composition: players are added one after another, each with the row of its strategy.

    From each of the ``states`` (S, n) to each of the compositions at ``places`` (T,): (S, T), in place.
    """
    size, n = states.shape
    cells = radix[n - 2] * states[0].sum() + 1
    m, e = np.empty(cells), np.empty(cells, dtype=np.int64)
    p_m, p_e = np.empty(n), np.empty(n, dtype=np.int64)
    for s in range(size):
        m[:] = 0.0
        e[:] = wide.ZERO
        m[0], e[0] = 1.0, 0
        used = 0
        for i in range(n):
            for j in range(n):
                p_m[j], p_e[j] = wide.of_log(log_rule[s, i, j])
            for _ in range(states[s, i]):
                used = min(used + radix[n - 2], cells - 1)
                for c in range(used, -1, -1):
                    new_m, new_e = wide.multiply(m[c], e[c], p_m[n - 1], p_e[n - 1])
                    for j in range(n - 1):
                        if c >= radix[j]:
                            before = c - radix[j]
                            new_m, new_e = wide.add_product(new_m, new_e, m[before], e[before], p_m[j], p_e[j])
                    m[c], e[c] = new_m, new_e
        for t in range(places.size):
            log_probability[s, t] = wide.log_of(m[places[t]], e[places[t]])
