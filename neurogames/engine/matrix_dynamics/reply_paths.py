"""Paths of best responses: straight pieces towards best replies, joined where the best reply changes.

While the best replies s stay the same, the shares go to q(s) as z(t) = q + (z(0) - q) exp(-r t), and payoffs are linear
in exp(-r t): the time at which another strategy catches up is known in closed form. There the next replies are found
among those who tie (``tied_replies``): one strategy, or a mixture that keeps several of them tied, in which case the
path slides along the tie. Nothing is integrated.

Reference: J. Hofbauer and K. Sigmund, Evolutionary game dynamics, Bulletin of the AMS 40 (2003), section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine.matrix_dynamics.matrix_dynamics import checked_path, checked_starts, checked_times
from neurogames.engine.matrix_dynamics.matrix_path import MatrixPath
from neurogames.engine.matrix_dynamics.tied_replies import MOST_SETS, LinearReplies, Sets, n_sets

Array = NDArray[np.float64]

_TIE = 1e-10
_COARSEST_TIE = 1e-3
_SWITCHES = 1000
_AT_REST = 1e-9


@dataclass(frozen=True, eq=False)
class ReplyPath:
    """A path of best responses.

    Attributes:
        states: (T, D) shares.
        behind: how much less than the best a strategy that was replied paid at most, over the payoff range.
        status: "ok", or that the path is not the only one from its start, how near ties were told apart, or that
            replies were no best ones.
    """

    states: Array
    behind: float
    status: str


def reply_paths(game: LinearReplies, start: Sequence[ArrayLike], times: ArrayLike) -> MatrixPath:
    """Follow best responses from one start or several.

    Args:
        game: payoffs and rates.
        start: for each population (..., n) shares at time 0; the same leading axes in all.
        times: (T,) increasing times >= 0, in sweeps.

    Returns:
        The path; its status is that of the first start where something is to be said.

    Raises:
        ValueError: as ``reply_path``, or if a start is outside the simplex or of another number of strategies.
    """
    at, states = checked_times(times), checked_starts(start)
    sizes = tuple(state.shape[-1] for state in states)
    if sizes != game.sizes:
        raise invalid_argument("start", f"{sizes} shares", f"{game.sizes}")
    batch = states[0].shape[:-1]
    flat = np.concatenate([state.reshape(-1, state.shape[-1]) for state in states], axis=1)
    found = [reply_path(game, each, at) for each in flat]
    seen = np.stack([each.states for each in found], axis=1).reshape(at.size, *batch, -1)
    status = next((each.status for each in found if each.status != "ok"), "ok")
    return checked_path(at, tuple(np.split(seen, np.cumsum(sizes)[:-1], axis=-1)), status)


def reply_path(game: LinearReplies, start: Array, times: Array) -> ReplyPath:
    """Follow best responses from one start.

    Where several paths lead on from a tie, one that rests there is taken; else that of a coin tossed among those who
    tie, as long as it keeps them tied.

    Args:
        game: payoffs and rates.
        start: (D,) shares.
        times: (T,) increasing times >= 0, in sweeps.

    Returns:
        The path.

    Raises:
        ValueError: if several paths lead on from a tie, and none of them is of this kind.
    """
    rate = np.repeat(game.rate, game.sizes)
    states = np.empty((times.size, start.size))
    now, state, done, switches, window = 0.0, start, 0, 0, 0.0
    tolerance, behind, forked = _TIE, 0.0, None
    known: dict[tuple[tuple[int, ...], ...], tuple[list[Array], bool]] = {}
    while done < times.size:
        ties = game.ties(state, tolerance * game.scale)
        name = tuple(map(tuple, ties))
        if name not in known:
            known[name] = _equilibria(game, ties, now)
        replies, others = _chosen(game, state, ties, known[name], now)
        forked = now if others and forked is None else forked
        target = game.target(replies)
        behind = max(behind, _behind(game, state, replies))
        wait, arrival = _next_tie(game, state, target, replies, ties)
        while done < times.size and times[done] <= now + wait:
            states[done] = target + (state - target) * np.exp(-rate * (times[done] - now))
            done += 1
        now, state, switches = now + wait, arrival, switches + 1
        if switches % _SWITCHES == 0:
            if now - window < 1.0 / game.rate.max():
                tolerance = min(10.0 * tolerance, _COARSEST_TIE)
            window = now
    notes = [] if forked is None else [f"from time {forked:.4g} on it is one of several paths that leave a tie"]
    if tolerance > _TIE:
        notes.append(f"replies change ever faster: payoffs within {tolerance:.0e} of their range count as tied")
    behind /= game.scale
    if behind > 2.0 * tolerance:
        notes.append(f"a strategy was replied that paid {behind:.0e} of the range of payoffs less than the best")
    return ReplyPath(states, behind, "; ".join(notes) or "ok")


def _equilibria(game: LinearReplies, ties: Sets, now: float) -> tuple[list[Array], bool]:
    """Replies with which a path can go on, and whether there are no others."""
    if all(tie.size == 1 for tie in ties):
        return [game.coin(ties)], True
    if n_sets(ties) <= MOST_SETS:
        return game.equilibria(ties)
    coin = game.coin(ties)
    if game.goes_on(coin, ties):
        return [coin], False
    got = f"a tie with {n_sets(ties):g} sets of tied strategies at time {now:.4g}"
    raise invalid_argument("start", got, f"at most {MOST_SETS}")


def _chosen(
    game: LinearReplies, state: Array, ties: Sets, equilibria: tuple[list[Array], bool], now: float
) -> tuple[Array, bool]:
    """Replies with which the path goes on, and whether there are others."""
    found, complete = equilibria
    if complete and len(found) == 1:
        return found[0], False
    for replies in found:
        if np.abs(game.target(replies) - state).max() < _AT_REST:
            return replies, True
    coin = game.coin(ties)
    if game.goes_on(coin, ties):
        return coin, True
    if len(found) != 1:
        got = f"a tie at time {now:.4g} from which several paths lead on"
        raise invalid_argument("start", got, "shares from which one path leads on; any small change of them will do")
    return found[0], True


def _next_tie(game: LinearReplies, state: Array, target: Array, replies: Array, ties: Sets) -> tuple[float, Array]:
    """Time until a strategy that does not tie catches up, infinite if none does, and the shares then."""
    level, fading = game.payoffs @ target, game.payoffs @ (state - target)
    best = np.repeat([tie[replies[tie] > 0][0] for tie in ties], game.sizes)
    ahead, change = level - level[best], fading[best] - fading
    # Behind now, ahead in the end: ahead - change exp(-r t) = 0.
    catching = (ahead > 0) & (change > ahead)
    catching[np.concatenate(ties)] = False
    rate = np.repeat(game.rate[list(game.source)], game.sizes)
    wait = float((np.log(change[catching] / ahead[catching]) / rate[catching]).min(initial=np.inf))
    return wait, target + (state - target) * np.exp(-np.repeat(game.rate, game.sizes) * wait)


def _behind(game: LinearReplies, state: Array, replies: Array) -> float:
    """How much less than the best a strategy in use pays, at most."""
    payoffs = game.payoffs @ state
    return max(float(payoffs[own].max() - payoffs[own][replies[own] > 0].min()) for own in game.places)
