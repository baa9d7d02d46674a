"""Open networks drawn as string diagrams: boxes are games, wires are what goes between them.

A wire to the right carries a value (play), its dashed companion to the left what comes back (coplay). A box with a
strategy from above is an agent: it chooses its parameters, and its slope goes up again. A dot is a copy, where what
comes back is added up. Boxes stand as far left as what they read allows, so that branches are one above the other; a
value that is read later keeps a lane of its own, in an order with few crossings (Sugiyama's layers), and a long network
goes on in the next line.

Reference: B. Fong, D. Spivak and R. Tuyeras, Backprop as functor, arXiv 1711.10455; K. Sugiyama, S. Tagawa and M. Toda,
Methods for visual understanding of hierarchical system structures, IEEE Transactions on Systems, Man, and Cybernetics
11 (1981), for the layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Patch
from matplotlib.path import Path as Curve
from scipy.optimize import isotonic_regression

from neurogames._arguments import instance, integer
from neurogames.bridge.extraction.open_network import OpenNetwork
from neurogames.lab.figures import drawn_in_style, panels

_PLAY, _COPLAY, _AGENT = "#333333", "#d55e00", "#56b4e9"
_SIGNS = {"add": "+", "iadd": "+", "add_": "+", "mul": "×", "imul": "×", "sub": "−", "cat": "cat", "matmul": "@"}
_WIDE, _HIGH, _BELOW = 0.58, 0.27, 0.1
_STEP, _LINE = 1.7, 1.3
_SWEEPS = 12
_TITLE = 12

Lane = tuple[int, int]
"""A place of the drawing: the number of a piece, and a column; in its own column it is the piece, later its value."""


@dataclass(frozen=True)
class _Layout:
    """Columns of pieces (the input is -1, the output one more than the last), and heights of all lanes."""

    column: dict[int, int]
    height: dict[Lane, float]
    wires: tuple[tuple[Lane, Lane], ...]


@drawn_in_style
def string_diagram(network: OpenNetwork, *, columns: int = 8) -> Figure:
    """Draw a network as a composition of open games.

    Args:
        network: from ``open_game``.
        columns: most boxes one after the other in a line, >= 2.

    Returns:
        The figure.

    Raises:
        ValueError: it is no open network, or the line is too short.

    >>> from torch import nn
    >>> from neurogames.bridge import open_game
    >>> figure = string_diagram(open_game(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))))
    >>> [text.get_text() for text in figure.axes[0].texts][:3]
    ['Linear', '0', 'θ']
    """
    instance("network", network, OpenNetwork, "an OpenNetwork, as open_game returns it")
    columns = integer("columns", columns, minimum=2)
    layout = _layout(network)
    lines = _Lines(layout, columns)
    figure, axes = panels(0.78 * lines.width + 0.3, 0.78 * lines.depth + 0.35)
    axis = axes[0, 0]
    for left, right in layout.wires:
        for start, end in lines.parts(left, right):
            _wire(axis, start, end)
    _dots(axis, layout, lines)
    for piece, kind in enumerate(network.kinds):
        lane = (piece, layout.column[piece])
        name = network.pieces[piece].partition("(")[0]
        _box(axis, *lines.place(lane), kind, name, piece in _agents(network))
    _ends(axis, lines, layout, len(network.kinds))
    axis.set_xlim(-0.4, lines.width)
    axis.set_ylim(0.85 - lines.depth, 0.65)
    axis.set_aspect("equal")
    axis.set_axis_off()
    _legend(figure)
    return figure


def _agents(network: OpenNetwork) -> set[int]:
    """Pieces that choose parameters."""
    return {piece for piece, each in enumerate(network.pieces) if each.partition("(")[0] in network.modules}


def _layout(network: OpenNetwork) -> _Layout:
    """Columns by the longest path, lanes for values that are read later, heights with few crossings and bends."""
    end = len(network.kinds)
    reads = [*network.reads, (network.moves,)]
    column = {-1: 0}
    for piece, sources in enumerate(reads):
        column[piece] = 1 + max((column[each] for each in sources), default=0)
    column[end] = max(column.values())
    last = {-1: 0}
    for piece, sources in enumerate(reads):
        for each in sources:
            last[each] = max(last.get(each, 0), column[piece])
    lanes: list[list[Lane]] = [[] for _ in range(column[end] + 1)]
    for piece, own in column.items():
        for place in range(own, max(own + 1, last.get(piece, 0))):
            lanes[place].append((piece, place))
    wires = [
        ((each, place), (each, place + 1))
        for column_ in lanes
        for each, place in column_
        if place + 1 < last.get(each, 0)
    ]
    wires += [
        ((each, column[piece] - 1), (piece, column[piece])) for piece, sources in enumerate(reads) for each in sources
    ]
    return _Layout(column, _heights(lanes, wires), tuple(dict.fromkeys(wires)))


def _heights(lanes: list[list[Lane]], wires: list[tuple[Lane, Lane]]) -> dict[Lane, float]:
    """Heights of lanes: at the mean of their neighbours, one apart in every column."""
    beside: dict[Lane, list[Lane]] = {lane: [] for column in lanes for lane in column}
    for left, right in wires:
        beside[left].append(right)
        beside[right].append(left)
    height = {lane: float(place) for column in lanes for place, lane in enumerate(sorted(column))}
    for sweep in range(_SWEEPS):
        for column in lanes if sweep % 2 == 0 else lanes[::-1]:
            wanted = {
                lane: float(np.mean([height[each] for each in beside[lane]] or [height[lane]])) for lane in column
            }
            column.sort(key=lambda lane: (wanted[lane], height[lane]))
            steps = np.arange(len(column), dtype=float)
            placed = isotonic_regression(np.array([wanted[lane] for lane in column]) - steps).x + steps
            height.update(zip(column, placed.tolist(), strict=True))
    for column in lanes:
        least = -np.inf
        for lane in column:  # straight wires: heights in halves, still one apart
            height[lane] = max(round(2.0 * height[lane]) / 2.0, least)
            least = height[lane] + 1.0
    return height


class _Lines:
    """The drawing cut into lines: where a lane is, and the parts of a wire."""

    def __init__(self, layout: _Layout, columns: int) -> None:
        self.layout, self.columns = layout, columns
        self.end = max(layout.column.values())
        self.width = (min(self.end, columns + 1) + 0.2) * _STEP
        self.shift: list[float] = []
        self.depth = 0.0
        for line in range(self.line(self.end) + 1):
            inside = [height for (_, place), height in layout.height.items() if self.line(place) == line]
            self.shift.append(-max(inside) - self.depth)
            self.depth += max(inside) - min(inside) + _LINE

    def line(self, column: int) -> int:
        """The line of a column; the open ends stand beside the first and the last box."""
        return (min(max(column, 1), self.end - 1) - 1) // self.columns

    def place(self, lane: Lane) -> tuple[float, float]:
        """Coordinates of a lane."""
        line = self.line(lane[1])
        return (lane[1] - line * self.columns) * _STEP, self.layout.height[lane] + self.shift[line]

    def parts(self, left: Lane, right: Lane) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
        """Starts and ends of the pieces of a wire: two where it goes on in the next line."""
        (x0, y0), (x1, y1) = self.place(left), self.place(right)
        start = (x0 + self.half(left), y0)
        end = (x1 - self.half(right), y1)
        if self.line(left[1]) == self.line(right[1]):
            yield start, end
        else:
            yield start, (x0 + _STEP / 2, y0)
            yield (x1 - _STEP / 2, y1), end

    def half(self, lane: Lane) -> float:
        """Half the width of what stands on a lane: a box, or a wire."""
        piece = lane[0]
        if self.layout.column[piece] != lane[1] or piece in (-1, max(self.layout.column)):
            return 0.0
        return _WIDE


def _wire(axis: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A value to the right, and what comes back to the left below it."""
    for down, color, dashes, width in ((0.0, _PLAY, "-", 1.3), (_BELOW, _COPLAY, (0, (3, 2)), 1.0)):
        (x0, y0), (x1, y1) = (start[0], start[1] - down), (end[0], end[1] - down)
        bend = 0.5 * (x1 - x0)
        curve = Curve([(x0, y0), (x0 + bend, y0), (x1 - bend, y1), (x1, y1)], [1, 4, 4, 4])
        axis.add_patch(
            FancyArrowPatch(path=curve, arrowstyle="-", color=color, linestyle=dashes, linewidth=width, zorder=1)
        )


def _dots(axis: Axes, layout: _Layout, lines: _Lines) -> None:
    """A dot where a wire is copied."""
    onward: dict[Lane, int] = {}
    for left, _ in layout.wires:
        onward[left] = onward.get(left, 0) + 1
    for lane, count in onward.items():
        if count > 1:
            x, y = lines.place(lane)
            axis.add_patch(Circle((x + lines.half(lane), y), 0.055, color=_PLAY, zorder=3))


def _box(axis: Axes, x: float, y: float, kind: str, name: str, agent: bool) -> None:
    """A game: round for sums and the like, with its strategy from above for an agent."""
    middle = y - _BELOW / 2
    axis.add_patch(
        FancyBboxPatch(
            (x - _WIDE + 0.06, middle - _HIGH + 0.06), 2 * _WIDE - 0.12, 2 * _HIGH - 0.12,
            boxstyle="round,pad=0.06", facecolor="#d6ecf8" if agent else "white",
            edgecolor=_AGENT if agent else "#777777", linewidth=1.2, zorder=2,
        )
    )  # fmt: skip
    sign = _SIGNS.get(kind)
    shown = sign or (kind if len(kind) <= _TITLE else kind[: _TITLE - 1] + "…")
    if agent and name:
        axis.text(x, middle + 0.09, shown, ha="center", va="center", fontsize=7, zorder=4)
        axis.text(x, middle - 0.12, _short(name), ha="center", va="center", fontsize=6, color="#555555", zorder=4)
    else:
        axis.text(x, middle, shown, ha="center", va="center", fontsize=10 if sign else 7, zorder=4)
    if agent:
        top = middle + _HIGH
        for at, color, dashes in ((x - 0.05, _PLAY, "-"), (x + 0.05, _COPLAY, (0, (3, 2)))):
            axis.plot([at, at], [top, top + 0.17], color=color, linestyle=dashes, linewidth=1.0, zorder=1)
        axis.text(x - 0.12, top + 0.12, "θ", ha="right", va="center", fontsize=7, color=_PLAY)


def _short(name: str) -> str:
    """A module's name that fits into its box."""
    return name if len(name) <= 16 else "…" + name[-15:]


def _ends(axis: Axes, lines: _Lines, layout: _Layout, end: int) -> None:
    """The open ends: the network's input and output, and what comes back to them."""
    x, y = lines.place((-1, 0))
    axis.text(x - 0.08, y, "x", ha="right", va="center", fontsize=9, color=_PLAY)
    x, y = lines.place((end, layout.column[end]))
    axis.text(x + 0.08, y + 0.04, "y", ha="left", va="center", fontsize=9, color=_PLAY)
    axis.text(x + 0.08, y - _BELOW - 0.08, "r", ha="left", va="center", fontsize=9, color=_COPLAY)


def _legend(figure: Figure) -> None:
    """What the two kinds of wires and boxes are."""
    known = [
        Line2D([], [], color=_PLAY, label="value →"),
        Line2D([], [], color=_COPLAY, linestyle=(0, (3, 2)), label="what comes back ←"),
        Patch(facecolor="#d6ecf8", edgecolor=_AGENT, label="agent (chooses θ)"),
        Line2D([], [], color=_PLAY, marker="o", linestyle="none", label="copy"),
    ]
    figure.legend(handles=known, loc="outside lower center", ncols=4, fontsize=7.5)
