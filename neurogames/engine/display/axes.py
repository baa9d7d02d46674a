"""Axes to draw on, and how strategies look: a colour and a line style for each.

Colours are those of Okabe & Ito (2008); whatever a colour tells, a line style or a label tells as well.
"""

from __future__ import annotations

from typing import Any

from neurogames._arguments import invalid_argument

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
_LINES = ("-", "--", "-.", ":")


def own_axis(axis: Any, width: float, height: float) -> Any:
    """The axis given, or that of a new figure of pyplot.

    Args:
        axis: a matplotlib ``Axes``, or None.
        width: of a new figure, in inches.
        height: of a new figure, in inches.

    Returns:
        A matplotlib ``Axes``.

    Raises:
        ValueError: if it is neither.
    """
    if axis is None:
        from matplotlib import pyplot as plt

        return plt.subplots(figsize=(width, height), layout="constrained")[1]
    if not hasattr(axis, "add_artist"):
        raise invalid_argument("axis", axis, "a matplotlib Axes, or None for a new figure")
    return axis


def colour(place: int) -> str:
    """Colour of the strategy with this number."""
    return _COLOURS[place % len(_COLOURS)]


def look(place: int) -> dict[str, Any]:
    """Colour and line style of the strategy with this number, as keywords of ``plot``.

    >>> look(1)
    {'color': '#D55E00', 'linestyle': '--'}
    """
    return {"color": colour(place), "linestyle": _LINES[place % len(_LINES)]}


def quiet_frame(axis: Any) -> None:
    """Leave away the two spines that carry no numbers."""
    axis.spines[["top", "right"]].set_visible(False)
