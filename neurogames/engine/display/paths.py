"""Shares over time, with the band in which most replicas lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.display.axes import look, own_axis, quiet_frame

_BAND = (0.05, 0.95)
_MOST_NAMES = 12


def plot_paths(
    axis: Any,
    time: NDArray[np.float64],
    share: NDArray[np.float64],
    labels: Sequence[str],
    ylabel: str = "share of players",
) -> Any:
    """Draw the mean over replicas of each share, and the band from their 5 % to their 95 % quantile.

    Args:
        axis: where to draw; a new figure for None.
        time: (T,) times in sweeps.
        share: (replicas, T, n) shares.
        labels: n names.
        ylabel: what is drawn.

    Returns:
        The matplotlib ``Axes``.
    """
    axis = own_axis(axis, 5.6, 3.4)
    for k, name in enumerate(labels):
        each = share[:, :, k]
        shown = name if k < _MOST_NAMES else None
        axis.plot(time, each.mean(axis=0), label=shown, linewidth=1.6, **look(k))
        if len(each) > 1:
            low, high = np.quantile(each, _BAND, axis=0)
            axis.fill_between(time, low, high, color=look(k)["color"], alpha=0.18, linewidth=0)
    quiet_frame(axis)
    axis.set(xlabel="sweeps", ylabel=ylabel, ylim=(-0.02, 1.02))
    axis.margins(x=0.01)
    if len(labels) > 1:
        axis.legend(frameon=False, fontsize="small")
    if len(share) > 1:
        axis.set_title(f"mean of {len(share)} replicas, band: 5 % to 95 %", fontsize="small", loc="left")
    return axis


def plot_reached(axis: Any, sweeps: NDArray[np.float64], censored: NDArray[np.bool_]) -> Any:
    """Draw the share of replicas that have reached their target, (replicas,) times, by each time."""
    axis = own_axis(axis, 5.6, 3.4)
    reached = np.sort(sweeps[~censored])
    time = np.concatenate([[0.0], reached, [sweeps.max()]])
    share = np.concatenate([[0.0], np.arange(1, reached.size + 1), [reached.size]]) / sweeps.size
    axis.step(time, share, where="post", **look(0))
    quiet_frame(axis)
    axis.set(xlabel="sweeps", ylabel="share of replicas that reached it", ylim=(-0.02, 1.02))
    return axis
