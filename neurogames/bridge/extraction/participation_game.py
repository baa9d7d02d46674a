"""The participation game that the units of a trained network play, layer by layer.

Players are the units, in the order of the gates; they compete inside their own module. What unit i gets, a_i, and what
participation costs can be taken from two sources.

**Weights as factors.** theta_i is the unit's incoming row with its bias, ridge beta and competition eta are given, and
with g_i = dL/ds_i the benefit is ``"paper"`` a_i = g_i, or ``"descent"`` a_i = -g_i. Since a share s_i multiplies what
theta_i gives, g_i is <grad_i L, theta_i>. The paper's sign pays for raising the loss. Where a norm follows the unit,
the loss does not feel the length of theta_i, and g_i is the slope in the gate behind the norm.

**The loss as common interest.** With H the Gauss-Newton curvature inside each module (see ``curvature``) and s0 the
present profile,

    L(s) ~ L(s0) + g'(s - s0) + (s - s0)'H(s - s0) / 2,

so -L is the potential of the participation game with factors F, H_ij = <F_i, F_j>, ridge 1/2, competition 1 and
a = H s0 - g: differences of its potential, less the price, predict -dL. This is ``"taylor"``. More generally let
value_i be what unit i adds by its share t_i (the present one; 1 where it is 0), all others staying at s0. It gets

    U_i(t_i) - U_i(0) = t_i (a_i - sum_{j != i} H_ij s0_j) - H_ii t_i^2 / 2,

so a_i = value_i / t_i + H_ii t_i / 2 + sum_{j != i} H_ij s0_j makes the game agree with any value: for ``"ablation"``
the exact L(s_i = 0) - L(s_i = t_i), for ``"shapley"`` the Shapley value of the units of the module, with
v(S) = -L(units of the module outside S at 0) and all other modules at s0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from torch import nn

from neurogames._arguments import finite_array, integer, invalid_argument
from neurogames.bridge.curvature.gate_curvature import GateCurvature, curvature_of
from neurogames.bridge.gates.gate_weights import unit_factors
from neurogames.bridge.gates.gated_loss import GatedLoss, gated_loss
from neurogames.bridge.modules.adapted_model import Forward
from neurogames.bridge.modules.data import Loss
from neurogames.bridge.modules.units import Unit
from neurogames.engine.coalitions.values import shapley
from neurogames.games.coalition import FunctionCoalitionGame
from neurogames.games.participation import ParticipationGame

Benefit = Literal["paper", "descent", "taylor", "ablation", "shapley"]


def participation_game(
    model: nn.Module,
    loss: Loss,
    data: Any,
    *,
    benefit: Benefit = "taylor",
    units: Unit | Sequence[Unit] = ("neurons", "filters"),
    modules: Sequence[str] | None = None,
    price: ArrayLike = 0.0,
    ridge: ArrayLike | None = None,
    competition: float | None = None,
    budget: int | None = None,
    rng: np.random.Generator | None = None,
    forward: Forward | None = None,
) -> ParticipationGame:
    """Extract the game of a network's units on given rows.

    Curvature between modules is not part of the game, and negative curvature neither (``gate_curvature(...).clipped``
    and ``smallest_curvature(...)`` say how much there is). "taylor" costs about C passes over the rows for C outputs,
    "ablation" one for each unit, "shapley" one for each coalition asked for.

    Args:
        model: any module that takes one tensor, or any at all with ``forward``; it stays as it is, and is run in
            ``eval`` mode. Gates that it has are used, at their present shares.
        loss: maps (outputs, targets) to the mean loss over rows, as ``torch.nn.functional.cross_entropy``; twice
            differentiable for the last three benefits. Weights of classes and ignored targets are known where it is a
            ``CrossEntropyLoss``, an ``NLLLoss``, or their function.
        data: inputs and targets, one row each: tensors, numpy arrays or a DataLoader.
        benefit: where a_i comes from: "paper", "descent", "taylor", "ablation" or "shapley".
        units: what to gate where the model has no gates, as in ``insert_gates``.
        modules: what to gate where the model has no gates, as in ``insert_gates``.
        price: gamma, one for all or (n,); in units of the loss for the last three benefits.
        ridge: beta of the first two benefits, one for all or (n,); the others bring their own curvature.
        competition: eta of the first two benefits, 0 if left out.
        budget: "shapley": most coalitions to ask for in each module.
        rng: "shapley": source of the draws, where the budget is below 2^units.
        forward: calls the model with the inputs of some rows (a tensor, or a tuple or dictionary of tensors) and
            returns one tensor of outputs, rows first. Default: ``model(inputs)``.

    Returns:
        The game, with one block for each module.

    Raises:
        ValueError: as ``gated_loss``; or if arguments do not go with the benefit.

    >>> model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    >>> _ = model[0].weight.data.copy_(torch.eye(2)), model[1].weight.data.copy_(torch.tensor([[1.0, 3.0]]))
    >>> game = participation_game(model, nn.functional.mse_loss, (torch.ones(4, 2), torch.zeros(4, 1)))
    >>> (game.potential([[1, 1], [0, 1], [0, 0]]) - game.potential([1, 1])).round(3)  # L = (s_1 + 3 s_2)^2
    array([ 0.,  7., 16.])

    Reference: Pruning as a Game, arXiv 2512.22106, utility of a participation player, for "paper"; Y. LeCun, J. Denker
    and S. Solla, Optimal brain damage (1990), for the second-order loss.
    """
    if benefit not in ("paper", "descent", "taylor", "ablation", "shapley"):
        raise invalid_argument("benefit", benefit, "'paper', 'descent', 'taylor', 'ablation' or 'shapley'")
    by_weights = benefit in ("paper", "descent")
    if by_weights and ridge is None:
        raise invalid_argument("ridge", ridge, f"a cost beta >= 0 for the benefit {benefit!r}")
    if not by_weights and (ridge is not None or competition is not None):
        raise invalid_argument(
            "ridge and competition", (ridge, competition), f"none for {benefit!r}, which measures them"
        )
    if (benefit != "shapley" and (budget is not None or rng is not None)) or (benefit == "shapley" and budget is None):
        raise invalid_argument(
            "budget and rng", (budget, rng), "a budget for the benefit 'shapley', and none for the others"
        )
    with gated_loss(model, loss, data, units=units, modules=modules, forward=forward) as gated:
        if ridge is not None:
            slope = torch.cat(gated.slope()[1]).numpy()
            factors = _stacked([unit_factors(gated.gates.model.get_submodule(name)) for name in gated.gates.modules])
            signed = slope if benefit == "paper" else -slope
            return ParticipationGame(signed, factors, ridge, price, competition or 0.0, gated.gates.blocks)
        curvature = curvature_of(gated)
        if benefit == "taylor":
            return loss_game(curvature, price=price)
        values = [
            _ablated(gated, layer) if budget is None else _shapley(gated, layer, budget, rng)
            for layer in range(len(gated.gates.sizes))
        ]
    return loss_game(curvature, np.concatenate(values), price=price)


def loss_game(
    curvature: GateCurvature, values: ArrayLike | None = None, *, price: ArrayLike = 0.0
) -> ParticipationGame:
    """The game whose potential is minus the second-order model of the loss, less the price.

    Args:
        curvature: the model of the loss, from ``gate_curvature``.
        values: (n,) what every unit's present share (a full one where it is 0) adds, the others staying. By the
            second-order model when left out.
        price: gamma, one for all or (n,), in units of the loss.

    Returns:
        The game, with one block for each module.

    Raises:
        ValueError: if there are not n values, or they are not finite.
    """
    present, sizes = curvature.profile, [len(block) for block in curvature.blocks]
    parts = np.split(present, np.cumsum(sizes)[:-1])
    pull = np.concatenate([block @ part for block, part in zip(curvature.blocks, parts, strict=True)])
    benefit = pull - curvature.slope
    if values is not None:
        value = finite_array("values", values, ndim=1)
        if value.size != present.size:
            raise invalid_argument("values", f"{value.size} values", f"one for each of {present.size} units")
        own = np.concatenate([np.diag(block) for block in curvature.blocks])
        share = np.where(present == 0, 1.0, present)
        benefit = value / share + 0.5 * own * share + pull - own * present
    factors = _stacked([_root(block) for block in curvature.blocks])
    blocks = np.repeat(np.arange(len(sizes)), sizes)
    return ParticipationGame(benefit, factors, 0.5, price, 1.0, blocks)


def _stacked(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Rows of several widths under each other, padded with zeros."""
    width = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts])


def _root(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """F (units, rank) with F F' = block, a positive semidefinite matrix."""
    sizes, vectors = eigh(block)
    kept = sizes > np.finfo(float).eps * len(block) * max(sizes[-1], 0.0)
    kept[-1] = True
    return np.asarray(vectors[:, kept] * np.sqrt(np.maximum(sizes[kept], 0.0)))


def _ablated(gated: GatedLoss, layer: int) -> NDArray[np.float64]:
    """Exact L(s_i = 0) - L(s_i = t_i) of every unit of a module, the others as they are."""
    present = gated.gates.parameters()[layer].detach().double().cpu().numpy()
    out = present == 0
    here = gated.losses(layer, present[None])[0]
    moved = gated.losses(layer, np.where(np.eye(out.size, dtype=bool), out, present))
    return np.asarray(np.where(out, here - moved, moved - here))


def _worth(gated: GatedLoss, layer: int, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Minus the loss with the units outside of each coalition at 0, and those inside who are out now at 1."""
    present = gated.gates.parameters()[layer].detach().double().cpu().numpy()
    return -gated.losses(layer, np.where(coalitions, np.where(present == 0, 1.0, present), 0.0))


def _shapley(gated: GatedLoss, layer: int, budget: int, rng: np.random.Generator | None) -> NDArray[np.float64]:
    """Shapley values of the units of a module, all other modules as they are."""
    game = FunctionCoalitionGame(gated.gates.sizes[layer], partial(_worth, gated, layer))
    return shapley(game, integer("budget", budget, minimum=1), rng=rng).values
