"""Annealing: a process whose parameters are schedules, simulated beside its exact law.

Cooling a logit process, or raising keep_prob from a low value under "blind", first lets a population leave a bad
equilibrium and then holds it in a better one. Whether it worked is a question about a law, not about a few runs; so the
runs stand beside the exact law of the count at the same times, and say how well they agree with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurogames._arguments import integer, invalid_argument
from neurogames.engine.display.tables import frame
from neurogames.engine.population.chain import population_chain
from neurogames.engine.population.simulate import simulate
from neurogames.engine.process import Process, check_played
from neurogames.engine.solution import CountDistribution, Trajectory
from neurogames.games.base import TwoActionGame


@dataclass(frozen=True, eq=False)
class Annealed:
    """A population along a schedule.

    Attributes:
        path: the simulated replicas.
        law: the exact law at the same times, log_probability (T, N+1); its residual certifies that it sums to 1.
        deviation: the greatest distance between simulated and exact mean count over all times, in standard errors of
            the exact law; 0 where the law is a single count and all replicas are there.
    """

    path: Trajectory
    law: CountDistribution
    deviation: float

    def plot(self, axis: Any = None) -> Any:
        """Draw the mean share of actors over time with the band of most replicas, and the exact mean beside it.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.
        """
        axis = self.path.plot(axis)
        axis.plot(self.path.time, self.law.mean_share(), color="black", linestyle=":", label="exact mean")
        axis.legend(frameon=False, fontsize="small")
        return axis

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of counts and shares over replica and time, and of the exact law over time."""
        law = (("time", "actors"), self.law.log_probability)
        return self.path.to_xarray().assign(log_probability=law)

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with the simulated and the exact mean share at each time."""
        simulated = self.path.share.mean(axis=0)
        return frame({"time": self.path.time, "simulated": simulated, "exact": self.law.mean_share()})

    def __repr__(self) -> str:
        ends = f"mean share acting {self.path.share[:, -1].mean():.3g}, exact {self.law.mean_share()[-1]:.3g}"
        return f"Annealed({self.path.time[-1]:g} sweeps: {ends}; deviation {self.deviation:.2g} standard errors)"

    def success(self, least: int, most: int | None = None) -> float:
        """Exact probability to end with at least ``least`` actors, and at most ``most``.

        Args:
            least: smallest count that is a success.
            most: greatest one; N when left out.

        Returns:
            The probability.

        Raises:
            ValueError: if a count is out of range.
        """
        n = self.path.n_players
        first = integer("least", least, minimum=0, maximum=n)
        last = n if most is None else integer("most", most, minimum=first, maximum=n)
        return float(np.exp(np.logaddexp.reduce(self.law.log_probability[-1, first : last + 1])))


def anneal(
    game: TwoActionGame,
    process: Process,
    *,
    start: int,
    sweeps: int,
    replicas: int = 1,
    rng: np.random.Generator,
    every: int = 1,
) -> Annealed:
    """Run a process with schedules, and follow its exact law.

    Args:
        game: the game.
        process: the process; sweep s = 0, 1, ... is played at progress s / sweeps. Without any schedule it is the
            control to which one with schedules is compared.
        start: number of actors at time 0.
        sweeps: how long the schedules take; a multiple of ``every``, so that the end is recorded.
        replicas: number of independent populations.
        rng: source of the replicas' seeds.
        every: sweeps between two records.

    Returns:
        The simulated paths beside the law. The law costs about N^2 operations for each sweep (N^3 and more when all
        revise at once).

    Raises:
        ValueError: if a count, a start or a schedule is out of range.

    >>> from neurogames import PublicGoodsGame, linear, logit
    >>> game, rng = PublicGoodsGame(20, 0.4, 1.0), np.random.default_rng(0)
    >>> rising, constant = (Process(logit(0.08), "one", keep, "blind") for keep in (linear(0.5, 1.0), 1.0))
    >>> [round(anneal(game, each, start=0, sweeps=50, rng=rng).success(14), 2) for each in (rising, constant)]
    [1.0, 0.06]
    """
    check_played(game, process)
    start = integer("start", start, minimum=0, maximum=game.n_players)
    sweeps, every = integer("sweeps", sweeps, minimum=1), integer("every", every, minimum=1)
    if sweeps % every:
        raise invalid_argument("every", every, f"a divisor of sweeps, {sweeps}")
    path = simulate(game, process, start=start, sweeps=sweeps, replicas=replicas, rng=rng, every=every)
    later = population_chain(game, process).transient(start, path.time[1:].astype(np.int64))
    first = np.full((1, game.n_players + 1), -np.inf)
    first[0, start] = 0.0
    law = CountDistribution(np.concatenate([first, later.log_probability]), later.residual, later.status)
    counts = np.arange(game.n_players + 1)
    mean = law.probability @ counts
    spread = np.sqrt(((counts - mean[:, None]) ** 2 * law.probability).sum(axis=1) / path.count.shape[0])
    off = np.abs(path.count.mean(axis=0) - mean)
    # Rounding alone must not look like a disagreement where the law is certain.
    deviation = np.where(off < 1e-9 * game.n_players, 0.0, off / np.maximum(spread, 1e-300))
    return Annealed(path, law, float(deviation.max()))
