"""What is known of a model before any step: its operations, its players, and what falls back to a simpler step."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import torch
from torch import Tensor, fx, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.dgnopt.operations import Operations, record_operations
from neurogames.bridge.dgnopt.recorded_pass import Columns, RecordedPass, set_generator
from neurogames.bridge.dgnopt.stages import StageGraph, graph_of, operation_stages, playing_layers

_CLOSE = 1e-4


@dataclass(frozen=True, eq=False)
class NetworkPlan:
    """A model in one mode.

    Attributes:
        operations: what it does.
        graph: its layers that are players.
        known: by the stages of the layers, the graph in that alignment, the stages of operations, and the layers.
    """

    operations: Operations
    graph: StageGraph
    known: dict[tuple[int, ...], tuple[StageGraph, dict[fx.Node, int], dict[str, fx.Node]]] = field(
        default_factory=dict
    )

    @classmethod
    def of(cls, model: nn.Module, trained: Collection[Tensor], leaves: Collection[str]) -> NetworkPlan:
        """Record a model in its present modes; players are layers all of whose parameters are trained."""
        operations = record_operations(model, leaves)
        names = [
            name
            for name in playing_layers(model, operations)
            if all(each in trained for each in model.get_submodule(name).parameters())
        ]
        return cls(operations, graph_of(operations, names))

    def start(
        self, model: nn.Module, alignment: Mapping[str, int], columns: Columns
    ) -> tuple[RecordedPass, StageGraph]:
        """A pass that is to be recorded, and the graph in an alignment."""
        key = tuple(alignment.values())
        if key not in self.known:
            nodes = {str(node.target): node for node in self.operations.nodes if node.op == "call_module"}
            stages = operation_stages(self.operations, alignment)
            self.known[key] = self.graph.aligned(alignment), stages, {name: nodes[name] for name in alignment}
        graph, stages, layers = self.known[key]
        return RecordedPass(model, self.operations, stages, layers, columns), graph

    def check(self, model: nn.Module, recorded: RecordedPass) -> None:
        """Refuse a model that does something else than what was recorded; it is run once more, and left as it was.

        Args:
            model: the model.
            recorded: a pass just recorded.
        """
        output = recorded.output
        values = {str(node.target): value for node, value in recorded.started.items()}
        buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
        devices = [output.device] if output.device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(devices=devices), recorded.as_before():
            set_generator(output.device, recorded.generator)
            expected = model(**values)
            for buffer, before in buffers:
                buffer.copy_(before)
        same = isinstance(expected, Tensor) and torch.allclose(
            output.to(expected.dtype),
            expected,
            rtol=_CLOSE,
            atol=_CLOSE * float(expected.abs().nan_to_num().max()),
            equal_nan=True,
        )
        if not same:
            got = f"{type(model).__name__}, which is not what was recorded of it"
            expected_model = "a model whose operations do not depend on numbers; name modules that do in `leaves`"
            raise invalid_argument("model", got, expected_model)


def cooperating_pairs(alignments: Iterable[Mapping[str, int]]) -> frozenset[tuple[str, str]]:
    """Pairs of layers that some alignment puts at one stage, in the order of the network.

    >>> sorted(cooperating_pairs([{"a": 0, "b": 0, "c": 1}, {"a": 0, "b": 1, "c": 1}]))
    [('a', 'b'), ('b', 'c')]
    """
    found = set()
    for alignment in alignments:
        for one, two in combinations(alignment, 2):
            if alignment[one] == alignment[two]:
                found.add((one, two))
    return frozenset(found)
