"""What an exact chain of compositions answers: a law of the composition, and which strategy takes over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine.display.laws import plot_bars, plot_composition_law
from neurogames.engine.display.tables import dataset, frame, shares_in_words
from neurogames.engine.solution import EscapeTime


@dataclass(frozen=True, eq=False)
class CompositionDistribution:
    """A probability law of the composition of a population, or several of them.

    Attributes:
        states: (S, n) compositions, in lexicographic order.
        log_probability: (..., S) their log probabilities; NaN where there is no unique answer.
        residual: for a stationary law, the greatest relative difference between what leaves and what enters a state;
            for a law at a given time, how far its total mass is from 1.
        status: "ok", or why there is no unique law.
        labels: n names of the strategies.
    """

    states: NDArray[np.int64]
    log_probability: NDArray[np.float64]
    residual: float
    status: str = "ok"
    labels: tuple[str, ...] = ()

    @property
    def probability(self) -> NDArray[np.float64]:
        """(..., S) probabilities."""
        return np.asarray(np.exp(self.log_probability))

    def mean_share(self) -> NDArray[np.float64]:
        """(..., n) expected share of each strategy."""
        return np.asarray(self.probability @ (self.states / self.states[0].sum()))

    def plot(self, axis: Any = None) -> Any:
        """Draw the law: a line for two strategies, a triangle for three, mean shares for more.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.

        Raises:
            ValueError: if there are several laws, or none that is unique.
        """
        return plot_composition_law(axis, self.states, self.log_probability, self.names())

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of the log probabilities of the compositions, of several laws over time."""
        dims = ("time", "state") if self.log_probability.ndim == 2 else ("state",)
        found = {"log_probability": (dims, self.log_probability), "composition": (("state", "strategy"), self.states)}
        return dataset(found, {"strategy": list(self.names())})

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` of one law: a column for each strategy, and the log probability."""
        if self.log_probability.ndim != 1:
            raise invalid_argument("to_dataframe", f"{len(self.log_probability)} laws", "one law; see to_xarray")
        counts = dict(zip(self.names(), self.states.T, strict=True))
        return frame({**counts, "log_probability": self.log_probability})

    def names(self) -> tuple[str, ...]:
        """Names of the strategies; numbers from 1 on where there are none."""
        return self.labels or tuple(str(k + 1) for k in range(self.states.shape[1]))

    def __repr__(self) -> str:
        size = f"{self.states[0].sum()} players, {len(self.states)} compositions"
        one = self.log_probability.ndim == 1
        found = shares_in_words(self.names(), self.mean_share()) if one else f"{len(self.log_probability)} laws"
        return f"CompositionDistribution({size}; {found}; residual {self.residual:.2g}; {self.status})"


@dataclass(frozen=True, eq=False)
class Absorption:
    """Which strategy takes over.

    Attributes:
        log_probability: (n,) log probability that all use strategy i before all use another one.
        escape: expected time until all use the same strategy.
        residual: greatest relative error left in the equations that were solved.
        labels: n names of the strategies.
    """

    log_probability: NDArray[np.float64]
    escape: EscapeTime
    residual: float
    labels: tuple[str, ...] = ()

    @property
    def probability(self) -> NDArray[np.float64]:
        """(n,) probabilities."""
        return np.asarray(np.exp(self.log_probability))

    def plot(self, axis: Any = None) -> Any:
        """Draw the probability of each strategy to take over as a bar.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.
        """
        return plot_bars(axis, self.probability, self.names(), "probability to take over")

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of the log probabilities by strategy."""
        return dataset({"log_probability": (("strategy",), self.log_probability)}, {"strategy": list(self.names())})

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each strategy."""
        return frame({"strategy": list(self.names()), "log_probability": self.log_probability})

    def names(self) -> tuple[str, ...]:
        """Names of the strategies; numbers from 1 on where there are none."""
        return self.labels or tuple(str(k + 1) for k in range(self.log_probability.size))

    def __repr__(self) -> str:
        found = shares_in_words(self.names(), self.probability)
        return f"Absorption({found}; after {self.escape.sweeps:.4g} sweeps; residual {self.residual:.2g})"
