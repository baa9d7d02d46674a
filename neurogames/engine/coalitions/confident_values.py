"""Shapley values with as many coalitions as it takes to be sure, and how stable the order of players is.

The estimate of ``values.shapley`` is repeated in stages of growing, independent draws; estimates are averaged by
what they cost, phi = sum_k B_k phi_k / sum_k B_k. After each stage an interval of normal theory is looked at. Looking
several times would void its confidence, so that stage k = 1, 2, ... only uses (1 - confidence) 6 / (pi^2 k^2) of the
chance of error; these parts add up to the whole. In ``top`` each of the n intervals gets 1/n of that again: the set of
players is settled when the lowest interval inside does not overlap the highest one outside, and is then the right one
with the confidence asked for, as far as the standard errors can be relied on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from neurogames._arguments import integer, invalid_argument, number
from neurogames.engine.coalitions.paired_design import least_draws
from neurogames.engine.coalitions.transforms import Vector
from neurogames.engine.coalitions.valuation import Values, required
from neurogames.engine.coalitions.values import shapley
from neurogames.games.coalition import CoalitionGame, coalition_game

_FIRST_STAGE = 2.0  # times the least that the regression needs
_GROWTH = 2.0  # most that a stage may cost, as multiple of all before


def shapley_until(
    game: CoalitionGame,
    *,
    max_budget: int,
    rng: np.random.Generator,
    half_width: float | None = None,
    top: int | None = None,
    confidence: float = 0.95,
) -> Values:
    """Estimate Shapley values until their intervals are narrow, or until the most valuable players are known.

    Args:
        game: the game.
        max_budget: most coalitions to ask for.
        rng: source of the draws.
        half_width: stop when the interval of every value reaches no further than this to each side. Each interval
            holds its value with the confidence asked for.
        top: stop when it is settled which ``top`` players have the largest values. All intervals together hold with
            the confidence asked for. Players of equal value are never settled.
        confidence: of the statement that ends the sampling, in (0, 1).

    Returns:
        Values with standard errors and what they cost; ``method`` says whether the goal was reached or the budget was
        used up. Exact where a stage would have asked for all 2^n coalitions.

    Raises:
        ValueError: not exactly one of ``half_width`` and ``top``, one of them out of range, or a budget below what the
            regression needs.

    >>> from neurogames.games.coalition_families import WeightedVotingGame
    >>> game = WeightedVotingGame([9, 8, 7] + [1] * 20, quota=22)
    >>> found = shapley_until(game, top=3, max_budget=50_000, rng=np.random.default_rng(0))
    >>> sorted(np.argsort(found.values)[-3:].tolist()), found.method.endswith("top 3 settled"), found.budget < 5000
    ([0, 1, 2], True, True)

    Reference: A. Ghorbani and J. Zou, Neuron Shapley: discovering the responsible neurons (2020), section 3, which
    stops single players instead; with a regression every coalition tells of all of them.
    """
    game = coalition_game(game)
    n = game.n_players
    if (half_width is None) == (top is None):
        raise invalid_argument("half_width, top", (half_width, top), "exactly one of them")
    if half_width is not None:
        number("half_width", half_width, "a number > 0", lambda value: value > 0)
    if top is not None:
        integer("top", top, minimum=1, maximum=max(1, n - 1))
    number("confidence", confidence, "a probability in (0, 1)", lambda value: 0 < value < 1)
    required(rng)
    least = min(2 * int(least_draws(n).sum()), 1 << n) if n > 1 else 2
    integer("max_budget", max_budget, minimum=least)
    values, variance, spent, stage = np.zeros(n), np.zeros(n), 0, 0
    budget = min(int(_FIRST_STAGE * least), max_budget)
    while True:
        found = shapley(game, budget, rng=rng)
        if found.exact:
            return Values(found.values, found.stderr, spent + found.budget, "Shapley", "exact")
        stage += 1
        share = found.budget / (spent + found.budget)
        values = (1 - share) * values + share * found.values
        variance = (1 - share) ** 2 * variance + share**2 * found.stderr**2
        spent += found.budget
        stderr = np.sqrt(variance)
        error = (1 - confidence) * 6.0 / (np.pi * stage) ** 2
        if half_width is not None:
            missing = float(norm.isf(error / 2) * stderr.max() / half_width)
            goal = f"every half width at most {half_width}"
        else:
            missing = _overlap(values, norm.isf(error / (2 * n)) * stderr, int(top or 1))
            goal = f"top {top} settled"
        how = f"{stage} stage{'s' * (stage > 1)}, the last of {found.method}"
        if missing <= 1:
            return Values(values, stderr, spent, "Shapley", f"{how}: {goal}")
        if max_budget - spent < least:
            return Values(
                values, stderr, spent, "Shapley", f"{how}: max_budget used up, intervals {missing:.1f} times too wide"
            )
        wish = spent * min(max(missing**2 - 1, 0.25), _GROWTH)  # errors fall with the root of what is spent
        budget = min(max(int(wish), least), max_budget - spent)


def _overlap(values: Vector, reach: Vector, top: int) -> float:
    """How many times too wide intervals are for the ``top`` largest values to be told from the others."""
    order = np.argsort(-values, kind="stable")
    inside, outside = order[:top], order[top:]
    width = reach[inside][:, None] + reach[outside]
    gap = values[inside][:, None] - values[outside]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(width > 0, width / gap, np.where(gap > 0, 0.0, np.inf))
    return float(ratio.max())


@dataclass(frozen=True, eq=False)
class SplitHalf:
    """Two independent estimates, each with half of a budget, held against each other.

    Attributes:
        halves: the two estimates.
        overlap: share of the ``top`` players of one half that are among those of the other.
        rank_correlation: Spearman's, between the values of all players; NaN if a half values all alike.
    """

    halves: tuple[Values, Values]
    overlap: float
    rank_correlation: float


def split_half(game: CoalitionGame, budget: int, *, top: int, rng: np.random.Generator) -> SplitHalf:
    """Estimate Shapley values twice, to see how stable the ranks of the players are.

    Args:
        game: the game.
        budget: most coalitions to ask for in both halves together.
        top: how many players to compare, 1..n.
        rng: source of the draws.

    Returns:
        Both estimates and how far they agree.

    Raises:
        ValueError: if half of the budget is too little for the regression, or ``top`` is out of range.

    >>> from neurogames.games.coalition_families import WeightedVotingGame
    >>> game = WeightedVotingGame(np.arange(1, 31) ** 3, quota=130_000)
    >>> found = split_half(game, 8000, top=5, rng=np.random.default_rng(0))
    >>> found.overlap, found.rank_correlation > 0.8
    (1.0, True)
    """
    budget = integer("budget", budget, minimum=2)
    game = coalition_game(game)
    integer("top", top, minimum=1, maximum=game.n_players)
    required(rng)
    first, second = (shapley(game, budget // 2, rng=rng) for _ in range(2))
    best = [set(np.argsort(-half.values, kind="stable")[:top].tolist()) for half in (first, second)]
    ranks = [rankdata(half.values) - 0.5 * (game.n_players + 1) for half in (first, second)]
    size = float(np.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1])))
    correlation = float(ranks[0] @ ranks[1]) / size if size > 0 else float("nan")
    return SplitHalf((first, second), len(best[0] & best[1]) / top, correlation)
