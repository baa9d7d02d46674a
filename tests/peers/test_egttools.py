"""Pairwise comparison in EGTtools (GPL, used as a yardstick only) and here is the same chain."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine import (
    Process,
    fixation_probability,
    imitation,
    population_chain,
    small_mutation_limit,
    strategy_chain,
)
from neurogames.games import PopulationGame, SymmetricGame
from neurogames.games.compositions import compositions

pytestmark = pytest.mark.filterwarnings("ignore")


def pairwise(payoff: np.ndarray, players: int) -> SymmetricGame:
    """The N-player game in which each player meets every other once, payoffs averaged; row 0 rests, row 1 acts."""
    share = np.arange(players) / (players - 1)
    rests, acts = (payoff[action, 1] * share + payoff[action, 0] * (1 - share) for action in (0, 1))
    return SymmetricGame(acts - rests, rests)


@pytest.mark.parametrize("players", [2, 10, 100])
@pytest.mark.parametrize("intensity", [0.0, 0.5, 3.0])
@pytest.mark.parametrize(
    "payoff",
    [np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([[1.0, 4.0], [0.5, 3.0]]), np.array([[0.0, 2.0], [1.0, 0.5]])],
    ids=["stag hunt", "prisoner's dilemma", "hawk and dove"],
)
def test_transition_probabilities_of_pairwise_comparison_agree(players, intensity, payoff):
    egttools = pytest.importorskip("egttools", reason="EGTtools comes with the extra `test`")
    holder = egttools.games.Matrix2PlayerGameHolder(2, payoff)  # EGTtools needs it kept alive
    theirs = egttools.analytical.PairwiseComparison(players, holder).calculate_transition_matrix(intensity, 0.0)
    ours = population_chain(pairwise(payoff, players), Process(imitation(intensity))).transition_matrix()
    np.testing.assert_allclose(ours, theirs.toarray(), atol=1e-14)


@pytest.mark.parametrize("players", [2, 7, 40])
def test_fixation_probabilities_of_random_games_agree(players):
    egttools = pytest.importorskip("egttools", reason="EGTtools comes with the extra `test`")
    rng = np.random.default_rng(players)
    for _ in range(400):
        payoff, intensity = rng.normal(size=(2, 2)), rng.uniform(0.0, 2.0)
        holder = egttools.games.Matrix2PlayerGameHolder(2, payoff)
        peer = egttools.analytical.PairwiseComparison(players, holder)
        game, process = pairwise(payoff, players), Process(imitation(intensity))
        for mutant, (invader, resident) in (("acts", (1, 0)), ("rests", (0, 1))):
            theirs = peer.calculate_fixation_probability(invader, resident, intensity)
            ours = fixation_probability(game, process, mutant).probability
            # EGTtools gives 0 for what is rarer than 1e-7.
            assert ours == pytest.approx(theirs, rel=1e-9) if theirs > 0 else ours < 1.1e-7


def test_chains_of_three_strategies_and_their_small_mutation_limit_agree_on_random_games():
    egttools = pytest.importorskip("egttools", reason="EGTtools comes with the extra `test`")
    rng = np.random.default_rng(5)
    players = 7
    states = compositions(players, 3)
    place = [egttools.calculate_state(players, state) for state in states]
    for _ in range(200):
        payoff, intensity, mutation = rng.normal(size=(3, 3)), rng.uniform(0.0, 2.0), rng.uniform(0.0, 0.3)
        holder = egttools.games.Matrix2PlayerGameHolder(3, payoff)
        peer = egttools.analytical.PairwiseComparison(players, holder)
        game = PopulationGame.from_matrix(payoff, players)
        chain = strategy_chain(game, Process(imitation(intensity), mutation=mutation))
        theirs = peer.calculate_transition_matrix(intensity, mutation).toarray()[np.ix_(place, place)]
        np.testing.assert_allclose(chain.transition_matrix().toarray(), theirs, atol=1e-13)
        law = chain.stationary()
        np.testing.assert_allclose(law.probability @ theirs, law.probability, atol=1e-13)
        _, fixation = peer.calculate_transition_and_fixation_matrix_sml(intensity)
        ours = np.exp(small_mutation_limit(game, Process(imitation(intensity))).log_fixation)
        off = ~np.eye(3, dtype=bool)
        np.testing.assert_allclose(ours[off], fixation[off], rtol=1e-9, atol=1.1e-7)
