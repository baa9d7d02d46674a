"""The parameters of a network, dealt out to players: its layers, its units, or its blocks.

    "layer"  all parameters that one module holds itself, such as weight and bias
    "unit"   one output of a Linear or a convolution: its row of the weight, and its bias
    "block"  all parameters below one child of the model

Every parameter has one owner. A parameter that several modules share belongs to the first of them; what is computed
from others (a weight norm, a pruning mask) belongs to the module that it is computed for. With units as players, the
parameters of all other modules (norms, attention, embeddings) belong to nobody and stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from neurogames._arguments import invalid_argument
from neurogames.bridge.modules.units import UNIT_KINDS

PlayerKind = Literal["layer", "unit", "block"]
_WITH_UNITS = UNIT_KINDS["neurons"] + UNIT_KINDS["filters"]


@dataclass(frozen=True)
class Player:
    """Who decides about some of the parameters.

    Attributes:
        name: of the module or block, or "LAYER[UNIT]".
        parameters: names of the parameters.
        unit: the row of each parameter, or None for all of it.
    """

    name: str
    parameters: tuple[str, ...]
    unit: int | None = None

    def own(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """What belongs to the player, of tensors by parameter: one vector.

        >>> Player("0[1]", ("0.weight", "0.bias"), 1).own({"0.weight": torch.eye(2), "0.bias": torch.ones(2)})
        tensor([0., 1., 1.])
        """
        parts = (tensors[name] if self.unit is None else tensors[name][self.unit] for name in self.parameters)
        return torch.cat([part.reshape(-1) for part in parts])

    def moved(self, tensors: Mapping[str, Tensor], vector: Tensor) -> dict[str, Tensor]:
        """The player's parameters, with what belongs to it replaced by a vector; gradients flow to the vector.

        >>> Player("0[1]", ("0.bias",), 1).moved({"0.bias": torch.zeros(3)}, torch.ones(1))
        {'0.bias': tensor([0., 1., 0.])}
        """
        shapes = [tensors[name].shape if self.unit is None else tensors[name].shape[1:] for name in self.parameters]
        parts = torch.split(vector, [shape.numel() for shape in shapes])
        found = {}
        for name, part, shape in zip(self.parameters, parts, shapes, strict=True):
            value = tensors[name]
            own = part.to(value.dtype).reshape(shape)
            if self.unit is not None:
                own = torch.cat([value[: self.unit], own[None], value[self.unit + 1 :]])
            found[name] = own
        return found


def network_players(model: nn.Module, kind: PlayerKind) -> tuple[Player, ...]:
    """Deal out the parameters of a model.

    Args:
        model: any module with floating parameters.
        kind: "layer", "unit" or "block".

    Returns:
        The players, in the order of the modules.

    Raises:
        ValueError: the kind is unknown, or there is no player of that kind.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    >>> [player.name for player in network_players(model, "unit")]
    ['0[0]', '0[1]', '2[0]']
    """
    if kind not in get_args(PlayerKind):
        raise invalid_argument("players", kind, "'layer', 'unit' or 'block'")
    owners: dict[str, list[str]] = {}
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point():
            owner = _owner(name)
            owners.setdefault(owner.partition(".")[0] if kind == "block" else owner, []).append(name)
    players = [Player(owner, tuple(names)) for owner, names in owners.items()]
    if kind == "unit":
        players = [part for player in players for part in _units(model, player)]
    if not players:
        raise invalid_argument("model", "no parameters of such players", f"a model with a {kind} that has parameters")
    return tuple(players)


def joint_player(players: tuple[Player, ...], name: str = "all") -> Player:
    """One who decides for several players that hold whole parameters.

    >>> joint_player((Player("0", ("0.weight",)), Player("1", ("1.weight",)))).parameters
    ('0.weight', '1.weight')
    """
    return Player(name, tuple(dict.fromkeys(part for player in players for part in player.parameters)))


def _owner(parameter: str) -> str:
    """Name of the module for which a parameter is there."""
    return parameter.rpartition(".")[0].partition(".parametrizations")[0].removeprefix("parametrizations")


def _units(model: nn.Module, player: Player) -> list[Player]:
    """The units of a layer; none where it has no rows of its own."""
    layer = dict(model.named_modules())[player.name]
    weight = dict(model.named_parameters())[player.parameters[0]]
    plain = {f"{player.name}.{part}".removeprefix(".") for part in ("weight", "bias")}
    if not isinstance(layer, _WITH_UNITS) or not plain.issuperset(player.parameters) or weight.ndim < 2:
        return []
    return [Player(f"{player.name}[{unit}]", player.parameters, unit) for unit in range(len(weight))]
