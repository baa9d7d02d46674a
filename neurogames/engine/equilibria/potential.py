"""Potential games, and how far any game is from being one.

A game has the exact potential phi if u_i(a, s_-i) - u_i(b, s_-i) = phi(a, s_-i) - phi(b, s_-i) for every player and
deviation. Any game is, in one way, the sum of three [Candogan et al. 2011], orthogonal for <u, v> = sum_i a_i sum_s
u_i(s) v_i(s):

- a nonstrategic game, in which nobody's own action matters to himself: u_i^N = mean of u_i over s_i;
- a potential game u_i^P = phi - mean of phi over s_i, phi being the least-squares potential;
- a harmonic game, what is left: its flows go round, and the uniform profile is an equilibrium of it.

The least-squares potential solves (sum_i L_i) phi = sum_i L_i u_i, L_i = a_i (1 - mean over s_i) being the Laplacian of
player i's deviations. Along each axis, split a function into its mean and a rest: on the part that varies with exactly
the players of a set S, L_i is a_i if i is in S and 0 otherwise. So an orthonormal basis of each axis that starts with
the constant diagonalises all of it, and no linear system is solved.

Reference: D. Monderer, L. Shapley, Potential games, Games and Economic Behavior 14 (1996); O. Candogan, I. Menache,
A. Ozdaglar, P. Parrilo, Flows and decompositions of games: harmonic and potential games, Mathematics of Operations
Research 36 (2011), theorem 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import number
from neurogames.games.normal_form import NormalFormGame, check_game


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The three parts of a game; their payoffs add up to those of the game.

    Attributes:
        potential: (a_1, ..., a_n) least-squares potential phi, of mean 0.
        potential_part: the game with the payoffs phi - mean of phi over the own action.
        harmonic_part: the game that is left.
        nonstrategic_part: the game of payoffs that do not depend on the own action.
    """

    potential: NDArray[np.float64]
    potential_part: NormalFormGame
    harmonic_part: NormalFormGame
    nonstrategic_part: NormalFormGame


@dataclass(frozen=True, eq=False)
class PotentialTest:
    """Whether a game has an exact potential. It is true in a condition iff it has one.

    Attributes:
        potential: (a_1, ..., a_n) least-squares potential, of mean 0; exact if there is one.
        residual: greatest error of a payoff difference of one deviation, in payoff units.
        holds: whether the residual is within the tolerance.
    """

    potential: NDArray[np.float64]
    residual: float
    holds: bool

    def __bool__(self) -> bool:
        return self.holds


def least_squares_potential(game: NormalFormGame) -> NDArray[np.float64]:
    """Potential whose differences along deviations are closest to those of the payoffs.

    Args:
        game: the game.

    Returns:
        (a_1, ..., a_n) potential of mean 0.

    >>> least_squares_potential(NormalFormGame.symmetric([[3, 0], [5, 1]]))
    array([[-1.75,  0.25],
           [ 0.25,  1.25]])
    """
    check_game(game)
    bases = [_basis(size) for size in game.n_actions]
    top, bottom = np.zeros(game.n_actions), np.zeros(game.n_actions)
    for i, tensor in enumerate(game.compared_payoffs):
        size = game.n_actions[i]
        varies = np.full(size, float(size))
        varies[0] = 0.0
        weight = varies.reshape([-1 if k == i else 1 for k in range(game.n_players)])
        # A level that all payoffs share means nothing here, and its rounding could be more than they differ by.
        top += weight * _transformed(tensor - tensor.min(), bases)
        bottom += weight
    bottom.flat[0] = 1.0
    # Axes of a single action leave nothing but the constant, whose weight is 1 now.
    return _transformed(top / bottom, [basis.T for basis in bases])


def decompose_game(game: NormalFormGame) -> Decomposition:
    """Split a game into its potential, harmonic and nonstrategic parts.

    Args:
        game: the game.

    Returns:
        The parts.

    Reference: Candogan, Menache, Ozdaglar, Parrilo (2011), theorem 4.1.

    >>> parts = decompose_game(NormalFormGame.zero_sum([[1, -1], [-1, 1]]))
    >>> parts.harmonic_part.payoffs[0].round(12), float(abs(parts.potential).max().round(12))
    (array([[ 1., -1.],
           [-1.,  1.]]), 0.0)
    """
    phi = least_squares_potential(game)
    nonstrategic = [
        np.broadcast_to(tensor.mean(axis=i, keepdims=True), tensor.shape) for i, tensor in enumerate(game.payoffs)
    ]
    potential = [phi - phi.mean(axis=i, keepdims=True) for i in range(game.n_players)]
    harmonic = [u - n - p for u, n, p in zip(game.payoffs, nonstrategic, potential, strict=True)]
    return Decomposition(phi, *(NormalFormGame(part, game.labels) for part in (potential, harmonic, nonstrategic)))


def is_potential_game(game: NormalFormGame, *, tolerance: float = 1e-9) -> PotentialTest:
    """Test whether a game has an exact potential, and give it.

    Args:
        game: the game.
        tolerance: residual allowed, as a share of the payoff range, >= 0.

    Returns:
        A value that is true iff there is an exact potential, with the potential and the residual.

    Raises:
        ValueError: if the tolerance is negative or not finite.

    >>> bool(is_potential_game(NormalFormGame.symmetric([[3, 0], [5, 1]])))
    True
    >>> is_potential_game(NormalFormGame.zero_sum([[1, -1], [-1, 1]])).residual
    2.0
    """
    tolerance = number("tolerance", tolerance, "a tolerance >= 0", lambda value: value >= 0)
    phi = least_squares_potential(game)
    residual = max(
        float(np.ptp(tensor - tensor.min() - phi, axis=i).max()) for i, tensor in enumerate(game.compared_payoffs)
    )
    return PotentialTest(phi, residual, residual <= tolerance * game.payoff_range)


def _basis(size: int) -> NDArray[np.float64]:
    """Orthonormal rows, the first of them constant (Helmert)."""
    k = np.arange(size)
    rows = np.tril(np.ones((size, size)), -1) - np.diag(k.astype(np.float64))
    rows[0] = 1.0
    return np.asarray(rows / np.sqrt((rows**2).sum(axis=1, keepdims=True)))


def _transformed(tensor: NDArray[np.float64], matrices: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Apply a matrix along each axis."""
    for i, matrix in enumerate(matrices):
        tensor = np.moveaxis(np.tensordot(matrix, tensor, axes=(1, i)), 0, i)
    return tensor
