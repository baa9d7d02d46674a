"""Figures of units as players: their values, what is left without them, and which unit feeds which."""

from __future__ import annotations

from collections.abc import Mapping

import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from neurogames.bridge.coalitions.removal import RemovalCurve
from neurogames.lab.figures import Look, as_written, drawn_in_style, legend_below

MEASURE_LOOKS: dict[str, Look] = {
    "Shapley": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "Banzhaf": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    "magnitude": {"color": "#009E73", "marker": "^", "linestyle": "-."},
    "gradient x activation": {"color": "#CC79A7", "marker": "D", "linestyle": (0, (5, 1, 1, 1, 1, 1))},
    "random": {"color": "#888888", "marker": "v", "linestyle": ":"},
}
POSITIVE, NEGATIVE = "#0072B2", "#D55E00"
_OTHER: Look = {"color": "#000000", "marker": "x", "linestyle": "-"}
_LABELLED = 64


@drawn_in_style
def plot_removal(curves: Mapping[str, RemovalCurve], metric: str) -> Figure:
    """Draw what is left as units leave, the most valuable first, and the area under each curve.

    Args:
        curves: by name of the order.
        metric: what a network is worth, for the axis.
    """
    figure = Figure(figsize=(8.6, 4.0))
    axis = figure.subplots()
    for name, curve in curves.items():
        look, share = MEASURE_LOOKS.get(name, _OTHER), 100 * np.linspace(0, 1, len(curve.worths))
        label = f"{name}: area {curve.area:.3f}"
        axis.plot(share, curve.worths, label=label, markevery=max(1, len(share) // 12), **look)
    axis.set(xlabel="units removed, most valuable first (%)", ylabel=metric, xlim=(-1, 101))
    figure.legend(loc="outside right center")
    return figure


@drawn_in_style
def plot_unit_values(table: pd.DataFrame, layer: str) -> Figure:
    """Draw Shapley values in their order with two standard errors, Banzhaf values, and scores without game below.

    Args:
        table: with the columns of :attr:`neurogames.lab.studies.units.saved.SavedUnits.table`.
        layer: name of the layer.
    """
    figure = Figure(figsize=(min(4 + 0.11 * len(table), 14), 5.0))
    values, scores = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    place = np.arange(len(table))
    for name, column, shift in (("Shapley", "shapley", -0.15), ("Banzhaf", "banzhaf", 0.15)):
        look = MEASURE_LOOKS[name]
        values.errorbar(
            place + shift,
            table[column],
            yerr=2 * table[f"{column}_stderr"],
            linestyle="none",
            marker=look["marker"],
            color=look["color"],
            markersize=3,
            elinewidth=0.8,
            label=name,
        )
    values.axhline(0.0, color="black", linewidth=0.8)
    values.set(ylabel="value (± 2 standard errors)", title=f"units of layer {as_written(layer)}, by Shapley value")
    for name, column in (("magnitude", "magnitude"), ("gradient x activation", "gradient_x_activation")):
        look, most = MEASURE_LOOKS[name], float(table[column].max())
        marks = {"marker": look["marker"], "color": look["color"], "markersize": 3}
        scores.plot(place, table[column] / (most or 1.0), linestyle="none", label=name, **marks)
    scores.set(ylabel="score over its maximum", xlabel="unit", ylim=(-0.05, 1.1))
    shown = place[:: -(-len(table) // _LABELLED)]
    scores.set_xticks(shown, table["unit"].iloc[shown], rotation=90, fontsize=7)
    figure.legend(
        handles=[*values.get_legend_handles_labels()[0], *scores.get_legend_handles_labels()[0]],
        loc="outside lower center",
        ncols=4,
    )
    return figure


@drawn_in_style
def plot_pathways(graph: nx.DiGraph) -> Figure:
    """Draw which units feed which: layers from left to right, edges as wide as their share, dashed where they lower.

    Nodes without any edge are left out.

    Args:
        graph: of :func:`neurogames.bridge.coalitions.pathways.banzhaf_pathways`, or several composed.
    """
    order = list(dict.fromkeys(layer for layer, _ in _topological(graph)))
    columns = {layer: sorted(node for node in graph if node[0] == layer and graph.degree(node)) for layer in order}
    tallest = max(1, *map(len, columns.values()))
    figure = Figure(figsize=(2.4 + 3.2 * (len(order) - 1), min(2.2 + 0.16 * tallest, 11)))
    axis = figure.subplots()
    places = {
        node: (place, 1 - (k + 0.5) / len(nodes))
        for place, nodes in enumerate(columns.values())
        for k, node in enumerate(nodes)
    }
    for sign, colour, line in ((1, POSITIVE, "solid"), (-1, NEGATIVE, "dashed")):
        chosen = [(a, b, data["share"]) for a, b, data in graph.edges(data=True) if sign * data["weight"] > 0]
        widths = [0.4 + 6 * share for *_, share in chosen]
        lines = [(places[a], places[b]) for a, b, _ in chosen]
        label = "raises" if sign > 0 else "lowers"
        axis.add_collection(LineCollection(lines, linewidths=widths, colors=colour, linestyles=line, alpha=0.55))
        axis.plot([], [], color=colour, linestyle=line, label=label)
    size = max(1.5, min(7, 150 / tallest))
    for (layer, number), (x, y) in places.items():
        axis.plot(x, y, "o", color="black", markersize=size)
        if len(columns[layer]) <= _LABELLED:
            side = -1 if x == 0 else 1
            units = graph.nodes[layer, number]["units"]
            text = ", ".join(map(str, units[:3])) + (", ..." if len(units) > 3 else "")
            axis.annotate(
                text, (x, y), (7 * side, 0), textcoords="offset points", fontsize=7, va="center", ha=_SIDES[side]
            )
    axis.set(xlim=(-0.25, len(order) - 0.75), ylim=(-0.02, 1.02), yticks=[])
    axis.set_xticks(range(len(order)), [f"layer {as_written(layer)}" for layer in order])
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    legend_below(figure, axis, 2)
    return figure


_SIDES = {-1: "right", 1: "left"}


def _topological(graph: nx.DiGraph) -> list[tuple[str, int]]:
    """Nodes with every layer before those that it feeds; first come, first served among layers that are not joined."""
    between = nx.DiGraph()
    between.add_nodes_from(dict.fromkeys(layer for layer, _ in graph))
    between.add_edges_from((a, b) for (a, _), (b, _) in graph.edges)
    return [(layer, 0) for layer in nx.topological_sort(between)]
