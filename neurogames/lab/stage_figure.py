"""The layers of a network as players of a game over stages, drawn: stages are columns, players are rows."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from neurogames._arguments import instance
from neurogames.bridge.dgnopt.stages import StageGraph
from neurogames.lab.figures import drawn_in_style

_FIXED, _MOVABLE, _SHORTCUT = "#0072B2", "#D55E00", "#009E73"
_HALF_WIDTH, _HALF_HEIGHT = 0.36, 0.26


@drawn_in_style
def plot_stages(graph: StageGraph) -> Figure:
    """Draw which layer acts at which stage, for which player, and where else it could act.

    Boxes are layers. A layer that may act at several stages has a dashed box, its first and last stage are written in
    it, and dotted boxes stand where else it may be; the title tells the number of alignments. Edges say which layer
    reads which, shortcuts pass by a stage.

    Args:
        graph: of ``stage_graph``, as found or in another alignment (``graph.aligned``).

    Returns:
        The figure.

    Raises:
        ValueError: ``graph`` is something else.

    >>> import torch
    >>> from neurogames.bridge import stage_graph
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    >>> figure = plot_stages(stage_graph(model, torch.ones(1, 2)))
    >>> figure.axes[0].get_title()
    '2 stages, 1 player, 1 alignment'
    """
    instance("graph", graph, StageGraph, "a StageGraph, as stage_graph gives it")
    nodes = graph.graph.nodes
    longest = max(map(len, graph.layers))
    figure = Figure(figsize=((graph.n_stages + 2) * (0.75 + 0.075 * max(longest, 5)), 1.3 + 0.75 * graph.n_players))
    axis = figure.subplots()
    places = {name: (data["stage"], data["player"]) for name, data in nodes(data=True)}
    for name in graph.layers:
        _draw_choices(axis, nodes[name], set(places.values()))
    for name, place in places.items():
        _draw_box(axis, name, place, nodes[name])
    edges = graph.graph.edges(data="shortcut")
    for a, b, shortcut in edges:
        _draw_edge(axis, places[a], places[b], shortcut=shortcut)
    over = [shortcut and places[a][1] == places[b][1] for a, b, shortcut in edges]
    axis.set(
        xlim=(-1.6, graph.n_stages + 0.6),
        ylim=(graph.n_players - 0.5, -0.85 if any(over) else -0.5),
        title=", ".join((_counted(graph.n_stages, "stage"), _counted(graph.n_players, "player"), _alignments(graph))),
    )
    axis.set_xticks(range(graph.n_stages), [f"stage {stage}" for stage in range(graph.n_stages)])
    axis.set_yticks(range(graph.n_players), [f"player {player}" for player in range(graph.n_players)])
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    figure.legend(handles=_legend(graph), loc="outside lower center", ncols=4)
    return figure


def _draw_box(axis: Axes, name: str, place: tuple[int, int], data: dict[str, Any]) -> None:
    """A layer, or the input or output."""
    x, y = place
    end = name in ("input", "output")
    movable = data["earliest"] != data["latest"]
    look: dict[str, Any] = {"edgecolor": _MOVABLE if movable else _FIXED, "linestyle": "--" if movable else "-"}
    if not end:
        axis.add_patch(_box(x, y, facecolor="white", linewidth=1.5, zorder=3, **look))
    text = f"{name}\nstages {data['earliest']} to {data['latest']}" if movable and not end else name
    axis.text(x, y, text, ha="center", va="center", fontsize=8, zorder=4, color="#555555" if end else "black")


def _draw_choices(axis: Axes, data: dict[str, Any], taken: set[tuple[int, int]]) -> None:
    """Where else a layer may act; places where another one stands are left to it."""
    for stage in range(data["earliest"], data["latest"] + 1):
        if (stage, data["player"]) not in taken:
            axis.add_patch(_box(stage, data["player"], facecolor="none", edgecolor=_MOVABLE, linestyle=":", zorder=1))


def _draw_edge(axis: Axes, start: tuple[int, int], end: tuple[int, int], *, shortcut: bool) -> None:
    """Who reads whom; what passes by a stage goes around the boxes between, and comes in from above or below."""
    around = shortcut and start[1] == end[1]
    side = 1 if start[1] > end[1] else -1
    axis.add_patch(
        FancyArrowPatch(
            (start[0], start[1] - _HALF_HEIGHT) if around else (start[0] + _HALF_WIDTH, start[1]),
            (end[0], end[1] + side * _HALF_HEIGHT) if shortcut else (end[0] - _HALF_WIDTH, end[1]),
            arrowstyle="-|>",
            mutation_scale=8,
            connectionstyle="arc3,rad=-0.15" if around else "arc3",
            color=_SHORTCUT if shortcut else "black",
            linestyle=(0, (6, 2)) if shortcut else "-",
            linewidth=1.1,
            zorder=2,
        )
    )


def _box(x: float, y: float, **look: Any) -> FancyBboxPatch:
    """A box around a place."""
    corner = (x - _HALF_WIDTH, y - _HALF_HEIGHT)
    return FancyBboxPatch(corner, 2 * _HALF_WIDTH, 2 * _HALF_HEIGHT, boxstyle="round,pad=0,rounding_size=0.05", **look)


def _legend(graph: StageGraph) -> list[Line2D]:
    """What there is to be told apart."""
    found = [Line2D([], [], color=_FIXED, label="layer at its only stage")]
    if any(graph.graph.nodes[name]["earliest"] != graph.graph.nodes[name]["latest"] for name in graph.layers):
        found.append(Line2D([], [], color=_MOVABLE, linestyle="--", label="layer with a choice"))
        found.append(Line2D([], [], color=_MOVABLE, linestyle=":", label="where else it may act"))
    if any(shortcut for *_, shortcut in graph.graph.edges(data="shortcut")):
        found.append(Line2D([], [], color=_SHORTCUT, linestyle=(0, (6, 2)), label="shortcut"))
    return found


def _alignments(graph: StageGraph) -> str:
    """How many alignments there are."""
    try:
        return _counted(len(graph.alignments), "alignment")
    except ValueError:
        return "more than 10,000 alignments"


def _counted(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
