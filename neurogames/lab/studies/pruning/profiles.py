"""Which units stay when so many may: the most important of all, or the most important of each layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def best_of_all(importance: NDArray[np.float64], count: int, sizes: Sequence[int]) -> NDArray[np.float64]:
    """Keep the most important units wherever they are, and the best of each layer whatever it is worth.

    Args:
        importance: (units,) by layer in order.
        count: how many units stay, at least one for each layer.
        sizes: units of each layer.

    Returns:
        (units,) profile: 1 for those that stay, else 0.

    >>> best_of_all(np.array([5.0, 4.0, 3.0, 1.0, 2.0]), 3, (3, 2)).tolist()
    [1.0, 1.0, 0.0, 0.0, 1.0]
    """
    ranked = importance.copy()
    for layer in _layers(sizes):
        ranked[layer[importance[layer].argmax()]] = np.inf
    return _kept(ranked, count)


def best_of_layers(importance: NDArray[np.float64], counts: Sequence[int], sizes: Sequence[int]) -> NDArray[np.float64]:
    """Keep so many of each layer, the most important ones.

    Args:
        importance: (units,) by layer in order.
        counts: how many units of each layer stay.
        sizes: units of each layer.

    Returns:
        (units,) profile: 1 for those that stay, else 0.

    >>> best_of_layers(np.array([5.0, 4.0, 3.0, 1.0, 2.0]), (1, 2), (3, 2)).tolist()
    [1.0, 0.0, 0.0, 1.0, 1.0]
    """
    parts = zip(_layers(sizes), counts, strict=True)
    return np.concatenate([_kept(importance[layer], count) for layer, count in parts])


def _layers(sizes: Sequence[int]) -> list[NDArray[np.intp]]:
    """The places of each layer's units."""
    return np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])


def _kept(ranked: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """1 for the first so many by rank; of equals the earlier."""
    profile = np.zeros(len(ranked))
    profile[np.argsort(-ranked, kind="stable")[:count]] = 1.0
    return profile
