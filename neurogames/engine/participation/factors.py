"""Compiled passes over the factors theta_i (n, d) of a participation game: products and sums with rows, in float64.

Rows may be float32: they are widened in registers, one at a time, and never copied. ``v`` is (B, d), one sum per block.
"""

from __future__ import annotations

from typing import Any

from neurogames.engine.compiled import compiled


# Only the order of the summation is left to the compiler, so that it can use vector registers; no other liberty.
@compiled(fastmath={"reassoc", "contract", "nsz"})
def dot(row: Any, v: Any) -> Any:
    """<row, v>."""
    total = 0.0
    for k in range(v.size):
        total += row[k] * v[k]
    return total


@compiled
def add(weight: float, row: Any, v: Any) -> None:
    """Add weight * row to v."""
    for k in range(v.size):
        v[k] += weight * row[k]


@compiled
def sums(factors: Any, blocks: Any, weights: Any, v: Any) -> None:
    """Set v[b] to the sum over the players j of block b of weights_j theta_j."""
    v[:] = 0.0
    for j in range(weights.size):
        if weights[j] != 0.0:
            add(weights[j], factors[j], v[blocks[j]])


@compiled
def products(factors: Any, blocks: Any, v: Any, result: Any) -> None:
    """Set result_i to <theta_i, v[block of i]>."""
    for i in range(result.size):
        result[i] = dot(factors[i], v[blocks[i]])
