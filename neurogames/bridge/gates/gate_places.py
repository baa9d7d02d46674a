"""Where the units of a network can be gated, found without running it.

A player's gate stands on the player's own output, with two exceptions:

- a unit whose output goes to one BatchNorm (or InstanceNorm) and nowhere else is gated behind it, since the norm would
  undo a gate before it, and leave its own bias where the gate is 0;
- heads are gated in the weight of the projection that mixes them, as they come out of no module.

What follows what is read from the graph of the model. Without a graph, gates stand at the units themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.modules.graph import ModelGraph, model_graph, turned_linear
from neurogames.bridge.modules.hooks import known_module
from neurogames.bridge.modules.reach import layers_read, refuse_read
from neurogames.bridge.modules.units import UNIT_KINDS, Unit, layers_of, output_layers, space_axes, unit_count


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
        recorded: whether there is a graph, which shows that the model does not read the weights past that call.
    """

    name: str
    module: nn.Module
    at: str
    units: int
    axes: int
    calls: int
    recorded: bool


def gate_places(model: nn.Module, units: Unit | Sequence[Unit], modules: Sequence[str] | None = None) -> list[Place]:
    """Find the places of the gates, in the order in which their modules are registered.

    Args:
        model: any module.
        units: kinds of players.
        modules: names of the modules to gate; if left out all of these kinds, but for those that give the model's
            output, and those whose weights are read past their call, where no gate would be seen.

    Returns:
        The places, at least one.

    Raises:
        ValueError: if a kind or a name is not known, a module is of another kind, or there is nothing to gate.

    >>> model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    >>> [(place.name, place.at, place.units) for place in gate_places(model, "filters")]
    [('0', '1', 3)]
    """
    kinds: list[Unit] = [units] if isinstance(units, str) else list(units)
    if not kinds or any(kind not in UNIT_KINDS for kind in kinds):
        raise invalid_argument("units", units, "'neurons', 'filters', 'heads', or a sequence of these")
    wanted = tuple(kind for name in dict.fromkeys(kinds) for kind in UNIT_KINDS[name])
    wanted += turned_linear() if "neurons" in kinds else ()
    possible = layers_of(model, wanted)
    graph = model_graph(model)
    read = set() if graph is None else layers_read(graph)
    if modules is None:
        left_out = output_layers(model, graph) | read  # the model's own units are its outputs
        chosen = [name for name in possible if name and name not in left_out]
    else:
        chosen = _chosen(model, modules, possible, kinds)
        refuse_read([name for name in chosen if name in read])
    if not chosen:
        raise invalid_argument(
            "model",
            f"{type(model).__name__} without hidden {' or '.join(kinds)}",
            "at least one unit to gate, of a module that is called",
        )
    calls: Counter[str] = Counter() if graph is None else graph.calls
    norms = {} if graph is None else _norms(graph)
    recorded = graph is not None
    return [_place(name, possible[name], norms.get(name, name), max(calls[name], 1), recorded) for name in chosen]


def _place(name: str, module: nn.Module, at: str, calls: int, recorded: bool) -> Place:
    """The place of one module's gates."""
    at = f"{name}.out_proj".lstrip(".") if isinstance(module, nn.MultiheadAttention) else at
    return Place(name, module, at, unit_count(module), space_axes(module), calls, recorded)


def _chosen(
    model: nn.Module, modules: Sequence[str], possible: dict[str, nn.Module], kinds: Sequence[str]
) -> list[str]:
    """The named modules under their first names, in the order of registration."""
    if isinstance(modules, str) or not modules:
        raise invalid_argument("modules", modules, "a list of names")
    first = {module: name for name, module in possible.items()}
    wanted = set()
    for name in modules:
        module = model if name == "" else known_module(model, name, argument="modules", among=possible)
        if module not in first:
            got = f"{name!r} ({type(module).__name__})"
            raise invalid_argument("modules", got, f"modules with {' or '.join(kinds)} of their own")
        wanted.add(first[module])
    return [name for name in possible if name in wanted]


def _norms(graph: ModelGraph) -> dict[str, str]:
    """The norm behind each module whose output goes there and nowhere else, where both are called once."""
    found = {}
    calls = graph.calls
    for node in graph.nodes:
        if node.op != "call_module" or calls[str(node.target)] != 1 or len(node.users) != 1:
            continue
        (user,) = node.users
        if user.op == "call_module" and calls[str(user.target)] == 1:
            module, norm = graph.module(node), graph.module(user)
            if module is None:
                continue
            units = getattr(module, "out_features", getattr(module, "out_channels", None))
            # InstanceNorm has axes of space behind its channels, and so other channels than a Linear.
            kind = nn.modules.batchnorm._NormBase if space_axes(module) else nn.modules.batchnorm._BatchNorm
            if isinstance(norm, kind) and norm.num_features == units:
                found[str(node.target)] = str(user.target)
    return found
