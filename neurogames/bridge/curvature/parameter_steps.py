"""What is done parameter by parameter: the direction without factors, momentum, decay and the move itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from neurogames._arguments import number
from neurogames.bridge.curvature.layer_curvature import Memory

_DECAY = 0.95


def diagonal_direction(memory: Memory, slope: Tensor, rows: int, damping: float) -> Tensor:
    """Direction of a parameter without factors, slope / (rows E[slope^2] + damping).

    The slope is a mean over rows; where noise dominates it, rows times its square has the mean of the squares of
    single rows, so that this is the diagonal of the Fisher matrix.

    Args:
        memory: of the parameter; the running average is written to it.
        slope: gradient of the mean loss.
        rows: number of rows.
        damping: > 0.

    >>> diagonal_direction({}, torch.tensor([1.0, 2.0]), 1, 1.0)
    tensor([0.5000, 0.4000])
    """
    if "square" in memory:
        memory["square"].lerp_(slope.square(), 1 - _DECAY)
    else:
        memory["square"] = slope.square()
    square: Tensor = memory["square"]
    return slope / (rows * square + damping)


def move(group: dict[str, Any], directions: Mapping[nn.Parameter, Tensor], memories: Mapping[Tensor, Memory]) -> None:
    """Move the parameters of a group against their directions.

    M <- momentum M + D and W <- (1 - lr weight_decay) W - lr M, in place.

    Args:
        group: lr, momentum, weight_decay and params.
        directions: D of the parameters that move.
        memories: M is kept there.
    """
    moved = [each for each in group["params"] if each in directions]
    if not moved:
        return
    steps = [directions[each] for each in moved]
    if group["momentum"]:
        for place, (each, step) in enumerate(zip(moved, steps, strict=True)):
            memory = memories[each]
            if "momentum_buffer" in memory:
                buffer = memory["momentum_buffer"]
                torch.add(step, buffer, alpha=group["momentum"], out=buffer)
            else:
                memory["momentum_buffer"] = step.clone(memory_format=torch.contiguous_format)
            steps[place] = memory["momentum_buffer"]
    if group["weight_decay"]:
        torch._foreach_mul_(moved, 1 - group["lr"] * group["weight_decay"])
    torch._foreach_add_(moved, steps, alpha=-group["lr"])


def check_setting(key: str, value: Any) -> None:
    """Refuse a setting of a group that is out of range.

    >>> check_setting("momentum", 1.0)
    Traceback (most recent call last):
    ValueError: momentum: got 1.0, expected a number in [0, 1)
    """
    if key == "damping":
        number(key, value, "a number > 0", lambda number: number > 0)
    elif key == "momentum":
        number(key, value, "a number in [0, 1)", lambda number: 0 <= number < 1)
    elif key in ("lr", "weight_decay"):
        number(key, value, "a number >= 0", lambda number: number >= 0)
