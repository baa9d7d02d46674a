"""Whether a loss is a sum over rows, read from its graph.

A gradient does not tell a sum from a mean of losses n times as large. The graph of the loss does, where nothing but
known operations lies between the outputs of the model and the loss: losses of torch with reduction="sum" or a sum, and
operations that neither average nor multiply. Anything else, such as a division, may make a mean of the sum.
"""

from __future__ import annotations

import re
from typing import Any

_PLAIN = re.compile(
    r"(Abs|Add|Alias|Clamp|ClampMax|ClampMin|Clone|Exp|Gather|Index|Log|Log1P|LogSigmoid|LogSoftmax|Logsumexp|Max|Min|"
    r"Neg|Permute|Pow|Relu|Reshape|ReshapeAlias|Select|Sigmoid|Slice|Softmax|Softplus|Squeeze|Sub|Sum|T|Tanh|ToCopy|"
    r"Transpose|UnsafeView|Unsqueeze|View|Where)Backward\d*"
)
_SUM = 2  # torch's number of reduction="sum"


def is_sum_over_rows(loss: Any, outputs: Any) -> bool:
    """Whether the loss is for certain a sum over rows; it may be asked before or after the backward pass.

    Args:
        loss: node of the graph (``grad_fn``) of the loss, without axes.
        outputs: node of the outputs (rows, ...).

    >>> import torch
    >>> outputs = torch.ones(4, 2, requires_grad=True).clone()
    >>> losses = outputs.square().sum(), outputs.square().sum() / 4, outputs.square().mean()
    >>> [is_sum_over_rows(loss.grad_fn, outputs.grad_fn) for loss in losses]
    [True, False, False]
    """
    between = _between(loss, outputs)
    names = [node.name() for node in between]
    losses = [getattr(node, "_saved_reduction", None) for node in between]
    known = all(
        reduction == _SUM or (reduction is None and _PLAIN.fullmatch(name))
        for name, reduction in zip(names, losses, strict=True)
    )
    return bool(between) and known and (_SUM in losses or any(name.startswith("Sum") for name in names))


def _between(loss: Any, outputs: Any) -> list[Any]:
    """Nodes from which a way leads to the outputs, without these."""
    leads: dict[Any, bool] = {outputs: True}
    waiting = [loss]
    while waiting:
        node = waiting[-1]
        inner = [each for each, _ in node.next_functions if each is not None] if node is not None else []
        new = [each for each in inner if each not in leads]
        if node is None or node in leads or not new:
            waiting.pop()
            if node is not None and node not in leads:
                leads[node] = any(leads[each] for each in inner)
        else:
            waiting.extend(new)
    return [node for node, leading in leads.items() if leading and node is not outputs]
