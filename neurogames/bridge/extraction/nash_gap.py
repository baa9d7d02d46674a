"""How far a network is from a Nash equilibrium of its layers, units or blocks, as players of one loss.

For every player p: the gradient of L in theta_p, the ends of the spectrum of its own block of the Hessian, and the gain

    L(theta) - min over theta_p' of L(theta_p', theta_-p)

of its best deviation, the others staying: in closed form for linear layers in which the outputs are affine
(``affine_players``), else by search (``deviation_search``). Then the same for all players together. What one player
cannot gain alone and all can gain together is the coordination gap: in a chain of linear layers under a convex loss
every critical point, saddles included, has gap 0.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from neurogames._arguments import integer, invalid_argument, number
from neurogames.bridge.extraction.affine_players import loss_kind
from neurogames.bridge.extraction.nash_verdict import NashGap
from neurogames.bridge.extraction.network_players import Player, PlayerKind, joint_player, network_players
from neurogames.bridge.extraction.own_curvature import own_curvature
from neurogames.bridge.extraction.player_loss import PlayerLoss, player_loss
from neurogames.bridge.extraction.symmetries import shifted_layer, symmetries
from neurogames.bridge.extraction.unilateral import Replies, Reply
from neurogames.bridge.modules.adapted_model import Forward
from neurogames.bridge.modules.data import Loss
from neurogames.bridge.modules.evaluation import gradients_on

_LANCZOS = 60  # products for both ends of a spectrum, about
_SEARCH_PASSES = 20  # that a search gets at least, as long as there is time
_UNTIL_GAINS, _UNTIL_GROUPS = 0.55, 0.7  # of the budget
_LBFGS_VECTORS = 25


@dataclass(frozen=True)
class NashCost:
    """What an analysis will take, said before it starts.

    Attributes:
        seconds: without a limit, if every search uses all its steps.
        one_pass: seconds of one pass over all rows, forward and back.
        memory: bytes on top of the network and the rows.
        players: how many there are.
        parameters: how many they hold.

    >>> estimates = []
    >>> data = torch.ones(8, 3), torch.ones(8, 1)
    >>> _ = nash_gap(nn.Linear(3, 1), nn.MSELoss(), data, on_estimate=estimates.append, rng=np.random.default_rng(0))
    >>> estimates[0].players, estimates[0].parameters
    (1, 4)
    """

    seconds: float
    one_pass: float
    memory: int
    players: int
    parameters: int


@gradients_on()
def nash_gap(
    model: nn.Module,
    loss: Loss,
    data: Any,
    players: PlayerKind = "layer",
    *,
    held_out: Any = None,
    epsilon: float = 1e-3,
    pairs: bool = False,
    starts: int = 3,
    steps: int = 50,
    budget: float | None = None,
    rng: np.random.Generator,
    forward: Forward | None = None,
    on_estimate: Callable[[NashCost], object] | None = None,
) -> NashGap:
    """What each layer, unit or block of a network could gain by changing its parameters alone.

    The gain of p is L(theta) - min over theta_p' of L(theta_p', theta_-p), in evaluation mode, on the given rows.

    Args:
        model: any module that takes one tensor, or any at all with ``forward``; it stays as it is.
        loss: maps (outputs, targets) to the mean loss over rows, as ``torch.nn.functional.cross_entropy``. Closed forms
            and bounds are known for the mean squared error and the cross-entropy of class ids.
        data: inputs and targets, one row each: tensors, numpy arrays or a DataLoader.
        players: "layer", "unit" (of Linear layers and convolutions) or "block" (the children of the model).
        held_out: further rows, on which the deviations found on ``data`` are tried.
        epsilon: gains up to here do not count, in units of the loss, > 0.
        pairs: whether to search for the gains of all pairs of players too ("layer" and "block").
        starts: random starts of each search, besides the present parameters.
        steps: most steps of L-BFGS from each start.
        budget: seconds, somewhat more than half of them for single players, those with the largest gradient first.
            Answers that were cut short say so. No limit when left out.
        rng: draws the random starts.
        forward: calls the model with its inputs, as in ``participation_game``.
        on_estimate: called once with what the work will take, before it starts.

    Returns:
        Gains, curvatures, and a verdict in words.

    Raises:
        ValueError: the data, the loss or the model are not as said, an option is out of range, or the budget does not
            allow one pass over the rows.

    In a chain of two linear layers at 0, neither gains alone, both together do; the curvature says so too:

    >>> model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    >>> _ = [layer.weight.data.fill_(0.0) for layer in model]
    >>> rows = torch.ones(4, 1), torch.ones(4, 1)
    >>> found = nash_gap(model, nn.functional.mse_loss, rows, rng=np.random.default_rng(0))
    >>> found.gain, round(found.coordination_gap, 3), round(found.joint_curvature, 3), found.symmetries
    (array([0., 0.]), 1.0, -2.0, ("change of basis between '0' and '1'",))

    Reference: D. Schuurmans and M. Zinkevich, Deep learning games, NeurIPS 2016.
    """
    epsilon = number("epsilon", epsilon, "a gain > 0", lambda value: value > 0)
    starts, steps = integer("starts", starts, minimum=0), integer("steps", steps, minimum=1)
    if not isinstance(rng, np.random.Generator):
        raise invalid_argument("rng", rng, "a numpy Generator")
    if budget is not None:
        budget = number("budget", budget, "seconds > 0", lambda value: value > 0)
    if pairs and players == "unit":
        raise invalid_argument("pairs", pairs, "False for units: pairs are searched of layers or blocks")
    with ExitStack() as stack:
        found = stack.enter_context(player_loss(model, loss, data, forward))
        other = None if held_out is None else stack.enter_context(player_loss(model, loss, held_out, forward))
        dealt = network_players(found.model, players)
        cost = _cost(found, dealt, starts, steps, budget)
        if on_estimate is not None:
            on_estimate(cost)
        options = _Options(epsilon, pairs, starts, steps, math.inf if budget is None else budget, cost.one_pass)
        with torch.no_grad():
            return _analysed(found, other, dealt, options, rng)


def _cost(found: PlayerLoss, dealt: tuple[Player, ...], starts: int, steps: int, budget: float | None) -> NashCost:
    """What the work will take, from one pass over some rows; refuses a budget below one over all."""
    everybody = joint_player(dealt)
    vector = everybody.own(found.weights)
    inputs, targets = next(found.chunks())
    began = time.perf_counter()
    replace(found, inputs=inputs, targets=targets).slope(everybody, vector)
    one = (time.perf_counter() - began) * len(found.inputs) / len(inputs)
    if budget is not None and budget < one:
        raise invalid_argument("budget", budget, f"at least {one:.2g} seconds, for one pass over the rows")
    passes = (len(dealt) + 1) * ((1 + starts) * 1.25 * steps + 3 * _LANCZOS)
    activations = 8 * found.row_bytes * len(inputs)
    features = max((found.weights[part].shape[-1] for player in dealt for part in player.parameters[:1]), default=0)
    memory = activations + 8 * _LBFGS_VECTORS * len(vector) + 16 * features * len(found.inputs)
    return NashCost(passes * one, one, memory, len(dealt), len(vector))


@dataclass(frozen=True)
class _Options:
    epsilon: float
    pairs: bool
    starts: int
    steps: int
    budget: float
    one_pass: float


def _analysed(
    found: PlayerLoss,
    other: PlayerLoss | None,
    dealt: tuple[Player, ...],
    options: _Options,
    rng: np.random.Generator,
) -> NashGap:
    """The analysis, question by question."""
    everybody, names = joint_player(dealt), tuple(player.name for player in dealt)
    present, gradient, relative = _gradients(found, dealt)
    kind = loss_kind(found.loss, found.outputs({}, found.inputs[:1].to(found.device)), found.targets)
    couples = list(itertools.combinations(range(len(dealt)), 2)) if options.pairs else []
    began, groups = time.monotonic(), [tuple(range(len(dealt))), *couples]
    replies = Replies(found, present, kind, 0.1 * options.epsilon, options.starts, options.steps, rng, {})
    own: dict[int, Reply] = {}
    found.deadline.end = began + _UNTIL_GAINS * options.budget
    for done, place in enumerate(np.argsort(-gradient, kind="stable").tolist()):
        found.deadline.share(len(dealt) - done, _SEARCH_PASSES * options.one_pass)
        own[place] = replies.of(dealt[place])
    gain = np.array([present - own[place].loss for place in range(len(dealt))])
    together = {}
    found.deadline.end = began + _UNTIL_GROUPS * options.budget
    for done, group in enumerate(groups):
        best = max(group, key=lambda place: gain[place])
        player = joint_player(tuple(dealt[place] for place in group))
        start = player.own({**found.weights, **dealt[best].moved(found.weights, own[best].vector.to(found.device))})
        found.deadline.share(len(groups) - done, _SEARCH_PASSES * options.one_pass)
        together[group] = replies.search(player, further=[start.double().cpu()])
    found.deadline.at = math.inf
    shifted, curvatures = shifted_layer(found, kind), []
    found.deadline.end = began + options.budget
    found.deadline.share(3, 0.0)
    jointly = own_curvature(found, everybody)
    for done, player in enumerate(dealt):
        found.deadline.share(len(dealt) - done, 3 * _LANCZOS * options.one_pass)
        curvatures.append(own_curvature(found, player, shifted))
    found.deadline.at = math.inf
    smallest, largest, strict = np.array(curvatures).T
    everyone = together[groups[0]]
    held_out = None if other is None else [_held_out(other, player, own[place]) for place, player in enumerate(dealt)]
    return NashGap(
        players=names,
        loss=present,
        epsilon=options.epsilon,
        gradient=gradient,
        relative_gradient=relative,
        smallest_curvature=smallest,
        largest_curvature=largest,
        strict_curvature=strict,
        gain=gain,
        bound=np.maximum(gain, present - np.array([own[place].least for place in range(len(dealt))])),
        method=tuple(own[place].method for place in range(len(dealt))),
        held_out_gain=None if held_out is None else np.array([mean for mean, _ in held_out]),
        held_out_stderr=None if held_out is None else np.array([stderr for _, stderr in held_out]),
        joint_gain=max(present - everyone.loss, float(gain.max())),
        pair_gain={
            (names[i], names[j]): max(present - together[i, j].loss, float(gain[i]), float(gain[j])) for i, j in couples
        },
        joint_curvature=jointly[0],
        symmetries=symmetries(found, kind),
        status=_status(dealt, own, everyone, np.array([*curvatures, jointly])),
    )


def _gradients(found: PlayerLoss, dealt: tuple[Player, ...]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """L, the norm of each player's gradient, and the same by the norm of what the player holds."""
    everybody = joint_player(dealt)
    present, slope = found.slope(everybody, everybody.own(found.weights))
    slopes = everybody.moved({name: found.weights[name].double().cpu() for name in everybody.parameters}, slope)
    gradient = np.array([float(player.own(slopes).norm()) for player in dealt])
    sizes = np.array([float(player.own(found.weights).double().norm()) for player in dealt])
    with np.errstate(divide="ignore", invalid="ignore"):
        return present, gradient, np.where(gradient == 0, 0.0, gradient / sizes)


def _held_out(other: PlayerLoss, player: Player, reply: Reply) -> tuple[float, float]:
    """Mean gain of a reply on other rows, and its standard error."""
    moved = player.moved(other.weights, reply.vector.to(other.device))
    gains = (other.row_losses({}) - other.row_losses(moved)).numpy()
    return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else np.nan


def _status(dealt: tuple[Player, ...], own: dict[int, Reply], everyone: Reply, curvatures: NDArray[np.float64]) -> str:
    """What the budget, or the iteration, did not allow."""
    names = [*(repr(player.name) for player in dealt), "all together"]
    replies = [*(own[place] for place in range(len(dealt))), everyone]
    late = [
        f"the gain of {name}" for name, reply in zip(names, replies, strict=True) if reply.method.endswith("stopped")
    ]
    late += [f"the curvature of {name}" for name, ends in zip(names, curvatures, strict=True) if np.isnan(ends).any()]
    more = f" and {len(late) - 4} more" if len(late) > 4 else ""
    return f"not finished: {', '.join(late[:4])}{more}" if late else "ok"
