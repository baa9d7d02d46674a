"""The Ising-like energy of a patch of neurons as a coalition game with pair worths only.

Conventions as in :mod:`neurogames.games.coalition`: coalitions are (..., n) booleans, worths are gains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, given_array, invalid_argument, number
from neurogames.games.coalition import coalition_array


@dataclass(frozen=True, eq=False)
class PairwiseEnergyGame:
    """A game of single worths and pair worths, v(S) = sum_{i in S} l_i + sum_{i<j in S} P_ij.

    It is the negative energy of an Ising-like model restricted to S. Its dividends stop at pairs, so that Shapley and
    Banzhaf values coincide in closed form and no sampling is needed.

    Args:
        linear: (n,) worth l_i of each player alone.
        pairs: (n, n) worth P_ij of each pair, symmetric, zero on the diagonal.

    Raises:
        ValueError: if shapes differ, or pairs is not symmetric with a zero diagonal.

    >>> PairwiseEnergyGame([1.0, -1.0], [[0.0, 4.0], [4.0, 0.0]]).shapley_values()
    array([3., 1.])
    """

    linear: NDArray[np.float64]
    pairs: NDArray[np.float64]

    def __init__(self, linear: ArrayLike, pairs: ArrayLike) -> None:
        alone = finite_array("linear", linear, ndim=1)
        together = finite_array("pairs", pairs, ndim=2)
        if together.shape != (alone.size, alone.size):
            raise invalid_argument(
                "pairs", f"shape {together.shape}", f"shape ({alone.size}, {alone.size}), as linear has it"
            )
        if np.diagonal(together).any() or not np.array_equal(together, together.T):
            raise invalid_argument("pairs", "another matrix", "a symmetric matrix with a zero diagonal")
        object.__setattr__(self, "linear", alone)
        object.__setattr__(self, "pairs", together)

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return self.linear.size

    def value(self, coalitions: ArrayLike) -> NDArray[np.float64]:
        """Worth (...) of coalitions (..., n)."""
        members = coalition_array(coalitions, self.n_players).astype(np.float64)
        return np.asarray(members @ self.linear + 0.5 * ((members @ self.pairs) * members).sum(axis=-1))

    def shapley_values(self) -> NDArray[np.float64]:
        """Shapley values (n,), which are the Banzhaf values too: phi_i = l_i + (1/2) sum_j P_ij."""
        return np.asarray(self.linear + 0.5 * self.pairs.sum(axis=1))


def spin_energy_game(
    spins: ArrayLike, *, alpha: float, beta: float, adjacency: ArrayLike | None = None
) -> PairwiseEnergyGame:
    """Game of spins with Ising-like energy, v(S) = -E(s restricted to S).

    E(s) = -alpha sum_<ij> s_i s_j - beta sum_i s_i, hence phi_i = beta s_i + (alpha/2) sum_{j~i} s_i s_j.
    The source names the energy with its parameters alpha and beta but not its form; this form is our completion.

    Args:
        spins: (h, w) map whose neighbours are the four nearest, without wrapping round; or (n,) with an adjacency.
            Signs, or real activations.
        alpha: worth of two equal neighbouring spins.
        beta: worth of a spin up.
        adjacency: (n, n) symmetric weights of the edges, zero on the diagonal; only with spins of one axis.

    Returns:
        The game of n = h * w players, the map read row by row.

    Raises:
        ValueError: if there is neither a map nor an adjacency, or both.

    >>> spin_energy_game([[1, -1], [1, 1]], alpha=2.0, beta=0.5).shapley_values()
    array([ 0.5, -2.5,  2.5,  0.5])

    Reference: Game Theory Meets Statistical Mechanics in Deep Learning Design, arXiv 2410.12264, equations 1 to 4.
    """
    strength = number("alpha", alpha)
    field = number("beta", beta)
    form = given_array("spins", spins).shape
    if len(form) != (2 if adjacency is None else 1):
        raise invalid_argument(
            "spins", f"shape {form}", "a map (h, w), or a vector (n,) together with an adjacency (n, n)"
        )
    s = finite_array("spins", spins, ndim=len(form)).ravel()
    edges = _grid(*form) if adjacency is None else finite_array("adjacency", adjacency, ndim=2)
    if edges.shape != (s.size, s.size):
        raise invalid_argument("adjacency", f"shape {edges.shape}", f"shape ({s.size}, {s.size})")
    return PairwiseEnergyGame(field * s, strength * edges * np.outer(s, s))


def _grid(height: int, width: int) -> NDArray[np.float64]:
    """Adjacency (h w, h w) of the four nearest neighbours."""
    row, column = np.divmod(np.arange(height * width), width)
    distance = np.abs(row[:, None] - row) + np.abs(column[:, None] - column)
    return np.asarray(distance == 1, dtype=np.float64)
