"""One pass through a network that leaves behind what a backward sweep needs, and a second one that moves the weights.

The model's own call is answered by its recorded operations, so that a closure that calls the model needs no change.
Each tensor that passes from one stage to a later one is handed on as an alias, one for each operation that reads it.
Gradients at the aliases are the parts of the value's slope that go through that operation alone: the state at stage t
consists of the tensors made before t that are read at t or later, and its slope of exactly those parts.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from neurogames._arguments import invalid_argument
from neurogames.bridge.curvature.layer_arrays import layer_inputs, layer_outputs
from neurogames.bridge.dgnopt.operations import Operations, bind_arguments, run_node
from neurogames.bridge.dgnopt.rows import Rows

Edge = tuple[fx.Node, fx.Node]
Columns = Callable[[Tensor, Tensor], Tensor | None]
_DROPOUT = (functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d, torch.dropout)


@dataclass(eq=False)
class RecordedPass:
    """What a pass leaves behind.

    Attributes:
        model: the network.
        operations: what it does.
        stages: stage of each operation.
        layers: the operation of each player's layer, by the layer's name.
        columns: of the outputs (rows, ...) and n times the gradient of the loss at them, the terminal columns (rank,
            rows, ...); None where they are that gradient itself.
        called: how often the model was called with gradients on.
        rank: number of columns.
        rows: number of rows.
        returned: node of the outputs in torch's graph, while recording.
    """

    model: nn.Module
    operations: Operations
    stages: Mapping[fx.Node, int]
    layers: Mapping[str, fx.Node]
    columns: Columns
    called: int = 0
    rank: int = 0
    rows: int = 0
    started: dict[fx.Node, Any] = field(default_factory=dict)
    values: dict[fx.Node, Tensor] = field(default_factory=dict)
    versions: dict[fx.Node, int] = field(default_factory=dict)
    inputs: dict[str, Tensor] = field(default_factory=dict)
    slopes: dict[Any, Tensor] = field(default_factory=dict)
    roots: dict[Any, list[Tensor]] = field(default_factory=dict)
    returned: Any = None
    generators: dict[fx.Node, Tensor] = field(default_factory=dict)
    statistics: dict[fx.Node, tuple[Tensor, Tensor]] = field(default_factory=dict)
    output: Tensor = field(default_factory=lambda: torch.zeros(0))
    generator: Tensor = field(default_factory=torch.get_rng_state)
    autocast: tuple[str, torch.dtype, bool] = ("cpu", torch.float32, False)
    _column: int = -1
    _cost: int | None = None
    _players: Mapping[str, int] = field(default_factory=dict)

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """While open, calls of the model with gradients on are recorded."""
        own = vars(self.model).get("forward")
        answered = self.model.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            return self._forward(*args, **kwargs) if torch.is_grad_enabled() else answered(*args, **kwargs)

        vars(self.model)["forward"] = forward
        try:
            yield
        finally:
            self.returned = None  # its hooks hold this pass, and no collector sees that circle
            del vars(self.model)["forward"]
            if own is not None:
                vars(self.model)["forward"] = own

    def layer_rows(self, name: str) -> Rows:
        """What a layer did to each row."""
        layer = self.model.get_submodule(name)
        inputs = layer_inputs(layer, self.inputs[name].to(next(layer.parameters()).dtype))
        slope = layer_outputs(layer, self.slopes[name]).to(inputs.dtype) * self.rows
        columns = [layer_outputs(layer, each).to(inputs.dtype) * self.rows for each in self.roots.get(name, [])]
        return Rows(inputs, torch.stack(columns), slope) if columns else Rows(inputs, slope.unsqueeze(0))

    @property
    def own_costs(self) -> bool:
        """Whether players have own costs."""
        return self._cost is not None

    def crossings(self, player: int = 0) -> Iterator[tuple[Edge, list[Tensor]]]:
        """Operations that hand a tensor on to a later stage, with the columns (rows, ...) over n of that part.

        Args:
            player: whose cost, where players have own costs.
        """
        cost = player if self.own_costs else None
        for key, slope in self.slopes.items():
            if isinstance(key, tuple) and key[1] == cost:
                yield key[0], self.roots.get(key, [slope] if not self.roots else [])

    @contextlib.contextmanager
    def cost_of(self, player: int, players: Mapping[str, int]) -> Iterator[None]:
        """While open, the own cost of one player is run backward.

        Args:
            player: the player.
            players: player of each layer.
        """
        self._cost, self._players = player, players
        yield

    @contextlib.contextmanager
    def as_before(self) -> Iterator[None]:
        """Autocast as in the first pass."""
        device, dtype, enabled = self.autocast
        if not enabled:
            yield
            return
        with torch.autocast(device, dtype, cache_enabled=False):
            yield

    def check(self) -> None:
        """Refuse tensors between stages that were overwritten."""
        for node, value in self.values.items():
            if value._version != self.versions[node]:
                got = f"an operation that overwrites the result of {node.name!r}, which a later stage reads"
                raise invalid_argument("model", got, "operations that are not in place between stages")

    def rerun(self, before_stage: Callable[[int, dict[fx.Node, Tensor]], None]) -> None:
        """Run the operations again, stage by stage, statistics of norms as they were and masks of dropout the same.

        Args:
            before_stage: called with each stage and the new tensors made before it; it moves the stage's layers.
        """
        order = {node: place for place, node in enumerate(self.operations.nodes)}
        ordered = sorted(order, key=lambda node: (self.stages[node], order[node]))
        env: dict[fx.Node, Any] = dict(self.started)
        kept: dict[fx.Node, Tensor] = {}
        device = self.values[next(iter(self.values))].device if self.values else torch.device("cpu")
        for stage, nodes in itertools.groupby(ordered, key=lambda node: self.stages[node]):
            if stage >= 0:
                before_stage(stage, kept)
            for node in nodes:
                if node.op == "placeholder":
                    continue
                args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda other: env[other])
                if node in self.statistics:
                    env[node] = self._frozen(node, args, kwargs)
                elif node in self.generators:
                    with _generator(device):
                        set_generator(device, self.generators[node])
                        env[node] = run_node(self.model, node, args, kwargs)
                else:
                    env[node] = run_node(self.model, node, args, kwargs)
                if node in self.values:
                    kept[node] = env[node]

    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        """Answer a call of the model."""
        self.called += 1
        device = next(self.model.parameters()).device
        self.generator = get_generator(device)
        if torch.is_autocast_enabled(device.type):
            self.autocast = (device.type, torch.get_autocast_dtype(device.type), True)
        env: dict[fx.Node, Any] = bind_arguments(self.model, self.operations.nodes, args, kwargs)
        self.started = dict(env)
        names = {node: name for name, node in self.layers.items()}
        for node in self.operations.nodes:
            if node.op == "placeholder":
                continue

            handed = {other: self._handed(env[other], (other, node)) for other in node.all_input_nodes}
            inputs, options = fx.node.map_arg((node.args, node.kwargs), handed.__getitem__)
            self._remember(node, inputs, options)
            result = run_node(self.model, node, inputs, options)
            if node in names:
                read: Any = inputs[0] if inputs else options["input"]
                self.inputs[names[node]] = read.detach()
                result.register_hook(self._hook(names[node]))
            env[node] = result
        output = env[self.operations.returned]
        if not isinstance(output, Tensor) or output.ndim == 0:
            raise invalid_argument("model", f"one that returns {type(output).__name__}", "a model that returns rows")
        self.rows, self.output = len(output), output.detach()
        returned = output.view_as(output)
        self.returned = returned.grad_fn
        if returned.requires_grad:
            returned.register_hook(lambda gradient: self._arrived(output, gradient))
        return returned

    def _handed(self, value: Any, edge: Edge) -> Any:
        """A value as another operation reads it: an alias, if it passes on to a later stage."""
        other, node = edge
        if not isinstance(value, Tensor) or not value.requires_grad or self.stages[other] >= self.stages[node]:
            return value
        if other not in self.values:
            self.values[other], self.versions[other] = value.detach(), value._version
        alias = value.view_as(value)
        alias.register_hook(self._hook(edge))
        return alias

    def _remember(self, node: fx.Node, args: Any, kwargs: Any) -> None:
        """What a second run of an operation must have in common with the first."""
        module = self.model.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and (module.training or module.running_mean is None):
            x: Tensor = args[0] if args else kwargs["input"]
            axes = [axis for axis in range(x.ndim) if axis != 1]
            wide = torch.promote_types(x.dtype, torch.float32)
            variance, mean = torch.var_mean(x.detach().to(wide), dim=axes, correction=0)
            self.statistics[node] = (mean, variance)
        elif (isinstance(module, nn.modules.dropout._DropoutNd) and module.training) or node.target in _DROPOUT:
            device = next(value.device for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
            self.generators[node] = get_generator(device)

    def _frozen(self, node: fx.Node, args: Any, kwargs: Any) -> Tensor:
        """A batch norm with the statistics of the first pass."""
        x: Tensor = args[0] if args else kwargs["input"]
        module: Any = self.model.get_submodule(str(node.target))
        mean, variance = self.statistics[node]
        return functional.batch_norm(x, mean, variance, module.weight, module.bias, eps=module.eps)

    def _hook(self, key: Any) -> Callable[[Tensor], None]:
        """Keeps a gradient: of the loss, or of the column that is on its way."""

        def keep(gradient: Tensor) -> None:
            if isinstance(key, str) and self._cost is not None and self._players[key] != self._cost:
                return
            place = key if isinstance(key, str) else (key, self._cost)
            if self._column < 0:
                self.slopes[place] = gradient.detach()
            else:
                self.roots.setdefault(place, []).append(gradient.detach())

        return keep

    def _arrived(self, output: Tensor, gradient: Tensor) -> None:
        """The loss has sent its gradient back: send the terminal columns first, through the same operations."""
        if self._column >= 0:
            return
        columns = self.columns(output.detach(), gradient.detach() * self.rows)
        self.rank = 1 if columns is None else len(columns)
        if columns is None:
            return
        weights = [each for each in self.model.parameters() if each.requires_grad]
        for self._column, column in enumerate(columns):
            torch.autograd.grad(output, weights, column / self.rows, retain_graph=True, allow_unused=True)
        self._column = -1


def get_generator(device: torch.device) -> Tensor:
    """State of the generator of a device."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def set_generator(device: torch.device, state: Tensor) -> None:
    """Set the generator of a device."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)


@contextlib.contextmanager
def _generator(device: torch.device) -> Iterator[None]:
    """Put the generator of a device back afterwards."""
    state = get_generator(device)
    try:
        yield
    finally:
        set_generator(device, state)
