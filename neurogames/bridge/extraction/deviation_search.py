"""The best deviation of a player by search: L-BFGS from where it stands and from random places around.

What is found is reached, so its gain is a lower bound of the best one. Random starts are needed: at a saddle, or where
all derivatives up to some order vanish, a descent from the present place does not move.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from neurogames.bridge.extraction.network_players import Player
from neurogames.bridge.extraction.player_loss import OutOfTimeError, PlayerLoss

_DISTANCES = (1.0, 0.1, 0.01)  # of random starts, in units of the spread of each parameter


class _EnoughError(Exception):
    """The loss is as low as asked for."""


def best_deviation(
    found: PlayerLoss,
    player: Player,
    *,
    starts: int,
    steps: int,
    rng: np.random.Generator,
    further: Sequence[Tensor] = (),
    enough: float = -np.inf,
) -> tuple[Tensor, float, bool]:
    """Search for what a player would rather hold.

    Args:
        found: the loss; when its deadline passes, the search ends with the best so far.
        player: who deviates, all others staying.
        starts: number of random starts besides the present place.
        steps: most steps of L-BFGS from each of them.
        rng: draws the random starts.
        further: other vectors (n,) to start from.
        enough: a loss at which the search ends.

    Returns:
        The best vector (n,) in 64 bits, its loss, and whether all starts were tried. The present one, if none is
        better.

    >>> from neurogames.bridge.extraction.player_loss import player_loss
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> with player_loss(model, torch.nn.functional.mse_loss, (torch.ones(4, 1), torch.full((4, 1), 2.0))) as given:
    ...     best, least, _ = best_deviation(
    ...         given, Player("", ("weight",)), starts=0, steps=20, rng=np.random.default_rng(0)
    ...     )
    >>> round(best.item(), 3), round(least, 3)
    (2.0, 0.0)

    Reference: D. Liu and J. Nocedal, On the limited memory BFGS method for large scale optimization (1989).
    """
    here = player.own(found.weights)
    best = here.double().cpu()
    least = np.inf

    def value(vector: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        nonlocal best, least
        given = torch.from_numpy(vector.copy())
        loss, slope = found.slope(player, given.to(here))
        if not np.isfinite(loss):
            return 1e300, np.zeros_like(vector)  # the line search turns back
        if loss < least:
            best, least = given, loss
        if least <= enough:
            raise _EnoughError
        return loss, slope.numpy()

    spread = _spread(found, player)
    options: Any = {"maxiter": steps, "maxfun": 2 * steps, "ftol": 1e-12, "gtol": 1e-9}
    try:
        value(best.numpy())
        for place in range(1 + len(further) + starts):
            if place == 0:
                start = here.double().cpu()
            elif place <= len(further):
                start = further[place - 1]
            else:
                distance = _DISTANCES[(place - 1 - len(further)) % len(_DISTANCES)]
                start = here.double().cpu() + distance * spread * torch.from_numpy(rng.standard_normal(len(here)))
            given: Any = start.numpy()
            minimize(value, given, jac=True, method="L-BFGS-B", options=options)
    except _EnoughError:
        pass
    except OutOfTimeError:
        return best, float(least), False
    return best, float(least), True


def _spread(found: PlayerLoss, player: Player) -> Tensor:
    """How far a random start goes, by coordinate: the size of its parameter, or 1 / sqrt(fan in) where that is 0."""
    parts = {}
    for name in player.parameters:
        value = found.weights[name].double()
        size = float(value.square().mean().sqrt())
        parts[name] = torch.full_like(
            value, size if size > 0 else max(1, value[0].numel()) ** -0.5 if value.ndim else 1.0
        )
    return player.own(parts).cpu()
