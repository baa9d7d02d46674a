"""The third view: shares of n strategies in a large population.

With N -> infinity and time in sweeps, the share vector x of a process that revises one at a time follows

    x' = v(x),   v_j(x) = sum_i x_i P_ij(x) - x_j,

P being what a revising user of i does (``switching``); revising all at once it is the map x -> x + v(x). Under
``replicator`` v is the replicator equation over the payoff range, under ``moran`` with linear fitness that over the
mean fitness, under ``logit`` softmax(u / tau) - x. Best responses one at a time are a differential inclusion
(``best_replies``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, integer, invalid_argument, numbers
from neurogames.engine.choice import BestResponse
from neurogames.engine.display.simplex import plot_portrait
from neurogames.engine.display.velocities import plot_phase_line
from neurogames.engine.matrix_dynamics.matrix_dynamics import integrate_dynamics, iterate_dynamics
from neurogames.engine.matrix_dynamics.matrix_path import MatrixPath
from neurogames.engine.matrix_dynamics.reply_paths import reply_paths
from neurogames.engine.process import Process
from neurogames.engine.strategies.best_replies import linear_payoffs, replies_of, reply_rest_points
from neurogames.engine.strategies.rest_points import RestPoints, equal_payoffs, rest_points, searched
from neurogames.engine.strategies.switching import check_strategies, limit_log_switching
from neurogames.games.compositions import n_compositions
from neurogames.games.population import PopulationGame

_MOST_SUPPORTS = 16
_MOST_STARTS = 2**14


@dataclass(frozen=True, eq=False)
class StrategyMeanField:
    """The large-population limit of a process; see :func:`strategy_mean_field`.

    Attributes:
        game: the game.
        process: how players revise.
    """

    game: PopulationGame
    process: Process

    def velocity(self, share: ArrayLike) -> NDArray[np.float64]:
        """Change v(x) of the shares per sweep.

        Args:
            share: (..., n) shares.

        Returns:
            (..., n) velocities, which sum to 0.

        Raises:
            ValueError: if the shape is another.
        """
        x = numbers("share", share, f"shares of shape (..., {self.game.n_strategies})")
        if x.ndim == 0 or x.shape[-1] != self.game.n_strategies:
            raise invalid_argument("share", f"shape {x.shape}", f"shape (..., {self.game.n_strategies})")
        flat = x.reshape(-1, x.shape[-1])
        rule = np.exp(limit_log_switching(self.game, self.process, flat))
        return np.asarray(((flat[:, None, :] @ rule)[:, 0, :] - flat).reshape(x.shape))

    def path(self, start: ArrayLike, times: ArrayLike) -> MatrixPath:
        """Shares over time: integrated, or iterated where all revise at once.

        Best responses one at a time are followed exactly from one change of the best reply to the next, along a tie
        where the shares are drawn to it from both sides. Where several paths leave a tie, one that rests there is
        taken, else that of a coin tossed among those who tie, and the status says so.

        Args:
            start: (..., n) shares at time 0.
            times: (T,) increasing times >= 0, in sweeps; whole numbers where all revise at once.

        Returns:
            The path, its states being one array (T, ..., n).

        Raises:
            ValueError: if a start is outside the simplex, the times do not increase from 0 on, or best responses
                leave a tie in several ways of which none is as said, or meet payoffs not linear in the shares.
        """
        if self._jumps:
            path = reply_paths(replies_of(self.game, self.process), [start], times)
            return replace(path, labels=(self.game.labels,))
        if self.process.revision == "one":
            path = integrate_dynamics(lambda states: states, lambda x, _: self._velocity_near(x), [start], times)
            return replace(path, labels=(self.game.labels,))
        at = finite_array("times", times, ndim=1)
        if at[0] < 0 or (np.diff(at) <= 0).any() or (at % 1 != 0).any():
            raise invalid_argument("times", times, "increasing whole numbers >= 0, since all revise at once")
        last = int(at[-1])
        path = iterate_dynamics(lambda states: states, lambda x, _: self.velocity(x), [start], last, step_size=1.0)
        states = (path.states[0][at.astype(np.int64)],)
        return MatrixPath(at, states, path.off, path.status, labels=(self.game.labels,))

    def rest_points(self, grid: int = 12) -> RestPoints:
        """Compositions that do not change, with their stability.

        Where nobody invents a strategy (a rule that copies, no mutation), x rests exactly where all strategies in use
        earn the same. In a matrix game these are linear equations for each set of strategies, so that all are found.
        Otherwise Newton's method searches them from many starts; where the velocity points into the simplex (logit, or
        any mutation everywhere), the indices of all rest points sum to 1, and the status says when those found do not.
        Best responses rest at symmetric Nash equilibria, of the game that masks and mutations make; those are all found
        unless some set of strategies has a continuum of them. Among these "unstable" means that some path leaves the
        point itself, and "neutral" that no criterion decides it.

        Args:
            grid: the search starts at the compositions of so many players.

        Returns:
            The rest points.

        Raises:
            ValueError: if there are more than 2^14 starts or sets of strategies, or best responses meet payoffs that
                are not linear in the shares.

        Reference: J. Hofbauer and K. Sigmund, Evolutionary Games and Population Dynamics (1998), section 13.4 (index).
        """
        return replace(self._found(grid), labels=self.game.labels)

    def _found(self, grid: int) -> RestPoints:
        """The rest points without names."""
        n = self.game.n_strategies
        grid = integer("grid", grid, minimum=1)
        together = self.process.revision == "all"
        if isinstance(self.process.choice, BestResponse):
            return reply_rest_points(replies_of(self.game, self.process), together)
        closed_faces = self.process.choice.copies and self.process.mutation == 0.0
        if closed_faces and getattr(self.process.choice, "intensity", 1.0) == 0.0:
            return RestPoints((), False, "selection is neutral: every composition is a rest point")
        if closed_faces and self.game.matrix is not None and n <= _MOST_SUPPORTS:
            found, complete = equal_payoffs(self.game.matrix)
            status = "ok" if complete else "some set of strategies has a continuum of rest points, which is left out"
            return rest_points(self.velocity, found, together, complete, status)
        if n_compositions(grid, n) > _MOST_STARTS:
            got = f"{n_compositions(grid, n)} starts for {n} strategies"
            raise invalid_argument("grid", got, f"at most {_MOST_STARTS}, so a smaller grid")
        found = searched(self.velocity, n, grid, closed_faces)
        inward = not closed_faces and bool((self.velocity(np.eye(n)) + 2 * np.eye(n) > 0).all())
        status = "found by search: others may be missing"
        return rest_points(self.velocity, found, together, False, status, inward=inward)

    def plot(self, axis: Any = None) -> Any:
        """Draw the flow with its rest points: on the triangle for three strategies, along a line for two.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.

        Raises:
            ValueError: for more than three strategies, of which ``path(...).plot()`` draws the shares over time.
        """
        if self.game.n_strategies > 3:
            expected = "two or three strategies; path(...).plot() draws any number over time"
            raise invalid_argument("plot", f"{self.game.n_strategies} strategies", expected)
        replying = isinstance(self.process.choice, BestResponse)
        points = () if replying and linear_payoffs(self.game) is None else self.rest_points().points
        draw = plot_portrait if self.game.n_strategies == 3 else plot_phase_line
        return draw(axis, self.velocity, points, self.game.labels)

    @property
    def _jumps(self) -> bool:
        """Whether the velocity is no function that can be integrated."""
        return isinstance(self.process.choice, BestResponse) and self.process.revision == "one"

    def _velocity_near(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Velocity at the nearest composition: steps of an integrator may leave the simplex by its error."""
        inside = np.maximum(x, 0.0)
        return self.velocity(inside / inside.sum(axis=-1, keepdims=True))


def strategy_mean_field(game: PopulationGame, process: Process) -> StrategyMeanField:
    """Large-population limit of a process with n strategies.

    Args:
        game: the game.
        process: the process, with constant parameters.

    Returns:
        The limit, to be asked for its velocity, paths and rest points.

    Raises:
        ValueError: if the process has schedules or does not fit the game.

    >>> from neurogames.engine import replicator
    >>> coordination = PopulationGame.from_matrix([[2, 0], [0, 1]], 100)
    >>> found = strategy_mean_field(coordination, Process(replicator())).rest_points()
    >>> [(point.share.round(4).tolist(), point.kind) for point in found.points], found.complete
    ([([0.0, 1.0], 'stable'), ([0.3333, 0.6667], 'unstable'), ([1.0, 0.0], 'stable')], True)

    Reference: W. Sandholm, Population Games and Evolutionary Dynamics (2010), chapters 4, 5 and 10.
    """
    check_strategies(game, process)
    return StrategyMeanField(game, process)
