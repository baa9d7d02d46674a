"""The third view: shares in two large populations.

With N, M -> infinity and time in sweeps, the shares follow x' = v(x, y), y' = w(x, y), each as in one population:
v_j = sum_i x_i P_ij - x_j with the rule P of the first population, which depends on y by the payoffs. Revising all at
once it is the map (x, y) -> (x + v, y + w). Under ``replicator`` it is the two-population replicator equation, each
population's time scaled by its payoff range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, integer, invalid_argument
from neurogames.engine.choice import BestResponse
from neurogames.engine.display.velocities import plot_square
from neurogames.engine.matrix_dynamics.matrix_dynamics import integrate_dynamics, iterate_dynamics
from neurogames.engine.matrix_dynamics.matrix_path import MatrixPath
from neurogames.engine.matrix_dynamics.reply_paths import reply_paths
from neurogames.engine.matrix_dynamics.tied_replies import LinearReplies
from neurogames.engine.process import Process
from neurogames.engine.strategies.best_replies import pull, reply_rest_points
from neurogames.engine.strategies.rest_points import RestPoints
from neurogames.engine.two_populations.rest_points import classified_pair, equal_payoffs_pair, searched_pair
from neurogames.engine.two_populations.results import full_names
from neurogames.engine.two_populations.switching import Processes, check_two_populations, limit_log_switching_pair
from neurogames.games.compositions import n_compositions
from neurogames.games.two_populations import TwoPopulationGame

Array = NDArray[np.float64]

_MOST_STARTS = 2**10
_MOST_SUPPORTS = 2**14


@dataclass(frozen=True, eq=False)
class TwoPopulationMeanField:
    """The large-population limit of a process in two populations; see :func:`two_population_mean_field`.

    Attributes:
        game: the game.
        processes: how players revise in each population.
    """

    game: TwoPopulationGame
    processes: tuple[Process, Process]

    def velocity(self, first_share: ArrayLike, second_share: ArrayLike) -> tuple[Array, Array]:
        """Changes of the shares per sweep.

        Args:
            first_share: (..., n) shares x.
            second_share: (..., m) shares y.

        Returns:
            (..., n) and (..., m) velocities, which sum to 0.

        Raises:
            ValueError: if the shapes are others.
        """
        self.game.payoffs(first_share, second_share)
        shares = tuple(np.asarray(share, dtype=np.float64) for share in (first_share, second_share))
        flat = tuple(share.reshape(-1, share.shape[-1]) for share in shares)
        rules = limit_log_switching_pair(self.game, self.processes, (flat[0], flat[1]))
        moves = [(x[:, None, :] @ np.exp(rule))[:, 0, :] - x for x, rule in zip(flat, rules, strict=True)]
        return moves[0].reshape(shares[0].shape), moves[1].reshape(shares[1].shape)

    def path(self, start: Sequence[ArrayLike], times: ArrayLike) -> MatrixPath:
        """Shares over time: integrated, or iterated where all revise at once.

        Best responses one at a time are followed exactly from one change of a best reply to the next, as in one
        population.

        Args:
            start: (n,) and (m,) shares at time 0.
            times: (T,) increasing times >= 0, in sweeps; whole numbers where all revise at once.

        Returns:
            The path, its states being two arrays (T, n) and (T, m).

        Raises:
            ValueError: if a start is outside the simplex, the times do not increase from 0 on, or best responses
                leave a tie in several ways, or are the rule of one population only.
        """
        if not isinstance(start, tuple | list) or len(start) != 2:
            raise invalid_argument("start", start, "shares in each of the two populations")
        if self.processes[0].revision == "one" and any(self._replying):
            path = reply_paths(self._replies(), start, times)
            return replace(path, players=self.game.players, labels=self.game.labels)
        if self.processes[0].revision == "one":
            path = integrate_dynamics(self._moves_near, lambda _, move: move, start, times)
            return replace(path, players=self.game.players, labels=self.game.labels)
        at = finite_array("times", times, ndim=1)
        if at[0] < 0 or (np.diff(at) <= 0).any() or (at % 1 != 0).any():
            raise invalid_argument("times", times, "increasing whole numbers >= 0, since all revise at once")
        path = iterate_dynamics(self._moves_near, lambda _, move: move, start, int(at[-1]), step_size=1.0)
        states = tuple(state[at.astype(np.int64)] for state in path.states)
        return MatrixPath(at, states, path.off, path.status, self.game.players, self.game.labels)

    def rest_points(self, grid: int = 4) -> RestPoints:
        """Pairs of shares that do not change, with their stability; ``share`` holds those of both, (n + m,).

        Where nobody invents a strategy, they are the pairs at which all strategies in use earn the same in each
        population: linear equations for each pair of sets of strategies, so that all are found. Otherwise Newton's
        method searches from many starts.

        Args:
            grid: the search starts at the compositions of so many players in each population.

        Returns:
            The rest points.

        Raises:
            ValueError: if there are too many starts or sets of strategies, or one population only replies best.
        """
        return replace(self._found(grid), labels=full_names(self.game))

    def _found(self, grid: int) -> RestPoints:
        """The rest points without names."""
        sizes = self.game.n_strategies
        grid = integer("grid", grid, minimum=1)
        if any(self._replying):
            return reply_rest_points(self._replies(), self.processes[0].revision == "all")
        copying = [each.choice.copies and each.mutation == 0.0 for each in self.processes]
        if copying[0] != copying[1]:
            raise invalid_argument("process", "one population that only copies", "rest points of both or of neither")
        together = self.processes[0].revision == "all"
        if copying[0]:
            if any(getattr(each.choice, "intensity", 1.0) == 0.0 for each in self.processes):
                return RestPoints((), False, "selection is neutral: all compositions of a population are alike")
            if 2 ** sum(sizes) > _MOST_SUPPORTS:
                raise invalid_argument("game", f"{sum(sizes)} strategies", "at most 14 in both populations")
            found, complete = equal_payoffs_pair(self.game.first, self.game.second)
            status = "ok" if complete else "some sets of strategies have a continuum of rest points, which is left out"
            return classified_pair(self._velocity, found, sizes, together, complete, status)
        starts = n_compositions(grid, sizes[0]) * n_compositions(grid, sizes[1])
        if starts > _MOST_STARTS:
            raise invalid_argument("grid", f"{starts} starts", f"at most {_MOST_STARTS}, so a smaller grid")
        found = searched_pair(self._velocity, sizes, grid)
        status = "found by search: others may be missing"
        return classified_pair(self._velocity, found, sizes, together, False, status)

    def plot(self, axis: Any = None) -> Any:
        """Draw the flow of the first strategies' shares with the rest points, for two strategies in each population.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.

        Raises:
            ValueError: for more strategies, of which ``path(...).plot()`` draws the shares over time.
        """
        if self.game.n_strategies != (2, 2):
            got = f"{self.game.n_strategies} strategies"
            raise invalid_argument("plot", got, "two in each population; path(...).plot() draws any number over time")
        names = tuple(f"{self.game.players[p]}: {self.game.labels[p][0]}" for p in range(2))
        return plot_square(axis, self.velocity, self.rest_points().points, (names[0], names[1]))

    @property
    def _replying(self) -> tuple[bool, ...]:
        """Which population replies best."""
        return tuple(isinstance(each.choice, BestResponse) for each in self.processes)

    def _replies(self) -> LinearReplies:
        """Best replies in both populations."""
        if not all(self._replying):
            raise invalid_argument("process", "best_response() in one population", "best responses in both or in none")
        sizes = self.game.n_strategies
        payoffs = np.zeros((sum(sizes), sum(sizes)))
        payoffs[: sizes[0], sizes[0] :], payoffs[sizes[0] :, : sizes[0]] = self.game.first, self.game.second.T
        rate, weight = np.array([pull(each, n) for each, n in zip(self.processes, sizes, strict=True)]).T
        return LinearReplies(payoffs, sizes, (1, 0), rate, weight)

    def _velocity(self, z: Array) -> Array:
        """Velocities (..., n + m) at shares of both populations one after the other."""
        n = self.game.n_strategies[0]
        return np.concatenate(self.velocity(z[..., :n], z[..., n:]), axis=-1)

    def _moves_near(self, states: tuple[Array, ...]) -> tuple[Array, ...]:
        """Velocities at the nearest compositions: steps of an integrator may leave the simplex by its error."""
        inside = [np.maximum(state, 0.0) for state in states]
        return self.velocity(*(state / state.sum(axis=-1, keepdims=True) for state in inside))


def two_population_mean_field(game: TwoPopulationGame, process: Processes) -> TwoPopulationMeanField:
    """Large-population limit of a process in two populations.

    Args:
        game: the game.
        process: the process with constant parameters, or one for each population.

    Returns:
        The limit, to be asked for its velocity, paths and rest points.

    Raises:
        ValueError: if the process has schedules or does not fit the game.

    >>> from neurogames.engine import replicator
    >>> battle = TwoPopulationGame([[2, 0], [0, 1]], [[1, 0], [0, 2]], (20, 20))
    >>> found = two_population_mean_field(battle, Process(replicator())).rest_points()
    >>> [point.kind for point in found], found.complete
    (['stable', 'unstable', 'saddle', 'unstable', 'stable'], True)

    Reference: J. Hofbauer and K. Sigmund, Evolutionary Games and Population Dynamics (1998), chapter 10.
    """
    return TwoPopulationMeanField(game, check_two_populations(game, process))
