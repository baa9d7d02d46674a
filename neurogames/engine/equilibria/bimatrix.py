"""All equilibria of a two-player game, from the vertices of its best reply polytopes.

For payoff matrices A, B of shape (m, n), made positive, P = {x >= 0, B^T x <= 1} and Q = {y >= 0, A y <= 1}. A point x
of P has the label i in 0..m-1 if x_i = 0 and the label m + j if j is a best reply to x; a point y of Q has the label m
+ j if y_j = 0 and the label i if i is a best reply to y. Equilibria are, up to scale, the pairs (x, y) other than (0,
0) that have all m + n labels together. Pairs of vertices with this property are the extreme equilibria; every
equilibrium is a convex combination of extreme ones (``components``), and in a nondegenerate game
there are no others. A game is nondegenerate iff no vertex of P has more than m labels and none of Q more than n.

In a nondegenerate game each equilibrium has the index (-1)^(k+1) sign(det A_IJ det B_IJ), I and J its supports of size
k, and the indices add up to 1 [Shapley 1974]: a check on whether an equilibrium has been lost.

The walk in floats takes numbers below 1e-10, in units in which payoffs lie in [1, 2], as zero. Where it meets one
between 1e-13 and 1e-9, or the indices do not add up, or a game looks degenerate whose payoffs differ by less than 1e-9
of their range, or a deviation gains more than 1e-9 of its stake, it is repeated in exact arithmetic
(``exact_vertices``).

Reference: B. von Stengel, Computing equilibria for two-person games, in: Handbook of Game Theory 3 (2002); D. Avis,
G. Rosenberg, R. Savani, B. von Stengel, Enumeration of Nash equilibria for two-player games, Economic Theory 42 (2010).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.equilibria.certificates import certify
from neurogames.engine.equilibria.dictionaries import positive
from neurogames.engine.equilibria.exact_vertices import exact_vertices
from neurogames.engine.equilibria.vertices import Vertices, vertices
from neurogames.engine.solution import ROUNDING
from neurogames.games.normal_form import NormalFormGame

_MOST_EXACT, _EXACT_COST = 20_000, 10
_NEAR = 1e-9


@dataclass(frozen=True, eq=False)
class ExtremeEquilibria:
    """Extreme equilibria of a bimatrix game.

    Attributes:
        rows: (k, m) strategies of the first player.
        columns: (k, n) strategies of the second.
        index: (k,) index +1 or -1 of each; None in a degenerate game.
        complete: whether both polytopes were walked to the end.
        degenerate: whether the game is degenerate; None when not known.
        regret: (k,) regret of each, in payoff units.
        share: (k,) the greatest share of its stake that a deviation gains.
        bases: number of bases visited.
        clear: whether no number was so near to zero that rounding may have decided whether it is.
        exact: whether they were found in exact arithmetic.
    """

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    index: NDArray[np.int64] | None
    complete: bool
    degenerate: bool | None
    regret: NDArray[np.float64]
    share: NDArray[np.float64]
    bases: int
    clear: bool
    exact: bool


def extreme_equilibria(game: NormalFormGame, most: int) -> ExtremeEquilibria:
    """Enumerate the extreme equilibria of a two-player game.

    Args:
        game: a game of two players.
        most: stop after so many bases of either polytope.

    Returns:
        The equilibria, in the order in which a walk from the origin of P meets them.

    >>> game = NormalFormGame(([[3, 3], [2, 5], [0, 6]], [[3, 2], [2, 6], [3, 1]]))
    >>> extreme_equilibria(game, 1000).rows.round(3)
    array([[1.   , 0.   , 0.   ],
           [0.8  , 0.2  , 0.   ],
           [0.   , 0.333, 0.667]])
    """
    first, second = game.compared_payoffs
    found = _paired(game, vertices(positive(second.T), most), vertices(positive(first), most), False)
    if not found.complete and (found.share <= ROUNDING).all():
        return found  # nothing is claimed but the equilibria themselves
    certain = not _merged(first, second) if found.degenerate else found.index is None or found.index.sum() == 1
    if found.clear and certain and len(found.rows) and (found.share <= ROUNDING).all():
        return found
    few = min(most // _EXACT_COST, _MOST_EXACT)
    return _paired(game, exact_vertices(second.T, few), exact_vertices(first, few), True)


def _merged(*payoffs: NDArray[np.float64]) -> bool:
    """Whether payoffs of a player differ by so little of their range that a walk in floats may take them as equal."""
    for tensor in payoffs:
        gaps = np.diff(np.unique(tensor))
        if gaps.size and gaps.min() < _NEAR * np.ptp(tensor):
            return True
    return False


def _paired(game: NormalFormGame, p: Vertices, q: Vertices, exact: bool) -> ExtremeEquilibria:
    """Equilibria from the vertices of P and Q."""
    m, n = p.points.shape[1], q.points.shape[1]
    full = np.zeros((1, p.tight.shape[1]), dtype=np.uint64)
    for label in range(m + n):
        full[0, label >> 6] |= np.uint64(1 << (label & 63))
    degenerate = p.degenerate or q.degenerate
    if degenerate:
        _, kept_p = np.unique(p.tight, axis=0, return_index=True)
        _, kept_q = np.unique(q.tight, axis=0, return_index=True)
        kept_p, kept_q = np.sort(kept_p), np.sort(kept_q)
        pairs = _covering(p.tight[kept_p], _turned(q.tight[kept_q], n, m), full[0])
        i, j = kept_p[pairs[:, 0]], kept_q[pairs[:, 1]]
    else:
        pairs = _complementary(full ^ p.tight, _turned(q.tight, n, m))
        i, j = pairs[:, 0], pairs[:, 1]
    i, j = i[1:], j[1:]
    rows, columns = p.points[i], q.points[j]
    size = (rows > 0).sum(axis=1)
    signs = (p.sign[i] * q.sign[j] * np.where(size % 2, 1, -1)).astype(np.int64)
    complete = p.complete and q.complete
    rows, columns = rows / rows.sum(axis=1, keepdims=True), columns / columns.sum(axis=1, keepdims=True)
    regret, share = certify(game, list(zip(rows, columns, strict=True)))
    return ExtremeEquilibria(
        rows,
        columns,
        None if degenerate else signs,
        complete,
        degenerate if complete or degenerate else None,
        regret,
        share,
        len(p.points) + len(q.points),
        p.clear and q.clear,
        exact,
    )


def _turned(masks: NDArray[np.uint64], n: int, m: int) -> NDArray[np.uint64]:
    """Masks over the n variables y and m slacks of Q as masks of labels: y_j becomes m + j, slack i becomes i."""
    if m + n <= 64:
        low = np.uint64((1 << n) - 1)
        return ((masks & low) << np.uint64(m)) | (masks >> np.uint64(n))
    bits = np.unpackbits(masks.astype("<u8").view(np.uint8), axis=1, bitorder="little")
    turned = np.zeros_like(bits)
    turned[:, :m], turned[:, m : m + n] = bits[:, n : n + m], bits[:, :n]
    return np.packbits(turned, axis=1, bitorder="little").view("<u8").astype(np.uint64)


def _complementary(wanted: NDArray[np.uint64], have: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Pairs (i, j) with wanted[i] == have[j], in the order of i; rows have no repeats."""
    whole = np.dtype((np.void, 8 * wanted.shape[1])) if wanted.shape[1] > 1 else np.dtype(np.uint64)
    one, other = (np.ascontiguousarray(masks).view(whole).ravel() for masks in (wanted, have))
    _, i, j = np.intersect1d(one, other, assume_unique=True, return_indices=True)
    order = np.argsort(i)
    return np.stack([i[order], j[order]], axis=1)


def _covering(first: NDArray[np.uint64], second: NDArray[np.uint64], full: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Pairs (i, j) whose masks together are full, in the order of i, then j."""
    missing = full & ~first
    found = [np.flatnonzero(((second & lack) == lack).all(axis=1)) for lack in missing]
    return np.stack([np.repeat(np.arange(len(first)), [len(j) for j in found]), np.concatenate(found)], axis=1)
