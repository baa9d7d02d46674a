"""Inputs of layers and gradients at their outputs, recorded in an ordinary pass forward and back.

Forward hooks keep what a layer is called with, hooks on its output what comes back, and a hook on its weight says when
a backward pass has reached it: only then do both count, so that gradients that are not added to ``weight.grad`` (those
of an attack on the inputs, say) leave nothing. Calls of a layer in one backward pass are places of the same rows;
several backward passes before a step are more rows. What was recorded before the gradient of a weight was cleared is
forgotten.

The hooks hold the recorder weakly and copy themselves as hooks that do nothing, so that copies of the model are free.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.curvature.layer_arrays import recordable_layers
from neurogames.bridge.curvature.layer_calls import Call, of_passes, rows_of
from neurogames.bridge.modules.hooks import known_module


class LayerArrays(NamedTuple):
    """What a layer did in the backward passes that its weight's gradient consists of.

    Attributes:
        inputs: a (rows, shared, d_in [+ 1]), in the dtype of the weights.
        gradients: g (rows, shared, d_out), as autograd gives them: of the loss of all rows.
        scale: what makes of g the gradients of the loss of each row alone, for a loss that is a mean over rows. It is
            the number of rows; where a layer sees another number R' than the R rows that the model is called with
            (tokens as rows), each of the R' counts as a place by itself, and it is sqrt(R R').
    """

    inputs: Tensor
    gradients: Tensor
    scale: float


class Seen(NamedTuple):
    """Numbers of rows of the model and of places at which a layer used its weights."""

    rows: int
    places: int


@dataclass
class _Record:
    """What is known of one layer: calls on their way, by backward pass, and those that count, pass by pass.

    Those of ``drawn`` belong to losses of drawn labels.
    """

    layer: Any
    waiting: dict[int, list[Call]] = field(default_factory=dict)
    passes: list[list[Call]] = field(default_factory=list)
    drawn: list[list[Call]] = field(default_factory=list)
    gradient: Tensor | None = None
    version: int = -1


class LayerRecorder:
    """Records inputs and output gradients of some layers of a model until ``remove()``.

    Args:
        model: any module; it stays as it is, but for hooks.
        names: names of layers as in ``model.named_modules()``; those that ``recordable_layers`` finds when left out.
        wanted: asked at each call, with the name of the layer and the number of places, whether arrays are to be kept;
            they always are when left out. Otherwise only ``seen`` knows of the call.

    Raises:
        ValueError: a layer is not there or not recordable.

    >>> model, x = nn.Linear(3, 2), torch.randn(5, 3)
    >>> recorder = LayerRecorder(model)
    >>> model(x).square().mean().backward()
    >>> a, g, scale = recorder.arrays("")
    >>> a.shape, g.shape, scale
    (torch.Size([5, 1, 4]), torch.Size([5, 1, 2]), 5.0)
    >>> torch.allclose(torch.einsum("rso,rsi->oi", g, a)[:, :3], model.weight.grad)
    True
    >>> recorder.remove()
    """

    def __init__(
        self,
        model: nn.Module,
        names: Iterable[str] | None = None,
        *,
        wanted: Callable[[str, int], bool] = lambda *_: True,
    ) -> None:
        layers = recordable_layers(model)
        chosen = list(layers) if names is None else list(names)
        for name in chosen:
            if name not in layers:
                known_module(model, name, argument="modules", among=layers)
                expected = "a Linear or a convolution without groups, with a weight of its own that is trained"
                raise invalid_argument("modules", name, expected)
        self._records = {name: _Record(layers[name]) for name in chosen}
        self._wanted = wanted
        self._rows: int | None = None
        called = _RootHook(weakref.ref(self))
        handles: list[Any] = [model.register_forward_pre_hook(called, with_kwargs=True)]
        for name, record in self._records.items():
            hook = _LayerHook(weakref.ref(self), name)
            handles.append(record.layer.register_forward_hook(hook, with_kwargs=True))
            arrived = partial(_arrived, weakref.ref(self), name)
            handles.append(record.layer.weight.register_post_accumulate_grad_hook(arrived))
        self._off = weakref.finalize(self, _take_off, handles)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the layers."""
        return tuple(self._records)

    def arrays(self, name: str) -> LayerArrays | None:
        """Arrays of a layer; None if nothing was kept since the gradient of its weight was cleared.

        Raises:
            RuntimeError: the inputs of the layer were overwritten since, so that they are not known any more.
        """
        record = self._records[name]
        gradient = record.layer.weight.grad
        if not record.passes or gradient is None or any(call.inputs is None for each in record.passes for call in each):
            return None
        inputs, gradients, rows = of_passes(name, record.layer, record.passes)
        return LayerArrays(inputs, gradients, math.sqrt(rows * len(inputs)))

    def seen(self, name: str) -> Seen | None:
        """How many rows and places there were since the gradient of the weight was cleared; None if there were none."""
        record = self._records[name]
        if not record.passes or record.layer.weight.grad is None:
            return None
        rows = sum(rows_of(calls) for calls in record.passes)
        return Seen(rows, sum(call.places for calls in record.passes for call in calls))

    def record_fisher(self, loss: Tensor) -> None:
        """Record the gradients of another loss, a sum over rows, of passes that are still to be gone back.

        No gradient of the model is touched.
        """
        for record in self._records.values():
            record.waiting.clear()
        weights = [record.layer.weight for record in self._records.values()]
        torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        for record in self._records.values():
            calls = [call for each in record.waiting.values() for call in each]
            if calls and all(call.inputs is not None for call in calls):
                record.drawn.append(calls)
            record.waiting.clear()

    def fisher_arrays(self, name: str) -> LayerArrays | None:
        """Arrays of a layer from ``record_fisher``; None where nothing was recorded."""
        record = self._records[name]
        if not record.drawn:
            return None
        inputs, gradients, rows = of_passes(name, record.layer, record.drawn)
        return LayerArrays(inputs, gradients, math.sqrt(len(inputs) / rows))

    def clear(self, *, drawn: bool = True) -> None:
        """Forget what was recorded; with ``drawn`` False, keep that of ``record_fisher``."""
        for record in self._records.values():
            record.waiting.clear()
            record.passes.clear()
            record.gradient = None
            if drawn:
                record.drawn.clear()

    def remove(self) -> None:
        """Take the hooks off the model."""
        self.clear()
        self._off()

    def _call(self, name: str, inputs: Tensor, output: Tensor) -> Call:
        """What is to be known of a call before its gradient has come back."""
        places = output.numel() // len(self._records[name].layer.weight)
        rows = len(inputs) if self._rows is None else self._rows
        kept = inputs.detach() if self._wanted(name, places) else None
        return Call(kept, inputs._version, len(inputs), rows, places)

    def _take(self, name: str, call: Call, gradient: Tensor) -> None:
        """A gradient has come back to the output of a layer."""
        task = torch._C._current_graph_task_id()
        call = call._replace(gradient=None if call.inputs is None else gradient.detach())
        self._records[name].waiting.setdefault(task, []).append(call)

    def _count(self, name: str) -> None:
        """A backward pass has added to the gradient of the weight of a layer."""
        record = self._records[name]
        calls = record.waiting.pop(torch._C._current_graph_task_id(), [])
        record.waiting.clear()
        gradient: Tensor = record.layer.weight.grad
        if gradient is not record.gradient or gradient._version != record.version + 1:
            record.passes.clear()
        if calls:
            record.passes.append(calls)
        record.gradient, record.version = gradient, gradient._version


def _take_off(handles: list[Any]) -> None:
    """Remove hooks."""
    for handle in handles:
        handle.remove()


class _Hook:
    """A hook that holds its recorder weakly, and does nothing in a copy of the model or in a saved one."""

    def __init__(self, recorder: weakref.ref[LayerRecorder], name: str = "") -> None:
        self._recorder, self._name = recorder, name

    def __reduce__(self) -> tuple[Any, ...]:
        """What copies and files hold instead."""
        return partial, (_nothing,)


class _RootHook(_Hook):
    """Counts the rows that the model is called with."""

    def __call__(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Called before each call of the model."""
        if (recorder := self._recorder()) is not None:
            tensors = (value for value in (*args, *kwargs.values()) if isinstance(value, Tensor) and value.ndim > 0)
            first = next(tensors, None)
            recorder._rows = None if first is None else len(first)


class _LayerHook(_Hook):
    """Remembers what a layer is called with until the gradient at its output is there."""

    def __call__(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """Called behind each call of the layer."""
        recorder = self._recorder()
        if recorder is None or not torch.is_grad_enabled() or not output.requires_grad:
            return
        call = recorder._call(self._name, args[0] if args else kwargs["input"], output)
        output.register_hook(partial(_take, self._recorder, self._name, call))


def _nothing(*_: object) -> None:
    """What a hook becomes in a copy of the model."""


def _take(recorder: weakref.ref[LayerRecorder], name: str, call: Call, gradient: Tensor) -> None:
    """Hand on to a recorder that is still there."""
    if (known := recorder()) is not None:
        known._take(name, call, gradient)


def _arrived(recorder: weakref.ref[LayerRecorder], name: str, _: Tensor) -> None:
    """Hand on to a recorder that is still there."""
    if (known := recorder()) is not None:
        known._count(name)
