"""What a unit of a network is: the one place that decides it.

**Kinds.** Units are the outputs of a Linear ("neurons"), the output channels of a convolution ("filters") or the heads
of a MultiheadAttention ("heads", which come out of no module: they are told apart in the projection behind them). A
class that is made from one of these counts as it.

**Output.** The layers whose units reach the model's output without being mixed by another layer give the output. They
are read from the graph of the model; where ``torch.fx`` finds none, the last registered Linear or convolution is taken
for the output.

**Axis.** In the output of a Linear, units stand on the last axis, also for (rows, tokens, units); in that of a
convolution, before the axes of space, batched or not. Another module has the axis of the layer that feeds it, as far as
the graph tells: through activation functions, norms, pooling, sums and products, and permuted axes. Axes are counted
from the end here, so that they hold for one row as well as for many.
"""

from __future__ import annotations

import operator
from typing import Any, Literal

import torch
from torch import fx, nn
from torch.nn import functional

from neurogames._arguments import integer, invalid_argument
from neurogames.bridge.modules.graph import (
    MIXING_FUNCTIONS,
    UNITWISE_FUNCTIONS,
    UNITWISE_MODULES,
    ModelGraph,
    is_turned_linear,
    layer_types,
    model_graph,
)
from neurogames.bridge.modules.hooks import known_module

Unit = Literal["neurons", "filters", "heads"]

# Kinds of layers whose units can be gated and removed. A transposed convolution has units on the last axis but one of
# its weight, and stays whole.
UNIT_KINDS: dict[Unit, tuple[type[nn.Module], ...]] = {
    "neurons": (nn.Linear,),
    "filters": (nn.Conv1d, nn.Conv2d, nn.Conv3d),
    "heads": (nn.MultiheadAttention,),
}
_FEATURES_LAST = (
    *(nn.Embedding, nn.RNNBase, nn.MultiheadAttention),
    *(nn.TransformerEncoderLayer, nn.TransformerEncoder, nn.TransformerDecoderLayer, nn.TransformerDecoder),
)
_FUNCTION_AXIS: dict[Any, int] = {
    **{functional.linear: -1, functional.conv1d: -2, functional.conv2d: -3, functional.conv3d: -4}
}
_KEEP_AXIS = {*UNITWISE_MODULES, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d}
_KEEP_AXIS_FUNCTIONS: frozenset[Any] = frozenset(
    {
        *UNITWISE_FUNCTIONS,
        *(operator.add, operator.sub, operator.mul, operator.truediv, operator.iadd, operator.imul, operator.getitem),
        *(torch.add, torch.sub, torch.mul, torch.div, functional.dropout, functional.layer_norm, functional.batch_norm),
        *("add", "add_", "sub", "mul", "mul_", "div", "contiguous", "clone", "softmax", "float", "to"),
    }
)


def unit_count(module: Any) -> int:
    """Number of units of a Linear, convolution or MultiheadAttention.

    >>> unit_count(nn.Linear(3, 4)), unit_count(nn.Conv2d(3, 5, 2)), unit_count(nn.MultiheadAttention(6, 2))
    (4, 5, 2)
    """
    if isinstance(module, nn.MultiheadAttention):
        return int(module.num_heads)
    if is_turned_linear(module):
        return int(module.nf)
    return int(module.out_features if isinstance(module, nn.Linear) else module.out_channels)


def space_axes(module: nn.Module) -> int:
    """Number of axes behind the axis of units, in the output of a Linear or convolution.

    >>> space_axes(nn.Linear(3, 4)), space_axes(nn.Conv2d(3, 5, 2))
    (0, 2)
    """
    return len(module.kernel_size) if isinstance(module, nn.modules.conv._ConvNd) else 0


def layers_of(model: nn.Module, kinds: tuple[type[nn.Module], ...] | None = None) -> dict[str, nn.Module]:
    """Modules of these kinds by their first names ("" is the model), but for what attention uses without calling it.

    >>> list(layers_of(nn.TransformerEncoderLayer(4, 2, 8)))
    ['linear1', 'linear2']
    """
    kinds = layer_types() if kinds is None else kinds
    attention = [module for module in model.modules() if isinstance(module, nn.MultiheadAttention)]
    inside = {part for module in attention for part in module.modules()} - set(attention)
    return {
        name: module for name, module in model.named_modules() if isinstance(module, kinds) and module not in inside
    }


def output_layers(model: nn.Module, graph: ModelGraph | None = None) -> set[str]:
    """Names of the layers that give the model's output.

    Args:
        model: any module.
        graph: its graph, if it is at hand.

    Returns:
        First names of Linear and convolutions.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4), nn.LayerNorm(4))
    >>> output_layers(model)
    {'2'}
    """
    graph = model_graph(model) if graph is None else graph
    if graph is None:
        return set(list(layers_of(model))[-1:])
    found: set[str] = set()
    seen: set[fx.Node] = set()
    waiting = [node for node in graph.nodes if node.op == "output"]
    while waiting:
        for node in waiting.pop().all_input_nodes:
            if node in seen:
                continue
            seen.add(node)
            module = graph.module(node)
            if isinstance(module, layer_types()):
                found.add(str(node.target))
            elif module is not None and any(weight.ndim > 1 for weight in module.parameters()):
                found |= {f"{node.target}.{name}" for name in list(layers_of(module))[-1:]}
            elif node.op not in ("call_function", "call_method") or node.target not in MIXING_FUNCTIONS:
                waiting.append(node)
    return found


def find_unit_axis(model: nn.Module, name: str, *, given: int | None = None, ndim: int | None = None) -> int:
    """Axis of a module's output on which its units stand, counted from the end.

    Args:
        model: any module.
        name: name of a module inside it, or "" for the whole.
        given: the axis, where the caller was told; it goes before all else.
        ndim: number of axes of the module's output for a batch of rows, if that is known; rows are the first one.

    Returns:
        An axis < 0; ``given`` as it is where ``ndim`` is not known.

    Raises:
        ValueError: there is no such module, the output has no such axis, or the graph does not tell the axis.

    >>> model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(2), nn.Linear(4, 5), nn.GELU())
    >>> [find_unit_axis(model, name) for name in ("0", "1", "3", "4")]
    [-3, -3, -1, -1]
    """
    module = model if name == "" else known_module(model, name)
    if given is not None:
        return _checked(given, ndim)
    if isinstance(module, layer_types()):
        return -1 - space_axes(module)
    if ndim == 2:
        return -1
    graph = model_graph(model)
    nodes = [] if graph is None else graph.returned.get(_first_name(model, module), [])
    axes = {_axis(graph, node, {}) for node in nodes if graph is not None}
    axis = next(iter(axes)) if len(axes) == 1 else None
    if axis is None and _is_last(module):
        axis = -1
    if axis is None or (ndim is not None and axis <= -ndim):
        raise invalid_argument(
            "unit_axis", None, f"the axis of units in the output of {name!r} ({type(module).__name__})"
        )
    return axis


def _checked(given: int, ndim: int | None) -> int:
    """The axis that was given, counted from the end where the number of axes is known."""
    if ndim is None:
        return given
    axis = integer("unit_axis", given, minimum=-ndim, maximum=ndim - 1) % ndim
    if axis == 0:
        raise invalid_argument("unit_axis", given, "another axis than that of the rows")
    return axis - ndim


def _is_last(module: nn.Module | None) -> bool:
    """Whether a module is a norm over the last axis, which is then that of the units where nothing else tells it."""
    return type(module) is nn.LayerNorm and len(module.normalized_shape) == 1


def _first_name(model: nn.Module, module: nn.Module) -> str:
    """The name under which a module is recorded."""
    names: list[str] = [name for name, known in model.named_modules() if known is module]
    return names[0]


def _axis(graph: ModelGraph, node: fx.Node, known: dict[fx.Node, int | None]) -> int | None:
    """Axis of units in the result of an operation, from the end; None if that cannot be told."""
    if node not in known:
        known[node] = None  # while it is looked for
        known[node] = _found_axis(graph, node, known)
    return known[node]


def _found_axis(graph: ModelGraph, node: fx.Node, known: dict[fx.Node, int | None]) -> int | None:
    """``_axis`` of an operation that is not known yet."""
    module = graph.module(node)
    if module is not None and isinstance(module, (*layer_types(), *_FEATURES_LAST)):
        return -1 - space_axes(module)
    if node.target in _FUNCTION_AXIS:
        return _FUNCTION_AXIS[node.target]
    if type(module) not in _KEEP_AXIS if module is not None else node.op not in ("call_function", "call_method"):
        return None
    # What comes straight from the model's inputs and parameters has no say.
    sources = {axis for other in node.all_input_nodes if (axis := _axis(graph, other, known)) is not None}
    if len(sources) != 1:
        return -1 if _is_last(module) else None
    (axis,) = sources
    if node.target in (torch.permute, "permute", torch.transpose, "transpose"):
        return _moved(axis, node)
    if node.target is operator.getitem and not isinstance(node.args[1], int):
        return None
    return axis if module is not None or node.target in _KEEP_AXIS_FUNCTIONS else None


def _moved(axis: int, node: fx.Node) -> int | None:
    """Where an axis is after the axes were permuted or two of them changed places."""
    given: Any = node.args[1] if len(node.args) == 2 and isinstance(node.args[1], (tuple, list)) else node.args[1:]
    dims = [dim for dim in given if isinstance(dim, int)]
    if len(dims) != len(given) or node.kwargs or not dims:
        return None
    if node.target in (torch.permute, "permute"):
        return [dim % len(dims) for dim in dims].index(axis % len(dims)) - len(dims) if -axis <= len(dims) else None
    if min(dims) >= 0 or max(dims) >= 0:
        return None  # how many axes there are is not known
    first, second = dims
    return {first: second, second: first}.get(axis, axis)
