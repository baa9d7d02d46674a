"""The triangle of all shares of three strategies: where a population moves, where it rests, how often it is where.

The corner of a strategy is a population in which all use it; the first is at the left, the second at the right, the
third on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.display.axes import own_axis
from neurogames.engine.display.velocities import mark_points
from neurogames.engine.strategies.rest_points import RestPoint, Velocity

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])

_GRID = 61
_DECADES = 6


def to_plane(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 2) places in the plane of shares (..., 3).

    >>> to_plane(np.array([0.5, 0.5, 0.0]))
    array([0.5, 0. ])
    """
    return np.asarray(share @ CORNERS)


def empty_simplex(axis: Any, labels: Sequence[str]) -> Any:
    """Draw the border of the triangle with the names of the strategies at its corners."""
    axis = own_axis(axis, 4.4, 4.2)
    around = np.vstack([CORNERS, CORNERS[:1]])
    axis.plot(*around.T, color="black", linewidth=1.0, zorder=3)
    for (x, y), (across, up), name in zip(CORNERS, ((0, -8), (0, -8), (0, 6)), labels, strict=True):
        where = {"ha": "center", "va": "top" if up < 0 else "bottom"}
        axis.annotate(name, (x, y), (across, up), textcoords="offset points", **where)
    axis.set(xlim=(-0.06, 1.06), ylim=(-0.09, 0.96), aspect="equal")
    axis.set_axis_off()
    return axis


def plot_portrait(axis: Any, velocity: Velocity, points: Sequence[RestPoint], labels: Sequence[str]) -> Any:
    """Draw the flow of three shares and the rest points, marked by their stability.

    Args:
        axis: where to draw; a new figure for None.
        velocity: v, from (S, 3) to (S, 3).
        points: the rest points.
        labels: names of the three strategies.

    Returns:
        The matplotlib ``Axes``.
    """
    axis = empty_simplex(axis, labels)
    x, y = np.linspace(0, 1, _GRID), np.linspace(0, CORNERS[2, 1], _GRID)
    across, up = np.meshgrid(x, y)
    third = up / CORNERS[2, 1]
    second = across - third / 2
    share = np.stack([1.0 - second - third, second, third], axis=-1).reshape(-1, 3)
    # Beyond the border the flow goes on as at the nearest composition, so that lines run up to the border.
    inside = np.maximum(share, 0.0)
    flow = to_plane(velocity(inside / inside.sum(axis=1, keepdims=True))).reshape(_GRID, _GRID, 2)
    border = axis.fill(*CORNERS.T, facecolor="none", edgecolor="none")[0]
    lines = axis.streamplot(x, y, *np.moveaxis(flow, -1, 0), color="#0072B2", linewidth=0.8, arrowsize=0.9).lines
    for drawn in (lines, *(patch for patch in axis.patches if patch is not border)):
        drawn.set_clip_path(border)
    axis.set(xlim=(-0.06, 1.06), ylim=(-0.09, 0.96))
    places = to_plane(np.array([point.share for point in points]).reshape(-1, 3))
    below = {"ncols": 4, "loc": "upper center", "bbox_to_anchor": (0.5, 0.02)}
    mark_points(axis, places, [point.kind for point in points], **below)
    return axis


def plot_law(axis: Any, states: NDArray[np.int64], log_probability: NDArray[np.float64], labels: Sequence[str]) -> Any:
    """Draw a probability law of compositions, on a logarithmic scale of at most six decades.

    Args:
        axis: where to draw; a new figure for None.
        states: (S, 3) compositions.
        log_probability: (S,) their log probabilities.
        labels: names of the three strategies.

    Returns:
        The matplotlib ``Axes``.
    """
    from matplotlib.colors import LogNorm

    axis = empty_simplex(axis, labels)
    greatest = float(np.exp(log_probability.max()))
    least = max(float(np.exp(log_probability.min())), greatest * 10.0**-_DECADES)
    shown = np.maximum(np.exp(log_probability), least)
    plane = to_plane(states / states[0].sum())
    norm = LogNorm(min(least, 0.5 * greatest), greatest)
    drawn = axis.tripcolor(*plane.T, shown, shading="gouraud", cmap="cividis_r", norm=norm, rasterized=True)
    axis.figure.colorbar(drawn, ax=axis, shrink=0.7, label="probability", extend="min")
    return axis
