"""Composition by worth, where a shortcut is planted: which units pay where the shortcut is broken.

On rows whose planted part is broken (exchanged between rows), with L the mean loss of the network::

    score_i = L(without unit i) - L

A unit composes when its score is above 0: taking it out raises the loss where the detour does not pay. It takes the
detour when taking it out lowers that loss. The score is the unit's payoff in the game of common interest, on the
distribution where detours do not pay. Taken out means held at its mean over the rows, or at 0.
"""

from __future__ import annotations

from typing import Literal, overload

import numpy as np
import torch
from torch import Tensor, nn

from neurogames._arguments import instance, invalid_argument
from neurogames.bridge.coalitions.coalition_values import coalition_game
from neurogames.bridge.ensembles.networks import Ensemble
from neurogames.bridge.measures.ablation import ablation_effects
from neurogames.bridge.measures.composition import Composition, hidden_activations

Baseline = Literal["mean", "zero"]


@overload
def shortcut_composition(
    model: Ensemble, inputs: Tensor, targets: Tensor, *, baseline: Baseline = "mean"
) -> Composition: ...
@overload
def shortcut_composition(
    model: nn.Module, inputs: Tensor, targets: Tensor, *, layer: str, baseline: Baseline = "mean"
) -> Composition: ...
@torch.no_grad()
def shortcut_composition(
    model: Ensemble | nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    layer: str | None = None,
    baseline: Baseline = "mean",
) -> Composition:
    """Measure which units compose, by what the loss is without them where the shortcut is broken.

    Args:
        model: networks of an ensemble, of which all hidden units are measured, or any torch module.
        inputs: (rows, ...) with the shortcut broken; held-out rows as a rule.
        targets: (rows,) integer class ids (the loss is cross-entropy), or numbers (squared error).
        layer: name of the module whose units are measured; for a torch module only.
        baseline: what a unit that is taken out is held at: its "mean" over the rows, or "zero".

    Returns:
        Scores (networks, units): how much the loss rises without the unit; a unit composes where that is above 0.

    Raises:
        ValueError: another baseline, a layer that is not there, or rows, targets and outputs that do not fit together.

    A unit that reads the feature that holds, and one that reads the shortcut, which is broken:

    >>> holds, broken = torch.tensor([1.0, 0.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 1.0, 0.0])
    >>> weights = torch.eye(2)[None], torch.tensor([[[0.5], [0.5]]])
    >>> ensemble = Ensemble(weights, (torch.zeros(1, 1, 2), torch.zeros(1, 1, 1)))
    >>> found = shortcut_composition(ensemble, torch.stack([holds, broken], dim=1), holds)
    >>> found.composing.tolist(), found.level.item()
    ([[True, False]], 0.5)
    """
    if baseline not in ("mean", "zero"):
        raise invalid_argument("baseline", baseline, "'mean' or 'zero'")
    instance("inputs", inputs, Tensor, "a tensor")
    instance("targets", targets, Tensor, "a tensor")
    if not isinstance(model, Ensemble | nn.Module):
        raise invalid_argument("model", model, "a torch module or an Ensemble")
    if isinstance(model, Ensemble):
        if layer is not None:
            raise invalid_argument("layer", layer, "none: all hidden units of an ensemble are measured")
        return _of_ensemble(model, inputs, targets, baseline)
    if layer is None:
        raise invalid_argument("layer", layer, "the name of a module")
    game = coalition_game(model, layer, (inputs, targets), metric="loss", baseline=baseline)
    everybody = np.ones((1, game.n_players), dtype=np.bool_)
    values = game.value(np.concatenate([everybody, ~np.eye(game.n_players, dtype=np.bool_)]))
    scores = torch.from_numpy(values[0] - values[1:])[None]
    return Composition(scores, scores > 0, torch.zeros(game.n_players, dtype=torch.long))


def _of_ensemble(ensemble: Ensemble, inputs: Tensor, targets: Tensor, baseline: Baseline) -> Composition:
    """All hidden units of all networks."""
    hidden, rows = hidden_activations(ensemble, inputs)
    outputs, kind = ensemble.widths[-1], ensemble.weights[0].dtype
    if targets.is_floating_point():
        if targets.shape not in ((rows, outputs), (rows,)) or (targets.ndim == 1 and outputs != 1):
            raise invalid_argument("targets", f"shape {tuple(targets.shape)}", f"({rows}, {outputs}) numbers")
        targets = targets.reshape(rows, outputs).to(kind)
    elif targets.shape != (rows,) or targets.min() < 0 or targets.max() >= outputs:
        raise invalid_argument("targets", f"shape {tuple(targets.shape)}", f"({rows},) class ids below {outputs}")
    members = torch.full((rows, 1), 1 / rows, dtype=kind, device=inputs.device)
    base = _losses(ensemble(inputs), targets)
    scores = torch.cat(
        [
            ablation_effects(ensemble, number, values, base, targets, members, losses=_losses, baseline=baseline)[
                ..., 0
            ]
            for number, values in enumerate(hidden)
        ],
        dim=1,
    )
    layers = torch.cat([torch.full((part.shape[-1],), layer) for layer, part in enumerate(hidden)])
    return Composition(scores.double(), scores > 0, layers)


def _losses(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared error, or cross-entropy, of every row; outputs (..., rows, outputs)."""
    if targets.is_floating_point():
        return (outputs - targets).square().mean(dim=-1)
    right = outputs.gather(-1, targets.long().expand(outputs.shape[:-1]).unsqueeze(-1)).squeeze(-1)
    return outputs.logsumexp(dim=-1) - right
