"""Which answers of many networks at once are right.

The answer to a row is the class with the largest score, the first one where several tie (as ``torch.argmax`` has it).
Reducing over a short last axis is slow on a CPU, slower than the product that made the scores; here the rows are the
last axis, along which processors compare many numbers at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurogames.engine.compiled import compiled


def right_answers(outputs: Tensor, labels: Tensor) -> Tensor:
    """Whether each network answers each row rightly.

    Args:
        outputs: (rows, networks, classes) scores.
        labels: (rows,) class ids.

    Returns:
        (networks, rows) booleans.

    >>> outputs = torch.tensor([[[0.0, 1.0], [2.0, 1.0]], [[1.0, 1.0], [0.0, 3.0]]])
    >>> right_answers(outputs, torch.tensor([1, 0]))
    tensor([[ True,  True],
            [False, False]])
    """
    if outputs.device.type != "cpu" or outputs.dtype not in (torch.float32, torch.float64):
        return labels == outputs.argmax(dim=-1).T
    scores = outputs.permute(1, 2, 0).contiguous().numpy()
    right = np.empty((len(scores), len(labels)), dtype=np.bool_)
    _compare(scores, labels.numpy(), right)
    return torch.from_numpy(right)


@compiled
def _compare(scores: NDArray[Any], labels: NDArray[np.int64], right: NDArray[np.bool_]) -> None:
    """Write down which answers are right; scores (networks, classes, rows)."""
    best = np.empty(scores.shape[2], scores.dtype)
    answer = np.empty(scores.shape[2], np.int32)
    for network in range(scores.shape[0]):
        best[:] = scores[network, 0]
        answer[:] = 0
        for label in range(1, scores.shape[1]):
            column, this = scores[network, label], np.int32(label)
            for row in range(best.size):
                answer[row] = this if column[row] > best[row] else answer[row]
                best[row] = column[row] if column[row] > best[row] else best[row]
        for row in range(best.size):
            right[network, row] = answer[row] == labels[row]
