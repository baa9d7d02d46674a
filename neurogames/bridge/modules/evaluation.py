"""Running and copying models so that they stay as they are, down to tensors that are neither parameters nor buffers.

``torch.nn.utils.prune``, the hooks of the older ``weight_norm`` and models that remember what they have seen write
tensors as plain attributes of a module whenever it is called. Such a tensor belongs to a graph of gradients, or to a
transform of torch.func that is over: then torch refuses to copy the module.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from neurogames._arguments import invalid_argument

Module = TypeVar("Module", bound=nn.Module)


def copy_module(model: Module, *, share: Iterable[Tensor] = ()) -> Module:
    """Copy a model with its hooks; plain tensors that belong to a graph of gradients are copied by their values.

    Args:
        model: any module; it stays as it is.
        share: tensors that the copy is to have in common with the model.

    Returns:
        The copy, in the modes of the model, which shares nothing else with it.

    Raises:
        ValueError: the model holds something that cannot be copied, such as an open file, or weights that hold no
            numbers.

    >>> from torch.nn.utils import prune
    >>> model = prune.l1_unstructured(nn.Linear(4, 2), "weight", amount=0.5)
    >>> bool((copy_module(model).weight == model.weight).all())
    True
    """
    refuse_meta(model)
    derived = [value for _, _, value in _plain_tensors(model) if not value.is_leaf]
    memo: dict[int, Any] = {id(value): value.detach().clone() for value in derived}
    memo |= {id(value): value for value in share}
    try:
        return copy.deepcopy(model, memo)
    except (RuntimeError, TypeError) as error:
        raise invalid_argument("model", type(model).__name__, f"a network that can be copied ({error})") from None


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Hold a model in evaluation mode; then each module has its own mode and plain tensors again, also after an error.

    A module that was compiled in place runs as it was written: what is compiled knows nothing of later hooks and gates.

    >>> model = nn.Dropout()
    >>> with evaluating(model):
    ...     model.training
    False
    >>> model.training
    True
    """
    modes = {module: module.training for module in model.modules()}
    plain = _plain_tensors(model)
    compiled = {module: call for module in modes if (call := vars(module).get("_compiled_call_impl")) is not None}
    model.eval()
    for module in compiled:
        module._compiled_call_impl = None
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for module, call in compiled.items():
            module._compiled_call_impl = call
        for module, name, _ in _plain_tensors(model):
            del vars(module)[name]
        for module, name, value in plain:
            vars(module)[name] = value


@contextlib.contextmanager
def gradients_on() -> Iterator[None]:
    """Compute with gradients, whatever mode the caller is in; it is a decorator, too.

    >>> with torch.inference_mode(), gradients_on():
    ...     torch.ones(1, requires_grad=True).square().requires_grad
    True
    """
    with torch.inference_mode(False), torch.enable_grad():
        yield


def check_weights(model: nn.Module) -> None:
    """Refuse a model whose weights hold no numbers, or can have no gradients.

    >>> with torch.inference_mode():
    ...     model = nn.Linear(2, 1)
    >>> check_weights(model)
    Traceback (most recent call last):
    ValueError: model: got 'weights made in inference mode', expected weights that can have gradients
    """
    refuse_meta(model)
    if any(weight.is_inference() for weight in (*model.parameters(), *model.buffers())):
        raise invalid_argument("model", "weights made in inference mode", "weights that can have gradients")


def refuse_meta(model: nn.Module) -> None:
    """Refuse a model whose weights hold no numbers.

    >>> refuse_meta(nn.Linear(2, 1, device="meta"))
    Traceback (most recent call last):
    ValueError: model: got 'weights on the device meta', expected weights that hold numbers
    """
    if any(weight.is_meta for weight in (*model.parameters(), *model.buffers())):
        raise invalid_argument("model", "weights on the device meta", "weights that hold numbers")


@contextlib.contextmanager
def unfused_attention() -> Iterator[None]:
    """Keep attention to single operations: the fused ones have no second derivative and no rule for ``vmap``.

    >>> fused = torch.backends.mha.get_fastpath_enabled()
    >>> with unfused_attention():
    ...     torch.backends.mha.get_fastpath_enabled()
    False
    >>> torch.backends.mha.get_fastpath_enabled() == fused
    True
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def _plain_tensors(model: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    """Tensors that are plain attributes of modules, neither parameters nor buffers."""
    return [
        (module, name, value)
        for module in model.modules()
        for name, value in vars(module).items()
        if isinstance(value, Tensor)
    ]
