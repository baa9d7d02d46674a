"""A model as people have it, as a module that takes one tensor of rows and gives one tensor.

Models take a tensor, several, or a dictionary, and give a tensor, a tuple or an object. A function
``forward(model, inputs)`` says how yours is called and what of its result counts::

    lambda model, inputs: model(**inputs).logits        inputs: {"input_ids": ..., "attention_mask": ...}
    lambda model, inputs: model(*inputs)[0]             inputs: (images, positions)

The adapted module has the submodules and parameters of the model, under the same names. Where the inputs are more than
one tensor, it keeps them and takes numbers of rows, so that whatever cuts rows into parts need not know of them. A
compiled model is unwrapped: what is compiled knows nothing of hooks and gates that come later.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.data import DataLoader

from neurogames._arguments import invalid_argument
from neurogames.bridge.modules.data import data_pair, finite_rows
from neurogames.bridge.modules.hooks import device_of

Forward = Callable[[nn.Module, Any], Tensor]


@dataclass(frozen=True, eq=False)
class _Inputs:
    """Inputs of all rows, or None where they are given at each call; copies of a model share them."""

    rows: Any

    def __deepcopy__(self, memo: dict[int, Any]) -> _Inputs:
        return self

    def at(self, given: Tensor) -> Any:
        return given if self.rows is None else tree_map(lambda part: part[given], self.rows)


class AdaptedModel(nn.Module):
    """A model behind a function that calls it; made by :func:`adapted`.

    Args:
        model: the model; its submodules, parameters and buffers become those of this module.
        forward: calls the model with inputs.
        rows: the inputs of all rows, if those of a call are to be their numbers.

    >>> model = nn.Bilinear(2, 3, 4)
    >>> both = AdaptedModel(model, lambda model, pair: model(*pair), (torch.ones(5, 2), torch.ones(5, 3)))
    >>> both(torch.tensor([4, 0])).shape, both.weight is model.weight
    (torch.Size([2, 4]), True)
    """

    def __init__(self, model: nn.Module, forward: Forward, rows: Any = None) -> None:
        # A copy of the outermost module alone: its mode, and its compiled call, are not those of the model.
        own = copy.copy(model)
        own._compiled_call_impl = None
        self._inner = (own,)  # a tuple, since a submodule would put its name before all others
        super().__init__()
        self.training = model.training
        for kind in ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"):
            vars(self)[kind] = vars(own)[kind]
        self._forward, self._inputs = forward, _Inputs(rows)

    @property
    def training(self) -> bool:
        """The mode, which is that of the model inside."""
        return self._inner[0].training

    @training.setter
    def training(self, mode: bool) -> None:
        self._inner[0].training = mode

    @property
    def inner(self) -> nn.Module:
        """The model."""
        return self._inner[0]

    def forward(self, given: Tensor) -> Tensor:
        """Outputs for inputs, or for numbers of rows."""
        return self._forward(self._inner[0], self._inputs.at(given))


def uncompiled(model: nn.Module) -> nn.Module:
    """The model that ``torch.compile`` has wrapped, or the model itself.

    >>> model = nn.Linear(2, 2)
    >>> uncompiled(torch.compile(model, backend="eager")) is model
    True
    """
    inner = getattr(model, "_orig_mod", model)
    return inner if isinstance(inner, nn.Module) else model


def adapted(
    model: nn.Module, inputs: Any, forward: Forward | None = None, *, name: str = "inputs"
) -> tuple[nn.Module, Any]:
    """Bring a model and its inputs to the form in which everything here takes them.

    Args:
        model: any module, compiled or not; it stays as it is.
        inputs: a tensor or numpy array (rows, ...), or, with ``forward``, tuples, lists and dictionaries of these.
        forward: calls the model with inputs of some rows and returns one tensor, rows first.
        name: what the caller called the inputs.

    Returns:
        A module that takes one tensor, with the names of the model; and that tensor, unchecked without ``forward``.

    Raises:
        ValueError: inputs of several parts without ``forward``, or with parts that are not as many finite rows.

    >>> module, rows = adapted(nn.Bilinear(2, 3, 4), (torch.ones(5, 2), torch.ones(5, 3)), lambda f, x: f(*x))
    >>> rows, module(rows).shape
    (tensor([0, 1, 2, 3, 4]), torch.Size([5, 4]))
    """
    if not isinstance(model, nn.Module):
        raise invalid_argument("model", model, "a torch module")
    model = uncompiled(model)
    if forward is None:
        if isinstance(inputs, (tuple, list, dict)):
            got = f"a {type(inputs).__name__} of {len(inputs)} parts"
            raise invalid_argument(name, got, "one tensor (rows, ...), or forward= that calls the model with them")
        return model, _like_weights(inputs, model)
    if not callable(forward):
        raise invalid_argument("forward", forward, "a function of the model and its inputs")
    parts = tree_leaves(inputs)
    if len(parts) == 1 and parts[0] is inputs:
        return AdaptedModel(model, forward), _like_weights(inputs, model)
    where = device_of(model)
    held = tree_map(lambda part: finite_rows(_like_weights(part, model), name=name).to(where), inputs)
    counts = [len(part) for part in tree_leaves(held)]
    if len(set(counts)) != 1:
        raise invalid_argument(name, f"parts of {counts} rows", "parts with as many rows")
    return AdaptedModel(model, forward, held), torch.arange(counts[0], device=where)


def adapted_pair(
    model: nn.Module, data: Any, forward: Forward | None = None, *, name: str = "data"
) -> tuple[nn.Module, Tensor, Tensor]:
    """``adapted`` for inputs and targets.

    Args:
        model: any module; it stays as it is.
        data: a pair (inputs, targets) of tensors or numpy arrays, or a DataLoader of such pairs.
        forward: as for ``adapted``.
        name: what the caller called the data.

    Returns:
        The module, its inputs, and the targets.

    Raises:
        ValueError: no such data, or ``adapted`` or ``data_pair`` refuses it.

    >>> pairs = torch.utils.data.TensorDataset(torch.ones(5, 2), torch.arange(5))
    >>> _, inputs, targets = adapted_pair(nn.Linear(2, 5), torch.utils.data.DataLoader(pairs, batch_size=2))
    >>> inputs.shape, targets
    (torch.Size([5, 2]), tensor([0, 1, 2, 3, 4]))
    """
    if isinstance(data, DataLoader):
        data = _joined(data, name)
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise invalid_argument(
            name, type(data).__name__, "a pair of tensors (inputs, targets), or a DataLoader of such"
        )
    module, inputs = adapted(model, data[0], forward, name=name)
    return module, *data_pair((inputs, _like_weights(data[1], model)), name=name)


def _like_weights(value: Any, model: nn.Module) -> Any:
    """A numpy array as a tensor, floating numbers in the precision of the model's weights; all else as it is."""
    if not isinstance(value, np.ndarray):
        return value
    try:
        tensor = torch.tensor(value)
    except TypeError:
        return value  # what holds no numbers is refused as all else that is no tensor
    kinds = (weight.dtype for weight in model.parameters() if weight.is_floating_point())
    return tensor.to(next(kinds, tensor.dtype)) if tensor.is_floating_point() else tensor


def _joined(loader: DataLoader[Any], name: str) -> tuple[Any, Any]:
    """All batches of a DataLoader as one."""
    batches = list(loader)
    for batch in batches[:1]:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise invalid_argument(name, f"batches that are a {type(batch).__name__}", "batches (inputs, targets)")
    if not batches:
        raise invalid_argument(name, "a DataLoader without batches", "at least one batch (inputs, targets)")
    inputs, targets = zip(*batches, strict=True)
    try:
        return tree_map(lambda *parts: torch.cat(parts), inputs[0], *inputs[1:]), torch.cat(targets)
    except (RuntimeError, TypeError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise invalid_argument(name, f"batches that cannot be joined ({why})", "batches of equal shapes") from error
