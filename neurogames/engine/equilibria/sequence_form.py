"""Zero-sum games in extensive form, solved by the sequence form: one linear program, no normal form.

A behaviour strategy of perfect recall is a plan x over the player's own sequences, linear in the tree: x of the empty
sequence is 1, and at each information set the sequences that go on share what led there, E x = e, x >= 0. With A the
expected payoffs of the first player over pairs of sequences,

    max_x min_y x A y = max f p   over   E x = e, x >= 0, F' p <= A' x,

whose shadow prices are the second player's plan. The program is as large as the tree, not as its normal form. The
certificate does not come from it: the best reply to each plan is found by one pass over the sequences from the longest
to the empty one, and what both players could gain in all bounds the error of the value.

Reference: D. Koller, N. Megiddo and B. von Stengel, Fast algorithms for finding randomized strategies in game trees,
STOC 1994; B. von Stengel, Efficient computation of behavior strategies, Games and Economic Behavior 14 (1996).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine.solution import ROUNDING, certified
from neurogames.games.extensive import ExtensiveGame, Own, check_extensive

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SequenceFormSolution:
    """Optimal behaviour strategies of a zero-sum game in extensive form.

    Attributes:
        strategy: for each information set of the game, the probabilities of its actions: those of chance at chance's
            sets, uniform where the player's own strategy never leads.
        value: what the first player gets, in the middle between what each player secures.
        exploitability: what both players could gain in all by best replies, in payoff units, computed from the tree.
        status: "ok", or that it is above 1e-9 of the range of the payoffs.
        n_sequences: number of sequences of each player.
    """

    strategy: tuple[Vector, ...]
    value: float
    exploitability: float
    status: str
    n_sequences: tuple[int, int]


class _Side(NamedTuple):
    """Sequences of one player.

    Attributes:
        sequences: the empty one first, each after those that it extends.
        parent: number of the sequence without its last move; -1 for the empty one.
        place: number of the information set of its last move; -1 for the empty one.
    """

    sequences: tuple[Own, ...]
    parent: NDArray[np.intp]
    place: NDArray[np.intp]


def solve_sequence_form(game: ExtensiveGame) -> SequenceFormSolution:
    """Solve a two-player game of perfect recall in extensive form whose payoffs add up to one constant.

    Args:
        game: two players; the sum of their payoffs is the same at every end.

    Returns:
        Optimal behaviour strategies, value and exploitability.

    Raises:
        ValueError: if there are not two players, the sum is not constant, or a player has imperfect recall.

    >>> from neurogames.games.efg import parse_efg
    >>> poker = '''EFG 2 R "poker of two cards" { "Ann" "Bob" } c "" 1 "" { "high" 1/2 "low" 1/2 } 0
    ...     p "" 1 1 "high" { "raise" "fold" } 0 p "" 2 1 "" { "call" "pass" } 0 t "" 1 "" { 2, -2 }
    ...     t "" 2 "" { 1, -1 } t "" 3 "" { -1, 1 }
    ...     p "" 1 2 "low" { "raise" "fold" } 0 p "" 2 1 0 t "" 4 "" { -2, 2 } t "" 2 t "" 3'''
    >>> solved = solve_sequence_form(parse_efg(poker))
    >>> round(solved.value, 6), solved.strategy[3].round(4), solved.status
    (0.333333, array([0.3333, 0.6667]), 'ok')

    Reference: B. von Stengel, Efficient computation of behavior strategies, Games and Economic Behavior 14 (1996),
    section 5.
    """
    check_extensive(game)
    if game.n_players != 2:
        raise invalid_argument("game", f"{game.n_players} players", "2 players")
    sums = np.array([payoffs[0] + payoffs[1] for _, payoffs, _ in game.leaves])
    size = max(max(map(abs, payoffs)) for _, payoffs, _ in game.leaves)
    if np.ptp(sums) > ROUNDING * size:
        got = f"payoff sums from {sums.min():g} to {sums.max():g}"
        raise invalid_argument("game", got, "a constant sum of the payoffs; see reduced_normal_form and solve_nash")
    first, second = _side(game, 0), _side(game, 1)
    payoff = _payoffs(game, first, second)
    x, y = _program(payoff, first, second)
    strategy = _behaviour(game, (first, second), (x, y))
    x, y = _plan(first, strategy), _plan(second, strategy)
    secured, allowed = -_best_reply(second, -(x @ payoff)), _best_reply(first, payoff @ y)
    gap = max(float(allowed - secured), 0.0)
    stake = float(np.ptp([payoffs[0] for _, payoffs, _ in game.leaves])) or 1.0
    return SequenceFormSolution(
        strategy,
        0.5 * float(secured + allowed),
        gap,
        certified(gap / stake, what="both could gain a share of the range of"),
        (len(first.sequences), len(second.sequences)),
    )


def _side(game: ExtensiveGame, player: int) -> _Side:
    """Sequences of a player, with what they extend."""
    sequences = game.sequences(player)
    number = {own: k for k, own in enumerate(sequences)}
    parent = np.array([number[own[:-1]] if own else -1 for own in sequences])
    place = np.array([own[-1][0] if own else -1 for own in sequences])
    return _Side(sequences, parent, place)


def _payoffs(game: ExtensiveGame, first: _Side, second: _Side) -> Any:
    """Sparse (sequences, sequences) expected payoffs of the first player."""
    from scipy.sparse import csr_array

    rows, columns = ({own: k for k, own in enumerate(side.sequences)} for side in (first, second))
    entries = [(chance * payoffs[0], rows[own[0]], columns[own[1]]) for chance, payoffs, own in game.leaves]
    value, row, column = map(np.array, zip(*entries, strict=True))
    return csr_array((value, (row, column)), shape=(len(rows), len(columns)))


def _constraints(side: _Side) -> Any:
    """Sparse E of E x = e: the empty sequence, then one row for each information set."""
    from scipy.sparse import csr_array

    places = np.unique(side.place)  # -1 first
    row = np.searchsorted(places, side.place)
    leading = np.unique(np.stack([row, side.parent])[:, side.place >= 0], axis=1)
    values = np.concatenate([np.ones(row.size), -np.ones(leading.shape[1])])
    at = np.concatenate([row, leading[0]]), np.concatenate([np.arange(row.size), leading[1]])
    return csr_array((values, at), shape=(places.size, row.size))


def _program(payoff: Any, first: _Side, second: _Side) -> tuple[Vector, Vector]:
    """Plans of both players, from the linear program of the first one and its shadow prices."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, hstack

    mine, theirs = _constraints(first), _constraints(second)
    goal = np.zeros(mine.shape[1] + theirs.shape[0])
    goal[mine.shape[1]] = -1.0
    right = np.zeros(mine.shape[0])
    right[0] = 1.0
    answer: Any = linprog(
        goal,
        A_ub=hstack([-payoff.T / (abs(payoff).max() or 1.0), theirs.T], format="csr"),
        b_ub=np.zeros(theirs.shape[1]),
        A_eq=hstack([mine, csr_array((mine.shape[0], theirs.shape[0]))], format="csr"),
        b_eq=right,
        bounds=[(0, None)] * mine.shape[1] + [(None, None)] * theirs.shape[0],
        method="highs",
    )
    if answer.status != 0:  # uniform strategies then, and the certificate says what they are worth
        return np.zeros(mine.shape[1]), np.zeros(theirs.shape[1])
    return np.asarray(answer.x[: mine.shape[1]]), np.asarray(-answer.ineqlin.marginals)


def _behaviour(game: ExtensiveGame, sides: tuple[_Side, _Side], plans: tuple[Vector, Vector]) -> tuple[Vector, ...]:
    """Probabilities of the actions at each information set, from the weights of sequences."""
    found = [np.array(place.chance) for place in game.information_sets]
    for side, plan in zip(sides, plans, strict=True):
        for h in np.unique(side.place[side.place >= 0]):
            weight = np.maximum(plan[side.place == h], 0.0)
            found[h] = weight / weight.sum() if weight.sum() > ROUNDING else np.full(weight.size, 1.0 / weight.size)
    return tuple(found)


def _plan(side: _Side, strategy: tuple[Vector, ...]) -> Vector:
    """Weights of sequences under a behaviour strategy."""
    plan = np.ones(len(side.sequences))
    for k, own in enumerate(side.sequences):
        if own:
            place, action = own[-1]
            plan[k] = plan[side.parent[k]] * strategy[place][action]
    return plan


def _best_reply(side: _Side, payoff: Vector) -> float:
    """Greatest payoff of a plan when each sequence pays what it says, from the longest sequences to the empty one."""
    worth = payoff.astype(np.float64).copy()
    for h in sorted(set(side.place[side.place >= 0].tolist()), key=lambda h: -len(side.sequences[_any(side, h)])):
        moves = np.flatnonzero(side.place == h)
        worth[side.parent[moves[0]]] += worth[moves].max()
    return float(worth[0])


def _any(side: _Side, place: int) -> int:
    """A sequence that ends at an information set."""
    return int(np.flatnonzero(side.place == place)[0])
