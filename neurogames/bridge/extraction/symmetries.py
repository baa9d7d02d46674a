"""Moves of the parameters that leave the outputs, or the loss, as they are.

Along a continuous symmetry the loss is flat. Where it lies inside the share of one player, no equilibrium of that
player can be strict; where it goes across players, strictness of each is possible, and of all together not.

    softmax shift    the same vector added to the row of every class of an output layer, under cross-entropy
    scaling          what one layer gives times c > 0, what the next one takes divided by c (between them a ReLU)
    change of basis  the same with any invertible matrix (between them nothing that bends)

Each is tested by making the move, on the network with drawn weights, and not read from its structure. Sign changes and
permutations of units are no continuous symmetries and are not listed.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from neurogames.bridge.extraction.affine_players import LossKind
from neurogames.bridge.extraction.network_players import network_players
from neurogames.bridge.extraction.player_loss import PlayerLoss
from neurogames.bridge.modules.units import UNIT_KINDS

_LAYERS = UNIT_KINDS["neurons"] + UNIT_KINDS["filters"]
_ROWS = 16


@torch.no_grad()
def shifted_layer(found: PlayerLoss, kind: LossKind) -> str | None:
    """Name of the layer whose rows can all be shifted under cross-entropy, if there is one.

    Args:
        found: the loss.
        kind: of the loss, from ``loss_kind``.
    """
    if kind != "classes":
        return None
    weights, inputs, before = _trial(found)
    for player in reversed(network_players(found.model, "layer")):
        name = f"{player.name}.weight".removeprefix(".")
        layer = found.module(player.name)
        if not isinstance(layer, nn.Linear) or layer.out_features != before.shape[1] or name not in weights:
            continue
        move = torch.linspace(0.5, 1.5, layer.in_features).to(before)
        change = found.outputs(weights | {name: weights[name] + move}, inputs) - before
        if _equal(change, change.mean(dim=1, keepdim=True).expand_as(change)) and change.abs().max() > 0:
            return player.name
    return None


@torch.no_grad()
def symmetries(found: PlayerLoss, kind: LossKind) -> tuple[str, ...]:
    """The continuous symmetries that were found, in words.

    Args:
        found: the loss.
        kind: of the loss, from ``loss_kind``.

    Returns:
        One entry for each.

    >>> from neurogames.bridge.extraction.player_loss import player_loss
    >>> model, rows = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)), torch.randn(8, 2)
    >>> with player_loss(model, nn.functional.cross_entropy, (rows, torch.arange(8) % 2)) as found:
    ...     symmetries(found, "classes")
    ("softmax shift of '2'", "scaling between '0' and '2'")
    """
    weights, inputs, before = _trial(found)
    shifted = shifted_layer(found, kind)
    listed = [] if shifted is None else [f"softmax shift of {shifted!r}"]
    for first, second in itertools.pairwise(network_players(found.model, "layer")):
        if not isinstance(found.module(second.name), _LAYERS):
            continue
        given, taken = first.parameters, second.parameters[:1]
        if not _equal(found.outputs(_scaled(weights, given, taken, 2.0), inputs), before):
            continue
        linear = _equal(found.outputs(_scaled(weights, given, taken, -1.0), inputs), before)
        listed.append(f"{'change of basis' if linear else 'scaling'} between {first.name!r} and {second.name!r}")
    return tuple(listed)


def _trial(found: PlayerLoss) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Drawn weights, a few rows, and the outputs: at weights such as 0, a move may do nothing by chance."""
    draws = torch.Generator().manual_seed(0)
    weights = {}
    for name, value in found.weights.items():
        fan_in = value[0].numel() if value.ndim > 1 else 1
        weights[name] = (torch.randn(value.shape, generator=draws) / max(1, fan_in) ** 0.5).to(value)
    inputs = found.inputs[:_ROWS].to(found.device)
    return weights, inputs, found.outputs(weights, inputs)


def _scaled(
    weights: Mapping[str, Tensor], given: Sequence[str], taken: Sequence[str], factor: float
) -> dict[str, Tensor]:
    """All parameters, some times a factor, others divided by it."""
    moved = {name: weights[name] * factor for name in given} | {name: weights[name] / factor for name in taken}
    return {**weights, **moved}


def _equal(left: Tensor, right: Tensor) -> bool:
    return torch.allclose(left, right, rtol=1e-4, atol=1e-5 * float(right.abs().max()))
