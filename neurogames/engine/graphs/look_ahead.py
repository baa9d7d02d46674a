"""Who revises next on a graph, drawn some revisions before its turn.

On a large graph nearly all of the time is spent waiting for memory. Players are therefore drawn ahead into a ring of
64-bit words, and what their turns will read is fetched meanwhile. One word u is a player and a number: the high word
of u m is the player, and the low word, uniform to m 2^-64, is left for its choice.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from neurogames.engine.compiled import compiled
from neurogames.engine.graphs.edges import span
from neurogames.engine.population.generator import draw, split

AHEAD = 32
"""Words in the ring, a power of 2."""
_MASK = AHEAD - 1
_FAR, _NEAR = 20, 10  # places in the ring at which edges, and then the players at their ends, are fetched
_MOST = 16  # edges of a player that are followed


@compiled
def begin(ahead: Any, words: Any) -> Any:
    """Fill the ring; returns the generator after it."""
    for k in range(AHEAD):
        ahead[k], words = draw(words)
    return words


@compiled
def following(ahead: Any, at: Any, words: Any) -> Any:
    """The next word of the ring, the place after it, and the generator after the word that takes its place."""
    bits = ahead[at]
    ahead[at], words = draw(words)
    return bits, (at + 1) & _MASK, words


def _asking(context: Any, array: Any, place: Any) -> Any:
    """Types and code of a call that asks for an entry of an array without waiting for it."""
    del context, place  # an array's entries are at whole numbers

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        pointer = builder.gep(context.make_array(signature.args[0])(context, builder, given[0]).data, [given[1]])
        byte, whole = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, whole, whole, whole])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(function, [builder.bitcast(pointer, byte), whole(1), whole(3), whole(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


_fetch: Any = intrinsic(_asking)


@compiled
def fetch_turns(ahead: Any, at: Any, players: Any, cell: Any, first: Any, degree: Any, neighbour: Any) -> None:
    """Ask for what the turns to come will read; ``at`` is the place after that of the newest word."""
    player, _ = split(ahead[(at - 1) & _MASK], players)
    _fetch(cell, player)
    if degree == 0:
        _fetch(first, player)
    player, _ = split(ahead[(at + _FAR) & _MASK], players)
    low, _ = span(first, degree, player)
    _fetch(neighbour, low)
    player, _ = split(ahead[(at + _NEAR) & _MASK], players)
    low, high = span(first, degree, player)
    for edge in range(low, min(high, low + _MOST)):
        _fetch(cell, neighbour[edge])
