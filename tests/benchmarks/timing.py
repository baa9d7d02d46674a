"""Interleaved timing of alternatives in one run: medians and ratios, never asserted seconds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def medians(alternatives: dict[str, Callable[[], object]], repeats: int = 5) -> dict[str, float]:
    """Median seconds of each alternative, called in turn ``repeats`` times after one uncounted round."""
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for round_number in range(repeats + 1):
        for name, call in alternatives.items():
            start = time.perf_counter()
            call()
            if round_number > 0:
                seconds[name].append(time.perf_counter() - start)
    result = {name: statistics.median(values) for name, values in seconds.items()}
    reference = next(iter(result))
    print()
    for name, value in result.items():
        print(f"  {name:<48} {value * 1e3:12.3f} ms   x {value / result[reference]:8.2f} of {reference}")
    return result
