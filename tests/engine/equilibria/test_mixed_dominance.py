from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogames.engine.equilibria.dominance import best_dominating_strategy, mixed_dominated
from neurogames.engine.equilibria.nash import solve_nash
from neurogames.games.dominance import dominated, iterated_elimination
from neurogames.games.normal_form import NormalFormGame


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([(3, 3), (4, 2), (2, 3, 2)]))
def test_what_pure_actions_dominate_mixtures_dominate_too(seed, shape):
    rng = np.random.default_rng(seed)
    game = NormalFormGame([rng.integers(0, 4, shape) for _ in shape])
    for kind in ("strict", "weak"):
        for pure, mixed in zip(dominated(game, kind), mixed_dominated(game, kind), strict=True):
            assert not (pure & ~mixed).any()
    for strict, weak in zip(mixed_dominated(game), mixed_dominated(game, "weak"), strict=True):
        assert not (strict & ~weak).any()


@given(st.integers(0, 10**6))
def test_an_action_is_strictly_dominated_iff_it_is_a_best_reply_to_nothing(seed):
    # Pearce's lemma, with a fine grid over the opponent's mixtures of 2 actions.
    rng = np.random.default_rng(seed)
    rows = rng.random((4, 2))
    share = np.linspace(0, 1, 20_001)
    payoffs = np.outer(rows[:, 0], share) + np.outer(rows[:, 1], 1 - share)
    best = np.zeros(4, dtype=bool)
    best[payoffs.argmax(axis=0)] = True
    margins = [best_dominating_strategy(NormalFormGame((rows, rows)), 0, a).margins.min() for a in range(4)]
    for a, margin in enumerate(margins):
        if margin > 1e-6 or best[a]:
            assert (margin > 1e-9) != best[a]


@given(st.integers(0, 10**6))
def test_elimination_by_mixtures_keeps_every_equilibrium(seed):
    rng = np.random.default_rng(seed)
    game = NormalFormGame(rng.random((2, 4, 4)))
    left = iterated_elimination(game, find=mixed_dominated)
    assert len(solve_nash(game)) == len(solve_nash(left.game))
    for profile in solve_nash(game):
        for strategy, kept in zip(profile, left.actions, strict=True):
            assert strategy[kept].sum() == pytest.approx(1.0)


def test_a_constant_player_dominates_nothing():
    game = NormalFormGame([np.ones((3, 2))] * 2)
    for kind in ("strict", "weak"):
        assert not any(mark.any() for mark in mixed_dominated(game, kind))


def test_wrong_arguments_are_refused():
    game = NormalFormGame.zero_sum(np.eye(2))
    with pytest.raises(ValueError, match="player: got 2"):
        best_dominating_strategy(game, 2, 0)
    with pytest.raises(ValueError, match="action: got 5"):
        best_dominating_strategy(game, 0, 5)
    with pytest.raises(ValueError, match="kind: got 'soft'"):
        mixed_dominated(game, "soft")
