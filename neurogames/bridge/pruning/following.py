"""One run of a model under which its channels are followed; what they are is said in ``channels``.

torch hands every operation of the run to a mode, which carries it out and then does the like to labels and constants.
A model that runs otherwise in training mode (auxiliary heads) is followed in both modes, so that it can be trained
after channels left it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from neurogames._arguments import invalid_argument
from neurogames.bridge.modules.evaluation import evaluating
from neurogames.bridge.pruning.attention import attend, multiply_matrices, soften
from neurogames.bridge.pruning.channels import Flow, Step, is_plain, swapped, tensors_in
from neurogames.bridge.pruning.known_tensors import KnownTensors
from neurogames.bridge.pruning.layers import is_layer
from neurogames.bridge.pruning.meeting import map_entries
from neurogames.bridge.pruning.operations import MAPS, MOVES, READERS, VALUES, operation_name
from neurogames.bridge.pruning.rules import (
    Operation,
    fed,
    move,
    normalize_groups,
    plain_layer,
    pool,
    read,
    reduce,
    stop,
)

_FOLLOWED = {
    "matmul": multiply_matrices,
    "bmm": multiply_matrices,
    "scaled_dot_product_attention": attend,
    "softmax": soften,
}


class FollowError(RuntimeError):
    """A run that broke off; ``flow`` holds the steps before."""

    def __init__(self, flow: Flow, why: Exception) -> None:
        super().__init__(f"{type(why).__name__}: {why}".splitlines()[0])
        self.flow = flow


def follow(
    model: nn.Module,
    inputs: tuple[Any, ...],
    rows: Mapping[str, Tensor],
    silent: Mapping[str, Tensor],
    *,
    trained: bool = False,
) -> Flow:
    """Run a model in evaluation mode and follow its channels.

    Args:
        model: any module; it is left as it is.
        inputs: its positional arguments.
        rows: labels of the output rows of each Linear and convolution, by name.
        silent: by name of Linear, convolution or BatchNorm, the channels (bool) whose output counts as 0.
        trained: follow a run in training mode as well.

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
    with evaluating(model):
        flow.output = _run(model, inputs, KnownTensors(model, flow, silent))
    if trained:
        with _training(model):
            _run(model, inputs, KnownTensors(model, flow, {}, training=True))
    for owner in flow.odd:
        columns = flow.reads[owner][:1] if owner in flow.reads else ()
        scaled = [labels for (name, _), (_, labels) in flow.scales.items() if name == owner]
        for labels in (*(found[owner] for found in (flow.rows, flow.entries) if owner in found), *columns, *scaled):
            flow.block(labels, f"the weights of {owner!r} are used by themselves")
    return flow


def may_run_otherwise(model: nn.Module) -> bool:
    """Whether a model has code of its own, which may ask for the mode; torch's modules do the same in both."""
    return any(not type(module).__module__.startswith("torch.nn.") for module in model.modules())


def runs_otherwise(model: nn.Module, inputs: tuple[Any, ...], rows: Mapping[str, Tensor]) -> bool:
    """Whether a model does something else with its channels in training mode than in evaluation mode.

    Raises:
        ValueError: layers run in training mode only, and the model does not take the inputs there.
    """
    evaluated = follow(model, inputs, rows, {})
    flow = Flow(rows)
    try:
        with _training(model):
            _run(model, inputs, KnownTensors(model, flow, {}, training=True))
    except FollowError as error:
        idle = [name for name in rows if name not in evaluated.started and name not in evaluated.odd]
        if idle:
            expected = f"a batch that the model takes in training mode too, in which {idle[0]!r} may run"
            raise invalid_argument("example_inputs", str(error), expected) from error
        return False
    return len(flow.steps) != len(evaluated.steps) or not all(
        left.name == right.name and all(map(torch.equal, left.labels, right.labels))
        for left, right in zip(flow.steps, evaluated.steps, strict=True)
    )


def _run(model: nn.Module, inputs: tuple[Any, ...], known: KnownTensors) -> Any:
    """Output of a followed run in the model's present modes."""
    flow, follower = known.flow, _Follower(known)
    try:
        with torch.no_grad(), _calls_known(model, known), follower:
            output = model(*swapped(inputs, known.start))
    except Exception as why:
        if why is follower.refused:
            raise
        raise FollowError(flow, why) from why
    outputs = tuple(tensors_in(output))
    if not outputs or not is_plain(output):
        raise invalid_argument(
            "model", f"an output of type {type(output).__name__}", "tensors, or tuples, lists or dicts of them"
        )
    for tensor in outputs:
        flow.block(known.labels(tensor), "it is part of the model's output")
    flow.steps.append(Step("output", (), tuple(map(known.labels, outputs)), ()))
    return output


@contextlib.contextmanager
def _calls_known(model: nn.Module, known: KnownTensors) -> Iterator[None]:
    """While open, ``known.calls`` tells which Linear and convolutions are being called."""

    def enter(module: nn.Module, _inputs: object) -> None:
        known.calls.append(module)

    def leave(_module: nn.Module, _inputs: object, _output: object) -> None:
        known.calls.pop()

    layers = [module for module in model.modules() if is_layer(module)]
    handles = [layer.register_forward_pre_hook(enter) for layer in layers]
    handles += [layer.register_forward_hook(leave) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def _training(model: nn.Module) -> Iterator[None]:
    """Hold a model in training mode; its modes, its buffers and the generators are as before afterwards."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = {tensor.device for tensor in (*model.parameters(), *model.buffers()) if tensor.is_cuda}
    with evaluating(model), torch.random.fork_rng(devices=list(devices)):
        try:
            model.train()
            yield
        finally:
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)


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
        reads = READERS.fullmatch(name) is not None
        if not tracked and not reads:
            result = func(*args, **kwargs)
            if any(True for _ in tensors_in(result)):
                flow.odd.update(known.owners(tensor for tensor in tensors if tensor.is_floating_point()))  # no counters
            return result
        if VALUES.fullmatch(getattr(func, "__name__", "")):
            self.refused = invalid_argument(
                "model", f"{name}() of values that depend on the input", "no branch on values"
            )
            raise self.refused
        inputs = tuple(known.labels(tensor) for tensor in (tensors[fed(name) : fed(name) + 1] if reads else tracked))
        # Looked up before an operation in place makes the tensors others.
        step = Operation(func, name, args, kwargs, tensors, tuple(map(known.constants, tensors)))
        result = func(*args, **kwargs)
        outputs = tuple(tensors_in(result))
        if not outputs and name != "setitem":
            return result
        flow.steps.append(Step(name, self._note(step, result, outputs), inputs, tuple(map(known.labels, outputs))))
        return result

    def _note(self, step: Operation, result: Any, outputs: tuple[Tensor, ...]) -> tuple[Any, ...]:
        """Note what the operation did to labels and constants; give the numbers that must stay the same in it."""
        known, name, tensors = self._known, step.name, step.tensors
        single = len(outputs) == 1 and isinstance(result, Tensor)
        owner = plain_layer(known, step) if READERS.fullmatch(name) else None
        if owner is not None:
            read(known, owner, step, result)
        elif MOVES.fullmatch(name) and (name != "getitem" or sum(tensor in known for tensor in tensors) == 1):
            move(known, step, outputs)
        elif MAPS.fullmatch(name) and single and result.is_floating_point():
            map_entries(known, step, result)
            # Numbers may come from sizes, which are others in a smaller network.
            numbers = tuple(value for value in (*step.args, *step.kwargs.values()) if isinstance(value, (int, float)))
            free = (tensor for tensor in tensors if tensor not in known and known.owner(tensor)[1] is None)
            if known.training:  # noise, which is another in each run
                return numbers
            return numbers + tuple(tensor.item() for tensor in free if tensor.numel() == 1)
        elif name == "group_norm" and single:
            normalize_groups(known, step, result)
            return (tensors[0].shape[1] // int(step.argument(1, "num_groups", 1)),)
        elif not (single and self._followed(step, result)):
            known.flow.odd.update(known.owners(tensors))
            stop(known, step, outputs)
        return ()

    def _followed(self, step: Operation, result: Tensor) -> bool:
        """Whether one of the rules that ask for more could be applied."""
        if rule := _FOLLOWED.get(step.name):
            return rule(self._known, step, result)
        return len(step.tensors) == 1 and (pool(self._known, step, result) or reduce(self._known, step, result))
