"""The loss of a network as a function of its gates: L(s), for the time of one question, on given rows.

L(s) is the mean over rows of loss(outputs(s), targets), with the network in ``eval`` mode and its weights fixed.
Nothing of the network changes: gates that are not there are put in for the time being, and modes, statistics and
switches of torch come back, also after an error. Everything is checked here, once: that outputs have one row for each
row of inputs, that rows do not look at each other, and that the loss is a mean over rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, vmap

from neurogames._arguments import invalid_argument
from neurogames.bridge.gates.gates import Gates, insert_gates, present_gates
from neurogames.bridge.modules.adapted_model import Forward, adapted_pair
from neurogames.bridge.modules.data import Data, Loss, trial_loss, trial_outputs, try_classes
from neurogames.bridge.modules.evaluation import check_weights, evaluating, unfused_attention
from neurogames.bridge.modules.mean_loss import mean_over_rows
from neurogames.bridge.modules.units import Unit

_MEMORY = 2**28  # bytes of activations at once
_MOST_ROWS = 512
_PROFILES = 16
_PROBE_ROWS = 32
_HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, eq=False)
class GatedLoss:
    """L(s) of one network on given rows.

    Attributes:
        gates: the gates of the network.
        loss: maps outputs and targets of some rows to their mean loss.
        inputs: (rows, ...) inputs.
        targets: (rows, ...) targets.
        shares: present gates of each module; 1e-12 instead of 0, as participation can only rise from there, and the
            slope of a ReLU behind a gate of exactly 0 would be taken for 0.
        state: all other parameters and the buffers, detached.
        row_bytes: bytes of activations for each row, about.
    """

    gates: Gates
    loss: Loss
    inputs: Tensor
    targets: Tensor
    shares: tuple[Tensor, ...]
    state: dict[str, Tensor]
    row_bytes: int

    def outputs(self, shares: Sequence[Tensor], inputs: Tensor) -> Tensor:
        """Outputs of some rows at other shares, one tensor (units,) for each module; at least in single precision.

        Means and differences of losses would drown in the rounding of half precision.
        """
        gates = dict(zip(self.gates.parameter_names, shares, strict=True))
        outputs: Tensor = functional_call(self.gates.model, {**self.state, **gates}, (inputs,))
        return outputs.float() if isinstance(outputs, Tensor) and outputs.dtype in _HALF else outputs

    def row_outputs(self, shares: Sequence[Tensor], row: Tensor) -> Tensor:
        """Outputs of one row (...), for ``vmap`` over rows."""
        return self.outputs(shares, row[None])[0]

    def row_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Loss of one row, for ``vmap`` over rows."""
        return self.loss(outputs[None], target[None])

    def chunks(self, row_bytes: int) -> Iterator[Data]:
        """The rows, some at a time, so that ``row_bytes`` for each stay within bounds."""
        rows = min(_MOST_ROWS, max(1, _MEMORY // row_bytes))
        device = self.shares[0].device
        for inputs, targets in zip(torch.split(self.inputs, rows), torch.split(self.targets, rows), strict=True):
            yield inputs.to(device), targets.to(device)

    def slope(self) -> tuple[float, list[Tensor]]:
        """L(s) and dL/ds, one tensor (units,) for each module, at the present shares."""
        loss, slopes = 0.0, [torch.zeros(size, dtype=torch.float64) for size in self.gates.sizes]
        for inputs, targets in self.chunks(2 * self.row_bytes):
            with torch.enable_grad():
                shares = [part.clone().requires_grad_() for part in self.shares]
                mean = self.loss(self.outputs(shares, inputs), targets)
                parts = torch.autograd.grad(mean, shares, materialize_grads=True)
            weight = len(inputs) / len(self.inputs)
            loss += weight * float(mean.detach())
            for slope, part in zip(slopes, parts, strict=True):
                slope += weight * part.double().cpu()
        return loss, slopes

    def losses(self, layer: int, profiles: NDArray[np.float64]) -> NDArray[np.float64]:
        """L(s) at many profiles of one layer, all others as they are.

        Args:
            layer: number of the module whose shares vary.
            profiles: (m, units) shares of its units.

        Returns:
            (m,) losses.
        """
        parts = torch.split(torch.from_numpy(np.ascontiguousarray(profiles)).to(self.shares[layer]), _PROFILES)
        found = [torch.zeros(len(part), dtype=torch.float64) for part in parts]

        def one(part: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
            return self.loss(self.outputs([*self.shares[:layer], part, *self.shares[layer + 1 :]], inputs), targets)

        with torch.no_grad():
            for inputs, targets in self.chunks(_PROFILES * self.row_bytes):
                for part, total in zip(parts, found, strict=True):
                    mean = vmap(one, in_dims=(0, None, None))(part, inputs, targets)
                    total += mean.double().cpu() * (len(inputs) / len(self.inputs))
        return torch.cat(found).numpy()


@contextmanager
def gated_loss(
    model: nn.Module,
    loss: Loss,
    data: Any,
    *,
    units: Unit | Sequence[Unit] = ("neurons", "filters"),
    modules: Sequence[str] | None = None,
    forward: Forward | None = None,
) -> Iterator[GatedLoss]:
    """Ask questions about L(s); the model is as before when the ``with`` block ends.

    Args:
        model: any module that takes one tensor, or any at all with ``forward``. Gates that it has are used, at their
            present shares.
        loss: maps (outputs, targets) to the mean loss, as ``torch.nn.functional.cross_entropy``. Weights of classes and
            ignored targets are known where the loss is a ``CrossEntropyLoss``, an ``NLLLoss``, or their function.
        data: inputs and targets, one row each: tensors, numpy arrays or a DataLoader.
        units: what to gate where the model has no gates, as in ``insert_gates``.
        modules: what to gate where the model has no gates, as in ``insert_gates``.
        forward: calls the model with the inputs of some rows (a tensor, or a tuple or dictionary of tensors) and
            returns one tensor of outputs, rows first. Default: ``model(inputs)``.

    Yields:
        The loss as a function of the gates.

    Raises:
        ValueError: if rows do not match or are not finite, the model refuses them, mixes them, or gives outputs without
            an axis of rows, the loss is no finite mean over rows, or the outputs do not pass through a gate (weights
            that are used past the call of their module).

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    >>> with gated_loss(model, nn.functional.mse_loss, (torch.randn(8, 2), torch.randn(8, 1))) as gated:
    ...     gated.losses(0, np.ones((2, 3))).shape
    (2,)
    """
    with torch.inference_mode(False):
        model, inputs, targets = adapted_pair(model, data, forward)
        check_weights(model)
        loss = mean_over_rows(loss, targets, name="data")
        gates = present_gates(model)
        own = gates is None
        if gates is None:
            gates = insert_gates(model, units, modules=modules)
        try:
            with evaluating(model), unfused_attention():
                yield _prepared(gates, loss, inputs, targets)
        finally:
            if own:
                gates.remove()


def _prepared(gates: Gates, loss: Loss, inputs: Tensor, targets: Tensor) -> GatedLoss:
    """The loss, once it has stood the tests on a few rows."""
    model = gates.model
    state = {name: value.detach() for name, value in model.named_parameters() if name not in gates.parameter_names}
    state |= {name: value.detach().clone() for name, value in model.named_buffers()}
    shares = tuple(torch.where(gate.detach() == 0, 1e-12, gate.detach()) for gate in gates.parameters())
    gated = GatedLoss(gates, loss, inputs, targets, shares, state, 1)
    some, goals = inputs[:_PROBE_ROWS].to(shares[0].device), targets[:_PROBE_ROWS].to(shares[0].device)
    with torch.no_grad():
        outputs, row_bytes = _first_outputs(gated, some)
        try:
            by_row = vmap(gated.row_outputs, in_dims=(None, 0))(shares, some)
        except RuntimeError as error:
            why = str(error).splitlines()[0]
            raise invalid_argument(
                "model", f"one that torch.func.vmap refuses ({why})", "one that takes rows by vmap"
            ) from error
        # Half precision rounds by more than rows that look at each other would show in single precision.
        rounding = 8 * torch.finfo(shares[0].dtype).eps
        room = max(1e-3, rounding * float(outputs.abs().max()))
        if by_row.shape != outputs.shape or not torch.allclose(by_row, outputs, rtol=max(1e-2, rounding), atol=room):
            raise invalid_argument(
                "model", "outputs of a row that depend on the other rows", "rows that do not look at each other"
            )
        _check_mean(gated, outputs, goals)
        try_classes(loss, outputs, targets, name="data")
    _check_reach(gated, some[:1])
    return replace(gated, row_bytes=row_bytes)


def _first_outputs(gated: GatedLoss, some: Tensor) -> tuple[Tensor, int]:
    """Outputs of a few rows, and the bytes of activations for each."""
    seen: list[object] = []
    leaves = [module for module in gated.gates.model.modules() if not any(module.children())]
    hooks = [module.register_forward_hook(lambda *call: seen.append(call[2])) for module in leaves]
    try:
        outputs, _ = (
            trial_outputs(partial(gated.outputs, gated.shares), rows, name="data") for rows in (some, some[:1])
        )
    finally:
        for hook in hooks:
            hook.remove()
    if not outputs.is_floating_point() or not torch.isfinite(outputs).all():
        raise invalid_argument("model", "outputs that are not finite numbers", "finite numbers")
    size = sum(value.nbytes for value in seen if isinstance(value, Tensor))
    return outputs, max(1, 2 * size // (len(some) + 1))  # twice, for what happens between modules


def _check_reach(gated: GatedLoss, some: Tensor) -> None:
    """Refuse gates that the outputs do not pass through: gates see calls of modules, not what is done with weights."""
    shares = [share.clone().requires_grad_() for share in gated.shares]
    with torch.enable_grad():
        total = gated.outputs(shares, some).sum()
        slopes = torch.autograd.grad(total, shares, allow_unused=True) if total.requires_grad else [None] * len(shares)
    idle = [name for name, slope in zip(gated.gates.modules, slopes, strict=True) if slope is None]
    if idle:
        others = f" and {len(idle) - 3} more" if len(idle) > 3 else ""
        got = f"{', '.join(map(repr, idle[:3]))}{others}, which the outputs do not pass through when they are called"
        raise invalid_argument("modules", got, "modules that the model calls on the way to its outputs")


def _check_mean(gated: GatedLoss, outputs: Tensor, targets: Tensor) -> None:
    """Refuse a loss that is not the mean over rows of losses of the rows."""
    total = trial_loss(gated.loss, outputs, targets, name="data")
    if not torch.isfinite(total):
        raise invalid_argument("loss", total, "one finite number, as a tensor")
    rows = trial_loss(lambda *given: vmap(gated.row_loss)(*given).mean(), outputs, targets, name="data")
    if not torch.allclose(total, rows, rtol=1e-3, atol=1e-6):
        raise invalid_argument(
            "loss",
            f"{total:.6g} on rows whose own losses have mean {rows:.6g}",
            "the mean over rows; with weights or ignored targets torch.nn.CrossEntropyLoss or NLLLoss itself",
        )
