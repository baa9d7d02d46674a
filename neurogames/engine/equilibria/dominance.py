"""Actions dominated by mixed strategies, by linear programs.

Action a of player i is strictly dominated by the mixture w of his actions if sum_b w_b u_i(b, s) > u_i(a, s) whatever
the others play: iff the zero-sum game with the payoffs u_i(b, s) - u_i(a, s) has a positive value, whose optimal
strategy is then such a w. It is weakly dominated iff the program max sum_s (sum_b w_b u_i(b, s) - u_i(a, s)), all terms
kept >= 0, has a positive optimum. In two-player games the actions that survive iterated strict elimination are the
rationalizable ones.

Reference: D. Pearce, Rationalizable strategic behavior and the problem of perfection, Econometrica 52 (1984), lemma 3;
V. Conitzer, T. Sandholm, Complexity of (iterated) dominance, EC 2005.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from neurogames._arguments import integer, invalid_argument
from neurogames.engine.equilibria.zero_sum import solve_zero_sum
from neurogames.games.dominance import Kind, action_rows, check_kind
from neurogames.games.normal_form import NormalFormGame

_ACCURACY = 1e-9


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
        The mixture and its margins. Margins within 1e-9 of the payoff range (weak: 1e-7) count as 0.

    Raises:
        ValueError: if there is no such player, action or kind.

    >>> game = NormalFormGame(([[3, 0], [0, 3], [1, 1]], [[0, 0], [0, 0], [0, 0]]))
    >>> found = best_dominating_strategy(game, 0, 2)
    >>> found.dominates, found.mixture.round(6), found.margins.round(6)
    (True, array([0.5, 0.5, 0. ]), array([0.5, 0.5]))
    """
    check_kind(kind)
    player = integer("player", player, minimum=0, maximum=game.n_players - 1)
    action = integer("action", action, minimum=0, maximum=game.n_actions[player] - 1)
    rows = action_rows(game, player)
    margins = rows - rows[action]
    spread = float(np.ptp(rows)) or 1.0
    if kind == "strict":
        mixture = solve_zero_sum(NormalFormGame.zero_sum(margins)).profile[0]
        achieved = mixture @ margins
        return DominatingStrategy(mixture, achieved, bool(achieved.min() > _ACCURACY * spread))
    unit = margins / spread
    answer: Any = linprog(
        -unit.sum(axis=1),
        A_ub=-unit.T,
        b_ub=np.zeros(unit.shape[1]),
        A_eq=np.ones((1, len(rows))),
        b_eq=[1.0],
        bounds=(0, None),
        method="highs",
    )
    if answer.status != 0:
        raise invalid_argument(
            "game", f"a program that ends with {answer.message!r}", "payoffs that a linear program can hold"
        )
    mixture = np.maximum(answer.x, 0.0)
    mixture /= mixture.sum()
    achieved = mixture @ margins
    small = 100.0 * _ACCURACY * spread
    return DominatingStrategy(mixture, achieved, bool(achieved.min() >= -small and achieved.max() > small))


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
    check_kind(kind)
    return tuple(
        np.array([best_dominating_strategy(game, player, action, kind).dominates for action in range(size)])
        for player, size in enumerate(game.n_actions)
    )
