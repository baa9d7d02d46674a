"""Columns of the curvature of the loss at the outputs: V_xx = Z Z' of each row at the end.

"gradient"        z = n dL/dy, the gradient of the row's own loss: the paper's rank one, the empirical Fisher matrix
"cross_entropy"   Z Z' = diag(p) - p p', p = softmax(y): Gauss-Newton of rank C - 1, or its leading columns
"mse"             Z Z' = 2/C I: Gauss-Newton of the mean over C outputs of squares
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from neurogames._arguments import invalid_argument

Terminal = Literal["gradient", "cross_entropy", "mse"]
_CLOSE = 1e-3


def terminal_columns(terminal: Terminal, rank: int, outputs: Tensor, gradients: Tensor) -> Tensor | None:
    """Columns (rank, rows, ...) of each row; None where the only one is the gradient itself.

    Args:
        terminal: which curvature.
        rank: number of columns.
        outputs: y (rows, ...).
        gradients: n dL/dy.

    Raises:
        ValueError: the loss is not the one that ``terminal`` names, or no mean over rows; or the rank is too high.

    >>> y = torch.zeros(1, 2)
    >>> Z = terminal_columns("cross_entropy", 1, y, torch.tensor([[0.5, -0.5]]))
    >>> (Z[0].T @ Z[0]).round(decimals=4)
    tensor([[ 0.2500, -0.2500],
            [-0.2500,  0.2500]])
    """
    _refuse_sum(outputs, gradients)
    if terminal == "gradient":
        return None
    if outputs.ndim != 2:
        raise invalid_argument("terminal", f"{terminal!r} and outputs with {outputs.ndim} axes", "(rows, outputs)")
    count = outputs.shape[1]
    if terminal == "mse":
        if rank != count:
            raise invalid_argument("terminal_rank", rank, f"{count}, the number of outputs, since all weigh the same")
        eye = torch.eye(count, dtype=outputs.dtype, device=outputs.device) * (2 / count) ** 0.5
        everywhere: Tensor = eye.unsqueeze(1).expand(count, len(outputs), count)
        return everywhere
    if rank >= count:
        raise invalid_argument("terminal_rank", rank, f"at most {count - 1}, one less than the classes")
    p = outputs.softmax(dim=1)
    targets = p - gradients
    if bool(((targets.sum(dim=1) - 1).abs() > _CLOSE).any() or (targets < -_CLOSE).any()):
        got = "a loss whose gradient is no softmax minus probabilities"
        raise invalid_argument("loss", got, "cross entropy as a mean over rows, without weights of classes")
    values, vectors = torch.linalg.eigh(torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1))
    leading: Tensor = vectors[..., -rank:] * values[:, -rank:].clamp_min(0).sqrt().unsqueeze(1)
    return leading.permute(2, 0, 1)


def _refuse_sum(outputs: Tensor, gradients: Tensor) -> None:
    """Refuse cross entropy that is summed over rows, which can be told: other sums cannot."""
    rows = len(outputs)
    if outputs.ndim != 2 or outputs.shape[1] < 2 or rows < 2:
        return
    slope = gradients / rows
    large = slope.abs().amax(dim=1) > 0.1
    targets = outputs.softmax(dim=1) - slope
    sums = (targets.amax(dim=1) - 1).abs() + (targets.sum(dim=1) - 1).abs() < _CLOSE
    if bool(large.any() & (sums | ~large).all()):
        raise invalid_argument("loss", "cross entropy summed over rows", "its mean over rows")
