"""Cutting a network in two behind one of its layers.

The graph of operations that ``torch.fx`` records is cut behind a layer and, further on, behind all operations that
treat every unit by itself (activation functions, pooling, normalisation by running statistics, flattening): when f
never mixes units, f(units, some of them replaced) = f(units), some of them replaced by f(replacement). So f is run
once, not once for every set of units. If a ``Linear`` comes next, it is named as the reader.

    before:  inputs -> (values at the cut, whatever else the rest reads, such as a skip connection)
    alone:   values of the layer -> values at the cut, each unit by itself
    reader:  the Linear module next, or None
    after:   values at the cut (or what the reader makes of them), whatever else it reads -> outputs

Rows are the first axis of every tensor; units stand on the second one, or on another that is said. Recording can miss
what a network does, so that a cut must be checked: the parts together have to give what the network gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from neurogames.bridge.modules.graph import UNITWISE_FUNCTIONS, UNITWISE_MODULES, LayerTracer


@dataclass(frozen=True, eq=False)
class CutNetwork:
    """A network in parts; see the module.

    Attributes:
        before: from the inputs to the cut.
        alone: from the layer to the cut, each unit by itself.
        reader: what reads the values at the cut, if it is a Linear.
        after: from the cut, or from the reader, to the outputs.
        bytes_before: most bytes that a row of inputs needs at once before the cut, roughly.
        bytes_after: the same after it.
    """

    before: fx.GraphModule
    alone: fx.GraphModule
    reader: nn.Linear | None
    after: fx.GraphModule
    bytes_before: int
    bytes_after: int


@torch.no_grad()
def cut_network(
    model: nn.Module, layer: str, until: str | None, inputs: Tensor, *, unit_axis: int = 1
) -> CutNetwork | None:
    """Cut a network behind a layer.

    Args:
        model: a network in evaluation mode; its modules become parts of the result, they are not copied.
        layer: name of a module.
        until: name of a later module, the values of which are to be the outputs; the network's own when left out.
        inputs: (rows, ...) a few rows, to see sizes.
        unit_axis: axis of the layer's output on which units stand, from the front.

    Returns:
        The parts, or None if the network cannot be recorded, or does not pass through the layer once.

    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.Tanh()).eval()
    >>> parts, inputs = cut_network(model, "0", None, torch.ones(2, 3)), torch.ones(2, 3)
    >>> values, *_ = parts.before(inputs)
    >>> parts.reader is model[2], torch.equal(parts.after(parts.reader(values)), model(inputs))
    (True, True)
    """
    try:
        graph = LayerTracer(name for name in (layer, until) if name is not None).trace(model)
        sizes = _Sizes(fx.GraphModule(model, graph))
        sizes.run(inputs.clone())
    except Exception:  # recording runs the user's code on stand-ins, which may fail in any way
        return None
    start = _call_of(model, graph, layer)
    end = _call_of(model, graph, until) if until is not None else next(reversed(graph.nodes)).args[0]
    if start is None or not isinstance(end, fx.Node) or end not in {start, *_behind(start)}:
        return None
    alone = _alone(model, start, end, sizes, unit_axis)
    cut = alone[-1] if alone else start
    reader = _reader(model, cut, end, sizes)
    seed = cut if reader is None else next(iter(cut.users))
    behind = _behind(seed)
    first = [
        node for node in graph.nodes if node not in behind and node.op != "output" and (node is not seed or seed is cut)
    ]
    last, also = _needed(graph, seed, end, behind, sizes)
    rows = len(inputs)
    return CutNetwork(
        before=_part(model, [], first, [cut, *also]),
        alone=_part(model, [start], alone, cut),
        reader=reader,
        after=_part(model, [seed, *also], last, end),
        bytes_before=sizes.most(first) // rows,
        bytes_after=max(sizes.held[seed], sizes.most(last) + sum(sizes.held[node] for node in also)) // rows,
    )


class _Sizes(fx.Interpreter):
    """Runs a recorded network once and notes which results are tensors, their axes and their bytes."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.axes: dict[fx.Node, int | None] = {}
        self.held: dict[fx.Node, int] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        tensors = [part for part in torch.utils._pytree.tree_leaves(result) if isinstance(part, Tensor)]
        self.axes[n] = result.ndim if isinstance(result, Tensor) else None
        self.held[n] = 0 if n.op == "get_attr" else sum(part.nbytes for part in tensors)
        return result

    def most(self, nodes: Iterable[fx.Node]) -> int:
        """Largest sum of bytes of an operation's result and all that it reads."""
        return max((self.held[n] + sum(self.held[other] for other in n.all_input_nodes) for n in nodes), default=0)


def _call_of(model: nn.Module, graph: fx.Graph, name: str) -> fx.Node | None:
    """The one call of a module, under whatever name it is recorded; None if it is not called once."""
    module = model.get_submodule(name)
    calls = [node for node in graph.nodes if node.op == "call_module" and model.get_submodule(node.target) is module]
    return calls[0] if len(calls) == 1 else None


def _behind(start: fx.Node) -> set[fx.Node]:
    """All operations to which the result of ``start`` matters."""
    found: set[fx.Node] = set()
    waiting = list(start.users)
    while waiting:
        node = waiting.pop()
        if node not in found and node.op != "output":
            found.add(node)
            waiting += node.users
    return found


def _alone(model: nn.Module, start: fx.Node, end: fx.Node, sizes: _Sizes, unit_axis: int) -> list[fx.Node]:
    """The operations behind ``start``, one after the other, that treat each unit by itself."""
    chain: list[fx.Node] = []
    node = start
    while node is not end and len(node.users) == 1:
        user = next(iter(node.users))
        if (
            user.all_input_nodes != [node]
            or user.args[:1] != (node,)
            or not _treats_alone(model, user, sizes.axes[node], unit_axis)
        ):
            break
        chain.append(user)
        node = user
    return chain


def _treats_alone(model: nn.Module, node: fx.Node, axes: int | None, unit_axis: int) -> bool:
    """Whether an operation on one tensor with so many axes treats each unit by itself."""
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        kind: Any = type(module)
        if module._forward_hooks or module._forward_pre_hooks:
            return False
        if isinstance(module, nn.Flatten):
            return unit_axis == 1 and (module.start_dim, module.end_dim) == (1, -1)
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            return False
        known: dict[Any, int | None] = UNITWISE_MODULES
    else:
        kind, known = node.target, UNITWISE_FUNCTIONS
        if kind in (torch.flatten, "flatten"):
            return unit_axis == 1 and node.args[1:] == (1,) and not node.kwargs
    return kind in known and (known[kind] is None or (unit_axis == 1 and known[kind] == axes))


def _reader(model: nn.Module, cut: fx.Node, end: fx.Node, sizes: _Sizes) -> nn.Linear | None:
    """The Linear module that alone reads the (rows, units) at the cut."""
    if cut is end or len(cut.users) != 1 or sizes.axes[cut] != 2:
        return None
    user = next(iter(cut.users))
    module = model.get_submodule(str(user.target)) if user.op == "call_module" else None
    if not isinstance(module, nn.Linear) or type(module) is not nn.Linear or user.args != (cut,):
        return None
    return None if module._forward_hooks or module._forward_pre_hooks else module


def _needed(
    graph: fx.Graph, seed: fx.Node, end: fx.Node, behind: set[fx.Node], sizes: _Sizes
) -> tuple[list[fx.Node], list[fx.Node]]:
    """Operations that lead from ``seed`` to ``end``, and the tensors from before the cut that they read.

    What is no tensor (a number of rows) is found anew behind the cut, where there may be other rows.
    """
    order = list(graph.nodes)
    waiting = [end, *(node for node in order[: order.index(end)] if node in behind)]  # all, as some act in place
    needed: set[fx.Node] = set()
    also: set[fx.Node] = set()
    while waiting:
        node = waiting.pop()
        if node is seed or node in needed or node in also:
            continue
        if node in behind or node.op == "get_attr" or (sizes.axes[node] is None and node.op != "placeholder"):
            needed.add(node)
            waiting += node.all_input_nodes
        else:
            also.add(node)
    return [node for node in order if node in needed], [node for node in order if node in also]


def _part(
    model: nn.Module, arguments: Sequence[fx.Node], nodes: Sequence[fx.Node], result: fx.Node | list[fx.Node]
) -> fx.GraphModule:
    """A module of its own that takes ``arguments``, runs ``nodes`` and gives ``result``."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {node: graph.placeholder(f"given_{k}") for k, node in enumerate(arguments)}
    for node in nodes:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in result) if isinstance(result, list) else copies[result])
    return fx.GraphModule(model, graph)
