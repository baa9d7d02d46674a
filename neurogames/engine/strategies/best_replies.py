"""Best responses in a large population: where they lead, and where they rest.

The velocity jumps where two strategies pay the same, and a state at a tie may rest although the velocity is not 0 on
either side. So the law is a differential inclusion, x' in r (q(s) - x) with s any mixture of best replies to x
(:mod:`neurogames.engine.matrix_dynamics.tied_replies`). With mutations at the rate u and feedback with probability k,

    hold:   r = 1 + u / (n - 1) - (1 - u)(1 - k)        blind:  r = 1 + u / (n - 1)        r a = (1 - u) k.

At rest x = q(s) and s is a symmetric equilibrium of the game with the matrix a A + (1 - a) A 1 1' / n, in which s earns
what it would at q(s). With a = 1 that is the game itself. A point is called

    stable      if one strategy replies best; if s is evolutionarily stable and uses all that tie; or if it is the only
                one and z A z <= 0 along the simplex, as in rock, paper, scissors and in zero-sum games
    unstable    if some other path leaves the point itself
    neutral     otherwise, where none of this decides it.

Reference: J. Hofbauer, From Nash and Brown to Maynard Smith: equilibria, dynamics and ESS, Selection 1 (2000); J.
Hofbauer and W. Sandholm, Stable games and their dynamics, Journal of Economic Theory 144 (2009).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from neurogames._arguments import invalid_argument
from neurogames.engine.equilibria.evolutionary import is_evolutionarily_stable
from neurogames.engine.matrix_dynamics.tied_replies import MOST_SETS, LinearReplies, Sets, n_sets
from neurogames.engine.process import Process
from neurogames.engine.strategies.rest_points import Kind, RestPoint, RestPoints
from neurogames.games.compositions import compositions
from neurogames.games.normal_form import NormalFormGame
from neurogames.games.population import PopulationGame

Array = NDArray[np.float64]

_ROUNDING = 1e-9
_LINEAR = 1e-10
_TESTED = (2, 3)


def replies_of(game: PopulationGame, process: Process) -> LinearReplies:
    """Best replies in one population.

    Raises:
        ValueError: if payoffs are not linear in the shares, or mutations are given by a matrix.
    """
    matrix = linear_payoffs(game)
    if matrix is None:
        expected = "payoffs linear in the shares, as of a matrix game; or logit at a low temperature"
        raise invalid_argument("process", "best_response()", expected)
    rate, weight = pull(process, game.n_strategies)
    return LinearReplies(matrix, (game.n_strategies,), (0,), np.array([rate]), np.array([weight]))


def pull(process: Process, n: int) -> tuple[float, float]:
    """Rate r and weight a with which best replies pull the shares of n strategies."""
    if isinstance(process.mutation, tuple):
        raise invalid_argument(
            "process", "best_response() with a mutation matrix", "a rate of mutation, for a mean field"
        )
    keep, mutation = float(process.keep_prob), process.mutation  # type: ignore[arg-type]
    rate = 1.0 + mutation / (n - 1)
    if process.masked == "hold":
        rate -= (1.0 - mutation) * (1.0 - keep)
    return rate, (1.0 - mutation) * keep / rate


def linear_payoffs(game: PopulationGame) -> Array | None:
    """(n, n) matrix whose payoffs differ between strategies as those of the game do in a large population, or None."""
    if game.matrix is not None:
        return game.matrix
    n = game.n_strategies
    payoffs = game.limit_payoffs(np.eye(n))
    matrix = (payoffs - payoffs[:, :1]).T
    uneven = np.arange(1.0, n + 1) ** 2
    share = np.concatenate([*(compositions(size, n) / size for size in _TESTED), uneven[None] / uneven.sum()])
    payoffs = game.limit_payoffs(share)
    off = np.abs(payoffs - payoffs[:, :1] - share @ matrix.T).max()
    return matrix if off <= _LINEAR * np.abs(payoffs).max() else None


def reply_rest_points(game: LinearReplies, together: bool) -> RestPoints:
    """States at which best responses rest, with their stability.

    Args:
        game: payoffs and rates, of one population or two.
        together: whether all revise at once, by a coin where strategies tie: few mixtures rest then.

    Returns:
        The states.
    """
    if n_sets(game.places) > MOST_SETS:
        raise invalid_argument("game", f"{len(game.payoffs)} strategies", f"at most {MOST_SETS} sets of strategies")
    found, complete = game.equilibria(game.places)
    attracts = not together and complete and len(found) == 1 and _is_stable_game(game)
    points = []
    for replies in sorted(found, key=lambda each: tuple(game.target(each).round(9))):
        share = game.target(replies)
        ties = game.ties(share, _ROUNDING * game.scale)
        if together and np.abs(replies - game.coin(ties)).max() > _ROUNDING:
            continue
        payoffs = game.payoffs @ share
        behind = max(float(payoffs[own].max() - payoffs[own][replies[own] > 0].min()) for own in game.places)
        strict = all(tie.size == 1 for tie in ties)
        directions = len(share) - len(game.sizes)
        growth = np.repeat(-game.rate, [size - 1 for size in game.sizes]) if strict else np.full(directions, np.nan)
        kind: Kind = "stable" if attracts else _kind(game, replies, ties, together)
        points.append(RestPoint(share, kind, growth.astype(np.complex128), behind))
    status = "ok" if complete else "some set of strategies has a continuum of rest points, which is left out"
    return RestPoints(tuple(points), complete, status)


def _kind(game: LinearReplies, replies: Array, ties: Sets, together: bool) -> Kind:
    """Stability, where a criterion decides it."""
    if all(tie.size == 1 for tie in ties):
        return "stable"
    others, complete = game.equilibria(ties)
    if len(others) > 1:
        return "unstable"
    quasi_strict = all((replies[tie] > 0).all() for tie in ties)
    if together or not complete or len(game.sizes) > 1 or not quasi_strict:
        return "neutral"
    weight = game.weight[0]
    matrix = weight * game.payoffs + (1.0 - weight) * game.payoffs.mean(axis=1, keepdims=True)
    return "stable" if is_evolutionarily_stable(NormalFormGame.symmetric(matrix), replies) else "neutral"


def _is_stable_game(game: LinearReplies) -> bool:
    """Whether z M z <= 0 for all z along the simplices, to rounding, where all populations are pulled alike."""
    if np.ptp(game.rate) > 0 or np.ptp(game.weight) > 0:
        return False
    along = block_diag(*(np.eye(size) - 1.0 / size for size in game.sizes))
    return bool(np.linalg.eigvalsh(along @ (game.payoffs + game.payoffs.T) @ along).max() <= _ROUNDING * game.scale)
