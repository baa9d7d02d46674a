"""What players who learned have played, and how far that is from equilibria of several kinds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import number
from neurogames.engine.display.axes import look, own_axis, quiet_frame
from neurogames.engine.display.tables import dataset, tidy
from neurogames.engine.learning import gaps
from neurogames.games.normal_form import NormalFormGame
from neurogames.games.replies import Profile, action_payoffs, regret

Array = NDArray[np.float64]

_BAND = (0.05, 0.95)


@dataclass(frozen=True, eq=False)
class LearningTrajectory:
    """Play of a game by players who learn.

    Attributes:
        game: the game.
        time: (T,) numbers of rounds played.
        count: (replicas, T, a_1, ..., a_n) how often each profile was played up to those rounds.
        choice: for each player (replicas, a_i), the probabilities with which he would play the next round.
    """

    game: NormalFormGame
    time: NDArray[np.int64]
    count: NDArray[np.int64]
    choice: Profile

    @property
    def law(self) -> Array:
        """(replicas, T, a_1, ..., a_n) empirical joint law of play up to each time."""
        return np.asarray(self.count / self.time.reshape(-1, *[1] * self.game.n_players))

    @property
    def frequencies(self) -> Profile:
        """For each player (replicas, T, a_i), how often he has played each action."""
        axes = range(2, 2 + self.game.n_players)
        return tuple(self.law.sum(axis=tuple(other for other in axes if other != own)) for own in axes)

    @cached_property
    def correlated_gap(self) -> Array:
        """(replicas, T) most a player gains by changing his actions of the joint law by a rule, in payoff units."""
        return gaps.correlated_gap(self.game, self.law)

    @cached_property
    def coarse_gap(self) -> Array:
        """(replicas, T) most a player gains by one fixed action against the joint law, in payoff units."""
        return gaps.coarse_gap(self.game, self.law)

    @cached_property
    def nash_gap(self) -> Array:
        """(replicas, T) most a player gains against the product of the frequencies, in payoff units."""
        # Sums of frequencies are 1 but for rounding, which the check of profiles lets pass.
        return np.asarray(regret(self.game, self.frequencies))

    def logit_residual(self, temperature: float) -> Array:
        """(replicas,) how far the choices for the next round are from a logit equilibrium of precision 1 / temperature.

        Args:
            temperature: tau > 0 in payoff units.

        Returns:
            Greatest difference between a probability and the logit answer softmax(u_i(a, x) / tau) to the others.

        Raises:
            ValueError: if the temperature is not positive.
        """
        tau = number("temperature", temperature, "a temperature > 0", lambda value: value > 0)
        worst = np.zeros(len(self.count))
        centred = NormalFormGame(self.game.compared_payoffs)
        for chosen, payoffs in zip(self.choice, action_payoffs(centred, self.choice), strict=True):
            answer = np.exp((payoffs - payoffs.max(axis=-1, keepdims=True)) / tau)
            answer /= answer.sum(axis=-1, keepdims=True)
            worst = np.maximum(worst, np.abs(answer - chosen).max(axis=-1))
        return worst

    def plot(self, axis: Any = None) -> Any:
        """Draw the three gaps over rounds, as means over replicas with the band from their 5 % to their 95 % quantile.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.
        """
        axis = own_axis(axis, 5.6, 3.4)
        named = (("Nash", self.nash_gap), ("correlated", self.correlated_gap), ("coarse", self.coarse_gap))
        for k, (name, gap) in enumerate(named):
            axis.plot(self.time, gap.mean(axis=0), label=name, linewidth=1.6, **look(k))
            if len(gap) > 1:
                low, high = np.quantile(gap, _BAND, axis=0)
                axis.fill_between(self.time, low, high, color=look(k)["color"], alpha=0.18, linewidth=0)
        quiet_frame(axis)
        # Gaps may be 0, which no logarithmic axis shows: below a thousandth of the payoffs the axis is linear.
        axis.set_xscale("log")
        axis.set_yscale("symlog", linthresh=1e-3 * (self.game.payoff_range or 1.0))
        axis.set_ylim(bottom=0.0)
        axis.set(xlabel="rounds", ylabel="gap in payoff units")
        axis.legend(frameon=False, fontsize="small", title="distance from equilibria", title_fontsize="small")
        if len(self.count) > 1:
            title = f"mean of {len(self.count)} replicas, band: 5 % to 95 %"
            axis.set_title(title, fontsize="small", loc="left")
        return axis

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of the gaps, and of the frequencies of each player, over replica and round."""
        lead, labels = ("replica", "round"), self.game.labels
        variables: dict[str, Any] = {
            "nash_gap": (lead, self.nash_gap),
            "correlated_gap": (lead, self.correlated_gap),
            "coarse_gap": (lead, self.coarse_gap),
        }
        coords: dict[str, Any] = {"replica": np.arange(len(self.count)), "round": self.time}
        for i, frequency in enumerate(self.frequencies):
            variables[f"frequency_{i + 1}"] = ((*lead, f"action_{i + 1}"), frequency)
            coords[f"action_{i + 1}"] = list(labels.actions[i])
        return dataset(variables, coords)

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each replica and round: the gaps."""
        return tidy(self.to_xarray()[["nash_gap", "correlated_gap", "coarse_gap"]])

    def __repr__(self) -> str:
        replicas, at = len(self.count), self.time[-1]
        worst = (float(gap[:, -1].max()) for gap in (self.nash_gap, self.correlated_gap, self.coarse_gap))
        nash, correlated, coarse = worst
        return (
            f"LearningTrajectory({replicas} replicas, {at} rounds; greatest gaps at the end: "
            f"Nash {nash:.2g}, correlated {correlated:.2g}, coarse {coarse:.2g})"
        )
