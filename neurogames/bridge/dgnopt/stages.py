"""Which layer of a network acts at which stage of the game, and for which player.

Layers come one after another: the stage of a layer is later than those of all layers that it reads. On a longest path
there is no choice, and a layer beside it (a projection around a block, a short branch) may act at several stages; each
choice for all layers is an **alignment**. With the earliest and the latest stage of each layer,

    earliest(l) = 1 + max over layers that l reads,    latest(l) = -1 + min over layers that read l,

an alignment is a choice within these bounds that keeps the order. The state x_t holds all tensors that were made before
stage t and are read at stage t or later: the inputs of the layers at t, and what goes around them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import networkx as nx
import torch
from torch import Tensor, fx, nn

from neurogames._arguments import instance, invalid_argument
from neurogames.bridge.curvature.layer_arrays import recordable_layers
from neurogames.bridge.dgnopt.operations import Operations, bind_arguments, record_operations, run_node
from neurogames.bridge.modules.data import finite_rows, trial_outputs
from neurogames.bridge.modules.evaluation import evaluating

Alignment = Mapping[str, int]
_MOST_ALIGNMENTS = 10_000
_CLOSE = 1e-4


@dataclass(frozen=True, eq=False)
class StageGraph:
    """The layers of a network as moves of a game.

    Attributes:
        graph: directed and without cycles. Nodes are names of layers, with ``stage``, ``player``, ``earliest`` and
            ``latest``, and "input" (stage -1) and "output" (stage T). An edge says that a layer reads what another one
            made; ``shortcut`` is true where it passes by at least one stage. ``neurogames.lab.plot_stages`` draws it.
        n_stages: T.
    """

    graph: nx.DiGraph
    n_stages: int

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in the order of the network."""
        return tuple(node for node in self.graph if node not in ("input", "output"))

    @property
    def alignment(self) -> dict[str, int]:
        """The stage of each layer."""
        return {name: self.graph.nodes[name]["stage"] for name in self.layers}

    @property
    def n_players(self) -> int:
        """Largest number of layers of one stage."""
        return max((self.graph.nodes[name]["player"] + 1 for name in self.layers), default=0)

    @property
    def alignments(self) -> tuple[dict[str, int], ...]:
        """All admissible alignments, the earliest first.

        Raises:
            ValueError: there are more than 10,000.
        """
        found = tuple(islice(_alignments(self.graph), _MOST_ALIGNMENTS + 1))
        if len(found) > _MOST_ALIGNMENTS:
            raise invalid_argument("model", f"more than {_MOST_ALIGNMENTS} alignments", "shorter parallel branches")
        return found

    def aligned(self, alignment: Alignment) -> StageGraph:
        """The same layers at other stages.

        Raises:
            ValueError: the alignment is not admissible.
        """
        graph = self.graph.copy()
        given = {"input": -1, "output": self.n_stages} | dict(alignment)
        if set(given) != set(graph) or any(given[a] >= given[b] for a, b in graph.edges):
            raise invalid_argument("alignment", dict(alignment), "a stage for each layer, later than what it reads")
        _place(graph, given)
        return StageGraph(graph, self.n_stages)


def stage_graph(model: nn.Module, example: Tensor, *, leaves: Collection[str] = ()) -> StageGraph:
    """Find the stage and the player of each layer, each layer as early as it can be.

    Args:
        model: a network of Linear layers and convolutions, in a chain, with shortcuts or with parallel branches, whose
            forward takes one tensor and returns one; it stays as it is.
        example: (rows, ...) inputs, to check that what is recorded is what the model does.
        leaves: names of modules that are not looked into; layers inside them are no players.

    Returns:
        The graph.

    Raises:
        ValueError: the model cannot be recorded (the error names the line), does something else than what was recorded,
            or has no layer that leads to its output.

    >>> graph = stage_graph(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), torch.ones(1, 2))
    >>> graph.alignment, graph.n_players, len(graph.alignments)
    ({'0': 0, '2': 1}, 1, 1)

    Reference: arXiv 2105.03788, section 3.1 and figure 2.
    """
    instance("model", model, nn.Module, "a torch module")
    instance("example", example, Tensor, "a tensor, a batch that the model takes")
    example = finite_rows(example, name="example")
    with evaluating(model), torch.no_grad(), torch.random.fork_rng(devices=[]):
        operations = record_operations(model, leaves)
        expected = trial_outputs(model, example, name="example")
        found = _run(model, operations, example)
    if not torch.allclose(found, expected, rtol=_CLOSE, atol=_CLOSE):
        raise invalid_argument("model", f"{type(model).__name__}, which is not what was recorded of it", _WITHOUT)
    return graph_of(operations, playing_layers(model, operations))


_WITHOUT = "a model whose operations do not depend on numbers; name modules that do in `leaves`"


def playing_layers(model: nn.Module, operations: Operations) -> list[str]:
    """Layers that can be players: those with weights of their own, called once, that lead to the output."""
    names = recordable_layers(model)
    calls = operations.calls
    leading = _leading(operations.returned)
    return [
        str(node.target)
        for node in operations.nodes
        if node.op == "call_module" and str(node.target) in names and calls[str(node.target)] == 1 and node in leading
    ]


def graph_of(operations: Operations, layers: Collection[str]) -> StageGraph:
    """The graph of some layers of recorded operations, each as early as it can be.

    Raises:
        ValueError: there are no layers.
    """
    if not layers:
        got = "no Linear or ungrouped convolution that leads to its output"
        raise invalid_argument("model", got, "at least one, called once and with weights of its own")
    graph = nx.DiGraph()
    graph.add_nodes_from(["input", *layers, "output"])
    sources: dict[fx.Node, frozenset[str]] = {}
    for node in operations.nodes:
        reads = frozenset().union(*(sources[other] for other in node.all_input_nodes))
        if node.op == "call_module" and str(node.target) in layers:
            graph.add_edges_from((name, str(node.target)) for name in reads or {"input"})
            reads = frozenset({str(node.target)})
        sources[node] = reads | ({"input"} if node.op == "placeholder" else frozenset())
    graph.add_edges_from((name, "output") for name in sources[operations.returned])
    earliest: dict[str, int] = {}
    order = list(nx.lexicographical_topological_sort(graph, key=list(graph).index))
    for name in order:
        earliest[name] = max((earliest[other] for other in graph.predecessors(name)), default=-2) + 1
    latest: dict[str, int] = {}
    for name in reversed(order):
        latest[name] = min((latest[other] for other in graph.successors(name)), default=earliest["output"] + 1) - 1
    nx.set_node_attributes(graph, earliest, "earliest")
    nx.set_node_attributes(graph, latest, "latest")
    _place(graph, earliest)
    return StageGraph(graph, earliest["output"])


def operation_stages(operations: Operations, alignment: Alignment) -> dict[fx.Node, int]:
    """Stage of each operation: a layer's own, else that of the latest that it reads; -1 for what no layer precedes."""
    stages: dict[fx.Node, int] = {}
    for node in operations.nodes:
        if node.op == "call_module" and str(node.target) in alignment:
            stages[node] = alignment[str(node.target)]
        else:
            stages[node] = max((stages[other] for other in node.all_input_nodes), default=-1)
    return stages


def _place(graph: nx.DiGraph, stages: Mapping[str, int]) -> None:
    """Set stages, players and shortcuts: a layer goes on the way of one that it reads, if that is free."""
    nx.set_node_attributes(graph, dict(stages), "stage")
    players: dict[str, int] = {"input": 0, "output": 0}
    order = list(graph)

    def rank(name: str) -> tuple[int, bool, int]:
        data = graph.nodes[name]
        return data["stage"], data["earliest"] != data["latest"], order.index(name)

    taken: dict[int, set[int]] = {}
    for name in sorted((name for name in graph if name not in players), key=rank):
        used = taken.setdefault(stages[name], set())
        wanted = sorted(players[other] for other in graph.predecessors(name))
        players[name] = next(n for n in [*wanted, *range(len(graph))] if n not in used)
        used.add(players[name])
    nx.set_node_attributes(graph, players, "player")
    shortcuts = {(a, b): stages[b] - stages[a] > 1 for a, b in graph.edges}
    nx.set_edge_attributes(graph, shortcuts, "shortcut")


def _alignments(graph: nx.DiGraph) -> Iterator[dict[str, int]]:
    """All choices of stages that keep the order, depth first, early stages first."""
    order = [name for name in nx.lexicographical_topological_sort(graph, key=list(graph).index) if name != "output"]

    def choose(place: int, chosen: dict[str, int]) -> Iterator[dict[str, int]]:
        if place == len(order):
            yield {name: stage for name, stage in chosen.items() if name != "input"}
            return
        name = order[place]
        first = max((chosen[other] for other in graph.predecessors(name)), default=-2) + 1
        for stage in range(first, graph.nodes[name]["latest"] + 1):
            yield from choose(place + 1, chosen | {name: stage})

    return choose(0, {})


def _leading(returned: fx.Node) -> set[fx.Node]:
    """Operations on which a result depends."""
    found: set[fx.Node] = set()
    waiting: list[fx.Node] = [returned]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(node.all_input_nodes)
    return found


def _run(model: nn.Module, operations: Operations, example: Tensor) -> Tensor:
    """What the recorded operations give."""
    values: dict[fx.Node, Any] = bind_arguments(model, operations.nodes, (example,), {})
    for node in operations.nodes:
        if node.op != "placeholder":
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda other: values[other])
            values[node] = run_node(model, node, args, kwargs)
    result: Tensor = values[operations.returned]
    return result
