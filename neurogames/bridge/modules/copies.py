"""Copies of models, and models that stay as they are, also where modules keep tensors that are no parameters.

``torch.nn.utils.prune``, the hooks of the older ``weight_norm`` and models that remember what they have seen write
tensors as plain attributes of a module. Such a tensor belongs to a graph of gradients, or to a transform of torch.func
that is over: then torch refuses to copy the module.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import TypeVar

from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def copy_module(model: Module) -> Module:
    """Copy a model with its hooks; plain tensors that belong to a graph of gradients are copied by their values.

    Args:
        model: any module; it stays as it is.

    Returns:
        The copy, which shares nothing with it.

    >>> from torch.nn.utils import prune
    >>> model = prune.l1_unstructured(nn.Linear(4, 2), "weight", amount=0.5)
    >>> bool((copy_module(model).weight == model.weight).all())
    True
    """
    derived = [value for _, _, value in _plain_tensors(model) if not value.is_leaf]
    return copy.deepcopy(model, {id(value): value.detach().clone() for value in derived})


@contextlib.contextmanager
def plain_tensors_kept(model: nn.Module) -> Iterator[None]:
    """Give modules back the plain tensors that they had, also after an error; those that came to them meanwhile go."""
    before = _plain_tensors(model)
    try:
        yield
    finally:
        for module, name, _ in _plain_tensors(model):
            del vars(module)[name]
        for module, name, value in before:
            vars(module)[name] = value


def _plain_tensors(model: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    """Tensors that are plain attributes of modules, neither parameters nor buffers."""
    return [
        (module, name, value)
        for module in model.modules()
        for name, value in vars(module).items()
        if isinstance(value, Tensor)
    ]
