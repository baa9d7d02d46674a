"""The game of a small network with dense matrices, from Jacobians: the slow twin of the sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurogames.bridge.curvature.layer_arrays import layer_weights
from neurogames.bridge.dgnopt.closure_pass import run_closure
from neurogames.bridge.dgnopt.game_step import GameStep
from neurogames.bridge.dgnopt.layer_rules import IdentityRule
from neurogames.bridge.dgnopt.metric import StageMetric
from neurogames.bridge.dgnopt.network_plan import NetworkPlan
from neurogames.bridge.dgnopt.rows import Rows
from neurogames.bridge.dgnopt.settings import GameSettings
from neurogames.bridge.dgnopt.terminal import terminal_columns

SETTINGS = GameSettings(IdentityRule(), True, False, "exact", "contracted", "gradient", 1, 1)
Weights = Mapping[str, Tensor]  # W (d_out, d_in + 1) of each layer


@dataclass
class DenseMetric(StageMetric):
    """Curvature of several layers as one matrix."""

    matrix: Tensor
    shapes: list[torch.Size]
    inverse: Tensor | None = None

    @property
    def exact(self):
        return self.inverse is None

    def _apply(self, matrix: Tensor, parts: Sequence[Tensor]) -> list[Tensor]:
        lead = parts[0].shape[:-2]
        flat = torch.cat([part.reshape(*lead, -1) for part in parts], dim=-1) @ matrix.T
        pieces = flat.split([shape.numel() for shape in self.shapes], dim=-1)
        return [piece.reshape(*lead, *shape) for piece, shape in zip(pieces, self.shapes, strict=True)]

    def direction(self, slopes):
        return self._apply(torch.linalg.inv(self.matrix) if self.inverse is None else self.inverse, slopes)

    def curve(self, moves):
        return self._apply(self.matrix, moves)

    def gram(self, rows: Sequence[Rows]):
        u = [own.slopes() for own in rows]
        return sum(torch.einsum("rjoi,rkoi->rjk", a, b) for a, b in zip(u, self.direction(u), strict=True))


@dataclass
class DenseCurvature:
    """Q_uu = mean over rows of F_u' V_xx F_u + damping, all layers of a group together; or fixed matrices."""

    rows: Mapping[str, Rows]
    damping: float
    fixed: Callable[[Sequence[str]], DenseMetric] | None = None

    def observe(self, names, slopes, rows, value, *, needed):
        if value.columns:
            slopes = [slope - own.mean_slope(value.taken) for slope, own in zip(slopes, rows, strict=True)]
        return list(slopes), list(rows)

    def metric(self, names, value):
        if self.fixed is not None:
            return self.fixed(names)
        parts = [self.rows[name].slopes() for name in names]
        u = torch.cat([part.flatten(2) for part in parts], dim=2)  # (rows, rank, m)
        matrix = torch.einsum("rjm,rjk,rkn->mn", u, value.weights, u) / len(u)
        return DenseMetric(
            matrix + self.damping * torch.eye(len(matrix), dtype=matrix.dtype), [part.shape[-2:] for part in parts]
        )


def record(model: nn.Module, x: Tensor, loss, alignment=None, terminal="gradient", rank=1) -> GameStep:
    """A recorded pass of a model, as a step of the game."""
    plan = NetworkPlan.of(model, set(model.parameters()), ())
    graph = plan.graph if alignment is None else plan.graph.aligned(alignment)
    recorded, _ = plan.start(model, graph.alignment, lambda y, g: terminal_columns(terminal, rank, y, g))
    model.zero_grad()

    def closure():
        value = loss(model(x))
        if isinstance(value, Tensor):
            value.backward()
        return value

    run_closure(closure, recorded, graph, list(model.parameters()), cooperative=False)
    plan.check(model, recorded)
    step = GameStep(recorded, graph, {each: {} for each in model.parameters()}, {}, SETTINGS)
    step.check()
    return step


def by_stage(step: GameStep) -> list[dict[str, int]]:
    """Layers and players of each stage."""
    found: list[dict[str, int]] = [{} for _ in range(step.graph.n_stages)]
    for name in step.layers:
        found[step.graph.graph.nodes[name]["stage"]][name] = step.graph.graph.nodes[name]["player"]
    return found


def sweep_arguments(step: GameStep):
    """What ``sweep_back`` takes of a step."""
    return (
        by_stage(step),
        step.rows,
        {name: step._slope(name) for name in step.layers},
    )


@dataclass
class Stage:
    """One stage as a function of the weights of its layers and the state of one row, and their names and players."""

    act: Callable[[Weights, Tensor], Tensor]
    players: dict[str, int]


def affine(W: Tensor, x: Tensor) -> Tensor:
    return W[:, :-1] @ x + W[:, -1]


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """W of all Linear layers."""
    return {
        name: layer_weights(layer).detach() for name, layer in model.named_modules() if isinstance(layer, nn.Linear)
    }


def jacobians(stages: Sequence[Stage], weights: Weights, x: Tensor):
    """Of each stage of one row: states, F_x, and F_u of each layer (n', d_out * d_in)."""
    found, state = [], x
    for stage in stages:
        own = {name: weights[name] for name in stage.players}
        F_x = torch.func.jacrev(lambda z, own=own, stage=stage: stage.act(own, z))(state)
        F_u = torch.func.jacrev(lambda u, state=state, stage=stage: stage.act(u, state))(own)
        found.append((state, F_x, {name: each.flatten(1) for name, each in F_u.items()}))
        state = stage.act(own, state)
    return found, state
