"""The units of a layer as players of a coalition game: what is the network worth with only some of them?

v(S) is the mean over the rows of a worth of the network's outputs when only the units in S keep their values and all
others are replaced (``masked_network`` says by what). v is used as it is: v(empty) is the worth of the network without
the layer's units, it is not subtracted, and values of players add up to v(all) - v(empty)::

    "accuracy"  share of rows whose largest output is that of their class (the first one among several)
    "loss"      minus the mean loss: cross-entropy for class ids, squared error for floating targets
    "logit"     mean output of the right class

(``row_worths`` says what these are of a single output, and of a target for each token.)

As a mean, v is made of one game for each row, and an estimate need not ask all rows for the same coalitions
(``neurogames.engine.coalitions.values_by_components``): a budget is then counted for each row.

The game remembers everything by copies and is then a fixed function: the same coalition is always worth the same, up
to rounding (how many coalitions are asked for together decides how products are summed).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.coalitions.masked_network import Baseline, along_orders, masked_network, mean_over_rows
from neurogames.bridge.coalitions.masked_runs import MaskedNetwork, Whole
from neurogames.bridge.coalitions.row_worths import Metric, check_metric, counted_rows, row_score
from neurogames.bridge.modules.adapted_model import Forward, adapted_pair
from neurogames.games.coalition import FunctionCoalitionGame, coalition_array, permutations_array

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
        score = row_score(self.metric, self.targets)
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
        score = row_score(self.metric, self.targets)
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
    data: Any,
    *,
    metric: Metric = "accuracy",
    baseline: Baseline = "zero",
    unit_axis: int | None = None,
    forward: Forward | None = None,
    memory: int = MEMORY,
    rng: np.random.Generator | None = None,
) -> NetworkCoalitionGame:
    """Make the units of a layer players of a coalition game.

    Args:
        model: any network with one tensor of inputs and one of outputs, rows first, or any at all with ``forward``. It
            is run in evaluation mode as it is now; later training does not change the game. Device and precision are
            the network's.
        layer: name of the module whose output units are the players: features or channels. Name an activation function
            to mask what it gives, and the module before it to mask what it gets.
        data: inputs (rows, ...) and targets: integer class ids (rows,) or (rows, tokens), or floating numbers; tensors,
            numpy arrays or a DataLoader. Rows without a class id but -100 are left out.
        metric: "accuracy", "loss", "logit" or a function of outputs (m, ...) and targets (m, ...) that gives one worth
            for each of the m rows; see the module.
        baseline: what a unit outside the coalition is replaced by: "zero", its "mean" over the rows, or a "sample", its
            value for another row (one draw for the whole game).
        unit_axis: axis of the layer's output on which its units stand. Default: the channels of a convolution, the last
            axis of a Linear and of what has two axes, and for another module that of the layer which feeds it; it must
            be given where the model's graph does not tell it.
        forward: calls the model with the inputs of some rows (a tensor, or a tuple or dictionary of tensors) and
            returns one tensor of outputs, rows first. Default: ``model(inputs)``.
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
    model, inputs, targets = adapted_pair(model, data, forward)
    inputs, targets = counted_rows(metric, inputs, targets)
    network = masked_network(model, layer, inputs, baseline=baseline, unit_axis=unit_axis, memory=memory, rng=rng)
    targets = targets.to(network.device)
    everybody = torch.ones(1, network.n_units, dtype=torch.bool, device=network.device)
    check_metric(metric, network.outputs(everybody, slice(0, 1 if network.row_bytes else None))[:, 0], targets)
    game = NetworkCoalitionGame(layer, metric, baseline, unit_axis, network, targets, memory)
    game.value(np.ones(network.n_units, dtype=np.bool_))  # what is wrong with the data shows here
    return game


def _finite(worths: NDArray[np.float64]) -> NDArray[np.float64]:
    """The worths, or an error."""
    if not np.isfinite(worths).all():
        raise invalid_argument("metric", f"{np.count_nonzero(~np.isfinite(worths))} worths not finite", "finite worths")
    return worths
