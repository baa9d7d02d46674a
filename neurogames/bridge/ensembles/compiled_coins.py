"""The factors of ``coins``, compiled: one network's, for one step."""

from __future__ import annotations

import numba
import numpy as np

from neurogames.bridge.ensembles.coins import GAUSSIAN, MEAN, SIGNS
from neurogames.bridge.ensembles.streams import FIRST, GOLDEN, SECOND

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def mix(word):
    """SplitMix64's output function, equal to that of ``streams``."""
    word = word + np.uint64(GOLDEN)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(FIRST)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(SECOND)
    return word ^ (word >> np.uint64(31))


@_compiled
def fill_coins(kind, key, keep, rescale, positions, coins):
    """Fill ``coins`` (1 or rows, units) with the factors of one step; ``positions`` say where in the draw they are."""
    scale = 1.0 / keep if rescale else 1.0
    if kind == MEAN:
        coins[:] = scale * keep
        return
    heads, tails, share = scale, 0.0, keep
    if kind == SIGNS:
        heads, tails, share = scale * np.sqrt(keep), -scale * np.sqrt(keep), (1.0 + np.sqrt(keep)) / 2.0
    spread = np.sqrt(keep * (1.0 - keep))
    for r in range(coins.shape[0]):
        for j in range(coins.shape[1]):
            bits = mix(mix(np.uint64(r * coins.shape[1] + positions[j])) ^ key)
            uniform = (np.int64(bits >> np.uint64(41)) + 0.5) * 2.0**-23
            if kind == GAUSSIAN:
                angle = (np.int64((bits >> np.uint64(18)) & np.uint64(2**23 - 1)) + 0.5) * 2.0**-22 * np.pi
                radius = (np.int64(bits & np.uint64(2**18 - 1)) + 0.5) * 2.0**-18
                coins[r, j] = scale * (keep + spread * np.sqrt(-2.0 * np.log(radius)) * np.cos(angle))
            else:
                coins[r, j] = heads if uniform < share else tails
