"""Exact laws of who acts after some sweeps, given who acts now.

Players are alike, so of C who act now and N - C who rest it only matters how many of each act later: a of the first and
b of the second. This pair moves as a chain of its own on (C + 1)(N - C + 1) states, of which the count a + b is only a
part; given the pair, all configurations are equally likely. Under "one" it makes N single revisions in a sweep. Under
"all" both groups draw anew, given the count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.compiled import compiled
from neurogames.engine.process import Process, switching
from neurogames.games.base import TwoActionGame


def pair_laws(game: TwoActionGame, process: Process, counts: Iterable[int], sweeps: int) -> list[NDArray[np.float64]]:
    """The laws of the pair (a, b) after 1..sweeps sweeps.

    Args:
        game: N players.
        process: constant parameters.
        counts: how many act at the start, C for each law.
        sweeps: how long, at least 1.

    Returns:
        (sweeps, C + 1, N - C + 1) probabilities for each C.

    >>> from neurogames import PublicGoodsGame, logit
    >>> (law,) = pair_laws(PublicGoodsGame(4, 0.4, 1.0), Process(logit(0.1), revision="all"), [1], 3)
    >>> law.shape, bool(np.allclose(law.sum(axis=(1, 2)), 1.0))
    ((3, 2, 4), True)
    """
    rates = switching(game, process)
    on, off = np.exp(rates.log_on), np.exp(rates.log_off)
    advance = _one_at_a_time if process.revision == "one" else _all_at_once
    laws = []
    for count in counts:
        law = np.zeros((sweeps, count + 1, game.n_players - count + 1))
        advance(on, off, count, law)
        laws.append(law)
    return laws


@compiled
def _one_at_a_time(on: Any, off: Any, count: int, law: Any) -> None:
    """N single revisions in every sweep."""
    n = on.size
    now, after = np.zeros(law.shape[1:]), np.zeros(law.shape[1:])
    now[count, 0] = 1.0
    for sweep in range(law.shape[0]):
        for _ in range(n):
            after[:] = 0.0
            for a in range(count + 1):
                for b in range(n - count + 1):
                    here = now[a, b] / n
                    if here == 0.0:
                        continue
                    k = a + b
                    stop = off[k - 1] if k > 0 else 0.0
                    begin = on[k] if k < n else 0.0
                    if a > 0:
                        after[a - 1, b] += here * a * stop
                    if a < count:
                        after[a + 1, b] += here * (count - a) * begin
                    if b > 0:
                        after[a, b - 1] += here * b * stop
                    if b < n - count:
                        after[a, b + 1] += here * (n - count - b) * begin
                    after[a, b] += here * (k * (1.0 - stop) + (n - k) * (1.0 - begin))
            now, after = after, now
        law[sweep] = now


@compiled
def _acting(acts: int, rests: int, stays: float, begins: float) -> Any:
    """Law of how many of a group act after a round."""
    law = np.zeros(acts + rests + 1)
    law[0] = 1.0
    for member in range(acts + rests):
        chance = stays if member < acts else begins
        for k in range(member + 1, 0, -1):
            law[k] = law[k] * (1.0 - chance) + law[k - 1] * chance
        law[0] *= 1.0 - chance
    return law


@compiled
def _all_at_once(on: Any, off: Any, count: int, law: Any) -> None:
    """One round of all in every sweep."""
    n = on.size
    now = np.zeros(law.shape[1:])
    now[count, 0] = 1.0
    for sweep in range(law.shape[0]):
        after = law[sweep]
        for a in range(count + 1):
            for b in range(n - count + 1):
                here = now[a, b]
                if here == 0.0:
                    continue
                k = a + b
                stays = 1.0 - off[k - 1] if k > 0 else 0.0
                begins = on[k] if k < n else 0.0
                first = _acting(a, count - a, stays, begins)
                second = _acting(b, n - count - b, stays, begins)
                for p in range(count + 1):
                    for q in range(n - count + 1):
                        after[p, q] += here * first[p] * second[q]
        now[:] = after
