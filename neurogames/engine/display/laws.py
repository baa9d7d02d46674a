"""Probability laws of compositions, and what one strategy does to another: the invasion diagram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine.display.axes import colour, own_axis, quiet_frame
from neurogames.engine.display.simplex import plot_law

_NEUTRAL = 1e-9


def plot_composition_law(
    axis: Any, states: NDArray[np.int64], log_probability: NDArray[np.float64], labels: Sequence[str]
) -> Any:
    """Draw one law of compositions: a line for two strategies, a triangle for three, mean shares for more.

    Raises:
        ValueError: if there are several laws, or none that is unique.
    """
    _check_one(log_probability)
    n = states.shape[1]
    if n == 3:
        return plot_law(axis, states, log_probability, labels)
    if n == 2:
        return plot_count_law(axis, np.exp(log_probability[np.argsort(states[:, 0])]), f"number of {labels[0]}")
    return plot_bars(axis, np.exp(log_probability) @ (states / states[0].sum()), labels)


def plot_count_law(axis: Any, probability: NDArray[np.float64], xlabel: str) -> Any:
    """Draw laws (..., N+1) of a count, later ones darker."""
    axis = own_axis(axis, 5.6, 3.4)
    laws = probability.reshape(-1, probability.shape[-1])
    for k, law in enumerate(laws):
        axis.plot(law, color="#0072B2", alpha=(k + 1) / len(laws), linewidth=1.6)
    axis.set(xlabel=xlabel, ylabel="probability", ylim=(0, None))
    quiet_frame(axis)
    return axis


def plot_invasions(
    axis: Any,
    labels: Sequence[str],
    probability: NDArray[np.float64],
    log_fixation: NDArray[np.float64],
    n_players: int,
) -> Any:
    """Draw which strategies take over which: arrows lead from residents to the mutants that selection favours.

    An arrow bears N phi, the fixation probability over the 1/N of a neutral mutant; a dashed line without a head joins
    strategies that are neutral to each other. Nodes bear the stationary probabilities.

    Args:
        axis: where to draw; a new figure for None.
        labels: n names.
        probability: (n,) stationary probabilities; NaN where there is no unique law.
        log_fixation: (n, n) log probability that a mutant of the column takes over users of the row.
        n_players: N.

    Returns:
        The matplotlib ``Axes``.
    """
    import networkx as nx

    n = len(labels)
    axis = own_axis(axis, 5.2, 4.8)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    ahead = log_fixation + np.log(n_players)
    neutral = [
        (i, j) for i in range(n) for j in range(i) if abs(ahead[i, j]) < _NEUTRAL and abs(ahead[j, i]) < _NEUTRAL
    ]
    favoured = [(i, j) for i in range(n) for j in range(n) if i != j and ahead[i, j] > _NEUTRAL]
    graph.add_edges_from(favoured)
    places = nx.circular_layout(graph)
    shade = np.nan_to_num(probability)
    nodes = {"node_size": 3200, "edgecolors": "black", "cmap": "Blues", "vmin": 0.0, "vmax": 1.4}
    nx.draw_networkx_nodes(graph, places, ax=axis, node_color=shade, **nodes)
    text = {k: name if np.isnan(probability[k]) else f"{name}\n{probability[k]:.3g}" for k, name in enumerate(labels)}
    nx.draw_networkx_labels(graph, places, text, ax=axis, font_size=8)
    arrows = {"node_size": 3200, "arrowsize": 14, "connectionstyle": "arc3,rad=0.08"}
    nx.draw_networkx_edges(graph, places, ax=axis, edgelist=favoured, edge_color="#444444", **arrows)
    nx.draw_networkx_edges(nx.Graph(neutral), places, ax=axis, style="dashed", edge_color="#999999")
    over = {(i, j): f"{np.exp(ahead[i, j]):.2g}" for i, j in favoured}
    nx.draw_networkx_edge_labels(
        graph, places, over, ax=axis, font_size=8, label_pos=0.35, connectionstyle=arrows["connectionstyle"]
    )
    axis.margins(0.22)
    axis.set_axis_off()
    return axis


def plot_pair_law(
    axis: Any,
    states: tuple[NDArray[np.int64], NDArray[np.int64]],
    log_probability: NDArray[np.float64],
    names: Sequence[str],
) -> Any:
    """Draw one law of two compositions: a map for two strategies in each population, mean shares for more.

    Raises:
        ValueError: if there are several laws, or none that is unique.
    """
    _check_one(log_probability)
    first, second = states
    if first.shape[1] == second.shape[1] == 2:
        axis = own_axis(axis, 4.8, 4.0)
        # States are in order of the first strategies' numbers.
        table = np.exp(log_probability).reshape(first[0].sum() + 1, second[0].sum() + 1)
        numbers = (np.arange(size) for size in table.shape)
        drawn = axis.pcolormesh(*numbers, table.T, shading="nearest", cmap="cividis_r", rasterized=True)
        axis.set(xlabel=f"number of {names[0]}", ylabel=f"number of {names[2]}")
        axis.figure.colorbar(drawn, ax=axis, label="probability")
        return axis
    law = np.exp(log_probability)
    mean = np.concatenate([law @ (each / each[0].sum()) for each in states])
    return plot_bars(axis, mean, names)


def _check_one(log_probability: NDArray[np.float64]) -> None:
    """Refuse several laws, and one that is not known."""
    if log_probability.ndim != 1 or np.isnan(log_probability).any():
        got = "no unique law" if log_probability.ndim == 1 else f"{len(log_probability)} laws"
        raise invalid_argument("plot", got, "one law")


def plot_bars(axis: Any, mean: NDArray[np.float64], names: Sequence[str], ylabel: str = "mean share") -> Any:
    """Draw one share in [0, 1] for each name as a bar."""
    axis = own_axis(axis, 5.0, 3.2)
    axis.bar(range(mean.size), mean, color=[colour(k) for k in range(mean.size)])
    axis.set_xticks(range(mean.size), list(names))
    axis.set(ylabel=ylabel, ylim=(0, 1))
    quiet_frame(axis)
    return axis
