"""The one check of data: rows of inputs and of targets, finite, as many of both, that the model and the loss take.

Rows are the first axis. Errors are named as the caller's arguments are: "inputs" and "targets" where these came apart,
or the one ``name`` of an argument that held both, and then the error says which of both is meant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.modules.hooks import frozen_copy

Loss = Callable[[Tensor, Tensor], Tensor]
Data = tuple[Tensor, Tensor]
Part = Literal["inputs", "targets"]

# What a model or a loss raises for rows that it does not take.
REFUSALS = (RuntimeError, ValueError, TypeError, IndexError, AssertionError)
_FEW = 2


def finite_rows(value: Any, part: Part = "inputs", *, name: str | None = None, minimum: int = 1) -> Tensor:
    """Return ``value`` detached if it is a tensor with rows of finite numbers, or refuse it.

    Args:
        value: (rows, ...), of any dtype and on any device.
        part: which of both it is.
        name: the argument that held both; ``part`` itself when left out.
        minimum: least number of rows, such as a batch.

    Raises:
        ValueError: it is no tensor, has too few rows, or an entry is not finite.

    >>> finite_rows(torch.tensor([[1.0], [float("nan")]]))
    Traceback (most recent call last):
    ValueError: inputs: got '1 entries that are not finite', expected finite numbers
    """
    if not isinstance(value, Tensor) or value.ndim == 0 or len(value) < minimum:
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise _wrong(name, part, got, f"a tensor with at least {minimum} row{'s' * (minimum > 1)}")
    if value.is_meta or value.layout != torch.strided:
        raise _wrong(name, part, f"{value.layout} on {value.device}", "a dense tensor that holds numbers")
    finite = value.isfinite()
    if not finite.all():
        raise _wrong(name, part, f"{int((~finite).sum())} entries that are not finite", "finite numbers")
    return value.clone() if value.is_inference() else value.detach()  # of the former no gradient can be taken


def matched_rows(inputs: Any, targets: Any, *, name: str | None = None, minimum: int = 1) -> Data:
    """Return inputs and targets detached if they are finite rows, as many of both, or refuse them.

    Args:
        inputs: (rows, ...).
        targets: (rows, ...).
        name: the argument that held both; "inputs" and "targets" when left out.
        minimum: least number of rows, such as a batch.

    Raises:
        ValueError: one of them is not as ``finite_rows`` wants it, or their numbers of rows differ.

    >>> matched_rows(torch.zeros(3, 2), torch.zeros(2))
    Traceback (most recent call last):
    ValueError: targets: got '2 rows', expected 3 rows, one for each of inputs
    """
    rows = finite_rows(inputs, "inputs", name=name, minimum=minimum)
    goals = finite_rows(targets, "targets", name=name)
    if len(rows) != len(goals):
        raise _wrong(name, "targets", f"{len(goals)} rows", f"{len(rows)} rows, one for each of inputs")
    return rows, goals


def data_pair(data: Any, *, name: str = "data", minimum: int = 1) -> Data:
    """Return the inputs and targets of one argument, detached, or refuse it.

    Args:
        data: a pair (inputs, targets).
        name: what the caller called it.
        minimum: least number of rows, such as a batch.

    Raises:
        ValueError: it is no pair, or ``matched_rows`` refuses it.

    >>> data_pair((torch.zeros(0, 2), torch.zeros(0)))
    Traceback (most recent call last):
    ValueError: data: got 'inputs: shape (0, 2)', expected a tensor with at least 1 row
    """
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise invalid_argument(name, type(data).__name__, "a pair of tensors (inputs, targets)")
    return matched_rows(*data, name=name, minimum=minimum)


def trial_outputs(
    run: Callable[[Tensor], Any], inputs: Tensor, *, name: str | None = None, model_name: str = "model"
) -> Tensor:
    """Outputs of a few rows, if they are one tensor with one entry for each row.

    Args:
        run: maps (rows, ...) to outputs; it is called in the grad mode of the caller.
        inputs: (rows, ...) a few rows, where the model is.
        name: the argument that held the inputs; "inputs" when left out.
        model_name: what the caller called the model.

    Raises:
        ValueError: the model refuses the rows, or its outputs are of another form.

    >>> trial_outputs(nn.Flatten(0), torch.zeros(2, 4))
    Traceback (most recent call last):
    ValueError: model: got 'outputs of shape (8,) for 2 rows', expected one tensor, its first axis the rows
    """
    try:
        outputs = run(inputs)
    except REFUSALS as error:
        got = f"shape {tuple(inputs.shape)} ({inputs.dtype})"
        raise _wrong(name, "inputs", got, f"rows that the model takes; it says: {_first_line(error)}") from error
    if not isinstance(outputs, Tensor) or outputs.ndim == 0 or len(outputs) != len(inputs):
        got = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
        expected = "one tensor, its first axis the rows"
        raise invalid_argument(model_name, f"outputs of {got} for {len(inputs)} rows", expected)
    if outputs.is_meta:
        raise invalid_argument(model_name, "weights on the device meta", "weights that hold numbers")
    return outputs


def trial_loss(loss: Loss, outputs: Tensor, targets: Tensor, *, name: str | None = None) -> Tensor:
    """Loss of a few rows, if it is one number.

    Args:
        loss: maps outputs and targets to the mean over rows.
        outputs: (rows, ...).
        targets: (rows, ...).
        name: the argument that held the targets; "targets" when left out.

    Raises:
        ValueError: the loss refuses the rows, or gives no tensor without axes.

    >>> trial_loss(nn.MSELoss(reduction="none"), torch.zeros(2), torch.zeros(2))
    Traceback (most recent call last):
    ValueError: loss: got 'an answer of shape (2,)', expected the mean over the rows, one number as a tensor
    """
    try:
        value = loss(outputs, targets)
    except REFUSALS as error:
        got = f"shape {tuple(targets.shape)} ({targets.dtype}) for outputs of shape {tuple(outputs.shape)}"
        raise _wrong(name, "targets", got, f"targets that the loss takes; it says: {_first_line(error)}") from error
    if not isinstance(value, Tensor) or value.ndim:
        got = f"an answer of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise invalid_argument("loss", got, "the mean over the rows, one number as a tensor")
    return value


def try_classes(loss: Loss, outputs: Tensor, targets: Tensor, *, name: str | None = None) -> None:
    """Run the loss on the least and on the greatest of all classes, which is what it refuses where it refuses any.

    Args:
        loss: maps outputs and targets to the mean over rows.
        outputs: (some rows, ...) of any rows.
        targets: (rows, ...) of all rows; nothing is done with real numbers.
        name: the argument that held the targets; "targets" when left out.

    Raises:
        ValueError: the loss refuses one of both.

    >>> try_classes(nn.functional.cross_entropy, torch.zeros(2, 3), torch.tensor([0, 1, 2, 3, 1]))
    Traceback (most recent call last):
    ValueError: targets: got 'class 3', expected classes that the loss takes; it says: Target 3 is out of bounds.
    """
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool or not targets.numel():
        return
    rows = min(_FEW, len(outputs))  # some losses want several
    by_row = targets.flatten(1) if targets.ndim > 1 else targets[:, None]
    for classes, row in ((by_row.amin(1), by_row.amin(1).argmin()), (by_row.amax(1), by_row.amax(1).argmax())):
        try:
            loss(outputs[:rows], targets[row].expand(rows, *targets.shape[1:]).to(outputs.device))
        except REFUSALS as error:
            expected = f"classes that the loss takes; it says: {_first_line(error)}"
            raise _wrong(name, "targets", f"class {int(classes[row])}", expected) from error


@torch.no_grad()
def try_rows(
    model: nn.Module, loss: Loss, data: Data, *, name: str | None = None, model_name: str = "model"
) -> tuple[Tensor, Tensor]:
    """Run a copy of the model, in evaluation mode, and the loss on the first rows, so that what is wrong shows early.

    Args:
        model: any module that takes one tensor; it stays as it is.
        loss: maps outputs and targets to the mean over rows.
        data: inputs and targets, checked by ``matched_rows`` or ``data_pair``, where the model is.
        name: the argument that held both; "inputs" and "targets" when left out.
        model_name: what the caller called the model.

    Returns:
        The outputs (rows, ...) of at most two rows, and their loss.

    Raises:
        ValueError: the model cannot be copied, the model or the loss refuses the rows, or answers in another form.

    >>> outputs, value = try_rows(nn.Linear(3, 1), nn.functional.mse_loss, (torch.zeros(5, 3), torch.zeros(5, 1)))
    >>> outputs.shape, value.shape
    (torch.Size([2, 1]), torch.Size([]))
    """
    inputs, targets = data
    outputs = trial_outputs(frozen_copy(model), inputs[:_FEW].clone(), name=name, model_name=model_name)
    value = trial_loss(loss, outputs, targets[:_FEW], name=name)
    try_classes(loss, outputs, targets, name=name)
    return outputs, value


def _wrong(name: str | None, part: Part, got: str, expected: str) -> ValueError:
    """An error named as the caller's argument is."""
    return invalid_argument(part, got, expected) if name is None else invalid_argument(name, f"{part}: {got}", expected)


def _first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]
