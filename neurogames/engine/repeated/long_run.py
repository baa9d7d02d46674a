"""How often a finite chain is in each of its states, by state reduction.

A state is removed by handing on directly what it handed on. Nothing is ever subtracted, so that rare moves, such as
errors of probability 1e-12, cost no digits.

Reference: W. Grassmann, M. Taksar and D. Heyman, Regenerative analysis and steady state distributions for Markov
chains, Operations Research 33 (1985).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from neurogames.engine.compiled import compiled

Array = NDArray[np.float64]


def mean_law(chain: csr_array) -> Array:
    """Share of all rounds spent in each state, from state 0 on: the limit of time averages.

    Args:
        chain: (S, S) transition probabilities, all states reachable from state 0.

    Returns:
        (S,) shares; 0 for states that are left for good.

    >>> mean_law(csr_array([[0.0, 0.25, 0.75], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    array([0.  , 0.25, 0.75])
    """
    size = chain.shape[0]
    moves = coo_array(chain)
    kinds, kind = connected_components(chain, connection="strong")
    open_kinds = np.zeros(kinds, dtype=bool)
    open_kinds[kind[moves.row][kind[moves.row] != kind[moves.col]]] = True
    closed = np.flatnonzero(~open_kinds)
    entered = np.ones(1)
    if closed.size > 1:
        passing = np.flatnonzero(open_kinds[kind])  # state 0 is the first of them, since it reaches several classes
        column = np.empty(size, dtype=np.int64)
        for k, each in enumerate(closed):
            column[kind == each] = k
        column[passing] = closed.size + np.arange(passing.size)
        reduced = np.zeros((closed.size + passing.size,) * 2)
        np.add.at(reduced, (column[moves.row], column[moves.col]), moves.data)
        _remove(reduced, closed.size + 1)
        entered = reduced[closed.size, : closed.size]
    law = np.zeros(size)
    for each, chance in zip(closed, entered / entered.sum(), strict=True):
        states = np.flatnonzero(kind == each)
        law[states] = chance * stationary_law(chain[states][:, states].toarray())
    return law


def discounted_law(chain: csr_array, discount: float) -> Array:
    """Share of each state where round t counts discount^t: the stationary law of a chain that may start again.

    Args:
        chain: (S, S) transition probabilities, all states reachable from state 0.
        discount: in [0, 1).

    Returns:
        (S,) shares.

    >>> discounted_law(csr_array([[0.0, 1.0], [0.0, 1.0]]), 0.75)
    array([0.25, 0.75])
    """
    restarted = discount * chain.toarray()
    restarted[:, 0] += 1.0 - discount
    return stationary_law(restarted)


def first_rounds_law(chain: csr_array, rounds: int) -> Array:
    """Share of each state in the first rounds.

    >>> first_rounds_law(csr_array([[0.0, 1.0], [0.0, 1.0]]), 4)
    array([0.25, 0.75])
    """
    now: Array = np.zeros(chain.shape[0])
    total: Array = np.zeros(chain.shape[0])
    now[0] = 1.0
    backward = chain.T.tocsr()
    for _ in range(rounds):
        total += now
        now = np.asarray(backward @ now)
    return total / rounds


def stationary_law(chain: Array) -> Array:
    """Stationary law of a chain in which every state is reached from every state with a way back; changes ``chain``."""
    _remove(chain, 1)
    law = np.zeros(len(chain))
    _restore(chain, law)
    return np.asarray(law / law.sum())


@compiled
def _remove(chain: Any, kept: Any) -> None:
    """Remove states from the last on until ``kept`` are left; columns become expected visits per visit before."""
    for last in range(len(chain) - 1, kept - 1, -1):
        leaving = chain[last, :last].sum()
        for i in range(last):
            if chain[i, last] == 0.0 or leaving == 0.0:
                continue
            chain[i, last] /= leaving
            for j in range(last):
                chain[i, j] += chain[i, last] * chain[last, j]


@compiled
def _restore(chain: Any, law: Any) -> None:
    law[0] = 1.0
    for j in range(1, law.size):
        for i in range(j):
            law[j] += law[i] * chain[i, j]
