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
from torch.overrides import TorchFunctionMode, _get_current_function_mode
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


class FirstPass(TorchFunctionMode):
    """Hooks that look, up to a model's first pass with gradients, whether layers are read and not called.

    Within a pass, every operation of torch is seen with what it is given. The hooks take themselves away after the
    first pass with gradients, or when ``stop`` is called.

    Args:
        model: the model.
        names: names of the layers to look for.
    """

    def __init__(self, model: nn.Module, names: Collection[str]) -> None:
        super().__init__()
        modules = dict(model.named_modules(remove_duplicate=False))
        self._model = model
        self._names = {modules[name]: name for name in names if name}
        self._called: set[nn.Module] = set()
        self._given: set[int] = set()
        self._looking = False
        model.register_forward_pre_hook(self.begin, prepend=True)
        for layer in self._names:
            layer.register_forward_hook(self.note)
        model.register_forward_hook(self.end, always_call=True)

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Do an operation, and note the weights that it made a tensor of: a shape or a dtype is no reading."""
        result = function(*args, **(kwargs or {}))
        if any(isinstance(value, Tensor) for value in tree_leaves(result)):
            # Weights live as long as the pass, so that no other tensor can have the identity of one.
            self._given.update(id(value) for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor))
        return result

    def begin(self, *_: Any) -> None:
        """Look from here on; after an interrupted pass, looking has never ended."""
        if not torch.compiler.is_compiling() and not self._looking:
            self.__enter__()  # type: ignore[no-untyped-call]
            self._looking = True

    def note(self, layer: nn.Module, *_: Any) -> None:
        """Note the call of a layer."""
        if not torch.compiler.is_compiling():
            self._called.add(layer)

    def end(self, _model: nn.Module, _inputs: Any, outputs: Any) -> None:
        """Look no longer, and refuse what was read and not called; a pass that failed has no outputs."""
        if not self._looking:
            return
        if _get_current_function_mode() is self:
            self.__exit__(None, None, None)
        self._looking = False
        called, given = self._called, self._given
        self._called, self._given = set(), set()
        if outputs is None:
            return
        if torch.is_grad_enabled():
            self.stop()
        refuse_read(
            [
                name
                for layer, name in self._names.items()
                if layer not in called and any(id(weight) in given for weight in layer.parameters())
            ]
        )

    def stop(self) -> None:
        """Take the hooks away."""
        for module in (*self._names, self._model):
            for hooks in (module._forward_hooks, module._forward_pre_hooks):
                for number in [number for number, hook in hooks.items() if _first_pass(hook) is self]:
                    del hooks[number]
            for number in list(module._forward_hooks_always_called):
                if number not in module._forward_hooks:
                    del module._forward_hooks_always_called[number]


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
