"""What a finite chain answers, whatever its states are: its matrix, long run, first passages and laws in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import integer, invalid_argument
from neurogames.engine.solution import EscapeTime
from neurogames.engine.strategies.moves import Moves
from neurogames.engine.strategies.reduction import log_passage, log_stationary

Array = NDArray[np.float64]


def transition_matrix(moves: Moves, stays: bool) -> Any:
    """(S, S) probabilities of a step, a ``scipy.sparse.csr_array``; ``stays``: those to stay are not in the moves."""
    from scipy.sparse import csr_array

    size = len(moves.states)
    row = np.broadcast_to(np.arange(size)[:, None], moves.target.shape)
    entries = (np.exp(moves.log_probability).ravel(), (row.ravel(), moves.target.ravel()))
    matrix = csr_array(entries, shape=(size, size))
    if stays:
        matrix = csr_array(matrix + csr_array((np.exp(moves.log_stay), (range(size), range(size)))))
    matrix.eliminate_zeros()
    return matrix


def stationary_law(moves: Moves) -> tuple[Array, float, str]:
    """(S,) log stationary law, its residual, and "ok" or why it is not unique, with NaN in the place of the others."""
    size = len(moves.states)
    classes = _closed_classes(moves)
    if len(classes) > 1:
        first = ", ".join(str(tuple(map(int, moves.states[places[0]]))) for places in classes[:5])
        status = f"not unique: {len(classes)} sets of compositions are never left, with {first}"
        return np.full(size, np.nan), float("nan"), status
    everywhere = np.full(size, -np.inf)
    everywhere[classes[0]], residual = log_stationary(moves, classes[0])
    return everywhere, residual, "ok"


def escape(moves: Moves, place: int, target: Callable[[NDArray[np.int64]], Any], revisions: int) -> EscapeTime:
    """Expected time from a state to a set of states.

    Args:
        moves: the chain.
        place: number of the first state.
        target: takes the states and returns booleans, True in the set.
        revisions: steps in a sweep.

    Raises:
        ValueError: if the target answers otherwise, or is empty.
    """
    inside = np.asarray(target(moves.states.copy()))
    if inside.dtype != np.bool_ or inside.shape != (len(moves.states),) or not inside.any():
        got = f"{inside.dtype} of shape {inside.shape}, {int(inside.sum())} of them true"
        raise invalid_argument("target", got, f"({len(moves.states)},) booleans, one at least True")
    if inside[place]:
        return EscapeTime(-np.inf, 0.0)
    return first_passage(moves, place, np.where(inside, 0, -1).astype(np.int64), 1, revisions)[1]


def absorbed(moves: Moves, place: int, ends: NDArray[np.int64], revisions: int) -> tuple[Array, EscapeTime, float]:
    """From one state: log probabilities of each of some states to be the first, the time until then, the residual."""
    goal = np.full(len(moves.states), -1)
    goal[ends] = np.arange(ends.size)
    if goal[place] >= 0:
        return np.where(ends == place, 0.0, -np.inf), EscapeTime(-np.inf, 0.0), 0.0
    return first_passage(moves, place, goal, ends.size, revisions)


def first_passage(
    moves: Moves, place: int, goal: NDArray[np.int64], goals: int, revisions: int
) -> tuple[Array, EscapeTime, float]:
    """From one state: log probabilities of the goals, the time until one is reached, and the residual."""
    from scipy.sparse.csgraph import breadth_first_order

    graph = _graph(moves, goal < 0)
    reached = np.sort(breadth_first_order(graph, place, return_predecessors=False)).astype(np.intp)
    places = reached[goal[reached] < 0]
    log_hit, log_time, residual = log_passage(moves, places, goal, goals)
    at = int(np.searchsorted(places, place))
    return log_hit[at], EscapeTime(float(log_time[at] - np.log(revisions)), residual), residual


def laws_in_time(matrix: Any, place: int, sweeps: int | Sequence[int], revisions: int) -> tuple[Array, float]:
    """Log law after some sweeps from one state, (S,) or (T, S), and how far its mass is from 1.

    Raises:
        ValueError: if the times do not increase.
    """
    several = isinstance(sweeps, Sequence | np.ndarray)
    times = [integer("sweeps", time, minimum=0) for time in np.atleast_1d(sweeps)]
    if not times or (np.diff(times) <= 0).any():
        raise invalid_argument("sweeps", sweeps, "a whole number or an increasing sequence of them")
    onward = matrix.T.tocsr()
    law = np.zeros(matrix.shape[0])
    law[place] = 1.0
    seen, now = [], 0
    for time in times:
        for _ in range(revisions * (time - now)):
            law = onward @ law
        now = time
        seen.append(law)
    laws = np.stack(seen)
    residual = float(np.abs(laws.sum(axis=-1) - 1.0).max())
    with np.errstate(divide="ignore"):
        log_laws = np.log(laws)
    return (log_laws if several else log_laws[0]), residual


def _closed_classes(moves: Moves) -> list[NDArray[np.intp]]:
    """Sets of states that are never left and cannot be split."""
    from scipy.sparse.csgraph import connected_components

    graph = _graph(moves, np.ones(len(moves.states), dtype=np.bool_))
    number, label = connected_components(graph, directed=True, connection="strong")
    row, column = graph.nonzero()
    left = np.unique(label[row[label[row] != label[column]]])
    return [np.flatnonzero(label == index) for index in range(number) if index not in left]


def _graph(moves: Moves, sources: NDArray[np.bool_]) -> Any:
    """Which states a move leads to, from those in ``sources``."""
    from scipy.sparse import csr_array

    size = len(moves.states)
    possible = (moves.log_probability > -np.inf) & sources[:, None]
    row = np.broadcast_to(np.arange(size)[:, None], possible.shape)[possible]
    return csr_array((np.ones(row.size, dtype=np.int8), (row, moves.target[possible])), shape=(size, size))
