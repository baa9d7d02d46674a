"""Nash equilibria of normal form games: what was found, and what is known about what was not.

Two players: all extreme equilibria (``bimatrix``), and in a degenerate game the maximal Nash
subsets and components they span, since there an equilibrium found is as a rule one corner of a continuum. More players:
in small games all equilibria (``support_systems``), unless some are not isolated; otherwise the pure equilibria, and
the one to which the principal branch of logit equilibria leads, with no claim that there are no others. Regrets and
status are computed from the payoffs, whatever the method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from neurogames._arguments import integer, invalid_argument
from neurogames.engine.equilibria.bimatrix import extreme_equilibria
from neurogames.engine.equilibria.certificates import certify
from neurogames.engine.equilibria.components import nash_subsets
from neurogames.engine.equilibria.lemke_howson import follow
from neurogames.engine.equilibria.logit_limit import logit_limit
from neurogames.engine.equilibria.nash_solutions import NashSolutions
from neurogames.engine.equilibria.nashpy_supports import missed, nashpy_equilibria, support_pairs
from neurogames.engine.equilibria.support_systems import all_by_supports, n_supports
from neurogames.engine.solution import OK, ROUNDING, certified
from neurogames.games.normal_form import NormalFormGame, check_game
from neurogames.games.replies import Profile, pure_equilibria

Method = Literal["auto", "vertices", "lemke_howson", "supports", "pure", "logit", "nashpy"]

_MOST_BASES = 500_000
_AUTO_CELLS = 4_000_000
_MOST_SUPPORTS, _AUTO_SUPPORTS = 5_000, 100
_MOST_BOXES, _AUTO_BOXES = 2_000_000, 20_000
_SAME = 1e-8


def solve_nash(game: NormalFormGame, method: Method = "auto") -> NashSolutions:
    """Find Nash equilibria.

    Args:
        game: the game.
        method: "vertices" (two players): all extreme equilibria. "lemke_howson" (two players): the ends of the paths
            from every label. "supports": all isolated equilibria, by a search through all supports that proves in
            boxes that there are no others, for small games of any number of players. "pure": all pure equilibria.
            "logit": the limit of the principal logit branch. "nashpy" (two players): what the library of that name
            finds, compared with the vertices; the status says how many extreme equilibria it misses. "auto": for two
            players, vertices, given up where that would take more than about a second, then Lemke-Howson and pure,
            with a status that says so; for more, supports where they are at most 100 and this settles the game, else
            pure and logit.

    Returns:
        The equilibria with their regrets, and whether they are all.

    Raises:
        ValueError: if the method is not known or needs two players, or the game has more than 5000 support profiles.

    Reference: D. Avis, G. Rosenberg, R. Savani, B. von Stengel, Enumeration of Nash equilibria for two-player games,
    Economic Theory 42 (2010).

    >>> sexes = NormalFormGame(([[3, 0], [0, 2]], [[2, 0], [0, 3]]))
    >>> found = solve_nash(sexes)
    >>> len(found), found.complete, found.degenerate, found.index, bool((found.regret < 1e-12).all())
    (3, True, False, (1, 1, -1), True)
    """
    check_game(game)
    if not isinstance(method, str) or method not in get_args(Method):
        got = method if isinstance(method, str) else type(method).__name__
        raise invalid_argument("method", got, f"one of {', '.join(get_args(Method))}; a game is NormalFormGame((A, B))")
    if method in ("vertices", "lemke_howson", "nashpy") and game.n_players != 2:
        raise invalid_argument("method", method, f"'pure', 'logit' or 'auto' for a game of {game.n_players} players")
    if method == "vertices":
        return _from_vertices(game, _MOST_BASES)
    if method == "auto" and game.n_players == 2:
        found = _from_vertices(game, min(_MOST_BASES, _AUTO_CELLS // game.payoffs[0].size))
        if found.complete:
            return found
        paths = _from_paths(game)
        left_out = f"{found.status}; all Lemke-Howson paths and pure equilibria instead, others may be missing"
        return _solutions(
            game,
            [*_pure_profiles(game), *paths.profiles, *found.profiles],
            "auto",
            found.iterations + paths.iterations,
            left_out,
        )
    if method == "lemke_howson":
        return _from_paths(game)
    if method == "nashpy":
        return _from_nashpy(game)
    if method == "supports":
        if n_supports(game) > _MOST_SUPPORTS:
            raise invalid_argument("game", f"{n_supports(game)} support profiles", f"at most {_MOST_SUPPORTS}")
        return _from_supports(game, _MOST_BOXES)
    if method == "auto" and game.n_players > 2 and n_supports(game) <= _AUTO_SUPPORTS:
        found = _from_supports(game, _AUTO_BOXES)
        if found.complete:
            return found
    profiles = [] if method == "logit" else _pure_profiles(game)
    if method == "pure" or (method == "auto" and game.n_players == 1):
        return _solutions(game, profiles, "pure", game.payoffs[0].size, "ok")
    limit, steps, status = logit_limit(game)
    return _solutions(game, [*profiles, limit], method, steps, status)


def lemke_howson(game: NormalFormGame, label: int = 0) -> NashSolutions:
    """Find one equilibrium of a two-player game by Lemke and Howson's path.

    Args:
        game: two players with m and n actions.
        label: in 0..m+n-1, the label dropped first: an action of the first player, or m + an action of the second.

    Returns:
        One equilibrium, or none and the reason.

    Raises:
        ValueError: if there are not two players, or no such label.

    >>> [strategy.round(3) for strategy in lemke_howson(NormalFormGame.zero_sum([[1, -1], [-1, 1]]))[0]]
    [array([0.5, 0.5]), array([0.5, 0.5])]
    """
    check_game(game, 2)
    label = integer("label", label, minimum=0, maximum=sum(game.n_actions) - 1)
    end = follow(game, label)
    found = np.isfinite(end.regret)
    return NashSolutions(
        profiles=((end.first, end.second),) if found else (),
        regret=np.array([end.regret] if found else []),
        status=certified(end.share) if found else f"the path was given up after {end.pivots} pivots",
        unique=None,
        complete=False,
        degenerate=None,
        index=None,
        subsets=None,
        components=None,
        method="lemke_howson",
        iterations=end.pivots,
    )


def _from_vertices(game: NormalFormGame, most: int) -> NashSolutions:
    """All extreme equilibria of a two-player game."""
    found = extreme_equilibria(game, most)
    k = len(found.rows)
    complete, status = found.complete, certified(float(found.share.max(initial=0.0)))
    if not complete:
        status = f"the best reply polytopes have more vertices than the {found.bases} bases visited"
    elif found.index is not None and found.index.sum() != 1:
        complete, status = False, f"rounding: the indices of the equilibria add up to {found.index.sum()} and not to 1"
    elif k == 0:
        complete, status = False, "rounding: no equilibrium found"
    subsets = components = None
    if complete:
        alone = tuple((i,) for i in range(k))
        subsets, components = nash_subsets(found.rows, found.columns) if found.degenerate else (alone, alone)
    return NashSolutions(
        tuple(zip(found.rows, found.columns, strict=True)),
        found.regret,
        status,
        False if k > 1 else (True if complete else None),
        complete,
        found.degenerate,
        None if found.index is None or not complete else tuple(found.index.tolist()),
        subsets,
        components,
        "exact vertices" if found.exact else "vertices",
        found.bases,
    )


def _from_paths(game: NormalFormGame) -> NashSolutions:
    """Ends of the Lemke-Howson paths from all labels."""
    ends = [follow(game, label) for label in range(sum(game.n_actions))]
    profiles = [(end.first, end.second) for end in ends if np.isfinite(end.regret)]
    lost, pivots = len(ends) - len(profiles), [end.pivots for end in ends]
    status = f"{lost} paths were given up after {max(pivots)} pivots" if lost else OK
    return _solutions(game, profiles, "lemke_howson", sum(pivots), status)


def _from_nashpy(game: NormalFormGame) -> NashSolutions:
    """What nashpy finds, beside all extreme equilibria."""
    profiles = nashpy_equilibria(game)
    known = _from_vertices(game, _MOST_BASES)
    lost = missed(profiles, known.profiles, same=_SAME)
    status = f"nashpy misses {lost} of {len(known)} extreme equilibria" if lost else OK
    found = _solutions(game, profiles, "nashpy", support_pairs(game), status)
    whole = known.complete and not lost and found.status == OK
    return replace(found, complete=whole, unique=known.unique, degenerate=known.degenerate)


def _from_supports(game: NormalFormGame, most_boxes: int) -> NashSolutions:
    """All isolated equilibria, complete where every support profile was settled."""
    found = all_by_supports(game, most_boxes)
    worst, share = certify(game, found.profiles)
    complete, status = not found.undecided, certified(float(share.max(initial=0.0)))
    if found.undecided:
        status = f"{len(found.undecided)} support profiles are undecided, as where equilibria form a continuum"
    elif not found.profiles:
        complete, status = False, "rounding: no equilibrium found"
    k = len(found.profiles)
    alone = tuple((i,) for i in range(k)) if complete else None
    return NashSolutions(
        found.profiles,
        worst,
        status,
        False if k > 1 else (True if complete else None),
        complete,
        None,
        None,
        alone,
        alone,
        "supports",
        found.boxes,
    )


def _pure_profiles(game: NormalFormGame) -> list[Profile]:
    """Pure equilibria as unit vectors."""
    return [
        tuple(np.eye(size)[action] for size, action in zip(game.n_actions, actions, strict=True))
        for actions in pure_equilibria(game)
    ]


def _solutions(
    game: NormalFormGame, candidates: Sequence[Profile], method: str, iterations: int, status: str
) -> NashSolutions:
    """Distinct equilibria among candidates, of a method that need not find all.

    All equilibria of one player are known once the pure ones are: the mixtures of his best actions.
    """
    rows = np.array([np.concatenate(candidate) for candidate in candidates]).reshape(-1, sum(game.n_actions))
    new = [k for k in range(len(rows)) if not (np.abs(rows[:k] - rows[k]).max(axis=1, initial=0.0) <= _SAME).any()]
    profiles = [candidates[k] for k in new]
    worst, share = certify(game, profiles)
    if status == OK:
        status = certified(float(share.max(initial=0.0)))
    single = game.n_players == 1 and method == "pure"
    group = (tuple(range(len(profiles))),) if single else None
    right = int((share <= ROUNDING).sum())
    unique = len(profiles) == 1 if single else (False if right > 1 else None)
    return NashSolutions(
        tuple(profiles),
        worst,
        status,
        unique,
        single,
        len(profiles) > 1 if single else None,
        None,
        group,
        group,
        method,
        iterations,
    )
