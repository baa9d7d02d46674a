"""What a model costs: its parameters, and the multiply-adds of one run.

A Linear costs inputs * outputs multiply-adds for each position, a convolution kernel * inputs / groups * outputs. They
are counted where torch carries them out, so that products in functions count too (attention, for instance); additions,
activation functions and norms do not.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from neurogames._arguments import instance, integer, invalid_argument
from neurogames.bridge.modules.evaluation import evaluating, unfused_attention


def count_parameters(model: nn.Module) -> int:
    """Count the trainable and frozen parameters of a model, shared ones once.

    Args:
        model: any module.

    Returns:
        The number of entries.

    >>> count_parameters(nn.Linear(3, 2))
    8
    """
    instance("model", model, nn.Module, "a torch module")
    return sum(parameter.numel() for parameter in model.parameters())


def multiply_adds(model: nn.Module, example_inputs: Tensor | tuple[Any, ...]) -> int:
    """Count the multiply-adds of one run of a model in evaluation mode.

    Args:
        model: any module; it is left as it is.
        example_inputs: its input, or a tuple of its positional arguments. The count is for all of it: give a batch
            of one for the cost of one sample.

    Returns:
        Multiplications that are followed by an addition, in matrix products and convolutions.

    Raises:
        ValueError: the model refuses the inputs.

    >>> multiply_adds(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.ones(1, 3))
    20
    """
    inputs = as_arguments(example_inputs)
    counter = FlopCounterMode(display=False)
    try:
        # Fused attention, of a layer or of a product, is one operation whose inside is not seen.
        with evaluating(model), torch.no_grad(), unfused_attention(), counter:
            model(*inputs)
    except Exception as error:
        raise refuse_inputs(inputs, error) from error
    return counter.get_total_flops() // 2


def measured_speed(
    before: nn.Module, after: nn.Module, inputs: Tensor | tuple[Any, ...], *, repeats: int = 50
) -> float:
    """Measure how many times faster one model is than another, in evaluation mode.

    Both run in turn, so that a busy machine slows both; the ratio is of medians.

    Args:
        before: the model that counts as 1.
        after: the other model.
        inputs: their input, or a tuple of positional arguments.
        repeats: runs of each that are timed, after one that is not.

    Returns:
        Median seconds of ``before`` divided by those of ``after``.

    Raises:
        ValueError: a model refuses the inputs, or there is nothing to repeat.

    >>> model = nn.Linear(4, 4)
    >>> measured_speed(model, model, torch.ones(2, 4)) > 0
    True
    """
    instance("before", before, nn.Module, "a torch module")
    instance("after", after, nn.Module, "a torch module")
    repeats = integer("repeats", repeats, minimum=1)
    arguments = as_arguments(inputs)
    seconds: tuple[list[float], list[float]] = ([], [])
    with evaluating(before), evaluating(after), torch.no_grad():
        for turn in range(repeats + 1):
            for model, spent in zip((before, after), seconds, strict=True):
                start = time.perf_counter()
                try:
                    model(*arguments)
                    if any(value.is_cuda for value in arguments if isinstance(value, Tensor)):
                        torch.cuda.synchronize()
                except Exception as error:
                    raise refuse_inputs(arguments, error) from error
                if turn:
                    spent.append(time.perf_counter() - start)
    return statistics.median(seconds[0]) / statistics.median(seconds[1])


def as_arguments(inputs: Tensor | tuple[Any, ...]) -> tuple[Any, ...]:
    """Positional arguments of a model from one tensor or a tuple."""
    return tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)


def refuse_inputs(inputs: tuple[Any, ...], error: Exception) -> ValueError:
    """Build the error for example inputs that a model does not accept."""
    shapes = [tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__ for value in inputs]
    why = f"{type(error).__name__}: {error}".splitlines()[0]
    return invalid_argument("example_inputs", f"{shapes} ({why})", "inputs that the model accepts")
