"""What a revising player with n strategies does: a matrix of log probabilities, from its strategy to the next one.

All views of a process follow from this matrix, as those of two actions follow from two vectors. In a population of N
players of whom C_j use strategy j, let u_j be what a user of j earns, and v_ij what strategy j would pay to a user of i
who changed alone. A revising user of i goes to j with probability

    logit, best response            softmax_j(v_ij / tau), or 1 over the number of the best
    imitation, replicator (j != i)  C_j / (N - 1) times the probability to copy at a difference of u_j - u_i
    moran                           C_j f(u_j) / sum_k C_k f(u_k)
    death_birth                     (C_j - [i = j]) f(u_j) / sum_k (C_k - [i = k]) f(u_k)

then masks, and mutation. In a large population shares stand for C_j / N, and v_ij = u_j.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine.choice import BestResponse, Choice, Logit, Replicator
from neurogames.engine.process import Process
from neurogames.engine.strategies.reproduction import Reproduction
from neurogames.games.population import PopulationGame

Array = NDArray[np.float64]


def check_strategies(game: PopulationGame, process: Process) -> None:
    """Refuse what is no game of a population, no process, or a process that is not meant for it."""
    if not isinstance(game, PopulationGame):
        raise invalid_argument(
            "game", type(game).__name__, "a PopulationGame, such as PopulationGame.from_matrix(A, 100)"
        )
    check_process(process, game.n_strategies)


def check_process(process: Process, n: int) -> None:
    """Refuse what is no process, or one that is not meant for n strategies."""
    if not isinstance(process, Process):
        raise invalid_argument("process", process, "a Process such as Process(logit(0.1))")
    if not process.constant:
        raise invalid_argument("process", "a process with schedules", "constant parameters for several strategies")
    if isinstance(process.choice, Reproduction):
        if process.keep_prob != 1.0:
            raise invalid_argument("process", f"keep_prob {process.keep_prob}", "1, since offspring gets no feedback")
    elif not (process.choice.copies or isinstance(process.choice, Logit | BestResponse)):
        raise invalid_argument("process", process.choice, "logit, best_response or a rule that copies")
    if isinstance(process.mutation, tuple) and len(process.mutation) != n:
        got = f"a mutation matrix of {len(process.mutation)} rows"
        raise invalid_argument("process", got, f"{n} rows, one for each strategy")


def mutation_matrix(process: Process, n: int) -> Array:
    """(n, n) probabilities that a strategy mutates into another one."""
    if isinstance(process.mutation, tuple):
        return np.array(process.mutation)
    off = np.full((n, n), process.mutation / (n - 1))
    np.fill_diagonal(off, 1.0 - process.mutation)
    return off


def log_switching(
    game: PopulationGame, process: Process, counts: NDArray[np.int64], spread: float | None = None
) -> Array:
    """Log probabilities that a revising user of i next uses j.

    Args:
        game: the game.
        process: the process.
        counts: (S, n) compositions of the population.
        spread: the range of payoffs that the rule asks for (``rule_range``); that of the game when left out.

    Returns:
        (S, n, n); rows of strategies that nobody uses have no meaning.

    Raises:
        ValueError: if a payoff is not finite or a fitness not positive.

    >>> from neurogames.engine import imitation
    >>> game = PopulationGame.from_matrix([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], 3)
    >>> np.exp(log_switching(game, Process(imitation(0.0)), np.array([[1, 1, 1]]))).round(3)[0, 0]
    array([0.5 , 0.25, 0.25])
    """
    size, n = counts.shape
    players = game.n_players
    one = np.eye(n, dtype=np.int64)
    # What others an absent strategy would have does not matter; those of a present one can be asked for.
    out = np.where(counts[:, :, None] > 0, one, one[counts.argmax(axis=1)][:, None, :])
    offers = game.payoffs(counts[:, None, :] - out)
    own = offers[:, np.arange(n), np.arange(n)]
    rivals = np.maximum(counts[:, None, :] - one, 0) / (players - 1)
    everyone = np.broadcast_to((counts / players)[:, None, :], (size, n, n))
    return log_rule(process, payoff_spread(game, process) if spread is None else spread, offers, own, rivals, everyone)


def limit_log_switching(game: PopulationGame, process: Process, share: Array) -> Array:
    """The same in a large population, over ``share`` (S, n) of the strategies."""
    size, n = share.shape
    own = game.limit_payoffs(share)
    everyone = np.broadcast_to(share[:, None, :], (size, n, n))
    offers = np.broadcast_to(own[:, None, :], (size, n, n))
    return log_rule(process, payoff_spread(game, process), offers, own, everyone, everyone)


def log_rule(process: Process, spread: float, offers: Array, own: Array, rivals: Array, everyone: Array) -> Array:
    """Apply rule, mask and mutation; ``rivals`` and ``everyone`` are (S, n, n) laws of the model, seen from a row."""
    choice = process.choice
    n = own.shape[-1]
    mutation = mutation_matrix(process, n)
    with np.errstate(divide="ignore"):
        log_mutation = np.log(mutation)
        if isinstance(choice, Reproduction):
            log_weight = np.log(rivals if choice.among_others else everyone) + choice.log_fitness(own)[:, None, :]
            log_born = log_weight - np.logaddexp.reduce(log_weight, axis=-1, keepdims=True)
            if process.mutation == 0.0:
                return np.asarray(log_born)
            return np.asarray(np.logaddexp.reduce(log_born[..., :, None] + log_mutation, axis=-2))
        seen = _log_revision(choice, offers, own, rivals, spread)
        keep = cast(float, process.keep_prob)
        if keep < 1.0:
            if process.masked == "hold":
                masked = np.broadcast_to(np.log(np.eye(n)), seen.shape)
            else:
                masked = _log_revision(choice, 0.0 * offers, 0.0 * own, rivals, spread)
            seen = np.logaddexp(np.log(keep) + seen, np.log1p(-keep) + masked)
        if process.mutation == 0.0:
            return seen
        staying = np.diag(log_mutation).copy()
        np.fill_diagonal(log_mutation, -np.inf)
        return np.logaddexp(log_mutation, staying[:, None] + seen)


def payoff_spread(game: PopulationGame, process: Process) -> float:
    """The range of payoffs that a rule asks for; see ``rule_range``."""
    asks = isinstance(process.choice, Replicator) or (
        isinstance(process.choice, BestResponse) and game.matrix is not None
    )
    return rule_range(process.choice, *game.payoff_range()) if asks else 0.0


def rule_range(choice: Choice, least: float, most: float) -> float:
    """Greatest payoff minus the least for ``replicator``, the greatest in size for best responses, else 0."""
    if isinstance(choice, Replicator):
        return most - least
    return max(abs(least), abs(most)) if isinstance(choice, BestResponse) else 0.0


def _log_revision(choice: Choice, offers: Array, own: Array, rivals: Array, spread: float) -> Array:
    """What a player does whose feedback is there; the probability to stay is a sum, never a difference."""
    if isinstance(choice, Logit):
        return choice.log_answers(offers)
    if isinstance(choice, BestResponse):
        return choice.log_answers(offers, spread)
    log_copy, log_decline = choice.logs(own[:, None, :] - own[:, :, None], spread, 0.0)
    log_meet = np.log(rivals)
    moves = log_meet + log_copy
    n = own.shape[-1]
    itself = np.eye(n, dtype=bool)
    stay = np.logaddexp.reduce(np.where(itself, log_meet, log_meet + log_decline), axis=-1)
    return np.where(itself, stay[..., None], moves)
