"""One step of the game: slopes of a recorded pass, the sweep backward, and the second pass in which layers move."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.curvature.layer_arrays import layer_weights
from neurogames.bridge.curvature.layer_batches import ALIKE, product_and_error
from neurogames.bridge.dgnopt.curvatures import NetworkCurvature
from neurogames.bridge.dgnopt.layer_rules import DiagonalCurvature, IdentityRule
from neurogames.bridge.dgnopt.recorded_pass import Edge, RecordedPass
from neurogames.bridge.dgnopt.rows import Rows
from neurogames.bridge.dgnopt.settings import GameSettings
from neurogames.bridge.dgnopt.stages import StageGraph
from neurogames.bridge.dgnopt.step_report import Skipped, StepReport
from neurogames.bridge.dgnopt.sweep import Gains, Sweep, sweep_back

_FALLBACK_DECAY = 0.95


@dataclass(eq=False)
class GameStep:
    """One step.

    Attributes:
        recorded: the pass of the closure.
        graph: layers in the alignment of this step.
        groups: the settings of each parameter.
        state: of the optimizer, by parameter; it is written to.
        game: settings.
    """

    recorded: RecordedPass
    graph: StageGraph
    groups: Mapping[nn.Parameter, dict[str, Any]]
    state: MutableMapping[Any, Any]
    game: GameSettings
    _buffers: dict[Tensor, Tensor] = field(default_factory=dict)
    _clamped: float = 0.0
    _sizes: list[Tensor] = field(default_factory=list)
    _seen: dict[tuple[int, Edge], Tensor] = field(default_factory=dict)

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """Layers that have a gradient."""
        found = self.recorded.slopes
        return tuple(name for name in self.graph.layers if name in found and self._layer(name).weight.grad is not None)

    @cached_property
    def rows(self) -> dict[str, Rows]:
        """What each layer did to each row."""
        return {name: self.recorded.layer_rows(name) for name in self.layers}

    def memory(self, name: str) -> dict[str, Any]:
        """What is remembered of a layer."""
        found: dict[str, Any] = self.state[self._layer(name).weight].setdefault("curvature", {})
        return found

    def group(self, name: str) -> dict[str, Any]:
        """Settings of a layer."""
        return self.groups[self._layer(name).weight]

    def check(self) -> None:
        """Refuse what cannot be done right, before anything changes.

        Raises:
            ValueError: the loss does not depend on the model, a tensor between stages has other rows than the outputs
                or was overwritten.
        """
        if not self.layers:
            raise invalid_argument("closure", "no gradient at any layer", "a loss of the model's outputs, run backward")
        self.recorded.check()
        rows = self.recorded.rows
        tensors = {name: self.recorded.inputs[name] for name in self.layers}
        tensors |= {node.name: value for node, value in self.recorded.values.items()}
        for name, value in tensors.items():
            if value.ndim == 0 or len(value) != rows:
                got = f"{name!r} with shape {tuple(value.shape)} between {rows} rows of outputs"
                raise invalid_argument("model", got, "rows as the first axis of every tensor that passes on to a layer")

    def finite_slopes(self) -> bool:
        """Whether all gradients are finite; says of ``rows`` which gradients are just their sums too."""
        tests = []
        for name, rows in self.rows.items():
            layer = self._layer(name)
            bias = None if layer.bias is None else layer.bias.grad
            if rows.inputs.shape[1] == 1:
                mean = rows.gradient(None) / self.recorded.rows
                tests.append((name, *product_and_error(rows.inputs, mean, layer.weight.grad, bias)))
        slopes = [each.grad for each in self.groups if each.grad is not None]
        known = [each for _, *pair in tests for each in pair]
        norms = torch.stack(torch._foreach_norm([*slopes, *known])).tolist()
        for (name, *_), size, error in zip(tests, norms[len(slopes) :: 2], norms[len(slopes) + 1 :: 2], strict=True):
            self.rows[name] = replace(self.rows[name], is_sum=error <= ALIKE * size)
        return all(map(math.isfinite, norms[: len(slopes)]))

    def take(self, curvature: NetworkCurvature) -> Skipped | None:
        """Solve the game and move; or say why not, and weights and momentum are as they were.

        A curvature that cannot be inverted begins anew with the next batch.
        """
        before = {each: each.clone() for each in self.groups}
        try:
            self._solve_and_move(curvature)
            finite = bool(torch.isfinite(torch.stack(torch._foreach_norm(list(before)))).all())
            skipped: Skipped | None = None if finite else "not finite"
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # torch does not list it
            skipped = "curvature not positive definite"
            for memory in self.state.values():
                memory.pop("curvature", None)
        if skipped is not None:
            torch._foreach_copy_(list(before), list(before.values()))
            return skipped
        for each, buffer in self._buffers.items():
            self.state[each]["momentum_buffer"] = buffer
        return None

    def _solve_and_move(self, curvature: NetworkCurvature) -> None:
        """Gains backward, then moves forward."""
        game = self.game
        by_stage: list[dict[str, int]] = [{} for _ in range(self.graph.n_stages)]
        for name in self.layers:
            data = self.graph.graph.nodes[name]
            by_stage[data["stage"]][name] = data["player"]
        sweep = sweep_back(
            by_stage,
            self.rows,
            {name: self._slope(name) for name in self.layers},
            curvature,
            feedback=game.feedback,
            cooperative=game.cooperative,
            contracted=game.value == "contracted",
        )
        self._clamped = float(sweep.clamped)
        times = 1 if game.cooperative else game.players
        self._move_rest(game.players)
        if game.feedback:
            self._move_forward(sweep, times)
        else:
            for gains in (each for stage in sweep.stages for each in stage):
                self._move_group(gains, None, times)

    def report(
        self, skipped: Skipped | None, *, reward: float | None, seconds: float, pairs: Collection[tuple[str, str]]
    ) -> StepReport:
        """What the step did."""
        stages, places = self.graph.alignment, {name: rows.inputs.shape[1] for name, rows in self.rows.items()}
        alone = [
            (u, v)
            for u, v in sorted(pairs)
            if stages[u] == stages[v] and u in places and v in places and places[u] != places[v]
        ]
        opened, fed = (
            float(torch.stack(part).norm()) if part else 0.0 for part in (self._sizes[::2], self._sizes[1::2])
        )
        share = fed / opened if opened else 0.0
        return StepReport(skipped is None, self._clamped, share, stages, reward, seconds, skipped, tuple(alone))

    def _layer(self, name: str) -> Any:
        """A layer."""
        return self.recorded.model.get_submodule(name)

    def _slope(self, name: str) -> Tensor:
        """Gradient of the whole loss in the weights of a layer, (d_out, d_in)."""
        layer = self._layer(name)
        return layer_weights(layer, layer.weight.grad, None if layer.bias is None else layer.bias.grad)

    def _move_forward(self, sweep: Sweep, times: int) -> None:
        """The second pass: at each stage, see the state and move."""
        kept_buffers = {name: buffer.clone() for name, buffer in self.recorded.model.named_buffers()}

        def before_stage(stage: int, new: dict[fx.Node, Tensor]) -> None:
            if stage < len(sweep.stages):
                seen = {gains.player: self._deviation(stage, new, gains.player) for gains in sweep.stages[stage]}
                for gains in sweep.stages[stage]:
                    self._move_group(gains, seen[gains.player], times)

        with self.recorded.as_before():
            self.recorded.rerun(before_stage)
        for name, buffer in self.recorded.model.named_buffers():
            buffer.copy_(kept_buffers[name])

    def _deviation(self, stage: int, new: Mapping[fx.Node, Tensor], player: int = 0) -> Tensor | None:
        """Zbar'dx of each row at a stage, (rows, rank), with the columns of a player's cost; None if all is given."""
        recorded = self.recorded
        first = next(iter(self.rows.values())).columns
        total: Tensor | None = None
        for edge, columns in recorded.crossings(player):
            made, read = (recorded.stages[node] for node in edge)
            if made < stage <= read and columns:
                key = (player if recorded.own_costs else 0, edge)
                if key not in self._seen:
                    dx = (new[edge[0]] - recorded.values[edge[0]]).flatten(1)
                    products = [(column.flatten(1) * dx).sum(dim=1) for column in columns]
                    self._seen[key] = torch.stack(products, dim=1).to(first.dtype) * recorded.rows
                total = self._seen[key] if total is None else total + self._seen[key]
        return total

    def _move_group(self, gains: Gains, seen: Tensor | None, times: int) -> None:
        """Move layers that act together."""
        moves = gains.turned
        opened = [k.norm() for k in moves]
        if seen is not None and gains.weights is not None:
            extra = gains.turned_feedback(seen)
            for name, each in zip(gains.layers, extra, strict=True):
                each.mul_(self.group(name)["feedback_scale"])
            moves = [k + each for k, each in zip(moves, extra, strict=True)]
            self._sizes += [part for pair in zip(opened, (each.norm() for each in extra), strict=True) for part in pair]
        else:
            self._sizes += [part for norm in opened for part in (norm, torch.zeros_like(norm))]
        moves = moves if times == 1 else [times * move for move in moves]
        for name, move in zip(gains.layers, gains.metric.back(moves), strict=True):
            layer = self._layer(name)
            self._move(layer.weight, (move if layer.bias is None else move[:, :-1]).reshape(layer.weight.shape))
            if layer.bias is not None:
                self._move(layer.bias, move[:, -1])

    def _move_rest(self, players: int) -> None:
        """A plain step of all parameters that are no player's."""
        played = {each for name in self.layers for each in self._layer(name).parameters()}
        for each, group in self.groups.items():
            if each.grad is None or each in played:
                continue
            memory = self.state[each].setdefault("curvature", {})
            if isinstance(self.game.rule, IdentityRule | DiagonalCurvature):
                slope = self.game.rule.smooth(memory, each.grad)
                metric = self.game.rule.metric(memory, damping=group["damping"], players=players)
                self._move(each, slope if metric.weights is None else slope / metric.weights)
            else:  # of noise, rows times the square of a mean is the mean square
                square = memory.setdefault("square", each.grad.square())
                square.lerp_(each.grad.square(), 1 - _FALLBACK_DECAY)
                self._move(each, players * each.grad / (self.recorded.rows * square + group["damping"]))

    def _move(self, parameter: nn.Parameter, move: Tensor) -> None:
        """Momentum, weight decay and the learning rate."""
        group = self.groups[parameter]
        if group["momentum"]:
            known = self.state[parameter].get("momentum_buffer")
            move = move.clone() if known is None else torch.add(move, known, alpha=group["momentum"])
            self._buffers[parameter] = move
        if group["weight_decay"]:
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(move, alpha=-group["lr"])
