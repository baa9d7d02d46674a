"""A few candidate updates for each layer as a game in normal form: which joint updates are equilibria?

Player p is a layer, and its actions are changes D_p of its parameters, among them as a rule none at all. With L the
mean loss over the given rows, in evaluation mode, everybody is paid

    u(a_1, ..., a_n) = -L(theta_1 + D_1(a_1), ..., theta_n + D_n(a_n)),

so that the game is of identical interest: its best joint update is an equilibrium, and each further pure equilibrium is
a joint update that no layer can improve alone (``solve_nash``). Losses of all joint updates are measured, many at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurogames._arguments import fits_in_memory, invalid_argument, number
from neurogames.bridge.extraction.network_players import Player, network_players
from neurogames.bridge.extraction.player_loss import PlayerLoss, player_loss
from neurogames.bridge.modules.adapted_model import Forward
from neurogames.bridge.modules.data import REFUSALS, Loss
from neurogames.bridge.modules.evaluation import gradients_on
from neurogames.games.normal_form import Labels, NormalFormGame

Update = float | Mapping[str, Tensor]

_AT_ONCE = 64
_MOST = 100_000
_EXPECTED = "a learning rate, or a change (a tensor) for parameters of the layer by their names in it"


@gradients_on()
def normal_form(
    model: nn.Module,
    updates: Mapping[str, Mapping[str, Update]],
    loss: Loss,
    data: Any,
    *,
    forward: Forward | None = None,
) -> NormalFormGame:
    """Measure what every combination of some updates of layers is worth.

    Args:
        model: any module that takes one tensor, or any at all with ``forward``; it stays as it is.
        updates: layer -> name of an action -> what it does: a learning rate r >= 0 is the step -r dL/dtheta_p of plain
            gradient descent from the present parameters, 0 is no change; a mapping, such as ``{"weight": change}``, is
            added to the layer's parameters. At most 100,000 combinations.
        loss: maps (outputs, targets) to the mean loss over rows, as ``torch.nn.functional.cross_entropy``.
        data: inputs and targets, one row each: tensors, numpy arrays or a DataLoader.
        forward: calls the model with its inputs.

    Returns:
        A game in which every player has the same payoffs, minus the loss; players and actions carry their names.
        Payoffs have the precision of the network's own numbers.

    Raises:
        ValueError: there is no layer of a name that has parameters, an update does not fit, a loss is not finite, or
            the data are refused.

    Of two layers that each would go the whole way alone, one should:

    >>> model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    >>> for weight in model.parameters():
    ...     _ = weight.data.fill_(1.0)
    >>> twice = {"stay": 0.0, "double": {"weight": torch.ones(1, 1)}}
    >>> rows = torch.tensor([[1.0], [2.0]])
    >>> game = normal_form(model, {"0": twice, "1": twice}, nn.functional.mse_loss, (rows, 2 * rows))
    >>> game.payoffs[0]
    array([[ -2.5,   0. ],
           [  0. , -10. ]])
    >>> game.labels.players, game.labels.actions[0]
    (('0', '1'), ('stay', 'double'))

    Reference: D. Schuurmans and M. Zinkevich, Deep learning games, NeurIPS 2016, for layers as players.
    """
    if not isinstance(model, nn.Module):
        raise invalid_argument("model", type(model).__name__, "a torch module")
    names = _checked_names(updates)
    players = {player.name: player for player in network_players(model, "layer")}
    for layer in updates:
        if layer not in players:
            raise invalid_argument("updates", layer, f"layers with parameters: {', '.join(players)}")
    shape = tuple(len(actions) for actions in updates.values())
    if prod(shape) > _MOST:
        raise invalid_argument("updates", f"{prod(shape)} combinations", f"at most {_MOST}")
    with player_loss(model, loss, data, forward) as found:
        moved = {layer: _moved(found, players[layer], actions) for layer, actions in updates.items()}
        losses = _losses(found, list(moved.values()), shape)
    if not np.isfinite(losses).all():
        worst = np.unravel_index(int(np.argmin(np.isfinite(losses))), shape)
        at = ", ".join(actions[place] for actions, place in zip(names, worst, strict=True))
        raise invalid_argument("updates", f"a loss that is not finite at ({at})", "updates of finite losses")
    labels = Labels(f"updates of {type(model).__name__}", "payoff: minus the loss", tuple(updates), names)
    return NormalFormGame((0.0 - losses,) * len(shape), labels)


def _checked_names(updates: Any) -> tuple[tuple[str, ...], ...]:
    """Names of the actions, once the updates have the right form."""
    expected = "layers by name, each with updates by name"
    if not isinstance(updates, Mapping) or not updates:
        raise invalid_argument("updates", updates, expected)
    for layer, actions in updates.items():
        if not isinstance(layer, str) or not isinstance(actions, Mapping) or not actions:
            raise invalid_argument("updates", actions, expected)
        for name, update in actions.items():
            if not isinstance(name, str):
                raise invalid_argument("updates", name, "actions by name")
            if not isinstance(update, Mapping):
                number("updates", update, _EXPECTED, lambda rate: rate >= 0)
    return tuple(tuple(actions) for actions in updates.values())


def _moved(found: PlayerLoss, player: Player, actions: Mapping[str, Update]) -> dict[str, Tensor]:
    """The player's parameters under each of its actions, (actions, ...) by name."""
    here = player.own(found.weights)
    slope = torch.zeros_like(here)
    if any(not isinstance(update, Mapping) and update > 0 for update in actions.values()):
        slope = found.slope(player, here)[1].to(here)
    rows = []
    for update in actions.values():
        if isinstance(update, Mapping):
            rows.append(_changed(found.weights, player, update))
        else:
            rows.append(player.moved(found.weights, here - float(update) * slope))
    return {name: torch.stack([row[name] for row in rows]) for name in player.parameters}


def _changed(weights: Mapping[str, Tensor], player: Player, update: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The player's parameters with a change of the user's own added."""
    changed = {name: weights[name] for name in player.parameters}
    for part, change in update.items():
        name = f"{player.name}.{part}".removeprefix(".")
        if name not in changed:
            known = ", ".join(each.removeprefix(f"{player.name}.") for each in player.parameters)
            raise invalid_argument("updates", part, f"parameters of {player.name!r}: {known}")
        if not isinstance(change, Tensor) or change.shape != changed[name].shape:
            got = f"shape {tuple(change.shape)}" if isinstance(change, Tensor) else type(change).__name__
            raise invalid_argument("updates", got, f"a change of shape {tuple(changed[name].shape)} of {name!r}")
        changed[name] = changed[name] + change.detach().to(changed[name])
    return changed


@torch.no_grad()
def _losses(found: PlayerLoss, moved: list[dict[str, Tensor]], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The loss (a_1, ..., a_n) of every joint update."""
    weights = sum(tensor[0].numel() for layer in moved for tensor in layer.values())
    at_once = max(1, min(_AT_ONCE, prod(shape)))
    fits_in_memory("updates", f"{at_once} networks of {weights} parameters", at_once * weights)
    losses = np.empty(prod(shape))
    joint = iter(np.ndindex(*shape))
    done = 0
    while places := list(islice(joint, at_once)):
        chosen = torch.tensor(places)
        stacked = {
            name: tensor[chosen[:, p].to(tensor.device)]
            for p, layer in enumerate(moved)
            for name, tensor in layer.items()
        }
        losses[done : done + len(places)] = _of_stack(found, stacked, len(places))
        done += len(places)
    return losses.reshape(shape)


def _of_stack(found: PlayerLoss, stacked: dict[str, Tensor], count: int) -> NDArray[np.float64]:
    """Losses of some networks at once; one after the other where an operation of the model knows no batch of them."""
    if count > 1 and not isinstance(found.model, torch.jit.ScriptModule):
        try:
            return _batched(found, stacked, count)
        except REFUSALS:
            pass
    return np.array([found.value({name: tensor[k] for name, tensor in stacked.items()}) for k in range(count)])


def _batched(found: PlayerLoss, stacked: dict[str, Tensor], count: int) -> NDArray[np.float64]:
    total = np.zeros(count)
    for inputs, targets in found.chunks(2 * count):

        def one(moved: dict[str, Tensor], inputs: Tensor = inputs, targets: Tensor = targets) -> Tensor:
            return found.loss(found.outputs(moved, inputs), targets)

        losses = torch.vmap(one)(stacked)
        total += losses.double().cpu().numpy() * (len(inputs) / len(found.inputs))
    return total
