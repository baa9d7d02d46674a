"""Symmetric games of N players and two actions, given by what acting pays when k others act.

Index convention: k = 0..N-1 counts the OTHERS who act, C = 0..N counts all actors, a deciding player included.
``gain[k]`` = f(k) is the payoff of acting minus that of resting. Since only this difference decides what a player
does, the vector f IS the game for every rule that compares a player's own two actions; the level ``baseline`` matters
to rules that compare the payoffs of different players.

Every such game is an exact potential game [Monderer & Shapley 1996]: when one player starts to act beside k others, the
potential Phi(C) = f(0) + ... + f(C-1) rises by exactly what that player gains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, integer, invalid_argument
from neurogames.games.base import payoff_advantage


@dataclass(frozen=True, eq=False)
class SymmetricGame:
    """A symmetric two-action game of N >= 2 players.

    Args:
        gain: (N,) extra payoff of acting when k = 0..N-1 others act.
        baseline: (N,) payoff of resting when k others act; zeros when left out.

    Raises:
        ValueError: if a vector is not finite, if N < 2, or if the two lengths differ.

    >>> stag_hunt = SymmetricGame([-1.0, 2.0])
    >>> stag_hunt.strict_equilibria(), stag_hunt.risk_dominant()
    (array([0, 2]), 2)
    """

    gain: NDArray[np.float64]
    baseline: NDArray[np.float64]

    def __init__(self, gain: ArrayLike, baseline: ArrayLike | None = None) -> None:
        vector = finite_array("gain", gain, ndim=1)
        if vector.size < 2:
            raise invalid_argument("gain", f"{vector.size} entries", "one entry for each of at least 2 players")
        level = finite_array("baseline", np.zeros(vector.size) if baseline is None else baseline, ndim=1)
        if level.size != vector.size:
            raise invalid_argument("baseline", f"{level.size} entries", f"as many as gain has, {vector.size}")
        object.__setattr__(self, "gain", vector)
        object.__setattr__(self, "baseline", level)

    @classmethod
    def from_matrix(cls, matrix: ArrayLike, n_players: int = 2) -> SymmetricGame:
        """Everybody plays a symmetric two-player game with every other player; payoffs are averages.

        Args:
            matrix: A, (2, 2) what the action of the row pays against that of the column; row 0 rests, row 1 acts.
            n_players: N >= 2.

        Returns:
            The game: with k of the N - 1 others acting, action a pays (A_a0 (N - 1 - k) + A_a1 k) / (N - 1).

        Raises:
            ValueError: if the matrix is not 2 x 2 or not finite.

        >>> SymmetricGame.from_matrix([[1, 1], [0, 3]], 3).gain
        array([-1. ,  0.5,  2. ])
        """
        table = finite_array("matrix", matrix, ndim=2)
        if table.shape != (2, 2):
            raise invalid_argument("matrix", f"shape {table.shape}", "(2, 2); for more actions see PopulationGame")
        share = np.arange(integer("n_players", n_players, minimum=2)) / (n_players - 1)
        rests, acts = (row[0] * (1.0 - share) + row[1] * share for row in table)
        return cls(acts - rests, rests)

    @property
    def n_players(self) -> int:
        """Number of players N."""
        return self.gain.size

    def potential(self) -> NDArray[np.float64]:
        """Exact potential Phi(C) = f(0) + ... + f(C-1) of C = 0..N actors.

        Returns:
            (N+1,) potentials, the first of them 0.

        Reference: D. Monderer and L. Shapley, Potential games, Games and Economic Behavior 14 (1996), section 2.
        """
        return np.concatenate([[0.0], np.cumsum(self.gain)])

    @property
    def tipping_point(self) -> float | None:
        """Smallest real C, the actor itself counted, from which on acting pays; None if acting never starts to pay.

        It is the first upward zero of the gain, interpolated linearly between whole numbers of actors: with k others
        acting, C = k + 1.

        >>> SymmetricGame([-1.0, -0.5, 0.5]).tipping_point
        2.5
        """
        starts = np.flatnonzero((self.gain[:-1] <= 0) & (self.gain[1:] > 0))
        if starts.size == 0:
            return None
        k = int(starts[0])
        below, above = self.gain[k], self.gain[k + 1]
        return float(k + 1 - below / (above - below))

    def strict_equilibria(self) -> NDArray[np.intp]:
        """Counts C of actors at which every player would lose by switching.

        C is a strict equilibrium iff f(C-1) > 0 (no actor leaves; void for C = 0) and f(C) < 0 (nobody joins; void for
        C = N). A single deviation decides, so these are the strict pure Nash equilibria up to the names of players.

        Returns:
            The counts in increasing order; empty if there are none.
        """
        nobody_leaves = np.concatenate([[True], self.gain > 0])
        nobody_joins = np.concatenate([self.gain < 0, [True]])
        return np.flatnonzero(nobody_leaves & nobody_joins)

    def risk_dominant(self) -> int | None:
        """Count of actors with the greatest potential; None when the greatest is tied.

        Between the two extreme equilibria 0 and N this is the Laplacian rule of Morris and Shin: acting is selected
        iff f(0) + ... + f(N-1) > 0, that is iff acting is the best answer to the belief that the number of others who
        act is uniform on 0..N-1. For N = 2 it is Harsanyi and Selten's risk dominance, p-dominance at p = 1/2.
        The potential's maximiser is also where one-at-a-time logit choice spends its time as the temperature falls.

        Returns:
            The count, or None when two counts tie up to rounding.

        Reference: J. Harsanyi and R. Selten, A General Theory of Equilibrium Selection in Games (1988); S. Morris and
        H. S. Shin, Global games: theory and applications (2003), section 2; L. Blume, The statistical mechanics of
        strategic interaction, Games and Economic Behavior 5 (1993).
        """
        potential = self.potential()
        rounding = 4.0 * np.finfo(float).eps * self.n_players * float(np.abs(self.gain).max())
        best = np.flatnonzero(potential >= potential.max() - rounding)
        return int(best[0]) if best.size == 1 else None

    def limit_gain(self, share: ArrayLike) -> NDArray[np.float64]:
        """Gain as a function of the share acting: f at k = share * (N-1), linear between whole k.

        Args:
            share: any shape, in [0, 1].

        Returns:
            Gains of that shape.
        """
        return np.asarray(
            np.interp(np.asarray(share, dtype=np.float64), np.linspace(0.0, 1.0, self.n_players), self.gain)
        )

    def limit_payoff_advantage(self, share: ArrayLike) -> NDArray[np.float64]:
        """What an actor earns more than a rester when a share acts: the advantage at C = share * N, linear between.

        Args:
            share: any shape, in [0, 1].

        Returns:
            Payoff differences of that shape; constant below one actor and below one rester, where there is no pair.
        """
        counts = np.arange(1, self.n_players) / self.n_players
        return np.asarray(np.interp(np.asarray(share, dtype=np.float64), counts, payoff_advantage(self)))
