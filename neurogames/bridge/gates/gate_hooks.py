"""How a gate is put on a module and taken off again: hooks, a stand-in for projections of heads, fused inference off.

Attention reads the weight of the projection behind its heads and never calls it, so heads are gated by a stand-in whose
weight is the gated one. Fused inference of ``nn.TransformerEncoderLayer`` reads weights past all hooks; it is held off
as long as there are gates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.gates.gate_places import Place
from neurogames.bridge.gates.gate_weights import by_head, multiply, own_norms

NAME = "participation"
# What keeps fused inference off: a class of modules, its attribute, and the value.
_FUSED = (
    (nn.TransformerEncoderLayer, "activation_relu_or_gelu", 0),
    (nn.TransformerEncoder, "use_nested_tensor", False),
)


@dataclass(eq=False)
class UnitGate:
    """Forward hook that multiplies the output of a module by its gate.

    Attributes:
        module: the Linear, Conv or MultiheadAttention whose units are the players.
        axes: number of axes behind the axis of units.
        scale: the gauge's factor of the layer.
        norms: (units,) norms |theta_i| that the gauge took out of the weights; None without gauge.
        calls: how often the model calls the module.
    """

    module: nn.Module
    axes: int
    scale: float
    norms: Tensor | None
    calls: int

    def __call__(self, place: nn.Module, _: object, output: Tensor) -> Tensor:
        """Return the gated output; shares exchanged for (rows, units) are one gate for each row of a batch."""
        if place is not self.module and self.axes == 0 and output.ndim != 2:
            got = f"{type(place).__name__} behind a {type(self.module).__name__}, on shape {tuple(output.shape)}"
            raise invalid_argument("model", got, "a norm over the axis of the units, which is the last one")
        shares: Tensor = getattr(place, NAME)
        if shares.ndim == 1:
            return output * self.factor(place)
        between = [1] * (output.ndim - self.axes - 2)
        shares = shares if self.scale == 1.0 else shares * self.scale
        return output * shares.reshape(len(shares), *between, -1, *[1] * self.axes)

    def factor(self, place: nn.Module) -> Tensor:
        """What the gate at ``place`` multiplies with, (units, 1, ...)."""
        shares: Tensor = getattr(place, NAME)
        shares = shares if self.scale == 1.0 else shares * self.scale
        return shares.reshape(-1, *[1] * self.axes) if self.axes else shares


class GatedProjection(nn.Module):
    """Stand-in for the projection behind attention heads: its weight with the columns of each head multiplied.

    Args:
        inner: the projection.
        gate: what the columns are multiplied with.
    """

    def __init__(self, inner: Any, gate: UnitGate) -> None:
        super().__init__()
        self.inner = inner
        self.gate = gate

    @property
    def weight(self) -> Tensor:
        """The gated weight, (outputs, heads * width)."""
        factor = self.gate.factor(self)
        return (by_head(self.inner.weight, factor.numel()) * factor[:, None, None]).transpose(0, 1).flatten(1)

    @property
    def bias(self) -> Tensor | None:
        """The bias, which belongs to no head."""
        bias: Tensor | None = self.inner.bias
        return bias


@dataclass(eq=False)
class _Held:
    """Pre-hook that does nothing but remember an attribute that is held at another value."""

    attribute: str
    value: object

    def __call__(self, *_: object) -> None:
        """Do nothing."""


def gate_of(carrier: nn.Module) -> UnitGate | None:
    """The gate that a module carries, if it does."""
    if isinstance(carrier, GatedProjection):
        return carrier.gate
    return next((hook for hook in carrier._forward_hooks.values() if isinstance(hook, UnitGate)), None)


def bare(carrier: Any) -> Any:
    """The module whose weights the gate of ``carrier`` stands for."""
    return carrier.inner if isinstance(carrier, GatedProjection) else carrier


def attach(at: Any, place: Place, *, gauge: bool) -> None:
    """Put the gate of one place on its module, with the norms of the units in it where the gauge is wanted."""
    module: Any = place.module
    heads = isinstance(module, nn.MultiheadAttention)
    weight = at.weight if heads else module.weight
    shares = torch.ones(place.units, dtype=weight.dtype, device=weight.device)
    scale, norms = 1.0, None
    if gauge:
        with torch.no_grad():
            own = own_norms(module, at)
            scale = float(own.max()) or 1.0
            shares = own / scale
            norms = torch.where(own > 0, own, 1.0)
            multiply(module, at, 1.0 / norms)
    gate = UnitGate(module, place.axes, scale, norms, place.calls)
    carrier = at
    if heads:
        carrier = module.out_proj = GatedProjection(at, gate).train(at.training)
    else:
        at.register_forward_hook(gate)
    carrier.register_parameter(NAME, nn.Parameter(shares))


def detach(carrier: Any, gate: UnitGate, *, fold: bool) -> None:
    """Take one gate off, its shares multiplied into the weights or not; without, a gauge is undone."""
    place, module = bare(carrier), gate.module
    factor = gate.factor(carrier).detach().flatten() if fold else gate.norms
    if factor is not None:
        with torch.no_grad():
            multiply(module, place, factor.to(place.weight))
    if place is carrier:
        _unhook(place._forward_hooks, gate)
        delattr(place, NAME)
    else:
        setattr(module, "out_proj", place)  # noqa: B010  declared as another type


def hold_fused(model: nn.Module) -> None:
    """Keep fused inference off."""
    for module in model.modules():
        for kind, attribute, value in _FUSED:
            if isinstance(module, kind) and hasattr(module, attribute):
                module.register_forward_pre_hook(_Held(attribute, getattr(module, attribute)))
                setattr(module, attribute, value)


def release_fused(model: nn.Module) -> None:
    """Undo ``hold_fused``."""
    for module in model.modules():
        for held in [hook for hook in module._forward_pre_hooks.values() if isinstance(hook, _Held)]:
            setattr(module, held.attribute, held.value)
            _unhook(module._forward_pre_hooks, held)


def _unhook(hooks: dict[int, Any], hook: object) -> None:
    """Take one hook out."""
    for number in [number for number, other in hooks.items() if other is hook]:
        del hooks[number]
