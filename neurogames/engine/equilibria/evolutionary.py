"""Evolutionarily stable strategies of a symmetric two-player game.

A strategy p is evolutionarily stable in the game with the matrix A iff (p, p) is an equilibrium and p A q > q A q for
every other best reply q to p. Let S be the support of p and B its set of pure best replies. With k in S and c_ij = a_kj
+ a_ik - a_ij - a_kk over i, j in B without k, the condition is z C z > 0 for all z != 0 whose entries outside S are not
negative: C must be positive definite on S, and what is left of it on B - S after S has been eliminated strictly
copositive [Haigh 1975, Abakuks 1980]. Such strategies are isolated, hence among the vertices of the best reply
polytope.

Reference: J. Maynard Smith, G. Price, The logic of animal conflict, Nature 246 (1973); J. Haigh, Game theory and
evolution, Advances in Applied Probability 7 (1975); A. Abakuks, Conditions for evolutionarily stable strategies,
Journal of Applied Probability 17 (1980); K. Hadeler, On copositive matrices, Linear Algebra and its Applications 49
(1983).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, invalid_argument
from neurogames.engine.equilibria.dictionaries import positive
from neurogames.engine.equilibria.exact_vertices import exact_vertices
from neurogames.engine.equilibria.vertices import vertices
from neurogames.games.normal_form import NormalFormGame, check_game
from neurogames.games.replies import best_replies

_MOST_BASES, _MOST_EXACT = 500_000, 20_000
_SAME = 1e-9


@dataclass(frozen=True, eq=False)
class StableStrategies:
    """Symmetric extreme equilibria, and which of them are evolutionarily stable.

    Attributes:
        strategies: (k, a) all evolutionarily stable strategies.
        equilibria: (e, a) all extreme symmetric equilibria.
        stable: (e,) which of those are stable.
        status: "ok", or why some may be missing.
    """

    strategies: NDArray[np.float64]
    equilibria: NDArray[np.float64]
    stable: NDArray[np.bool_]
    status: str


def stable_strategies(game: NormalFormGame) -> StableStrategies:
    """Find all evolutionarily stable strategies of a symmetric two-player game.

    Args:
        game: two players, payoffs[1] the transpose of payoffs[0].

    Returns:
        The strategies; there may be none.

    Raises:
        ValueError: if the game is not symmetric.

    >>> hawk_dove = NormalFormGame.symmetric([[-1.0, 2.0], [0.0, 1.0]])
    >>> stable_strategies(hawk_dove).strategies.round(6)
    array([[0.5, 0.5]])
    """
    matrix = _matrix(game)
    a = len(matrix)
    found = vertices(positive(matrix), _MOST_BASES)
    if found.complete and not found.clear:
        found = exact_vertices(matrix, _MOST_EXACT)
    bits = np.unpackbits(found.tight.astype("<u8").view(np.uint8), axis=1, bitorder="little")[:, : 2 * a].astype(bool)
    labelled = (bits[:, :a] | bits[:, a:]).all(axis=1)
    labelled[0] = False
    _, first = np.unique(found.tight[labelled], axis=0, return_index=True)
    points = found.points[labelled][np.sort(first)]
    points = points / points.sum(axis=1, keepdims=True)
    stable = np.array([_stable(matrix, p) for p in points], dtype=bool)
    status = "ok" if found.clear else "rounding may have decided which strategies are extreme equilibria"
    status = status if found.complete else f"the best reply polytope has more than {len(found.points)} bases"
    return StableStrategies(points[stable], points, stable, status)


def is_evolutionarily_stable(game: NormalFormGame, strategy: ArrayLike) -> bool:
    """Test whether a strategy of a symmetric two-player game is evolutionarily stable.

    Args:
        game: two players, payoffs[1] the transpose of payoffs[0].
        strategy: (a,) probabilities.

    Returns:
        True iff it is; ties of payoffs as in ``best_replies``, eigenvalues up to 1e-9 of those replies' payoffs as 0.

    Raises:
        ValueError: if the game is not symmetric or the strategy no strategy of it.

    >>> rock_paper_scissors = NormalFormGame.symmetric([[0, -1, 2], [2, 0, -1], [-1, 2, 0]])
    >>> is_evolutionarily_stable(rock_paper_scissors, [1 / 3, 1 / 3, 1 / 3])
    True
    """
    matrix = _matrix(game)
    p = finite_array("strategy", strategy, ndim=1)
    if p.size != len(matrix) or (p < 0).any() or abs(p.sum() - 1.0) > _SAME:
        raise invalid_argument("strategy", strategy, f"{len(matrix)} probabilities")
    return _stable(matrix, p)


def _matrix(game: NormalFormGame) -> NDArray[np.float64]:
    """Payoffs of the first player of a symmetric game."""
    check_game(game)
    if game.n_players != 2 or not np.array_equal(game.payoffs[0], game.payoffs[1].T):
        raise invalid_argument(
            "game", f"payoffs of shape {game.n_actions}", "2 players, payoffs[1] the transpose of payoffs[0]"
        )
    return game.compared_payoffs[0]


def _stable(matrix: NDArray[np.float64], p: NDArray[np.float64]) -> bool:
    """Haigh's and Abakuks's conditions."""
    replies = best_replies(NormalFormGame.symmetric(matrix), (p, p))[0]
    support = p > _SAME
    if (support & ~replies).any():
        return False
    k = int(np.flatnonzero(support)[0])
    support[k] = False
    inside, outside = np.flatnonzero(support), np.flatnonzero(replies & (p <= _SAME))
    c = matrix[k][None, :] + matrix[:, k][:, None] - matrix - matrix[k, k]
    c = c + c.T
    c = c / (float(np.ptp(matrix[np.ix_(replies, replies)])) or 1.0)
    rest = c[np.ix_(outside, outside)]
    if inside.size:
        core = c[np.ix_(inside, inside)]
        if np.linalg.eigvalsh(core)[0] <= _SAME:
            return False
        across = c[np.ix_(inside, outside)]
        rest = rest - across.T @ np.linalg.solve(core, across)
    return strictly_copositive(rest)


def strictly_copositive(matrix: NDArray[np.float64]) -> bool:
    """Test whether z C z > 0 for all z >= 0 but 0, from the smallest principal submatrices up.

    If all smaller ones are, the form can fail only at an inner z > 0 with C z constant: a positive z with C z = -1, or
    a positive z with C z = 0.

    Args:
        matrix: (k, k) symmetric; takes 2^k steps.

    Returns:
        True iff it is, eigenvalues within 1e-9 of 0 taken as 0.

    >>> [strictly_copositive(np.array([[1.0, c], [c, 1.0]])) for c in (5.0, -0.5, -1.0)]
    [True, True, False]
    """
    k = len(matrix)
    for size in range(1, k + 1):
        for chosen in combinations(range(k), size):
            part = matrix[np.ix_(chosen, chosen)]
            values, vectors = np.linalg.eigh(part)
            flat = np.abs(values) <= _SAME
            if flat.any():
                null = vectors[:, flat][:, 0]
                if (null > _SAME).all() or (null < -_SAME).all():
                    return False
            elif (np.linalg.solve(part, np.ones(size)) < 0).all():
                return False
    return True
