"""Bad input gets one line, before any work."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine import (
    Process,
    death_birth,
    geometric,
    imitation,
    logit,
    moran,
    replicator,
    simulate_strategies,
    strategy_chain,
    strategy_mean_field,
)
from neurogames.games import NormalFormGame, PopulationGame

GAME = PopulationGame.from_matrix([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], 6)
FLAT = PopulationGame(lambda others: 0.0 * others, 3, 20_000)


def run(game=GAME, process=None, **changes):
    given = {"start": [2, 2, 2], "sweeps": 3, "rng": np.random.default_rng(0)} | changes
    return simulate_strategies(game, process or Process(logit(0.1)), **given)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Process(imitation(1.0), mutation=1.5), "mutation: got 1.5, expected a rate in"),
        (lambda: Process(imitation(1.0), mutation=[[0.5, 0.4], [0, 1]]), "mutation: got .*expected a square matrix"),
        (lambda: Process(imitation(1.0), mutation=[[1.5, -0.5], [0, 1]]), "mutation: got .*expected a square matrix"),
        (lambda: Process(imitation(1.0), mutation=[[0.5, 0.5]]), "mutation: got .*expected a square matrix"),
        (lambda: moran(-1.0), "intensity: got -1.0"),
        (lambda: moran(2.0, "linear"), "intensity: got 2.0, expected at most 1"),
        (lambda: death_birth(1.0, "log"), "fitness: got 'log'"),
        (lambda: strategy_chain(GAME, Process(imitation(1.0), mutation=np.eye(2))), "expected 3 rows"),
        (lambda: strategy_chain(GAME, Process(moran(1.0), keep_prob=0.5)), "keep_prob 0.5"),
        (lambda: strategy_chain(GAME, Process(logit(geometric(1.0, 0.1)))), "constant parameters"),
        (lambda: strategy_chain(GAME, logit(0.1)), "a Process such as"),
        (lambda: strategy_chain(NormalFormGame.symmetric(np.eye(3)), Process(logit(0.1))), "a PopulationGame"),
        (lambda: strategy_chain(GAME, Process(moran(1.0, "linear"))).stationary(), "positive fitness"),
        (lambda: strategy_chain(FLAT, Process(logit(0.1))), r"game: got '200030001 compositions of 20000 players"),
        (lambda: strategy_chain(GAME, Process(logit(0.1))).absorption([3, 3, 3]), "start: .* that sum to 6"),
        (lambda: strategy_chain(GAME, Process(logit(0.1))).absorption([7, -1, 0]), "start: .* that sum to 6"),
        (lambda: strategy_chain(GAME, Process(logit(0.1))).transient([2, 2, 2], [3, 3]), "sweeps: got"),
        (
            lambda: strategy_chain(GAME, Process(logit(0.1))).escape_time([2, 2, 2], lambda s: s[:, 0] > 9),
            "target: got",
        ),
        (lambda: run(start=[2, 2]), "start: got"),
        (lambda: run(start=[0.5, 0.5, 5.0]), "start: got"),
        (lambda: run(start=[[2, 2, 2]] * 3, replicas=2), "one or 2 of them"),
        (lambda: run(rng=0), "rng: got 0"),
        (lambda: run(threads=0), "threads: got 0"),
        (lambda: run(FLAT, start=[20_000, 0, 0]), "a game made by PopulationGame.from_matrix"),
        (lambda: strategy_mean_field(GAME, Process(logit(0.1))).velocity([0.5, 0.5]), "share: got"),
        (lambda: strategy_mean_field(GAME, Process(logit(0.1))).path([0.5, 0.5, 0.5], [0.0, 1.0]), "sum to 1"),
        (lambda: strategy_mean_field(GAME, Process(logit(0.1))).rest_points(grid=1000), "a smaller grid"),
        (lambda: strategy_mean_field(GAME, Process(logit(0.1), "all")).path([1, 0, 0], [0.5]), "whole numbers"),
        (lambda: strategy_mean_field(GAME, Process(logit(0.1), "all")).path([1, 0, 0], [0, 1, 1]), "increasing whole"),
    ],
)
def test_bad_input_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_neutral_selection_rests_everywhere_and_says_so():
    found = strategy_mean_field(GAME, Process(imitation(0.0))).rest_points()
    assert found.status == "selection is neutral: every composition is a rest point"
    assert len(found) == 0


def test_a_continuum_of_rest_points_is_said():
    matrix = [[1, 1, 0], [1, 1, 0], [0, 0, 2]]
    found = strategy_mean_field(PopulationGame.from_matrix(matrix, 10), Process(imitation(1.0))).rest_points()
    assert not found.complete
    assert "continuum" in found.status
    assert found.points[0].kind == "stable"


def test_rock_paper_scissors_turns_at_its_known_speed():
    """Replicators of pairwise differences in units of the payoff range 2: eigenvalues +- i sqrt(1/3) / 2."""
    inner = [p for p in strategy_mean_field(GAME, Process(replicator())).rest_points() if p.share.min() > 0]
    np.testing.assert_allclose(sorted(inner[0].eigenvalues.imag), np.sqrt(1 / 3) / 2 * np.array([-1, 1]), atol=1e-8)
    np.testing.assert_allclose(inner[0].eigenvalues.real, 0.0, atol=1e-8)


def test_a_search_that_misses_a_rest_point_says_so():
    """Logit points inward on the border, so that the indices of all rest points sum to 1."""
    field = strategy_mean_field(PopulationGame.from_matrix([[2, 0], [0, 1]], 10), Process(logit(0.2)))
    assert field.rest_points().status == "found by search: others may be missing"
    assert len(field.rest_points()) == 3
    few = field.rest_points(grid=1)
    assert len(few) == 2
    assert few.status.endswith("indices sum to 2, not to 1")


def test_inputs_are_unchanged():
    matrix, start = np.array([[0.0, 1.0], [2.0, 0.5]]), np.array([3, 4])
    mutation = np.array([[0.9, 0.1], [0.2, 0.8]])
    kept = [array.copy() for array in (matrix, start, mutation)]
    game, process = PopulationGame.from_matrix(matrix, 7), Process(imitation(1.0), mutation=mutation)
    simulate_strategies(game, process, start=start, sweeps=3, rng=np.random.default_rng(0))
    strategy_chain(game, process).stationary()
    for array, before in zip((matrix, start, mutation), kept, strict=True):
        np.testing.assert_array_equal(array, before)
