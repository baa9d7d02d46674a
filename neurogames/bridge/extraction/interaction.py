"""Which units of a network compete, as a graph: an edge wherever two factors of one layer are not orthogonal."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from torch import nn

from neurogames._arguments import instance, invalid_argument, number
from neurogames.bridge.gates.gate_places import gate_places
from neurogames.bridge.gates.gate_weights import unit_factors
from neurogames.bridge.gates.gates import present_gates
from neurogames.bridge.modules.evaluation import evaluating, refuse_meta
from neurogames.bridge.modules.units import Unit
from neurogames.games.participation import ParticipationGame


def interaction_graph(
    model: nn.Module,
    game: ParticipationGame | None = None,
    *,
    least: float = 0.0,
    units: Unit | Sequence[Unit] = ("neurons", "filters"),
    modules: Sequence[str] | None = None,
) -> nx.Graph:
    """Graph of a network's units, with an edge where abs(cos(theta_i, theta_j)) > least inside a module.

    A positive weight G_ij = <theta_i, theta_j> means that the two compete (where eta > 0), a negative one that each
    makes the other worth more.

    Args:
        model: any module; it stays as it is.
        game: a game of these units, such as ``participation_game(model, ...)``, with its factors; the units' own
            incoming weights and biases if left out.
        least: the least strength, in [0, 1). A layer of n units has up to n (n - 1) / 2 edges.
        units: what plays where the model has no gates, as in ``insert_gates``.
        modules: what plays where the model has no gates, as in ``insert_gates``.

    Returns:
        A graph with nodes (module name, unit) in the order of players, with attributes ``layer``, ``unit``, and
        ``benefit`` where a game is given; edges have ``weight`` G_ij and ``cosine``.

    Raises:
        ValueError: as ``insert_gates``, or if the game has other blocks than the model modules, or ``least`` is out of
            range.

    >>> model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1))
    >>> model[0].weight.data = model[0].weight.data.new_tensor([[3.0, 4.0], [2.0, 0.0]])
    >>> graph = interaction_graph(model)
    >>> list(graph), graph.edges[("0", 0), ("0", 1)]
    ([('0', 0), ('0', 1)], {'weight': 6.0, 'cosine': 0.6})
    """
    instance("model", model, nn.Module, "a torch module")
    least = number("least", least, "a number in [0, 1)", lambda value: 0 <= value < 1)
    gates = present_gates(model)
    if gates is None:
        places = gate_places(model, units, modules)
        names, sizes = tuple(place.name for place in places), tuple(place.units for place in places)
    else:
        names, sizes = gates.modules, gates.sizes
    if game is not None:
        if not np.array_equal(np.bincount(game.blocks), sizes):
            got = f"blocks of {np.bincount(game.blocks).tolist()} players"
            raise invalid_argument("game", got, f"the units {sizes} of {', '.join(map(repr, names))}")
        factors = [np.asarray(game.factors[member], dtype=np.float64) for member in game.members()]
    else:
        refuse_meta(model)
        with evaluating(model):  # to read a weight that is computed may move buffers in training
            factors = [unit_factors(model.get_submodule(name)) for name in names]
    graph = nx.Graph()
    for name, size in zip(names, sizes, strict=True):
        graph.add_nodes_from(((name, unit), {"layer": name, "unit": unit}) for unit in range(size))
    if game is not None:
        nx.set_node_attributes(graph, dict(zip(graph, game.benefit.tolist(), strict=True)), "benefit")
    for name, rows in zip(names, factors, strict=True):
        first, second, weight, cosine = _pairs(rows, least)
        graph.add_edges_from(
            ((name, i), (name, j), {"weight": product, "cosine": angle})
            for i, j, product, angle in zip(first, second, weight, cosine, strict=True)
        )
    return graph


def _pairs(factors: NDArray[np.float64], least: float) -> tuple[list[int], list[int], list[float], list[float]]:
    """Pairs i < j of rows, their products and cosines, where the cosine is above the least."""
    gram = factors @ factors.T
    norms = np.sqrt(np.diag(gram))
    lengths = np.outer(norms, norms)
    cosine = np.clip(np.divide(gram, lengths, out=np.zeros_like(gram), where=lengths > 0), -1.0, 1.0)
    first, second = np.nonzero(np.triu(np.abs(cosine) > least, k=1))
    return first.tolist(), second.tolist(), gram[first, second].tolist(), cosine[first, second].tolist()
