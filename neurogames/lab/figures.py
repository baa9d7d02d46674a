"""What all figures share: a style readable in print and by the colour-blind, panels, legends, and how they are saved.

Colours are those of Okabe & Ito (2008); whatever a colour tells, a marker or a line style tells as well.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from neurogames.lab.whole_file import write_whole

Look = dict[str, Any]
"""How a line or a mark is drawn: keywords of ``plot``."""

STYLE: Any = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.constrained_layout.use": True,
    "figure.dpi": 110,
    "font.size": 9,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "savefig.dpi": 160,
    "svg.fonttype": "path",
    "svg.hashsalt": "neurogames",
}
HALO = [withStroke(linewidth=2.5, foreground="white")]

drawn_in_style = mpl.rc_context(STYLE)


def save_figure(figure: Figure, folder: Path, name: str) -> None:
    """Write ``name.png`` and ``name.svg`` into ``folder``; the same figure gives the same bytes."""
    vector, points = io.BytesIO(), io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(vector, format="svg", metadata={"Date": None})
        # The layout is the most expensive part of drawing, and stands by now.
        figure.set_layout_engine("none")
        figure.savefig(points, format="png")
    write_whole(folder / f"{name}.svg", vector.getvalue())
    write_whole(folder / f"{name}.png", points.getvalue())


def panels(
    width: float, height: float, rows: int = 1, columns: int = 1, sharey: Literal["none", "row"] = "none"
) -> tuple[Figure, NDArray[np.object_]]:
    """A figure apart from any global state, with a (rows, columns) array of axes."""
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(rows, columns, squeeze=False, sharey=sharey)


def as_written(text: object) -> str:
    r"""A name that somebody else has given, for a figure: its dollar signs start no formula.

    >>> as_written("a$b$")
    'a\\$b\\$'
    """
    return str(text).replace("$", r"\$")


def legend_below(figure: Figure, axis: Axes, columns: int | None = None) -> None:
    """Put the legend of one axis below the whole figure, in one row or in so many columns."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns or len(handles))


def annotate_point(axis: Axes, x: float, y: float, text: str, color: str) -> None:
    """Write beside a point, on a white halo."""
    axis.annotate(text, (x, y), textcoords="offset points", xytext=(6, 5), color=color, fontsize=8, path_effects=HALO)


def light_to_dark(count: int) -> NDArray[np.float64]:
    """Shades (count, 4) from light to dark."""
    return np.asarray(mpl.colormaps["cividis_r"](np.linspace(0.12, 1.0, count)))
