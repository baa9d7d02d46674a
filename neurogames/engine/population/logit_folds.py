"""Closed forms of the mean field of logit choice in the club game: where its velocity turns, and where it folds.

With u the adopt probability sigma(f(x)/tau) and f(x) = kappa x - c, the velocity turns where u (1 - u) = tau / (keep
kappa), that is at u = (1 -/+ sqrt(1 - 4 tau / (keep kappa))) / 2. A turning point touches 0 at the cost

    c_fold = kappa (keep u + (1 - keep)/2) - tau ln(u / (1 - u)).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurogames.engine.choice import Logit
from neurogames.engine.process import Process
from neurogames.games.base import TwoActionGame
from neurogames.games.public_goods import ClubGood, PublicGoodsGame


def logit_club(game: TwoActionGame, process: Process) -> tuple[float, float, float] | None:
    """(tau, kappa, c) when the closed forms hold."""
    if isinstance(game, PublicGoodsGame) and isinstance(game.good, ClubGood) and isinstance(process.choice, Logit):
        return float(process.choice.temperature), game.multiplier, game.cost  # type: ignore[arg-type]
    return None


def _bend(tau: float, kappa: float, keep: float) -> tuple[float, float] | None:
    """The two adopt probabilities u at which v' = 0; None when v falls throughout."""
    inside = 1.0 - 4.0 * tau / (keep * kappa)
    if inside <= 0:
        return None
    # The smaller root by the product of the two, tau / (keep kappa), which cancels nothing.
    larger = 0.5 * (1.0 + np.sqrt(inside))
    return float(tau / (keep * kappa) / larger), float(larger)


def _log_odds(bend: tuple[float, float]) -> NDArray[np.float64]:
    """Values ln(u / (1 - u)) of both: since they add up to 1, the smaller one says both without cancelling."""
    return np.asarray(np.log(max(bend[0], np.finfo(float).tiny) / bend[1]) * np.array([1.0, -1.0]))


def fold_costs(tau: float, kappa: float, keep: float) -> tuple[float, ...]:
    """Costs at which a turning point of v touches 0, in increasing order."""
    bend = _bend(tau, kappa, keep)
    if bend is None:
        return ()
    odds = tau * _log_odds(bend)
    return tuple(kappa * (keep * u + 0.5 * (1.0 - keep)) - shift for u, shift in zip(bend, odds, strict=True))


def turning_points(game: TwoActionGame, process: Process) -> list[float] | None:
    """Shares in (0, 1) at which v turns, in closed form; None when there is none."""
    closed = logit_club(game, process)
    if closed is None:
        return None
    tau, kappa, cost = closed
    keep = float(process.keep_prob) if process.masked == "blind" else 1.0  # type: ignore[arg-type]
    bend = _bend(tau, kappa, keep)
    shares = [] if bend is None else ((cost + tau * _log_odds(bend)) / kappa).tolist()
    if shares and shares[1] - shares[0] < 8.0 * np.finfo(float).eps:  # so cold that v jumps between neighbouring floats
        middle, apart = 0.5 * (shares[0] + shares[1]), 4.0 * np.finfo(float).eps
        shares = [middle - apart, middle + apart]
    return [share for share in shares if 0.0 < share < 1.0]
