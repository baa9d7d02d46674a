"""How fast a share moves, against that share, with the places at which it rests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.display.axes import own_axis, quiet_frame
from neurogames.engine.strategies.rest_points import RestPoint, Velocity

MARKS: dict[str, dict[str, Any]] = {
    "stable": {"marker": "o", "markerfacecolor": "black"},
    "saddle": {"marker": "o", "markerfacecolor": "black", "markerfacecoloralt": "white", "fillstyle": "left"},
    "unstable": {"marker": "o", "markerfacecolor": "white"},
    "neutral": {"marker": "s", "markerfacecolor": "#999999"},
}
"""How rest points look, by their stability."""
_GRID = 401


def mark_points(axis: Any, places: NDArray[np.float64], kinds: Sequence[str], **legend: Any) -> None:
    """Mark rest points at places (K, 2) of a plot, with a legend of the kinds that are there."""
    for kind, mark in MARKS.items():
        chosen = places[[k for k, each in enumerate(kinds) if each == kind]]
        if chosen.size:
            edge = {"linestyle": "none", "markeredgecolor": "black", "markersize": 8, "zorder": 5}
            axis.plot(*chosen.T, label=kind, **edge, **mark)
    if len(kinds):
        axis.legend(frameon=False, fontsize="small", handletextpad=0.2, **legend)


def plot_velocity(
    axis: Any,
    velocity: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    points: Sequence[tuple[float, str]],
    xlabel: str,
) -> Any:
    """Draw the velocity of one share.

    Args:
        axis: where to draw; a new figure for None.
        velocity: from shares (S,) to their changes per sweep.
        points: share and kind of each rest point.
        xlabel: what the share is of.

    Returns:
        The matplotlib ``Axes``.
    """
    axis = own_axis(axis, 5.6, 3.4)
    share = np.linspace(0, 1, _GRID)
    axis.axhline(0, color="black", linewidth=0.8)
    axis.plot(share, velocity(share), color="#0072B2", linewidth=1.6)
    mark_points(axis, np.array([(x, 0.0) for x, _ in points]).reshape(-1, 2), [kind for _, kind in points])
    axis.set(xlabel=xlabel, ylabel="change per sweep", xlim=(-0.02, 1.02))
    quiet_frame(axis)
    return axis


def plot_phase_line(axis: Any, velocity: Velocity, points: Sequence[RestPoint], labels: Sequence[str]) -> Any:
    """Draw the velocity of the first of two strategies."""
    found = [(float(point.share[0]), point.kind) for point in points]
    return plot_velocity(
        axis, lambda share: velocity(np.stack([share, 1 - share], axis=-1))[..., 0], found, f"share of {labels[0]}"
    )


def plot_square(
    axis: Any,
    velocity: Callable[[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]],
    points: Sequence[RestPoint],
    names: tuple[str, str],
) -> Any:
    """Draw the flow of the first strategies' shares in two populations with two strategies each.

    Args:
        axis: where to draw; a new figure for None.
        velocity: from shares (S, 2) and (S, 2) to their changes.
        points: rest points, their shares of both populations one after the other.
        names: of the first strategy in each population.

    Returns:
        The matplotlib ``Axes``.
    """
    axis = own_axis(axis, 4.4, 4.6)
    share = np.linspace(0, 1, 41)
    x, y = (each.ravel() for each in np.meshgrid(share, share))
    moves = velocity(np.stack([x, 1 - x], axis=-1), np.stack([y, 1 - y], axis=-1))
    across, up = (move[:, 0].reshape(share.size, share.size) for move in moves)
    axis.streamplot(share, share, across, up, color="#0072B2", linewidth=0.8, arrowsize=0.9)
    places = np.array([(point.share[0], point.share[2]) for point in points]).reshape(-1, 2)
    below = {"ncols": 4, "loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    mark_points(axis, places, [point.kind for point in points], **below)
    axis.set(xlabel=f"share of {names[0]}", ylabel=f"share of {names[1]}", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axis.set_aspect("equal")
    return axis
