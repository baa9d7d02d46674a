"""Whether a model calls its layers, or reads their weights past the call: hooks see calls, and nothing else.

``functional.linear(x, layer.weight)`` gives what ``layer(x)`` gives, and no hook of the layer fires. What a hook puts
on such a layer would be there without any effect, so it is refused: from the recorded operations of the model where
there are any, and else in its first pass with gradients.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import nn

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
    targets = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    weights = {
        f"{name}.{own}": weight
        for name, module in graph.modules.items()
        for own, weight in module.named_parameters(recurse=False)
    }
    # A weight that two layers share is recorded under the name that was registered first.
    shared = {id(weights[target]) for target in targets if target in weights}
    targets |= {name for name, weight in weights.items() if id(weight) in shared}
    read = {target.rpartition(".")[0] for target in targets}
    return {name for name in read if name and not graph.calls[name] and not graph.returned.get(name)}


def refuse_read(names: Sequence[str]) -> None:
    """Refuse layers that are read and not called, if there are any."""
    if names:
        others = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        got = f"{', '.join(map(repr, names[:_LISTED]))}{others}, whose weights are read past the call"
        raise invalid_argument("modules", got, "modules that the model calls on the way to its outputs")


class FirstPass:
    """Hooks that look, in a model's first pass with gradients and its first without, for layers read and not called.

    In such a pass, the layers note who asks them for their weights. The hooks take themselves away after the one with
    gradients, or when ``stop`` is called.

    Args:
        model: the model.
        names: names of the layers to look for.
    """

    def __init__(self, model: nn.Module, names: Collection[str]) -> None:
        modules = dict(model.named_modules(remove_duplicate=False))
        self._model = model
        self._names = {modules[name]: name for name in names if name}
        self._called: set[nn.Module] = set()
        self._read: set[int] = set()
        self._looked = False
        model.register_forward_pre_hook(self.begin, prepend=True)
        for layer in self._names:
            layer.register_forward_hook(self.note)
        model.register_forward_hook(self.end, always_call=True)

    def begin(self, *_: Any) -> None:
        """Look from here on, at all modules that hold a weight of the layers."""
        if torch.compiler.is_compiling() or (self._looked and not torch.is_grad_enabled()):
            return
        self._called, self._read = set(), set()
        watched = {id(weight) for layer in self._names for weight in layer.parameters()}
        for module in self._model.modules():
            if any(id(weight) in watched for weight in module._parameters.values()):
                module._parameters = _NotedReads(module._parameters, self._read)

    def note(self, layer: nn.Module, *_: Any) -> None:
        """Note the call of a layer."""
        if not torch.compiler.is_compiling():
            self._called.add(layer)

    def end(self, _model: nn.Module, _inputs: Any, outputs: Any) -> None:
        """Look no longer, and refuse what was read and not called; a pass that failed has no outputs."""
        looked = [module for module in self._model.modules() if isinstance(module._parameters, _NotedReads)]
        for module in looked:
            module._parameters = dict(module._parameters)
        if outputs is None or not looked:
            return
        self._looked = True
        idle = [
            name
            for layer, name in self._names.items()
            if layer not in self._called and any(id(weight) in self._read for weight in layer.parameters())
        ]
        if torch.is_grad_enabled():
            self.stop()
        refuse_read(idle)

    def stop(self) -> None:
        """Take the hooks away."""
        for module in (*self._names, self._model):
            for hooks in (module._forward_hooks, module._forward_pre_hooks):
                for number in [number for number, hook in hooks.items() if _first_pass(hook) is self]:
                    del hooks[number]
            for number in list(module._forward_hooks_always_called):
                if number not in module._forward_hooks:
                    del module._forward_hooks_always_called[number]


class _NotedReads(dict[str, Any]):
    """Parameters of a module that note which of them are asked for."""

    def __init__(self, parameters: Mapping[str, Any], read: set[int]) -> None:
        super().__init__(parameters)
        self._read = read

    def __getitem__(self, name: str) -> Any:
        weight = super().__getitem__(name)
        self._read.add(id(weight))
        return weight


def stop_first_passes(model: nn.Module) -> None:
    """Take away what ``FirstPass`` has put on a model."""
    for hook in list(model._forward_hooks.values()):
        first_pass = _first_pass(hook)
        if first_pass is not None:
            first_pass.stop()


def _first_pass(hook: Any) -> FirstPass | None:
    """The ``FirstPass`` that a hook belongs to."""
    owner = getattr(hook, "__self__", None)
    return owner if isinstance(owner, FirstPass) else None
