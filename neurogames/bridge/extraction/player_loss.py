"""The loss of a network as a function of what one player decides, all others staying: value, slope and curvature.

L(theta_p) is the mean over rows of loss(outputs, targets), in evaluation mode. Everything happens on a copy of the
network and without writing to its parameters. Means are summed in 64 bits over parts of the rows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from neurogames._arguments import invalid_argument
from neurogames.bridge.curvature.operator import CurvatureOperator
from neurogames.bridge.extraction.network_players import Player
from neurogames.bridge.modules.adapted_model import Forward, adapted_pair
from neurogames.bridge.modules.data import Data, Loss, trial_loss, trial_outputs, try_classes
from neurogames.bridge.modules.evaluation import evaluating, unfused_attention
from neurogames.bridge.modules.hooks import frozen_copy
from neurogames.bridge.modules.mean_loss import mean_over_rows

_MEMORY = 2**28  # bytes of activations at once
_MOST_ROWS = 512
_VECTORS = 16
_PROBE_ROWS = 4
_HALF = (torch.float16, torch.bfloat16)


class OutOfTimeError(Exception):
    """The time for a question is over."""


@dataclass(eq=False)
class Deadline:
    """When the present question has to be answered.

    Attributes:
        end: when all questions of a kind have to be answered, in seconds on the clock of ``time.monotonic``.
        at: when the present one has to be.
    """

    end: float = math.inf
    at: float = math.inf

    def share(self, questions: int, least: float) -> None:
        """Give the present question an equal share of the time that is left for some, itself included.

        Args:
            questions: how many are left.
            least: seconds that it gets at least, as long as there are any: better some answers than none.
        """
        now = time.monotonic()
        self.at = min(self.end, now + max(least, (self.end - now) / questions))

    def check(self) -> None:
        """Raise ``OutOfTimeError`` where the time is over."""
        if time.monotonic() > self.at:
            raise OutOfTimeError


@dataclass(frozen=True, eq=False)
class PlayerLoss:
    """L as a function of any parameters of one network.

    Attributes:
        model: a copy of the network, in evaluation mode.
        loss: maps outputs and targets of some rows to their mean loss.
        inputs: (rows, ...) inputs.
        targets: (rows, ...) targets.
        weights: the parameters, detached.
        buffers: the buffers.
        row_bytes: bytes of activations for each row, about.
        deadline: looked at before each part of the rows.
    """

    model: nn.Module
    loss: Loss
    inputs: Tensor
    targets: Tensor
    weights: dict[str, Tensor]
    buffers: dict[str, Tensor]
    row_bytes: int = 1
    deadline: Deadline = field(default_factory=Deadline)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(iter(self.weights.values())).device

    def module(self, name: str) -> nn.Module:
        """A part of the network."""
        modules: dict[str, nn.Module] = dict(self.model.named_modules())
        return modules[name]  # TorchScript has no get_submodule

    def outputs(self, moved: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """Outputs of some rows, with some parameters replaced."""
        values = {**self.weights, **moved, **self.buffers}
        if isinstance(self.model, torch.jit.ScriptModule):
            return _scripted_call(self.model, values, inputs)
        found: Tensor = functional_call(self.model, values, (inputs,))
        return found

    def chunks(self, copies: int = 2) -> Iterator[Data]:
        """The rows, some at a time, such that this many copies of their activations fit in memory."""
        rows = min(_MOST_ROWS, max(1, _MEMORY // (copies * self.row_bytes)))
        for inputs, targets in zip(torch.split(self.inputs, rows), torch.split(self.targets, rows), strict=True):
            self.deadline.check()
            yield inputs.to(self.device), targets.to(self.device)

    @torch.no_grad()
    def value(self, moved: Mapping[str, Tensor]) -> float:
        """L with some parameters replaced."""
        return sum(
            float(self.loss(self.outputs(moved, inputs), targets)) * (len(inputs) / len(self.inputs))
            for inputs, targets in self.chunks()
        )

    def slope(self, player: Player, vector: Tensor) -> tuple[float, Tensor]:
        """L and dL/dtheta_p, (n,) in 64 bits, where a player has moved to a vector (n,)."""
        loss, slope = 0.0, torch.zeros(len(vector), dtype=torch.float64)
        for inputs, targets in self.chunks():
            with torch.enable_grad():
                given = vector.detach().to(inputs.device, copy=True).requires_grad_()
                mean = self.loss(self.outputs(player.moved(self.weights, given), inputs), targets)
                (part,) = torch.autograd.grad(mean, given, materialize_grads=True)
            weight = len(inputs) / len(self.inputs)
            loss += weight * float(mean.detach())
            slope += weight * part.double().cpu()
        return loss, slope

    def hessian(self, player: Player) -> CurvatureOperator:
        """The exact Hessian of L in what a player holds, at the present parameters.

        Every product is three passes over the rows, for up to 16 vectors at once.
        """
        here = player.own(self.weights)

        def products(vectors: Tensor) -> Tensor:
            total = torch.zeros(vectors.shape, dtype=torch.float64)
            for inputs, targets in self.chunks(4 * min(len(vectors), _VECTORS)):
                with torch.enable_grad():
                    given = here.clone().requires_grad_()
                    mean = self.loss(self.outputs(player.moved(self.weights, given), inputs), targets)
                    (slope,) = torch.autograd.grad(mean, given, create_graph=True, materialize_grads=True)
                    if not slope.requires_grad:
                        continue  # the loss is linear here
                    weight = len(inputs) / len(self.inputs)
                    for first in range(0, len(vectors), _VECTORS):
                        bent = _bent(slope, given, vectors[first : first + _VECTORS])
                        total[first : first + _VECTORS] += weight * bent.double().cpu()
            return total.to(here)

        return CurvatureOperator(len(here), products, here.dtype, here.device)

    @torch.no_grad()
    def row_losses(self, moved: Mapping[str, Tensor]) -> Tensor:
        """The loss (rows,) of each row, with some parameters replaced."""
        found = []
        for inputs, targets in self.chunks():
            outputs = self.outputs(moved, inputs)
            pairs = zip(torch.split(outputs, 1), torch.split(targets, 1), strict=True)
            found.append(torch.stack([self.loss(*pair) for pair in pairs]).double().cpu())
        return torch.cat(found)


def _scripted_call(model: nn.Module, values: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
    """``functional_call`` for TorchScript, which torch refuses; every call sets all tensors of the copy anew."""
    owners = dict(model.named_modules(remove_duplicate=False))
    for name, value in values.items():
        owner, _, attribute = name.rpartition(".")
        owners[owner]._c.setattr(attribute, value)
    found: Tensor = model(inputs)
    return found


def _bent(slope: Tensor, given: Tensor, vectors: Tensor) -> Tensor:
    """The Hessian times each of some vectors (k, n)."""
    if len(vectors) == 1:  # without vmap, which costs time and for which some operations have no rule
        (one,) = torch.autograd.grad(slope, given, vectors[0], retain_graph=True, materialize_grads=True)
        return one[None]
    (many,) = torch.autograd.grad(
        slope, given, vectors, is_grads_batched=True, retain_graph=True, materialize_grads=True
    )
    return many


@contextmanager
def player_loss(model: nn.Module, loss: Loss, data: Any, forward: Forward | None = None) -> Iterator[PlayerLoss]:
    """Ask questions about L; the model is not touched.

    Args:
        model: any module that takes one tensor, or any at all with ``forward``.
        loss: maps (outputs, targets) to the mean loss over rows, as for ``gate_curvature``.
        data: inputs and targets, one row each.
        forward: calls the model with its inputs.

    Yields:
        The loss as a function of the parameters.

    Raises:
        ValueError: rows do not match or are not finite, the model refuses them or mixes them, or the loss is no finite
            mean over rows.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = model.weight.data.fill_(3.0)
    >>> with player_loss(model, nn.functional.mse_loss, (torch.ones(4, 1), torch.zeros(4, 1))) as found:
    ...     player = Player("", ("weight",))
    ...     found.slope(player, torch.tensor([3.0])), found.hessian(player).to_dense()
    ((9.0, tensor([6.], dtype=torch.float64)), tensor([[2.]]))
    """
    module, inputs, targets = adapted_pair(model, data, forward)
    loss = mean_over_rows(loss, targets, name="data")
    own = frozen_copy(module)
    weights = dict(own.named_parameters())
    if not any(weight.is_floating_point() for weight in weights.values()):
        raise invalid_argument("model", "no floating parameters", "a model with parameters")
    if any(weight.dtype in _HALF for weight in weights.values()):
        own, inputs = own.float(), inputs.float() if inputs.dtype in _HALF else inputs
    kept = {name: value.detach() for name, value in own.named_parameters()}
    buffers = {name: value.detach().clone() for name, value in own.named_buffers()}
    with evaluating(own), unfused_attention():
        yield _checked(PlayerLoss(own, loss, inputs, targets, kept, buffers))


def _checked(found: PlayerLoss) -> PlayerLoss:
    """The loss, once it has stood the tests on a few rows."""
    inputs, targets = (part[:_PROBE_ROWS].to(found.device) for part in (found.inputs, found.targets))
    seen: list[int] = []
    scripted = isinstance(found.model, torch.jit.ScriptModule)  # knows no hooks
    leaves = [module for module in found.model.modules() if not any(module.children()) and not scripted]
    hooks = [
        module.register_forward_hook(
            lambda _module, _inputs, output: seen.append(output.nbytes if isinstance(output, Tensor) else 0)
        )
        for module in leaves
    ]
    with torch.no_grad():
        try:
            outputs = trial_outputs(partial(found.outputs, {}), inputs, name="data")
        finally:
            for hook in hooks:
                hook.remove()
        total = trial_loss(found.loss, outputs, targets, name="data")
        try_classes(found.loss, outputs, found.targets, name="data")
        single = [found.outputs({}, row) for row in torch.split(inputs, 1)]
        alone = torch.cat(single)
        if not outputs.isfinite().all() or not total.isfinite():
            raise invalid_argument("model", "outputs or a loss that are not finite", "finite numbers")
        if alone.shape != outputs.shape or not torch.allclose(alone, outputs, rtol=1e-2, atol=1e-3):
            got = "outputs of a row that depend on the other rows"
            raise invalid_argument("model", got, "rows that do not look at each other")
        rows = torch.stack([found.loss(*pair) for pair in zip(single, torch.split(targets, 1), strict=True)])
    if not torch.allclose(total, rows.mean().to(total), rtol=1e-3, atol=1e-6):
        expected = "the mean over rows; with weights or ignored targets torch.nn.CrossEntropyLoss or NLLLoss itself"
        raise invalid_argument("loss", f"{total:.6g} on rows whose own losses have mean {rows.mean():.6g}", expected)
    # Twice, for what happens between modules.
    return replace(found, row_bytes=max(1, 2 * sum(seen) // len(inputs)))
