"""What the compiled loops of agents draw: strategies, by given probabilities or by what each would pay."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurogames.engine.compiled import compiled


@compiled
def drawn(law: Any, u: Any) -> Any:
    """A strategy by its probability (or by a part of ``u``'s range), for u in [0, 1)."""
    j = 0
    while j < law.size - 1:
        u -= law[j]
        if u < 0.0:
            break
        j += 1
    return np.int64(j)


@compiled
def mutant(mutation: Any, mine: Any, u: Any) -> Any:
    """What strategy ``mine`` becomes by mutation, for u in [0, 1); staying, the usual case, takes the least of u."""
    stay = mutation[mine, mine]
    if u < stay:
        return np.int64(mine)
    u -= stay
    new = np.int64(mine)
    for j in range(len(mutation)):
        if j != mine and mutation[mine, j] > 0.0:
            new = np.int64(j)
            u -= mutation[mine, j]
            if u < 0.0:
                break
    return new


@compiled
def chosen(offer: Any, logit: Any, strength: Any, u: Any) -> Any:
    """A strategy by logit choice, or one of the best with equal chances, for u in [0, 1).

    The payoffs ``offer`` are overwritten. With ``logit``, ``strength`` is one over the temperature, else the greatest
    difference that is rounding.
    """
    best, mass = -np.inf, 0.0
    for j in range(offer.size):
        best = max(best, offer[j])
    for j in range(offer.size):
        if logit:
            offer[j] = np.exp((offer[j] - best) * strength)
        else:
            offer[j] = 1.0 if offer[j] >= best - strength else 0.0
        mass += offer[j]
    return drawn(offer, u * mass)
