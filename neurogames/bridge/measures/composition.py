"""Composition level: how many units of a network compose, in two measures.

A unit composes when it serves an ingredient that many answers share, and takes a detour when it serves few answers
or reads a shortcut. Index conventions: network k, unit j (all hidden layers, the first one first), group or class g.

(a) ``primitive_composition``, where the primitives of a task are known: analysis of variance of the activations.
(b) ``ablation_composition``, where they are not: how evenly the effect of ablating a unit is spread over groups.

What each can and cannot tell, measured on ``neurogames.lab.data.planted`` (2 x 32 units; 20 networks trained where the
marks say nothing against 20 trained where they are right in 95 of 100 rows; 100 steps each, accuracy .94 and .95 on
their own kind of rows, cross-entropy .23 and .21; how far a network relies on the primitives found by scrambling: 1.00
and .20 of the loss of accuracy; seeds not used for any choice). AUC is the probability that the primitives' side scores
higher; "units" are all living ones, told apart by whether scrambling primitives or marks moves their activation more.

=====================================  =============  ==========  =====================================
measure                                networks, AUC  units, AUC  units within one kind of network, AUC
=====================================  =============  ==========  =====================================
(a)                                    1.00           .99         .99 and .97
(b), probability of a wrong answer     1.00           .60         .43 and .52
(b), cross-entropy (not offered)       .23            .43         .43 and .45
=====================================  =============  ==========  =====================================

So (a) speaks about single units; it needs the codes of the primitives, and rows in which the shortcut has come loose
from the class. (b) needs neither, and tells networks apart, but NOT single units: a unit that reads the marks of half
the classes is as evenly spread as one that reads a primitive, and nothing in the spread tells from what an answer is
made. Read (b) as a property of a network, on rows like those it was trained on (on rows whose shortcut is loose it
tells less). With cross-entropy, (b) follows the confidence of a network more than what it reads: over 240 snapshots
of networks with six reliabilities of the marks, the rank correlation with the reliance on primitives, given loss,
accuracy, norm of weights and training steps, is .12 with cross-entropy and .61 with the probability of a wrong
answer, which was chosen there. Undertraining is not what (b) sees: its AUC is 1.00 also where the networks that read
primitives are the more accurate ones (.99 against .96), and where both had 400 steps (.98, the others by then relying
on primitives for half). But a rest of confounding stays: the mean score of networks that read primitives only
grew from .55 to .59 between step 50 and step 800. Compare networks at equal steps or at equal clean error.
For numbers as targets (the class number, squared error, 4 quantile groups, equal steps and errors) the AUC is 1.00 too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from neurogames._arguments import instance, invalid_argument, number
from neurogames.bridge.ensembles.networks import Ensemble


@dataclass(frozen=True, eq=False)
class Composition:
    """Which units of which networks compose.

    Attributes:
        scores: (networks, units) in [0, 1], all hidden units, those of the first layer first; 0 for units that carry
            nothing, NaN for units of a diverged network that are not finite or after which nothing is.
        composing: (networks, units) bool, where the score is above the level asked for.
        layers: (units,) index of the hidden layer of every unit.
    """

    scores: Tensor
    composing: Tensor
    layers: Tensor

    @property
    def level(self) -> Tensor:
        """Composition level C / N of every network: share of its units that compose, NaN if a score is; (networks,)."""
        return self.composing.double().mean(dim=1).masked_fill(self.scores.isnan().any(dim=1), torch.nan)


@torch.no_grad()
def primitive_composition(
    ensemble: Ensemble,
    inputs: Tensor,
    *,
    primitives: Tensor,
    shortcut: Tensor,
    classes: Tensor,
    level: float = 0.5,
) -> Composition:
    """Measure (a): share of each unit's explained variance that the main effects of the primitives explain.

    With nested spaces of functions of the row (constants, shortcut codes, main effects of all primitives, classes)
    the centred activations a fall into orthogonal parts, and with df the dimension of a part::

        SS_part = |projection of a|^2 - df * MS_residual   (unbiased, cut at 0)
        score   = SS_primitives / (SS_shortcut + SS_primitives + SS_classes)

    Above 1/2 the primitives explain more than the shortcut and the class-specific remainder together. Unbalanced
    codes are no trouble: the parts are fitted by least squares in this order, so that what the shortcut could explain
    is never credited to the primitives. Best measured on rows whose shortcut is independent of the class; where it is
    tied to the class, nothing is left for the primitives and no unit composes.

    Args:
        ensemble: networks with hidden layers.
        inputs: (rows, features), or (networks, rows, features).
        primitives: (rows, primitives) integer codes.
        shortcut: (rows,) integer codes.
        classes: (rows,) integer codes.
        level: score above which a unit composes, in [0, 1].

    Returns:
        Scores of all units of all networks.

    Raises:
        ValueError: shapes do not fit together, there is no hidden layer, or not more rows than effects to fit.

    Units that read the first primitive, the second, and both at once (of whose variance main effects are 2/3):

    >>> codes = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]).repeat(25, 1)
    >>> weights = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]]), torch.ones(1, 3, 1)
    >>> biases = torch.tensor([[[0.0, 0.0, -1.0]]]), torch.zeros(1, 1, 1)
    >>> marks, classes = torch.arange(100) % 5, codes @ torch.tensor([1, 2])
    >>> result = primitive_composition(
    ...     Ensemble(weights, biases), codes.float(), primitives=codes, shortcut=marks, classes=classes
    ... )
    >>> result.scores.numpy().round(3), result.level.item()
    (array([[1.   , 1.   , 0.667]]), 1.0)
    """
    instance("ensemble", ensemble, Ensemble, "an Ensemble")
    instance("inputs", inputs, Tensor, "a tensor")
    instance("primitives", primitives, Tensor, "a tensor")
    instance("shortcut", shortcut, Tensor, "a tensor")
    instance("classes", classes, Tensor, "a tensor")
    number("level", level, "a share in [0, 1]", lambda part: 0 <= part <= 1)
    hidden, rows = hidden_activations(ensemble, inputs)
    if primitives.ndim != 2 or len(primitives) != rows or primitives.shape[1] == 0:
        raise invalid_argument(
            "primitives", f"shape {tuple(primitives.shape)}", f"({rows}, number of primitives) codes"
        )
    for name, codes in (("shortcut", shortcut), ("classes", classes)):
        if codes.shape != (rows,):
            raise invalid_argument(name, f"shape {tuple(codes.shape)}", f"({rows},) codes")
    parts = _orthogonal_parts([shortcut[:, None], primitives, classes[:, None]])
    left = rows - 1 - sum(part.shape[1] for part in parts)
    if left < 1:
        raise invalid_argument("inputs", f"{rows} rows", f"more rows than the {rows - left} effects to be fitted")
    scores = []
    for values in hidden:
        centred = values.double() - values.double().mean(dim=1, keepdim=True)
        total = centred.square().sum(dim=1)
        explained = [(part.T @ centred).square().sum(dim=1) for part in parts]
        residual = (total - torch.stack(explained).sum(dim=0)).clamp(min=0) / left
        by_shortcut, by_primitives, by_classes = (
            (squares - part.shape[1] * residual).clamp(min=0) for squares, part in zip(explained, parts, strict=True)
        )
        found = by_shortcut + by_primitives + by_classes
        nothing = found <= 1e-12 * values.double().square().sum(dim=1)  # no comparison holds for NaN, which stays
        scores.append(torch.where(nothing, 0.0, by_primitives / torch.where(nothing, 1.0, found)))
    return join_layers(scores, level)


def hidden_activations(ensemble: Ensemble, inputs: Tensor) -> tuple[list[Tensor], int]:
    """Activations of all hidden layers and the number of rows, or an error."""
    hidden = ensemble.activations(inputs)
    if not hidden:
        raise invalid_argument("ensemble", f"widths {ensemble.widths}", "networks with hidden layers")
    rows = hidden[0].shape[1]
    if rows == 0:
        raise invalid_argument("inputs", "no rows", "at least one row")
    return hidden, rows


def join_layers(scores: Sequence[Tensor], level: float) -> Composition:
    """Join the scores of the hidden layers."""
    layers = [torch.full((score.shape[1],), layer) for layer, score in enumerate(scores)]
    joined = torch.cat(list(scores), dim=1)
    return Composition(joined, joined > level, torch.cat(layers))


def _orthogonal_parts(factors: Sequence[Tensor]) -> list[Tensor]:
    """Orthonormal bases of what each factor (rows, variables of codes) adds to the constant and those before it."""
    rows, device = len(factors[0]), factors[0].device
    basis = torch.full((rows, 1), rows**-0.5, dtype=torch.float64, device=device)
    parts = []
    for codes in factors:
        inverse = [torch.unique(variable, return_inverse=True)[1] for variable in codes.T]
        columns = torch.cat([functional.one_hot(variable) for variable in inverse], dim=1).double()
        columns /= columns.sum(dim=0).sqrt()
        left, size, _ = torch.linalg.svd(columns - basis @ (basis.T @ columns), full_matrices=False)
        parts.append(left[:, size > 1e-7])
        basis = torch.cat([basis, parts[-1]], dim=1)
    return parts
