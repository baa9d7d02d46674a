"""Which torch operations do what to the channels of a tensor, by plain name.

A plain name has no underscores around it: ``add`` stands for ``torch.add``, ``Tensor.add_`` and ``a + b`` alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

MOVES = re.compile(
    "view|reshape|flatten|unflatten|squeeze|unsqueeze|permute|transpose|swap(axes|dims)|move(dim|axis)|t|T|mT|expand|chunk"
    "|split|tensor_split|unbind|narrow|select|getitem|cat|concat(enate)?|stack|flip|roll|repeat|repeat_interleave|tile"
    "|pixel_(un)?shuffle|(native_)?channel_shuffle"
)
PRODUCTS = re.compile("[ir]?mul|multiply")
MAPS = re.compile(
    "[ir]?(add|sub|mul|div|truediv|pow)|subtract|multiply|divide|neg|negative|abs|square|r?sqrt|reciprocal|exp|expm1|log|log1p"
    "|sin|cos|erf|clamp|clip|clamp_(min|max)|maximum|minimum"
    "|tanh|sigmoid|relu6?|[gsc]?elu|silu|mish|[pr]relu|leaky_relu|hard(tanh|swish|sigmoid|shrink)|soft(plus|sign|shrink)"
    "|tanhshrink|threshold|log_?sigmoid|(batch|instance)_norm|(alpha_|feature_alpha_)?dropout[123]?d?"
    "|to|float|double|half|clone|contiguous|detach|data"
)
_SPATIAL = re.compile("(?:adaptive_)?(?:avg|max|lp)_pool([123])d")
CHANNELWISE = frozenset(("batch_norm", "instance_norm", "prelu"))
REDUCTIONS = frozenset(("mean", "sum", "amax", "amin"))
VALUES = re.compile("__(bool|float|int|index|complex|array|contains)__|item|tolist|numpy|equal|allclose|is_nonzero")
READERS = re.compile("linear|addmm|conv(_transpose)?[123]d")


def operation_name(func: Any) -> str:
    """Plain name of a torch function: that of a property for its getter, without underscores."""
    name = getattr(func, "__name__", str(func))
    if name == "__get__":
        name = getattr(getattr(func, "__self__", None), "__name__", name)
    return name.strip("_")


def spatial_axes(name: str, axes: int, pad: Sequence[int]) -> int | None:
    """How many last axes of a tensor an operation mixes within each channel; None if it is no such operation.

    >>> spatial_axes("max_pool2d", 4, ()), spatial_axes("pad", 4, (1, 1)), spatial_axes("softmax", 4, ())
    (2, 1, None)
    """
    if found := _SPATIAL.fullmatch(name):
        return int(found[1])
    if name == "pad":
        return len(pad) // 2
    return axes - 2 if name in ("interpolate", "upsample") else None
