"""Reaching a module of any torch network by its name: its values, and acting on them, without touching the network."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.modules.evaluation import copy_module


def known_module(
    model: nn.Module, name: str, *, argument: str = "layer", among: Collection[str] | None = None
) -> nn.Module:
    """Module of that name, or an error that says which names come near.

    Args:
        model: any module.
        name: a name as in ``model.named_modules(remove_duplicate=False)``, not that of the whole.
        argument: what the caller called the name.
        among: names to be suggested; all when left out.

    Raises:
        ValueError: ``model`` is no module, or it has no module of that name.

    >>> known_module(nn.Sequential(nn.ReLU()), "0")
    ReLU()
    """
    if not isinstance(model, nn.Module):
        raise invalid_argument("model", model, "a torch module")
    modules: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    modules.pop("")
    if not isinstance(name, str) or name not in modules:
        names = list(modules if among is None else among)
        near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.4) or names[:3]
        raise invalid_argument(argument, name, f"the name of a module, such as {', '.join(map(repr, near))}")
    return modules[name]


def frozen_copy(model: nn.Module) -> nn.Module:
    """A copy of a network in evaluation mode: nothing done with it touches the network, not even after an error."""
    return copy_module(model).eval()


def device_of(model: nn.Module) -> torch.device:
    """Where the parameters of a network live; the CPU for one without any."""
    return next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))


@contextlib.contextmanager
def on_output(model: nn.Module, layer: str, act: Callable[[Any], Any]) -> Iterator[None]:
    """While open, hand each output of a layer to ``act``; what it returns, unless None, takes the output's place."""
    handle = known_module(model, layer).register_forward_hook(lambda _module, _inputs, output: act(output))
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def record(model: nn.Module, layer: str, until: str | None, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Values of a layer, and of a later one or the outputs, checked to be of the right kind.

    Args:
        model: a network in evaluation mode.
        layer: name of a module that is called once and gives (rows, ...), with an axis of units.
        until: name of a later such module; the outputs of the network when left out.
        inputs: (rows, ...).

    Raises:
        ValueError: the network does not take the inputs, or a module is not as said.

    >>> values, outputs = record(nn.Sequential(nn.ReLU(), nn.Flatten()), "0", None, torch.tensor([[-1.0, 1.0]]))
    >>> values, outputs
    (tensor([[0., 1.]]), tensor([[0., 1.]]))
    """
    seen: list[tuple[str, Any]] = []
    names = [layer] if until is None else [layer, until]
    with contextlib.ExitStack() as hooks:
        for name in names:

            def keep(output: Any, name: str = name) -> None:
                seen.append((name, output.clone() if isinstance(output, Tensor) else output))

            hooks.enter_context(on_output(model, name, keep))
        try:
            final = model(inputs.clone())
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, AssertionError) as error:
            got = f"{inputs.dtype} of shape {tuple(inputs.shape)}"
            raise invalid_argument("inputs", got, f"inputs that the model takes ({error})") from error
    for name in names:
        found = [value for known, value in seen if known == name]
        if len(found) != 1:
            raise invalid_argument("layer", f"{name!r}, called {len(found)} times", "a module that is called once")
        (value,) = found
        if not isinstance(value, Tensor) or value.ndim < 2 or len(value) != len(inputs) or 0 in value.shape:
            got = f"an output of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise invalid_argument(
                "layer", f"{name!r} with {got}", "a module whose output is a tensor (rows, ...) with units"
            )
    if [name for name, _ in seen] != names:
        raise invalid_argument("until", until, f"a module that is called after {layer!r}")
    outputs = final if until is None else seen[1][1]
    if not isinstance(outputs, Tensor) or outputs.ndim == 0 or len(outputs) != len(inputs):
        got = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
        raise invalid_argument("model", f"outputs of {got}", "a tensor of outputs, one for each row")
    return seen[0][1], outputs
