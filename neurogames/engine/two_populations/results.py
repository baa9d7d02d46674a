"""What comes out of two populations: paths, and laws of both compositions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine.display.laws import plot_bars, plot_pair_law
from neurogames.engine.display.paths import plot_paths
from neurogames.engine.display.tables import dataset, frame, shares_in_words, stacked, tidy
from neurogames.engine.solution import EscapeTime
from neurogames.games.two_populations import TwoPopulationGame

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TwoPopulationTrajectory:
    """Paths of a simulation of two populations.

    Attributes:
        time: (T,) in sweeps; the first entry is 0.
        count: (replicas, T, n) and (replicas, T, m) number of players who use each strategy.
        game: the game.
    """

    time: Array
    count: tuple[NDArray[np.int64], NDArray[np.int64]]
    game: TwoPopulationGame

    @property
    def share(self) -> tuple[Array, Array]:
        """(replicas, T, n) and (replicas, T, m) shares."""
        first, second = (count / size for count, size in zip(self.count, self.game.n_players, strict=True))
        return first, second

    def plot(self, axis: Any = None) -> Any:
        """Draw the mean share of each strategy over time, with the band of most replicas.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.
        """
        return plot_paths(axis, self.time, np.concatenate(self.share, axis=-1), full_names(self.game))

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of counts by replica and time, one variable for each population."""
        found, coords = {}, {"time": self.time}
        for place in range(2):
            dims = ("replica", "time", f"strategy_{place + 1}")
            found[f"count_{place + 1}"] = (dims, self.count[place])
            coords[f"strategy_{place + 1}"] = np.array(self.game.labels[place])
        return dataset(found, coords)

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each population, replica, time and strategy."""
        parts = []
        for place, (count, share) in enumerate(zip(self.count, self.share, strict=True)):
            replica, time, k = (each.ravel() for each in np.indices(count.shape))
            names = np.array(self.game.labels[place])[k]
            columns = {"replica": replica, "time": self.time[time], "strategy": names}
            whose = {"population": self.game.players[place]}
            parts.append(frame({**columns, "count": count.ravel(), "share": share.ravel()}).assign(**whose))
        return stacked(parts)

    def __repr__(self) -> str:
        ends = [shares_in_words(self.game.labels[p], self.share[p][:, -1].mean(axis=0)) for p in range(2)]
        what = f"{len(self.count[0])} replicas up to sweep {self.time[-1]:g}"
        return f"TwoPopulationTrajectory({what}; at the end {ends[0]} | {ends[1]})"


@dataclass(frozen=True, eq=False)
class TwoPopulationDistribution:
    """A probability law of the compositions of two populations, or several of them.

    Attributes:
        states: (S, n) and (S, m) compositions, in lexicographic order.
        log_probability: (..., S) their log probabilities; NaN where there is no unique answer.
        residual: for a stationary law, the greatest relative difference between what leaves and what enters a state;
            for a law at a given time, how far its total mass is from 1.
        status: "ok", or why there is no unique law.
        game: the game.
    """

    states: tuple[NDArray[np.int64], NDArray[np.int64]]
    log_probability: Array
    residual: float
    status: str
    game: TwoPopulationGame

    @property
    def probability(self) -> Array:
        """(..., S) probabilities."""
        return np.asarray(np.exp(self.log_probability))

    def mean_share(self) -> tuple[Array, Array]:
        """(..., n) and (..., m) expected shares."""
        sizes = self.game.n_players
        first, second = (self.probability @ (each / size) for each, size in zip(self.states, sizes, strict=True))
        return first, second

    def plot(self, axis: Any = None) -> Any:
        """Draw the law of the first strategies' numbers for two strategies in each population, else mean shares.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.

        Raises:
            ValueError: if there are several laws, or none that is unique.
        """
        return plot_pair_law(axis, self.states, self.log_probability, full_names(self.game))

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of the log probabilities of the states, of several laws over time."""
        dims = ("time", "state") if self.log_probability.ndim == 2 else ("state",)
        found = {"log_probability": (dims, self.log_probability)}
        states = {f"composition_{p + 1}": (("state", f"strategy_{p + 1}"), self.states[p]) for p in range(2)}
        return dataset({**found, **states}, {f"strategy_{p + 1}": list(self.game.labels[p]) for p in range(2)})

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` of one law: a column for each strategy, and the log probability."""
        if self.log_probability.ndim != 1:
            raise invalid_argument("to_dataframe", f"{len(self.log_probability)} laws", "one law; see to_xarray")
        counts = dict(zip(full_names(self.game), np.concatenate(self.states, axis=1).T, strict=True))
        return frame({**counts, "log_probability": self.log_probability})

    def __repr__(self) -> str:
        if self.log_probability.ndim == 1:
            found = " | ".join(shares_in_words(self.game.labels[p], self.mean_share()[p]) for p in range(2))
        else:
            found = f"{len(self.log_probability)} laws"
        return f"TwoPopulationDistribution({found}; residual {self.residual:.2g}; {self.status})"


@dataclass(frozen=True, eq=False)
class TwoPopulationAbsorption:
    """Which pair of strategies takes over, one in each population.

    Attributes:
        log_probability: (n, m) log probability that strategies i and j are the first pair that all use.
        escape: expected time until all of each population use the same strategy.
        residual: greatest relative error left in the equations that were solved.
        game: the game.
    """

    log_probability: Array
    escape: EscapeTime
    residual: float
    game: TwoPopulationGame

    @property
    def probability(self) -> Array:
        """(n, m) probabilities."""
        return np.asarray(np.exp(self.log_probability))

    def pairs(self) -> tuple[str, ...]:
        """Names of the n m pairs, row by row."""
        return pair_names(self.game)

    def plot(self, axis: Any = None) -> Any:
        """Draw the probability of each pair to take over as a bar.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.
        """
        return plot_bars(axis, self.probability.reshape(-1), self.pairs(), "probability to take over")

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of the log probabilities by the strategies of both populations."""
        dims = ("strategy_1", "strategy_2")
        return dataset(
            {"log_probability": (dims, self.log_probability)},
            {dim: list(names) for dim, names in zip(dims, self.game.labels, strict=True)},
        )

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each pair of strategies."""
        return tidy(self.to_xarray())

    def __repr__(self) -> str:
        found = shares_in_words(self.pairs(), self.probability.reshape(-1))
        return f"TwoPopulationAbsorption({found}; after {self.escape.sweeps:.4g} sweeps; residual {self.residual:.2g})"


def full_names(game: TwoPopulationGame) -> tuple[str, ...]:
    """Names of all strategies, with that of the population before."""
    return tuple(f"{game.players[p]}: {name}" for p in range(2) for name in game.labels[p])


def pair_names(game: TwoPopulationGame) -> tuple[str, ...]:
    """Names of all pairs of strategies, one of each population, row by row."""
    return tuple(f"{one} | {other}" for one in game.labels[0] for other in game.labels[1])
