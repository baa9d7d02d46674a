"""All vertices of a polytope {z >= 0, M z <= 1}: a breadth-first walk along its edges.

The walk visits every lexicographically feasible basis (see ``dictionaries``); every vertex has
one, and their graph is that of a simple polytope of dimension d, so each has d neighbours and all are reached. A
dictionary is a few pivots away from the first one, which keeps rounding small, and is thrown away once its neighbours
are known. Sets of variables are bit masks of 64-bit words: bit v % 64 of word v // 64 for variable v.

Reference: B. von Stengel, Computing equilibria for two-person games, in: Handbook of Game Theory 3 (2002), section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.compiled import compiled
from neurogames.engine.equilibria.dictionaries import TOLERANCE, exchange, leaving_row, start

_MOST_BYTES = 2**29
_FIRST_PLACES, _FIRST_ENTRIES = 64, 2**17
_DONE, _FULL, _LOST = 0, 1, 2
_SURELY_ZERO, _SURELY_POSITIVE = 1e-13, 1e-9


@dataclass(frozen=True, eq=False)
class Vertices:
    """Vertices of a polytope, z = 0 first.

    Attributes:
        points: (V, d) the vertices; one comes several times, once for each of its bases, where it is degenerate.
        tight: (V, W) masks of the variables that are 0 there.
        cobasic: (V, W) masks of the d cobasic variables; equal to ``tight`` where the vertex is not degenerate.
        sign: (V,) sign of det M[J, C], J the rows whose slacks are cobasic, C the basic variables of z.
        complete: whether the walk came to its end.
        clear: whether every number taken as zero was below 1e-13 and every other one above 1e-9, so that rounding,
            which is smaller, cannot have decided.
    """

    points: NDArray[np.float64]
    tight: NDArray[np.uint64]
    cobasic: NDArray[np.uint64]
    sign: NDArray[np.int64]
    complete: bool
    clear: bool

    @property
    def degenerate(self) -> bool:
        """Whether some vertex has more than d zero variables."""
        return bool((self.tight != self.cobasic).any())


def vertices(matrix: NDArray[np.float64], most: int) -> Vertices:
    """Walk all vertices of {z >= 0, M z <= 1}.

    Args:
        matrix: (q, d) positive matrix M.
        most: stop after so many bases.

    Returns:
        The vertices found.

    >>> square = vertices(np.array([[1.0, 1e-9], [1e-9, 1.0]]), 100)
    >>> len(square.points), square.complete, square.degenerate
    (4, True, False)
    """
    q, d = matrix.shape
    table, basic, cobasic, _ = start(matrix)
    words = (q + d + 63) // 64
    places, rooms = min(_FIRST_PLACES, most), max(1, min(_FIRST_PLACES, _FIRST_ENTRIES // table.size))
    points, keys = np.zeros((places, d)), np.zeros((places, words), dtype=np.uint64)
    for v in range(d):
        keys[0, v >> 6] |= np.uint64(1 << (v & 63))
    tight = keys.copy()
    sign, home = np.ones(places, dtype=np.int64), np.zeros(places, dtype=np.int64)
    tables = np.empty((rooms, *table.shape))
    basics, cobasics = np.empty((rooms, q), dtype=np.int64), np.empty((rooms, d), dtype=np.int64)
    tables[0], basics[0], cobasics[0] = table, basic, cobasic
    free = np.arange(1, rooms + 1)
    progress = np.array([1, 0, rooms - 1])
    extremes = np.array([0.0, 1.0])
    outcome = _FULL
    while outcome == _FULL:
        count, rooms = len(points), len(tables)
        if progress[0] >= most or (progress[2] == 0 and tables.nbytes >= _MOST_BYTES):
            break
        if progress[0] == count:
            more = min(max(64, 4 * count), most) - count
            points, keys, tight, sign, home = (_longer(array, more) for array in (points, keys, tight, sign, home))
        if progress[2] == 0:
            more = max(64, 4 * rooms) - rooms
            tables, basics, cobasics, free = (_longer(array, more) for array in (tables, basics, cobasics, free))
            free[:more] = np.arange(rooms, rooms + more)
            progress[2] = more
        slots = np.full(1 << int(2 * len(keys)).bit_length(), -1)
        outcome = _walk(points, keys, tight, sign, home, tables, basics, cobasics, free, slots, progress, extremes)
    count = int(progress[0])
    clear = bool(extremes[0] <= _SURELY_ZERO and extremes[1] >= _SURELY_POSITIVE and outcome != _LOST)
    return Vertices(points[:count], tight[:count], keys[:count], sign[:count], outcome == _DONE, clear)


def _longer(array: NDArray[Any], more: int) -> NDArray[Any]:
    """Append zeros."""
    return np.concatenate([array, np.zeros((more, *array.shape[1:]), dtype=array.dtype)])


@compiled
def _flip(mask: Any, variable: Any) -> None:
    """Flip one bit of a mask."""
    mask[variable >> 6] ^= np.uint64(1) << np.uint64(variable & 63)


@compiled
def _find(keys: Any, slots: Any, key: Any) -> Any:
    """Place in the open-addressing table ``slots`` at which ``key`` is or would be."""
    scrambled = np.uint64(0)
    for w in range(key.size):
        scrambled = (scrambled ^ key[w]) * np.uint64(0x9E3779B97F4A7C15)
        scrambled ^= scrambled >> np.uint64(29)
    place = np.int64(scrambled & np.uint64(slots.size - 1))
    while slots[place] >= 0:
        same = True
        for w in range(key.size):
            same = same and keys[slots[place], w] == key[w]
        if same:
            break
        place = (place + 1) & (slots.size - 1)
    return place


@compiled
def orientation(basic: Any, d: Any) -> Any:
    """Sign of det M[J, C]: that of the permutation that brings the basis into the order of its rows and columns."""
    q = basic.size
    row_of = np.full(d + q, -1)
    for r in range(q):
        row_of[basic[r]] = r
    target, seen = np.empty(q, dtype=np.int64), np.zeros(q, dtype=np.bool_)
    z = 0
    for j in range(q):
        r = row_of[d + j]
        if r < 0:
            while row_of[z] < 0:
                z += 1
            r = row_of[z]
            z += 1
        target[r] = j
    sign = 1
    for r in range(q):
        length, step = 0, r
        while not seen[step]:
            seen[step] = True
            step = target[step]
            length += 1
        if length > 0 and length % 2 == 0:
            sign = -sign
    return sign


@compiled
def _walk(
    points: Any,
    keys: Any,
    tight: Any,
    sign: Any,
    home: Any,
    tables: Any,
    basics: Any,
    cobasics: Any,
    free: Any,
    slots: Any,
    progress: Any,
    extremes: Any,
) -> Any:
    """Go on with the walk until it is done, or some array is full.

    The vertices 0..count-1 are known, those before ``current`` with all their neighbours; the dictionary of vertex v is
    number ``home[v]`` of the pool, whose unused places are the first ``n_free`` of ``free``. ``extremes`` keeps the
    greatest number taken as zero and the least one that was not.
    """
    count, current, n_free = progress[0], progress[1], progress[2]
    d, q, words = cobasics.shape[1], basics.shape[1], keys.shape[1]
    column, key = np.empty(d + q, dtype=np.int64), np.empty(words, dtype=np.uint64)
    for k in range(count):
        slots[_find(keys, slots, keys[k])] = k
    while current < count:
        table, basic, cobasic = tables[home[current]], basics[home[current]], cobasics[home[current]]
        for v in range(d + q):
            column[v] = -1
        for c in range(d):
            column[cobasic[c]] = c
        for entering in range(d):
            row = leaving_row(table, basic, column, entering)
            if row < 0:
                return _LOST
            for w in range(words):
                key[w] = keys[current, w]
            _flip(key, cobasic[entering])
            _flip(key, basic[row])
            place = _find(keys, slots, key)
            if slots[place] >= 0:
                continue
            if count == len(keys) or n_free == 0:
                progress[0], progress[1], progress[2] = count, current, n_free
                return _FULL
            n_free -= 1
            h = free[n_free]
            for r in range(q):
                for c in range(d + 1):
                    tables[h, r, c] = table[r, c]
                basics[h, r] = basic[r]
            for c in range(d):
                cobasics[h, c] = cobasic[c]
            extremes[1] = min(extremes[1], table[row, entering])
            exchange(tables[h], row, entering)
            basics[h, row], cobasics[h, entering] = cobasic[entering], basic[row]
            for w in range(words):
                keys[count, w] = tight[count, w] = key[w]
            for r in range(q):
                variable, value = basics[h, r], tables[h, r, d]
                if value <= TOLERANCE:
                    _flip(tight[count], variable)
                    extremes[0] = max(extremes[0], abs(value))
                else:
                    extremes[1] = min(extremes[1], value)
                    if variable < d:
                        points[count, variable] = value
            sign[count], home[count] = orientation(basics[h], d), h
            slots[place] = count
            count += 1
        free[n_free] = home[current]
        n_free += 1
        current += 1
    progress[0], progress[1], progress[2] = count, current, n_free
    return _DONE
