"""How near a network is to a Nash equilibrium of its players, and which of several notions it meets, in words.

All players share one loss: an identical-interest game, whose Nash equilibria are the points at which no player alone
can lower the loss. From weak to strong, each up to epsilon in units of the loss:

    first-order        no gradient step of a player alone would gain more than epsilon
    local Nash         besides, no player's own curvature is negative
    differential Nash  besides, every player's own curvature is positive, but along the symmetries that are listed
    Nash up to epsilon no deviation of a player alone gains more than epsilon, near or far: shown by upper bounds

A deviation that gains more than epsilon shows "not Nash", whatever the derivatives say. The three local notions say
nothing about far deviations; that a search found none does not rule them out.

Reference: D. Schuurmans and M. Zinkevich, Deep learning games, NeurIPS 2016 (a network as a game with one loss); L.
Ratliff, S. Burden and S. Sastry, On the characterization of local Nash equilibria in continuous games, IEEE
Transactions on Automatic Control 61 (2016) (differential Nash equilibria).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Notion = Literal["not Nash", "Nash up to epsilon", "differential Nash", "local Nash", "first-order", "undecided"]
Method = Literal["least squares", "convex", "search", "search, stopped"]

_FLAT = 2e-3  # of the largest curvature: what Lanczos cannot tell from 0


@dataclass(frozen=True, eq=False)
class NashGap:
    """What players could gain, alone and together; made by :func:`nash_gap`.

    Attributes:
        players: (n) names.
        loss: L on the rows.
        epsilon: gains up to here do not count.
        gradient: (n,) norm of dL/dtheta_p.
        relative_gradient: (n,) the same by the norm of theta_p; infinite where that is 0 and the gradient is not.
        smallest_curvature: (n,) smallest eigenvalue of the player's own block of the Hessian; NaN if not known.
        largest_curvature: (n,) the largest one.
        strict_curvature: (n,) the smallest one apart from the softmax shift.
        gain: (n,) by how much the best deviation that was found lowers the loss: reached, so a lower bound.
        bound: (n,) what no deviation can exceed; infinite where nothing is known.
        method: (n) how the deviation was found.
        held_out_gain: (n,) what the same deviations gain on held-out rows; None without such.
        held_out_stderr: (n,) standard errors of these, over rows.
        joint_gain: what all players together were found to gain: a lower bound.
        pair_gain: the same for pairs of players, where asked for.
        joint_curvature: smallest eigenvalue of the whole Hessian in what players hold; NaN if not known.
        symmetries: continuous symmetries of the network and its loss.
        status: "ok", or what the budget did not allow.
    """

    players: tuple[str, ...]
    loss: float
    epsilon: float
    gradient: NDArray[np.float64]
    relative_gradient: NDArray[np.float64]
    smallest_curvature: NDArray[np.float64]
    largest_curvature: NDArray[np.float64]
    strict_curvature: NDArray[np.float64]
    gain: NDArray[np.float64]
    bound: NDArray[np.float64]
    method: tuple[Method, ...]
    held_out_gain: NDArray[np.float64] | None
    held_out_stderr: NDArray[np.float64] | None
    joint_gain: float
    pair_gain: Mapping[tuple[str, str], float]
    joint_curvature: float
    symmetries: tuple[str, ...]
    status: str

    @property
    def gap(self) -> float:
        """The largest gain of one player alone that was found."""
        return float(self.gain.max())

    @property
    def deviator(self) -> str:
        """Who has that gain."""
        return self.players[int(self.gain.argmax())]

    @property
    def coordination_gap(self) -> float:
        """What all together were found to gain beyond what one can gain alone."""
        return max(0.0, self.joint_gain - self.gap)

    @property
    def notion(self) -> Notion:
        """The strongest notion that is met; see the module."""
        if self.gap > self.epsilon:
            return "not Nash"
        if (self.bound <= self.epsilon).all():
            return "Nash up to epsilon"
        return self.local_notion

    @property
    def local_notion(self) -> Notion:
        """The strongest of the three local notions that is met; "undecided" if none is known to be."""
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.where(self.gradient == 0, 0.0, self.gradient**2 / (2.0 * self.largest_curvature))
        if not ((step >= 0) & (step <= self.epsilon)).all():
            return "undecided"
        if not (self.smallest_curvature >= -self._room).all():
            return "first-order"
        return "differential Nash" if (self.strict_curvature > self._room).all() else "local Nash"

    @property
    def _room(self) -> NDArray[np.float64]:
        """What the method cannot tell from a curvature of 0."""
        return _FLAT * np.maximum(np.abs(self.largest_curvature), np.abs(self.smallest_curvature))

    @property
    def verdict(self) -> str:
        """One sentence for the notion, and one for what players could gain together.

        >>> from neurogames.bridge.extraction.nash_gap import nash_gap
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False))
        >>> _ = [layer.weight.data.fill_(0.0) for layer in model]
        >>> rows = torch.ones(4, 1), torch.ones(4, 1)
        >>> print(nash_gap(model, torch.nn.functional.mse_loss, rows, rng=np.random.default_rng(0)).verdict)
        Nash up to 0.001: no player can gain more alone. All together gain 1 or more (coordination gap 1).
        """
        size = f"{self.epsilon:g}"
        said = {
            "not Nash": f"Not Nash: {self.deviator!r} alone gains {self.gap:.3g} or more of a loss of {self.loss:.3g}.",
            "Nash up to epsilon": f"Nash up to {size}: no player can gain more alone.",
            "differential Nash": f"Differential (strict local) Nash{self._modulo()}: {self._not_found()}",
            "local Nash": f"Local Nash to second order, not strict: {self._not_found()}",
            "first-order": f"First-order only: {self._bent()}; {self._not_found()}",
            "undecided": f"Undecided: no deviation that gains more than {size} was found, but {self._open()}.",
        }[self.notion]
        return f"{said} All together gain {self.joint_gain:.3g} or more (coordination gap {self.coordination_gap:.3g})."

    def _not_found(self) -> str:
        return f"no deviation of one player that gains more than {self.epsilon:g} was found, which rules out none."

    def _modulo(self) -> str:
        return f" modulo {', '.join(self.symmetries)}" if self.symmetries else ""

    def _bent(self) -> str:
        down = np.flatnonzero(self.smallest_curvature < -self._room)
        if down.size == 0:
            return "not every player's own curvature is known"
        return f"the own curvature of {self.players[int(down[self.smallest_curvature[down].argmin()])]!r} is negative"

    def _open(self) -> str:
        unknown = np.isnan(self.largest_curvature).any()
        return "not every player's own curvature is known" if unknown else "a gradient step of one should gain more"
