"""The best reply of one player of a network: in closed form where there is one, else by search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from neurogames.bridge.extraction.affine_players import AffineLayer, LossKind, affine_layer, as_vector, best_reply
from neurogames.bridge.extraction.deviation_search import best_deviation
from neurogames.bridge.extraction.nash_verdict import Method
from neurogames.bridge.extraction.network_players import Player
from neurogames.bridge.extraction.player_loss import OutOfTimeError, PlayerLoss

_MISSED = 0.1  # of what a closed form promises; rounding of the network's own precision may lose more


@dataclass(frozen=True, eq=False)
class Reply:
    """What a player would rather hold.

    Attributes:
        vector: (n,) its parameters, in 64 bits; the present ones where nothing better was found.
        loss: L there.
        least: no deviation of the player brings the loss below; minus infinity where nothing is known.
        method: how it was found.
    """

    vector: Tensor
    loss: float
    least: float
    method: Method


@dataclass(frozen=True, eq=False)
class Replies:
    """Looks for best replies to the present parameters of one network.

    Args:
        found: its loss, with the deadline of the present question.
        present: L at the present parameters.
        kind: of the loss.
        epsilon: a search ends where less than this is left to gain.
        starts: random starts of a search.
        steps: most steps from each start.
        rng: draws the starts.
        affine: what was found out about layers; units of one share it.
    """

    found: PlayerLoss
    present: float
    kind: LossKind
    epsilon: float
    starts: int
    steps: int
    rng: np.random.Generator
    affine: dict[tuple[str, ...], AffineLayer | None]

    @property
    def floor(self) -> float:
        """What the loss cannot fall below: 0 for squares and cross-entropy."""
        return -np.inf if self.kind == "other" else 0.0

    def of(self, player: Player) -> Reply:
        """The reply of one player."""
        here = player.own(self.found.weights).double().cpu()
        try:
            if player.parameters not in self.affine:
                self.affine[player.parameters] = affine_layer(self.found, player, self.kind)
            layer = self.affine[player.parameters]
            if layer is None:
                return self.search(player)
            weights, least = best_reply(layer.unit(player.unit))
            vector = as_vector(player, weights)
            loss = self.found.value(player.moved(self.found.weights, vector.to(self.found.device)))
        except OutOfTimeError:
            return Reply(here, self.present, self.floor, "search, stopped")
        if layer.kind == "squares" and loss - least > _MISSED * (self.present - least) + 1e-6 * self.present:
            searched = self.search(player, further=[vector])
            return Reply(searched.vector, searched.loss, least, searched.method)
        method: Method = "least squares" if layer.kind == "squares" else "convex"
        return Reply(*((vector, loss) if loss < self.present else (here, self.present)), least, method)

    def search(self, player: Player, further: Sequence[Tensor] = ()) -> Reply:
        """The reply of one player, or of several as one, by search alone."""
        vector, loss, done = best_deviation(
            *(self.found, player),
            starts=self.starts,
            steps=self.steps,
            rng=self.rng,
            further=further,
            enough=self.floor + self.epsilon,
        )
        if not loss < self.present:
            vector, loss = player.own(self.found.weights).double().cpu(), self.present
        return Reply(vector, loss, self.floor, "search" if done else "search, stopped")
