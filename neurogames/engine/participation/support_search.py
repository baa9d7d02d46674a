"""The search for the equilibria of a small participation game: who is out (0), full (1) or in between.

With w = Ms - (a - gamma), the slope of -Phi, a profile is an equilibrium iff for every player

    s_i = 0 and w_i >= 0,     or  0 <= s_i <= 1 and w_i = 0,     or  s_i = 1 and w_i <= 0.

The 3^n assignments form a tree. Every node keeps the affine map from the undecided shares x to the quantities that
matter, y = q + T x: w_i of those who are undecided, out or full, s_i of those in between, whose shares are eliminated
by a principal pivot (the Schur complement of M). Intervals of x bound y; a node whose bounds contradict a condition is
cut, a player left with one possibility is decided at once, and intervals are tightened on the way. The cuts leave room
for rounding, so that no equilibrium is lost; the leaves that survive are candidates, to be solved and checked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.compiled import compiled

UNDECIDED, OUT, FULL, BETWEEN, STUCK = 0, 1, 2, 3, 4


def search(matrix: NDArray[np.float64], drive: NDArray[np.float64], max_nodes: int) -> tuple[NDArray[np.int8], int]:
    """Assignments (m, n) that survive, and the number of nodes visited; BETWEEN or STUCK is in between."""
    capacity = 1024
    while True:
        leaves = np.empty((capacity, drive.size), dtype=np.int8)
        count, nodes = _walk(matrix, drive, max_nodes, leaves)
        if count <= capacity:
            return leaves[:count], nodes
        capacity = 4 * count


@compiled
def _fix(q: Any, T: Any, kind: Any, i: int, choice: int) -> None:
    """Decide player i: fold a fixed share into q, or eliminate a share in between by a pivot where T allows it."""
    n = q.size
    if choice != BETWEEN:
        kind[i] = choice
        if choice == FULL:
            for k in range(n):
                q[k] += T[k, i]
        for k in range(n):
            T[k, i] = 0.0
        return
    pivot = T[i, i]
    if abs(pivot) < 1e-9:
        kind[i] = STUCK
        return
    kind[i] = BETWEEN
    for j in range(n):
        T[i, j] = 0.0 if j == i else -T[i, j] / pivot
    q[i] = -q[i] / pivot
    for k in range(n):
        factor = T[k, i]
        if k != i and factor != 0.0:
            q[k] += factor * q[i]
            for j in range(n):
                if j != i:
                    T[k, j] += factor * T[i, j]
            T[k, i] = 0.0


@compiled
def _options(q: Any, T: Any, kind: Any, low: Any, high: Any, i: int, options: Any) -> Any:
    """Conditions of player i under the bounds: False if broken; for an undecided player its options and bounds."""
    room = 1e-9
    least, most = q[i], q[i]
    for j in range(q.size):
        if j != i and (kind[j] == UNDECIDED or kind[j] == STUCK):
            a, b = T[i, j] * low[j], T[i, j] * high[j]
            least += min(a, b)
            most += max(a, b)
    if kind[i] == OUT:
        return most >= -room
    if kind[i] == FULL:
        return least <= room
    if kind[i] == BETWEEN:
        return most >= -room and least <= 1.0 + room
    own = T[i, i]
    a, b = own * low[i], own * high[i]
    options[0] = kind[i] == UNDECIDED and low[i] <= 0.0 and most >= -room
    options[1] = kind[i] == UNDECIDED and high[i] >= 1.0 and least + own <= room
    options[2] = least + min(a, b) <= room and most + max(a, b) >= -room
    if own > 1e-9:
        if not options[0]:
            low[i] = max(low[i], min(1.0, (-most - room) / own))
        if not options[1]:
            high[i] = min(high[i], max(0.0, (-least + room) / own))
        if low[i] > high[i]:
            options[2] = False
    return options[0] or options[1] or options[2]


@compiled
def _propagate(q: Any, T: Any, kind: Any, low: Any, high: Any, options: Any) -> Any:
    """Decide what the bounds decide; return False if they contradict each other."""
    n = q.size
    for _ in range(3 * n):
        decided = False
        for i in range(n):
            if kind[i] == STUCK and abs(T[i, i]) >= 1e-9:
                _fix(q, T, kind, i, BETWEEN)
                decided = True
            if not _options(q, T, kind, low, high, i, options[i]):
                return False
            if kind[i] == UNDECIDED and options[i, 0] + options[i, 1] + options[i, 2] == 1:
                choice = OUT if options[i, 0] else (FULL if options[i, 1] else BETWEEN)
                _fix(q, T, kind, i, choice)
                decided = True
        if not decided:
            return True
    return True


@compiled
def _walk(matrix: Any, drive: Any, max_nodes: int, leaves: Any) -> Any:
    """Depth-first search with a stack of nodes; return the number of leaves (stored while there is room) and nodes."""
    n = drive.size
    deep = 2 * n + 3
    T, q = np.empty((deep, n, n)), np.empty((deep, n))
    kind = np.zeros((deep, n), dtype=np.int8)
    low, high = np.zeros((deep, n)), np.ones((deep, n))
    options = np.zeros((n, 3), dtype=np.bool_)
    allowed = np.zeros(3, dtype=np.bool_)
    T[0], q[0] = matrix, -drive
    size, count, nodes = 1, 0, 0
    while size > 0 and nodes < max_nodes:
        top = size - 1
        nodes += 1
        if not _propagate(q[top], T[top], kind[top], low[top], high[top], options):
            size -= 1
            continue
        pick, fewest, strongest = -1, 4, -1.0
        for i in range(n):
            if kind[top, i] == UNDECIDED:
                left = options[i, 0] + options[i, 1] + options[i, 2]
                strength = 0.0
                for k in range(n):
                    strength += abs(T[top, k, i])
                if left < fewest or (left == fewest and strength > strongest):
                    pick, fewest, strongest = i, left, strength
        if pick < 0:
            if count < leaves.shape[0]:
                leaves[count] = kind[top]
            count += 1
            size -= 1
            continue
        for c in range(3):
            allowed[c] = options[pick, c]
        last = top + fewest - 1
        at = top
        for c in range(3):
            if allowed[c]:
                if at < last:  # the parent's own place is taken by the last child, so copy it upwards first
                    place = at + 1
                    T[place], q[place], kind[place] = T[top], q[top], kind[top]
                    low[place], high[place] = low[top], high[top]
                else:
                    place = top
                _fix(q[place], T[place], kind[place], pick, c + 1)
                at += 1
        size = last + 1
    return count, nodes
