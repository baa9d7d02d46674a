"""Alpha-rank: how often a population of learners that almost always agrees plays what.

Populations of m copies play one profile each. A mutant appears in one of them and takes it over with the probability
rho; the chain of take-overs has one stationary law, which ranks the profiles. With one population per player a mutant
of player i with the action t takes over a population with the action s, the others playing s_-i, with

    rho = (1 - exp(-x)) / (1 - exp(-m x)),    x = alpha (u_i(t, s_-i) - u_i(s, s_-i)),    1/m at x = 0.

With one population playing a symmetric two-player game with the matrix A, x = alpha (A[t, s] - A[s, t]) if players look
only at the pair of them (fitness "pair"); if they look at their average over the whole population (fitness "mixed"),
rho = 1 / (1 + sum_(l=1)^(m-1) prod_(k=1)^l exp(-alpha (f_t(k) - f_s(k)))), k counting mutants.
All is done in logarithms, so that no take-over is too unlikely: large alpha gives the limit of alpha-rank's sweep.

Reference: S. Omidshafiei et al., alpha-Rank: multi-agent evaluation by evolution, Scientific Reports 9 (2019),
equations 10 to 13; A. Traulsen, M. Nowak, J. Pacheco, Stochastic dynamics of invasion and fixation, Physical Review E
74 (2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import integer, invalid_argument, number, one_of
from neurogames.engine.display.tables import pure_profiles, tidy
from neurogames.games.normal_form import NormalFormGame, check_game

_MOST_EXPONENT = 1e300

Populations = Literal["each", "one"]
Fitness = Literal["pair", "mixed"]


@dataclass(frozen=True, eq=False)
class AlphaRank:
    """Stationary law of take-overs.

    Attributes:
        log_stationary: logarithm of the share of time spent at each profile: (a_1, ..., a_n), or (a,) for one
            population.
        residual: greatest change of a probability in one step of the chain.
    """

    log_stationary: NDArray[np.float64]
    residual: float

    @property
    def stationary(self) -> NDArray[np.float64]:
        """Share of time spent at each profile."""
        return np.asarray(np.exp(self.log_stationary))

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of the logarithms by the actions of each player, counted from 1."""
        return pure_profiles("log_stationary", self.log_stationary)

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each profile."""
        return tidy(self.to_xarray())


def alpha_rank(
    game: NormalFormGame,
    alpha: float,
    *,
    population_size: int = 50,
    populations: Populations = "each",
    fitness: Fitness = "pair",
) -> AlphaRank:
    """Rank the profiles of a game by evolution.

    Args:
        game: the game.
        alpha: intensity of selection > 0, in one over payoff units.
        population_size: m >= 2.
        populations: "each" for a population for every player, "one" for one population and a symmetric two-player game.
        fitness: what players of one population look at: "pair" or "mixed".

    Returns:
        The stationary law.

    Raises:
        ValueError: if an argument is out of range, or one population is asked for and the game is not symmetric.

    >>> paper = NormalFormGame.symmetric([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    >>> alpha_rank(paper, 1.0, populations="one").stationary.round(6)
    array([0.333333, 0.333333, 0.333333])
    """
    check_game(game)
    alpha = number("alpha", alpha, "an intensity > 0", lambda value: value > 0)
    m = integer("population_size", population_size, minimum=2)
    if not np.isfinite(alpha * m) or game.payoff_range > _MOST_EXPONENT / (alpha * m):
        most = f"at most {_MOST_EXPONENT:g} when multiplied by the population size and the payoff range"
        raise invalid_argument("alpha", alpha, most)
    for name, value, kinds in (("populations", populations, Populations), ("fitness", fitness, Fitness)):
        one_of(name, value, get_args(kinds))
    if populations == "one":
        log_rate, shape = _one_population(game, alpha, m, fitness)
    else:
        log_rate, shape = _log_moves(game, alpha, m), game.n_actions
    log_law = _log_stationary(log_rate)
    rate = np.exp(log_rate - np.log(max(len(log_rate) - 1, 1)))
    law = np.exp(log_law)
    residual = float(np.abs(law @ rate - law * rate.sum(axis=1)).max())
    return AlphaRank(log_law.reshape(shape), residual)


def log_fixation(advantage: NDArray[np.float64], m: int) -> NDArray[np.float64]:
    """Logarithm of (1 - exp(-x)) / (1 - exp(-m x)), and of 1/m at x = 0.

    Args:
        advantage: x, any shape.
        m: population size.

    Returns:
        Logarithms of that shape.

    >>> np.exp(log_fixation(np.array([0.0, 50.0, -0.1]), 10)).round(4)
    array([0.1   , 1.    , 0.0612])
    """
    size = np.abs(advantage)
    with np.errstate(divide="ignore", invalid="ignore"):
        base = np.log(-np.expm1(-size)) - np.log(-np.expm1(-m * size))
    return np.asarray(np.where(size > 0, base, -np.log(m)) + (m - 1) * np.minimum(advantage, 0.0))


def _log_moves(game: NormalFormGame, alpha: float, m: int) -> NDArray[np.float64]:
    """(S, S) log rates between profiles that differ in one player."""
    shape = game.n_actions
    size = game.payoffs[0].size
    number_of = np.arange(size).reshape(shape)
    log_rate = np.full((size, size), -np.inf)
    for i, tensor in enumerate(game.compared_payoffs):
        u = np.moveaxis(tensor, i, 0).reshape(shape[i], -1)
        where = np.moveaxis(number_of, i, 0).reshape(shape[i], -1)
        for s in range(shape[i]):
            for t in range(shape[i]):
                if s != t:
                    log_rate[where[s], where[t]] = log_fixation(alpha * (u[t] - u[s]), m)
    return log_rate


def _one_population(
    game: NormalFormGame, alpha: float, m: int, fitness: Fitness
) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """(a, a) log rates between the actions of a symmetric game."""
    if game.n_players != 2 or game.payoffs[0].shape != game.payoffs[1].T.shape:
        raise invalid_argument(
            "game", f"a game of shape {game.n_actions}", "a symmetric game of 2 players for one population"
        )
    a = game.payoffs[0]
    if not np.array_equal(a, game.payoffs[1].T):
        raise invalid_argument("game", "payoffs that differ between the players", "a symmetric game for one population")
    if fitness == "pair":
        log_rate = log_fixation(alpha * (a.T - a), m)
    else:
        k = np.arange(1, m)[:, None, None]
        own = np.diag(a)
        mutant = ((k - 1) * own[None, None, :] + (m - k) * a.T) / (m - 1)
        resident = ((m - k - 1) * own[None, :, None] + k * a) / (m - 1)
        steps = np.cumsum(-alpha * (mutant - resident), axis=0)
        log_rate = -np.logaddexp(0.0, np.logaddexp.reduce(steps, axis=0))
    np.fill_diagonal(log_rate, -np.inf)
    return log_rate, (len(a),)


def _log_stationary(log_rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stationary law of a chain by elimination of states (Grassmann, Taksar, Heyman 1985), in logarithms."""
    rate = log_rate.copy()
    size = len(rate)
    for k in range(size - 1, 0, -1):
        rate[:k, k] -= np.logaddexp.reduce(rate[k, :k])
        rate[:k, :k] = np.logaddexp(rate[:k, :k], rate[:k, k, None] + rate[None, k, :k])
    law = np.zeros(size)
    for k in range(1, size):
        law[k] = np.logaddexp.reduce(law[:k] + rate[:k, k])
    return np.asarray(law - np.logaddexp.reduce(law))
