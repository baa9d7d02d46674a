"""Rows that are used after the population has changed: how far they have moved, and that no path tells."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine import Process, simulate_strategies
from neurogames.engine.choice import BestResponse
from neurogames.engine.strategies import row_bounds
from neurogames.engine.strategies.row_bounds import JUMP, most_per_switch
from neurogames.engine.strategies.switching import log_switching
from neurogames.games import PopulationGame
from tests.engine.strategies.strategy_laws import PROCESSES

MATRIX = np.array([[1.0, 0.3, 0.8], [1.4, 0.2, 0.1], [0.9, 0.7, 0.6]])
SMOOTH = [name for name, process in PROCESSES.items() if not isinstance(process.choice, BestResponse)]


@pytest.mark.parametrize("players", [6, 60])
@pytest.mark.parametrize("name", SMOOTH)
def test_a_switch_moves_no_row_farther_than_its_bound(name, players):
    rng, process, nearest = np.random.default_rng(0), PROCESSES[name], []
    for matrix in (MATRIX, *rng.uniform(0.6, 3.0, size=(8, 3, 3))):
        game = PopulationGame.from_matrix(matrix, players)
        bound = most_per_switch(game, process)
        counts = rng.multinomial(players, rng.dirichlet(np.ones(3), size=200))
        counts = counts[counts.max(axis=1) < players]
        rows = np.arange(len(counts))
        leaves, comes = counts.argmax(axis=1), (counts.argmax(axis=1) + rng.integers(1, 3, size=rows.size)) % 3
        after = counts.copy()
        after[rows, leaves] -= 1
        after[rows, comes] += 1
        below, moved = (np.exp(log_switching(game, process, each)).cumsum(axis=-1) for each in (counts, after))
        seen = (counts > 0)[:, :, None] & (after > 0)[:, :, None]
        nearest.append(np.abs(np.where(seen, below - moved, 0.0)).max() / bound)
    assert max(nearest) <= 1.0
    assert max(nearest) > 0.05  # the bound says something


@pytest.mark.parametrize("name", PROCESSES)
def test_rows_used_longer_tell_the_same_paths(name, monkeypatch):
    game = PopulationGame.from_matrix(MATRIX, 900)
    given = {"start": [300, 400, 200], "sweeps": 12, "replicas": 2}
    longer = simulate_strategies(game, PROCESSES[name], **given, rng=np.random.default_rng(4))
    monkeypatch.setattr(row_bounds, "most_per_switch", lambda *_: JUMP)
    always = simulate_strategies(game, PROCESSES[name], **given, rng=np.random.default_rng(4))
    np.testing.assert_array_equal(longer.count, always.count)


def test_payoffs_that_are_all_alike_move_nothing_but_still_are_worked_out_once():
    game = PopulationGame.from_matrix(np.zeros((3, 3)), 10_000)
    process = PROCESSES["logit"]
    assert most_per_switch(game, process) < 1e-11
    path = simulate_strategies(game, process, start=[10_000, 0, 0], sweeps=20, rng=np.random.default_rng(0))
    assert np.abs(path.share[0, -1] - 1 / 3).max() < 0.03


def test_strong_selection_is_bounded_by_a_jump():
    game = PopulationGame.from_matrix(1e6 * MATRIX, 1000)
    for name in SMOOTH:
        choice = PROCESSES[name].choice
        if getattr(choice, "fitness", None) != "linear":
            assert 0.0 < most_per_switch(game, Process(choice)) <= JUMP
