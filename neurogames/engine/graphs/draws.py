"""What the compiled loops of agents draw: strategies, by given probabilities or by what each would pay."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from neurogames.engine.population.generator import unit


@numba.njit(cache=True, nogil=True)
def drawn(law: Any, u: Any) -> Any:
    """A strategy by its probability (or by a part of ``u``'s range), for u in [0, 1)."""
    j = 0
    while j < law.size - 1:
        u -= law[j]
        if u < 0.0:
            break
        j += 1
    return np.int64(j)


@numba.njit(cache=True, nogil=True)
def chosen(offer: Any, logit: Any, strength: Any, words: Any) -> Any:
    """A strategy by logit choice, or one of the best with equal chances, of payoffs ``offer``, which are overwritten.

    With ``logit``, ``strength`` is one over the temperature, else the greatest difference that is rounding.

    Returns:
        The strategy and the generator after it.
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
    u, words = unit(words)
    return drawn(offer, u * mass), words
