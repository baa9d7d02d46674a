from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogames.games.dominance import dominated, iterated_elimination
from neurogames.games.normal_form import NormalFormGame
from neurogames.games.replies import pure_equilibria


@given(st.integers(0, 10**6), st.lists(st.integers(1, 4), min_size=2, max_size=3).map(tuple))
def test_marks_follow_the_definition(seed, shape):
    rng = np.random.default_rng(seed)
    game = NormalFormGame([rng.integers(0, 4, shape) for _ in shape])
    strict, weak = dominated(game), dominated(game, "weak")
    for i, size in enumerate(shape):
        others = list(product(*(range(shape[j]) for j in range(len(shape)) if j != i)))

        def pays(action, rest, i=i):
            return game.payoffs[i][(*rest[:i], action, *rest[i:])]

        for a in range(size):
            better = [[pays(b, rest) - pays(a, rest) for rest in others] for b in range(size) if b != a]
            assert strict[i][a] == any(min(row) > 0 for row in better)
            assert weak[i][a] == any(min(row) >= 0 and max(row) > 0 for row in better)


@given(st.integers(0, 10**6))
def test_strict_elimination_keeps_every_pure_equilibrium(seed):
    rng = np.random.default_rng(seed)
    game = NormalFormGame([rng.integers(0, 9, (4, 5)) for _ in range(2)])
    left = iterated_elimination(game)
    before = {tuple(row) for row in pure_equilibria(game).tolist()}
    after = {tuple(int(left.actions[i][a]) for i, a in enumerate(row)) for row in pure_equilibria(left.game).tolist()}
    assert before == after
    assert not any(mark.any() for mark in dominated(left.game))


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind: got 'very'"):
        dominated(NormalFormGame.zero_sum(np.eye(2)), "very")
