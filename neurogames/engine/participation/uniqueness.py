"""When a participation game has one equilibrium: the smallest eigenvalue of M decides.

Phi is strictly concave iff M = 2 diag(beta_i G_ii) + eta (G - diag G) is positive definite, and then the equilibrium is
unique. Conversely, if M is not, some benefits have several equilibria (the symmetric P-matrices are the positive
definite ones), though not all benefits do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from neurogames._arguments import instance
from neurogames.engine.participation.factors import products, sums
from neurogames.games.participation import ParticipationGame

_DENSE = 1000


@dataclass(frozen=True)
class ParticipationUniqueness:
    """What the smallest eigenvalue of M says.

    Attributes:
        eigenvalue: the smallest eigenvalue found of M, in payoff units; NaN when none was found.
        error: how far an eigenvalue of M may be from it: rounding, or the residual |Mx - lambda x| of Lanczos.
        unique: True when M is positive definite; None when it is not, or when that is within the error.
        status: "ok", or why there is no eigenvalue.
    """

    eigenvalue: float
    error: float
    unique: bool | None
    status: str


def participation_uniqueness(game: ParticipationGame) -> ParticipationUniqueness:
    """Smallest eigenvalue of M, densely up to 1,000 players and by Lanczos on the factors above.

    Args:
        game: the game.

    Returns:
        The eigenvalue with its error, and whether it proves that there is one equilibrium. Lanczos approaches the
        smallest eigenvalue from above; where 2 beta_i > eta >= 0 for all players with factors, M is positive definite
        by its form, whatever Lanczos says.

    >>> game = ParticipationGame([1.0, 1.0], [[1.0], [1.0]], ridge=0.4, competition=1.0)
    >>> found = participation_uniqueness(game)
    >>> round(found.eigenvalue, 12), found.unique
    (-0.2, None)

    Reference: Y. Bramoulle, R. Kranton and M. D'Amours, Strategic interaction and networks, American Economic Review
    104 (2014); R. Cottle, J.-S. Pang and R. Stone, The Linear Complementarity Problem (2009), theorem
    3.3.7 (P-matrices).
    """
    instance("game", game, ParticipationGame, "a ParticipationGame")
    if game.n_players <= _DENSE:
        value, error = _dense(game)
    else:
        value, error = _lanczos(game)
    stiff = game.curvature - game.competition * game.squares
    by_form = game.competition >= 0 and bool((stiff > 0).all())
    status = "Lanczos iteration did not converge" if np.isnan(value) else "ok"
    return ParticipationUniqueness(value, error, True if by_form or value > error else None, status)


def _dense(game: ParticipationGame) -> tuple[float, float]:
    """Smallest eigenvalue of a small game's M, and a bound of the rounding."""
    values = np.linalg.eigvalsh(game.matrix())
    scale = float(np.abs(values).max()) + abs(game.competition) * float(game.squares.sum())
    return float(values[0]), sum(game.factors.shape) * float(np.finfo(float).eps) * scale


def _lanczos(game: ParticipationGame) -> tuple[float, float]:
    """Smallest Ritz value of a large game's M, and its residual; NaN without convergence."""
    n, d = game.factors.shape
    stiff = game.curvature - game.competition * game.squares

    def product(x: NDArray[np.float64]) -> NDArray[np.float64]:
        flat, v, pulled = np.ascontiguousarray(x.reshape(-1)), np.empty((int(game.blocks.max()) + 1, d)), np.empty(n)
        sums(game.factors, game.blocks, flat, v)
        products(game.factors, game.blocks, v, pulled)
        return stiff * flat + game.competition * pulled

    operator = LinearOperator((n, n), matvec=product, dtype=np.dtype(np.float64))
    first = np.cos(np.arange(n) ** 2.0)  # a fixed vector without pattern, so that a second call agrees
    try:
        values, vectors = eigsh(operator, k=1, which="SA", v0=first)
    except ArpackError:
        return np.nan, np.nan
    value, vector = float(values[0]), vectors[:, 0]
    return value, float(np.linalg.norm(product(vector) - value * vector))
