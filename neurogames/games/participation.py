"""Participation games: each player i = 1..n puts a share s_i in [0, 1] of its factor theta_i into the common work.

    U_i(s) = a_i s_i - gamma_i s_i - beta_i |theta_i|^2 s_i^2 - eta s_i sum_{j != i} s_j <theta_i, theta_j>

Players compete only inside their own block (a layer), so the inner sum runs over j of i's block. Words used throughout:

- Gram matrix G_ij = <theta_i, theta_j> inside a block, 0 between blocks; it is never formed here but in ``matrix``;
- pull_i(s) = sum_{j != i} G_ij s_j, computed as <theta_i, v> - G_ii s_i from v = sum_j s_j theta_j of the block;
- force_i(s) = a_i - gamma_i - eta pull_i(s), what the first bit of participation pays;
- curvature c_i = 2 beta_i G_ii, so that U_i = s_i (force_i - c_i s_i / 2) and the best response is force_i / c_i cut to
  [0, 1] (0 or 1, whichever pays, where c_i = 0).

Since G is symmetric this is an exact potential game [Monderer & Shapley 1996] whose potential is

    Phi(s) = (a - gamma)'s - s'Ms / 2,     M = 2 diag(beta_i G_ii) + eta (G - diag G),

and its Nash equilibria solve the linear complementarity problem of Phi on the box. M positive definite makes the
equilibrium unique. The benefit a_i here is a given number; what it should be for a neuron is a question about networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, given_array, invalid_argument, number, numbers

Rows = slice | NDArray[np.intp]
_CHUNK_ENTRIES = 2**22


@dataclass(frozen=True, eq=False)
class ParticipationGame:
    """A participation game, given by its players' factors.

    Args:
        benefit: (n,) linear benefits a_i.
        factors: (n, d) factors theta_i, float32 or float64 (other types become float64). An array that is not writable
            is kept as it is, without a copy; any other is copied.
        ridge: beta_i >= 0, one for all or (n,).
        price: gamma_i, one for all or (n,); negative prices are subsidies.
        competition: eta; negative where players who point the same way help each other.
        blocks: (n,) integer labels; players compete with those of their own label only. One block when left out.

    Attributes:
        squares: (n,) |theta_i|^2.

    Raises:
        ValueError: if an array is not finite or lengths differ, or if a ridge is negative.

    >>> game = ParticipationGame([1.0, 1.0], [[1.0, 0.0], [1.0, 0.0]], ridge=0.5, competition=1.0)
    >>> game.best_response([0.0, 0.25])
    array([0.75, 1.  ])
    >>> game.utilities([0.5, 0.5]), float(game.potential([0.5, 0.5]))
    (array([0.125, 0.125]), 0.5)

    Reference: Pruning as a Game, arXiv 2512.22106, utility and best response of a participation player; its benefit
    a_i is alpha <grad_i L, theta_i>.
    """

    benefit: NDArray[np.float64]
    factors: NDArray[np.float32] | NDArray[np.float64]
    ridge: NDArray[np.float64]
    price: NDArray[np.float64]
    competition: float
    blocks: NDArray[np.intp]
    squares: NDArray[np.float64]

    def __init__(
        self,
        benefit: ArrayLike,
        factors: ArrayLike,
        ridge: ArrayLike,
        price: ArrayLike = 0.0,
        competition: float = 0.0,
        blocks: ArrayLike | None = None,
    ) -> None:
        theta = _factors(factors)
        n = theta.shape[0]
        object.__setattr__(self, "benefit", _per_player("benefit", finite_array("benefit", benefit, ndim=1), n))
        object.__setattr__(self, "factors", theta)
        beta = _per_player("ridge", ridge, n)
        if (beta < 0).any():
            raise invalid_argument("ridge", float(beta.min()), "ridges >= 0")
        object.__setattr__(self, "ridge", beta)
        object.__setattr__(self, "price", _per_player("price", price, n))
        object.__setattr__(self, "competition", number("competition", competition))
        object.__setattr__(self, "blocks", _labels(blocks, n))
        squares = np.empty(n)
        for rows in _chunks(slice(0, n), n, theta.shape[1]):
            part = np.asarray(theta[rows], dtype=np.float64)
            squares[rows] = np.einsum("ij,ij->i", part, part)
        if not np.isfinite(squares).all():
            wrong = np.count_nonzero(~np.isfinite(squares))
            raise invalid_argument("factors", f"{wrong} rows without a finite square", "finite rows")
        squares.flags.writeable = False
        object.__setattr__(self, "squares", squares)

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return int(self.factors.shape[0])

    @property
    def curvature(self) -> NDArray[np.float64]:
        """(n,) c_i = 2 beta_i |theta_i|^2, the diagonal of M."""
        return 2.0 * self.ridge * self.squares

    @property
    def drive(self) -> NDArray[np.float64]:
        """(n,) a_i - gamma_i, the force where nobody else participates."""
        return self.benefit - self.price

    def members(self) -> list[Rows]:
        """The players of each block, as a slice where they stand together and as indices where not."""
        if self.blocks[-1] == 0 and not self.blocks.any():
            return [slice(0, self.n_players)]
        order = np.argsort(self.blocks, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(self.blocks[order])) + 1)
        return [slice(int(g[0]), int(g[-1]) + 1) if g[-1] - g[0] == g.size - 1 else g for g in groups]

    def pull(self, profile: ArrayLike) -> NDArray[np.float64]:
        """Sum over j != i of s_j <theta_i, theta_j>, at the cost of two passes over the factors.

        Args:
            profile: (..., n) participations in [0, 1].

        Returns:
            (..., n) pulls.
        """
        shares = self.checked(profile)
        flat = shares.reshape(-1, self.n_players)
        result = np.empty_like(flat)
        d = self.factors.shape[1]
        for member in self.members():
            total = np.zeros((flat.shape[0], d))
            for rows in _chunks(member, self.n_players, d):
                total += flat[:, rows] @ np.asarray(self.factors[rows], dtype=np.float64)
            for rows in _chunks(member, self.n_players, d):
                result[:, rows] = total @ np.asarray(self.factors[rows], dtype=np.float64).T
        return (result - flat * self.squares).reshape(shares.shape)

    def force(self, profile: ArrayLike) -> NDArray[np.float64]:
        """What the first bit of participation pays: a_i - gamma_i - eta pull_i(s), (..., n)."""
        return self.drive - self.competition * self.pull(profile)

    def utilities(self, profile: ArrayLike) -> NDArray[np.float64]:
        """U_i(s) = s_i (force_i - c_i s_i / 2), (..., n)."""
        shares = self.checked(profile)
        return shares * (self.force(shares) - 0.5 * self.curvature * shares)

    def welfare(self, profile: ArrayLike) -> NDArray[np.float64]:
        """Sum of the utilities, (...); it is the potential of the same game with twice the competition."""
        return np.asarray(self.utilities(profile).sum(axis=-1))

    def potential(self, profile: ArrayLike) -> NDArray[np.float64]:
        """Phi(s) = (a - gamma)'s - s'Ms / 2, (...); a unilateral move changes it by what the mover gains."""
        shares = self.checked(profile)
        half_force = 0.5 * (self.drive + self.force(shares))
        return np.asarray((shares * (half_force - 0.5 * self.curvature * shares)).sum(axis=-1))

    def best_response(self, profile: ArrayLike) -> NDArray[np.float64]:
        """BR_i(s) = clip(force_i / c_i, 0, 1); an indifferent player (c_i = force_i = 0) stays where it is.

        Args:
            profile: (..., n) participations in [0, 1].

        Returns:
            (..., n) best responses of all players to the one profile.
        """
        shares = self.checked(profile)
        return self._reply(shares, self.force(shares))

    def deviations(self, profile: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What players would do next, and what it would pay: BR_i(s) - s_i and max_x U_i(x, s_-i) - U_i(s).

        Args:
            profile: (..., n) participations in [0, 1].

        Returns:
            Moves (..., n) and gains (..., n), in payoff units; both are 0 exactly at the Nash equilibria.
        """
        shares = self.checked(profile)
        force = self.force(shares)
        reply = self._reply(shares, force)
        gain = (reply - shares) * (force - 0.5 * self.curvature * (reply + shares))
        return reply - shares, np.maximum(gain, 0.0)

    def residual(self, profile: ArrayLike) -> NDArray[np.float64]:
        """Best-response residual max_i |BR_i(s) - s_i|, (...)."""
        return np.asarray(np.abs(self.deviations(profile)[0]).max(axis=-1))

    def regret(self, profile: ArrayLike) -> NDArray[np.float64]:
        """The most a player could gain by deviating alone, (...), in payoff units."""
        return np.asarray(self.deviations(profile)[1].max(axis=-1))

    def matrix(self) -> NDArray[np.float64]:
        """(n, n) M = 2 diag(beta_i G_ii) + eta (G - diag G), formed densely: for small games."""
        result = np.zeros((self.n_players, self.n_players))
        for member in self.members():
            rows = np.arange(self.n_players)[member]
            part = np.asarray(self.factors[member], dtype=np.float64)
            result[np.ix_(rows, rows)] = self.competition * (part @ part.T)
        np.fill_diagonal(result, self.curvature)
        return result

    def checked(self, profile: ArrayLike, name: str = "profile") -> NDArray[np.float64]:
        """Return the profile as a float array (..., n), or refuse one that is not in [0, 1]^n."""
        expected = f"numbers in [0, 1], the last axis {self.n_players} long"
        try:
            shares = np.asarray(profile, dtype=np.float64)
        except (TypeError, ValueError):
            raise invalid_argument(name, profile, expected) from None
        if shares.ndim == 0 or shares.shape[-1] != self.n_players:
            raise invalid_argument(name, f"shape {shares.shape}", expected)
        if not ((shares >= 0.0) & (shares <= 1.0)).all():
            raise invalid_argument(name, f"values from {shares.min()} to {shares.max()}", expected)
        return shares

    def _reply(self, shares: NDArray[np.float64], force: NDArray[np.float64]) -> NDArray[np.float64]:
        """Best responses to known forces."""
        curvature = self.curvature
        bent = np.clip(force / np.where(curvature > 0, curvature, 1.0), 0.0, 1.0)
        straight = np.where(force == 0, shares, force > 0)
        return np.where(curvature > 0, bent, straight)


def _factors(value: ArrayLike) -> NDArray[np.float32] | NDArray[np.float64]:
    """A read-only C-ordered float array with two axes; the array itself if it is one already."""
    expected = "an array (n, d) of numbers, with n, d >= 1"
    given = given_array("factors", value)
    if given.dtype != np.float32:
        given = numbers("factors", value, expected)
    if given.ndim != 2 or given.size == 0:
        raise invalid_argument("factors", f"shape {given.shape}", expected)
    if given.flags.writeable or not given.flags.c_contiguous:
        given = np.array(given, order="C")
        given.flags.writeable = False
    return given


def _per_player(name: str, value: ArrayLike, n: int) -> NDArray[np.float64]:
    """One finite number for each player, read-only."""
    given = given_array(name, value)
    vector = np.full(n, number(name, given.item())) if given.ndim == 0 else finite_array(name, value, ndim=1)
    if vector.size != n:
        raise invalid_argument(name, f"{vector.size} entries", f"one for each of the {n} rows of factors")
    vector.flags.writeable = False
    return vector


def _labels(value: ArrayLike | None, n: int) -> NDArray[np.intp]:
    """Block numbers 0, 1, ... of the players, read-only."""
    if value is None:
        labels = np.zeros(n, dtype=np.intp)
    else:
        given = np.asarray(value)
        if given.shape != (n,) or given.dtype.kind not in "iu":
            raise invalid_argument(
                "blocks", f"{given.dtype} of shape {given.shape}", f"{n} integer labels, one for each player"
            )
        labels = np.unique(given, return_inverse=True)[1].astype(np.intp)
    labels.flags.writeable = False
    return labels


def _chunks(member: Rows, n: int, d: int) -> Iterator[Rows]:
    """Parts of a block small enough to be widened to float64 one at a time."""
    step = max(1, _CHUNK_ENTRIES // d)
    if isinstance(member, slice):
        first, last, _ = member.indices(n)
        for start in range(first, last, step):
            yield slice(start, min(start + step, last))
    else:
        for start in range(0, member.size, step):
            yield member[start : start + step]
