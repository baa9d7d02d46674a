"""A public goods game fitted to a layer of a network, and what it predicts.

Players are the units of a layer; whoever takes part keeps its values, all others are replaced, and a coalition is worth
what the network is then worth (``coalition_values``). The empirical gain f(k) is what a unit adds beside k others, on
average over units and coalitions: a :class:`neurogames.games.symmetric.SymmetricGame`. Units differ, so that each has a
curve f_i(k) of its own, drawn to the common one as far as the data do not tell them apart (``size_curves``).

What the game predicts is how many units stay when taking part costs a fee (``leaving``). The path of exact removal can
be had too, by n (n + 1) / 2 coalitions; up to some 90 units that is less than a budget of 4,000.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from neurogames.bridge.coalitions.coalition_values import NetworkCoalitionGame, coalition_game
from neurogames.bridge.coalitions.masked_network import Baseline
from neurogames.bridge.coalitions.row_worths import Metric
from neurogames.bridge.modules.adapted_model import Forward
from neurogames.engine.coalitions.good_fit import GoodFit, best_good, fit_goods
from neurogames.engine.coalitions.leaving import (
    Leaving,
    Players,
    exact_leaving,
    predicted_leaving,
    regret,
    stepwise_leaving,
)
from neurogames.engine.coalitions.size_curves import SizeCurves, size_curves
from neurogames.games.symmetric import SymmetricGame


@dataclass(frozen=True, eq=False)
class LayerGame:
    """A public goods game of the units of a layer; made by :func:`public_goods_game`.

    Attributes:
        layer: name of the layer.
        curves: gains, a curve for each unit, and their errors.
        fits: the goods that were fitted to f(k), the best first; empty below 6 units.
        coalitions: the coalition game that was asked.
    """

    layer: str
    curves: SizeCurves
    fits: tuple[GoodFit, ...]
    coalitions: NetworkCoalitionGame = field(repr=False)

    def game(self, fee: float = 0.0) -> SymmetricGame:
        """The game of alike units, f(k) less a fee."""
        return SymmetricGame(self.curves.gain - fee)

    @property
    def good(self) -> GoodFit | None:
        """The good that f(k) looks like; None if it looks like none of those known."""
        return best_good(self.fits) if self.fits else None

    def tipping_point(self, fee: float) -> float | None:
        """Smallest number of units, oneself counted, from which on taking part pays at a fee, if units were alike."""
        return self.game(fee).tipping_point

    @property
    def synergy(self) -> tuple[float, float]:
        """Weighted slope of f(k) in the share k / (n - 1), and its standard error.

        Above 0 units are worth more together (synergy), below 0 less (redundancy).
        """
        share = np.linspace(0.0, 1.0, self.curves.n_players)
        weights = _errors(self.curves) ** -2.0
        apart = share - np.average(share, weights=weights)
        size = float((weights * apart**2).sum())
        return float((weights * apart * self.curves.gain).sum()) / size, size**-0.5

    def predicted(
        self, players: Players = "own", *, draws: int = 100, rng: np.random.Generator | None = None
    ) -> Leaving:
        """Who leaves when, as the curves predict.

        Args:
            players: "own", "alike", "additive" or "context"; see :mod:`neurogames.engine.coalitions.leaving`.
            draws: paths for "context".
            rng: draws them.

        Returns:
            The path, which says how many stay at any fee.
        """
        return predicted_leaving(self.curves, players, draws=draws, rng=rng)

    def removed(self, budget: int | None = None) -> Leaving:
        """Who leaves when, by greedy removal from the network itself.

        Args:
            budget: coalitions to ask for, at least 2 n, by steps of several units (``stepwise_leaving``); exact,
                one by one, when left out.
        """
        return exact_leaving(self.coalitions) if budget is None else stepwise_leaving(self.coalitions, budget)

    def regret(self, members: NDArray[np.bool_], fee: float) -> tuple[float, float]:
        """How much a unit would gain by leaving, and another by coming back, in the network itself; <= 0 for none."""
        return regret(self.coalitions, members, fee)


def public_goods_game(
    model: nn.Module,
    layer: str,
    data: Any,
    *,
    metric: Metric = "loss",
    baseline: Baseline = "zero",
    budget: int = 4000,
    unit_axis: int | None = None,
    forward: Forward | None = None,
    rng: np.random.Generator,
) -> LayerGame:
    """Fit a public goods game to the units of a layer.

    f(k) = mean over units i and coalitions S of k others of v(S + i) - v(S), with v as in ``coalition_game``.

    Args:
        model: any network, as for ``coalition_game``; it stays as it is.
        layer: name of the module whose output units are the players.
        data: inputs and targets, one row each.
        metric: what the network is worth: "loss", "accuracy", "logit" or a function. Fees are in its units.
        baseline: what replaces the values of a unit outside the coalition.
        budget: most coalitions to ask for, at least 4 n - 2 of n units.
        unit_axis: axis of the layer's output on which its units stand, where it cannot be told.
        forward: calls the model with its inputs.
        rng: draws the orders in which units join.

    Returns:
        The game, its fits, and what it predicts.

    Raises:
        ValueError: as ``coalition_game``, or the budget is too small.

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    >>> found = public_goods_game(
    ...     model, "1", (torch.randn(20, 4), torch.arange(20) % 2), budget=200, rng=np.random.default_rng(0)
    ... )
    >>> nobody, everybody = found.coalitions.value(np.array([[False] * 6, [True] * 6]))
    >>> bool(np.isclose(found.curves.gain.sum(), everybody - nobody))
    True

    Reference: A. Ghorbani and J. Zou, Neuron Shapley: discovering the responsible neurons (2020), for the worth; M.
    Archetti and I. Scheuring, Game theory of public goods in one-shot social dilemmas without assortment, Journal of
    Theoretical Biology 299 (2012), for the goods.
    """
    coalitions = coalition_game(
        model, layer, data, metric=metric, baseline=baseline, unit_axis=unit_axis, forward=forward, rng=rng
    )
    curves = size_curves(coalitions, budget, rng=rng)
    fits = fit_goods(curves.gain, _errors(curves)) if curves.n_players >= 6 else ()
    return LayerGame(layer, curves, fits, coalitions)


def _errors(curves: SizeCurves) -> NDArray[np.float64]:
    """Standard errors of f(k), at least a millionth of the largest gain: where all orders agree they are 0."""
    return np.maximum(curves.stderr, float(np.abs(curves.gain).max()) * 1e-6 or 1.0)
