"""Composition without known primitives: over how many groups of rows the effect of ablating a unit is spread.

Measure (b) of ``composition``, which says what it can and cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from neurogames._arguments import instance, integer, invalid_argument, number
from neurogames.bridge.ensembles.networks import Ensemble
from neurogames.bridge.measures.composition import Composition, hidden_activations, join_layers
from neurogames.bridge.modules.data import finite_rows

_CHUNK_BYTES = 2**24  # the largest intermediate; bigger chunks leave the cache and are slower


@torch.no_grad()
def ablation_composition(
    ensemble: Ensemble, inputs: Tensor, targets: Tensor, groups: Tensor, *, level: float = 0.5
) -> Composition:
    """Measure (b): over how many groups of rows the effect of ablating a unit is spread.

    With D_jg the change of the mean loss of group g when unit j is held at its mean over the rows, and G groups::

        score_j = (sum_g abs(D_jg))^2 / (G sum_g D_jg^2)   in [1/G, 1],   the participation ratio

    A unit is held at its mean, not at 0: a constant of any size then has no effect, as it carries nothing. The loss
    is squared error for numbers, and for classes the probability 1 - p(right class) of answering wrong. It is not
    cross-entropy: that is unbounded, its effects follow the confidence of the network (module docstring).

    Args:
        ensemble: networks with hidden layers.
        inputs: (rows, features), or (networks, rows, features).
        targets: (rows,) integer class ids, or floating (rows,) or (rows, outputs) numbers.
        groups: (rows,) integer codes: classes, or ``quantile_groups`` of the targets; at least two groups.
        level: score above which a unit composes, in [0, 1].

    Returns:
        Scores of all units of all networks. A unit whose effects all drown in rounding scores 0.

    Raises:
        ValueError: shapes do not fit together, there is no hidden layer, or one group only.

    >>> from neurogames.bridge.ensembles.networks import initial_ensemble
    >>> inputs = torch.linspace(-1, 1, 60)[:, None]
    >>> groups = quantile_groups(inputs[:, 0], 3)
    >>> result = ablation_composition(initial_ensemble((1, 8, 8, 1), seeds=[0, 1]), inputs, inputs, groups)
    >>> result.scores.shape, result.level.shape
    (torch.Size([2, 16]), torch.Size([2]))
    """
    instance("ensemble", ensemble, Ensemble, "an Ensemble")
    instance("inputs", inputs, Tensor, "a tensor")
    instance("targets", targets, Tensor, "a tensor")
    instance("groups", groups, Tensor, "a tensor")
    number("level", level, "a share in [0, 1]", lambda part: 0 <= part <= 1)
    hidden, rows = hidden_activations(ensemble, inputs)
    outputs, kind = ensemble.widths[-1], ensemble.weights[0].dtype
    if targets.is_floating_point():
        if targets.shape not in ((rows, outputs), (rows,)) or (targets.ndim == 1 and outputs != 1):
            raise invalid_argument("targets", f"shape {tuple(targets.shape)}", f"({rows}, {outputs}) numbers")
        targets = targets.reshape(rows, outputs).to(kind)
    elif targets.shape != (rows,) or targets.min() < 0 or targets.max() >= outputs:
        got = f"shape {tuple(targets.shape)} with values {int(targets.min())} to {int(targets.max())}"
        raise invalid_argument("targets", got, f"({rows},) class ids in [0, {outputs - 1}]")
    if groups.shape != (rows,):
        raise invalid_argument("groups", f"shape {tuple(groups.shape)}", f"({rows},) codes")
    members = functional.one_hot(torch.unique(groups, return_inverse=True)[1]).to(kind)
    if members.shape[1] < 2:
        raise invalid_argument("groups", "one group", "at least two groups")
    members /= members.sum(dim=0)
    base = _losses(ensemble(inputs), targets)
    # Losses are known to rounding only, and so is a difference of them.
    floor = 16 * torch.finfo(base.dtype).eps * (1 + base.mean(dim=1, keepdim=True))
    scores = []
    for layer, values in enumerate(hidden):
        size = ablation_effects(ensemble, layer, values, base, targets, members, losses=_losses).abs()
        ratio = size.sum(-1).square() / (members.shape[1] * size.square().sum(-1)).clamp(min=1e-30)
        scores.append(torch.where(size.amax(-1) <= floor, 0.0, ratio))  # no comparison holds for NaN, which stays
    return join_layers(scores, level)


def quantile_groups(targets: Tensor, n_groups: int) -> Tensor:
    """Cut numbers into groups of as equal size as ties allow; equal numbers stay together.

    Args:
        targets: (rows,) or (rows, 1) numbers.
        n_groups: number of groups wanted, >= 2; ties can leave fewer.

    Returns:
        (rows,) codes 0, 1, ... in rising order of the targets.

    Raises:
        ValueError: all numbers are equal, one is not finite, or the shape is another.

    >>> quantile_groups(torch.tensor([3.0, 1.0, 2.0, 4.0]), 2).tolist()
    [1, 0, 0, 1]
    """
    instance("targets", targets, Tensor, "a tensor")
    n_groups = integer("n_groups", n_groups, minimum=2, maximum=max(2, targets.numel()))
    if targets.ndim != 1 and targets.shape[1:] != (1,):
        raise invalid_argument("targets", f"shape {tuple(targets.shape)}", "(rows,) or (rows, 1) numbers")
    values, ranks, counts = torch.unique(
        finite_rows(targets, "targets").reshape(-1), return_inverse=True, return_counts=True
    )
    if len(values) < 2:
        raise invalid_argument("targets", "one value only", "at least two different numbers")
    middle = counts.cumsum(0) - counts / 2
    codes = (middle * n_groups / counts.sum()).long()
    groups: Tensor = torch.unique(codes, return_inverse=True)[1][ranks]
    return groups


def ablation_effects(
    ensemble: Ensemble,
    layer: int,
    values: Tensor,
    base: Tensor,
    targets: Tensor,
    members: Tensor,
    *,
    losses: Callable[[Tensor, Tensor], Tensor],
    baseline: Literal["mean", "zero"] = "mean",
) -> Tensor:
    """Change of every group's mean loss when a unit of a hidden layer is held at a constant.

    Holding one unit is a rank-one change of what enters the next layer, so that only the layers after it are run.

    Args:
        ensemble: the networks.
        layer: index of the hidden layer.
        values: (networks, rows, units) activations of that layer.
        base: (networks, rows) losses of the rows as they are.
        targets: what ``losses`` takes.
        members: (rows, groups) weights of the rows in the mean of every group.
        losses: loss of every row from outputs (..., rows, outputs) and targets.
        baseline: the constant, the unit's "mean" over the rows or "zero".

    Returns:
        (networks, units, groups) changes.
    """
    weight, bias = ensemble.weights[layer + 1], ensemble.biases[layer + 1]
    last = layer + 2 == len(ensemble.weights)
    networks, rows, units = values.shape
    entering = torch.baddbmm(bias, values, weight).unsqueeze(1)
    constant = values.mean(dim=1, keepdim=True) if baseline == "mean" else torch.zeros_like(values[:, :1])
    change = (constant - values).transpose(1, 2).unsqueeze(-1)
    widest = max(ensemble.widths[layer + 2 :])
    step = max(1, _CHUNK_BYTES // (values.element_size() * networks * rows * widest))
    found = []
    for start in range(0, units, step):
        chunk = slice(start, start + step)
        outputs = change[:, chunk] * weight[:, chunk].unsqueeze(2)
        outputs += entering
        if not last:
            held = outputs.relu_().flatten(1, 2)
            outputs = torch.unflatten(ensemble.forward_from(layer + 1, held), 1, (-1, rows))
        found.append((losses(outputs, targets) - base.unsqueeze(1)) @ members)
    return torch.cat(found, dim=1)


def _losses(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared error, or probability of a wrong class, of every row; outputs (..., rows, outputs)."""
    if targets.is_floating_point():
        return (outputs - targets).square().mean(dim=-1)
    right = outputs.gather(-1, targets.long().expand(outputs.shape[:-1]).unsqueeze(-1)).squeeze(-1)
    return -torch.expm1(right - outputs.logsumexp(dim=-1))
