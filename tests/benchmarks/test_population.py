"""The exact chain beside the numpy passes it cannot do without, and beside EGTtools' dense solve."""

from __future__ import annotations

import numpy as np
import pytest

from neurogames.engine import Process, imitation, logit, population_chain
from neurogames.games import PublicGoodsGame
from tests.benchmarks.timing import medians
from tests.peers.test_egttools import pairwise

pytestmark = pytest.mark.benchmark


def test_a_million_players():
    n, tau = 10**6, 0.08
    game = PublicGoodsGame(n, 0.4, 1.0)
    chain = population_chain(game, Process(logit(tau)))

    def passes():
        """Log rates of a logit chain, their cumulative sum, and its normalised exponential: nothing is checked."""
        x = game.gain / tau
        tail = np.log1p(np.exp(-np.abs(x)))
        on, off = np.minimum(x, 0) - tail, np.minimum(-x, 0) - tail
        chosen = np.log(np.arange(1, n + 1) / n)
        weight = np.concatenate([[0.0], np.cumsum(chosen[::-1] + on - chosen - off)])
        weight = np.exp(weight - weight.max())
        return weight / weight.sum()

    np.testing.assert_allclose(chain.stationary().probability, passes(), atol=1e-9)
    seconds = medians(
        {
            "numpy passes": passes,
            "stationary law, N = 10^6": chain.stationary,
            "escape time, N = 10^6": lambda: chain.escape_time(0, int(0.7 * n)),
        }
    )
    assert len(seconds) == 3


@pytest.mark.filterwarnings("ignore")
def test_beside_egttools_dense_solve():
    egttools = pytest.importorskip("egttools", reason="EGTtools comes with the extra `test`")
    players, payoff = 300, np.array([[2.0, 1.0], [0.0, 3.0]])
    holder = egttools.games.Matrix2PlayerGameHolder(2, payoff)
    theirs = egttools.analytical.PairwiseComparison(players, holder)
    # Imitation alone has no stationary law of its own; blind logit choice of equal size stands for the mutants.
    chain = population_chain(pairwise(payoff, players), Process(logit(0.5), keep_prob=0.9, masked="blind"))
    fixing = population_chain(pairwise(payoff, players), Process(imitation(0.1)))

    def dense():
        matrix = theirs.calculate_transition_matrix(0.1, 1 / players).toarray()
        return egttools.utils.calculate_stationary_distribution(matrix.T)

    medians(
        {
            f"stationary law, Z = {players}": chain.stationary,
            "EGTtools transition matrix and dense solve": dense,
            "our transition matrix, dense": fixing.transition_matrix,
            "EGTtools transition matrix, sparse": lambda: theirs.calculate_transition_matrix(0.1, 1 / players),
        }
    )
    np.testing.assert_allclose(dense().sum(), 1.0)


@pytest.mark.parametrize("players", [60, 200, 500])
def test_all_at_once(players):
    chain = population_chain(PublicGoodsGame(players, 0.4, 1.0), Process(logit(0.08), "all", 0.5))
    time = chain.escape_time(0, int(0.7 * players))
    assert time.residual < 1e-10
    medians(
        {
            f"numpy.linalg.eig of the matrix, N = {players}": lambda: np.linalg.eig(chain.transition_matrix()),
            "transition matrix": chain.transition_matrix,
            "stationary law": chain.stationary,
            "escape time": lambda: chain.escape_time(0, int(0.7 * players)),
        },
        repeats=3,
    )
