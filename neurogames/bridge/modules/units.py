"""Where the units of a network can be gated, found without running it.

A player is an output unit of a Linear ("neurons"), an output channel of a Conv ("filters") or a head of a
MultiheadAttention ("heads"). Its gate stands on the player's own output, with two exceptions:

- a unit whose output goes to one BatchNorm (or InstanceNorm) and nowhere else is gated behind it, since the norm would
  undo a gate before it, and leave its own bias where the gate is 0;
- heads are gated in the weight of the projection that mixes them, as they come out of no module.

What follows what is read from a graph by ``torch.fx``. A model that it cannot follow has no graph: then gates stand
at the units themselves, and the last registered Linear or Conv is taken for the output.
"""

from __future__ import annotations

import copy
import difflib
import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import fx, nn
from torch.nn import functional

from neurogames._arguments import invalid_argument

Unit = Literal["neurons", "filters", "heads"]

KINDS: dict[str, tuple[type[nn.Module], ...]] = {
    "neurons": (nn.Linear,),
    "filters": (nn.Conv1d, nn.Conv2d, nn.Conv3d),
    "heads": (nn.MultiheadAttention,),
}
_MIXING = {
    *(functional.linear, functional.bilinear, functional.conv1d, functional.conv2d, functional.conv3d),
    *(torch.matmul, torch.mm, torch.bmm, torch.einsum, operator.matmul),
}


@dataclass(frozen=True, eq=False)
class Place:
    """Where the units of one module are gated.

    Attributes:
        name: name of the Linear, Conv or MultiheadAttention whose units are the players.
        module: that module.
        at: name of the module that the gate multiplies: itself, its norm, or the projection of the heads.
        units: number of players.
        axes: number of axes that follow the axis of units in the output (space).
        calls: how often the model calls the module; 1 where there is no graph to tell.
    """

    name: str
    module: nn.Module
    at: str
    units: int
    axes: int
    calls: int


def gate_places(model: nn.Module, units: Unit | Sequence[Unit], modules: Sequence[str] | None = None) -> list[Place]:
    """Find the places of the gates, in the order in which their modules are registered.

    Args:
        model: any module.
        units: kinds of players.
        modules: names of the modules to gate; all of these kinds but those that give the model's output if left out.

    Returns:
        The places, at least one.

    Raises:
        ValueError: if a kind or a name is not known, a module is of another kind, or there is nothing to gate.

    >>> model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    >>> [(place.name, place.at, place.units) for place in gate_places(model, "filters")]
    [('0', '1', 3)]
    """
    kinds = [units] if isinstance(units, str) else list(units)
    if not kinds or any(kind not in KINDS for kind in kinds):
        raise invalid_argument("units", units, "'neurons', 'filters', 'heads', or a sequence of these")
    named = dict(model.named_modules())
    inside = {
        child for module in named.values() if isinstance(module, nn.MultiheadAttention) for child in module.modules()
    }
    inside -= {module for module in named.values() if isinstance(module, nn.MultiheadAttention)}
    wanted = tuple(kind for name in dict.fromkeys(kinds) for kind in KINDS[name])
    possible = [name for name, module in named.items() if isinstance(module, wanted) and module not in inside]
    graph = _graph(model)
    if modules is None:
        final = _outputs(graph, named) if graph is not None else _last(named, inside)
        chosen = [name for name in possible if name and name not in final]  # "" is the model, whose units are outputs
    else:
        chosen = _chosen(model, modules, possible, named, kinds)
    if not chosen:
        raise invalid_argument(
            "model", f"{type(model).__name__} without hidden {' or '.join(kinds)}", "at least one unit to gate"
        )
    calls = (
        Counter() if graph is None else Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    )
    norms = {} if graph is None else _norms(graph, named, calls)
    return [_place(name, named[name], norms.get(name, name), calls[name]) for name in chosen]


def _place(name: str, module: Any, at: str, calls: int) -> Place:
    """The place of one module's gates."""
    if isinstance(module, nn.MultiheadAttention):
        return Place(name, module, f"{name}.out_proj".lstrip("."), module.num_heads, 0, max(calls, 1))
    if isinstance(module, nn.Linear):
        return Place(name, module, at, module.out_features, 0, max(calls, 1))
    return Place(name, module, at, module.out_channels, len(module.kernel_size), max(calls, 1))


def _chosen(
    model: nn.Module, modules: Sequence[str], possible: list[str], named: dict[str, nn.Module], kinds: Sequence[str]
) -> list[str]:
    """The named modules under their first names, in the order of registration."""
    if isinstance(modules, str) or not modules:
        raise invalid_argument("modules", modules, "a list of names")
    all_names = dict(model.named_modules(remove_duplicate=False))
    first = {module: name for name, module in named.items()}
    for name in modules:
        if name not in all_names:
            near = difflib.get_close_matches(name, possible, n=3, cutoff=0.4) or possible[:3]
            raise invalid_argument(
                "modules", name, f"names of the model's modules, such as {', '.join(map(repr, near))}"
            )
        if first[all_names[name]] not in possible:
            got = f"{name!r} ({type(all_names[name]).__name__})"
            raise invalid_argument("modules", got, f"modules with {' or '.join(kinds)} of their own")
    wanted = {first[all_names[name]] for name in modules}
    return [name for name in possible if name in wanted]


class _Tracer(fx.Tracer):
    """Goes into everything but attention and modules without children."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Say where the graph stops."""
        return isinstance(m, nn.MultiheadAttention) or super().is_leaf_module(m, module_qualified_name)


def _graph(model: nn.Module) -> fx.Graph | None:
    """Graph of the model; None where it cannot be had.

    Tracing runs the model's own code, which may write to the model, so a copy is traced that shares the tensors.
    """
    try:
        memo = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
        return _Tracer().trace(copy.deepcopy(model, memo))
    except Exception:  # whatever the model's own code raises when it meets a symbol instead of a tensor
        return None


def _outputs(graph: fx.Graph, named: dict[str, nn.Module]) -> set[str]:
    """Names of the Linear and Conv whose units reach the output without being mixed by another layer."""
    found: set[str] = set()
    seen: set[fx.Node] = set()
    todo = [node for node in graph.nodes if node.op == "output"]
    while todo:
        for node in todo.pop().all_input_nodes:
            if node in seen:
                continue
            seen.add(node)
            if node.op == "call_module":
                module = named[str(node.target)]
                if any(weight.ndim > 1 for weight in module.parameters()):
                    found |= _last(
                        {f"{node.target}.{name}".rstrip("."): m for name, m in module.named_modules()}, set()
                    )
                    continue
            if node.op != "call_function" or node.target not in _MIXING:
                todo.append(node)
    return found


def _last(named: dict[str, nn.Module], inside: set[nn.Module]) -> set[str]:
    """The last Linear or Conv in the order of registration, as a set of one or no name."""
    layers = KINDS["neurons"] + KINDS["filters"]
    return set([name for name, module in named.items() if isinstance(module, layers) and module not in inside][-1:])


def _norms(graph: fx.Graph, named: dict[str, nn.Module], calls: Counter[str]) -> dict[str, str]:
    """The norm behind each module whose output goes there and nowhere else, where both are called once."""
    found = {}
    for node in graph.nodes:
        if node.op != "call_module" or calls[str(node.target)] != 1 or len(node.users) != 1:
            continue
        (user,) = node.users
        if user.op == "call_module" and calls[str(user.target)] == 1:
            module, norm = named[str(node.target)], named[str(user.target)]
            units = getattr(module, "out_features", getattr(module, "out_channels", None))
            if isinstance(norm, nn.modules.batchnorm._NormBase) and norm.num_features == units:
                found[str(node.target)] = str(user.target)
    return found
