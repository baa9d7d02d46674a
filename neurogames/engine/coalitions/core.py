"""The core and the least core: divisions of v(N) to which coalitions object little.

The excess of a coalition S at an allocation x is e(S, x) = v(S) - sum of x_i over S, what S could gain by leaving.
An efficient allocation, sum x = v(N), is in the core iff no excess is positive. The least core holds the efficient
allocations with the least greatest excess epsilon* over all coalitions but the empty one and that of all players.

The certificate is the dual: weights y >= 0 that add up to 1 and cover every player equally often, by c, show that no
efficient allocation has a greatest excess below sum of y_S v(S) - c v(N) [Bondareva 1963; Shapley 1967].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import invalid_argument, numbers
from neurogames.engine.coalitions.normalised import solve_normalised, without_additive_part
from neurogames.engine.coalitions.transforms import Vector, coalition_rows, coalition_table, subset_sums
from neurogames.engine.solution import certified
from neurogames.games.coalition import CoalitionGame


@dataclass(frozen=True, eq=False)
class CoreViolation:
    """How far allocations are from the core.

    Attributes:
        excess: (...) greatest excess of a coalition, neither empty nor of all players; -inf when n = 1. The allocation
            is in the core iff this is <= 0 and ``efficiency`` is 0.
        coalition: (..., n) a coalition that has it.
        efficiency: (...) sum of the allocation minus v(N).
    """

    excess: Vector
    coalition: NDArray[np.bool_]
    efficiency: Vector


@dataclass(frozen=True, eq=False)
class LeastCore:
    """An allocation of the least core.

    Attributes:
        allocation: (n,) that allocation of the least core which is the prenucleolus; NaN without an answer.
        excess: its greatest excess, computed from all coalitions; the core is empty iff it is > 0.
        bound: no efficient allocation does better than this, by the weights below.
        coalitions: (k, n) coalitions with positive weight.
        weights: (k,) their weights y, which add up to 1.
        status: "ok", or that excess and bound differ by more than 1e-9 of the worths, or what the solver said.
    """

    allocation: Vector
    excess: float
    bound: float
    coalitions: NDArray[np.bool_]
    weights: Vector
    status: str


def core_violation(game: CoalitionGame, allocation: ArrayLike) -> CoreViolation:
    """How far allocations are from the core.

    Args:
        game: a game of at most 22 players with v(empty) = 0.
        allocation: (..., n) allocations.

    Returns:
        The greatest excess of each, with its coalition.

    Raises:
        ValueError: if shapes do not fit, an entry is not finite, or v(empty) is not 0.

    >>> from neurogames.games.coalition_families import GloveMarketGame
    >>> violation = core_violation(GloveMarketGame(1, 2), [[1.0, 0.0, 0.0], [0.5, 0.25, 0.25]])
    >>> violation.excess, violation.coalition[1]
    (array([0.  , 0.25]), array([ True,  True, False]))
    """
    table = zero_normalized_table(game)
    n = game.n_players
    x = numbers("allocation", allocation, f"finite numbers of shape (..., {n})")
    if x.ndim == 0 or x.shape[-1] != n or not np.isfinite(x).all():
        raise invalid_argument("allocation", f"shape {x.shape}", f"finite numbers of shape (..., {n})")
    part, rest = without_additive_part(table)
    worst = np.empty(x.shape[:-1], dtype=np.intp)
    excess = np.empty(x.shape[:-1])
    for place in np.ndindex(x.shape[:-1]):
        excesses = rest - subset_sums(x[place] - part)
        excesses[[0, -1]] = -np.inf
        worst[place] = excesses.argmax()
        excess[place] = excesses[worst[place]]
    coalition = coalition_rows(worst.ravel(), n).reshape(x.shape)
    return CoreViolation(excess, coalition, np.asarray((x - part).sum(axis=-1) - rest[-1]))


def least_core(game: CoalitionGame) -> LeastCore:
    """An allocation with the least greatest excess, with the proof that no other does better.

    Args:
        game: a game of 2 to 22 players with v(empty) = 0.

    Returns:
        The allocation; ``excess - bound`` is its certified distance from the optimum.

    Raises:
        ValueError: if there are too few or too many players, or v(empty) is not 0.

    >>> from neurogames.games.coalition_families import WeightedVotingGame
    >>> majority = least_core(WeightedVotingGame([1, 1, 1], quota=2))
    >>> majority.allocation.round(6), round(majority.excess, 6), round(majority.bound, 6)
    (array([0.333333, 0.333333, 0.333333]), 0.333333, 0.333333)

    Reference: M. Maschler, B. Peleg and L. Shapley, Geometric properties of the kernel, nucleolus, and related
    solution concepts (1979).
    """
    table = zero_normalized_table(game)
    n = game.n_players
    if n < 2:
        raise invalid_argument("game", f"{n} player", "at least 2 players")
    found = solve_normalised(*without_additive_part(table), imputations=False)
    answer, worths, scale = found.answer, found.table, found.scale
    if answer.status != "ok":
        return LeastCore(answer.allocation, np.nan, np.nan, np.zeros((0, n), np.bool_), np.zeros(0), answer.status)
    first, x = answer.stages[0], answer.allocation
    members = coalition_rows(first.coalitions, n)
    # the players are covered equally only up to rounding; what is unequal is valued at the allocation found
    cover = first.weights @ members
    bound = first.weights @ worths[first.coalitions] - cover.mean() * worths[-1] - (cover - cover.mean()) @ x
    excess = float((worths - subset_sums(x))[1:-1].max())
    status = certified(excess - float(bound), what="excess and bound differ by a share of the worths of")
    allocation = found.part + scale * x
    return LeastCore(allocation, scale * excess, scale * float(bound), members, first.weights, status)


def zero_normalized_table(game: CoalitionGame) -> Vector:
    """Worths (2^n,) of all coalitions of a game with v(empty) = 0, or an error."""
    table = coalition_table(game)
    if table[0] != 0:
        raise invalid_argument(
            "game", f"v(empty) = {table[0]}", "a game with v(empty) = 0, since nobody can be paid it"
        )
    return table
