"""The rows on which a named network is analysed: images or tables by name, or a file of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from neurogames._arguments import integer, invalid_argument
from neurogames.bridge.modules.data import Loss, trial_outputs
from neurogames.lab.data.datasets import load_dataset
from neurogames.lab.data.images import find_images, fitting_rows, load_images
from neurogames.lab.data.preparation import prepare

Rows = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class NetworkRows:
    """What a network is analysed on.

    Attributes:
        loss: cross-entropy for classes, squared error for numbers.
        training: inputs and targets.
        held_out: further ones; None if there are none.
        source: where they came from, in words.
    """

    loss: Loss
    training: Rows
    held_out: Rows | None
    source: str


def rows_for(model: nn.Module, data: str, *, rows: int = 2000, rng: np.random.Generator) -> NetworkRows:
    """Find rows by name, in the shape that a network takes.

    Args:
        model: in evaluation mode.
        data: images that ``load_images`` finds, by name or path; a table that ``load_dataset`` reads, prepared and
            split as for ``compare``; or a file ``.npz`` with the arrays inputs, targets and perhaps held_out_inputs and
            held_out_targets, as they are.
        rows: most training rows, and most held-out rows.
        rng: draws the split of a table.

    Returns:
        The rows.

    Raises:
        ValueError: there are no such data, or the network does not take them.

    >>> found = rows_for(nn.Sequential(nn.Linear(4, 3)), "iris", rows=50, rng=np.random.default_rng(0))
    >>> found.training[0].shape, found.loss.__name__
    (torch.Size([50, 4]), 'cross_entropy')
    """
    rows = integer("rows", rows, minimum=1)
    if _are_images(data):
        images = load_images(data)
        inputs, tests = fitting_rows(model, images)
        training, held_out = (inputs, images.targets), (tests, images.test_targets)
        return _cut(model, training, held_out, rows, images.source)
    if Path(data).suffix == ".npz":
        return _cut(model, *_arrays(Path(data).expanduser()), rows, data)
    table = load_dataset(data)
    ready = prepare(table, rng=rng)
    parts = [ready.train_inputs, ready.train_targets, ready.test_inputs, ready.test_targets]
    tensors = [torch.from_numpy(np.asarray(part)) for part in parts]
    return _cut(model, (tensors[0], tensors[1]), (tensors[2], tensors[3]), rows, table.source)


def _are_images(data: str) -> bool:
    """Whether a name or path stands for images: any other file is a table or a file of arrays."""
    try:
        place = find_images(data)
    except ValueError:
        return False
    return not isinstance(place, Path) or place.is_dir() or place.suffix.lower() == ".zip"


def _arrays(path: Path) -> tuple[Rows, Rows | None]:
    """Arrays of a file; nothing is unpickled."""
    expected = "a file with the arrays inputs and targets, of numbers"
    try:
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            arrays = {name: torch.from_numpy(file[name]) for name in file.files}
    except Exception as error:
        # A damaged file may break its reader anywhere.
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise invalid_argument("data", f"{path} ({why})", expected) from None
    if not {"inputs", "targets"} <= set(arrays):
        raise invalid_argument("data", f"{path} with {', '.join(arrays) or 'nothing'}", expected)
    held_out = [arrays[f"held_out_{name}"] for name in ("inputs", "targets") if f"held_out_{name}" in arrays]
    return (arrays["inputs"], arrays["targets"]), (held_out[0], held_out[1]) if len(held_out) == 2 else None


def _cut(model: nn.Module, training: Rows, held_out: Rows | None, rows: int, source: str) -> NetworkRows:
    """The first rows of both, in the precision of the network, with the loss that the targets ask for."""
    dtype = next((each.dtype for each in model.parameters() if each.is_floating_point()), torch.float32)
    parts = [
        (_like(inputs[:rows], dtype), _like(targets[:rows], dtype))
        for inputs, targets in (training, *(() if held_out is None else (held_out,)))
    ]
    if not len(training[0]):
        raise invalid_argument("data", source, "at least one row")
    with torch.no_grad():
        outputs = trial_outputs(model, parts[0][0][:1], name="data")
    if parts[0][1].is_floating_point():
        shape = outputs.shape[1:]
        fitted = [(x, y.reshape(len(y), *shape) if y[0].numel() == shape.numel() else y) for x, y in parts]
        return NetworkRows(functional.mse_loss, fitted[0], fitted[1] if held_out is not None else None, source)
    return NetworkRows(functional.cross_entropy, parts[0], parts[1] if held_out is not None else None, source)


def _like(values: Tensor, dtype: torch.dtype) -> Tensor:
    return values.to(dtype) if values.is_floating_point() else values
