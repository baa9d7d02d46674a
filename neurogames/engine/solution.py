"""What comes out: results that carry their own certificate.

A result is a frozen value of the solver's own class. Next to what was asked for it holds a certificate, a number
computed from the game alone (a regret, a residual, a gap between two bounds), and a ``status`` in words: "ok", or the
reason why there is no answer or an answer that is not good enough. Where an answer was found the status is made by
:func:`certified`, from the certificate and its bound, and in no other way. Bounds have the game's own unit: a share of
what is at stake at the answer, never a number of payoff units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.display.laws import plot_count_law
from neurogames.engine.display.paths import plot_paths, plot_reached
from neurogames.engine.display.tables import actor_paths_dataset, dataset, tidy

OK = "ok"
ROUNDING = 1e-9


def certified(error: float, bound: float = ROUNDING, what: str = "a deviation gains a share of its stake of") -> str:
    """The status of an answer: "ok" where its certificate is within the bound, else what is wrong with it.

    Args:
        error: the certificate; NaN is never within a bound.
        bound: the greatest error of an answer.
        what: names the certificate in the reason.

    Returns:
        The status.

    >>> certified(1e-15), certified(0.5, what="residual")
    ('ok', 'residual 0.5, above 1e-09')
    """
    return OK if error <= bound else f"{what} {error:.2g}, above {bound:.2g}"


@dataclass(frozen=True, eq=False)
class ParticipationSolution:
    """An equilibrium of a participation game.

    Attributes:
        profile: (..., n) the profile found.
        regret: (...) the most a player could gain by deviating alone, computed from the game, in payoff units.
        residual: (...) greatest best-response residual max_i |BR_i(s) - s_i|, computed from the game.
        status: "ok", or that the residual is above the tolerance.
        unique: True or False when known, None when not.
        iterations: sweeps of the longest solve.
    """

    profile: NDArray[np.float64]
    regret: NDArray[np.float64]
    residual: NDArray[np.float64]
    status: str
    unique: bool | None
    iterations: int


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Paths of a simulation.

    Attributes:
        time: (T,) in sweeps; the first entry is 0.
        count: (replicas, T) number of actors.
        n_players: N.
    """

    time: NDArray[np.float64]
    count: NDArray[np.int64]
    n_players: int

    @property
    def share(self) -> NDArray[np.float64]:
        """(replicas, T) share of actors."""
        return self.count / self.n_players

    def plot(self, axis: Any = None) -> Any:
        """Draw the mean share of actors over time, with the band of most replicas.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.
        """
        return plot_paths(axis, self.time, self.share[..., None], ("acting",), "share acting")

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of counts and shares over replica and time."""
        return actor_paths_dataset(self.time, self.count, self.share)

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each replica and time."""
        return tidy(self.to_xarray())

    def __repr__(self) -> str:
        acting = f"share acting at the end {self.share[:, -1].mean():.3g}"
        what = f"{len(self.count)} replicas of {self.n_players} players up to sweep {self.time[-1]:g}"
        return f"Trajectory({what}; {acting})"


@dataclass(frozen=True, eq=False)
class CountDistribution:
    """A probability law of the number C of actors, or several of them.

    Attributes:
        log_probability: (..., N+1) log probability of C = 0..N; NaN where there is no unique answer.
        residual: for a stationary law, how much total variation one more sweep adds; for a law at a given time,
            how far its total mass is from 1.
        status: "ok", or why there is no unique law.
    """

    log_probability: NDArray[np.float64]
    residual: float
    status: str = "ok"

    @property
    def probability(self) -> NDArray[np.float64]:
        """(..., N+1) probability of C = 0..N."""
        return np.asarray(np.exp(self.log_probability))

    def mean_share(self) -> NDArray[np.float64]:
        """(...) expected share of actors."""
        n = self.log_probability.shape[-1] - 1
        return np.asarray(self.probability @ (np.arange(n + 1) / n))

    def plot(self, axis: Any = None) -> Any:
        """Draw the probabilities of each number of actors; later laws are darker.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.
        """
        return plot_count_law(axis, self.probability, "number of actors")

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of the log probabilities of the number of actors, of several laws law by law."""
        n = self.log_probability.shape[-1] - 1
        dims = (*(f"law_{k}" for k in range(self.log_probability.ndim - 1)), "actors")
        return dataset({"log_probability": (dims, self.log_probability)}, {"actors": np.arange(n + 1)})

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each entry."""
        return tidy(self.to_xarray())

    def __repr__(self) -> str:
        shape = self.log_probability.shape
        found = f"mean share acting {self.mean_share():.4g}" if len(shape) == 1 else f"{shape[:-1]} laws"
        return f"CountDistribution({shape[-1] - 1} players; {found}; residual {self.residual:.2g}; {self.status})"


@dataclass(frozen=True)
class EscapeTime:
    """An expected first passage time.

    Attributes:
        log_sweeps: logarithm of the expected number of sweeps; inf when the target may never be reached.
        residual: relative difference between two independent computations of it.
    """

    log_sweeps: float
    residual: float

    @property
    def sweeps(self) -> float:
        """Expected number of sweeps; inf beyond the range of floats."""
        with np.errstate(over="ignore"):
            return float(np.exp(self.log_sweeps))

    def __float__(self) -> float:
        return self.sweeps


@dataclass(frozen=True, eq=False)
class SimulatedEscape:
    """First passage times of a simulation.

    Attributes:
        sweeps: (replicas,) time of the first passage, or the time simulated where it was not seen.
        censored: (replicas,) True where the target was not reached in the time simulated.
    """

    sweeps: NDArray[np.float64]
    censored: NDArray[np.bool_]

    @property
    def mean(self) -> float:
        """Mean number of sweeps; NaN when any replica was censored, since no plain mean is right then."""
        return float("nan") if self.censored.any() else float(self.sweeps.mean())

    @property
    def stderr(self) -> float:
        """Standard error of the mean; NaN when any replica was censored or there is only one."""
        if self.censored.any() or self.sweeps.size < 2:
            return float("nan")
        return float(self.sweeps.std(ddof=1) / np.sqrt(self.sweeps.size))

    def plot(self, axis: Any = None) -> Any:
        """Draw how many replicas have reached the target by each time.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.
        """
        return plot_reached(axis, self.sweeps, self.censored)

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of the times and of where they are censored, over the replicas."""
        found = {"sweeps": (("replica",), self.sweeps), "censored": (("replica",), self.censored)}
        return dataset(found, {"replica": np.arange(self.sweeps.size)})

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each replica."""
        return tidy(self.to_xarray())

    def __repr__(self) -> str:
        missed = f"{int(self.censored.sum())} censored"
        return (
            f"SimulatedEscape({self.sweeps.size} replicas, {missed}; mean {self.mean:.4g} ± {self.stderr:.2g} sweeps)"
        )
