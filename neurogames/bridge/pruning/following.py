"""One run of a model under which its channels are followed; what they are is said in ``channels``.

torch hands every operation of the run to a mode, which carries it out and then does the like to labels and constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from neurogames._arguments import invalid_argument
from neurogames.bridge.modules.evaluation import evaluating
from neurogames.bridge.pruning.channels import Flow, Step, is_plain, swapped, tensors_in
from neurogames.bridge.pruning.known_tensors import KnownTensors
from neurogames.bridge.pruning.operations import CONVOLUTIONS, MAPS, MOVES, VALUES, operation_name
from neurogames.bridge.pruning.rules import (
    Operation,
    is_grouped,
    map_entries,
    move,
    plain_layer,
    pool,
    read,
    reduce,
    stop,
)


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
        raise invalid_argument(
            "model", "a scripted module", "a module that runs in Python, so that channels can be followed"
        )
    flow = Flow(rows)
    known = KnownTensors(model, flow, silent)
    follower = _Follower(known)
    try:
        with evaluating(model), torch.no_grad(), follower:
            flow.output = model(*swapped(inputs, known.start))
    except Exception as why:
        if why is follower.refused:
            raise
        raise FollowError(flow, why) from why
    outputs = tuple(tensors_in(flow.output))
    if not outputs or not is_plain(flow.output):
        raise invalid_argument(
            "model", f"an output of type {type(flow.output).__name__}", "tensors, or tuples, lists or dicts of them"
        )
    for tensor in outputs:
        flow.block(known.labels(tensor), "it is part of the model's output")
    for owner in flow.odd:
        columns = flow.reads[owner][:1] if owner in flow.reads else ()
        for labels in (*(found[owner] for found in (flow.rows, flow.entries) if owner in found), *columns):
            flow.block(labels, f"the weights of {owner!r} are used by themselves")
    flow.steps.append(Step("output", (), tuple(map(known.labels, outputs)), ()))
    return flow


class _Follower(TorchFunctionMode):
    """The mode under which a model runs while its channels are followed."""

    def __init__(self, known: KnownTensors) -> None:
        super().__init__()
        self._known = known
        self.refused: ValueError | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        known, flow = self._known, self._known.flow
        name = operation_name(func)
        tensors = tuple(tensors_in((args, kwargs)))
        tracked = tuple(tensor for tensor in tensors if tensor in known)
        reads = name == "linear" or name in CONVOLUTIONS
        if not tracked and not reads:
            result = func(*args, **kwargs)
            if any(True for _ in tensors_in(result)):
                flow.odd.update(known.owners(tensors))
            return result
        if VALUES.fullmatch(getattr(func, "__name__", "")):
            self.refused = invalid_argument(
                "model", f"{name}() of values that depend on the input", "no branch on values"
            )
            raise self.refused
        inputs = tuple(known.labels(tensor) for tensor in (tensors[:1] if reads else tracked))
        # Looked up before an operation in place makes the tensors others.
        step = Operation(func, name, args, kwargs, tensors, tuple(map(known.constants, tensors)))
        result = func(*args, **kwargs)
        outputs = tuple(tensors_in(result))
        if not outputs and name != "setitem":
            return result
        numbers: tuple[Any, ...] = ()
        owner = plain_layer(known, step) if reads else None
        if owner is not None and is_grouped(known, step):
            flow.block(flow.rows[owner], "its convolution is grouped")
            stop(known, step, outputs)
        elif owner is not None:
            read(known, owner, step, result)
        elif MOVES.fullmatch(name) and (name != "getitem" or len(tracked) == 1):
            move(known, step, outputs)
        elif MAPS.fullmatch(name) and len(outputs) == 1 and result.is_floating_point():
            # Numbers may come from sizes, which are others in a smaller network.
            numbers = tuple(value for value in (*args, *kwargs.values()) if isinstance(value, (int, float)))
            free = (tensor for tensor in tensors if tensor not in known and known.owner(tensor)[1] is None)
            numbers += tuple(tensor.item() for tensor in free if tensor.numel() == 1)
            map_entries(known, step, result)
        elif not (
            len(outputs) == 1 and len(tensors) == 1 and (pool(known, step, result) or reduce(known, step, result))
        ):
            flow.odd.update(known.owners(tensors))
            stop(known, step, outputs)
        flow.steps.append(Step(name, numbers, inputs, tuple(map(known.labels, outputs))))
        return result
