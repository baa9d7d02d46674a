"""The three views of agents at one combination of parameters."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine import (
    MatrixPath,
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
    strategy_mean_field,
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
from neurogames.lab.studies.agents.exact import ON_GRAPH, ExactViews, copies_only, exact_views, outcomes, too_large
from neurogames.lab.studies.agents.settings import AgentsSettings
from neurogames.lab.studies.agents.sources import n_nodes, read_game, read_graph

Array = NDArray[np.float64]

_TIMES = 50
_BESIDE, _APART = 1e-7, 1e-2
"""How far starts are apart whose paths are compared, and paths that are not the same."""


def measure_agents(*, settings: AgentsSettings, **cell: Any) -> xr.Dataset:
    """Simulate agents, and follow their mean shares exactly and in the mean field.

    Args:
        settings: all settings.
        **cell: one value of each that is swept, and the seed.

    Returns:
        By time and strategy: ``simulated`` mean shares over replicas with their ``standard_error`` and the 5 % and 95 %
        quantiles ``low`` and ``high``; ``exact`` mean shares and the ``exact_spread`` of a single replica, NaN where
        the chain is too large or the agents stand on a graph; ``mean_field``. By strategy: ``stationary``, the exact
        mean shares in the long run, NaN where they are not unique. By outcome, a strategy or a pair of them: the
        probability ``takes_over`` that it is the first that all use, where no other comes back, after ``sweeps_until``
        on average, and the share ``took_over`` of replicas in which all use it at the end. By view: ``status``, "ok" or
        what is to be known of it. ``n_players``.

    Raises:
        ValueError: if game, graph, process and start do not fit together.
    """
    values = settings.at(cell)
    rng = np.random.default_rng([settings.seed, zlib.crc32(json.dumps(cell, sort_keys=True).encode())])
    graph = read_graph(settings.graph, values["players"], settings.seed) if settings.graph else None
    players = values["players"] if graph is None else n_nodes(graph)
    game, process = game_of(settings, values, players), process_of(settings, values)
    sweeps = settings.sweeps
    every, times = recorded(sweeps)
    shown = (times / every).astype(np.int64)
    plan: dict[str, Any] = {"sweeps": sweeps, "replicas": settings.replicas, "every": every, "rng": rng}
    if isinstance(game, TwoPopulationGame):
        if graph is not None:
            raise invalid_argument("game", f"{settings.game}, not symmetric", "a symmetric game, if it is on a graph")
        names, sizes = full_names(game), game.n_strategies
        counts = [whole_counts(share, players) for share in start_shares(settings, names, sizes)]
        parts = [each[:, shown] for each in simulate_two_populations(game, process, start=counts, **plan).share]
        field: Any = two_population_mean_field(game, process)
    else:
        names = game.labels
        counts = [whole_counts(start_shares(settings, names, (len(names),))[0], players)]
        if graph is None:
            parts = [simulate_strategies(game, process, start=counts[0], **plan).share[:, shown]]
        else:
            parts = [_simulated_on_graph(settings, values, graph, process, counts[0], plan)[:, shown]]
        # The reference on a graph is the well-mixed population.
        field = strategy_mean_field(game, process)
    path = mean_field_path(field, [count / players for count in counts], times)
    why = ON_GRAPH if graph is not None else too_large(game, process, sweeps)
    exact = None if why else exact_views(game, process, counts, times)
    return _labelled(names, outcomes(game), parts, exact, path, why, copies_only(process)).assign(n_players=players)


def mean_field_path(field: Any, start: Sequence[Array], times: Array) -> MatrixPath:
    """The path of a mean field, whose status says if a start very near leads elsewhere, as on a watershed.

    Args:
        field: of one population or of two.
        start: shares in each population.
        times: (T,) in sweeps.

    Returns:
        The path.
    """
    path: MatrixPath
    path, near = (
        field.path(each[0] if len(each) == 1 else each, times) for each in (start, [_beside(one) for one in start])
    )
    apart = max(float(np.abs(one - other).max()) for one, other in zip(path.states, near.states, strict=True))
    if path.status == "ok" and apart > _APART:
        why = f"it depends on rounding: a start {_BESIDE:g} away is up to {apart:.2g} away later"
        return replace(path, status=why)
    return path


def _beside(share: Array) -> Array:
    """Shares of the same strategies, very near."""
    other = np.where(share > 0, np.sqrt(1.0 + np.arange(share.size)), 0.0)
    return np.asarray((1.0 - _BESIDE) * share + _BESIDE * other / other.sum())


def _labelled(
    names: Sequence[str],
    ends: Sequence[str],
    parts: Sequence[Array],
    exact: ExactViews | None,
    path: MatrixPath,
    why: str,
    ending: bool,
) -> xr.Dataset:
    """All views by name: simulated shares of each population, exact answers or why there are none, and a mean field."""
    # Paths are integrated: a share of 0 may be -1e-15.
    seen, field = np.concatenate(parts, axis=-1), np.clip(np.concatenate(path.states, axis=-1), 0.0, 1.0)
    low, high = np.quantile(seen, (0.05, 0.95), axis=0)
    unknown = np.full(field.shape, np.nan)
    # In which replicas all use a strategy at the end, or a pair of them.
    alone = [part[:, -1, :] == 1.0 for part in parts]
    took = alone[0] if len(alone) == 1 else (alone[0][:, :, None] & alone[1][:, None, :]).reshape(len(seen), -1)
    over = ("outcome",)
    dims = ("time", "strategy")
    return xr.Dataset(
        {
            "simulated": (dims, seen.mean(axis=0)),
            "standard_error": (dims, seen.std(axis=0) / np.sqrt(len(seen))),
            "low": (dims, low),
            "high": (dims, high),
            "exact": (dims, exact.mean if exact else unknown),
            "exact_spread": (dims, exact.spread if exact else unknown),
            "mean_field": (dims, field),
            "stationary": (("strategy",), exact.stationary if exact else unknown[0]),
            "took_over": (over, took.mean(axis=0) if ending else np.full(len(ends), np.nan)),
            "takes_over": (over, exact.takes_over if exact else np.full(len(ends), np.nan)),
            "sweeps_until": ((), exact.sweeps if exact else np.nan),
            "status": (("view",), [why or "ok", path.status, why or (exact.long_run if exact else "")]),
        },
        coords={
            "time": path.time.astype(np.int64),
            "strategy": list(names),
            "outcome": list(ends),
            "view": ["exact", "mean field", "long run"],
        },
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


def recorded(sweeps: int) -> tuple[int, Array]:
    """Sweeps between two records, and at most 51 times that are shown, from 0 to the end.

    >>> every, times = recorded(100)
    >>> every, times.size, recorded(101)[0], recorded(101)[1][[0, 1, 2, -1]].tolist()
    (2, 51, 1, [0.0, 2.0, 4.0, 101.0])
    """
    steps = range(-(-sweeps // _TIMES), sweeps // (_TIMES // 2) + 1)
    # A length that no such step divides, as a prime, is recorded after every sweep and thinned afterwards.
    every = next((step for step in steps if sweeps % step == 0), 1)
    count = sweeps // every
    places = np.unique(np.linspace(0, count, min(count, _TIMES) + 1).round())
    return every, places * every


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
