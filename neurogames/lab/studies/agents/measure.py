"""The three views of agents at one combination of parameters."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine import (
    Process,
    best_response,
    death_birth,
    imitation,
    logit,
    moran,
    replicator,
    simulate_network,
    simulate_on_graph,
    simulate_strategies,
    strategy_chain,
    strategy_mean_field,
)
from neurogames.games import GraphGame, NetworkPublicGoodsGame, PopulationGame, PublicGoodsGame
from neurogames.games.compositions import n_compositions
from neurogames.lab.studies.agents.settings import AgentsSettings
from neurogames.lab.studies.agents.sources import read_game, read_graph

Array = NDArray[np.float64]

_TIMES = 50
_MOST_STATES = {"one": 6000, "all": 400}
_MOST_STEPS = 1e9


def measure_agents(*, settings: AgentsSettings, **cell: Any) -> xr.Dataset:
    """Simulate agents, and follow their mean shares exactly and in the mean field.

    Args:
        settings: all settings.
        **cell: one value of each that is swept, and the seed.

    Returns:
        By time and strategy: ``simulated`` mean shares over replicas with their ``standard_error`` and the 5 % and 95 %
        quantiles ``low`` and ``high``; ``exact`` mean shares and the ``exact_spread`` of a single replica, NaN where
        the chain is too large or the agents stand on a graph; ``mean_field``. By strategy: ``stationary``, the exact
        mean shares in the long run, NaN where they are not unique. ``n_players``.

    Raises:
        ValueError: if game, graph, process and start do not fit together.
    """
    values = settings.at(cell)
    rng = np.random.default_rng([settings.seed, zlib.crc32(json.dumps(cell, sort_keys=True).encode())])
    graph = read_graph(settings.graph, values["players"], settings.seed) if settings.graph else None
    players = values["players"] if graph is None else graph.number_of_nodes()
    game, process = population_game(settings, values, players), process_of(settings, values)
    share = start_shares(settings, game)
    count = whole_counts(share, players)
    sweeps = settings.sweeps
    # The smallest divisor, so that the end is among at most 51 times.
    every = next(step for step in range(-(-sweeps // _TIMES), sweeps + 1) if sweeps % step == 0)
    times: Array = np.arange(0, sweeps + 1, every, dtype=np.float64)
    if graph is None:
        plan: dict[str, Any] = {"start": count, "sweeps": sweeps, "replicas": settings.replicas, "every": every}
        seen = simulate_strategies(game, process, rng=rng, **plan).share
        views = _exact(game, process, count, times)
    else:
        seen = _simulated_on_graph(settings, values, graph, process, count, every, rng)
        views = {}
    # The reference on a graph is the well-mixed population.
    field = strategy_mean_field(game, process).path(count / players, times).states[0]
    low, high = np.quantile(seen, (0.05, 0.95), axis=0)
    spread = seen.std(axis=0) / np.sqrt(settings.replicas)
    unknown = np.full(field.shape, np.nan)
    dims = ("time", "strategy")
    return xr.Dataset(
        {
            "simulated": (dims, seen.mean(axis=0)),
            "standard_error": (dims, spread),
            "low": (dims, low),
            "high": (dims, high),
            "exact": (dims, views.get("exact", unknown)),
            "exact_spread": (dims, views.get("exact_spread", unknown)),
            "mean_field": (dims, field),
            "stationary": (("strategy",), views.get("stationary", unknown[0])),
            "n_players": ((), players),
        },
        coords={"time": times.astype(np.int64), "strategy": list(game.labels)},
    )


def population_game(settings: AgentsSettings, values: dict[str, Any], players: int) -> PopulationGame:
    """The game of a well-mixed population."""
    read = read_game(settings.game)
    if read is None:
        return PopulationGame.from_two_actions(PublicGoodsGame(players, values["cost"], values["multiplier"]))
    return PopulationGame.from_normal_form(read, players)


def process_of(settings: AgentsSettings, values: dict[str, Any]) -> Process:
    """The process with its parameters."""
    intensity = values["intensity"]
    rules: dict[str, Callable[[], Any]] = {
        "logit": lambda: logit(values["temperature"]),
        "best-response": best_response,
        "imitation": lambda: imitation(intensity),
        "replicator": replicator,
        "moran": lambda: moran(intensity),
        "death-birth": lambda: death_birth(intensity),
        "wright-fisher": lambda: moran(intensity),
    }
    revision: Any = "all" if settings.process == "wright-fisher" else settings.revision
    masked: Any = settings.masked
    return Process(rules[settings.process](), revision, values["keep_prob"], masked, values["mutation"])


def start_shares(settings: AgentsSettings, game: PopulationGame) -> Array:
    """Shares at time 0."""
    n = game.n_strategies
    if settings.start and len(settings.start) != n:
        raise invalid_argument("start", list(settings.start), f"{n} shares: {', '.join(game.labels)}")
    return np.array(settings.start) if settings.start else np.full(n, 1.0 / n)


def whole_counts(share: Array, players: int) -> NDArray[np.int64]:
    """Whole numbers of players nearest to shares, by greatest remainders.

    >>> whole_counts(np.array([0.5, 0.25, 0.25]), 10).tolist()
    [5, 3, 2]
    """
    exact = share * players
    count = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(-(exact - count), kind="stable")
    count[order[: players - count.sum()]] += 1
    return count


def exact_size(game: PopulationGame, process: Process, sweeps: int) -> str:
    """Why the exact chain is not asked, or an empty text where it is."""
    n, players = game.n_strategies, game.n_players
    size = n_compositions(players, n)
    if size > _MOST_STATES[process.revision]:
        return f"{size} compositions, above {_MOST_STATES[process.revision]}"
    work = size * n * (n - 1) * players * sweeps if process.revision == "one" else size**2 * sweeps
    return f"{work:.1e} steps, above {_MOST_STEPS:.0e}" if work > _MOST_STEPS else ""


def _exact(game: PopulationGame, process: Process, count: NDArray[np.int64], times: Array) -> dict[str, Array]:
    """Exact mean shares over time with the spread of a single replica, and in the long run."""
    if exact_size(game, process, int(times[-1])):
        return {}
    chain = strategy_chain(game, process)
    law = chain.transient(count, [int(time) for time in times[1:]])
    share = chain.states / game.n_players
    mean = np.concatenate([count[None] / game.n_players, law.mean_share()])
    square = np.concatenate([(count[None] / game.n_players) ** 2, law.probability @ share**2])
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    return {"exact": mean, "exact_spread": spread, "stationary": chain.stationary().mean_share()}


def _simulated_on_graph(
    settings: AgentsSettings,
    values: dict[str, Any],
    graph: Any,
    process: Process,
    count: NDArray[np.int64],
    every: int,
    rng: np.random.Generator,
) -> Array:
    """(replicas, T, n) shares of agents on a graph, placed at random."""
    order = np.repeat(np.arange(count.size), count)
    start = np.stack([rng.permutation(order) for _ in range(settings.replicas)])
    plan: dict[str, Any] = {"sweeps": settings.sweeps, "replicas": settings.replicas, "every": every, "rng": rng}
    read = read_game(settings.game)
    if read is None:
        game = NetworkPublicGoodsGame(graph, values["cost"], values["multiplier"])
        acting = simulate_network(game, process, start=start == 1, **plan).share
        return np.stack([1.0 - acting, acting], axis=-1)
    return simulate_on_graph(GraphGame(read.payoffs[0], graph), process, start=start, **plan).share
