"""Players who differ in what they are paid, how noisily they choose, and how often they hear of it.

The process is that of :mod:`neurogames.engine.graphs.graph_matrix`, on a graph or well mixed, but every player i may
have a matrix A_i, a temperature tau_i or intensity beta_i, and a probability keep_i of feedback of its own. Under
imitation each player earns by its own matrix, and compares with its own intensity.
"""

from __future__ import annotations

import threading
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, fits_in_memory, given_array, integer, invalid_argument
from neurogames.engine.choice import SAME, BestResponse, Imitation, Logit
from neurogames.engine.graphs import own_rules
from neurogames.engine.graphs.graph_matrix import GraphTrajectory
from neurogames.engine.graphs.own_rules import Rule, play_own
from neurogames.engine.pieces import Stretch, play_in_pieces
from neurogames.engine.population import generator
from neurogames.engine.process import Process
from neurogames.engine.strategies.switching import check_process, mutation_matrix
from neurogames.games.graph_game import GraphGame
from neurogames.games.population import PopulationGame

_MOST_STRATEGIES = 100
_PIECE = 2**20
"""Payoffs looked at between two looks for Ctrl-C."""


def simulate_heterogeneous(
    game: GraphGame | PopulationGame,
    process: Process,
    *,
    start: ArrayLike,
    sweeps: int,
    matrices: ArrayLike | None = None,
    temperatures: ArrayLike | None = None,
    intensities: ArrayLike | None = None,
    keep_probs: ArrayLike | None = None,
    replicas: int = 1,
    rng: np.random.Generator,
    every: int = 1,
    threads: int = 1,
) -> GraphTrajectory:
    """Simulate m players who differ, on a graph or well mixed.

    Args:
        game: a ``GraphGame``, or a ``PopulationGame.from_matrix`` in which everybody looks at everybody else.
        process: logit, best response or imitation with constant parameters; what is not given below is taken from it.
        start: (m,) or (replicas, m) whole numbers in 0..n-1, what each player uses at time 0.
        sweeps: how long, in sweeps (m single revisions, or one round of all).
        matrices: (m, n, n) what each player is paid for his strategy (row) against another's (column).
        temperatures: (m,) temperatures > 0 of logit, in payoff units.
        intensities: (m,) intensities >= 0 of imitation, per payoff unit.
        keep_probs: (m,) probabilities in (0, 1] that a revising player gets its feedback.
        replicas: number of independent populations.
        rng: source of the replicas' seeds; a replica's path does not depend on how many others there are.
        every: sweeps between two records.
        threads: number of threads that share the replicas; the paths do not depend on it.

    Returns:
        The counts at times 0, every, 2 every, ... up to ``sweeps``, and the strategies at time ``sweeps``.

    Raises:
        ValueError: if an array does not fit game and rule, or game or process is of another kind.

    >>> from neurogames.engine import logit
    >>> game = PopulationGame.from_matrix([[1.0, 0.0], [0.0, 1.0]], 100)
    >>> own = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])[np.arange(100) // 90]
    >>> rng, start = np.random.default_rng(0), np.zeros(100, dtype=int)
    >>> path = simulate_heterogeneous(game, Process(logit(0.05)), start=start, sweeps=50, matrices=own, rng=rng)
    >>> path.strategies[0, :90].mean().round(1), path.strategies[0, 90:].mean().round(1)  # conformists and rebels
    (np.float64(0.0), np.float64(1.0))

    Reference: M. Jackson and Y. Zenou, Games on networks, in Handbook of Game Theory 4 (2015).
    """
    if not isinstance(game, GraphGame) and not (isinstance(game, PopulationGame) and game.matrix is not None):
        raise invalid_argument("game", type(game).__name__, "a GraphGame, or a game made by PopulationGame.from_matrix")
    check_process(process, game.n_strategies)
    n, m = game.n_strategies, game.n_players
    if n > _MOST_STRATEGIES:
        raise invalid_argument("game", f"{n} strategies", f"at most {_MOST_STRATEGIES}")
    replicas = integer("replicas", replicas, minimum=1)
    sweeps = integer("sweeps", sweeps, minimum=0)
    every = integer("every", every, minimum=1)
    threads = integer("threads", threads, minimum=1)
    fits_in_memory("replicas, sweeps", (replicas, sweeps), replicas * max(m, n * (sweeps // every + 1)))
    paid = np.array([cast(NDArray[np.float64], game.matrix)]) if matrices is None else _matrices(matrices, m, n)
    kind, strength = _strength(process, m, temperatures, intensities, float(np.abs(paid).max()))
    keep = _each("keep_probs", keep_probs, m, cast(float, process.keep_prob), "probabilities in (0, 1]")
    if not ((keep > 0) & (keep <= 1)).all():
        raise invalid_argument("keep_probs", f"numbers from {keep.min():g} to {keep.max():g}", "numbers in (0, 1]")
    strategies = _starts(start, replicas, m, n)
    on_graph = isinstance(game, GraphGame)
    edges = (game.first, game.neighbour, game.weight) if isinstance(game, GraphGame) else _nobody()
    mean = not isinstance(game, GraphGame) or game.earnings == "mean"
    rule = Rule(kind, process.masked == "blind", process.mutation != 0.0, process.revision == "all", mean)
    time = np.arange(0, sweeps + 1, every)
    record = np.empty((replicas, time.size, n), dtype=np.int64)
    record[:, 0] = [np.bincount(row, minlength=n) for row in strategies]
    state, mutation = generator.states(replicas, rng), mutation_matrix(process, n)
    work = game.neighbour.size // m + 1 if on_graph else n  # type: ignore[union-attr]

    rooms = threading.local()  # of a replica, kept from piece to piece; each thread has its own

    def advance(row: slice, part: Stretch) -> None:
        if not hasattr(rooms, "later"):
            rooms.later = np.empty(m if rule.together else 0, dtype=np.int8)
        own = (strategies[row], rooms.later, state[row], part, every, record[row])
        play_own(rule, mutation, paid, strength, keep, edges, *own)

    play_in_pieces(advance, replicas, sweeps, m, max(1, _PIECE // work), threads)
    return GraphTrajectory(time.astype(np.float64), record, strategies, game.labels)


def _strength(
    process: Process, m: int, temperatures: Any, intensities: Any, largest: float
) -> tuple[int, NDArray[np.float64]]:
    """The rule, and for each player or for all how sharply it answers payoff differences, or which are rounding."""
    choice = process.choice
    kinds = {Logit: own_rules.LOGIT, BestResponse: own_rules.BEST, Imitation: own_rules.IMITATION}
    if type(choice) not in kinds:
        raise invalid_argument("process", choice, "logit, best_response or imitation, where players differ")
    if temperatures is not None and not isinstance(choice, Logit):
        raise invalid_argument("temperatures", temperatures, f"None, since the rule is {choice}")
    if intensities is not None and not isinstance(choice, Imitation):
        raise invalid_argument("intensities", intensities, f"None, since the rule is {choice}")
    if isinstance(choice, Logit):
        tau = _each("temperatures", temperatures, m, cast(float, choice.temperature), "temperatures > 0")
        if not (tau > 0).all():
            raise invalid_argument("temperatures", f"a least one of {tau.min():g}", "temperatures > 0")
        return kinds[Logit], np.asarray(1.0 / tau)
    if isinstance(choice, Imitation):
        beta = _each("intensities", intensities, m, cast(float, choice.intensity), "intensities >= 0")
        if not (beta >= 0).all():
            raise invalid_argument("intensities", f"a least one of {beta.min():g}", "intensities >= 0")
        return kinds[Imitation], beta
    return kinds[BestResponse], np.array([SAME * largest])


def _each(name: str, value: Any, m: int, common: float, expected: str) -> NDArray[np.float64]:
    """One number for each player, or the one they have in common."""
    if value is None:
        return np.array([common])
    array = finite_array(name, value, ndim=1)
    if array.size != m:
        raise invalid_argument(name, f"{array.size} numbers", f"{m} {expected}, one for each player")
    return array.copy()


def _matrices(value: ArrayLike, m: int, n: int) -> NDArray[np.float64]:
    """A payoff matrix for each player."""
    array = finite_array("matrices", value, ndim=3)
    if array.shape != (m, n, n):
        raise invalid_argument("matrices", f"shape {array.shape}", f"({m}, {n}, {n}), a matrix for each player")
    return array.copy()


def _starts(start: ArrayLike, replicas: int, m: int, n: int) -> NDArray[np.int8]:
    """A fresh array of what each player uses first."""
    given = given_array("start", start)
    if given.dtype.kind not in "iu" or given.shape not in ((m,), (replicas, m)):
        got = f"{given.dtype} of shape {given.shape}"
        raise invalid_argument("start", got, f"whole numbers of shape ({m},) or ({replicas}, {m})")
    if given.min() < 0 or given.max() >= n:
        raise invalid_argument("start", f"numbers from {given.min()} to {given.max()}", f"strategies 0..{n - 1}")
    return np.array(np.broadcast_to(given, (replicas, m)), dtype=np.int8)


def _nobody() -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """No edges, of the kind that a graph has."""
    edges = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32), np.empty(0)
    for array in edges:
        array.flags.writeable = False
    return edges
