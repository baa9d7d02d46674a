"""All equilibria of a participation game: enumerated up to 20 players, sampled from stated starts above.

Every assignment of players to out, full and in between that survives ``support_search`` is one linear
system M_ff s_f = r_f of those in between. It is solved from M and checked from the game; where it is singular, a linear
program finds the ends of the face of its solutions, and the result marks them as points of a continuum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

from neurogames._arguments import instance, integer, invalid_argument
from neurogames.engine.participation.complementarity import solve_participation
from neurogames.engine.participation.support_search import BETWEEN, FULL, search
from neurogames.games.participation import ParticipationGame

_MOST_PLAYERS = 20


@dataclass(frozen=True, eq=False)
class ParticipationEquilibria:
    """Equilibria of a participation game, best potential first.

    Attributes:
        profiles: (m, n).
        potential: (m,) Phi of each; the first is the greatest.
        welfare: (m,) sum of utilities of each.
        regret: (m,) the most a player could gain by deviating alone, computed from the game.
        method: "unique", "enumerated", or "sampled".
        complete: True if there are no other equilibria, but for the rest of a continuum.
        continuum: (m,) True where the equilibrium is a point of a connected set of them.
        status: "ok", or what is left open.
    """

    profiles: NDArray[np.float64]
    potential: NDArray[np.float64]
    welfare: NDArray[np.float64]
    regret: NDArray[np.float64]
    method: str
    complete: bool
    continuum: NDArray[np.bool_]
    status: str


def participation_equilibria(
    game: ParticipationGame, *, starts: ArrayLike | None = None, max_nodes: int = 10_000_000
) -> ParticipationEquilibria:
    """Every equilibrium up to 20 players; above, the one that is unique, or those reached from stated starts.

    Args:
        game: the game.
        starts: (m, n) profiles from which to solve a game of more than 20 players that is not known to have one
            equilibrium. All out, all half and all full when left out. Only equilibria that best responses lead to
            are found so, and unstable ones are not among them.
        max_nodes: nodes of the search after which it is given up; then what was found comes with ``complete`` False.

    Returns:
        The equilibria, and how far they are all.

    Raises:
        ValueError: if the starts are not profiles, or come for a game that is enumerated.

    >>> rivals = ParticipationGame([1.0, 1.0], [[1.0], [1.0]], ridge=0.25, competition=1.0)
    >>> found = participation_equilibria(rivals)
    >>> found.profiles.round(9) + 0.0, found.complete
    (array([[0.        , 1.        ],
           [1.        , 0.        ],
           [0.66666667, 0.66666667]]), True)

    Reference: R. Cottle, J.-S. Pang and R. Stone, The Linear Complementarity Problem (2009), section 2.3 (pivots).
    """
    instance("game", game, ParticipationGame, "a ParticipationGame")
    max_nodes = integer("max_nodes", max_nodes, minimum=1)
    n = game.n_players
    if n <= _MOST_PLAYERS:
        if starts is not None:
            raise invalid_argument(
                "starts", f"starts for {n} players", f"none up to {_MOST_PLAYERS} players, where all are found"
            )
        return _enumerated(game, max_nodes)
    single = solve_participation(game)
    if single.unique:
        return _report(game, single.profile[None], "unique", single.status == "ok", single.status)
    first = np.array([0.0, 0.5, 1.0])[:, None] * np.ones(n) if starts is None else game.checked(starts, "starts")
    if first.ndim != 2 or first.shape[0] == 0:
        raise invalid_argument("starts", f"shape {first.shape}", f"profiles (m, {n}), m >= 1")
    found = [solve_participation(game, start=row) for row in first]
    good = [solution.profile for solution in found if solution.status == "ok"]
    failed = f"; {len(found) - len(good)} of them gave no answer" if len(good) < len(found) else ""
    status = f"a sample: best responses from {len(found)} starts{failed}"
    return _report(game, _distinct(np.array(good).reshape(-1, n)), "sampled", False, status)


def _report(
    game: ParticipationGame,
    profiles: NDArray[np.float64],
    method: str,
    complete: bool,
    status: str,
    continuum: NDArray[np.bool_] | None = None,
) -> ParticipationEquilibria:
    """Sort by potential and value every profile from the game."""
    potential = game.potential(profiles)
    unit = float(np.abs(potential).max(initial=0.0)) or 1.0
    order = np.argsort(-(potential / unit).round(12), kind="stable")
    return ParticipationEquilibria(
        profiles=profiles[order],
        potential=potential[order],
        welfare=game.welfare(profiles)[order],
        regret=game.regret(profiles)[order] if profiles.shape[0] else np.empty(0),
        method=method,
        complete=complete,
        continuum=np.zeros(order.size, dtype=bool) if continuum is None else continuum[order],
        status=status,
    )


def _distinct(profiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Profiles more than 1e-7 apart, in lexical order."""
    kept: list[NDArray[np.float64]] = []
    for profile in profiles[np.lexsort(profiles.T[::-1])]:
        if not kept or np.abs(np.array(kept) - profile).max(axis=1).min() > 1e-7:
            kept.append(profile)
    return np.array(kept).reshape(-1, profiles.shape[1])


def _enumerated(game: ParticipationGame, max_nodes: int) -> ParticipationEquilibria:
    """All equilibria, from the leaves that the search leaves over."""
    matrix, drive = game.matrix(), game.drive
    scale = max(float(np.abs(matrix).sum(axis=1).max()), float(np.abs(drive).max()), np.finfo(float).tiny)
    leaves, nodes = search(matrix / scale, drive / scale, max_nodes)
    points: list[tuple[NDArray[np.float64], bool]] = []
    for leaf in leaves:
        points.extend(_solved(matrix / scale, drive / scale, leaf))
    profiles = np.array([profile for profile, _ in points]).reshape(-1, game.n_players)
    moves, gains = game.deviations(profiles)
    # A player without curvature jumps at the slightest force, so its moves say nothing and its gains do.
    good = (np.abs(moves).max(axis=1) <= 1e-8) | (gains.max(axis=1) <= 1e-14 * scale)
    lines = np.array([line for _, line in points], dtype=bool)
    kept = _distinct(profiles[good])
    near = np.abs(kept[:, None, :] - profiles[None, good & lines, :]).max(axis=2) <= 1e-7
    complete = nodes < max_nodes
    status = "ok" if complete else f"search given up after {max_nodes} nodes"
    return _report(game, kept, "enumerated", complete, status, near.any(axis=1))


def _solved(
    matrix: NDArray[np.float64], drive: NDArray[np.float64], leaf: NDArray[np.int8]
) -> list[tuple[NDArray[np.float64], bool]]:
    """Candidates of one assignment: its one solution, or the ends of a face of solutions."""
    shares = np.where(leaf == FULL, 1.0, 0.0)
    inner = np.flatnonzero(leaf >= BETWEEN)
    if inner.size == 0:
        return [(shares, False)]
    right = drive[inner] - matrix[inner] @ shares
    block = matrix[np.ix_(inner, inner)]
    directions, values, _ = np.linalg.svd(block)
    flat = values <= 1e-11 * max(values[0], 1.0)
    if not flat.any():
        shares[inner] = np.clip(np.linalg.solve(block, right), 0.0, 1.0)
        return [(shares, False)]
    rest = np.setdiff1d(np.arange(drive.size), inner)
    sign = np.where(leaf[rest] == FULL, 1.0, -1.0)
    slope, bound = sign[:, None] * matrix[np.ix_(rest, inner)], sign * (drive[rest] - matrix[rest] @ shares)
    ends = []
    for direction in np.concatenate([directions[:, flat].T, -directions[:, flat].T]):
        found = linprog(direction, A_ub=slope, b_ub=bound + 1e-12, A_eq=block, b_eq=right, bounds=(0.0, 1.0))
        if found.status == 0 and found.x is not None:
            ends.append(np.clip(found.x, 0.0, 1.0))
    wide = bool(ends) and float(np.ptp(np.array(ends), axis=0).max()) > 1e-7
    result = []
    for end in ends:
        profile = shares.copy()
        profile[inner] = end
        result.append((profile, wide))
    return result
