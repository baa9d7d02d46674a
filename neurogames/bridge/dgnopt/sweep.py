"""The backward sweep: gains of all layers, from the last stage to the first.

At a stage, with the value after it (``value``), the slope of each layer is Q_u = mean over rows of F_u'V_x, curvature
comes from its rule, and the open gain is k = C^-1 Q_u. Feedback needs no matrix: for a row with deviation dx,

    K dx = C^-1 Ubar (M M') (Zbar'dx),

a weighted sum of the row's slopes, then the preconditioner. Players that do not cooperate carry a value each, from
which only their own layers take; those that cooperate share one, and their layers of one stage solve for k together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from neurogames.bridge.dgnopt.metric import StageMetric
from neurogames.bridge.dgnopt.rows import Rows
from neurogames.bridge.dgnopt.value import Value


class Curvature(Protocol):
    """Learns from a batch, and says how layers that act together curve."""

    def observe(
        self, names: Sequence[str], slopes: Sequence[Tensor], rows: Sequence[Rows], value: Value, *, needed: bool
    ) -> tuple[list[Tensor], list[Any]]:
        """Take the batch of some layers in.

        Args:
            names: layers of one stage that act together.
            slopes: slope of the whole cost in the weights (d_out, d_in) of each.
            rows: of each.
            value: the cost-to-go behind their stage.
            needed: whether the value before the stage will be asked for.

        Returns:
            The slopes that k is made of, and the rows, in the coordinates of the metric.
        """
        ...

    def metric(self, names: Sequence[str], value: Value) -> StageMetric:
        """Their curvature, after ``observe``.

        Args:
            names: the same layers.
            value: the cost-to-go behind their stage; what is estimated from slopes alone does not look at it.
        """
        ...


@dataclass(frozen=True, eq=False)
class Gains:
    """What a group of layers of one stage will do.

    Attributes:
        layers: their names.
        turned: k of each (d_out, d_in), in the coordinates of the metric.
        metric: C.
        weights: M M' (rows, rank, rank) of the value after the stage; None without feedback.
        rows: what each did to each row, in the coordinates of the metric or not.
        player: the player, 0 where all cooperate.
    """

    layers: tuple[str, ...]
    turned: list[Tensor]
    metric: StageMetric
    weights: Tensor | None
    rows: list[Rows] = field(repr=False)
    player: int = 0

    @property
    def opens(self) -> list[Tensor]:
        """K of each layer, (d_out, d_in)."""
        return self.metric.back(self.turned)

    def feedback(self, seen: Tensor) -> list[Tensor]:
        """Mean over rows of K dx, for Zbar'dx (rows, rank)."""
        return self.metric.back(self.turned_feedback(seen))

    def turned_feedback(self, seen: Tensor) -> list[Tensor]:
        """The same in the coordinates of the metric."""
        if self.weights is None:
            return [torch.zeros_like(each) for each in self.turned]
        weights = (self.weights @ seen.unsqueeze(-1)).squeeze(-1)
        return self.metric.divide(self.metric.mean_slope(self.rows, weights))


@dataclass(frozen=True, eq=False)
class Sweep:
    """Gains of all layers.

    Attributes:
        stages: for each stage the groups of layers that act together.
        clamped: share of the columns of rows at which the quadratic was not convex.
    """

    stages: list[list[Gains]]
    clamped: Tensor


def sweep_back(
    stages: Sequence[Mapping[str, int]],
    rows: Mapping[str, Rows],
    slopes: Mapping[str, Tensor],
    curvature: Curvature,
    *,
    feedback: bool,
    cooperative: bool,
    contracted: bool,
) -> Sweep:
    """Gains from the last stage to the first.

    Args:
        stages: for each stage, player of each layer that moves.
        rows: of each layer.
        slopes: slope of the whole cost in each layer's weights, (d_out, d_in), costs of the stage among them.
            Where players have own costs, slopes and rows of a layer are those of its player.
        curvature: of the layers.
        feedback: whether players see the state.
        cooperative: whether all players minimise together.
        contracted: whether the value knows that layers move (False: Gauss-Newton, V_xx = Q_xx).

    Returns:
        The gains.
    """
    first = next(iter(rows.values()))
    terminal = Value.terminal(first.columns.shape[1], len(first.columns), first.columns)
    values: dict[int, Value] = {}
    found: list[list[Gains]] = []
    keys = [{0 if cooperative else player for player in layers.values()} for layers in stages]
    for stage, layers in reversed(list(enumerate(stages))):
        earlier = set().union(*keys[:stage])
        groups: dict[int, list[str]] = {}
        for name, player in layers.items():
            groups.setdefault(0 if cooperative else player, []).append(name)
        gains = []
        for player, names in groups.items():
            value = values.get(player, terminal)
            needed = feedback and contracted and player in earlier
            own = [rows[name] for name in names]
            smooth, looked = curvature.observe(names, [slopes[name] for name in names], own, value, needed=needed)
            metric = curvature.metric(names, value)
            k = metric.divide(smooth)
            if needed:
                values[player] = _before(value, metric, looked, smooth, k)
            kept = [each if isinstance(each, Rows) else raw for each, raw in zip(looked, own, strict=True)]
            gains.append(Gains(tuple(names), k, metric, value.weights if feedback else None, kept, player))
        found.append(gains)
    counted = sum(value.columns for value in values.values())
    clamped = sum((value.clamped for value in values.values()), torch.zeros_like(terminal.clamped))
    return Sweep(found[::-1], clamped / max(counted, 1))


def _before(
    value: Value, metric: StageMetric, rows: Sequence[Any], slopes: Sequence[Tensor], k: Sequence[Tensor]
) -> Value:
    """The value one stage earlier, from rows, slopes and k in the coordinates of the metric."""
    taken = metric.along(rows, k)
    if metric.exact:
        return value.before(metric.gram(rows), taken)
    # Gains H Q_u with H another matrix than C^-1: U'H'C H U and U'H'(Q_u - C k) row by row.
    curved = metric.curve(k)
    left = [Q - each for Q, each in zip(slopes, curved, strict=True)]
    u = [own.slopes() for own in rows]
    moves = metric.direction(u)
    first = sum(torch.einsum("rjoi,rkoi->rjk", a, b) for a, b in zip(u, moves, strict=True))
    second = sum(torch.einsum("rjoi,rkoi->rjk", a, b) for a, b in zip(moves, metric.curve(moves), strict=True))
    rest = sum(torch.einsum("rjoi,oi->rj", a, b) for a, b in zip(moves, left, strict=True))
    assert isinstance(first, Tensor)
    return value.before(first + first.mT - second, taken + rest)
