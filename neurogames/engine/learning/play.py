"""Players who learn a game in normal form by playing it again and again, many replicas at once.

Every round all draw an action from their present choice at once, are paid, and learn by their rule. What comes out is
how often each profile was played. Whether that is an equilibrium of some kind is computed from these counts and the
game alone, so a learner cannot vouch for itself:

    correlated gap   the most that a player gains by a rule that changes his actions of the empirical joint law
    coarse gap       the most that a player gains by one fixed action instead
    Nash gap         the most that a player gains against the product of the empirical frequencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import fits_in_memory, given_array, integer, invalid_argument
from neurogames.engine.learning import rounds as loops
from neurogames.engine.learning.rounds import Players, play_rounds
from neurogames.engine.learning.rules import Exp3, FictitiousPlay, LearningRule, QLearning, RegretMatching
from neurogames.engine.learning.trajectory import LearningTrajectory
from neurogames.engine.pieces import Stretch, play_in_pieces
from neurogames.engine.population import generator
from neurogames.games.normal_form import NormalFormGame, check_game

_PIECE = 2**21
"""Actions looked at between two looks for Ctrl-C: a fraction of a second."""
_MOST_ROUNDS = 10**11
"""The work of hours."""


def simulate_learning(
    game: NormalFormGame,
    rules: LearningRule | Sequence[LearningRule],
    *,
    rounds: int,
    replicas: int = 1,
    rng: np.random.Generator,
    times: ArrayLike | None = None,
    threads: int = 1,
) -> LearningTrajectory:
    """Let players learn a game by playing it in rounds.

    Args:
        game: the game.
        rules: how they learn: one rule for all, such as ``RegretMatching()``, or one for each player.
        rounds: number of rounds, at most 10^11.
        replicas: number of independent repetitions.
        rng: source of the replicas' seeds; a replica's path does not depend on how many others there are.
        times: increasing rounds in 1..rounds after which to look; 1, 2, 5, 10, 20, 50, ... and the last by default.
        threads: number of threads that share the replicas; the paths do not depend on it.

    Returns:
        How often each profile was played up to these times, with the gaps.

    Raises:
        ValueError: if an argument is out of range, or there is neither one rule nor one for each player.

    >>> chicken = NormalFormGame.symmetric([[6.0, 2.0], [7.0, 0.0]])
    >>> rng = np.random.default_rng(0)
    >>> path = simulate_learning(chicken, RegretMatching(), rounds=20_000, replicas=3, rng=rng)
    >>> path.time[:4], path.count.shape, bool(path.correlated_gap[:, -1].max() < 0.05)
    (array([ 1,  2,  5, 10]), (3, 14, 2, 2), True)

    Reference: H. P. Young, Strategic Learning and its Limits (2004).
    """
    check_game(game)
    each = _one_for_each(rules, game.n_players)
    rounds = integer("rounds", rounds, minimum=1, maximum=_MOST_ROUNDS)
    replicas = integer("replicas", replicas, minimum=1)
    threads = integer("threads", threads, minimum=1)
    looks = _usual_times(rounds) if times is None else _checked_times(times, rounds)
    cells, n = int(np.prod(game.n_actions)), game.n_players
    fits_in_memory("replicas", replicas, replicas * cells * (looks.size + 1))
    players, width, start = _numbers(game, each)
    state = generator.states(replicas, rng)
    memory = np.tile(start, (replicas, 1))
    last = np.zeros((replicas, n), dtype=np.int64)
    choice = np.tile(np.concatenate([np.full(size, 1.0 / size) for size in game.n_actions]), (replicas, 1))
    count = np.zeros((replicas, cells), dtype=np.int64)
    record = np.empty((replicas, looks.size, cells), dtype=np.int64)
    begun = 0
    for k, end in enumerate(looks.tolist()):

        def advance(row: slice, part: Stretch, begun: int = begun) -> None:
            begin = begun + part.first
            play_rounds(players, begin, part.sweeps, memory[row], last[row], choice[row], count[row], state[row])

        play_in_pieces(advance, replicas, end - begun, 1, max(1, _PIECE // width), threads)
        begun = end
        record[:, k] = count
    cuts = np.cumsum(game.n_actions)[:-1]
    return LearningTrajectory(
        game, looks, record.reshape(replicas, looks.size, *game.n_actions), tuple(np.split(choice, cuts, axis=1))
    )


def _one_for_each(rules: Any, n: int) -> list[LearningRule]:
    """One rule for each of n players."""
    kinds = (FictitiousPlay, RegretMatching, Exp3, QLearning)
    each = list(rules) if isinstance(rules, Sequence) and not isinstance(rules, str) else [rules] * n
    if len(each) != n or not all(isinstance(rule, kinds) for rule in each):
        got = f"{len(each)} rules" if all(isinstance(rule, kinds) for rule in each) else rules
        raise invalid_argument("rules", got, f"a rule such as RegretMatching(), or one for each of {n} players")
    return each


def _usual_times(rounds: int) -> NDArray[np.int64]:
    """1, 2, 5, 10, 20, 50, ... and the last round."""
    steps = [part * 10**power for power in range(len(str(rounds))) for part in (1, 2, 5)]
    return np.array([*(step for step in steps if step < rounds), rounds], dtype=np.int64)


def _checked_times(times: ArrayLike, rounds: int) -> NDArray[np.int64]:
    """Rounds after which to look."""
    given = given_array("times", times)
    expected = f"increasing whole numbers in 1..{rounds}, the last of them {rounds}"
    if given.dtype.kind not in "iu" or given.ndim != 1 or given.size == 0:
        raise invalid_argument("times", times, expected)
    if given[0] < 1 or given[-1] != rounds or (np.diff(given) <= 0).any():
        raise invalid_argument("times", times, expected)
    return given.astype(np.int64)


def _numbers(game: NormalFormGame, rules: Sequence[LearningRule]) -> tuple[Players, int, NDArray[np.float64]]:
    """Game and rules for compiled code, turns of the players in a round, and what is known at first."""
    payoffs = np.stack([tensor.ravel() - tensor.max() for tensor in game.compared_payoffs])
    whole, real = np.zeros((game.n_players, 6), dtype=np.int64), np.zeros((game.n_players, 3))
    blocks: list[NDArray[np.float64]] = []
    first = place = 0
    for i, (rule, size) in enumerate(zip(rules, game.n_actions, strict=True)):
        length, known, adjusted = size, 0.0, False
        width = float(-payoffs[i].min())
        if isinstance(rule, FictitiousPlay):
            kind = loops.FICTITIOUS
        elif isinstance(rule, RegretMatching) and rule.regret == "external":
            kind = loops.EXTERNAL
        elif isinstance(rule, RegretMatching):
            kind, length = loops.CONDITIONAL, size**2
            most = rule.inertia * float(np.ptp(game.compared_payoffs[i], axis=i).max()) * (size - 1)
            real[i, loops.STRENGTH] = 1.0 / most if most > 0 else 0.0
        elif isinstance(rule, Exp3):
            kind, real[i, loops.STRENGTH] = loops.EXP3, 1.0 / width if width > 0 else 0.0
        else:
            kind, known, adjusted = loops.BOLTZMANN, -width / 2.0, rule.frequency_adjusted
            real[i] = 1.0 / rule.temperature, rule.step_size, rule.decay
        whole[i] = size, int(np.prod(game.n_actions[i + 1 :])), first, place, kind, adjusted
        blocks.append(np.full(length, known))
        first, place = first + size, place + length
    return Players(payoffs, whole, real), first, np.concatenate(blocks)
