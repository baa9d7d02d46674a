"""What the outputs of a network are worth, row by row.

Of class ids, with scores z of C classes for each row (or for each token of a row, each pixel of an image)::

    "accuracy"  1 where the largest score is that of the row's class (the first one among several), else 0
    "loss"      z_class - log sum_c exp z_c, minus the cross-entropy
    "logit"     z_class

A single output z for each row stands for two classes: 1 has the score z / 2, and 0 has - z / 2, so that "loss" is minus
the binary cross-entropy with logits. With a target for each token the worth of a row is the mean over its tokens.
Targets of -100 do not count, as in torch. Of floating targets, "loss" is minus the mean squared error of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from neurogames._arguments import invalid_argument
from neurogames.bridge.coalitions.right_answers import right_answers

Metric = Literal["accuracy", "loss", "logit"] | Callable[[Tensor, Tensor], Tensor]
Score = Callable[[Tensor, Tensor], Tensor]  # outputs (rows, m, ...), targets (rows, ...) -> (m, rows) worths

IGNORED = -100


def counted_rows(metric: Metric, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Leave out the rows all targets of which are ignored; a metric of the caller's gets all rows.

    >>> counted_rows("loss", torch.tensor([[1.0], [2.0]]), torch.tensor([-100, 3]))
    (tensor([[2.]]), tensor([3]))
    """
    if callable(metric) or targets.is_floating_point() or targets.is_complex():
        return inputs, targets
    counted = (targets != IGNORED).reshape(len(targets), -1).any(dim=1)
    if not counted.any():
        raise invalid_argument("targets", f"{IGNORED} throughout", "a row with a class id that counts")
    return (inputs, targets) if counted.all() else (inputs[counted.to(inputs.device)], targets[counted])


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
    if targets.is_complex() or targets.dtype == torch.bool:
        raise invalid_argument(
            "targets", f"{targets.dtype} of shape {tuple(targets.shape)}", "(rows,) or (rows, tokens) integer class ids"
        )
    classes = 2 if _is_single(outputs.shape[1:], targets) else outputs.shape[_class_axis(outputs.shape[1:], targets)]
    ids = targets[targets != IGNORED]
    if int(ids.min()) < 0 or int(ids.max()) >= classes:
        raise invalid_argument("targets", f"ids {int(ids.min())} to {int(ids.max())}", f"ids in [0, {classes - 1}]")


def row_score(metric: Metric, targets: Tensor) -> Score:
    """A worth, row by row, once ``check_metric`` has let it pass.

    >>> score = row_score("logit", torch.tensor([[1, 0]]))
    >>> score(torch.tensor([[[[1.0, 2.0, 0.0], [3.0, 4.0, 0.0]]]]), torch.tensor([[1, -100]]))  # one row of two tokens
    tensor([[2.]])
    """
    if callable(metric):
        return lambda outputs, part: _by_function(metric, outputs, part)
    if targets.is_floating_point():
        return _minus_squares
    by_class = {"accuracy": right_answers, "loss": _minus_cross_entropy, "logit": _right_logits}[metric]

    def score(outputs: Tensor, part: Tensor) -> Tensor:
        rest = outputs.shape[2:]
        if _is_single(rest, part):
            margins = outputs.reshape(*outputs.shape[:2], 1) / 2
            return by_class(torch.cat([-margins, margins], dim=2), part.reshape(-1))
        if part.ndim == 1:
            return by_class(outputs, part)
        by_token = outputs.movedim(_class_axis(rest, part), -1).flatten(2, -2)  # (rows, m, tokens, classes)
        ids = part.flatten(1)
        counts = ids != IGNORED
        worths = by_class(by_token.transpose(1, 2).flatten(0, 1), ids.where(counts, 0).flatten())
        worths = worths.unflatten(1, ids.shape)
        worths = worths.to(by_token.dtype).masked_fill(~counts, 0)
        means: Tensor = worths.sum(dim=2) / counts.sum(dim=1)
        return means

    return score


def _is_single(rest: torch.Size, targets: Tensor) -> bool:
    """Whether outputs (rows, *rest) are one number for each row."""
    return rest.numel() == 1 and len(rest) <= 1 and targets[0].numel() == 1


def _class_axis(rest: torch.Size, targets: Tensor) -> int:
    """Axis of the classes in outputs (rows, *rest), from the end: the last one, or the first one behind the rows."""
    tokens = targets.shape[1:]
    axes = [axis for axis, others in ((-1, rest[:-1]), (-len(rest), rest[1:])) if len(rest) and others == tokens]
    shapes = f"outputs of shape (rows, {', '.join(map(str, rest))})" if len(rest) else "outputs of shape (rows,)"
    if not axes or rest[axes[0]] < 2:
        expected = "at least two outputs, one for each class, or a single one for each of the rows"
        raise invalid_argument("model", f"{shapes} for targets of shape {tuple(targets.shape)}", expected)
    if len(set(axes)) > 1:
        raise invalid_argument("metric", f"{shapes}, either axis of which may be that of the classes", "a function")
    return axes[0]


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
