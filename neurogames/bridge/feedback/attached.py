"""Gradient dropout attached to a model that knows nothing of it, by hooks on the outputs of its layers.

The model stays what it was, down to its ``state_dict``, and can be copied and pickled meanwhile. Attach before
compiling: a compiler does not see hooks that come later.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.feedback.gradient_dropout import GradientDropout, Granularity
from neurogames.bridge.modules.adapted_model import uncompiled
from neurogames.bridge.modules.graph import LAYERS, ModelGraph, model_graph
from neurogames.bridge.modules.hooks import known_module
from neurogames.bridge.modules.reach import FirstPass, layers_read, refuse_read
from neurogames.bridge.modules.units import find_unit_axis, layers_of, output_layers, space_axes


class FeedbackLayer(Protocol):
    """What changes the gradient that comes back to a module's output."""

    progress: float

    def mask_gradient(self, values: Tensor, *, own: bool) -> Tensor:
        """Return ``values``, or a copy, to which a changed gradient will come back."""
        ...


Layer = TypeVar("Layer", bound=FeedbackLayer)


class AttachedGradientDropout(Generic[Layer]):
    """Gradient dropout, or its mean, at some layers of a model, until ``remove()`` or the end of a ``with`` block.

    Args:
        layers: the ``GradientDropout`` or ``MeanFeedback`` at each named module.
        hooks: what put them there.
        first_pass: what looks whether the model calls them, if it is still to be seen.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> handle = attach_gradient_dropout(model, keep_prob=0.5, rng=torch.Generator().manual_seed(0))
    >>> handle.progress = 0.5
    >>> list(handle.layers), handle.remove()
    (['0'], None)
    """

    def __init__(
        self,
        layers: dict[str, Layer],
        hooks: list[torch.utils.hooks.RemovableHandle],
        first_pass: FirstPass | None = None,
    ) -> None:
        self.layers = layers
        self._hooks = hooks
        self._first_pass = first_pass

    @property
    def progress(self) -> float:
        """Progress of training in [0, 1]; setting it moves the schedule of ``keep_prob`` of every layer."""
        return next(iter(self.layers.values())).progress

    @progress.setter
    def progress(self, value: float) -> None:
        for layer in self.layers.values():
            layer.progress = value

    def state_dict(self) -> dict[str, Any]:
        """Progress, and from where every layer's draws go on: plain tensors, numbers and strings for ``torch.save``.

        Masks are no part of the model's ``state_dict``: a training that is to end as if it had never stopped saves
        both.
        """
        draws = {
            name: layer.draw_state() if isinstance(layer, GradientDropout) else {}
            for name, layer in self.layers.items()
        }
        return {"progress": self.progress, "layers": draws}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; ``torch.load(path, weights_only=True)`` reads it.

        Raises:
            ValueError: it is the state of other layers; then nothing is set.
        """
        expected = f"a state of the layers {', '.join(map(repr, self.layers))}"
        if not isinstance(state, Mapping) or set(state) != {"progress", "layers"}:
            raise invalid_argument("state", type(state).__name__, expected)
        draws = state["layers"]
        kinds = {name: isinstance(layer, GradientDropout) for name, layer in self.layers.items()}
        if {name: bool(held) for name, held in draws.items()} != kinds:
            raise invalid_argument("state", f"a state of {', '.join(map(repr, draws))}", expected)
        self.progress = state["progress"]
        for name, layer in self.layers.items():
            if isinstance(layer, GradientDropout):
                layer.load_draw_state(draws[name])

    def remove(self) -> None:
        """Leave the model as it was."""
        for hook in self._hooks:
            hook.remove()
        if self._first_pass is not None:
            self._first_pass.stop()

    def __enter__(self) -> AttachedGradientDropout[Layer]:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def attach_gradient_dropout(
    model: nn.Module,
    keep_prob: float | Callable[[float], float],
    *,
    rng: torch.Generator,
    modules: Sequence[str] | None = None,
    granularity: Granularity = "unit",
    rescale: bool = False,
    unit_axis: int | None = None,
) -> AttachedGradientDropout[GradientDropout]:
    """Put gradient dropout on the outputs of some layers of a model, without rewriting the model.

    Parameters, buffers and ``state_dict`` stay as they are; in ``eval()`` nothing happens. A copy made of the model in
    the meantime keeps gradient dropout of its own for good: copy before attaching, or take the ``state_dict``. What is
    attached twice is masked twice. Attach before ``torch.compile``: what is compiled may not see hooks that come later.

    Args:
        model: any module.
        keep_prob: probability in (0, 1] that feedback arrives, or a schedule of it.
        rng: generator from which every layer gets its own seed.
        modules: names as in ``model.named_modules()``, of modules that return one tensor. Default: every Linear and
            convolution but those that give the model's output (``neurogames.bridge.modules.units.output_layers``).
            Projections inside ``nn.MultiheadAttention`` are left out: attention reads their weights and never calls
            them.
        granularity: "unit", "sample" or "layer"; see ``GradientDropout``.
        rescale: divide what arrives by ``keep_prob``.
        unit_axis: axis of the outputs that counts units. Default: the channels of a convolution, the last axis of
            a Linear, and for another module that of the layer which feeds it; it must be given where the model's
            graph does not tell it.

    Returns:
        A handle with ``progress``, ``remove()`` and ``layers``; also a context manager.

    Raises:
        ValueError: a module is not there, its weights are read past its call (``functional.linear(x, layer.weight)``),
            there is no hidden layer, or an argument is out of range. Where a model's operations cannot be recorded,
            its first pass raises the second of these.

    Warns:
        UserWarning: the model is compiled already.

    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    >>> with attach_gradient_dropout(model, 0.5, rng=torch.Generator()) as handle:
    ...     list(handle.layers)
    ['0']
    """

    def layer(axis: int) -> GradientDropout:
        return GradientDropout(keep_prob, rng=rng, granularity=granularity, rescale=rescale, unit_axis=axis)

    return attach_layers(model, layer, modules=modules, granularity=granularity, unit_axis=unit_axis)


def attach_layers(
    model: nn.Module,
    layer: Callable[[int], Layer],
    *,
    modules: Sequence[str] | None,
    granularity: str,
    unit_axis: int | None,
) -> AttachedGradientDropout[Layer]:
    """Put a layer of its own, made for its axis of units, on the output of each module; see attach_gradient_dropout."""
    if isinstance(modules, str):
        raise invalid_argument("modules", modules, "a list of names")
    if not isinstance(model, nn.Module):
        raise invalid_argument("model", model, "a torch module")
    if any(uncompiled(part) is not part or part._compiled_call_impl is not None for part in model.modules()):
        warnings.warn(
            "the model is compiled and may not see later hooks: attach gradient dropout before torch.compile",
            stacklevel=3,
        )
    model = uncompiled(model)
    graph = model_graph(model)
    read = set() if graph is None else layers_read(graph)
    names = [name for name in _hidden_layers(model, graph) if name not in read] if modules is None else list(modules)
    if not names:
        raise invalid_argument("modules", "no layer", "at least one hidden Linear or convolution that the model calls")
    refuse_read([name for name in names if name in read])
    named = {name: model if name == "" else known_module(model, name, argument="modules") for name in names}
    layers = {}
    for name in named:
        # One coin for a whole layer has no axis of units.
        axis = -1 if granularity == "layer" and unit_axis is None else find_unit_axis(model, name, given=unit_axis)
        layers[name] = layer(axis)
    hooks = [
        named[name].register_forward_hook(functools.partial(_mask_output, name, attached))
        for name, attached in layers.items()
    ]
    first_pass = None if graph is not None else FirstPass(model, names)
    return AttachedGradientDropout(layers, hooks, first_pass)


def _hidden_layers(model: nn.Module, graph: ModelGraph | None) -> list[str]:
    """Names of the Linear and convolution layers but those that give the output."""
    final = output_layers(model, graph)
    return [name for name in layers_of(model) if name and name not in final]


def _mask_output(name: str, layer: FeedbackLayer, module: nn.Module, _: Any, output: Any) -> Tensor:
    """Forward hook that puts ``layer`` behind ``module``; no closure, so that a model can be copied and pickled."""
    if not isinstance(output, Tensor):
        raise invalid_argument(f"output of module {name!r}", type(output).__name__, "one tensor")
    # What a layer computes of a plain batch is a new tensor; of tokens, or of one image, it may be a view.
    own = isinstance(module, LAYERS) and output.ndim == 2 + space_axes(module)
    return layer.mask_gradient(output, own=own) if module.training else output
