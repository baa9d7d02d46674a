"""What each strategy of a repeated game earns against each other one, best scores first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.display.axes import own_axis

_MOST_NUMBERS = 16
_INCHES, _MARGIN = 0.42, 2.6


def plot_tournament(
    axis: Any, payoffs: NDArray[np.float64], scores: NDArray[np.float64], labels: Sequence[str], score_name: str
) -> Any:
    """Draw a matrix of payoffs, rows and columns from the highest score to the lowest; up to 16 rows bear numbers.

    Args:
        axis: where to draw; a new figure for None.
        payoffs: (k, k) what the strategy of the row earns against that of the column.
        scores: (k,) by which the strategies are sorted; they stand beside the names.
        labels: k names.
        score_name: what the scores are.

    Returns:
        The matplotlib ``Axes``.
    """
    k = len(labels)
    axis = own_axis(axis, _MARGIN + 0.6 + _INCHES * k, _MARGIN + _INCHES * k)
    order = np.argsort(-scores, kind="stable")
    shown = payoffs[np.ix_(order, order)]
    drawn = axis.imshow(shown, cmap="cividis")
    axis.figure.colorbar(drawn, ax=axis, shrink=0.7, label="mean payoff of a round")
    names = [labels[place] for place in order]
    axis.set_xticks(range(k), names, rotation=90)
    axis.set_yticks(range(k), [f"{name}  {scores[place]:.3f}" for name, place in zip(names, order, strict=True)])
    axis.set(xlabel="against", ylabel=score_name)
    if k <= _MOST_NUMBERS:
        middle = (shown.min() + shown.max()) / 2
        for i, j in np.ndindex(k, k):
            ink = "black" if shown[i, j] > middle else "white"
            axis.text(j, i, f"{shown[i, j]:.2f}", ha="center", va="center", color=ink, fontsize=6)
    return axis
