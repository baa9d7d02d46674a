"""The operations of a model, recorded once, or an error that says where recording stopped."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.modules.evaluation import copy_module
from neurogames.bridge.modules.graph import LayerTracer


@dataclass(frozen=True, eq=False)
class Operations:
    """The operations of a model in its present modes, in an order in which they can be run.

    Attributes:
        nodes: the operations, without the one that returns.
        returned: the operation whose result the model returns.
    """

    nodes: tuple[fx.Node, ...]
    returned: fx.Node

    @property
    def calls(self) -> dict[str, int]:
        """How often each module that is a single operation is called."""
        found: dict[str, int] = {}
        for node in self.nodes:
            if node.op == "call_module":
                found[str(node.target)] = found.get(str(node.target), 0) + 1
        return found


def record_operations(model: nn.Module, leaves: Iterable[str] = ()) -> Operations:
    """Record the operations of a model; the model and torch's generator stay as they are.

    Args:
        model: any module that returns one tensor.
        leaves: names of modules that are single operations.

    Returns:
        The operations.

    Raises:
        ValueError: the model's code cannot be recorded; the error names the line.

    >>> operations = record_operations(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
    >>> [node.op for node in operations.nodes], operations.returned.name
    (['placeholder', 'call_module', 'call_module'], '_1')
    """
    tracer = LayerTracer(leaves)
    expected = "a model without branches on tensors; name modules that have such branches in `leaves`"
    try:
        with torch.random.fork_rng(devices=[]):
            graph = tracer.trace(copy_module(model, share=model.parameters()))
    except Exception as error:  # whatever the model's own code raises when it meets a symbol instead of a tensor
        got = f"{type(model).__name__}, which cannot be recorded at {_place(error)} ({str(error).splitlines()[0]})"
        raise invalid_argument("model", got, expected) from None
    *nodes, last = graph.nodes
    returned = last.args[0]
    if any(node.op == "placeholder" and str(node.target).startswith("*") for node in nodes):
        raise invalid_argument(
            "model", f"{type(model).__name__}, whose forward takes any number of arguments", "named ones"
        )
    if not isinstance(returned, fx.Node):
        raise invalid_argument(
            "model", f"{type(model).__name__}, which returns {type(returned).__name__}", "one tensor"
        )
    return Operations(tuple(nodes), returned)


def bind_arguments(
    model: nn.Module, nodes: Iterable[fx.Node], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[fx.Node, Any]:
    """Values of the placeholders of a model that is called with these arguments."""
    bound = inspect.signature(type(model).forward).bind(model, *args, **kwargs)
    bound.apply_defaults()
    return {node: bound.arguments[str(node.target)] for node in nodes if node.op == "placeholder"}


def run_node(model: nn.Module, node: fx.Node, args: Any, kwargs: Any) -> Any:
    """Result of one operation that is no placeholder, with the model's own modules and tensors."""
    if node.op == "call_module":
        return model.get_submodule(str(node.target))(*args, **kwargs)
    if node.op == "call_function":
        function: Any = node.target
        return function(*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    value: Any = model  # get_attr
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value


def _place(error: Exception) -> str:
    """File and line of the model's own code that raised, or the last line outside of torch."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/torch/" not in frame.filename and "/neurogames/" not in frame.filename]
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}, in {frame.name}"
