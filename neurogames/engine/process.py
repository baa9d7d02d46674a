"""A process says how players revise; with a game it becomes two vectors of switching probabilities.

Everything the engine does follows from these two vectors, indexed by k = 0..N-1, the number of OTHERS who act:

    log_on[k]   log probability that a revising RESTING player beside k actors starts to act
    log_off[k]  log probability that a revising ACTING player beside k other actors stops

They are kept in logarithms together with those of their complements, so that nothing is lost in the tails. The
probability ``keep_prob`` that a player gets its feedback, and what it does without, is already in them:

- masked = "hold": a masked player keeps its action, so both vectors shrink by the factor keep;
- masked = "blind": a masked player sees a payoff difference of 0: logit and best response toss a fair coin, imitation
  copies its model with probability 1/2, the replicator rule stays.

Games of several strategies (``PopulationGame``) have a matrix in the place of the two vectors, with mutation in it; see
:mod:`neurogames.engine.strategies.switching`.

One-at-a-time revision under "hold" is therefore slowed by 1/keep and changed in nothing else. When all revise at once
this is not so, since keep then also sets how many move together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, invalid_argument, number
from neurogames.engine.choice import Choice, Logs
from neurogames.engine.schedules import Parameter, Range
from neurogames.games.base import TwoActionGame, payoff_advantage

Mutation = float | tuple[tuple[float, ...], ...]

KEEP = Range("keep_prob", "a probability in (0, 1]", lambda value: (value > 0) & (value <= 1))


@dataclass(frozen=True)
class Process:
    """How players revise: by what rule, how many at a time, and what a player without feedback does.

    Args:
        choice: the rule, such as ``logit(0.1)``.
        revision: "one" player at a time (N revisions make a sweep), or "all" at once (one round makes a sweep).
        keep_prob: probability in (0, 1] that a revising player gets its feedback, or a schedule of it.
        masked: what a player without feedback does: "hold" its action, or answer "blind" to a zero payoff difference.
        mutation: for games of several strategies (``PopulationGame``): a rate mu in [0, 1), spread equally over the
            other strategies, or an (n, n) matrix Q of probabilities from row to column. Under a rule of reproduction
            (``moran``, ``death_birth``) offspring of i is a j with probability Q_ij; under another rule a revising i
            becomes a j != i with probability Q_ij in the place of a revision.

    Raises:
        ValueError: if an argument is not one of these.

    >>> from neurogames.engine import logit
    >>> Process(logit(0.08), keep_prob=0.5).constant
    True

    Reference: gradient-dropout game, arXiv 2507.19143, which states neither the revision rule nor the mask's meaning.
    """

    choice: Choice
    revision: Literal["one", "all"] = "one"
    keep_prob: Parameter = 1.0
    masked: Literal["hold", "blind"] = "hold"
    mutation: Mutation = 0.0

    def __post_init__(self) -> None:
        if not hasattr(self.choice, "constant"):
            raise invalid_argument("choice", self.choice, "a choice rule such as logit(0.1)")
        if self.revision not in ("one", "all"):
            raise invalid_argument("revision", self.revision, "'one' or 'all'")
        if self.masked not in ("hold", "blind"):
            raise invalid_argument("masked", self.masked, "'hold' or 'blind'")
        object.__setattr__(self, "keep_prob", KEEP.check(self.keep_prob))
        object.__setattr__(self, "mutation", _mutation(self.mutation))

    @property
    def constant(self) -> bool:
        """Whether no parameter is a schedule."""
        return self.choice.constant and not callable(self.keep_prob)


@dataclass(frozen=True, eq=False)
class Switching:
    """Log switching probabilities, each (..., N) over the number k of others who act.

    Attributes:
        log_on: a revising resting player starts to act.
        log_not_on: it does not.
        log_off: a revising acting player stops.
        log_not_off: it does not.
    """

    log_on: NDArray[np.float64]
    log_not_on: NDArray[np.float64]
    log_off: NDArray[np.float64]
    log_not_off: NDArray[np.float64]


def switching(game: TwoActionGame, process: Process, *, progress: ArrayLike = 0.0) -> Switching:
    """Switching probabilities of a process in a game, mask and keep probability included.

    Args:
        game: the game.
        process: the process.
        progress: any shape (...) in [0, 1]; where to evaluate schedules.

    Returns:
        The four vectors, each (..., N).

    Raises:
        ValueError: if a schedule leaves its range.

    >>> from neurogames import PublicGoodsGame, logit
    >>> rates = switching(PublicGoodsGame(20, 0.4, 1.0), Process(logit(0.08)))
    >>> bool(np.allclose(np.exp(rates.log_on), 1 / (1 + np.exp(-((np.arange(20) + 1) / 20 - 0.4) / 0.08))))
    True
    """
    check_played(game, process)
    n, choice = game.n_players, process.choice
    spread = payoff_spread(game)
    if choice.copies:
        ahead = payoff_advantage(game)
        others = np.arange(n) / (n - 1)
        # Beside no actor nobody can be copied, and the advantage of an actor is void there: any number will do.
        on_seen = choice.logs(np.concatenate([[0.0], ahead]), spread, progress)
        off_seen = choice.logs(np.concatenate([-ahead, [0.0]]), spread, progress)
        blind = choice.logs(np.zeros(n), spread, progress)
        on = _meeting(others, _masked(process, on_seen, blind, progress))
        off = _meeting(others[::-1], _masked(process, off_seen, blind, progress))
    else:
        accept, decline = choice.logs(game.gain, spread, progress)
        blind = choice.logs(np.zeros(n), spread, progress)
        on = _masked(process, (accept, decline), blind, progress)
        off = _masked(process, (decline, accept), blind, progress)
    return Switching(on[0], on[1], off[0], off[1])


def limit_switching(game: TwoActionGame, process: Process, share: NDArray[np.float64]) -> Switching:
    """The same four vectors in a large population, over ``share`` (K,) of actors instead of k; constant parameters."""
    choice, spread = process.choice, payoff_spread(game)
    blind = choice.logs(np.zeros(share.size), spread, 0.0)
    if choice.copies:
        ahead = game.limit_payoff_advantage(share)
        on = _meeting(share, _masked(process, choice.logs(ahead, spread, 0.0), blind, 0.0))
        off = _meeting(1.0 - share, _masked(process, choice.logs(-ahead, spread, 0.0), blind, 0.0))
    else:
        accept, decline = choice.logs(game.limit_gain(share), spread, 0.0)
        on = _masked(process, (accept, decline), blind, 0.0)
        off = _masked(process, (decline, accept), blind, 0.0)
    return Switching(on[0], on[1], off[0], off[1])


def check_played(game: TwoActionGame, process: Process) -> None:
    """Refuse what is no process, such as a bare rule, and what is no symmetric two-action game, such as a network."""
    if not isinstance(process, Process):
        raise invalid_argument("process", process, "a Process such as Process(logit(0.1))")
    check_two_action_game(game)
    check_two_actions(process)


def check_two_action_game(game: TwoActionGame) -> None:
    """Refuse what is no symmetric game of two actions."""
    if not (hasattr(game, "gain") and hasattr(game, "baseline")):
        expected = (
            "a symmetric two-action game; see simulate_strategies for several strategies, simulate_network for a graph"
        )
        raise invalid_argument("game", game, expected)


def check_two_actions(process: Process) -> None:
    """Refuse what only games of several strategies have: mutation, and rules of reproduction."""
    if process.mutation != 0.0:
        raise invalid_argument("process", f"mutation {process.mutation}", "mutation 0, but for a PopulationGame")
    if not hasattr(process.choice, "logs"):
        raise invalid_argument("process", process.choice, "a rule such as logit(0.1); Moran's are for a PopulationGame")


def payoff_spread(game: TwoActionGame) -> float:
    """Greatest payoff of the game minus its least."""
    payoffs = np.concatenate([game.baseline, game.baseline + game.gain])
    return float(payoffs.max() - payoffs.min())


def _mutation(value: object) -> Mutation:
    """A rate as a float, a matrix as a tuple of rows."""
    if np.ndim(value) == 0:  # type: ignore[arg-type]
        return number("mutation", value, "a rate in [0, 1), or a matrix", lambda rate: 0 <= rate < 1)
    matrix = finite_array("mutation", value, ndim=2)  # type: ignore[arg-type]
    off = np.abs(matrix.sum(axis=1) - 1.0).max()
    if matrix.shape[0] != matrix.shape[1] or (matrix < 0).any() or off > 1e-9:
        got = f"shape {matrix.shape}, least entry {matrix.min():g}, rows that sum to 1 up to {off:.2g}"
        raise invalid_argument("mutation", got, "a square matrix of probabilities whose rows sum to 1")
    return tuple(tuple(row) for row in matrix.tolist())


def _masked(process: Process, seen: Logs, blind: Logs, progress: ArrayLike) -> Logs:
    """Mix what a player does with feedback and without: keep * seen + (1 - keep) * masked, in logarithms."""
    keep = KEEP.at(process.keep_prob, progress)[..., None]
    if (keep == 1.0).all():
        return seen
    with np.errstate(divide="ignore"):
        log_keep, log_mask = np.log(keep), np.log1p(-keep)
    if process.masked == "hold":
        return log_keep + seen[0], np.logaddexp(log_mask, log_keep + seen[1])
    return np.logaddexp(log_keep + seen[0], log_mask + blind[0]), np.logaddexp(log_keep + seen[1], log_mask + blind[1])


def _meeting(probability: NDArray[np.float64], copied: Logs) -> Logs:
    """First meet a model that does otherwise, then copy it; or meet none, or decline."""
    with np.errstate(divide="ignore"):
        log_meet, log_miss = np.log(probability), np.log1p(-probability)
    return log_meet + copied[0], np.logaddexp(log_miss, log_meet + copied[1])
