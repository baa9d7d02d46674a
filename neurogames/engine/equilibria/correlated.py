"""Correlated equilibria: distributions over pure profiles from which nobody gains by disobeying, by linear programs.

A distribution q over profiles is a correlated equilibrium iff for each player i and each pair of actions a, b

    sum over s with s_i = a of q(s) (u_i(b, s_-i) - u_i(a, s_-i)) <= 0,

a coarse one iff the same holds summed over a: nobody gains by settling on b before hearing the advice. Both sets are
polytopes, so any linear objective w is maximised by one sparse program. Its prices y >= 0 of the rows r above prove
how good the answer is: no equilibrium is worth more than max_s (w(s) - sum_r y_r row_r(s)).

The program is solved by HiGHS, rows scaled one by one; where its answer is not good enough in the game's own terms,
again in integers (``exact_program``), as far as the program is small.

Reference: R. Aumann, Subjectivity and correlation in randomized strategies, Journal of Mathematical Economics 1 (1974);
H. Moulin, J.-P. Vial, Strategically zero-sum games, International Journal of Game Theory 7 (1978).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array

from neurogames._arguments import finite_array, invalid_argument
from neurogames.engine.display.tables import pure_profiles, tidy
from neurogames.engine.equilibria.exact_program import maximise_exactly
from neurogames.engine.solution import ROUNDING, certified
from neurogames.games.exact import common_integers, comparable, rational
from neurogames.games.normal_form import NormalFormGame, check_game

_ROUNDING = 1e-9
_DUST = 1e-12
_MOST_EXACT_CELLS, _MOST_EXACT_PIVOTS = 40_000, 2_000


@dataclass(frozen=True, eq=False)
class CorrelatedEquilibrium:
    """A correlated equilibrium that maximises an objective.

    Attributes:
        distribution: (a_1, ..., a_n) probability of each pure profile.
        payoffs: (n,) expected payoffs.
        value: expected objective.
        regret: the most a player could gain by a rule of disobeying (coarse: by a fixed action), in payoff units.
        gap: by how much a better equilibrium could beat the value at most, proved by the prices of the program; 0 where
            the program was solved in integers.
        status: "ok", or that a deviation gains more than 1e-9 of its stake, that the gap is above 1e-9 of what could be
            won at all, or what the solver of the program says.
    """

    distribution: NDArray[np.float64]
    payoffs: NDArray[np.float64]
    value: float
    regret: float
    gap: float
    status: str

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of the probabilities by the actions of each player, counted from 1."""
        return pure_profiles("probability", self.distribution)

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each pure profile."""
        return tidy(self.to_xarray())


class _Answer(NamedTuple):
    """A distribution with its certificates: regret, share of a stake gained, gap and its share."""

    distribution: NDArray[np.float64]
    regret: float
    share: float
    gap: float
    gap_share: float

    @property
    def worst(self) -> float:
        """The greater share."""
        return max(self.share, self.gap_share)


def correlated_equilibrium(
    game: NormalFormGame, objective: Literal["welfare"] | ArrayLike = "welfare", *, coarse: bool = False
) -> CorrelatedEquilibrium:
    """Find the correlated equilibrium that is best for an objective.

    Args:
        game: the game.
        objective: "welfare" for the sum of the payoffs, or an array (a_1, ..., a_n) of what each profile is worth.
        coarse: True for coarse correlated equilibria.

    Returns:
        The equilibrium; a distribution of NaN if the program was not solved.

    Raises:
        ValueError: if the objective is neither.

    >>> chicken = NormalFormGame.symmetric([[6.0, 2.0], [7.0, 0.0]])
    >>> best = correlated_equilibrium(chicken)
    >>> best.distribution.round(6), best.payoffs.round(6)
    (array([[0.5 , 0.25],
           [0.25, 0.  ]]), array([5.25, 5.25]))
    """
    check_game(game)
    if isinstance(objective, str):
        if objective != "welfare":
            raise invalid_argument("objective", objective, "'welfare', or an array of what each profile is worth")
        worth = np.sum(game.payoffs, axis=0)
        wanted = np.sum(game.compared_payoffs, axis=0)
    else:
        worth = finite_array("objective", objective, ndim=game.n_players)
        if worth.shape != game.n_actions:
            raise invalid_argument("objective", f"shape {worth.shape}", f"the shape of the payoffs, {game.n_actions}")
        wanted = comparable(worth)
    rows = _coarse_rows(game.compared_payoffs) if coarse else _swap_rows(game.compared_payoffs)
    answers = [_judged(game, wanted, rows, *found, coarse) for found in _highs(wanted, rows)]
    best = min(answers, key=lambda answer: answer.worst, default=None)
    if best is None or not best.worst <= ROUNDING:
        exact = _exactly(wanted, rows)
        if exact is not None:
            best = _judged(game, wanted, rows, *exact, coarse)._replace(gap=0.0, gap_share=0.0)
    if best is None:
        empty = np.full(game.n_players, np.nan)
        return CorrelatedEquilibrium(
            np.full(worth.shape, np.nan), empty, np.nan, np.nan, np.nan, "the linear program was not solved"
        )
    q = best.distribution
    payoffs = np.array([_mean(q, tensor) for tensor in game.payoffs])
    status = certified(best.share)
    if best.share <= ROUNDING:
        status = certified(best.gap_share, what="the gap is a share of what could be won of")
    return CorrelatedEquilibrium(q, payoffs, _mean(q, worth), best.regret, best.gap, status)


def _mean(q: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Expected value, the level taken off first so that it costs no digits."""
    level = values.flat[q.argmax()]
    return float(level + (q * (values - level)).sum())


def _highs(worth: NDArray[np.float64], rows: csr_array) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Distributions and prices of the rows by HiGHS, as they come and without their dust."""
    # The stubs of linprog do not know that it takes sparse matrices.
    solve: Any = linprog
    size = np.asarray(abs(rows).max(axis=1).toarray(), dtype=np.float64).ravel()
    size = np.where(size > 0, size, 1.0)
    unit = float(np.ptp(worth)) or 1.0
    answer = solve(
        -(worth.ravel() - worth.max()) / unit,
        A_ub=csr_array(rows.multiply(1.0 / size[:, None])),
        b_ub=np.zeros(rows.shape[0]),
        A_eq=np.ones((1, worth.size)),
        b_eq=[1.0],
        bounds=(0, None),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if answer.status != 0:
        return []
    prices = np.maximum(-answer.ineqlin.marginals, 0.0) * unit / size
    found = np.maximum(answer.x, 0.0)
    clean = np.where(found < _DUST, 0.0, found)
    return [(q / q.sum(), prices) for q in (found, clean)]


def _exactly(worth: NDArray[np.float64], rows: csr_array) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Distribution and prices of the rows in integers; None where that takes too long."""
    if (rows.shape[0] + 1) * worth.size > _MOST_EXACT_CELLS:
        return None
    value, unit = common_integers(map(rational, worth.ravel().tolist()))
    lift = 1 - min(value)  # all profiles are worth something, so that the probabilities add up to 1
    matrix, units = [], []
    for row in rows.toarray().tolist():
        whole, part = common_integers(map(rational, row))
        matrix.append(whole)
        units.append(part)
    right = [1] + [0] * len(matrix)
    found = maximise_exactly([[1] * worth.size, *matrix], right, [each + lift for each in value], _MOST_EXACT_PIVOTS)
    if found is None:
        return None
    q = np.array([float(part) for part in found.solution])
    prices = np.array([float(price * part / unit) for price, part in zip(found.prices[1:], units, strict=True)])
    return q / q.sum(), prices


def _judged(
    game: NormalFormGame,
    worth: NDArray[np.float64],
    rows: csr_array,
    q: NDArray[np.float64],
    prices: NDArray[np.float64],
    coarse: bool,
) -> _Answer:
    """An answer with its certificates."""
    law = q.reshape(worth.shape)
    regret, share = _regret(game, law, coarse)
    level = worth.flat[q.argmax()]
    ahead = worth.ravel() - level
    value = float(ahead @ q)
    # No equilibrium is worth more than the best profile, whatever the prices say.
    most = float(ahead.max()) - value
    gap = max(0.0, min(most, float((ahead - value - rows.T @ prices).max())))
    stake = max(most, float(np.abs(ahead - value) @ q))
    return _Answer(law, regret, share, gap, gap / stake if stake > 0 else 0.0)


def correlated_regret(game: NormalFormGame, distribution: ArrayLike, *, coarse: bool = False) -> float:
    """The most that a player could gain by disobeying a distribution over profiles.

    Args:
        game: the game.
        distribution: (a_1, ..., a_n) probabilities.
        coarse: False for the best answer to each advice, True for one action instead of any advice.

    Returns:
        The regret in payoff units; 0 iff the distribution is a (coarse) correlated equilibrium.

    Raises:
        ValueError: if the distribution has another shape or is none.

    >>> traffic_light = [[0.0, 0.5], [0.5, 0.0]]
    >>> correlated_regret(NormalFormGame.symmetric([[6.0, 2.0], [7.0, 0.0]]), traffic_light)
    0.0
    """
    check_game(game)
    q = finite_array("distribution", distribution, ndim=game.n_players)
    if q.shape != game.n_actions or (q < -_ROUNDING).any() or abs(q.sum() - 1.0) > _ROUNDING:
        got = f"shape {q.shape}, least {q.min():g}, sum {q.sum():g}"
        raise invalid_argument("distribution", got, f"probabilities of shape {game.n_actions} that sum to 1")
    return _regret(game, q, coarse)[0]


def _regret(game: NormalFormGame, q: NDArray[np.float64], coarse: bool) -> tuple[float, float]:
    """The regret of a distribution, and the greatest share of its stake that a deviation gains."""
    worst, share = 0.0, 0.0
    for i, tensor in enumerate(game.compared_payoffs):
        law = np.moveaxis(q, i, 0).reshape(q.shape[i], -1)
        rows = np.moveaxis(tensor, i, 0).reshape(q.shape[i], -1)
        ahead = rows[None, :, :] - rows[:, None, :]  # of playing b where a is advised
        gain, stake = (np.einsum("as,abs->ab", law, part) for part in (ahead, np.abs(ahead)))
        if coarse:
            gain, stake = gain.sum(axis=0, keepdims=True), stake.sum(axis=0, keepdims=True)
        worst = max(worst, float(gain.max(axis=1).sum()))
        share = max(share, float((gain / np.where(stake > 0, stake, 1.0)).max()))
    return worst, share


def _swap_rows(payoffs: tuple[NDArray[np.float64], ...]) -> csr_array:
    """A sparse row for each player and ordered pair of actions."""
    number = np.arange(payoffs[0].size).reshape(payoffs[0].shape)
    values, rows, columns, height = [], [], [], 0
    for i, tensor in enumerate(payoffs):
        u = np.moveaxis(tensor, i, 0).reshape(tensor.shape[i], -1)
        where = np.moveaxis(number, i, 0).reshape(tensor.shape[i], -1)
        for a in range(len(u)):
            for b in range(len(u)):
                if a != b:
                    values.append(u[b] - u[a])
                    columns.append(where[a])
                    rows.append(np.full(u.shape[1], height))
                    height += 1
    if height == 0:
        return csr_array((1, number.size))
    flat = (np.concatenate(rows), np.concatenate(columns))
    return csr_array(coo_array((np.concatenate(values), flat), shape=(height, number.size)))


def _coarse_rows(payoffs: tuple[NDArray[np.float64], ...]) -> csr_array:
    """A row for each player and action."""
    rows = [
        (np.take(tensor, [b], axis=i) - tensor).ravel()
        for i, tensor in enumerate(payoffs)
        for b in range(tensor.shape[i])
    ]
    return csr_array(np.array(rows))
