"""Tables of games, processes and value methods: one line makes a new member, which is then held to all laws.

Games and processes in tests/engine/test_laws.py, value methods in tests/engine/coalitions/test_laws.py; what the bridge
does with networks has a table of its own, tests/bridge/laws.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from neurogames.engine import (
    Process,
    Values,
    banzhaf,
    best_response,
    cosine,
    geometric,
    imitation,
    interactions,
    linear,
    logit,
    piecewise,
    replicator,
    shapley,
    shapley_by_components,
    shapley_by_permutations,
    shapley_by_strata,
    shapley_until,
)
from neurogames.games import PublicGoodsGame, SigmoidGood, SymmetricGame, TabularCoalitionGame, ThresholdGood

GAMES = {
    "club": PublicGoodsGame(20, cost=0.4, multiplier=1.0),
    "linear": PublicGoodsGame(12, cost=0.3, multiplier=2.0, good="linear"),
    "threshold": PublicGoodsGame(15, cost=0.2, multiplier=1.0, good=ThresholdGood(0.6)),
    "sigmoid": PublicGoodsGame(14, cost=0.1, multiplier=1.5, good=SigmoidGood(0.4, 12.0)),
    "hawk and dove": SymmetricGame([0.6, 0.2, -0.3, -0.5, -0.9], [0.1, 0.5, 0.9, 1.0, 1.2]),
    "two players": SymmetricGame([-1.0, 2.0], [0.5, 1.5]),
    "indifferent": SymmetricGame([0.0, 0.0, 0.0]),
}

CONSTANT = {
    "logit": Process(logit(0.2)),
    "logit, hold, one": Process(logit(0.15), keep_prob=0.4),
    "logit, hold, all": Process(logit(0.15), "all", 0.4),
    "logit, blind, one": Process(logit(0.1), "one", 0.7, "blind"),
    "logit, blind, all": Process(logit(0.1), "all", 0.7, "blind"),
    "cold logit, all": Process(logit(0.003), "all"),
    "best response": Process(best_response()),
    "best response, blind, all": Process(best_response(), "all", 0.8, "blind"),
    "imitation": Process(imitation(2.0)),
    "imitation, hold, all": Process(imitation(3.0), "all", 0.5),
    "imitation, blind, one": Process(imitation(3.0), "one", 0.5, "blind"),
    "replicator": Process(replicator()),
    "replicator, blind, all": Process(replicator(), "all", 0.6, "blind"),
}

SCHEDULED = {
    "cooling logit": Process(logit(geometric(1.0, 0.05))),
    "rising keep, blind": Process(logit(0.08), "one", linear(0.2, 1.0), "blind"),
    "rising keep, hold, all": Process(logit(0.08), "all", cosine(0.2, 1.0)),
    "sharpening imitation": Process(imitation(piecewise([(0.0, 0.0), (0.5, 4.0)])), "one", 0.9),
}


@dataclass(frozen=True, eq=False)
class TableGame:
    """A game of eight players given by a table, also as the mean of two games; it asks rows one by one if wanted."""

    table: NDArray[np.float64]
    one_by_one: bool = False
    n_components: int = 2

    @property
    def n_players(self):
        return self.table.size.bit_length() - 1

    def value(self, coalitions):
        whole = TabularCoalitionGame(self.table).value
        if not self.one_by_one:
            answer = whole(coalitions)
        else:
            rows = coalitions.reshape(-1, self.n_players)
            answer = np.array([whole(row) for row in rows]).reshape(coalitions.shape[:-1])
        coalitions[...] = False  # whatever a game does with its rows must not matter to later ones
        return answer

    def values_along_permutations(self, orders):
        joined = np.concatenate([np.zeros((2, 1), dtype=np.intp), np.cumsum(1 << orders, axis=1)], axis=1)
        ripple = np.sin(np.arange(self.table.size)) * (self.table - self.table[0])
        return np.stack([self.table + ripple, self.table - ripple])[np.arange(2)[:, None], joined]


@dataclass(frozen=True, eq=False)
class ValueMethod:
    """How values of a game are found, and what they are.

    Attributes:
        values: takes the game and, where it draws, ``rng``.
        exact: the exact method that it is or estimates.
    """

    values: Callable[..., Values]
    exact: Callable[..., Values]

    @property
    def estimates(self) -> bool:
        return self.values is not self.exact

    def __call__(self, game: TableGame, seed: int = 0) -> Values:
        return self.values(game, rng=np.random.default_rng(seed)) if self.estimates else self.values(game)


_OF_PAIRS = partial(interactions, index="Banzhaf")
_BUDGET = 200  # of 256 coalitions
VALUE_METHODS = {
    "Shapley": ValueMethod(shapley, shapley),
    "Banzhaf": ValueMethod(banzhaf, banzhaf),
    "Shapley interactions": ValueMethod(interactions, interactions),
    "Banzhaf interactions": ValueMethod(_OF_PAIRS, _OF_PAIRS),
    "Shapley, regression": ValueMethod(partial(shapley, budget=_BUDGET), shapley),
    "Banzhaf, regression": ValueMethod(partial(banzhaf, budget=_BUDGET), banzhaf),
    "Shapley interactions, regression": ValueMethod(partial(interactions, budget=_BUDGET), interactions),
    "Banzhaf interactions, regression": ValueMethod(partial(_OF_PAIRS, budget=_BUDGET), _OF_PAIRS),
    "Shapley, permutations": ValueMethod(partial(shapley_by_permutations, budget=_BUDGET), shapley),
    "Shapley, strata": ValueMethod(partial(shapley_by_strata, budget=_BUDGET), shapley),
    "Shapley, components": ValueMethod(partial(shapley_by_components, budget=_BUDGET), shapley),
    "Shapley, until the top is settled": ValueMethod(partial(shapley_until, top=2, max_budget=_BUDGET), shapley),
}
