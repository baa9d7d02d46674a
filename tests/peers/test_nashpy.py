"""Two-player games have the equilibria that nashpy finds."""

from __future__ import annotations

import nashpy
import numpy as np
import pytest

from neurogames.engine import Process, moran, strategy_chain
from neurogames.engine.equilibria.nash import solve_nash
from neurogames.engine.strategies.switching import log_switching
from neurogames.games import PopulationGame, PublicGoodsGame, SigmoidGood, ThresholdGood
from neurogames.games.normal_form import NormalFormGame


@pytest.mark.parametrize(
    "good", ["club", "linear", ThresholdGood(0.5), ThresholdGood(1.0), SigmoidGood(0.3, 5.0)], ids=str
)
@pytest.mark.parametrize("cost", [0.17, 0.61, 1.3])
def test_strict_equilibria_of_two_players_are_nashpys_pure_ones(good, cost):
    game = PublicGoodsGame(2, cost, 1.07, good)
    rests, acts = game.baseline, game.baseline + game.gain
    row = np.array([rests, acts])
    found = nashpy.Game(row, row.T).support_enumeration()
    pure = {int(a[1] + b[1]) for a, b in found if max(a) == max(b) == 1.0}
    assert set(game.strict_equilibria().tolist()) == pure


def test_mixed_equilibrium_of_a_stag_hunt_makes_the_gain_vanish():
    game = PublicGoodsGame(2, 0.7, 1.0)
    row = np.array([game.baseline, game.baseline + game.gain])
    mixed = next(a for a, _ in nashpy.Game(row, row.T).support_enumeration() if 0 < a[1] < 1)
    np.testing.assert_allclose(mixed @ game.gain, 0.0, atol=1e-12)


def nashpys(game):
    """Equilibria that nashpy's vertex enumeration finds."""
    return {(tuple(x.round(7) + 0.0), tuple(y.round(7) + 0.0)) for x, y in game.to_nashpy().vertex_enumeration()}


@pytest.mark.parametrize(("size", "games"), [(2, 25), (3, 25), (4, 8)])
def test_all_equilibria_of_generic_games_are_nashpys(size, games):
    rng = np.random.default_rng(size)
    for _ in range(games):
        game = NormalFormGame(rng.random((2, size, size)))
        found = solve_nash(game)
        assert {(tuple(x.round(7) + 0.0), tuple(y.round(7) + 0.0)) for x, y in found} == nashpys(game)


def test_a_game_goes_to_nashpy_and_back():
    rng = np.random.default_rng(0)
    game = NormalFormGame(rng.random((2, 3, 4)))
    x, y = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(4))
    assert game.to_nashpy()[x, y] == pytest.approx([float(x @ tensor @ y) for tensor in game.payoffs])
    again = NormalFormGame.from_nashpy(game.to_nashpy())
    assert all(np.array_equal(a, b) for a, b in zip(game.payoffs, again.payoffs, strict=True))


def test_one_step_of_the_moran_process_agrees_on_random_games():
    from nashpy.egt import moran_process

    rng = np.random.default_rng(8)
    for _ in range(200):
        payoff, agents = rng.uniform(0.1, 3.0, size=(3, 3)), rng.integers(0, 3, size=6)
        scores = moran_process.score_all_individuals(payoff, agents)
        composition = np.bincount(agents, minlength=3)
        # Birth in proportion to scores, death of anybody: the law of what a random player is replaced by.
        born = np.bincount(agents, weights=scores, minlength=3) / scores.sum()
        game = PopulationGame.from_matrix(payoff, 6)
        ours = np.exp(log_switching(game, Process(moran(1.0, "linear")), composition[None]))[0]
        np.testing.assert_allclose(ours[composition > 0], np.tile(born, ((composition > 0).sum(), 1)), atol=1e-12)


def test_fixation_in_the_moran_process_agrees_within_five_standard_errors():
    payoff, agents, repetitions = np.array([[1.0, 2.0, 1.5], [1.2, 1.0, 2.0], [2.0, 0.8, 1.0]]), [0, 0, 1, 2], 400
    np.random.seed(0)  # noqa: NPY002  Nashpy draws from the global generator
    found = nashpy.Game(payoff, payoff.T).fixation_probabilities(np.array(agents), repetitions)
    theirs = np.array([found.get((strategy,) * 4, 0.0) for strategy in range(3)])
    game = PopulationGame.from_matrix(payoff, 4)
    ours = strategy_chain(game, Process(moran(1.0, "linear"))).absorption([2, 1, 1]).probability
    assert (np.abs(theirs - ours) < 5 * np.sqrt(ours * (1 - ours) / repetitions)).all()
