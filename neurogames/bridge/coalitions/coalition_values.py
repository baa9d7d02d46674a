"""The units of a layer as players of a coalition game: what is the network worth with only some of them?

v(S) is the mean over the rows of a worth of the network's outputs when only the units in S keep their values and all
others are replaced (``masked_network`` says by what). v is used as it is: v(empty) is the worth of the network without
the layer's units, it is not subtracted, and values of players add up to v(all) - v(empty)::

    "accuracy"  share of rows whose largest output is that of their class (the first one among several)
    "loss"      minus the mean loss: cross-entropy for class ids, squared error for floating targets
    "logit"     mean output of the right class

As a mean, v is made of one game for each row, and an estimate need not ask all rows for the same coalitions
(``neurogames.engine.coalitions.values_by_components``): a budget is then counted for each row.

The game remembers everything by copies and is then a fixed function: the same coalition is always worth the same, up
to rounding (how many coalitions are asked for together decides how products are summed).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.coalitions.masked_network import Baseline, along_orders, masked_network, mean_over_rows
from neurogames.bridge.coalitions.masked_runs import MaskedNetwork, Whole
from neurogames.bridge.coalitions.right_answers import right_answers
from neurogames.bridge.modules.data import data_pair
from neurogames.games.coalition import FunctionCoalitionGame, coalition_array, permutations_array

Metric = Literal["accuracy", "loss", "logit"] | Callable[[Tensor, Tensor], Tensor]
Score = Callable[[Tensor, Tensor], Tensor]  # outputs (rows, m, ...), targets (rows, ...) -> (m, rows) worths

MEMORY = 512 * 2**20


@dataclass(frozen=True, eq=False)
class NetworkCoalitionGame:
    """A coalition game of the units of one layer; made by :func:`coalition_game`.

    Attributes:
        layer: name of the layer.
        metric: what a network is worth.
        baseline: what replaces the values of a unit outside the coalition.
        unit_axis: axis of the layer's output on which units stand, as it was given.
        network: the network from the layer on.
        targets: (rows, ...) what its outputs are held against.
        memory: bytes for what comes and goes with a part of the coalitions.
    """

    layer: str
    metric: Metric
    baseline: Baseline
    unit_axis: int | None
    network: MaskedNetwork = field(repr=False)
    targets: Tensor = field(repr=False)
    memory: int

    @property
    def n_players(self) -> int:
        """Number of units n of the layer."""
        return self.network.n_units

    def value(self, coalitions: ArrayLike) -> NDArray[np.float64]:
        """Worth (...) of coalitions (..., n).

        Raises:
            ValueError: if coalitions are no booleans (..., n), or if a worth is not finite.
        """
        members = coalition_array(coalitions, self.n_players)
        rows = np.ascontiguousarray(members.reshape(-1, self.n_players))
        if len(rows) == 0:
            return np.zeros(members.shape[:-1])
        score = _score(self.metric, self.targets)
        worths = mean_over_rows(
            self.network,
            rows,
            lambda outputs, part: score(outputs, self.targets[part]).sum(dim=1, dtype=torch.float64),
            self.memory,
        )
        return _finite(worths).reshape(members.shape[:-1])

    @property
    def n_components(self) -> int:
        """Number of games whose mean this is: one for each row; 1 if rows cannot be told apart."""
        return 1 if isinstance(self.network, Whole) else self.network.n_rows

    def values_along_permutations(self, orders: ArrayLike) -> NDArray[np.float64]:
        """Worths (n_components, n + 1) of the first 0, 1, ..., n units of each part's own order (n_components, n).

        Raises:
            ValueError: if orders are no orders of all units, one for each part, or if a worth is not finite.
        """
        given = permutations_array(orders, self.n_components, self.n_players)
        if isinstance(self.network, Whole):
            return self.value(np.argsort(given[0]) < np.arange(self.n_players + 1)[:, None])[None]
        score = _score(self.metric, self.targets)
        return _finite(
            along_orders(
                self.network, given, lambda outputs, part: score(outputs, self.targets[part]).double(), self.memory
            )
        )

    def zero_normalized(self) -> FunctionCoalitionGame:
        """The game v(S) - v(empty), as questions about the core need it; values of players are the same."""
        empty = float(self.value(np.zeros(self.n_players, dtype=np.bool_)))
        return FunctionCoalitionGame(self.n_players, lambda coalitions: self.value(coalitions) - empty)


def coalition_game(
    model: nn.Module,
    layer: str,
    data: tuple[Tensor, Tensor],
    *,
    metric: Metric = "accuracy",
    baseline: Baseline = "zero",
    unit_axis: int | None = None,
    memory: int = MEMORY,
    rng: np.random.Generator | None = None,
) -> NetworkCoalitionGame:
    """Make the units of a layer players of a coalition game.

    Args:
        model: any network with one tensor of inputs and one of outputs, rows first. It is run in evaluation mode as it
            is now; later training does not change the game. Device and precision are the network's.
        layer: name of the module whose output units are the players: features or channels. Name an activation function
            to mask what it gives, and the module before it to mask what it gets.
        data: inputs (rows, ...) and targets (rows, ...): integer class ids, or floating numbers.
        metric: "accuracy", "loss", "logit" or a function of outputs (m, ...) and targets (m, ...) that gives one worth
            for each of the m rows; see the module.
        baseline: what a unit outside the coalition is replaced by: "zero", its "mean" over the rows, or a "sample", its
            value for another row (one draw for the whole game).
        unit_axis: axis of the layer's output on which its units stand. Default: the channels of a convolution, the last
            axis of a Linear and of what has two axes, and for another module that of the layer which feeds it; it must
            be given where the model's graph does not tell it.
        memory: most bytes to be held at once by what comes and goes with a part of the rows or coalitions. What stays,
            the values of the layer for all rows and whatever else the rest of the network reads, comes on top.
        rng: numpy Generator that draws the other rows; needed for "sample".

    Returns:
        The game, which ``shapley``, ``banzhaf``, ``interactions`` and the core take.

    Raises:
        ValueError: no such layer, or one that has no rows of units or is not called once, or whose axis of units cannot
            be told; no rows, or not as many targets; numbers that are not finite; targets, outputs and metric that do
            not fit together.

    >>> from neurogames.bridge.ensembles.networks import Ensemble
    >>> model = Ensemble((torch.eye(2)[None],) * 2, (torch.zeros(1, 1, 2),) * 2).network(0)  # Linear, ReLU, Linear
    >>> game = coalition_game(model, "1", (torch.tensor([[2.0, 1.0], [0.0, 1.0]]), torch.tensor([0, 1])))
    >>> game.value([[False, False], [True, False], [False, True], [True, True]])
    array([0.5, 0.5, 0.5, 1. ])

    Reference: A. Ghorbani and J. Zou, Neuron Shapley: discovering the responsible neurons (2020), section 2.
    """
    inputs, targets = data_pair(data)
    network = masked_network(model, layer, inputs, baseline=baseline, unit_axis=unit_axis, memory=memory, rng=rng)
    targets = targets.to(network.device)
    everybody = torch.ones(1, network.n_units, dtype=torch.bool, device=network.device)
    check_metric(metric, network.outputs(everybody, slice(0, 1 if network.row_bytes else None))[:, 0], targets)
    game = NetworkCoalitionGame(layer, metric, baseline, unit_axis, network, targets, memory)
    game.value(np.ones(network.n_units, dtype=np.bool_))  # what is wrong with the data shows here
    return game


def check_metric(metric: Metric, outputs: Tensor, targets: Tensor) -> None:
    """Refuse a worth that does not fit the outputs (some, ...) and targets (rows, ...)."""
    if callable(metric):
        worths = metric(outputs, targets[: len(outputs)])
        if not isinstance(worths, Tensor) or worths.shape != outputs.shape[:1]:
            got = f"shape {tuple(worths.shape)}" if isinstance(worths, Tensor) else type(worths).__name__
            raise invalid_argument(
                "metric", f"a function that gave {got}", f"one worth for each of {len(outputs)} rows"
            )
        return
    if metric not in ("accuracy", "loss", "logit"):
        raise invalid_argument("metric", metric, "'accuracy', 'loss', 'logit', or a function of outputs and targets")
    if targets.is_floating_point():
        if metric != "loss":
            raise invalid_argument("targets", f"{targets.dtype}", f"integer class ids for {metric!r}")
        if targets.shape[1:] != outputs.shape[1:] and (targets.ndim, *outputs.shape[1:]) != (1, 1):
            raise invalid_argument("targets", f"shape {tuple(targets.shape)}", f"numbers (rows, {outputs.shape[1:]})")
        return
    classes = outputs.shape[-1]
    if outputs.ndim != 2 or classes < 2:
        raise invalid_argument(
            "model", f"outputs of shape {tuple(outputs.shape)}", "at least two outputs, one for each class"
        )
    if targets.ndim != 1 or targets.is_complex() or targets.dtype == torch.bool:
        raise invalid_argument(
            "targets", f"{targets.dtype} of shape {tuple(targets.shape)}", "(rows,) integer class ids"
        )
    if int(targets.min()) < 0 or int(targets.max()) >= classes:
        raise invalid_argument(
            "targets", f"ids {int(targets.min())} to {int(targets.max())}", f"ids in [0, {classes - 1}]"
        )


def _finite(worths: NDArray[np.float64]) -> NDArray[np.float64]:
    """The worths, or an error."""
    if not np.isfinite(worths).all():
        raise invalid_argument("metric", f"{np.count_nonzero(~np.isfinite(worths))} worths not finite", "finite worths")
    return worths


def _score(metric: Metric, targets: Tensor) -> Score:
    """A worth, row by row."""
    if callable(metric):
        return lambda outputs, part: _by_function(metric, outputs, part)
    if metric == "accuracy":
        return right_answers
    if targets.is_floating_point():
        return _minus_squares
    return _minus_cross_entropy if metric == "loss" else _right_logits


def _by_function(metric: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, targets: Tensor) -> Tensor:
    sets = outputs.shape[1]
    worths = metric(outputs.flatten(0, 1), targets.repeat_interleave(sets, dim=0))
    return worths.reshape(-1, sets).T


def _right_logits(outputs: Tensor, targets: Tensor) -> Tensor:
    return _of_right_class(outputs.permute(1, 2, 0), targets)


def _minus_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    scores = outputs.permute(1, 2, 0).contiguous()  # reducing over a short last axis is several times slower
    return _of_right_class(scores, targets) - scores.logsumexp(dim=1)


def _of_right_class(scores: Tensor, targets: Tensor) -> Tensor:
    """Scores (m, rows) of the right class among (m, classes, rows)."""
    return scores.gather(1, targets.long().expand(len(scores), 1, -1)).squeeze(1)


def _minus_squares(outputs: Tensor, targets: Tensor) -> Tensor:
    expected = targets.reshape(len(targets), 1, *outputs.shape[2:]).to(outputs.dtype)
    squares = (outputs - expected).square().reshape(*outputs.shape[:2], -1)
    return -squares.mean(dim=2).T
