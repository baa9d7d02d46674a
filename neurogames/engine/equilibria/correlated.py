"""Correlated equilibria: distributions over pure profiles from which nobody gains by disobeying, by linear programs.

A distribution q over profiles is a correlated equilibrium iff for each player i and each pair of actions a, b

    sum over s with s_i = a of q(s) (u_i(b, s_-i) - u_i(a, s_-i)) <= 0,

a coarse one iff the same holds summed over a: nobody gains by settling on b before hearing the advice. Both sets are
polytopes, so any linear objective is maximised by one sparse program.

Reference: R. Aumann, Subjectivity and correlation in randomized strategies, Journal of Mathematical Economics 1 (1974);
H. Moulin, J.-P. Vial, Strategically zero-sum games, International Journal of Game Theory 7 (1978).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array

from neurogames._arguments import finite_array, invalid_argument
from neurogames.games.normal_form import NormalFormGame

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class CorrelatedEquilibrium:
    """A correlated equilibrium that maximises an objective.

    Attributes:
        distribution: (a_1, ..., a_n) probability of each pure profile.
        payoffs: (n,) expected payoffs.
        value: expected objective.
        regret: the most a player could gain by a rule of disobeying (coarse: by a fixed action), in payoff units.
        status: "ok", or what the solver of the program says.
    """

    distribution: NDArray[np.float64]
    payoffs: NDArray[np.float64]
    value: float
    regret: float
    status: str


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
    if isinstance(objective, str):
        if objective != "welfare":
            raise invalid_argument("objective", objective, "'welfare', or an array of what each profile is worth")
        worth = np.sum(game.payoffs, axis=0)
    else:
        worth = finite_array("objective", objective, ndim=game.n_players)
        if worth.shape != game.n_actions:
            raise invalid_argument("objective", f"shape {worth.shape}", f"the shape of the payoffs, {game.n_actions}")
    constraints = _coarse_rows(game) if coarse else _swap_rows(game)
    # The stubs of linprog do not know that it takes sparse matrices.
    solve: Any = linprog
    answer = solve(
        -worth.ravel() / max(1.0, float(np.abs(worth).max())),
        A_ub=constraints / max(game.payoff_range, np.finfo(float).tiny),
        b_ub=np.zeros(constraints.shape[0]),
        A_eq=np.ones((1, worth.size)),
        b_eq=[1.0],
        bounds=(0, None),
        method="highs",
    )
    if answer.status != 0:
        empty = np.full(game.n_players, np.nan)
        return CorrelatedEquilibrium(np.full(worth.shape, np.nan), empty, np.nan, np.nan, str(answer.message))
    q = np.maximum(answer.x, 0.0).reshape(worth.shape)
    q /= q.sum()
    payoffs = np.array([float((q * tensor).sum()) for tensor in game.payoffs])
    return CorrelatedEquilibrium(q, payoffs, float((q * worth).sum()), correlated_regret(game, q, coarse=coarse), "ok")


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
    q = finite_array("distribution", distribution, ndim=game.n_players)
    if q.shape != game.n_actions or (q < -_ROUNDING).any() or abs(q.sum() - 1.0) > _ROUNDING:
        got = f"shape {q.shape}, least {q.min():g}, sum {q.sum():g}"
        raise invalid_argument("distribution", got, f"probabilities of shape {game.n_actions} that sum to 1")
    worst = 0.0
    for i, tensor in enumerate(game.payoffs):
        law = np.moveaxis(q, i, 0).reshape(q.shape[i], -1)
        rows = np.moveaxis(tensor, i, 0).reshape(q.shape[i], -1)
        obey = (law * rows).sum(axis=1)
        gain = (law.sum(axis=0) @ rows.T).max() - obey.sum() if coarse else ((law @ rows.T).max(axis=1) - obey).sum()
        worst = max(worst, float(gain))
    return worst


def _swap_rows(game: NormalFormGame) -> csr_array:
    """A sparse row for each player and ordered pair of actions."""
    number = np.arange(game.payoffs[0].size).reshape(game.n_actions)
    values, rows, columns, height = [], [], [], 0
    for i, tensor in enumerate(game.payoffs):
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


def _coarse_rows(game: NormalFormGame) -> csr_array:
    """A row for each player and action."""
    rows = [
        (np.take(tensor, [b], axis=i) - tensor).ravel()
        for i, tensor in enumerate(game.payoffs)
        for b in range(tensor.shape[i])
    ]
    return csr_array(np.array(rows))
