"""Rare mutations: closed forms, and the limit of the exact chain."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine import (
    Process,
    death_birth,
    imitation,
    logit,
    moran,
    replicator,
    small_mutation_limit,
    strategy_chain,
)
from neurogames.engine.equilibria.alpha_rank import alpha_rank
from neurogames.games import NormalFormGame, PopulationGame

RNG = np.random.default_rng(11)
MATRIX = RNG.normal(size=(3, 3))
RARE = 1e-7
UNEQUAL = np.array([[1 - 3 * RARE, RARE, 2 * RARE], [2 * RARE, 1 - 2 * RARE, 0.0], [RARE, RARE, 1 - 2 * RARE]])


@pytest.mark.parametrize("choice", [imitation(1.0), moran(0.7), death_birth(0.7), moran(0.2, "linear")], ids=str)
@pytest.mark.parametrize("mutation", [RARE, UNEQUAL], ids=["rate", "matrix"])
def test_it_is_the_limit_of_the_exact_chain(choice, mutation):
    game = PopulationGame.from_matrix(MATRIX, 8)
    law = strategy_chain(game, Process(choice, mutation=mutation)).stationary()
    pure = law.probability[law.states.max(axis=1) == 8][::-1]
    limit = small_mutation_limit(game, Process(choice, mutation=mutation))
    assert limit.status == "ok"
    assert limit.residual < 1e-12
    np.testing.assert_allclose(limit.probability, pure, atol=2e-4)


def test_fixation_of_the_moran_process_with_constant_fitness_has_its_closed_form():
    players, r = 30, 1.1
    game = PopulationGame.from_matrix([[1.0, 1.0], [r, r]], players)
    found = small_mutation_limit(game, Process(moran(1.0, "linear")))
    expected = (1 - 1 / r) / (1 - r ** (-players))
    assert np.exp(found.log_fixation[0, 1]) == pytest.approx(expected, rel=1e-12)
    assert found.favoured.tolist() == [[False, True], [False, False]]


def test_many_strategies_and_strong_selection_stay_in_range():
    matrix = RNG.normal(size=(40, 40))
    game = PopulationGame.from_matrix(matrix, 100)
    found = small_mutation_limit(game, Process(imitation(100.0)))
    assert found.status == "ok"
    assert found.residual < 1e-9
    assert found.log_probability.min() < -1000
    assert found.probability.sum() == pytest.approx(1.0)
    rank = alpha_rank(NormalFormGame.symmetric(matrix), 100.0, population_size=100, populations="one", fitness="mixed")
    np.testing.assert_allclose(found.log_probability, rank.log_stationary, rtol=1e-6, atol=1e-6)


def test_strategies_that_never_lose_are_named():
    game = PopulationGame.from_matrix([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 0]], 20, ("left", "right", "none"))
    found = small_mutation_limit(game, Process(replicator()))
    assert found.status == "not unique: 2 sets of strategies are never left (left, right)"
    assert np.isnan(found.probability).all()


def test_rules_that_do_not_copy_are_refused():
    game = PopulationGame.from_matrix(MATRIX, 8)
    for process in (Process(logit(0.1)), Process(imitation(1.0), "all")):
        with pytest.raises(ValueError, match="a rule that copies"):
            small_mutation_limit(game, process)
