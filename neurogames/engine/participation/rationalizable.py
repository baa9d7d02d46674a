"""The rationalisable box of a participation game: iterated best responses of intervals, a proof and not a simulation.

Start with all profiles, s in [0, 1]^n. In each round, a player's force ranges over an interval while the others stay in
the box, and its best responses to that interval are an interval again; all players shrink at once.

    force_i(s) is within |eta| / 2 sum_j |G_ij| (hi_j - lo_j) of force_i((lo + hi) / 2)      (j != i of i's block)

The force is linear in the others and U_i is concave in s_i, so these intervals are just the best responses to beliefs
over the box, correlated beliefs included: what is cut off is strictly dominated, what remains at the end is
rationalisable, and every Nash equilibrium lies inside. If the box shrinks to a point, the game is dominance solvable
and that point is its one equilibrium. Intervals are rounded outwards by a bound of the floating-point error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import instance, integer, number
from neurogames.games.participation import ParticipationGame

_DENSE = 4096
_CHUNK = 512


@dataclass(frozen=True, eq=False)
class RationalizableBox:
    """What survives the iterated elimination of strictly dominated participations.

    Attributes:
        lower: (n,) least rationalisable participation.
        upper: (n,) greatest rationalisable participation.
        decided: (n,) round in which a player's interval became a point (width at most the tolerance), 0 if it did not.
        rounds: rounds played.
        dominance_solvable: True if all intervals are points.
        status: "ok" when nothing more can be cut off, or why the rounds stopped before; the box is valid either way.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    decided: NDArray[np.intp]
    rounds: int
    dominance_solvable: bool
    status: str


def rationalizable_box(
    game: ParticipationGame, *, tolerance: float = 1e-8, max_rounds: int = 1000
) -> RationalizableBox:
    """Shrink [0, 1]^n by iterated interval best responses until nothing moves.

    The first round cuts player i down to 0 iff a_i - gamma_i + eta sum_j max(0, -G_ij) < 0 (eta >= 0).

    Args:
        game: the game; a round costs O(n^2) up to 4,096 players, where G is kept, and O(n^2 d) above.
        tolerance: width at which an interval counts as a point; the rounding bound limits how narrow intervals get.
        max_rounds: rounds after which to stop.

    Returns:
        The box with, for each player, the round that decided it.

    Raises:
        ValueError: if an option is out of range.

    >>> game = ParticipationGame([1.0, -0.5], [[1.0, 0.0], [1.0, 1.0]], ridge=1.0, competition=0.5)
    >>> box = rationalizable_box(game)
    >>> box.lower, box.upper, box.decided, box.dominance_solvable
    (array([0.5, 0. ]), array([0.5, 0. ]), array([2, 1]), True)

    Reference: D. Pearce, Rationalizable strategic behavior and the problem of perfection, Econometrica 52 (1984);
    H. Moulin, Dominance solvability and Cournot stability, Mathematical Social Sciences 7 (1984).
    """
    instance("game", game, ParticipationGame, "a ParticipationGame")
    tolerance = number("tolerance", tolerance, "a tolerance > 0", lambda value: value > 0)
    max_rounds = integer("max_rounds", max_rounds, minimum=1)
    n, eta = game.n_players, game.competition
    lower, upper = np.zeros(n), np.ones(n)
    decided = np.zeros(n, dtype=np.intp)
    sizes = _magnitudes(game) if n <= _DENSE else None
    status = f"still shrinking after {max_rounds} rounds"
    for played in range(1, max_rounds + 1):
        centre = game.drive - eta * game.pull(0.5 * (lower + upper))
        spread = 0.5 * abs(eta) * _spread(game, sizes, upper - lower) + _rounding(game, upper)
        new_lower = np.maximum(lower, _reply(game, centre - spread, lowest=True))
        new_upper = np.minimum(upper, _reply(game, centre + spread, lowest=False))
        cut = float(np.maximum(new_lower - lower, upper - new_upper).max())
        lower, upper = new_lower, new_upper
        decided[(decided == 0) & (upper - lower <= tolerance)] = played
        if cut <= np.finfo(float).eps or not (decided == 0).any():
            status = "ok"
            break
    return RationalizableBox(lower, upper, decided, played, bool((decided > 0).all()), status)


def _magnitudes(game: ParticipationGame) -> NDArray[np.float64]:
    """(n, n) |G_ij| with a zero diagonal."""
    sizes = np.zeros((game.n_players, game.n_players))
    for member in game.members():
        rows = np.arange(game.n_players)[member]
        part = np.asarray(game.factors[member], dtype=np.float64)
        sizes[np.ix_(rows, rows)] = np.abs(part @ part.T)
    np.fill_diagonal(sizes, 0.0)
    return sizes


def _spread(
    game: ParticipationGame, sizes: NDArray[np.float64] | None, width: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum over j != i of |G_ij| width_j for players whose own width is positive; 0 for the others."""
    if sizes is not None:
        return np.asarray(sizes @ width)
    result = np.zeros(width.size)
    for member in game.members():
        rows = np.arange(width.size)[member]
        rows = rows[width[rows] > 0]
        part = np.asarray(game.factors[rows], dtype=np.float64)
        for first in range(0, rows.size, _CHUNK):
            some = slice(first, first + _CHUNK)
            result[rows[some]] = np.abs(part[some] @ part.T) @ width[rows]
    return np.asarray(result - game.squares * width)


def _rounding(game: ParticipationGame, upper: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) bound of the rounding in the ends of the force, whatever the order of the sums (Cauchy-Schwarz)."""
    norm, eps = np.sqrt(game.squares), float(np.finfo(float).eps)
    mass = np.bincount(game.blocks, weights=norm * upper)[game.blocks]
    terms = game.n_players + game.factors.shape[1] + 10
    pulled = terms * abs(game.competition) * norm * mass
    return np.asarray(eps * (pulled + 4.0 * (np.abs(game.benefit) + np.abs(game.price))))


def _reply(game: ParticipationGame, force: NDArray[np.float64], *, lowest: bool) -> NDArray[np.float64]:
    """Best response to a force; an indifferent player takes the lowest or the greatest participation."""
    curvature = game.curvature
    straight = force > 0 if lowest else force >= 0
    # One unit in the last place outwards covers the division.
    bent = np.nextafter(force / np.where(curvature > 0, curvature, 1.0), -np.inf if lowest else np.inf)
    return np.asarray(np.where(curvature > 0, np.clip(bent, 0.0, 1.0), straight))
