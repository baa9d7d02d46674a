"""Whether a model calls its layers, or reads their weights past the call: hooks see calls, and nothing else.

``functional.linear(x, layer.weight)`` gives what ``layer(x)`` gives, and no hook of the layer fires. What a hook puts
on such a layer would be there without any effect, so it is refused: from the recorded operations of the model where
there are any, and else in its first pass with gradients.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from neurogames._arguments import invalid_argument
from neurogames.bridge.modules.graph import ModelGraph

_LISTED = 3


def layers_read(graph: ModelGraph) -> set[str]:
    """First names of the modules whose weights the recorded model reads, and which it never calls.

    >>> from neurogames.bridge.modules.graph import model_graph
    >>> class Tied(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.inner, self.last = nn.Linear(2, 3), nn.Linear(3, 1)
    ...
    ...     def forward(self, x):
    ...         return self.last(nn.functional.linear(x, self.inner.weight))
    >>> layers_read(model_graph(Tied()))
    {'inner'}
    """
    read = {str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}
    return {name for name in read if name and not graph.calls[name] and not graph.returned.get(name)}


def refuse_read(names: Sequence[str]) -> None:
    """Refuse layers that are read and not called, if there are any."""
    if names:
        others = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        got = f"{', '.join(map(repr, names[:_LISTED]))}{others}, whose weights are read past the call"
        raise invalid_argument("modules", got, "modules that the model calls on the way to its outputs")


class FirstPass:
    """Forward hook that looks, in a model's first pass with gradients, whether layers are read and not called.

    It takes itself away after that pass, or when ``stop`` is called.

    Args:
        model: the model.
        names: names of the layers to look for.
    """

    def __init__(self, model: nn.Module, names: Collection[str]) -> None:
        modules = dict(model.named_modules(remove_duplicate=False))
        self._model = model
        self._names = {modules[name]: name for name in names if name}
        self._called: set[nn.Module] = set()
        for module in (*self._names, model):
            module.register_forward_hook(self)

    def __call__(self, module: nn.Module, _: Any, outputs: Any) -> None:
        """Note the call of a layer, or look at the outputs of the model."""
        if torch.compiler.is_compiling():
            return
        self._called.add(module)
        if module is not self._model:
            return
        behind = _behind(outputs)
        if behind:
            self.stop()
            idle = [layer for layer in self._names if layer not in self._called and _is_read(layer, behind)]
            refuse_read([self._names[layer] for layer in idle])
        self._called.clear()

    def stop(self) -> None:
        """Take the hook away."""
        for module in (*self._names, self._model):
            for number in [number for number, hook in module._forward_hooks.items() if hook is self]:
                del module._forward_hooks[number]


def stop_first_passes(model: nn.Module) -> None:
    """Take away what ``FirstPass`` has put on a model."""
    for hook in list(model._forward_hooks.values()):
        if isinstance(hook, FirstPass):
            hook.stop()


def _behind(outputs: Any) -> set[Any]:
    """All steps of the computation of some outputs."""
    if isinstance(outputs, Mapping):
        outputs = list(outputs.values())  # as transformers' outputs, which the tree may not know
    waiting = [
        value.grad_fn for value in tree_leaves(outputs) if isinstance(value, Tensor) and value.grad_fn is not None
    ]
    found = set(waiting)
    while waiting:
        for step, _ in waiting.pop().next_functions:
            if step is not None and step not in found:
                found.add(step)
                waiting.append(step)
    return found


def _is_read(layer: nn.Module, behind: set[Any]) -> bool:
    """Whether the weights of a layer are among the steps of a computation."""
    leaves = {id(step.variable) for step in behind if hasattr(step, "variable")}
    return any(id(weight) in leaves or weight.grad_fn in behind for weight in layer.parameters(recurse=False))
