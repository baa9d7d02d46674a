"""Gates: every unit of a network takes part with a share s_i, without rewriting the model.

The output of unit i is multiplied by s_i. The gate of a layer is a Parameter ``participation`` of shape (units,), all
ones at first, registered on the module whose output it multiplies. So optimizers see it, ``state_dict`` and copies of
the model carry it, and ``torch.func.functional_call`` can exchange it, also under ``vmap``. A module that the model
calls several times has one gate, used in every call.

Gauge. Where the layers between are homogeneous, s_i -> s_i / c, theta_i -> c theta_i leaves the network as it is. The
gauge fixes this: each unit's own parameters theta_i (see ``gate_weights``) have norm 1, and
s_i = |theta_i| / max_j |theta_j| carries the magnitude, with the maximum as a fixed factor of the layer. The function
of the network stays the same, up to rounding.

Units, modules and where the gates stand are found in ``gate_places``; how they hold is in ``gate_hooks``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.gates.gate_hooks import NAME, attach, bare, detach, gate_of, hold_fused, release_fused
from neurogames.bridge.gates.gate_places import gate_places
from neurogames.bridge.gates.gate_weights import refuse_fixed
from neurogames.bridge.modules.evaluation import evaluating
from neurogames.bridge.modules.reach import FirstPass, stop_first_passes
from neurogames.bridge.modules.units import Unit


@dataclass(frozen=True, eq=False)
class Gates:
    """The gates of a model; players are numbered through the modules.

    Attributes:
        model: the model.
        modules: names of the Linear, Conv or MultiheadAttention whose units are gated, in the order of registration.
        places: names of the modules that carry the gates: the same, the norm behind, or the projection of the heads.
        sizes: number of units of each.
        parameter_names: full names of the gates, for ``torch.func.functional_call``.
        shared: names of those ``modules`` that the model calls more than once, as far as could be told.
    """

    model: nn.Module
    modules: tuple[str, ...]
    places: tuple[str, ...]
    sizes: tuple[int, ...]
    parameter_names: tuple[str, ...]
    shared: tuple[str, ...]

    @property
    def n_players(self) -> int:
        """Number of units."""
        return sum(self.sizes)

    @property
    def blocks(self) -> NDArray[np.intp]:
        """(n,) number of the module of each unit."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def parameters(self) -> list[nn.Parameter]:
        """The gates themselves, one Parameter (units,) for each module."""
        return [self.model.get_parameter(name) for name in self.parameter_names]

    def profile(self) -> NDArray[np.float64]:
        """(n,) present shares."""
        return np.concatenate([gate.detach().cpu().double().numpy() for gate in self.parameters()])

    def assign(self, profile: ArrayLike) -> None:
        """Set all shares.

        Raises:
            ValueError: if the profile is not (n,) in [0, 1]; then nothing is set.
        """
        parts = self.split(profile)
        with torch.no_grad():
            for gate, part in zip(self.parameters(), parts.values(), strict=True):
                gate.copy_(torch.from_numpy(part))

    def split(self, profile: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """Give each module its part of a profile.

        Args:
            profile: (n,) shares in [0, 1].

        Returns:
            A copy of (units,) shares for each name in ``modules``.

        Raises:
            ValueError: if the profile is not (n,) in [0, 1].
        """
        expected = f"numbers in [0, 1], one for each of {self.n_players} units"
        try:
            shares = np.array(profile, dtype=np.float64)
        except (TypeError, ValueError):
            raise invalid_argument("profile", profile, expected) from None
        if shares.shape != (self.n_players,):
            raise invalid_argument("profile", f"shape {shares.shape}", expected)
        if not ((shares >= 0) & (shares <= 1)).all():
            raise invalid_argument("profile", f"values from {shares.min()} to {shares.max()}", expected)
        return dict(zip(self.modules, np.split(shares, np.cumsum(self.sizes)[:-1]), strict=True))

    def remove(self, *, fold: bool = False) -> None:
        """Take the gates away.

        Args:
            fold: multiply the shares into the units' own parameters, so that the function of the network stays; without
                it, everybody takes part in full again (a gauge is undone, up to rounding).

        Raises:
            ValueError: if a norm without weights, or weights used in two places, cannot take the shares in, or the
                gates are gone already; then nothing is changed.
        """
        carriers = [self.model.get_submodule(place) for place in self.places]
        gates = [gate for carrier in carriers if (gate := gate_of(carrier)) is not None]
        if len(gates) < len(carriers):
            raise invalid_argument("model", "a model whose gates are gone", "the model with these gates")
        if fold:
            pairs = zip(gates, carriers, strict=True)
            refuse_fixed(self.model, [(gate.module, bare(carrier)) for gate, carrier in pairs])
        for gate, carrier in zip(gates, carriers, strict=True):
            detach(carrier, gate, fold=fold)
        release_fused(self.model)
        stop_first_passes(self.model)


def insert_gates(
    model: nn.Module,
    units: Unit | Sequence[Unit] = ("neurons", "filters"),
    *,
    modules: Sequence[str] | None = None,
    gauge: bool = False,
) -> Gates:
    """Gate the units of a model, in place, until ``remove()``.

    Args:
        model: any module.
        units: "neurons" (of Linear), "filters" (of Conv1d, Conv2d, Conv3d), "heads" (of MultiheadAttention), or some.
        modules: names of the modules to gate. All of these kinds when left out, but for the layers that give the
            model's output, Linear layers inside MultiheadAttention, and layers whose weights the model reads past
            their call (``functional.linear(x, layer.weight)``), where no gate would be seen.
        gauge: move the norms of the units' own parameters into the gates.

    Returns:
        The gates, all 1 without gauge.

    Raises:
        ValueError: if a name or a kind is not known, there is nothing to gate, the model has gates already, weights
            cannot be scaled for the gauge, or a named module is read past its call; the model is untouched then. Where
            a model's operations cannot be recorded, its first pass raises the last of these.

    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    >>> gates = insert_gates(model)
    >>> gates.modules, gates.parameter_names, gates.profile()
    (('0',), ('0.participation',), array([1., 1., 1., 1.]))
    >>> gates.assign([0, 0, 0, 0])
    >>> bool((model(torch.ones(2, 3)) == model[2].bias).all())
    True
    >>> gates.remove()
    """
    if not isinstance(model, nn.Module):
        raise invalid_argument("model", model, "a torch module")
    if present_gates(model) is not None:
        raise invalid_argument("model", "a model with gates", "a model without, or the gates removed first")
    places = gate_places(model, units, modules)
    ats = [model.get_submodule(place.at) for place in places]
    for at in ats:
        if hasattr(at, NAME):
            raise invalid_argument("model", f"a module with an attribute {NAME!r}", "modules without")
    if gauge:
        refuse_fixed(model, [(place.module, at) for at, place in zip(ats, places, strict=True)])
    with evaluating(model):  # to read a weight that is computed, such as spectral_norm's, moves buffers in training
        for at, place in zip(ats, places, strict=True):
            attach(at, place, gauge=gauge)
    hold_fused(model)
    unproved = [place.name for place in places if not place.recorded]
    if unproved:
        FirstPass(model, unproved)
    gates = present_gates(model)
    assert gates is not None
    return gates


def present_gates(model: nn.Module) -> Gates | None:
    """Find the gates that a model, or the model that it was copied from, was given; None if it has none.

    >>> present_gates(nn.Linear(2, 2)) is None
    True
    """
    named = dict(model.named_modules())
    names = {module: name for name, module in named.items()}
    carriers = [(name, gate) for name, module in named.items() if (gate := gate_of(module)) is not None]
    carriers = [(name, gate) for name, gate in carriers if gate.module in names]
    if not carriers:
        return None
    rank = {module: position for position, module in enumerate(named.values())}
    carriers.sort(key=lambda carrier: rank[carrier[1].module])
    owners = tuple(names[gate.module] for _, gate in carriers)
    return Gates(
        model=model,
        modules=owners,
        places=tuple(name for name, _ in carriers),
        sizes=tuple(getattr(named[name], NAME).numel() for name, _ in carriers),
        parameter_names=tuple(f"{name}.{NAME}".lstrip(".") for name, _ in carriers),
        shared=tuple(owner for owner, (_, gate) in zip(owners, carriers, strict=True) if gate.calls > 1),
    )
