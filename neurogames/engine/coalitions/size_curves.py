"""A curve for each player: what it adds to a coalition, by how many others are there, from few coalitions.

``marginals_by_size`` has the mean curve f(k) and raw means for each player and size, most of them from one coalition or
none. Here the curve of player i is

    f_i(k) = f(k) + s(k) B(k) m_i,    B(k) = Legendre polynomials 0..3 in k,

with s(k) the spread of all marginals at size k, and m_i normal with mean 0 and a covariance T that is estimated from
all players together, like the noise, by expectation maximisation: curves that the data do not tell apart are drawn to
the common one. What is left, the marginal of one player at one size as the OTHERS in the coalition vary, is the
``context``: no error of measurement, since the worth of a coalition is exact.

Reference: N. Laird and J. Ware, Random-effects models for longitudinal data, Biometrics 38 (1982).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from neurogames._arguments import fits_in_memory, integer
from neurogames.engine.coalitions.marginals_by_size import added_along
from neurogames.engine.coalitions.transforms import Vector, evaluate
from neurogames.engine.coalitions.valuation import required
from neurogames.games.coalition import CoalitionGame, coalition_game

_DEGREES, _ITERATIONS, _SMOOTH = 4, 100, 5


@dataclass(frozen=True, eq=False)
class SizeCurves:
    """What each player adds, by the number k = 0..n-1 of others.

    Attributes:
        gain: (n,) f(k), the mean over players.
        stderr: (n,) its standard errors, between pairs of orders.
        curves: (n, n) f_i(k): players, sizes.
        curves_stderr: (n, n) posterior standard deviations of the differences f_i(k) - f(k).
        values: (n,) mean of each player's marginals over all sizes: its Shapley value.
        scores: (n, n) the differences in units of the spread of all marginals at a size.
        marginals: (m, n) all marginals at each size, sorted.
        heterogeneity: share of the variance that f(k) leaves which is due to who the player is; the rest is context.
        budget: how many coalitions the game was asked for.
    """

    gain: Vector
    stderr: Vector
    curves: Vector
    curves_stderr: Vector
    values: Vector
    scores: Vector
    marginals: Vector
    heterogeneity: float
    budget: int

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return len(self.gain)


def size_curves(game: CoalitionGame, budget: int, *, rng: np.random.Generator) -> SizeCurves:
    """Estimate a curve for each player.

    Players join in random orders, each followed by its reverse.

    Args:
        game: the game, n >= 2.
        budget: most coalitions to ask for, at least 4 n - 2.
        rng: source of the draws.

    Returns:
        The curves.

    Raises:
        ValueError: if the budget does not pay for two pairs of orders.

    In an additive game curves are flat, and only who it is counts:

    >>> from neurogames.games.coalition import FunctionCoalitionGame
    >>> game = FunctionCoalitionGame(4, lambda members: members @ np.array([1.0, 2.0, 3.0, 4.0]))
    >>> found = size_curves(game, 200, rng=np.random.default_rng(0))
    >>> found.curves[:, 1].round(2), round(found.heterogeneity, 3)
    (array([1., 2., 3., 4.]), 1.0)
    """
    game = coalition_game(game)
    n = integer("game.n_players", game.n_players, minimum=2)
    required(rng)
    cost = 2 * (n - 1)
    integer("budget", budget, minimum=2 + 2 * cost)
    pairs = (budget - 2) // cost
    fits_in_memory("budget", budget, 2 * n * pairs)
    everybody = np.ones((1, n), dtype=np.bool_)
    ends = evaluate(game, np.concatenate([~everybody, everybody]))
    orders = rng.permuted(np.tile(np.arange(n), (pairs, 1)), axis=1)
    both = np.concatenate([orders, orders[:, ::-1]])
    added = added_along(game, both, ends)
    by_pair = 0.5 * (added[:pairs] + added[pairs:])
    gain, values = added.mean(axis=0), np.zeros(n)
    np.add.at(values, both, added / len(both))
    spread = _spread(added)
    scores, errors, between, noise = _player_scores(both, (added - gain) / spread)
    return SizeCurves(
        gain=gain,
        stderr=by_pair.std(axis=0, ddof=1) / np.sqrt(pairs),
        curves=gain + spread * scores,
        curves_stderr=spread * errors,
        values=values,
        scores=scores,
        marginals=np.sort(added, axis=0),
        heterogeneity=between / (between + noise),
        budget=2 + pairs * cost,
    )


def _spread(added: Vector) -> Vector:
    """Standard deviation of all marginals by size (n,), a geometric mean over neighbouring sizes."""
    spread = added.std(axis=0, ddof=1)
    floor = max(float(spread.max()), float(np.abs(added).max()), np.finfo(float).tiny) * 1e-9
    return np.asarray(np.exp(uniform_filter1d(np.log(np.maximum(spread, floor)), _SMOOTH, mode="nearest")))


def _player_scores(orders: NDArray[np.intp], scaled: Vector) -> tuple[Vector, Vector, float, float]:
    """Curves (n, n) of the scaled differences, their posterior errors, and the variance between and within players."""
    n = orders.shape[1]
    degrees = min(_DEGREES, n)
    place = np.linspace(-1.0, 1.0, n)
    basis = np.polynomial.legendre.legvander(place, degrees - 1) * np.sqrt(2.0 * np.arange(degrees) + 1.0)
    count, total = np.zeros((n, n)), np.zeros((n, n))
    cells = (orders, np.broadcast_to(np.arange(n), orders.shape))
    np.add.at(count, cells, 1.0)
    np.add.at(total, cells, scaled)
    products = np.einsum("ik,kp,kq->ipq", count, basis, basis)
    targets = total @ basis
    squares = float(np.square(scaled).sum())
    prior, noise = np.eye(degrees), 1.0
    least = np.finfo(float).eps * max(squares, 1.0)
    for _ in range(_ITERATIONS):
        posterior = np.linalg.inv(products / noise + np.linalg.inv(prior))
        means = np.einsum("ipq,iq->ip", posterior, targets) / noise
        prior = (np.einsum("ip,iq->pq", means, means) + posterior.sum(axis=0)) / n + 1e-9 * np.eye(degrees)
        rest = squares - 2.0 * float((means * targets).sum())
        rest += float(np.einsum("ip,ipq,iq->", means, products, means) + np.einsum("ipq,iqp->", products, posterior))
        noise = max(rest, least) / scaled.size
    errors = np.sqrt(np.einsum("kp,ipq,kq->ik", basis, posterior, basis))
    return means @ basis.T, errors, float(np.einsum("kp,pq,kq->k", basis, prior, basis).mean()), noise
