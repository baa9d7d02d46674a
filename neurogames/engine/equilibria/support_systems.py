"""All equilibria of a game of three or more players, by supports: polynomial systems solved in boxes.

For a support profile (S_1, ..., S_n) an equilibrium solves, for every player i and action a of S_i,

    u_i(a, x_-i) = u_i(b, x_-i),   b the last action of S_i,

as many equations as there are free probabilities. In these free probabilities every u_i is a polynomial that is linear
in each player's own: its range over a box, and that of its derivatives, are sums of products of intervals. A box is
thrown away when an equation cannot hold in it or an action outside a support pays more for sure; it holds exactly one
root when Krawczyk's operator maps it into its interior; otherwise it is cut in two. When no box is left, all roots with
this support are known. Boxes that stay undecided, as around a continuum of equilibria, are said: nothing is then
claimed to be complete.

Bounds are computed in floats and widened by what rounding can do.

Reference: R. Moore, R. Kearfott and M. Cloud, Introduction to Interval Analysis (2009), chapter 8 (Krawczyk's
operator); R. Porter, E. Nudelman and Y. Shoham, Simple search methods for finding a Nash equilibrium, Games and
Economic Behavior 63 (2008) (supports).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurogames.games.normal_form import NormalFormGame
from neurogames.games.replies import Profile

Array = NDArray[np.float64]

_MOST_BOXES = 4000  # undecided at the same time, for one support profile
_MOST_ROUNDS = 80
_BEYOND = 2.0**-10  # a box begins that far outside, so that a root on the border can be inside
_INFLATED = 1.1
_ROUNDING = 1e-12
_NEGLIGIBLE = 1e-9
_SAME = 1e-7


@dataclass(frozen=True, eq=False)
class SupportSolutions:
    """What the search over all supports found.

    Attributes:
        profiles: the equilibria.
        undecided: support profiles with boxes that were neither thrown away nor shown to hold one root.
        boxes: boxes looked at.
    """

    profiles: tuple[Profile, ...]
    undecided: tuple[tuple[tuple[int, ...], ...], ...]
    boxes: int


class _System(NamedTuple):
    """Polynomials of a support profile.

    Attributes:
        equal: for each player, (k_i - 1, k_j for j != i) coefficients of the equations.
        outside: for each player, (actions outside, k_j for j != i) coefficients of what they pay more.
        sizes: (k_1, ..., k_n) sizes of the supports.
        scale: for each player, the range of its payoffs.
    """

    equal: list[Array]
    outside: list[Array]
    sizes: tuple[int, ...]
    scale: list[float]


def n_supports(game: NormalFormGame) -> int:
    """Number of support profiles.

    >>> n_supports(NormalFormGame([np.zeros((2, 2, 2))] * 3))
    27
    """
    return prod(2**size - 1 for size in game.n_actions)


def all_by_supports(game: NormalFormGame, most_boxes: int) -> SupportSolutions:
    """Find all isolated equilibria of a game, one support profile after another, small supports first.

    Args:
        game: any number of players.
        most_boxes: when so many boxes have been looked at, the supports that are left stay undecided.

    Returns:
        The equilibria, and the support profiles of which it cannot be said that all are known.

    >>> meet = np.zeros((2, 2, 2))
    >>> meet[0, 0, 0], meet[1, 1, 1] = 1.0, 4.0
    >>> found = all_by_supports(NormalFormGame([meet] * 3), 10_000)
    >>> len(found.profiles), found.undecided
    (3, ())
    """
    options = [
        [support for size in range(1, actions + 1) for support in combinations(range(actions), size)]
        for actions in game.n_actions
    ]
    profiles: list[Profile] = []
    undecided = []
    boxes = 0
    for supports in sorted(product(*options), key=lambda supports: sum(map(len, supports))):
        if boxes >= most_boxes:
            undecided.append(supports)
            continue
        system = _system(game, supports)
        roots, clear, looked = _roots(system)
        boxes += looked
        if not clear:
            undecided.append(supports)
        for root in roots:
            profile = _profile(game, supports, system, root)
            if profile is not None and not any(_near(profile, other) for other in profiles):
                profiles.append(profile)
    return SupportSolutions(tuple(profiles), tuple(undecided), boxes)


def _system(game: NormalFormGame, supports: tuple[tuple[int, ...], ...]) -> _System:
    """Equations and inequalities of a support profile, in its free probabilities."""
    equal, outside, scale = [], [], []
    for i, tensor in enumerate(game.compared_payoffs):
        own = np.moveaxis(tensor, i, 0)
        others = [supports[j] for j in range(game.n_players) if j != i]
        kept = own[np.ix_(range(len(own)), *others)] if others else own
        gains = kept - kept[supports[i][-1]]
        for axis in range(1, gains.ndim):
            # x_k of the last action is 1 minus the others: coefficients of 1 and of the free probabilities.
            last = np.take(gains, [-1], axis=axis)
            rest = np.take(gains, range(gains.shape[axis] - 1), axis=axis)
            gains = np.concatenate([rest - last, last], axis=axis)
        equal.append(gains[list(supports[i][:-1])])
        outside.append(gains[[a for a in range(len(own)) if a not in supports[i]]])
        scale.append(float(np.ptp(tensor)) or 1.0)
    return _System(equal, outside, tuple(map(len, supports)), scale)


def _roots(system: _System) -> tuple[list[Array], bool, int]:
    """Roots in the box of a support profile, whether there are no others, and how many boxes were looked at."""
    unknowns = sum(size - 1 for size in system.sizes)
    if unknowns == 0:
        return [np.empty(0)], True, 1
    low, high = np.full((1, unknowns), -_BEYOND), np.full((1, unknowns), 1 + _BEYOND)
    found: list[Array] = []
    looked = 0
    for _ in range(_MOST_ROUNDS):
        looked += len(low)
        possible = _possible(system, low, high)
        low, high = low[possible], high[possible]
        if len(low) == 0:
            return found, True, looked
        if len(low) > _MOST_BOXES:
            break
        verified, centre, wide, low, high = _krawczyk(system, low, high)
        roots = _newton(system, centre[verified])
        # From the centre Newton's method may go to another root than the one that is known to be there.
        inside = (np.abs(roots - centre[verified]) <= wide[verified]).all(axis=1)
        for root in roots[inside]:
            if all(np.abs(root - known).max() > _SAME for known in found):
                found.append(root)
        verified[np.flatnonzero(verified)[~inside]] = False
        left = ~verified & (low <= high).all(axis=1)
        low, high = _halved(low[left], high[left])
    return found, len(low) == 0, looked


def _possible(system: _System, low: Array, high: Array) -> NDArray[np.bool_]:
    """(B,) whether a box may hold an equilibrium with this support."""
    kept = np.ones(len(low), dtype=np.bool_)
    begin = 0
    for size in system.sizes:
        kept &= low[:, begin : begin + size - 1].sum(axis=1) <= 1 + 2 * _BEYOND
        begin += size - 1
    for i, scale in enumerate(system.scale):
        slack = _ROUNDING * scale
        least, most = _range(system, system.equal[i], i, low, high)
        kept &= ((least <= slack) & (most >= -slack)).all(axis=1)
        least, _ = _range(system, system.outside[i], i, low, high)
        kept &= (least <= _NEGLIGIBLE * scale).all(axis=1)
    return kept


def _krawczyk(system: _System, low: Array, high: Array) -> tuple[NDArray[np.bool_], Array, Array, Array, Array]:
    """Whether each box, inflated, holds exactly one root; its centre and radius; the part of it where roots can be."""
    centre, radius = 0.5 * (low + high), 0.5 * (high - low)
    wide = _INFLATED * radius + _ROUNDING
    least, most = _jacobian(system, centre - wide, centre + wide)
    middle, spread = 0.5 * (least + most), 0.5 * (most - least)
    inverse = np.linalg.pinv(middle)
    value = _values(system, centre)
    step = (inverse @ value[:, :, None])[:, :, 0]
    left = np.abs(np.eye(low.shape[1]) - inverse @ middle) + np.abs(inverse) @ spread
    reach = (left @ wide[:, :, None])[:, :, 0] + _ROUNDING * (1 + np.abs(inverse).sum(axis=2))
    verified = (np.abs(step) + reach < wide).all(axis=1)
    return verified, centre, wide, np.maximum(low, centre - step - reach), np.minimum(high, centre - step + reach)


def _halved(low: Array, high: Array) -> tuple[Array, Array]:
    """Both halves of each box, cut across its longest side."""
    rows, side = np.arange(len(low)), (high - low).argmax(axis=1)
    middle = 0.5 * (low + high)[rows, side]
    lower, upper = high.copy(), low.copy()
    lower[rows, side] = middle
    upper[rows, side] = middle
    return np.concatenate([low, upper]), np.concatenate([lower, high])


def _newton(system: _System, x: Array) -> Array:
    """Roots to rounding, from points near them."""
    for _ in range(8):
        slope = _jacobian(system, x, x)[0]
        x = x - (np.linalg.pinv(slope) @ _values(system, x)[:, :, None])[:, :, 0]
    return x


def _values(system: _System, x: Array) -> Array:
    """(B, m) left sides of the equations, each over its player's range of payoffs."""
    parts = [_range(system, table, i, x, x)[0] / system.scale[i] for i, table in enumerate(system.equal)]
    return np.concatenate(parts, axis=1)


def _jacobian(system: _System, low: Array, high: Array) -> tuple[Array, Array]:
    """(B, m, m) least and greatest derivatives of the equations over boxes."""
    unknowns = low.shape[1]
    least, most = np.zeros((len(low), unknowns, unknowns)), np.zeros((len(low), unknowns, unknowns))
    row = 0
    for i, table in enumerate(system.equal):
        rows = slice(row, row + len(table))
        row += len(table)
        column, axis = 0, 1
        for j, size in enumerate(system.sizes):
            if j != i:
                for k in range(size - 1):
                    part = np.take(table, [k], axis=axis)
                    bounds = _range(system, part, i, low, high, without=j)
                    least[:, rows, column + k], most[:, rows, column + k] = (b / system.scale[i] for b in bounds)
                axis += 1
            column += size - 1
    return least, most


def _range(
    system: _System, table: Array, player: int, low: Array, high: Array, without: int = -1
) -> tuple[Array, Array]:
    """(B, rows) least and greatest values of polynomials over boxes; ``without`` one other player's factor."""
    least = most = np.broadcast_to(table, (len(low), *table.shape))
    ends = np.cumsum([size - 1 for size in system.sizes])
    for j in reversed(range(len(system.sizes))):
        if j == player:
            continue
        if j == without:
            least, most = least[..., 0], most[..., 0]
            continue
        part = slice(ends[j] - system.sizes[j] + 1, ends[j])
        one = np.ones((len(low), 1))
        shape = (len(low), *(1,) * (least.ndim - 2), system.sizes[j])
        small = np.concatenate([low[:, part], one], axis=1).reshape(shape)
        large = np.concatenate([high[:, part], one], axis=1).reshape(shape)
        products = np.stack([least * small, least * large, most * small, most * large])
        least, most = products.min(axis=0).sum(axis=-1), products.max(axis=0).sum(axis=-1)
    return least, most


def _profile(
    game: NormalFormGame, supports: tuple[tuple[int, ...], ...], system: _System, root: Array
) -> Profile | None:
    """The mixed profile of a root, or None where a probability is negative or an action outside pays more."""
    mixed, begin = [], 0
    for i, (support, size) in enumerate(zip(supports, system.sizes, strict=True)):
        free = root[begin : begin + size - 1]
        begin += size - 1
        weights = np.concatenate([free, [1.0 - free.sum()]])
        if weights.min() < -_NEGLIGIBLE:
            return None
        strategy = np.zeros(game.n_actions[i])
        strategy[list(support)] = np.maximum(weights, 0.0)
        mixed.append(strategy / strategy.sum())
        better, _ = _range(system, system.outside[i], i, root[None], root[None])
        if (better > _NEGLIGIBLE * system.scale[i]).any():
            return None
    return tuple(mixed)


def _near(profile: Profile, other: Profile) -> bool:
    return all(np.abs(x - y).max() <= _SAME for x, y in zip(profile, other, strict=True))
