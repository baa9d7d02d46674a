"""Which process do recorded states resemble? The exact likelihood of each, on records that it was not fitted to.

A process says how likely it is that these players stop and those start between two records
(:mod:`neurogames.engine.population.flips`). Its free parameters, temperature and pace, are fitted to the first part of
the records; the rest judges. Processes that the rest cannot tell from the best one are all named: "cannot tell" is an
answer. Two constant rates of starting and stopping, which know of no game, stand beside the processes as a control.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from neurogames._arguments import given_array, invalid_argument, number, probability
from neurogames.engine.choice import best_response, logit
from neurogames.engine.population.flips import Counts, log_law_of_flips
from neurogames.engine.process import Process, Switching, check_two_action_game, payoff_spread, switching
from neurogames.games.base import TwoActionGame

RULES = ("logit", "best response")
CONTROL = "constant rates"

_TEMPERATURES = np.geomspace(1e-3, 1e2, 21)
_PACES = 9
_FEWEST = 20
_LEVEL = 0.05

Logs = NDArray[np.float64]
Law = Callable[[Counts, float, float], Logs]
Revision = Literal["one", "all"]
Mask = Literal["hold", "blind"]


@dataclass(frozen=True, eq=False)
class ProcessFit:
    """How likely recorded states are under each process; made by :func:`fit_process`.

    Attributes:
        processes: (P,) names, such as "logit, one at a time, hold", the likeliest first.
        temperature: (P,) fitted, in payoff units; NaN where there is none.
        pace: (P,) revisions of a player between two records, fitted or as given; NaN for the control.
        log_likelihood: (P,) of a held-out transition, on average; -inf where one is impossible.
        behind: (P,) how far each lies behind the best on the same transitions; 0 for the best.
        margin: (P,) how far a true process may lie behind by chance, with all comparisons allowed for: half of a 95 %
            interval of ``behind``, and at least what Markov's inequality leaves to a likelihood ratio.
        transitions: how many were held out.
    """

    processes: tuple[str, ...]
    temperature: Logs
    pace: Logs
    log_likelihood: Logs
    behind: Logs
    margin: Logs
    transitions: int

    @property
    def possible(self) -> tuple[str, ...]:
        """Processes that the held-out records do not tell from the best."""
        left = self.behind <= self.margin
        return tuple(name for name, stays in zip(self.processes, left, strict=True) if stays)

    @property
    def verdict(self) -> str:
        """One process, that no game is needed, or that it cannot be told."""
        left = self.possible
        if left == (CONTROL,):
            return "none of these: two constant rates are likelier"
        return left[0] if len(left) == 1 else f"cannot tell: {'; '.join(left)}"

    def __repr__(self) -> str:
        """One line."""
        return f"ProcessFit({self.verdict!r}, {self.transitions} held-out transitions)"


def fit_process(
    game: TwoActionGame,
    states: ArrayLike,
    *,
    keep_prob: float = 1.0,
    pace: float | None = None,
    held_out: float = 0.5,
) -> ProcessFit:
    """Fit revision processes to recorded states, and compare them on records held out.

    Log likelihood of a path: sum over t of log P(states_{t+1} | number of actors at t), with P the exact law of one
    round or of ``pace`` N single revisions.

    Args:
        game: a symmetric two-action game of N players.
        states: (replicas, times, N) or (times, N), True for who acts; recorded at equal distances.
        keep_prob: probability that a revising player gets its feedback. At 1 "hold" and "blind" are the same.
        pace: revisions of a player between two records in (0, 100], on average; 1 if every sweep was recorded, None to
            fit it (at most 1 round of all, at most 4 N single revisions). Above 1, revision of all is left out.
        held_out: share of records, the last ones, that judge: in (0, 1).

    Returns:
        All processes; see ``verdict``.

    Raises:
        ValueError: if states are not two-valued or do not fit the game, or fewer than 20 transitions are held out.

    >>> from neurogames import PublicGoodsGame
    >>> rng, game = np.random.default_rng(0), PublicGoodsGame(8, 0.4, 1.0)
    >>> states = [np.zeros(8, dtype=bool)]
    >>> for _ in range(400):  # best response with a coin now and then, one at a time
    ...     now = states[-1].copy()
    ...     player = rng.integers(8)
    ...     now[player] = game.gain[now.sum() - now[player]] > 0 if rng.random() > 0.2 else rng.random() < 0.5
    ...     states.append(now)
    >>> found = fit_process(game, states, keep_prob=0.8, pace=1 / 8)
    >>> "best response, one at a time, blind" in found.possible
    True

    Reference: Q. Vuong, Likelihood ratio tests for model selection and non-nested hypotheses, Econometrica 57 (1989),
    for the comparison by differences of single records, here of those held out; gradient-dropout game, arXiv
    2507.19143, for the processes.
    """
    check_two_action_game(game)
    keep_prob = probability("keep_prob", keep_prob)
    if pace is not None:
        pace = number(
            "pace", pace, "revisions of a player between records in (0, 100], or None", lambda value: 0 < value <= 100
        )
    held_out = number("held_out", held_out, "a share in (0, 1)", lambda value: 0 < value < 1)
    flips = _flips(states, game.n_players)
    fitted = round(flips.shape[1] * (1 - held_out))
    training, judging = flips[:, :fitted].reshape(-1, 3), flips[:, fitted:].reshape(-1, 3)
    if min(len(training), len(judging)) < _FEWEST:
        got = f"{len(training)} transitions to fit to and {len(judging)} held out"
        raise invalid_argument("states", got, f"at least {_FEWEST} of both")
    kinds, which = np.unique(judging, axis=0, return_inverse=True)
    names, temperatures, paces, scores = [], [], [], []
    for rule, revision, masked in _candidates(keep_prob, pace):
        law = _law(game, rule, revision, masked, keep_prob)
        temperature, own_pace = _fitted(law, game, training, rule, revision, pace)
        words = [rule, "all at once" if revision == "all" else "one at a time"]
        names.append(", ".join(words + [masked] * (keep_prob < 1)))
        temperatures.append(temperature)
        paces.append(own_pace)
        scores.append(law(kinds, temperature, own_pace)[which])
    names.append(CONTROL)
    scores.append(_constant_rates(training, judging, game.n_players))
    return _compared(names, [*temperatures, np.nan], [*paces, np.nan], np.array(scores))


def _flips(states: ArrayLike, n: int) -> Counts:
    """(replicas, times - 1, 3) actors before, stopped and started, of each transition."""
    given = given_array("states", states)
    expected = f"(replicas, times, {n}) or (times, {n}) of True and False"
    if given.ndim not in (2, 3) or given.shape[-1] != n or given.dtype.kind not in "biuf":
        raise invalid_argument("states", f"shape {given.shape} of {given.dtype}", expected)
    if not ((given == 0) | (given == 1)).all():
        raise invalid_argument("states", "other values than 0 and 1", expected)
    act = given.astype(bool).reshape(-1, *given.shape[-2:])
    before, after = act[:, :-1], act[:, 1:]
    return np.stack([before.sum(-1), (before & ~after).sum(-1), (~before & after).sum(-1)], axis=-1)


def _candidates(
    keep_prob: float, pace: float | None
) -> list[tuple[str, Literal["one", "all"], Literal["hold", "blind"]]]:
    """What is compared: rule, revision and mask."""
    revisions: tuple[Literal["one", "all"], ...] = ("one", "all") if pace is None or pace <= 1 else ("one",)
    masks: tuple[Literal["hold", "blind"], ...] = ("hold", "blind") if keep_prob < 1 else ("hold",)
    return list(product(RULES, revisions, masks))


def _law(game: TwoActionGame, rule: str, revision: Revision, masked: Mask, keep_prob: float) -> Law:
    """Log likelihood of each of some transitions (K, 3), as a function of temperature and pace."""

    def law(flips: Counts, temperature: float, pace: float) -> Logs:
        choice = logit(temperature) if rule == "logit" else best_response()
        rates = switching(game, Process(choice, revision, keep_prob, masked))
        return log_law_of_flips(rates, flips, revision, pace)

    return law


def _fitted(
    law: Law, game: TwoActionGame, training: Counts, rule: str, revision: Revision, pace: float | None
) -> tuple[float, float]:
    """Temperature and pace of the greatest likelihood: on a grid, then refined between its neighbours."""
    n, spread = game.n_players, payoff_spread(game)
    kinds, times = np.unique(training, axis=0, return_counts=True)
    greatest = 1.0 if revision == "all" else 4.0
    paces = np.geomspace(min(0.5 / n, greatest), greatest, _PACES) if pace is None else np.array([pace])
    temperatures = _TEMPERATURES * (spread or 1.0) if rule == "logit" else np.array([np.nan])

    def loss(temperature: float, own_pace: float) -> float:
        # A finite number for what is impossible: the search takes differences.
        return min(-float(times @ law(kinds, temperature, own_pace)), 1e300)

    losses = np.array([[loss(t, p) for p in paces] for t in temperatures])
    row, column = np.unravel_index(int(losses.argmin()), losses.shape)
    temperature, own_pace = float(temperatures[row]), float(paces[column])
    if rule == "logit":
        temperature = _refined(lambda value: loss(value, own_pace), temperatures, temperature)
    if pace is None:
        own_pace = _refined(lambda value: loss(temperature, value), paces, own_pace)
    return temperature, own_pace


def _refined(loss: Callable[[float], float], grid: Logs, value: float) -> float:
    """A value between the neighbours of ``value`` in a geometric grid, of a loss that is no greater."""
    ratio = float(grid[1] / grid[0])
    low, high = max(value / ratio, grid[0]), min(value * ratio, grid[-1])
    bounds = (float(np.log(low)), float(np.log(high)))
    found = optimize.minimize_scalar(lambda log: loss(float(np.exp(log))), bounds=bounds, method="bounded")
    return float(np.exp(found.x)) if found.fun < loss(value) else value


def _constant_rates(training: Counts, judging: Counts, n: int) -> Logs:
    """Log likelihood of two rates that depend on nothing, with half a success and half a failure added."""
    acting, stopped, started = training.sum(axis=0)
    resting = len(training) * n - acting
    off, on = np.log([stopped + 0.5, acting - stopped + 0.5]), np.log([started + 0.5, resting - started + 0.5])
    off, on = off - np.log(acting + 1.0), on - np.log(resting + 1.0)
    same = np.ones(n)
    return log_law_of_flips(Switching(on[0] * same, on[1] * same, off[0] * same, off[1] * same), judging, "all", 1.0)


def _compared(names: list[str], temperatures: list[float], paces: list[float], scores: Logs) -> ProcessFit:
    """Order processes, and set each beside the best on the same transitions."""
    mean = scores.mean(axis=1)
    order = np.argsort(-mean, kind="stable")
    best, transitions = scores[order[0]], scores.shape[1]
    behind, margin = np.zeros(len(order)), np.zeros(len(order))
    level = _LEVEL / (len(order) - 1)
    quantile = float(stats.t.ppf(1 - level / 2, transitions - 1))
    # Of a truth, another process has at least 1 / level times the likelihood with probability level at most. That holds
    # too where nothing moves in the records held out, and differences have no spread.
    least = -np.log(level) / transitions
    for place, which in enumerate(order[1:].tolist(), start=1):
        if np.isneginf(mean[which]):
            behind[place] = np.inf
            continue
        apart = best - scores[which]
        behind[place] = apart.mean()
        margin[place] = max(quantile * apart.std(ddof=1) / np.sqrt(transitions), least)
    return ProcessFit(
        tuple(names[place] for place in order.tolist()),
        np.array(temperatures)[order],
        np.array(paces)[order],
        mean[order],
        behind,
        margin,
        transitions,
    )
