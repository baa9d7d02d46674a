"""Best deviations in closed form: a linear layer in which the outputs of a network are affine.

Let a player hold rows U of the weights (and biases) of a Linear layer on (rows, features), with inputs a_r, a 1 at the
end for a bias. If the outputs are affine in what the layer gives, and alike for all rows, then

    outputs(W_U) = F + A (W_U - W_U0)' B_U',     A (rows, d_in), B_U (outputs, units of the player)

with the present outputs F. So it is for an output layer (B = I), and for every layer of a chain of linear layers
(B = product of the later weights). The outputs are tested on all rows after large random moves of what the layer gives;
no structure of the network is taken for granted.

**Squared error.** With T = Y - F + A W_U0' B_U' the best reply is W_U' = A^+ T (B_U')^+, and the least loss follows
from the projections of T on the columns of A and B_U: exact.

**Softmax.** Cross-entropy of the outputs is convex in W_U, and is minimised by L-BFGS. Where B_U = I, every P (rows,
classes) with rows on the simplex and A'(P - Y) = 0 bounds the loss from below by the mean entropy of its rows
(Lagrangian duality: log sum exp z = max_p p'z + H(p)). Such a P comes from the softmax that was found, by projections.
Reference: S. Boyd and L. Vandenberghe, Convex Optimization (2004), sections 5.1 and 7.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import svd
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax, xlogy
from torch import Tensor, nn
from torch.nn import functional

from neurogames.bridge.curvature.layer_arrays import layer_inputs, layer_weights
from neurogames.bridge.extraction.network_players import Player
from neurogames.bridge.extraction.player_loss import PlayerLoss
from neurogames.bridge.modules.data import Loss

Array = NDArray[np.float64]
LossKind = Literal["squares", "classes", "other"]

_MOVES = (1.0, 100.0)  # of what the layer gives, in units of its size
_ITERATIONS = 500
_PROJECTIONS = 100


@dataclass(frozen=True, eq=False)
class Decomposition:
    """A matrix left * sizes @ right, without what is 0 to rounding."""

    left: Array
    sizes: Array
    right: Array


@dataclass(frozen=True, eq=False)
class AffineLayer:
    """How the outputs depend on the weights of a layer, or of one of its units.

    Attributes:
        features: A (rows, d_in), as its singular value decomposition.
        weights: W_U0 (units, d_in).
        outgoing: B_U (outputs, units).
        outputs: F (rows, outputs).
        targets: Y (rows, outputs), or (rows,) classes.
        kind: "squares" or "classes".
    """

    features: Decomposition
    weights: Array
    outgoing: Array
    outputs: Array
    targets: NDArray[Any]
    kind: LossKind

    def unit(self, unit: int | None) -> AffineLayer:
        """The same for one unit alone; for all of them where it is None."""
        if unit is None:
            return self
        row = slice(unit, unit + 1)
        return replace(self, weights=self.weights[row], outgoing=self.outgoing[:, row])


def loss_kind(loss: Loss, outputs: Tensor, targets: Tensor) -> LossKind:
    """Whether a loss is the mean squared error, or the cross-entropy of class ids, without weights.

    Args:
        loss: the loss.
        outputs: of some rows.
        targets: of all rows.

    >>> loss_kind(nn.MSELoss(), torch.zeros(3, 2), torch.zeros(3, 2))
    'squares'
    """
    means = getattr(loss, "reduction", "mean") == "mean"
    if (loss is functional.mse_loss or (type(loss) is nn.MSELoss and means)) and outputs.shape[1:] == targets.shape[1:]:
        return "squares"
    entropy = loss is functional.cross_entropy or (
        type(loss) is nn.CrossEntropyLoss and means and loss.weight is None and loss.label_smoothing == 0
    )
    classes = outputs.ndim == 2 and targets.ndim == 1 and not targets.is_floating_point()
    return "classes" if entropy and classes and bool((targets >= 0).all()) else "other"


def affine_layer(found: PlayerLoss, player: Player, kind: LossKind) -> AffineLayer | None:
    """The outputs as an affine function of the weights of a layer; None where they are not, or it is no Linear.

    Args:
        found: the loss.
        player: who holds the layer, or a unit of it.
        kind: of the loss.

    >>> from neurogames.bridge.extraction.player_loss import player_loss
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> players = Player("0", ("0.weight", "0.bias")), Player("2", ("2.weight", "2.bias"))
    >>> with player_loss(model, nn.functional.mse_loss, (torch.randn(8, 2), torch.randn(8, 1))) as found:
    ...     [affine_layer(found, player, "squares") is None for player in players]
    [True, False]
    """
    name = player.parameters[0].rpartition(".")[0]
    layer = found.module(name)
    plain = {f"{name}.{part}".removeprefix(".") for part in ("weight", "bias")}
    if kind == "other" or not isinstance(layer, nn.Linear) or set(player.parameters) != plain & set(found.weights):
        return None
    calls: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad(), _hooked(layer, lambda given, output: calls.append((given, output))):
        outputs = [found.outputs({}, inputs) for inputs, _ in found.chunks()]
    if len(calls) != len(outputs) or any(part.ndim != 2 for part in (*outputs, *(given for given, _ in calls))):
        return None
    together = torch.cat(outputs)
    outgoing = _outgoing(found, layer, torch.cat([output for _, output in calls]), together)
    if outgoing is None:
        return None
    features = torch.cat([layer_inputs(layer, given)[:, 0] for given, _ in calls])
    return AffineLayer(
        features=_decomposed(_numbers(features)),
        weights=_numbers(layer_weights(layer).detach()),
        outgoing=_numbers(outgoing),
        outputs=_numbers(together),
        targets=found.targets.cpu().numpy(),
        kind=kind,
    )


def best_reply(player: AffineLayer) -> tuple[Array, float]:
    """The weights that make the loss least, and a lower bound of the loss for all weights.

    Args:
        player: from ``affine_layer``, or a unit of it.

    Returns:
        W_U (units, d_in), and the bound: the least loss itself for squares, 0 where no better one was found.

    >>> features, goals = np.array([[1.0], [2.0]]), np.array([[2.0], [5.0]])
    >>> player = AffineLayer(
    ...     Decomposition(features / 5**0.5, np.array([5**0.5]), np.eye(1)),
    ...     *(np.zeros((1, 1)), np.eye(1), np.zeros((2, 1)), goals, "squares"),
    ... )
    >>> weights, least = best_reply(player)
    >>> weights.round(6), round(least, 6)
    (array([[2.4]]), 0.1)
    """
    left, sizes, right = player.features.left, player.features.sizes, player.features.right
    if player.kind == "squares":
        present = (left * sizes) @ right @ player.weights.T @ player.outgoing.T
        goals, across = player.targets - player.outputs + present, _decomposed(player.outgoing.T)
        core = left.T @ goals @ across.right.T
        weights = across.left @ (core / sizes[:, None] / across.sizes).T @ right
        return np.asarray(weights), float(np.square(goals - left @ core @ across.right).mean())
    moved, probabilities = _softmax_fit(player, left)
    weights = player.weights + (right.T @ (moved / sizes[:, None])).T
    return weights, _entropy_bound(player.targets, probabilities, left) if _is_identity(player.outgoing) else 0.0


def as_vector(player: Player, weights: Array) -> Tensor:
    """Weights (units, d_in) as a vector of the player's own parameters.

    >>> as_vector(Player("0", ("0.weight", "0.bias")), np.array([[1.0, 2.0, 9.0]])).tolist()
    [1.0, 2.0, 9.0]
    """
    biased = len(player.parameters) == 2
    parts = {"weight": weights[:, :-1] if biased else weights, "bias": weights[:, -1]}
    return torch.from_numpy(np.concatenate([parts[name.rpartition(".")[2]].ravel() for name in player.parameters]))


@contextmanager
def _hooked(layer: nn.Module, act: Callable[[Tensor, Tensor], Any]) -> Iterator[None]:
    """While open, hand what a layer gets and gives to ``act``, whose answer, unless None, takes the output's place."""
    handle = layer.register_forward_hook(lambda _, given, output: act(given[0], output))
    try:
        yield
    finally:
        handle.remove()


def _outgoing(found: PlayerLoss, layer: nn.Module, given: Tensor, outputs: Tensor) -> Tensor | None:
    """B (outputs, units) with outputs(z + d) = outputs(z) + d B', if large moves d of all rows agree."""
    move = torch.zeros_like(given[:1]).requires_grad_()
    with torch.enable_grad(), _hooked(layer, lambda _, output: output + move):
        first = found.outputs({}, found.inputs[:1].to(given.device))[0]
        if not first.requires_grad:
            return None
        rows = [torch.autograd.grad(each, move, retain_graph=True, materialize_grads=True)[0] for each in first]
    outgoing = torch.cat(rows)
    draws = torch.Generator().manual_seed(0)
    for scale in _MOVES:
        moves = torch.randn(given.shape, generator=draws).to(given)
        moves *= scale * (float(given.square().mean().sqrt()) or 1.0)
        places = iter(torch.split(moves, [len(inputs) for inputs, _ in found.chunks()]))

        def shifted(_: Tensor, output: Tensor, places: Iterator[Tensor] = places) -> Tensor:
            return output + next(places)

        with torch.no_grad(), _hooked(layer, shifted):
            changed = torch.cat([found.outputs({}, inputs) for inputs, _ in found.chunks()])
        expected = outputs + moves @ outgoing.T
        room = torch.finfo(outputs.dtype).eps ** 0.5 * float(expected.abs().max())
        if float((changed - expected).abs().max()) > room:
            return None
    return outgoing.detach()


def _decomposed(matrix: Array) -> Decomposition:
    left, sizes, right = svd(matrix, full_matrices=False)
    kept = sizes > np.finfo(float).eps * max(matrix.shape) * max(sizes[0], np.finfo(float).tiny)
    return Decomposition(left[:, kept], sizes[kept], right[kept])


def _is_identity(matrix: Array) -> bool:
    return matrix.shape[0] == matrix.shape[1] and bool((matrix == np.eye(len(matrix))).all())


def _softmax_fit(player: AffineLayer, left: Array) -> tuple[Array, Array]:
    """M (rank, units) with logits F + left M B', and the probabilities that they give."""
    rows, goals = len(left), _one_hot(player.targets, player.outputs.shape[1])
    shape, unit = (left.shape[1], player.outgoing.shape[1]), np.sqrt(rows)

    def logits(moved: Array) -> Array:
        return np.asarray(player.outputs + unit * left @ moved.reshape(shape) @ player.outgoing.T)

    def loss(moved: Array) -> tuple[float, Array]:
        given = logits(moved)
        slope = (softmax(given, axis=1) - goals) / rows
        value = -float((goals * log_softmax(given, axis=1)).sum()) / rows
        return value, (unit * left.T @ slope @ player.outgoing).ravel()

    start: Any = np.zeros(shape[0] * shape[1])
    options: Any = {"maxiter": _ITERATIONS, "maxfun": 2 * _ITERATIONS, "ftol": 1e-14, "gtol": 1e-10}
    found: Any = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    return unit * found.x.reshape(shape), softmax(logits(found.x), axis=1)


def _entropy_bound(targets: NDArray[Any], probabilities: Array, left: Array) -> float:
    """Mean entropy of probabilities whose residuals are orthogonal to the features, or 0 if none came near."""
    goals = _one_hot(targets, probabilities.shape[1])
    residuals = probabilities - goals
    for _ in range(_PROJECTIONS):
        residuals = residuals - left @ (left.T @ residuals)
        residuals -= residuals.mean(axis=1, keepdims=True)
        feasible = goals + residuals
        if feasible.min() >= -np.finfo(float).eps:
            return float(-xlogy(np.maximum(feasible, 0.0), np.maximum(feasible, 0.0)).sum(axis=1).mean())
        residuals = np.maximum(feasible, 0.0) - goals
    return 0.0


def _one_hot(targets: NDArray[Any], classes: int) -> Array:
    return np.asarray(np.eye(classes)[targets])


def _numbers(tensor: Tensor) -> Array:
    return np.asarray(tensor.double().cpu().numpy())
