"""The Nash equilibrium to which the principal branch of logit equilibria leads, made exact.

The branch (``quantal``) is followed to a precision of 10^6 over the payoff range. What has kept
some probability there is taken as the supports of an equilibrium, whose equations u_i(a, p) = v_i for a in the support,
sum_a p_i(a) = 1 are solved by Newton's method from the last point. Where no equilibrium comes out, as when one player's
payoffs are in another unit than the others', the same is done with each player's payoffs in units of their own range.

Reference: R. McKelvey, T. Palfrey, Quantal response equilibria for normal form games, Games and Economic Behavior 10
(1995), theorem 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.equilibria.certificates import certify
from neurogames.engine.equilibria.quantal import contracted, logit_branch
from neurogames.engine.solution import ROUNDING
from neurogames.games.normal_form import NormalFormGame, check_game
from neurogames.games.replies import Profile, regret

_LIMIT_PRECISION, _SUPPORT = 1e6, 1e-5
_NEWTON_STEPS = 50


def logit_limit(game: NormalFormGame) -> tuple[Profile, int, str]:
    """Follow the principal branch to its end, then solve for the equilibrium near by.

    Args:
        game: the game.

    Returns:
        The profile, the steps taken, and "ok" or why the branch ended early. Where the equations of the supports that
        emerge have no solution in probabilities, it is the last logit equilibrium, and its regret shows it.

    >>> [strategy.round(6) for strategy in logit_limit(NormalFormGame.symmetric([[2.0, 0.0], [0.0, 1.0]]))[0]]
    [array([1., 0.]), array([1., 0.])]
    """
    check_game(game)
    profile, steps, status = _limit(game)
    if certify(game, [profile])[1][0] <= ROUNDING:
        return profile, steps, status
    own_units = NormalFormGame([tensor / (float(np.ptp(tensor)) or 1.0) for tensor in game.compared_payoffs])
    other, more, again = _limit(own_units)
    if certify(game, [other])[1][0] <= ROUNDING:
        return other, steps + more, again
    return profile, steps + more, status


def _limit(game: NormalFormGame) -> tuple[Profile, int, str]:
    """The end of the branch in the units of the game."""
    unit = game.payoff_range or 1.0
    branch = logit_branch(game, _LIMIT_PRECISION / unit)
    last = tuple(part[-1] for part in branch.profile)
    exact = _on_supports([tensor / unit for tensor in game.compared_payoffs], last)
    better = exact is not None and regret(game, exact) <= regret(game, last)
    return (exact if exact is not None and better else last), len(branch.precision) - 1, branch.status


def _on_supports(payoffs: list[NDArray[np.float64]], near: Profile) -> Profile | None:
    """Solve u_i(a, p) = v_i on the supports of a profile by Newton's method; None if no probabilities come out."""
    n = len(payoffs)
    supports = [np.flatnonzero(strategy > _SUPPORT) for strategy in near]
    cut = [tensor[np.ix_(*supports)] for tensor in payoffs]
    p = [strategy[chosen] / strategy[chosen].sum() for strategy, chosen in zip(near, supports, strict=True)]
    sizes = [len(chosen) for chosen in supports]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    total = int(starts[-1])
    v = np.array([float(contracted(cut[i], p, {i}) @ p[i]) for i in range(n)])
    for _ in range(_NEWTON_STEPS):
        values, jacobian = np.empty(total + n), np.zeros((total + n, total + n))
        for i in range(n):
            own = slice(starts[i], starts[i + 1])
            values[own] = contracted(cut[i], p, {i}) - v[i]
            jacobian[own, total + i] = -1.0
            values[total + i] = p[i].sum() - 1.0
            jacobian[total + i, own] = 1.0
            for j in range(n):
                if j != i:
                    pair = contracted(cut[i], p, {i, j})
                    jacobian[own, starts[j] : starts[j + 1]] = pair if i < j else pair.T
        change = np.linalg.lstsq(jacobian, values, rcond=None)[0]
        p = [p[i] - change[starts[i] : starts[i + 1]] for i in range(n)]
        v = v - change[total:]
        if np.abs(change).max() <= 1e-14 * max(1.0, float(np.abs(v).max())):
            break
    if not all(np.isfinite(part).all() and (part >= -1e-12).all() for part in p):
        return None
    result = []
    for size, chosen, part in zip(payoffs[0].shape, supports, p, strict=True):
        strategy = np.zeros(size)
        strategy[chosen] = np.maximum(part, 0.0)
        result.append(strategy / strategy.sum())
    return tuple(result)
