"""Which channels can leave a network so that its function stays, and the network without them.

A group of coupled channels leaves if one of its units is silent and nothing reads a value of it that is not constant.
Which units can leave depends on which others do: what has to stay is taken out until nothing changes. Then the cut
network runs, and where an operation does not give what remains of the old labels (a size written into the code, say),
its channels stay as well. So a network comes out only if every operation was seen to do the same as before.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.modules.evaluation import copy_module
from neurogames.bridge.pruning.channels import Flow, Step, number_rows, restrict
from neurogames.bridge.pruning.following import FollowError, follow

Masks = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Cut:
    """A network without its silent channels.

    Attributes:
        model: the smaller network.
        output: what it returned.
        silent: units whose share counts as 0 (bool), by name of module.
        kept: output rows that are still there (bool), by name of module.
        pinned: why units that should be silent, or gone, are not, by name of module and index.
    """

    model: nn.Module
    output: Any
    silent: dict[str, NDArray[np.bool_]]
    kept: dict[str, NDArray[np.bool_]]
    pinned: dict[str, dict[int, str]]


def cut_out(
    model: nn.Module,
    inputs: tuple[Any, ...],
    silent: Masks,
    shares: Mapping[str, NDArray[np.float64]],
    places: Mapping[str, str],
) -> Cut:
    """Cut the silent units out of a network as far as this leaves its function as it is.

    Args:
        model: network with the shares in its weights; it is left as it is.
        inputs: its positional arguments.
        silent: units (bool) that should leave, by name of Linear or convolution.
        shares: shares of the units; in a layer that would be empty the largest stays, at weight 0.
        places: name of the module, itself or the norm behind, that holds the share of each of these modules.

    Returns:
        The cut.

    Raises:
        ValueError: the model's channels cannot be followed, or its weights are used otherwise than by their modules.
    """
    rows = number_rows(model)
    units = [("", -1)] + [(name, index) for name, labels in rows.items() for index in range(len(labels))]
    silent = {name: mask.copy() for name, mask in silent.items()}
    pinned: dict[str, dict[int, str]] = {name: {} for name in silent}
    fixed: dict[int, str] = {}
    while True:
        try:
            flow = follow(model, inputs, rows, {places[name]: torch.from_numpy(mask) for name, mask in silent.items()})
        except FollowError as error:
            raise invalid_argument("model", str(error), "a model whose channels can be followed") from error
        for name in silent:
            if flow.odd & {name, places[name]} and (shares[name] != 1).any():
                got = f"weights of {name!r} that are used by themselves"
                raise invalid_argument("model", got, "units that are reached by calling their module only")
        flow.blocked.update(fixed)
        if stuck := _stuck(flow, silent, units):
            for label, why in stuck.items():
                name, index = units[label]
                silent[name][index] = False
                pinned[name][index] = why
            continue
        leaving, held = _leaving(flow, silent, shares)
        cut = _without(model, flow, leaving, places, [units[label] for label in held])
        remaining = {name: labels[~torch.isin(labels, leaving)] for name, labels in rows.items()}
        output: Any = None
        try:
            after = follow(cut, inputs, remaining, {})
            output, steps = after.output, after.steps
        except FollowError as error:
            steps = error.flow.steps
        hindrance = _hindrance(flow, steps, leaving)
        if hindrance is None:
            break
        name, labels = hindrance
        if not len(labels):
            raise invalid_argument(
                "model", f"an operation {name} that changes", "a model whose channels can be followed"
            )
        fixed.update(dict.fromkeys(labels.tolist(), f"{name} holds its number of channels fixed"))
    for label, why in held.items():
        name, index = units[label]
        pinned[name][index] = why
    return Cut(
        model=cut,
        output=output,
        silent=silent,
        kept={name: ~torch.isin(labels, leaving).numpy() for name, labels in rows.items()},
        pinned={name: dict(sorted(reasons.items())) for name, reasons in pinned.items() if reasons},
    )


def _stuck(flow: Flow, silent: Masks, units: list[tuple[str, int]]) -> dict[int, str]:
    """Silent units, by label, that cannot leave, and why."""
    gated = {label for name in silent for label in flow.rows[name].tolist()}
    quiet = set(_quiet(flow, silent))
    groups = flow.groups()
    members: dict[int, list[int]] = {}
    for label in range(1, len(groups)):
        members.setdefault(int(groups[label]), []).append(label)
    found = {}
    for label in sorted(quiet):
        group = members[int(groups[label])]
        barred = next((other for other in [label, *group] if other in flow.blocked), None)
        living = [other for other in group if other in flow.living]
        alive = [other for other in group if other in gated and other not in quiet]
        if barred is not None:
            others = "" if barred == label else "coupled with {!r} {}: ".format(*units[barred])
            found[label] = others + flow.blocked[barred]
        elif units[label][0] not in flow.started:
            found[label] = "its layer is not called as a plain one"
        elif living and alive:
            found[label] = "coupled with {!r} {}, which stays".format(*units[alive[0]])
        elif living:
            found[label] = f"{flow.living[living[0]]!r} reads it where it is not constant"
    return found


def _quiet(flow: Flow, silent: Masks) -> list[int]:
    """Labels of the silent units."""
    return [label for name, mask in silent.items() for label in flow.rows[name][torch.from_numpy(mask)].tolist()]


def _leaving(flow: Flow, silent: Masks, shares: Mapping[str, NDArray[np.float64]]) -> tuple[Tensor, dict[int, str]]:
    """Labels of what leaves, and of the silent units that stay so that no layer is empty, with the reason."""
    groups = flow.groups()
    quiet = _quiet(flow, silent)
    leaving = np.isin(groups, groups[quiet])
    leaving[0] = False
    held = {}
    for name in flow.started:
        labels = flow.rows[name].numpy()
        if len(labels) and leaving[labels].all():
            last = labels[np.argmax(shares[name])] if name in shares else labels[0]
            mates = np.flatnonzero(groups == groups[last])
            leaving[mates] = False
            why = f"at weight 0, so that {name!r} is not empty"
            held.update(dict.fromkeys(np.intersect1d(mates, quiet).tolist(), why))
    return torch.from_numpy(np.flatnonzero(leaving)), held


def _without(
    model: nn.Module, flow: Flow, leaving: Tensor, places: Mapping[str, str], held: list[tuple[str, int]]
) -> nn.Module:
    """A copy of the model without what leaves, and with weight 0 where a silent unit is held."""
    cut = copy_module(model)
    named = dict(cut.named_modules())
    with torch.no_grad():
        for name, index in held:
            place = named[places[name]]
            for parameter in (place.weight, place.bias):
                if parameter is not None:
                    parameter[index] = 0.0
        for name in flow.started:
            if name in flow.reads:
                columns, constants = flow.reads[name]
                _drop_columns(named[name], ~torch.isin(columns, leaving), constants)
            _keep_entries(named[name], ~torch.isin(flow.rows[name], leaving))
        for name in flow.entries.keys() - set(flow.started):
            _keep_entries(named[name], ~torch.isin(flow.entries[name], leaving))
    return cut


def _drop_columns(layer: Any, stays: Tensor, constants: Tensor) -> None:
    """Drop input columns of a Linear or convolution; what they held goes into the bias."""
    if stays.all():
        return
    gone = layer.weight[:, ~stays].double()
    left = (gone.flatten(2).sum(2) if gone.ndim > 2 else gone) @ constants[~stays].double().to(gone.device)
    if layer.bias is not None:
        layer.bias.copy_(layer.bias.double() + left)
    elif left.any():
        layer.bias = nn.Parameter(left.to(layer.weight.dtype), requires_grad=layer.weight.requires_grad)
    _exchange(layer, "weight", layer.weight[:, stays])
    setattr(layer, "in_features" if isinstance(layer, nn.Linear) else "in_channels", int(stays.sum()))


def _keep_entries(module: Any, stays: Tensor) -> None:
    """Keep some entries along the first axis of a module's tensors, and set its sizes."""
    if stays.all():
        return
    for key, tensor in [*module._parameters.items(), *module._buffers.items()]:
        if tensor is not None and tensor.ndim:
            _exchange(module, key, tensor[stays])
    count = int(stays.sum())
    if getattr(module, "groups", 1) > 1:
        module.groups = module.in_channels = count
    for key in ("out_features", "out_channels", "num_features", "num_parameters"):
        if hasattr(module, key):
            setattr(module, key, count)


def _exchange(module: Any, key: str, values: Tensor) -> None:
    """Put other values into a parameter or buffer."""
    old = getattr(module, key)
    parameter = isinstance(old, nn.Parameter)
    setattr(module, key, nn.Parameter(values.clone(), requires_grad=old.requires_grad) if parameter else values.clone())


def _hindrance(flow: Flow, steps: list[Step], leaving: Tensor) -> tuple[str, Tensor] | None:
    """The first operation of the whole model without its like in the cut one, and the leaving channels there."""
    for full, small in itertools.zip_longest(flow.steps, steps[: len(flow.steps)]):
        if small is None or not _alike(full, small, leaving):
            labels = torch.cat([labels.reshape(-1) for labels in (*full.inputs, *full.outputs)])
            return full.name, torch.unique(labels[torch.isin(labels, leaving)])
    return None


def _alike(full: Step, small: Step, leaving: Tensor) -> bool:
    """Whether a step of the cut model is that of the whole model on what remains."""
    before, after = (*full.inputs, *full.outputs), (*small.inputs, *small.outputs)
    if (full.name, full.numbers, len(before)) != (small.name, small.numbers, len(after)):
        return False
    expected = (restrict(labels, leaving) for labels in before)
    return all(want is not None and want.equal(labels) for want, labels in zip(expected, after, strict=True))
