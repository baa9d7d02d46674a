"""Actions dominated by mixed strategies, by linear programs.

Action a of player i is strictly dominated by the mixture w of his actions if sum_b w_b u_i(b, s) > u_i(a, s) whatever
the others play: iff the zero-sum game with the payoffs u_i(b, s) - u_i(a, s) has a positive value, whose optimal
strategy is then such a w; a itself is left out of w, so that the value is below 0 where nothing dominates. It is weakly
dominated iff the program max sum_s (sum_b w_b u_i(b, s) - u_i(a, s)), all terms kept >= 0, has a positive optimum. In
two-player games the actions that survive iterated strict elimination are the rationalizable ones.

Only signs matter, one for each profile s of the others. A sum over b that is below 1e-9 of the sum of its absolute
terms may be rounding: then the program is solved in integers (``exact_program``), as far as it is small.

Reference: D. Pearce, Rationalizable strategic behavior and the problem of perfection, Econometrica 52 (1984), lemma 3;
V. Conitzer, T. Sandholm, Complexity of (iterated) dominance, EC 2005.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from neurogames._arguments import integer
from neurogames.engine.equilibria.exact_program import maximise_exactly
from neurogames.engine.equilibria.zero_sum import solve_zero_sum
from neurogames.engine.solution import ROUNDING
from neurogames.games.dominance import Kind, action_rows, check_kind
from neurogames.games.exact import common_integers, rational
from neurogames.games.normal_form import NormalFormGame, check_game

_MOST_EXACT_CELLS, _MOST_EXACT_PIVOTS = 20_000, 2_000


@dataclass(frozen=True, eq=False)
class DominatingStrategy:
    """A mixture that does best against one action.

    Attributes:
        mixture: (a_i,) the mixture.
        margins: (rest,) what it pays more than the action, for each profile of the others, computed from the game.
        dominates: whether it dominates the action.
    """

    mixture: NDArray[np.float64]
    margins: NDArray[np.float64]
    dominates: bool


def best_dominating_strategy(
    game: NormalFormGame, player: int, action: int, kind: Kind = "strict"
) -> DominatingStrategy:
    """Find the mixture that dominates an action of a player, or comes closest.

    Args:
        game: the game.
        player: i.
        action: a.
        kind: "strict" or "weak".

    Returns:
        The mixture, which does not use the action itself unless there is no other or nothing dominates it weakly, and
        its margins. Whether it dominates is decided exactly in games of moderate size, beyond that up to 1e-9 of what
        the margin is the sum of.

    Raises:
        ValueError: if there is no such player, action or kind.

    >>> game = NormalFormGame(([[3, 0], [0, 3], [1, 1]], [[0, 0], [0, 0], [0, 0]]))
    >>> found = best_dominating_strategy(game, 0, 2)
    >>> found.dominates, found.mixture.round(6), found.margins.round(6)
    (True, array([0.5, 0.5, 0. ]), array([0.5, 0.5]))
    """
    check_game(game)
    check_kind(kind)
    player = integer("player", player, minimum=0, maximum=game.n_players - 1)
    action = integer("action", action, minimum=0, maximum=game.n_actions[player] - 1)
    rows = action_rows(game, player)
    margins = rows - rows[action]
    others = np.delete(np.arange(len(rows)), action)
    itself = np.eye(len(rows))[action]
    if others.size == 0:
        return DominatingStrategy(itself, np.zeros(margins.shape[1]), False)
    find = _strictly if kind == "strict" else _weakly
    weights, dominates = find(margins[others], rows[others], rows[action])
    if weights is None:
        return DominatingStrategy(itself, np.zeros(margins.shape[1]), False)
    mixture = np.zeros(len(rows))
    mixture[others] = weights
    return DominatingStrategy(mixture, mixture @ margins, dominates)


def _strictly(
    margins: NDArray[np.float64], rows: NDArray[np.float64], against: NDArray[np.float64]
) -> tuple[NDArray[np.float64] | None, bool]:
    """The best mixture of some rows (k, s), and whether all its margins are positive."""
    weights = solve_zero_sum(NormalFormGame.zero_sum(margins)).profile[0]
    least = _shares(weights, margins).min()
    if abs(least) > ROUNDING or margins.size > _MOST_EXACT_CELLS:
        return weights, bool(least > ROUNDING)
    # max t over t <= the margin of each column: the last variable is t, and only its sign matters.
    whole = _whole_margins(rows, against)
    matrix = [[*(-value for value in column), 1] for column in zip(*whole, strict=True)]
    k = len(rows)
    found = maximise_exactly([[1] * k + [0], *matrix], [1] + [0] * len(matrix), [0] * k + [1], _MOST_EXACT_PIVOTS)
    if found is None or found.value == 0:
        return weights, False
    exact = np.array([float(part) for part in found.solution[:-1]])
    return exact / exact.sum(), True


def _weakly(
    margins: NDArray[np.float64], rows: NDArray[np.float64], against: NDArray[np.float64]
) -> tuple[NDArray[np.float64] | None, bool]:
    """A mixture of some rows (k, s) without a negative margin and with a positive one; None if there is none."""
    k, columns = margins.shape
    if margins.size <= _MOST_EXACT_CELLS:
        whole = _whole_margins(rows, against)
        matrix = [[-value for value in column] for column in zip(*whole, strict=True)]
        objective = [sum(row) for row in whole]
        found = maximise_exactly([[1] * k, *matrix], [1] + [0] * columns, objective, _MOST_EXACT_PIVOTS)
        if found is not None:
            if found.value == 0:
                return None, False
            exact = np.array([float(part) for part in found.solution])
            return exact / exact.sum(), True
    size = np.abs(margins).max(axis=0)
    unit = margins / np.where(size > 0, size, 1.0)
    answer: Any = linprog(
        -unit.sum(axis=1), -unit.T, np.zeros(columns), np.ones((1, k)), [1.0], (0, None), method="highs"
    )
    if answer.status != 0:
        return None, False
    weights = np.maximum(answer.x, 0.0)
    weights /= weights.sum()
    share = _shares(weights, margins)
    return weights, bool(share.min() >= -ROUNDING and share.max() > ROUNDING)


def _shares(weights: NDArray[np.float64], margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Margin of a mixture at each column, as a share of the absolute terms it is the sum of; 0 where they are."""
    stake = weights @ np.abs(margins)
    return np.asarray(weights @ margins / np.where(stake > 0, stake, 1.0))


def _whole_margins(rows: NDArray[np.float64], against: NDArray[np.float64]) -> list[list[int]]:
    """Margins of rows over another one as integers, each column in a unit of its own."""
    columns = []
    for values, base in zip(rows.T.tolist(), against.tolist(), strict=True):
        level = rational(base)
        columns.append(common_integers(rational(value) - level for value in values)[0])
    return [list(row) for row in zip(*columns, strict=True)]


def mixed_dominated(game: NormalFormGame, kind: Kind = "strict") -> tuple[NDArray[np.bool_], ...]:
    """Mark the actions that some mixed strategy dominates.

    Args:
        game: the game.
        kind: "strict" or "weak".

    Returns:
        n boolean arrays of shape (a_i,).

    Raises:
        ValueError: if the kind is neither.

    >>> from neurogames.games.dominance import iterated_elimination
    >>> game = NormalFormGame(([[3, 0], [0, 3], [1, 1]], [[1, 0], [1, 0], [0, 5]]))
    >>> [actions.tolist() for actions in iterated_elimination(game, find=mixed_dominated).actions]
    [[0], [0]]
    """
    check_game(game)
    check_kind(kind)
    return tuple(
        np.array([best_dominating_strategy(game, player, action, kind).dominates for action in range(size)])
        for player, size in enumerate(game.n_actions)
    )
