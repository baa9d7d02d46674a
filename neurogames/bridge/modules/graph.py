"""The operations of a model as ``torch.fx`` records them, and what these operations do to units.

Recording runs the model's own code on stand-ins. It can fail (then there is no graph), and it can miss what depends on
numbers, so that whatever is cut by it must be checked against the model itself.
"""

from __future__ import annotations

import operator
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from neurogames.bridge.modules.adapted_model import AdaptedModel
from neurogames.bridge.modules.evaluation import copy_module

# Layers with a row of weights for each unit. They are single operations of a graph, and so are classes made from them.
LAYERS: tuple[type[nn.Module], ...] = (nn.Linear, nn.modules.conv._ConvNd)


def layer_types() -> tuple[type[nn.Module], ...]:
    """Linear, convolutions, and the ``Conv1D`` of transformers if that library is in use.

    The latter is a Linear whose weight is (inputs, outputs).
    """
    return (*LAYERS, *turned_linear())


def turned_linear() -> tuple[type[Any], ...]:
    """The ``Conv1D`` of transformers, as a tuple of one type or none."""
    library = sys.modules.get("transformers.pytorch_utils")
    return () if library is None else (library.Conv1D,)


def is_turned_linear(module: Any) -> bool:
    """Whether a module is a Linear whose weight stands as (inputs, units)."""
    return isinstance(module, turned_linear())


# What treats each unit by itself, and the number of axes that its input must have for that (None: any), with units on
# axis 1. Without such a number, it treats every entry by itself, so that units may stand on any axis.
UNITWISE_MODULES: dict[type[nn.Module], int | None] = {
    **dict.fromkeys((nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU)),
    **dict.fromkeys((nn.SiLU, nn.Mish, nn.Softplus, nn.Sigmoid, nn.Tanh, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid)),
    **dict.fromkeys((nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)),
    **dict.fromkeys((nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d), 3),
    **dict.fromkeys((nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d), 4),
}
UNITWISE_FUNCTIONS: dict[Any, int | None] = {
    **dict.fromkeys((functional.relu, torch.relu, torch.relu_, functional.leaky_relu, functional.elu)),
    **dict.fromkeys((functional.gelu, functional.silu, torch.tanh, torch.sigmoid)),
    **dict.fromkeys((functional.max_pool2d, functional.avg_pool2d, functional.adaptive_avg_pool2d), 4),
    **dict.fromkeys(("relu", "relu_", "tanh", "sigmoid")),
}
# Operations whose output has other units than their inputs, as a layer has.
MIXING_FUNCTIONS: frozenset[Any] = frozenset(
    {
        *(functional.linear, functional.bilinear, functional.conv1d, functional.conv2d, functional.conv3d),
        *(functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d),
        *(torch.matmul, torch.mm, torch.bmm, torch.addmm, torch.baddbmm, torch.einsum, operator.matmul),
        *("matmul", "mm", "bmm", "addmm", "baddbmm"),
    }
)


class LayerTracer(fx.Tracer):
    """Records layers and attention as single operations, whatever classes have been made from them.

    Args:
        names: modules that are single operations too; what holds them is gone into.

    Attributes:
        returned: what each call of a module returned, by the module's first name.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        super().__init__()
        self._names = frozenset(names)
        self.returned: defaultdict[str, list[fx.Node]] = defaultdict(list)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Say where the graph stops."""
        if module_qualified_name in self._names:
            return True
        if any(name.startswith(module_qualified_name + ".") for name in self._names):
            return False
        return isinstance(m, (*layer_types(), nn.MultiheadAttention)) or super().is_leaf_module(
            m, module_qualified_name
        )

    def call_module(self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Record a call."""
        if isinstance(self.root, AdaptedModel) and m is self.root.inner:
            return forward(*args, **kwargs)
        result = super().call_module(m, forward, args, kwargs)
        if isinstance(result, fx.Proxy):
            self.returned[self.path_of_module(m)].append(result.node)
        return result


@dataclass(frozen=True, eq=False)
class ModelGraph:
    """The operations of a model.

    Attributes:
        nodes: the operations in order; the names in them are those of the model's modules.
        modules: the model's own modules by their first names.
        returned: what each call of a module returned, by the module's first name.
    """

    nodes: tuple[fx.Node, ...]
    modules: dict[str, nn.Module]
    returned: dict[str, list[fx.Node]]

    @property
    def calls(self) -> Counter[str]:
        """How often each module that is a single operation is called."""
        return Counter(str(node.target) for node in self.nodes if node.op == "call_module")

    def module(self, node: fx.Node) -> nn.Module | None:
        """The module that an operation calls, if it does."""
        return self.modules[str(node.target)] if node.op == "call_module" else None


def model_graph(model: nn.Module) -> ModelGraph | None:
    """Record a model.

    The model's own code may write to the model, so a copy is recorded that shares the parameters; it may draw numbers,
    so torch's generator is put back.

    Args:
        model: any module; it stays as it is.

    Returns:
        Its graph, or None where none can be had.

    >>> graph = model_graph(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
    >>> [str(node.target) for node in graph.nodes if node.op == "call_module"]
    ['0', '1']
    """
    tracer = LayerTracer()
    try:
        with torch.random.fork_rng(devices=[]):
            graph = tracer.trace(copy_module(model, share=model.parameters()))
    except Exception:  # whatever the model's own code raises when it meets a symbol instead of a tensor
        return None
    return ModelGraph(tuple(graph.nodes), dict(model.named_modules()), dict(tracer.returned))
