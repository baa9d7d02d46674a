"""The walk of ``vertices`` in integers, for games in which rounding could decide.

Payoffs stand for rational numbers (``neurogames.games.exact``), so a game has an exact answer. It is found by the
pivots of ``integer_dictionaries``.

Reference: D. Avis, G. Rosenberg, R. Savani, B. von Stengel, Enumeration of Nash equilibria for two-player games,
Economic Theory 42 (2010), section 4.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.equilibria.integer_dictionaries import (
    IntegerDictionary,
    leaving_row,
    pivoted,
    positive_integers,
    start,
)
from neurogames.engine.equilibria.vertices import Vertices, orientation


def exact_vertices(payoffs: NDArray[np.float64], most: int) -> Vertices:
    """Walk all vertices of {z >= 0, M z <= 1}, M being the payoffs made positive, exactly.

    Args:
        payoffs: (q, d) payoffs of any sign; each column is shifted.
        most: stop after so many bases.

    Returns:
        The vertices, their points scaled to the sum 1 and rounded once.

    >>> tied, nearly = (np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5 + hair]]) for hair in (0.0, 2.0**-50))
    >>> exact_vertices(tied, 100).degenerate, exact_vertices(nearly, 100).degenerate
    (True, False)
    """
    q, d = payoffs.shape
    first: IntegerDictionary = start(positive_integers(payoffs), [1] * q)
    known = {frozenset(first.cobasic)}
    waiting = deque([first])
    points, tight, cobasic, sign = [], [], [], []
    complete = True
    while waiting:
        current = waiting.popleft()
        weights = [0] * d
        zero = set(current.cobasic)
        for variable, row in zip(current.basic, current.table, strict=True):
            if row[d] == 0:
                zero.add(variable)
            elif variable < d:
                weights[variable] = row[d]
        total = sum(weights)
        points.append([weight / total if total else 0.0 for weight in weights])
        tight.append(_mask(zero, d + q))
        cobasic.append(_mask(set(current.cobasic), d + q))
        sign.append(int(orientation(np.array(current.basic), d)))
        for entering, name in enumerate(current.cobasic):
            row_number = leaving_row(current, entering)
            key = frozenset(current.cobasic) ^ {name, current.basic[row_number]}
            if key in known:
                continue
            if len(known) >= most:
                complete = False
                continue
            known.add(key)
            waiting.append(pivoted(current, row_number, entering))
    return Vertices(np.array(points), np.array(tight), np.array(cobasic), np.array(sign), complete, clear=True)


def _mask(variables: set[int], count: int) -> NDArray[np.uint64]:
    """Bit mask of a set of variables."""
    words = np.zeros((count + 63) // 64, dtype=np.uint64)
    for variable in variables:
        words[variable >> 6] |= np.uint64(1 << (variable & 63))
    return words
