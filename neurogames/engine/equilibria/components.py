"""Sets of equilibria of a degenerate bimatrix game: maximal Nash subsets and components.

Join two vertices x and y of the best reply polytopes by an edge when (x, y) is an equilibrium. A set X of x's and a set
Y of y's that are all joined give a whole set conv X times conv Y of equilibria. The maximal such pairs are the maximal
Nash subsets; their union is the set of all equilibria, and its connected parts are the components. A game has finitely
many equilibria iff each component is one point.

Reference: D. Avis, G. Rosenberg, R. Savani, B. von Stengel, Enumeration of Nash equilibria for two-player games,
Economic Theory 42 (2010), section 2; H. Winkels, An algorithm to determine all equilibrium points of a bimatrix game
(1979).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Groups = tuple[tuple[int, ...], ...]


def nash_subsets(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> tuple[Groups, Groups]:
    """Group extreme equilibria into maximal Nash subsets and into components.

    Args:
        rows: (k, m) first strategies of all extreme equilibria; a vertex comes as the very same row each time.
        columns: (k, n) second strategies.

    Returns:
        Maximal Nash subsets and components, each a tuple of increasing tuples of numbers in 0..k-1. Every equilibrium
        of a subset has its x from the x's of the subset and its y from the y's.

    >>> x, y = np.array([[1.0, 0], [1, 0], [0, 1]]), np.array([[1.0, 0], [0, 1], [0, 1]])
    >>> nash_subsets(x, y)
    (((0, 1), (1, 2)), ((0, 1, 2),))
    """
    if len(rows) == 0:
        return (), ()
    _, first = np.unique(rows, axis=0, return_inverse=True)
    _, second = np.unique(columns, axis=0, return_inverse=True)
    first, second = first.ravel(), second.ravel()
    subsets = sorted(
        tuple(np.flatnonzero(np.isin(first, xs) & np.isin(second, ys)).tolist()) for xs, ys in _cliques(first, second)
    )
    return tuple(subsets), _joined(subsets, len(rows))


def _cliques(first: NDArray[np.intp], second: NDArray[np.intp]) -> list[tuple[list[int], list[int]]]:
    """Maximal complete bipartite parts: close the neighbourhoods of the x's under intersection."""
    neighbours = [0] * (int(first.max()) + 1)
    for x, y in zip(first.tolist(), second.tolist(), strict=True):
        neighbours[x] |= 1 << y
    closed: set[int] = set()
    for mine in neighbours:
        closed |= {mine & other for other in closed} | {mine}
    closed.discard(0)
    return [
        (
            [x for x, mine in enumerate(neighbours) if ys & mine == ys],
            [y for y in range(ys.bit_length()) if ys >> y & 1],
        )
        for ys in closed
    ]


def _joined(subsets: Sequence[tuple[int, ...]], count: int) -> Groups:
    """Unite subsets that meet."""
    group = list(range(count))
    for subset in subsets:
        merged = {group[k] for k in subset}
        group = [min(merged) if g in merged else g for g in group]
    return tuple(tuple(k for k in range(count) if group[k] == g) for g in sorted(set(group)))
