"""Values estimated by regression on distinct pairs of a coalition and its complement.

Characters chi_T(S) = product over i in T of +1 (i in S) or -1 (i not in S) form a basis of all games, v = sum of
f_T chi_T. A pair gives the odd part d(S) = (v(S) - v(N - S)) / 2, which alone decides values, and the even part
e(S) = (v(S) + v(N - S)) / 2, which alone decides interactions of pairs:

    phi_i  = sum over odd  T with i        of 2 f_T / |T|          (Shapley);    2 f_i    (Banzhaf)
    I_ij   = sum over even T with i and j  of 4 f_T / (|T| - 1)    (Shapley);    4 f_ij   (Banzhaf)

A model g of few characters is fitted to the pairs that were asked for, its values are known in closed form, and what g
leaves over is estimated without bias by weighing each pair by 1 / inclusion. The ridge on the larger characters
therefore changes the error, never the target: with every pair asked for, any ridge gives the exact values.
For the Shapley value the weights of the fit are the Shapley kernel, the model meets v(N) - v(empty) exactly, and the
weighted rest is zero by the normal equations.
Standard errors come from the left-out residuals, stratum by stratum, with the correction for a finite number of pairs.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np

from neurogames._arguments import integer, invalid_argument
from neurogames.engine.coalitions.paired_design import Pairs, allocate, draw_pairs, least_draws, strata
from neurogames.engine.coalitions.ridge import Fit, fit_ridge
from neurogames.engine.coalitions.transforms import Vector, evaluate, size_weights
from neurogames.engine.coalitions.valuation import Values
from neurogames.games.coalition import CoalitionGame

_MOST_PLAYERS = 1000  # beyond, the number of coalitions of one size overflows a float
_MOST_COLUMNS = 2048
_COLUMNS_PER_PAIR = 8
_MOST_ENTRIES = 1 << 26


def regress_values(game: CoalitionGame, budget: int, *, rng: np.random.Generator, index: str) -> Values:
    """Estimate values by a regression on odd characters of size 1 and, as far as the budget supports it, 3.

    Size 3 is used when there are at most 8 such characters for each pair, at most 2048 in all (24 players), and when
    characters times pairs are at most 2^26, which is half a gibibyte (at 20 players, 58,000 pairs).
    The order used stands in ``method`` of the result.

    Args:
        game: a game of 2 to 1000 players.
        budget: most coalitions to ask for, fewer than 2^n; pairs are asked for, so an odd one is not used up.
        rng: source of the draws.
        index: "Shapley" or "Banzhaf".

    Returns:
        The estimate; Shapley values add up to v(N) - v(empty).

    Raises:
        ValueError: if the budget does not pay for every player alone and every size of coalitions twice.

    >>> from neurogames.games.pairwise_energy import spin_energy_game
    >>> game = spin_energy_game([[1, -1, 1, 1, -1], [1, 1, 1, -1, -1]], alpha=1.0, beta=0.2)
    >>> estimate = regress_values(game, 100, rng=np.random.default_rng(0), index="Shapley")
    >>> np.allclose(estimate.values, game.shapley_values()), estimate.budget, estimate.method
    (True, 100, 'odd regression of order 3')

    Reference: S. Lundberg and S.-I. Lee, A unified approach to interpreting model predictions (2017), theorem 2, for
    the kernel; I. Covert and S.-I. Lee, Improving KernelSHAP (2021), for the pairs.
    """
    n, shapley = game.n_players, index == "Shapley"
    mass = np.sqrt(_share(n) * _kernel(n)) if shapley else strata(n) / strata(n).max()
    pairs, inside, outside = _ask(game, budget, mass, 0 if shapley else n, rng)
    odd = 0.5 * (inside - outside)
    signs = np.where(pairs.coalitions, 1.0, -1.0)
    columns = comb(n, 3)
    most = min(_MOST_COLUMNS, _COLUMNS_PER_PAIR * len(odd), _MOST_ENTRIES // len(odd))
    order = 3 if 0 < columns <= most else 1
    members = np.array(list(combinations(range(n), 3)) if order == 3 else [], dtype=np.intp).reshape(-1, 3)
    characters = signs[:, members[:, 0]]
    for column in (1, 2):
        characters *= signs[:, members[:, column]]
    weight = size_weights(n, shapley)[:, None]
    influence = 2.0 * np.where(pairs.coalitions, weight[pairs.stratum - 1], -weight[pairs.stratum])
    if shapley:  # every column less the mean sign vanishes at N, so that g(N) = v(N) - v(empty) whatever is fitted
        mean, everybody = signs.mean(axis=1), -odd[0]
        columns_free, columns_larger = signs - mean[:, None], characters - mean[:, None]
        fit, rest, stderr = _fit(pairs, odd - everybody * mean, columns_free, columns_larger, _kernel(n), influence)
        values = 2.0 * (fit.free + (everybody - fit.penalised.sum()) / n) + rest
        np.add.at(values, members, 2.0 / 3.0 * fit.penalised[:, None])
    else:
        fit, rest, stderr = _fit(pairs, odd, signs, characters, mass, influence)
        values = 2.0 * fit.free + rest
    return Values(values, stderr, 2 * len(odd), index, f"odd regression of order {order}")


def regress_interactions(game: CoalitionGame, budget: int, *, rng: np.random.Generator, index: str) -> Values:
    """Estimate interactions of pairs by a regression on even characters of size 0 and 2, the latter under a ridge.

    Args:
        game: a game of 2 to 1000 players.
        budget: most coalitions to ask for, fewer than 2^n; pairs are asked for, so an odd one is not used up.
        rng: source of the draws.
        index: "Shapley interaction" or "Banzhaf interaction".

    Returns:
        The estimate, (n, n).

    Raises:
        ValueError: if the budget does not pay for every player alone and every size of coalitions twice, or if pairs
            of players times pairs of coalitions exceed 2^26, which is half a gibibyte.

    >>> from neurogames.games.pairwise_energy import spin_energy_game
    >>> game = spin_energy_game([[1, -1, 1, 1, -1], [1, 1, 1, -1, -1]], alpha=1.0, beta=0.2)
    >>> estimate = regress_interactions(game, 400, rng=np.random.default_rng(0), index="Shapley interaction")
    >>> np.allclose(estimate.values, game.pairs, atol=1e-3)
    True
    """
    n, shapley = game.n_players, index == "Shapley interaction"
    most = 2 * (_MOST_ENTRIES // comb(n, 2))
    if budget > most:
        raise invalid_argument(
            "budget", budget, f"at most {most}, for the interactions of {n} players to fit into memory"
        )
    mass = np.sqrt(_share(n) * _kernel(n)) if shapley else strata(n) / strata(n).max()
    pairs, inside, outside = _ask(game, budget, mass, 0, rng)
    even = 0.5 * (inside + outside)
    signs = np.where(pairs.coalitions, 1.0, -1.0)
    i, j = np.triu_indices(n, 1)
    weight = np.concatenate([[0.0, 0.0], size_weights(n - 1, shapley)])  # shifted: both in S needs |S| >= 2
    both = pairs.coalitions[:, i].astype(np.intp) + pairs.coalitions[:, j]
    influence = 2.0 * np.array([1.0, -1.0, 1.0])[both] * weight[pairs.stratum[:, None] - both + 2]
    weights = _kernel(n) if shapley else mass
    fit, rest, stderr = _fit(pairs, even, np.ones((len(even), 1)), signs[:, i] * signs[:, j], weights, influence)
    values, errors = np.zeros((n, n)), np.zeros((n, n))
    values[i, j] = values[j, i] = 4.0 * fit.penalised + rest
    errors[i, j] = errors[j, i] = stderr
    return Values(values, errors, 2 * len(even), index, "even regression of order 2")


def _share(n: int) -> Vector:
    """Part of the coalitions of each size that its stratum holds: 1, or 1/2 for the middle one."""
    return np.asarray(strata(n) / np.array([comb(n, h) for h in range(n // 2 + 1)], dtype=np.float64))


def _kernel(n: int) -> Vector:
    """Shapley kernel of each stratum, all its pairs together, up to a factor; where it is infinite, that of size 1."""
    sizes = np.maximum(np.arange(n // 2 + 1), 1)
    return np.asarray(_share(n) / (sizes * (n - sizes)))


def _ask(
    game: CoalitionGame, budget: int, mass: Vector, spare: int, rng: np.random.Generator
) -> tuple[Pairs, Vector, Vector]:
    """Draw what the budget pays for; the pairs, their worths, and those of their complements."""
    n = integer("game.n_players", game.n_players, minimum=2, maximum=_MOST_PLAYERS)
    integer("budget", budget, minimum=min(2 * (int(least_draws(n).sum()) + spare), 1 << n))
    pairs = draw_pairs(n, allocate(n, mass, budget // 2), rng)
    worths = evaluate(game, np.concatenate([pairs.coalitions, ~pairs.coalitions]))
    return pairs, worths[: len(pairs.stratum)], worths[len(pairs.stratum) :]


def _fit(
    pairs: Pairs, target: Vector, free: Vector, penalised: Vector, weights: Vector, influence: Vector
) -> tuple[Fit, Vector, Vector]:
    """Fit a model; also give the weighted rest of the values and the standard errors.

    Args:
        pairs: the m pairs.
        target: (m,) part of the worths to fit.
        free: (m, q) columns without a ridge.
        penalised: (m, p) columns under the ridge.
        weights: (n//2 + 1,) weight of each stratum as a whole.
        influence: (m, k) weight of each pair in each of k values.
    """
    shares = influence / pairs.inclusion[:, None]
    missing = 1.0 - pairs.drawn / pairs.available
    importance = missing[pairs.stratum] * (shares**2).sum(axis=1)
    fit = fit_ridge(target, free, penalised, (weights / pairs.drawn)[pairs.stratum], importance)
    errors = shares * fit.left_out[:, None]
    variance = np.zeros(influence.shape[1])
    for h in np.flatnonzero(missing):
        variance += missing[h] * pairs.drawn[h] * errors[pairs.stratum == h].var(axis=0, ddof=1)
    return fit, fit.residual @ shares, np.sqrt(variance)
