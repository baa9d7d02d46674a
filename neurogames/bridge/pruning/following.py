"""One run of a model under which its channels are followed; what they are is said in ``channels``.

torch hands every operation of the run to a mode, which carries it out and then does the like to labels and constants.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from neurogames.bridge.pruning.channels import (
    LAYERS,
    Flow,
    Step,
    along,
    compact,
    is_plain,
    members,
    never,
    swapped,
    tensors_in,
    uniform_along,
)
from neurogames.bridge.pruning.operations import (
    CHANNELWISE,
    CONVOLUTIONS,
    MAPS,
    MOVES,
    PRODUCTS,
    REDUCTIONS,
    VALUES,
    operation_name,
    spatial_axes,
)
from neurogames.bridge.pruning.work import evaluating
from neurogames.games.arguments import refusal


class FollowError(RuntimeError):
    """A run that broke off; ``flow`` holds the steps before."""

    def __init__(self, flow: Flow, why: Exception) -> None:
        super().__init__(f"{type(why).__name__}: {why}".splitlines()[0])
        self.flow = flow


def follow(model: nn.Module, inputs: tuple[Any, ...], rows: Mapping[str, Tensor], silent: Mapping[str, Tensor]) -> Flow:
    """Run a model in evaluation mode and follow its channels.

    Args:
        model: any module; it is left as it is.
        inputs: its positional arguments.
        rows: labels of the output rows of each Linear and convolution, by name.
        silent: by name of Linear, convolution or BatchNorm, the channels (bool) whose output counts as 0.

    Returns:
        The flow of the channels.

    Raises:
        ValueError: the model branches on values, or is a scripted one.
        FollowError: the model broke off.

    >>> model = nn.Sequential(nn.Linear(3, 2), nn.Sigmoid(), nn.Linear(2, 1))
    >>> silent = {"0": torch.tensor([True, False])}
    >>> follow(model, (torch.ones(5, 3),), {"0": torch.tensor([1, 2]), "2": torch.tensor([3])}, silent).reads["2"]
    (tensor([1, 2]), tensor([0.5000,    nan]))
    """
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise refusal("model", "a scripted module", "a module that runs in Python, so that channels can be followed")
    follower = _Follower(model, Flow(rows), silent)
    flow = follower.flow
    try:
        with evaluating(model), torch.no_grad(), follower:
            flow.output = model(*swapped(inputs, follower.start))
    except Exception as why:
        if why is follower.refused:
            raise
        raise FollowError(flow, why) from why
    outputs = tuple(tensors_in(flow.output))
    if not outputs or not is_plain(flow.output):
        raise refusal(
            "model", f"an output of type {type(flow.output).__name__}", "tensors, or tuples, lists or dicts of them"
        )
    for tensor in outputs:
        follower.block(follower.labels(tensor), "it is part of the model's output")
    for owner in flow.odd:
        columns = flow.reads[owner][:1] if owner in flow.reads else ()
        for labels in (*(found[owner] for found in (flow.rows, flow.entries) if owner in found), *columns):
            follower.block(labels, f"the weights of {owner!r} are used by themselves")
    flow.steps.append(Step("output", (), tuple(map(follower.labels, outputs)), ()))
    return flow


@dataclass(frozen=True, eq=False)
class _Operation:
    """A torch operation with its tensors in order, and the constants of these before it is carried out."""

    func: Any
    name: str
    args: Any
    kwargs: Any
    tensors: tuple[Tensor, ...]
    constants: tuple[Tensor, ...]

    def again(self, tensors: Iterable[Tensor]) -> Any:
        """Carry it out with other tensors in the places of its own."""
        # New tensor objects, since an operation in place may change even the shape.
        given = (tensor.detach() for tensor in tensors)
        return self.func(*swapped(self.args, lambda _: next(given)), **swapped(self.kwargs, lambda _: next(given)))

    def argument(self, position: int, name: str, default: Any) -> Any:
        """One of its arguments."""
        return self.kwargs.get(name, self.args[position] if len(self.args) > position else default)


class _Follower(TorchFunctionMode):
    """The mode under which a model runs while its channels are followed."""

    def __init__(self, model: nn.Module, flow: Flow, silent: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.flow = flow
        self.silent = silent
        self.refused: ValueError | None = None
        self.known = WeakTensorKeyDictionary()
        self.owners: dict[int, tuple[str, Any]] = {}
        shared = set()
        for name, module in model.named_modules():
            for tensor in (*module._parameters.values(), *module._buffers.values()):
                if tensor is not None:
                    shared.update({id(tensor)} & self.owners.keys())
                    self.owners[id(tensor)] = (name, module)
        for number in shared:
            del self.owners[number]

    def start(self, argument: Tensor) -> Tensor:
        """Copy an argument of the model; it is of no channel, and never constant."""
        return self.note(argument.detach().clone(), None, None)

    def note(self, tensor: Tensor, labels: Tensor | None, constants: Tensor | None) -> Tensor:
        """Attach labels and constants to a tensor as it is now."""
        labels = _of_none(tensor) if labels is None else labels
        self.known[tensor] = (labels, never(tensor) if constants is None else constants, tensor._version)
        return tensor

    def labels(self, tensor: Tensor) -> Tensor:
        """Labels of a tensor; 0 for one that does not come from the inputs."""
        return self.known[tensor][0] if tensor in self.known else _of_none(tensor)

    def constants(self, tensor: Tensor) -> Tensor:
        """Constants of a tensor; its own values for one that does not come from the inputs."""
        if tensor not in self.known:
            return tensor
        labels, _, version = self.known[tensor]
        if tensor._version != version:
            # Its memory was written to through another tensor.
            self.block(labels, "it is changed in place through another tensor")
            self.note(tensor, labels, None)
        return self.known[tensor][1]

    def block(self, labels: Tensor, why: str) -> None:
        """Let channels stay; the first reason counts."""
        for label in members(labels):
            self.flow.blocked.setdefault(label, why)

    def couple(self, left: Tensor, right: Tensor, why: str) -> None:
        """Let channels that meet stay or leave together; what meets an entry of no channel stays."""
        pairs = torch.stack(torch.broadcast_tensors(left, right), -1).reshape(-1, 2)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]].unique(dim=0)
        self.block(pairs[(pairs == 0).any(1)], why)
        self.flow.coupled.append(pairs[(pairs != 0).all(1)])

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = operation_name(func)
        tensors = tuple(tensors_in((args, kwargs)))
        tracked = tuple(tensor for tensor in tensors if tensor in self.known)
        reads = name == "linear" or name in CONVOLUTIONS
        if not tracked and not reads:
            result = func(*args, **kwargs)
            if any(True for _ in tensors_in(result)):
                self.flow.odd.update(self.owners[id(tensor)][0] for tensor in tensors if id(tensor) in self.owners)
            return result
        if VALUES.fullmatch(getattr(func, "__name__", "")):
            self.refused = refusal("model", f"{name}() of values that depend on the input", "no branch on values")
            raise self.refused
        inputs = tuple(self.labels(tensor) for tensor in (tensors[:1] if reads else tracked))
        # Looked up before an operation in place makes the tensors others.
        step = _Operation(func, name, args, kwargs, tensors, tuple(map(self.constants, tensors)))
        result = func(*args, **kwargs)
        outputs = tuple(tensors_in(result))
        if not outputs and name != "setitem":
            return result
        numbers: tuple[Any, ...] = ()
        owner = self._layer(step) if reads else None
        if owner is not None and self._is_grouped(step):
            self.block(self.flow.rows[owner], "its convolution is grouped")
            self._stop(step, outputs)
        elif owner is not None:
            self._read(owner, step, result)
        elif MOVES.fullmatch(name) and (name != "getitem" or len(tracked) == 1):
            self._move(step, outputs)
        elif MAPS.fullmatch(name) and len(outputs) == 1 and result.is_floating_point():
            # Numbers may come from sizes, which are others in a smaller network.
            numbers = tuple(value for value in (*args, *kwargs.values()) if isinstance(value, (int, float)))
            free = (tensor for tensor in tensors if tensor not in self.known and id(tensor) not in self.owners)
            numbers += tuple(tensor.item() for tensor in free if tensor.numel() == 1)
            self._map(step, result)
        elif not (len(outputs) == 1 and len(tensors) == 1 and (self._pool(step, result) or self._reduce(step, result))):
            self.flow.odd.update(self.owners[id(tensor)][0] for tensor in tensors if id(tensor) in self.owners)
            self._stop(step, outputs)
        self.flow.steps.append(Step(name, numbers, inputs, tuple(map(self.labels, outputs))))
        return result

    def _layer(self, step: _Operation) -> str | None:
        """Name of the plain Linear or convolution that is called here."""
        weight = step.argument(1, "weight", None)
        owner, module = self.owners.get(id(weight), ("", None))
        if not isinstance(module, LAYERS) or weight is not module.weight:
            return None
        if step.argument(2, "bias", None) is not module.bias:
            return None
        return owner

    def _is_grouped(self, step: _Operation) -> bool:
        """Whether a convolution mixes channels in groups of more than one."""
        module = self.owners[id(step.argument(1, "weight", None))][1]
        groups = 1 if isinstance(module, nn.Linear) else step.argument(6, "groups", 1)
        return groups != 1 and not groups == module.in_channels == module.out_channels

    def _read(self, owner: str, step: _Operation, result: Tensor) -> None:
        """Read channels and start new ones; a depthwise convolution couples them."""
        module = self.owners[id(step.argument(1, "weight", None))][1]
        axis = -1 if isinstance(module, nn.Linear) else 1 - module.weight.ndim
        columns = along(self.labels(step.tensors[0]), axis)
        if columns is None:
            self.block(self.labels(step.tensors[0]), f"{owner!r} reads it mixed with others")
            columns = torch.zeros(step.tensors[0].shape[axis], dtype=torch.long)
        rows = self.flow.rows[owner]
        if owner not in self.flow.started:
            self.flow.started.append(owner)
        if axis < -1 and step.argument(6, "groups", 1) > 1:
            self.couple(columns, rows, f"{owner!r} reads it depthwise")
            self.flow.entries[owner] = rows
            constants = step.again(step.constants)
        else:
            constants = never(result)
            self._record(owner, columns, step, axis)
        labels = rows.view([-1] + [1] * (-1 - axis)).expand(result.shape)
        self.note(result, labels, self._silence(owner, constants, axis))

    def _record(self, owner: str, columns: Tensor, step: _Operation, axis: int) -> None:
        """Record which channels a layer reads, at which constants."""
        given = uniform_along(step.constants[0], axis).cpu()
        padding = 0 if axis == -1 else step.argument(4, "padding", 0)
        if padding == "same" or any(torch.as_tensor(0 if padding == "valid" else padding).reshape(-1)):
            given = given.masked_fill(given != 0, torch.nan)  # the border is 0, whatever the channel holds
        for label in members(columns[given.isnan()]):
            self.flow.living.setdefault(label, owner)
        if owner in self.flow.reads:
            before, constants = self.flow.reads[owner]
            self.couple(before, columns, f"{owner!r} reads it in turn with what belongs to no unit")
            self.block(columns[(constants - given).nan_to_num(0.0) != 0], f"{owner!r} reads it at two constants")
        self.flow.reads[owner] = (columns, given)

    def _silence(self, owner: str, constants: Tensor, axis: int) -> Tensor:
        """Constants with the silent channels of a module at 0."""
        silent = self.silent.get(owner)
        if silent is None or not silent.any():
            return constants
        return constants.masked_fill(silent.to(constants.device).view([-1] + [1] * (-1 - axis)), 0.0)

    def _move(self, step: _Operation, outputs: tuple[Tensor, ...]) -> None:
        """Move labels and constants as the entries are moved; an index that is a tensor stays itself."""
        index = [tensor not in self.known and not tensor.is_floating_point() for tensor in step.tensors]
        labels = [
            tensor.cpu() if stays else self.labels(tensor) for tensor, stays in zip(step.tensors, index, strict=True)
        ]
        moved, settled = tensors_in(step.again(labels)), tensors_in(step.again(step.constants))
        for tensor, label, constant in zip(outputs, moved, settled, strict=True):
            self.note(tensor, label, constant)

    def _map(self, step: _Operation, result: Tensor) -> None:
        """Map constants entry by entry; couple the channels that meet."""
        owner, operands = "", step.constants
        if step.name in CHANNELWISE:
            labels, operands = self.labels(step.tensors[0]), operands[:1]
            owner = self._scaled(step, labels)
        else:
            labels = self._meet([self.labels(tensor) for tensor in step.tensors], result.shape, step.name)
        mapped = step.again(constant.clone() for constant in step.constants)
        # Not every function of NaN is NaN.
        mapped = mapped.masked_fill(_any(operand.isnan() for operand in operands), torch.nan)
        if PRODUCTS.fullmatch(step.name):
            mapped = mapped.masked_fill(_any(operand == 0 for operand in operands), 0.0)
        self.note(result, labels, self._silence(owner, mapped, 1 - result.ndim))

    def _scaled(self, step: _Operation, labels: Tensor) -> str:
        """Record the channels that a module scales one by one; give its name."""
        owner = next((self.owners[id(tensor)][0] for tensor in step.tensors if id(tensor) in self.owners), "")
        if not owner or (step.name == "prelu" and step.tensors[-1].numel() == 1):
            return ""
        entries = along(labels, 1)
        if entries is None:
            self.block(labels, f"{owner!r} reads it mixed with others")
        elif owner in self.flow.entries:
            self.couple(self.flow.entries[owner], entries, f"{owner!r} meets it and what belongs to no unit")
        else:
            self.flow.entries[owner] = entries
        return owner

    def _meet(self, labels: list[Tensor], shape: torch.Size, name: str) -> Tensor:
        """Labels of the entrywise combination of several tensors.

        What is broadcast along every axis in which the channels of the others differ meets all of them alike and
        couples with none: it is read, if it belongs to a channel.
        """
        small = [compact(label.expand(shape)) for label in labels]
        varied = [[axis for axis, size in enumerate(label.shape) if size > 1] for label in small]
        widest = max(range(len(small)), key=lambda i: (len(varied[i]), small[i].any().item()))
        result = small[widest]
        for i, label in enumerate(small):
            if i == widest or (label.shape == result.shape and label.equal(result)):
                continue
            origin = (1,) * (len(shape) - labels[i].ndim) + tuple(labels[i].shape)
            if varied[widest] and all(origin[axis] == 1 for axis in varied[widest]):
                self.block(label, f"{name} spreads it over other channels")
                continue
            self.couple(result, label, f"{name} joins it with what belongs to no unit")
            # An entry keeps a label if either has one, so that later readers know whom they read.
            result = torch.where(result == 0, label, result)
        return result.expand(shape)

    def _pool(self, step: _Operation, result: Tensor) -> bool:
        """Keep the labels of an operation within each channel; say whether it was one."""
        axes = spatial_axes(step.name, step.tensors[0].ndim, step.argument(1, "pad", ()))
        labels = compact(self.labels(step.tensors[0]))
        if axes is None or any(size > 1 for size in labels.shape[labels.ndim - axes :]):
            return False
        # Where a padded border meets a constant, entries differ: whoever reads them will see that.
        constants = step.again(step.constants)
        spoilt = step.constants[0].isnan().any(dim=tuple(range(-axes, 0)), keepdim=True)
        self.note(result, labels.expand(result.shape), constants.masked_fill(spoilt, torch.nan))
        return True

    def _reduce(self, step: _Operation, result: Tensor) -> bool:
        """Reduce over axes along which the channels do not change; say whether this was so."""
        axes = step.argument(1, "dim", ())
        axes = [axes] if isinstance(axes, int) else list(axes or ())
        labels = self.labels(step.tensors[0])
        small = compact(labels)
        if step.name not in REDUCTIONS or not axes or any(small.shape[axis] > 1 for axis in axes):
            return False
        labels = small.expand(labels.shape).amax(axes, keepdim=step.argument(2, "keepdim", False))
        self.note(result, labels, step.again(step.constants))
        return True

    def _stop(self, step: _Operation, outputs: tuple[Tensor, ...]) -> None:
        """Block all that goes into an operation, and start from nothing behind it."""
        owners = [self.owners[id(tensor)][0] for tensor in step.tensors if id(tensor) in self.owners]
        for tensor in step.tensors:
            self.block(self.labels(tensor), f"it feeds {step.name}" + (f" of {owners[0]!r}" if owners else ""))
        for tensor in outputs:
            self.note(tensor, None, None)


def _of_none(tensor: Tensor) -> Tensor:
    """Label 0 in the shape of a tensor."""
    return torch.zeros((), dtype=torch.long).expand(tensor.shape)


def _any(flags: Iterable[Tensor]) -> Tensor:
    """Where any of the flags is up."""
    return functools.reduce(torch.logical_or, flags)
