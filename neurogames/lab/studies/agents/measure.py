"""The three views of agents at one combination of parameters."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Sequence
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
    simulate_two_populations,
    strategy_chain,
    strategy_mean_field,
    two_population_chain,
    two_population_mean_field,
)
from neurogames.engine.two_populations.results import full_names
from neurogames.games import (
    GraphGame,
    NetworkPublicGoodsGame,
    PopulationGame,
    PublicGoodsGame,
    TwoPopulationGame,
)
from neurogames.games.compositions import n_compositions
from neurogames.lab.studies.agents.settings import AgentsSettings
from neurogames.lab.studies.agents.sources import n_nodes, read_game, read_graph

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
    players = values["players"] if graph is None else n_nodes(graph)
    game, process = game_of(settings, values, players), process_of(settings, values)
    sweeps = settings.sweeps
    # The smallest divisor, so that the end is among at most 51 times.
    every = next(step for step in range(-(-sweeps // _TIMES), sweeps + 1) if sweeps % step == 0)
    times: Array = np.arange(0, sweeps + 1, every, dtype=np.float64)
    plan: dict[str, Any] = {"sweeps": sweeps, "replicas": settings.replicas, "every": every, "rng": rng}
    if isinstance(game, TwoPopulationGame):
        if graph is not None:
            raise invalid_argument("graph", settings.graph, "a symmetric game, if it is on a graph")
        names = full_names(game)
        seen, field, views = _between_two(game, process, start_shares(settings, names, game.n_strategies), times, plan)
    else:
        names = game.labels
        count = whole_counts(start_shares(settings, names, (len(names),))[0], players)
        if graph is None:
            seen, views = (
                simulate_strategies(game, process, start=count, **plan).share,
                _exact(game, process, count, times),
            )
        else:
            seen, views = _simulated_on_graph(settings, values, graph, process, count, plan), {}
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
        coords={"time": times.astype(np.int64), "strategy": list(names)},
    )


def game_of(settings: AgentsSettings, values: dict[str, Any], players: int) -> PopulationGame | TwoPopulationGame:
    """The game of a well-mixed population, or of two if it is not symmetric."""
    read = read_game(settings.game)
    if read is None:
        return PopulationGame.from_two_actions(PublicGoodsGame(players, values["cost"], values["multiplier"]))
    if np.array_equal(read.payoffs[0], read.payoffs[1].T):
        return PopulationGame.from_normal_form(read, players)
    return TwoPopulationGame.from_normal_form(read, (players, players))


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


def start_shares(settings: AgentsSettings, names: Sequence[str], sizes: tuple[int, ...]) -> list[Array]:
    """Shares at time 0, in each population."""
    if not settings.start:
        return [np.full(n, 1.0 / n) for n in sizes]
    if len(settings.start) != len(names):
        raise invalid_argument("start", list(settings.start), f"{len(names)} shares: {', '.join(names)}")
    shares = np.split(np.array(settings.start), np.cumsum(sizes)[:-1])
    if any(abs(share.sum() - 1.0) > 1e-9 for share in shares):
        raise invalid_argument("start", list(settings.start), "shares that sum to 1 in each population")
    return shares


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


def exact_size(game: PopulationGame | TwoPopulationGame, process: Process, sweeps: int) -> str:
    """Why the exact chain is not asked, or an empty text where it is."""
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
        return f"{size} compositions, above {most}"
    work = size * moves * players * sweeps if process.revision == "one" else size**2 * sweeps
    return f"{work:.1e} steps, above {_MOST_STEPS:.0e}" if work > _MOST_STEPS else ""


def _exact(game: PopulationGame, process: Process, count: NDArray[np.int64], times: Array) -> dict[str, Array]:
    """Exact mean shares over time with the spread of a single replica, and in the long run."""
    if exact_size(game, process, int(times[-1])):
        return {}
    chain = strategy_chain(game, process)
    law = chain.transient(count, [int(time) for time in times[1:]])
    share = chain.states / game.n_players
    mean, spread = _moments(law.probability, share, count / game.n_players)
    return {"exact": mean, "exact_spread": spread, "stationary": chain.stationary().mean_share()}


def _between_two(
    game: TwoPopulationGame, process: Process, shares: list[Array], times: Array, plan: dict[str, Any]
) -> tuple[Array, Array, dict[str, Array]]:
    """Simulated shares, the mean field and the exact views, the strategies of both populations side by side."""
    counts = [whole_counts(share, size) for share, size in zip(shares, game.n_players, strict=True)]
    start = [count / size for count, size in zip(counts, game.n_players, strict=True)]
    seen = np.concatenate(simulate_two_populations(game, process, start=counts, **plan).share, axis=-1)
    field = np.concatenate(two_population_mean_field(game, process).path(start, times).states, axis=-1)
    if exact_size(game, process, int(times[-1])):
        return seen, field, {}
    chain = two_population_chain(game, process)
    law = chain.transient(counts, [int(time) for time in times[1:]])
    share = np.concatenate([each / size for each, size in zip(law.states, game.n_players, strict=True)], axis=1)
    mean, spread = _moments(law.probability, share, np.concatenate(start))
    stationary = np.concatenate(chain.stationary().mean_share())
    return seen, field, {"exact": mean, "exact_spread": spread, "stationary": stationary}


def _moments(law: Array, share: Array, start: Array) -> tuple[Array, Array]:
    """Exact mean shares with the spread of a single replica, the start in front."""
    mean = np.concatenate([start[None], law @ share])
    square = np.concatenate([start[None] ** 2, law @ share**2])
    return mean, np.sqrt(np.maximum(square - mean**2, 0.0))


def _simulated_on_graph(
    settings: AgentsSettings,
    values: dict[str, Any],
    graph: Any,
    process: Process,
    count: NDArray[np.int64],
    plan: dict[str, Any],
) -> Array:
    """(replicas, T, n) shares of agents on a graph, placed at random."""
    order = np.repeat(np.arange(count.size), count)
    start = np.stack([plan["rng"].permutation(order) for _ in range(settings.replicas)])
    read = read_game(settings.game)
    if read is None:
        game = NetworkPublicGoodsGame(graph, values["cost"], values["multiplier"])
        acting = simulate_network(game, process, start=start == 1, **plan).share
        return np.stack([1.0 - acting, acting], axis=-1)
    return simulate_on_graph(GraphGame(read.payoffs[0], graph), process, start=start, **plan).share
