"""Products of tensors that both depend on the input, as in attention: whole heads leave, or nothing.

In softmax(q k') v the channels of one head act on each other, those of different heads do not. So all channels of a
head are coupled. The head leaves if its values v are silent: then nobody hears its queries and keys.
"""

from __future__ import annotations

import torch
from torch import Tensor

from neurogames.bridge.pruning.channels import compact, never
from neurogames.bridge.pruning.known_tensors import KnownTensors
from neurogames.bridge.pruning.rules import Operation


def multiply_matrices(known: KnownTensors, step: Operation, result: Tensor) -> bool:
    """A product over the last axis of one tensor and the last but one of another, per head; say whether it was one."""
    left, right = step.tensors[:2]
    if len(step.tensors) != 2 or left.ndim != right.ndim or left.ndim < 3 or left not in known or right not in known:
        return False
    of_left, of_right = compact(known.labels(left)), compact(known.labels(right))
    if of_left.shape[-2] > 1:
        return False
    joined = _join_heads(known, [of_left, of_right], step.name)
    # What comes out keeps the channels on the last axis of the right factor, the values of attention.
    labels = joined if of_right.shape[-1] == 1 or of_right.shape[-2] > 1 else of_right
    known.note(result, labels.expand(result.shape), _silent(step, result, 1))
    return True


def attend(known: KnownTensors, step: Operation, result: Tensor) -> bool:
    """Fused attention of queries, keys and values; say whether the heads could be told apart."""
    labels = [compact(known.labels(tensor)) for tensor in step.tensors[:3]]
    queries, values = step.tensors[0], step.tensors[2]
    if step.kwargs.get("enable_gqa") and queries.ndim > 2:  # several heads of queries share one of keys and values
        sharing = queries.shape[-3] // values.shape[-3]
        labels[1:] = [compact(label.repeat_interleave(sharing, dim=-3)) for label in labels[1:]]
    if any(label.shape[-2] > 1 for label in labels):
        return False
    if any(known.labels(tensor).any() for tensor in step.tensors[3:]):
        return False
    _join_heads(known, labels, step.name)
    known.note(result, labels[2].expand(result.shape), _silent(step, result, 2))
    return True


def soften(known: KnownTensors, step: Operation, result: Tensor) -> bool:
    """A softmax along an axis on which the channels do not change; say whether it was one."""
    labels, axis = known.labels(step.tensors[0]), step.argument(1, "dim", None)
    if not isinstance(axis, int) or compact(labels).shape[axis] > 1:
        return False
    known.note(result, labels, never(result))
    return True


def _join_heads(known: KnownTensors, labels: list[Tensor], name: str) -> Tensor:
    """Couple all channels of a head; give one of them for each head, (..., 1, 1)."""
    first = max(labels, key=lambda label: label[..., 0, 0].numel()).narrow(-1, 0, 1).narrow(-2, 0, 1)
    for label in labels:
        known.flow.couple(label, first, f"{name} joins it with what belongs to no unit")
    return first


def _silent(step: Operation, result: Tensor, values: int) -> Tensor:
    """Constants of attention: 0 where the values are 0 for all tokens."""
    zero = (step.constants[values] == 0).all(dim=-2, keepdim=True)
    if step.kwargs.get("enable_gqa"):
        zero = zero.repeat_interleave(result.shape[-3] // zero.shape[-3], dim=-3)
    return torch.where(zero, 0.0, torch.nan).to(result.dtype).expand(result.shape)
