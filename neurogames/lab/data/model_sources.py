"""A network from wherever it is: a function that builds it, a file of this project, TorchScript, or torch.export.

    package.module:function    called without arguments; its weights may come from a file with a state dictionary
    a file of save_model       or the state dictionary of a plain perceptron, see ``models``
    TorchScript                what torch.jit.save wrote
    torch.export               what torch.export.save wrote; it must leave the number of rows open

No file is unpickled. torch itself falls back to pickle where a torch.export file holds more than tensors, so that its
own switch against that is set while such a file is read.
"""

from __future__ import annotations

import importlib
import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from neurogames._arguments import invalid_argument
from neurogames.lab.data.models import load_model
from neurogames.lab.data.whole_zip import refuse_changed, refuse_long_names
from neurogames.lab.environment import environment_variable

_TENSORS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # keeps torch from falling back to pickle


def read_model(source: str, *, weights: str | Path | None = None, activation: str | None = None) -> nn.Module:
    """Make a model that somebody names.

    Args:
        source: "package.module:function", or the path of a file; see the module.
        weights: file with the state dictionary of what a function builds.
        activation: between the layers of a file of weights only, as for ``load_model``.

    Returns:
        The model, in evaluation mode, on the CPU.

    Raises:
        ValueError: there is no such function or file, it makes or holds no model, or it would have to be unpickled.

    >>> read_model("torch.nn:Identity")
    Identity()
    """
    path = Path(source).expanduser()
    if not path.is_file() and ":" in source:
        if activation is not None:
            raise invalid_argument("activation", activation, "none: a function builds the whole network")
        model = _built(source)
        if weights is not None:
            _fill(model, Path(weights).expanduser())
        return model.eval()
    if weights is not None:
        raise invalid_argument("weights", str(weights), "none: the file of a model has its own")
    if not path.is_file():
        raise invalid_argument("model", source, "package.module:function, or a file that is there")
    members = _members(path)
    names = {member.rpartition("/")[2] for member in members}
    if "constants.pkl" in names:
        return _scripted(path)
    if any(name.startswith("serialized_exported_program") or "/models/" in f"/{name}" for name in members):
        return _exported(path)
    return load_model(path, activation=activation).model


def _members(path: Path) -> set[str]:
    """Names of the parts of a zip file; none of a damaged one, which is refused as what it is not."""
    try:
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error):
        return set()


def _built(source: str) -> nn.Module:
    """What a function of that name makes."""
    module, _, name = source.partition(":")
    expected = "package.module:function, a function that can be imported and builds a torch module"
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise invalid_argument("model", f"{source} ({error})", expected) from error
    if not callable(function):
        raise invalid_argument("model", f"{source}, a {type(function).__name__}", expected)
    try:
        model = function()
    except TypeError as error:
        raise invalid_argument("model", f"{source} ({error})", "a function without arguments") from error
    if not isinstance(model, nn.Module):
        raise invalid_argument("model", f"{source}, which gives a {type(model).__name__}", expected)
    return model


def _fill(model: nn.Module, path: Path) -> None:
    """Put the numbers of a file into a model."""
    if not path.is_file():
        raise invalid_argument("weights", str(path), "a file that is there")
    try:
        refuse_changed(path)
        refuse_long_names(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, Mapping):
            raise TypeError(f"it holds a {type(state).__name__}")
        model.load_state_dict(state)
    except Exception as error:
        # Torch's own message on what is no tensor advises to run what is in the file.
        refused = isinstance(error, pickle.UnpicklingError)
        why = "more than tensors" if refused else f"{type(error).__name__}: {error}".splitlines()[0]
        raise invalid_argument("weights", f"{path} ({why})", "a state dictionary of tensors that fits") from None


def _scripted(path: Path) -> nn.Module:
    try:
        refuse_changed(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            model: nn.Module = torch.jit.load(path, map_location="cpu")
    except Exception as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise invalid_argument("model", f"{path} ({why})", "a whole TorchScript file") from None
    return model.eval()


def _exported(path: Path) -> nn.Module:
    try:
        refuse_changed(path)
        with environment_variable(_TENSORS_ONLY, "1"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model: nn.Module = torch.export.unflatten(torch.export.load(path))
    except Exception as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise invalid_argument("model", f"{path} ({why})", "a file of torch.export with tensors only") from None
    for module in model.modules():
        graph = getattr(module, "graph", None)
        for node in graph.nodes if graph is not None else ():
            node.meta.clear()  # the stand-ins of its recording, which nobody can copy
    return model.eval()
