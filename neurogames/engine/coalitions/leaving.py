"""Who leaves a coalition when taking part costs a fee, and how many stay.

From all players on, the one whose marginal worth v(S) - v(S - i) is least leaves, as long as it is below the fee. Who
comes next does not depend on the fee, so one path serves all fees. At the end no player gains by leaving; those outside
may gain by coming back (``regret`` says how much).

The path of the game itself takes n (n + 1) / 2 coalitions. From curves (``size_curves``) it can be predicted:

    "own"       player i adds f_i(k) beside k others
    "alike"     every player adds f(k)
    "additive"  player i adds its Shapley value, whoever is there
    "context"   as "own", and each player's marginals lie at a random but fixed quantile of what the others leave open

The last accounts for the choice that the path makes: of many players the one leaves whose marginal happens to be small
beside just these others. A mean curve does not know of that, and says too many stay.

With fewer coalitions than the path takes, ``stepwise_leaving`` walks it in steps of several players, so that the budget
is spent where the decisions fall and not on random orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from neurogames._arguments import integer, invalid_argument
from neurogames.engine.coalitions.size_curves import SizeCurves
from neurogames.engine.coalitions.transforms import Vector, evaluate
from neurogames.games.coalition import CoalitionGame, coalition_game

Players = Literal["own", "alike", "additive", "context"]


@dataclass(frozen=True, eq=False)
class Leaving:
    """In what order players leave.

    Attributes:
        order: (..., n) players, the first to leave first.
        marginals: (..., n) what each adds to those who are there when its turn comes.
    """

    order: NDArray[np.intp]
    marginals: Vector

    def staying(self, fee: float) -> float:
        """Share of players that stay at a fee; the mean over paths, where there are several.

        >>> Leaving(np.array([2, 0, 1]), np.array([0.1, 0.3, 0.2])).staying(0.2)
        0.6666666666666667
        """
        n = self.marginals.shape[-1]
        stops = self.marginals >= fee
        gone = np.where(stops.any(axis=-1), stops.argmax(axis=-1), n)
        return float(1.0 - gone.mean() / n)

    def members(self, fee: float) -> NDArray[np.bool_]:
        """Who stays at a fee (n,), on a single path.

        >>> Leaving(np.array([2, 0, 1]), np.array([0.1, 0.3, 0.2])).members(0.2)
        array([ True,  True, False])
        """
        n = self.marginals.shape[-1]
        inside = np.ones(n, dtype=np.bool_)
        inside[self.order[: n - round(n * self.staying(fee))]] = False
        return inside


def exact_leaving(game: CoalitionGame) -> Leaving:
    """The path of the game itself.

    Args:
        game: the game.

    Returns:
        The path; ties go to the lowest number.

    Raises:
        ValueError: if it is no coalition game.

    >>> from neurogames.games.coalition import FunctionCoalitionGame
    >>> game = FunctionCoalitionGame(3, lambda members: members @ np.array([3.0, 1.0, 2.0]))
    >>> exact_leaving(game).order, exact_leaving(game).staying(1.5)
    (array([1, 2, 0]), 0.6666666666666667)
    """
    game = coalition_game(game)
    n = game.n_players
    inside = np.ones(n, dtype=np.bool_)
    worth = float(evaluate(game, inside[None])[0])
    order, marginals = np.empty(n, dtype=np.intp), np.empty(n)
    for step in range(n):
        left = np.flatnonzero(inside)
        without = np.tile(inside, (len(left), 1))
        without[np.arange(len(left)), left] = False
        worths = evaluate(game, without)
        place = int(worths.argmax())
        order[step], marginals[step] = left[place], worth - worths[place]
        inside[left[place]], worth = False, float(worths[place])
    return Leaving(order, marginals)


def stepwise_leaving(game: CoalitionGame, budget: int) -> Leaving:
    """The path of the game itself, several players at a step, for less than n (n + 1) / 2 coalitions.

    At each step the marginals m_1 <= m_2 <= ... of all who are left are measured, and the r least leave in this order.
    Each is worth more or less beside fewer others: m_j + c j (j = 0..r-1), with c such that the step adds up to what
    the r were worth together, which the next step measures.

    Args:
        game: the game.
        budget: most coalitions to ask for, at least 2 n; r is the least that it pays for. With r = 1 the path is exact.

    Returns:
        The path; within a step marginals may fall.

    Raises:
        ValueError: it is no coalition game, or the budget is too small.

    >>> from neurogames.games.coalition import FunctionCoalitionGame
    >>> game = FunctionCoalitionGame(4, lambda members: members @ np.array([3.0, 1.0, 2.0, 4.0]))
    >>> stepwise_leaving(game, 8).order, stepwise_leaving(game, 8).marginals
    (array([1, 2, 0, 3]), array([1., 2., 3., 4.]))
    """
    game = coalition_game(game)
    n = game.n_players
    integer("budget", budget, minimum=2 * n)
    together = next(r for r in range(1, n + 1) if r == n or 1 + sum(range(n, 0, -r)) + _joint(n, r) <= budget)
    inside = np.ones(n, dtype=np.bool_)
    worth = float(evaluate(game, inside[None])[0])
    order, marginals = np.empty(n, dtype=np.intp), np.empty(n)
    for first in range(0, n, together):
        left = np.flatnonzero(inside)
        without = np.tile(inside, (len(left), 1))
        without[np.arange(len(left)), left] = False
        alone = worth - evaluate(game, without)
        leave = np.argsort(alone, kind="stable")[:together]
        inside[left[leave]] = False
        rest = worth - alone[leave[0]] if len(leave) == 1 else float(evaluate(game, inside[None])[0])
        place = np.arange(len(leave))
        change = (worth - rest - alone[leave].sum()) / max(int(place.sum()), 1)
        order[first : first + together] = left[leave]
        marginals[first : first + together] = alone[leave] + change * place
        worth = rest
    return Leaving(order, marginals)


def predicted_leaving(
    curves: SizeCurves, players: Players = "own", *, draws: int = 100, rng: np.random.Generator | None = None
) -> Leaving:
    """The path that curves predict.

    Args:
        curves: from ``size_curves``.
        players: "own", "alike", "additive" or "context"; see the module.
        draws: paths for "context".
        rng: draws the quantiles for "context".

    Returns:
        One path, or ``draws`` of them for "context".

    Raises:
        ValueError: the kind of players is unknown, or "context" has no rng.
    """
    n = curves.n_players
    if players == "context":
        if not isinstance(rng, np.random.Generator):
            raise invalid_argument("rng", rng, "a numpy Generator, for the context")
        paths = [_path(each) for each in _in_context(curves, integer("draws", draws, minimum=1), rng)]
        return Leaving(np.array([path.order for path in paths]), np.array([path.marginals for path in paths]))
    if players not in get_args(Players):
        raise invalid_argument("players", players, "'own', 'alike', 'additive' or 'context'")
    known = {"own": curves.curves, "alike": np.tile(curves.gain, (n, 1)), "additive": np.tile(curves.values, (n, 1)).T}
    return _path(known[players])


def _joint(n: int, together: int) -> int:
    """How many steps have several players, whose joint worth is asked for besides."""
    return 0 if together == 1 else n // together + (n % together > 1)


def regret(game: CoalitionGame, members: NDArray[np.bool_], fee: float) -> tuple[float, float]:
    """How much a member gains by leaving, and an outsider by coming back; at most 0 for both at an equilibrium.

    Args:
        game: the game itself.
        members: (n,) who is there.
        fee: what taking part costs.

    Returns:
        The largest gain of a member and of an outsider; minus infinity where there is none.

    >>> from neurogames.games.coalition import FunctionCoalitionGame
    >>> game = FunctionCoalitionGame(3, lambda members: members @ np.array([3.0, 1.0, 2.0]))
    >>> regret(game, np.array([True, False, True]), 1.5)
    (-0.5, -0.5)
    """
    moved = members ^ np.eye(len(members), dtype=np.bool_)
    worths = evaluate(game, np.concatenate([members[None], moved]))
    gains = worths[1:] - worths[0] + np.where(members, fee, -fee)
    inside, outside = gains[members], gains[~members]
    return float(inside.max(initial=-np.inf)), float(outside.max(initial=-np.inf))


def _path(curves: Vector) -> Leaving:
    """The path where player i adds curves[i, k] beside k others."""
    n = len(curves)
    left, order, marginals = list(range(n)), np.empty(n, dtype=np.intp), np.empty(n)
    for step in range(n):
        here = curves[left, n - 1 - step]
        place = int(here.argmin())
        order[step], marginals[step] = left.pop(place), here[place]
    return Leaving(order, marginals)


def _in_context(curves: SizeCurves, draws: int, rng: np.random.Generator) -> Vector:
    """Curves (draws, n, n) with each player at a fixed quantile of the marginals at every size."""
    m, n = curves.marginals.shape
    rest = np.sqrt(1.0 - curves.heterogeneity)
    scale = np.sqrt(curves.scores.var(axis=0) + rest**2)
    found = np.empty((draws, n, n))
    for draw in range(draws):
        scores = (curves.scores + rest * rng.standard_normal((n, 1))) / scale
        places = ndtr(scores) * m - 0.5
        for k in range(n):
            found[draw, :, k] = np.interp(places[:, k], np.arange(m), curves.marginals[:, k])
    return found
