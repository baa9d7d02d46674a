"""Models on disk: a file that says how a network is built, without any code in it.

A file holds a nested description of ``nn.Sequential`` with known layers, and the numbers. It is read by
``torch.load(weights_only=True)``, which runs nothing that the file brings along. A file with a bare ``state_dict`` of a
plain multilayer perceptron (``*.weight`` with two axes and ``*.bias``, in order) is read as Linear layers under their
own names, with the activation between them that the caller names: numbers do not tell it.
"""

from __future__ import annotations

import io
import itertools
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.lab.data.whole_zip import refuse_changed, refuse_long_names
from neurogames.lab.whole_file import write_whole

FORMAT = "neurogames model 1"

_CONVOLUTION = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
_NORM = ("num_features", "eps", "momentum", "affine", "track_running_stats")
_MAX_POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
_LAYERS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Linear: ("in_features", "out_features"),
    nn.Conv1d: _CONVOLUTION,
    nn.Conv2d: _CONVOLUTION,
    nn.BatchNorm1d: _NORM,
    nn.BatchNorm2d: _NORM,
    nn.ReLU: ("inplace",),
    nn.GELU: ("approximate",),
    nn.Tanh: (),
    nn.Sigmoid: (),
    nn.LeakyReLU: ("negative_slope", "inplace"),
    nn.MaxPool2d: _MAX_POOL,
    nn.AvgPool2d: ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"),
    nn.AdaptiveAvgPool2d: ("output_size",),
    nn.Flatten: ("start_dim", "end_dim"),
    nn.Unflatten: ("dim", "unflattened_size"),
    nn.Dropout: ("p", "inplace"),
    nn.Identity: (),
}
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
}
"""What may stand between the layers of a perceptron of which only the numbers are there."""

_EXPECTED = "a file of save_model, or of tensors only"
_FLOATS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}
_WITH_BIAS = (nn.Linear, nn.Conv1d, nn.Conv2d)
_BY_NAME = {kind.__name__: kind for kind in _LAYERS}


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model and how its file said it is built.

    Attributes:
        model: the model, in evaluation mode.
        source: "description", or "state_dict" if only the numbers were there.
    """

    model: nn.Module
    source: str


def save_model(model: nn.Module, path: str | Path) -> None:
    """Write a model to a file, which appears whole or not at all.

    Args:
        model: ``nn.Sequential``, nested or not, of Linear, Conv1d, Conv2d, BatchNorm1d, BatchNorm2d, ReLU, GELU, Tanh,
            Sigmoid, LeakyReLU, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, Flatten, Unflatten, Dropout, Identity; or one
            of these alone.
        path: file to write; its folder must exist.

    Raises:
        ValueError: a layer is of another kind, carries hooks or parametrizations, or the file cannot be written.

    >>> import tempfile
    >>> place = tempfile.mkdtemp() + "/small.pt"
    >>> save_model(nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)), place)
    >>> load_model(place).model[0]
    Linear(in_features=3, out_features=2, bias=True)
    """
    path = Path(path).expanduser()
    content = {"format": FORMAT, "layers": _described("model", model), "state": model.state_dict()}
    if not path.parent.is_dir() or path.is_dir():
        raise invalid_argument("path", str(path), "a file in a folder that exists")
    written = io.BytesIO()
    torch.save(content, written)
    try:
        write_whole(path, written.getvalue())
    except OSError as error:
        raise invalid_argument("path", f"{path} ({error})", "a file that can be written") from error


def load_model(path: str | Path, *, activation: str | None = None) -> LoadedModel:
    """Read a model from a file of ``save_model``, or of the ``state_dict`` of a plain multilayer perceptron.

    Args:
        path: the file.
        activation: what stands between the layers of a ``state_dict``: "relu", "tanh", "sigmoid", "gelu" or
            "leaky_relu". A file of ``save_model`` says it itself.

    Returns:
        The model in evaluation mode on the CPU, and how the file described it.

    Raises:
        ValueError: there is no such file, it is of another kind, or it is a ``state_dict`` of several layers and no
            activation is given.

    >>> import tempfile
    >>> place = tempfile.mkdtemp() + "/state.pt"
    >>> torch.save(nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)).state_dict(), place)
    >>> [name for name, _ in load_model(place, activation="tanh").model.named_children()]
    ['0', '1', '2']
    """
    if activation is not None and activation not in ACTIVATIONS:
        raise invalid_argument("activation", activation, f"one of {', '.join(ACTIVATIONS)}")
    path = Path(path).expanduser()
    if not path.is_file():
        raise invalid_argument("path", str(path), "a file that is there")
    try:
        refuse_changed(path)
        refuse_long_names(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # Torch's own message advises to run what is in the file.
        raise invalid_argument("path", f"{path}, which holds more than numbers", _EXPECTED) from None
    except Exception as error:
        # A damaged file may break its reader anywhere.
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise invalid_argument("path", f"{path} ({why})", _EXPECTED) from None
    if isinstance(content, Mapping) and content and all(isinstance(value, Tensor) for value in content.values()):
        return LoadedModel(_perceptron(path, content, activation).eval(), "state_dict")
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        raise invalid_argument("path", str(path), f"a file of the format {FORMAT!r}, or the state_dict of a perceptron")
    if activation is not None:
        raise invalid_argument("activation", activation, "none: the file says what stands between its layers")
    try:
        # On no device: a description takes no memory until the numbers are known to fit it.
        with torch.device("meta"):
            model = _built(content["layers"])
        _refuse_other_kinds(model, content["state"])
        model.load_state_dict(content["state"], assign=True)
    except Exception as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise invalid_argument("path", f"{path} ({why})", "a description that fits its numbers") from error
    return LoadedModel(model.eval(), "description")


def _described(name: str, module: nn.Module) -> dict[str, Any]:
    """Kind, arguments and children of a module."""
    if any((module._forward_hooks, module._forward_pre_hooks)):
        raise invalid_argument("model", f"{name!r} with hooks", "layers without hooks: remove gates first")
    if type(module) is nn.Sequential:
        parts = [[key, _described(f"{name}.{key}", part)] for key, part in module.named_children()]
        return {"kind": "Sequential", "parts": parts}
    if type(module) not in _LAYERS:
        known = ", ".join(["Sequential", *_BY_NAME])
        raise invalid_argument("model", f"{name!r} of kind {type(module).__name__}", f"layers of the kinds {known}")
    arguments = {key: getattr(module, key) for key in _LAYERS[type(module)]}
    if isinstance(module, _WITH_BIAS):
        arguments |= {"bias": module.bias is not None, "dtype": str(module.weight.dtype).removeprefix("torch.")}
    return {"kind": type(module).__name__, "arguments": arguments}


def _built(description: Mapping[str, Any]) -> nn.Module:
    """The module that a description stands for."""
    kind = description["kind"]
    if kind == "Sequential":
        model = nn.Sequential()
        for key, part in description["parts"]:
            model.add_module(key, _built(part))
        return model
    if kind not in _BY_NAME:
        raise invalid_argument("path", f"a layer of kind {kind!r}", f"one of Sequential, {', '.join(_BY_NAME)}")
    arguments = dict(description["arguments"])
    maker: Callable[..., nn.Module] = _BY_NAME[kind]
    known = {*_LAYERS[_BY_NAME[kind]], *(("bias", "dtype") if _BY_NAME[kind] in _WITH_BIAS else ())}
    if not arguments.keys() <= known:
        raise KeyError(f"{kind} with {', '.join(sorted(arguments.keys() - known))}")
    if "dtype" in arguments:
        arguments["dtype"] = _FLOATS[arguments["dtype"]]
    return maker(**arguments)


def _refuse_other_kinds(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Refuse numbers of another kind than the described module's, which loading would take over."""
    for name, expected in model.state_dict().items():
        got = state[name]
        if got.dtype != expected.dtype or got.layout is not torch.strided:
            raise TypeError(f"{name} of kind {got.dtype}, {got.layout}")


def _perceptron(path: Path, state: Mapping[str, Tensor], activation: str | None) -> nn.Module:
    """Linear layers with the names, weights and order of a state dictionary, and an activation between them."""
    layers = _linear_layers(path, state)
    if len(layers) == 1 and "" in layers:
        return layers[""]
    if len(layers) > 1 and activation is None:
        expected = f"what stands between the layers, one of {', '.join(ACTIVATIONS)}: the file holds numbers only"
        raise invalid_argument("activation", activation, expected)
    model, names = nn.Sequential(), list(layers)
    for name, layer in layers.items():
        try:
            parent, last = _parent(model, name)
            parent.add_module(last, layer)
        except KeyError as error:
            raise invalid_argument(
                "path", f"{path} with a layer {name!r}", "names that a Sequential can have"
            ) from error
        if name != names[-1]:
            between = str(int(last) + 1) if last.isdigit() else f"{last}_activation"
            if f"{name.removesuffix(last)}{between}" in names:
                between = f"{last}_activation"
            parent.add_module(between, ACTIVATIONS[str(activation)]())
    if [name for name, module in model.named_modules() if isinstance(module, nn.Linear)] != names:
        raise invalid_argument("path", f"{path} with layers {', '.join(names)}", "layers in the order of their groups")
    return model


def _parent(model: nn.Sequential, name: str) -> tuple[nn.Sequential, str]:
    """The Sequential that is to hold a module, made where it is not there, and the last part of the module's name."""
    *groups, last = name.split(".")
    for group in groups:
        if group not in model._modules:
            model.add_module(group, nn.Sequential())
        inner = model._modules[group]
        assert isinstance(inner, nn.Sequential)
        model = inner
    return model, last


def _linear_layers(path: Path, state: Mapping[str, Tensor]) -> dict[str, nn.Linear]:
    """The layers of a state dictionary by name, each of which fits the one before."""
    expected = "the state_dict of a perceptron: pairs of weight (outputs, inputs) and bias, each fitting the next"
    layers: dict[str, nn.Linear] = {}
    used = 0
    for key, weight in state.items():
        name, _, kind = key.rpartition(".")
        if kind != "weight":
            continue
        bias = state.get(key.removesuffix("weight") + "bias")
        used += 1 if bias is None else 2
        if weight.ndim != 2 or (bias is not None and bias.shape != weight.shape[:1]):
            raise invalid_argument("path", f"{path} with {key!r} of shape {tuple(weight.shape)}", expected)
        parts = (weight,) if bias is None else (weight, bias)
        if any(not part.is_floating_point() or part.layout is not torch.strided for part in parts):
            raise invalid_argument("path", f"{path} with {key!r} of kind {weight.dtype}, {weight.layout}", expected)
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=weight.dtype)
        layer.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
        layers[name] = layer
    names = list(layers)
    inside = any(other.startswith(f"{name}.") or name == "" for name in names for other in names if other != name)
    if not layers or used != len(state) or inside:
        raise invalid_argument("path", f"{path} with {', '.join(list(state)[:4])}, ...", expected)
    for left, right in itertools.pairwise(layers.values()):
        if left.out_features != right.in_features:
            raise invalid_argument(
                "path", f"{path}: {left.out_features} outputs before {right.in_features} inputs", expected
            )
    return layers
