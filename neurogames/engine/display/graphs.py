"""A graph with the strategies of its players: an image for a grid, nodes and edges for any other graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import integer, invalid_argument
from neurogames.engine.display.axes import colour, own_axis

_MOST_NODES = 2000
_MARKERS = "osD^vpP*X"


class OnGraph:
    """A result that knows what each player of a graph uses, in several replicas."""

    strategies: NDArray[np.int8]
    labels: tuple[str, ...]

    def plot_graph(self, graph: Any, replica: int = 0, axis: Any = None) -> Any:
        """Draw what each player of a replica uses, in a trajectory at the end.

        Args:
            graph: the networkx graph or sparse array of the game; a grid, with nodes (row, column), becomes an image.
            replica: which one.
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.

        Raises:
            ValueError: if the graph is not that of the game, or has more than 2000 nodes that form no grid.
        """
        place = integer("replica", replica, minimum=0, maximum=len(self.strategies) - 1)
        return plot_strategies(axis, graph, self.strategies[place], self.labels)


def plot_strategies(axis: Any, graph: Any, strategies: NDArray[Any], labels: Sequence[str]) -> Any:
    """Draw what each player of a graph uses.

    Args:
        axis: where to draw; a new figure for None.
        graph: the networkx graph, or the sparse array, of the game; a grid, whose nodes are pairs (row, column), is
            drawn as an image.
        strategies: (m,) the number of each player's strategy, in the order of the nodes.
        labels: names of the strategies.

    Returns:
        The matplotlib ``Axes``.

    Raises:
        ValueError: if the graph has another number of players, or more than 2000 that form no grid.
    """
    import networkx as nx

    if not isinstance(graph, nx.Graph) and getattr(graph, "format", None) != "csr":
        raise invalid_argument("graph", type(graph).__name__, "the networkx graph or sparse CSR array of the game")
    size = graph.number_of_nodes() if isinstance(graph, nx.Graph) else graph.shape[0]
    if size != strategies.size:
        raise invalid_argument("graph", f"{size} nodes", f"{strategies.size}, one for each player")
    nodes = list(graph.nodes) if isinstance(graph, nx.Graph) else []
    grid = _grid(nodes)
    if grid is None and size > _MOST_NODES:
        raise invalid_argument("graph", f"{size} nodes that form no grid", f"at most {_MOST_NODES}, or a grid")
    axis = own_axis(axis, 4.6, 4.8)
    if grid is not None:
        _plot_image(axis, grid, strategies, len(labels))
    else:
        _plot_nodes(axis, nx.Graph(graph) if nodes else nx.from_scipy_sparse_array(graph), strategies)
    for k, name in enumerate(labels):
        marker = "s" if grid is not None else _MARKERS[k % len(_MARKERS)]
        axis.plot([], [], marker, color=colour(k), label=f"{name} ({(strategies == k).mean():.0%})")
    axis.legend(frameon=False, fontsize="small", ncols=3, loc="upper center", bbox_to_anchor=(0.5, 0.0))
    axis.set_axis_off()
    return axis


def _grid(nodes: list[Any]) -> NDArray[np.int64] | None:
    """(m, 2) rows and columns of nodes that fill a rectangle, or None."""
    if not nodes or not all(isinstance(node, tuple) and len(node) == 2 for node in nodes):
        return None
    places = np.array(nodes)
    if places.dtype.kind not in "iu" or places.shape != (len(nodes), 2) or places.min() < 0:
        return None
    return places if np.prod(places.max(axis=0) + 1) == len(nodes) else None


def _plot_image(axis: Any, grid: NDArray[np.int64], strategies: NDArray[Any], n: int) -> None:
    from matplotlib.colors import BoundaryNorm, ListedColormap

    image = np.empty(grid.max(axis=0) + 1)
    image[grid[:, 0], grid[:, 1]] = strategies
    norm = BoundaryNorm(np.arange(n + 1) - 0.5, n)
    axis.imshow(image, cmap=ListedColormap([colour(k) for k in range(n)]), norm=norm, interpolation="nearest")


def _plot_nodes(axis: Any, graph: Any, strategies: NDArray[Any]) -> None:
    import networkx as nx

    places = nx.spring_layout(graph, seed=0)
    nodes = np.array(list(graph.nodes), dtype=object)
    nx.draw_networkx_edges(graph, places, ax=axis, edge_color="#BBBBBB", width=0.6)
    where = np.array([places[node] for node in graph.nodes])
    area = float(np.clip(9000 / len(nodes), 6, 120))
    for k in np.unique(strategies):
        x, y = where[strategies == k].T
        axis.scatter(x, y, s=area, color=colour(int(k)), marker=_MARKERS[int(k) % len(_MARKERS)], zorder=2)
