"""With two strategies, everything is what the two-action engine says."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine import (
    Process,
    fixation_probability,
    imitation,
    mean_field,
    moran,
    population_chain,
    replicator,
    simulate,
    small_mutation_limit,
    strategy_chain,
    strategy_mean_field,
)
from neurogames.games import PopulationGame, SymmetricGame
from tests.laws import CONSTANT, GAMES


def with_counts(game: SymmetricGame) -> PopulationGame:
    """The same game by counts; strategy 0 rests, 1 acts."""

    def payoffs(others):
        at = np.arange(game.n_players)
        rests = np.interp(others[..., 1], at, game.baseline)
        return np.stack([rests, rests + np.interp(others[..., 1], at, game.gain)], axis=-1)

    return PopulationGame(payoffs, 2, game.n_players)


def count(place: int, players: int) -> list[int]:
    return [players - place, place]


@pytest.mark.parametrize("process", CONSTANT.values(), ids=CONSTANT)
@pytest.mark.parametrize("game", GAMES.values(), ids=GAMES)
def test_chains_are_the_same(game, process):
    n = game.n_players
    ours, theirs = strategy_chain(with_counts(game), process), population_chain(game, process)
    np.testing.assert_allclose(ours.transition_matrix().toarray()[::-1, ::-1], theirs.transition_matrix(), atol=1e-12)
    here, there = ours.stationary(), theirs.stationary()
    assert (here.status == "ok") == (there.status == "ok")
    np.testing.assert_allclose(here.log_probability[::-1], there.log_probability, rtol=1e-9, atol=1e-9)
    for start, target in ((0, n), (n, n // 2)):
        goal = (lambda states: states[:, 1] >= n) if target > start else (lambda states: states[:, 1] <= n // 2)
        time, expected = ours.escape_time(count(start, n), goal), theirs.escape_time(start, target)
        assert time.log_sweeps == pytest.approx(expected.log_sweeps, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("process", [Process(imitation(2.0)), Process(replicator(), keep_prob=0.5, masked="blind")])
@pytest.mark.parametrize("game", GAMES.values(), ids=GAMES)
def test_fixation_is_the_same(game, process):
    found = small_mutation_limit(with_counts(game), process)
    for mutant, entry in (("acts", found.log_fixation[0, 1]), ("rests", found.log_fixation[1, 0])):
        assert entry == pytest.approx(fixation_probability(game, process, mutant).log_probability, rel=1e-9, abs=1e-9)
    one = strategy_chain(with_counts(game), process).absorption(count(1, game.n_players))
    assert one.log_probability[1] == pytest.approx(found.log_fixation[0, 1], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["logit", "imitation", "logit, blind, one"])
def test_rest_points_are_the_same(name):
    matrix, process = [[2.0, 0.0], [0.0, 1.0]], CONSTANT[name]
    here = strategy_mean_field(PopulationGame.from_matrix(matrix, 10_000), process).rest_points(grid=40)
    there = mean_field(SymmetricGame.from_matrix(matrix, 10_000), process).equilibria()
    # Rules that copy see payoffs of a finite population in the one, their limit in the other.
    np.testing.assert_allclose(sorted(p.share[1] for p in here), [e.share for e in there], atol=2e-4)
    kinds = {round(float(p.share[1]), 3): p.kind == "stable" for p in here}
    assert kinds == {round(e.share, 3): e.stable for e in there}


def test_a_matrix_makes_the_same_game_of_two_actions():
    matrix = np.random.default_rng(4).normal(size=(2, 2))
    by_counts, two = PopulationGame.from_matrix(matrix, 7), SymmetricGame.from_matrix(matrix, 7)
    others = np.stack([6 - np.arange(7), np.arange(7)], axis=-1)
    np.testing.assert_allclose(by_counts.payoffs(others), np.stack([two.baseline, two.baseline + two.gain], axis=-1))
    with pytest.raises(ValueError, match=r"matrix: got 'shape \(3, 3\)', expected \(2, 2\)"):
        SymmetricGame.from_matrix(np.eye(3), 7)


@pytest.mark.parametrize("process", [Process(imitation(1.0), mutation=0.1), Process(moran(1.0))])
def test_what_two_actions_do_not_have_is_refused(process):
    game = GAMES["club"]
    for ask in (population_chain, mean_field, fixation_probability):
        with pytest.raises(ValueError, match="PopulationGame"):
            ask(game, process)
    with pytest.raises(ValueError, match="PopulationGame"):
        simulate(game, process, start=0, sweeps=1, rng=np.random.default_rng(0))
