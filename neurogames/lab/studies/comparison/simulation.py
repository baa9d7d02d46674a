"""Public goods games under gradient dropout over a grid of keep probabilities: agents beside the exact law.

Everybody starts on the detour. Three meanings of "a unit gets no feedback" are kept apart, since they disagree:

- ``hold, one at a time``: a masked player keeps its action; one player revises at a time;
- ``hold, all at once``: a masked player keeps its action; all revise in each round;
- ``blind, one at a time``: a masked player sees no payoff difference and tosses a fair coin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import xarray as xr

from neurogames._arguments import integer, invalid_argument, probability
from neurogames.engine import PopulationChain, Process, logit, population_chain, simulate
from neurogames.games import PublicGoodsGame
from neurogames.lab.studies.settings import LARGEST_COUNT


class Mask(NamedTuple):
    """One meaning of a masked player: who revises, and what a masked player does."""

    revision: Literal["one", "all"]
    masked: Literal["hold", "blind"]


MASKS = {
    "hold, one at a time": Mask("one", "hold"),
    "hold, all at once": Mask("all", "hold"),
    "blind, one at a time": Mask("one", "blind"),
}


def simulate_composition(
    game: PublicGoodsGame,
    *,
    keep_probs: Sequence[float],
    temperature: float,
    sweeps: int,
    replicas: int,
    masks: Sequence[str] = tuple(MASKS),
    rng: np.random.Generator,
    on_progress: Callable[[int, int], object] | None = None,
) -> xr.Dataset:
    """Share of composers over time, simulated and exact, for each meaning of a mask and each keep probability.

    Args:
        game: the public goods game; all players start on the detour.
        keep_probs: probabilities of keeping feedback, each in (0, 1].
        temperature: temperature tau > 0 of the logit choice.
        sweeps: length in sweeps (N single revisions, or one round of all).
        replicas: independent simulations per grid point.
        masks: some of the names in ``MASKS``.
        rng: numpy generator.
        on_progress: called as ``on_progress(done, total)`` with counts of grid points.

    Returns:
        Dimensions mask, keep_prob and sweep (at most 21 evenly spaced times from 0 to ``sweeps``); ``simulated``
        and ``exact`` are mean shares, ``standard_error`` is that of ``simulated``; ``escape_sweeps`` (mask,
        keep_prob) is the exact expected time from no composer to the tipping point (infinite without one), and
        ``stationary`` the exact mean share in the long run.

    Raises:
        ValueError: a keep probability outside (0, 1], an unknown mask, one of them twice, or a count below 1.

    >>> game = PublicGoodsGame(n_players=10, cost=0.4, multiplier=1.0)
    >>> result = simulate_composition(game, keep_probs=[0.5, 1.0], temperature=0.1, sweeps=50, replicas=200,
    ...                               rng=np.random.default_rng(0))
    >>> result.exact.dims
    ('mask', 'keep_prob', 'sweep')
    """
    keep_probs = [probability("keep_probs", keep_prob) for keep_prob in keep_probs]
    for name in masks:
        if name not in MASKS:
            raise invalid_argument("masks", name, f"one of {', '.join(MASKS)}")
    for name, values in (("keep_probs", keep_probs), ("masks", masks)):
        if not len(values) or len(set(values)) < len(values):
            raise invalid_argument(name, list(values), "at least one, each named once")
    sweeps = integer("sweeps", sweeps, minimum=1, maximum=LARGEST_COUNT)
    replicas = integer("replicas", replicas, minimum=1, maximum=LARGEST_COUNT)
    # The smallest divisor, so that the end is among at most 21 times.
    every = next(step for step in range(-(-sweeps // 20), sweeps + 1) if sweeps % step == 0)
    times = np.arange(0, sweeps + 1, every)
    threshold = tipping_count(game)
    shape = (len(masks), len(keep_probs))
    simulated, error, exact = (np.empty((*shape, len(times))) for _ in range(3))
    escape, stationary = np.empty(shape), np.empty(shape)
    tell = on_progress or _silent
    for done, place in enumerate(np.ndindex(*shape)):
        tell(done, len(masks) * len(keep_probs))
        mask = MASKS[masks[place[0]]]
        process = Process(
            logit(temperature), revision=mask.revision, keep_prob=keep_probs[place[1]], masked=mask.masked
        )
        chain = population_chain(game, process)
        run = simulate(game, process, start=0, sweeps=sweeps, replicas=replicas, every=every, rng=rng)
        simulated[place] = run.share.mean(axis=0)
        error[place] = run.share.std(axis=0) / np.sqrt(replicas)
        exact[place] = _mean_shares(chain, times)
        escape[place] = np.inf if threshold is None else chain.escape_time(0, threshold).sweeps
        stationary[place] = chain.stationary().mean_share()
    tell(len(masks) * len(keep_probs), len(masks) * len(keep_probs))
    grid = ("mask", "keep_prob")
    return xr.Dataset(
        {
            "simulated": ((*grid, "sweep"), simulated),
            "standard_error": ((*grid, "sweep"), error),
            "exact": ((*grid, "sweep"), exact),
            "escape_sweeps": (grid, escape),
            "stationary": (grid, stationary),
        },
        coords={"mask": list(masks), "keep_prob": keep_probs, "sweep": times},
    )


def _silent(*_: object) -> None:
    """Progress that nobody asked for."""


def tipping_count(game: PublicGoodsGame) -> int | None:
    """Smallest number of composers at which composing pays; ``None`` where it never starts to.

    >>> tipping_count(PublicGoodsGame(n_players=20, cost=0.4, multiplier=1.0))
    8
    """
    point = game.tipping_point
    return None if point is None else int(np.ceil(round(point, 9)))


def _mean_shares(chain: PopulationChain, times: np.ndarray) -> np.ndarray:
    """Exact mean share at each of the increasing ``times``, the first of which is 0."""
    return np.append(0.0, chain.transient(0, times[1:]).mean_share())
