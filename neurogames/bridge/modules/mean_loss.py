"""Weighted means as means: a loss that leaves targets out, or weighs classes, as a mean over rows.

With weights w of classes and an ignored id, ``torch.nn.CrossEntropyLoss`` and ``NLLLoss`` give, over all tokens t of
all rows, sum_t w_t l_t / sum_t w_t. Of some rows only, that is another weighting, and such means do not add up to that
of all. With R rows and W = sum_t w_t of them all,

    L = (1/R) sum_r l_r,   l_r = (R / W) sum_{t in r} w_t l_t

is a mean over rows, which every part of the rows and every single row have a share in.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from neurogames._arguments import invalid_argument

Loss = Callable[[Tensor, Tensor], Tensor]
_FUNCTIONS = (functional.cross_entropy, functional.nll_loss)


def mean_over_rows(loss: Loss, targets: Tensor, *, name: str = "targets") -> Loss:
    """A loss with the same mean over all rows, which is a mean over rows; one that is not known stays as it is.

    Args:
        loss: ``CrossEntropyLoss``, ``NLLLoss``, their functions, or a ``functools.partial`` of these with settings by
            name; or another loss.
        targets: (rows, ...) of all rows.
        name: the argument that held the targets.

    Returns:
        A function of outputs and targets of some rows.

    Raises:
        ValueError: no target counts.

    >>> import torch
    >>> outputs, targets = torch.eye(3), torch.tensor([0, 1, -100])
    >>> weighted = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0, 1.0]))
    >>> loss = mean_over_rows(weighted, targets)
    >>> parts = torch.stack([loss(outputs[row : row + 1], targets[row : row + 1]) for row in range(3)])
    >>> torch.allclose(parts.mean(), weighted(outputs, targets))
    True
    """
    settings = _settings(loss)
    if settings is None or targets.is_floating_point():
        return loss
    weight, ignored = settings
    counts = targets != ignored
    if weight is None and targets.ndim == 1 and counts.all():
        return loss
    ids = targets.where(counts, 0)
    if weight is not None and (int(ids.min()) < 0 or int(ids.max()) >= len(weight)):
        return loss  # which refuses them itself
    weights = counts.double() if weight is None else weight.to(targets.device).double()[ids] * counts
    total = float(weights.sum())
    if not total > 0:
        raise invalid_argument(name, "targets none of which counts in the loss", "at least one that counts")
    sums = _summing(loss)
    scale = len(targets) / total

    def by_rows(outputs: Tensor, goals: Tensor) -> Tensor:
        return sums(outputs, goals) * (scale / len(goals))

    return by_rows


def _settings(loss: Loss) -> tuple[Tensor | None, int] | None:
    """Weights of classes and ignored id of a loss that is a weighted mean; None for any other."""
    if type(loss) in (nn.CrossEntropyLoss, nn.NLLLoss):
        known = vars(loss) | {"weight": loss.weight}  # type: ignore[attr-defined]
    elif callable(loss) and loss in _FUNCTIONS:
        known = {}
    elif isinstance(loss, partial) and loss.func in _FUNCTIONS and not loss.args:
        known = loss.keywords
    else:
        return None
    if known.get("reduction", "mean") != "mean":
        return None
    return known.get("weight"), known.get("ignore_index", -100)


def _summing(loss: Loss) -> Loss:
    """The loss with the sum over all targets in place of the mean."""
    if isinstance(loss, nn.Module):
        summed = copy.copy(loss)
        summed.reduction = "sum"  # type: ignore[assignment]
        return summed
    summing: Loss = partial(loss, reduction="sum")  # type: ignore[call-arg]
    return summing
