"""Settings of an ensemble's training that each network may have of its own: one value for all, or one for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from neurogames._arguments import invalid_argument
from neurogames.bridge.ensembles.coins import FEEDBACK
from neurogames.bridge.feedback.law import checked_keep


def per_network(name: str, value: Any, count: int) -> list[Any]:
    """One value for each network.

    >>> per_network("epochs", 3, 2), per_network("epochs", [3, 4], 2)
    ([3, 3], [3, 4])
    """
    value = value.tolist() if isinstance(value, (np.ndarray, Tensor)) else value  # of no axes: a number
    values = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value] * count
    if len(values) != count:
        raise invalid_argument(name, f"{len(values)} values", f"one value, or one for each of {count} networks")
    return values


def keep_courses(
    keeps: Sequence[float | Callable[[float], float]], planned: NDArray[np.int64], *, rescale: bool
) -> list[NDArray[np.float64]]:
    """Keep probability of each network, (1,), or before each of its steps, (steps,), where it has a schedule.

    Step s of S is taken at progress s / S.

    >>> [course.tolist() for course in keep_courses([0.5, lambda progress: progress], np.array([9, 4]), rescale=False)]
    [[0.5], [0.0, 0.25, 0.5, 0.75]]
    """
    seen: dict[tuple[int, int], NDArray[np.float64]] = {}
    courses = []
    for keep, steps in zip(keeps, planned.tolist(), strict=True):
        if not callable(keep):
            courses.append(np.array([checked_keep(keep, rescale=rescale)]))
            continue
        key = (id(keep), steps)
        if key not in seen:
            seen[key] = np.array([checked_keep(keep(step / steps), rescale=rescale) for step in range(steps)])
        courses.append(seen[key])
    return courses


def feedback_kinds(value: str | Sequence[str], count: int) -> list[int]:
    """Number of each network's kind of feedback, as in ``coins``.

    >>> feedback_kinds(["mean", "dropout"], 2)
    [1, 0]
    """
    kinds = per_network("feedback", value, count)
    for kind in kinds:
        if kind not in FEEDBACK:
            raise invalid_argument("feedback", kind, " or ".join(map(repr, FEEDBACK)))
    return [FEEDBACK.index(kind) for kind in kinds]


def rates_of_layers(rates: Sequence[float], layer_rates: ArrayLike | None, layers: int) -> NDArray[np.float64]:
    """Learning rate of each network's layers, (networks, layers).

    >>> rates_of_layers([0.1, 0.2], [0.5, 1], 2).tolist()
    [[0.05, 0.1], [0.1, 0.2]]
    """
    count = len(rates)
    expected = f"{layers} finite factors >= 0, or one such row for each of {count} networks"
    try:
        factors = np.asarray(np.ones(layers) if layer_rates is None else layer_rates, dtype=np.float64)
    except (TypeError, ValueError):
        raise invalid_argument("layer_rates", layer_rates, expected) from None
    if factors.shape not in ((layers,), (count, layers)):
        raise invalid_argument("layer_rates", f"shape {factors.shape}", expected)
    if not (np.isfinite(factors).all() and (factors >= 0).all()):
        raise invalid_argument("layer_rates", layer_rates, expected)
    return np.array(rates)[:, None] * factors
