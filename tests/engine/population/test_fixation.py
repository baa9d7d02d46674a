"""Fixation probabilities against the closed form in many digits, EGTtools, absorbing chains and known limits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from neurogames.engine import Process, best_response, imitation, linear, logit, population_chain, replicator
from neurogames.engine.population.fixation import fixation_probability
from neurogames.games import PublicGoodsGame, SymmetricGame
from tests.laws import CONSTANT, GAMES
from tests.peers.test_egttools import pairwise

ONE = {name: process for name, process in CONSTANT.items() if process.revision == "one"}
STAG_HUNT = np.array([[2.0, 3.0], [1.0, 4.0]])


def absorbed(game, process, mutant):
    """Probability of N before 0 from one mutant, by the linear equations of the chain."""
    matrix = population_chain(game, process).transition_matrix()
    if mutant == "rests":
        matrix = matrix[::-1, ::-1]
    n = game.n_players
    inside = matrix[1:n, 1:n]
    return np.linalg.solve(np.eye(n - 1) - inside, matrix[1:n, n])[0]


@pytest.mark.parametrize("name", [name for name in GAMES if name != "indifferent"])
@pytest.mark.parametrize("process", ONE.values(), ids=ONE)
@pytest.mark.parametrize("mutant", ["acts", "rests"])
def test_the_chains_own_equations_agree(name, process, mutant):
    game = GAMES[name]
    found = fixation_probability(game, process, mutant)
    if found.log_probability == -np.inf:  # no way up from somewhere: the equations may then have no unique answer
        matrix = population_chain(game, process).transition_matrix()
        rises = np.diag(matrix, 1)[1:] if mutant == "acts" else np.diag(matrix, -1)[:-1]
        assert (rises == 0).any()
    else:
        assert found.probability == pytest.approx(absorbed(game, process, mutant), rel=1e-9)
        assert found.residual < 1e-11


def closed_form(players, intensity, payoff):
    """1 / (1 + sum prod T-/T+), T-/T+ = exp(-beta d), in 40 digits."""
    with mpmath.workdps(40):
        total, log_product = mpmath.mpf(1), mpmath.mpf(0)
        for k in range(1, players):
            acts = (mpmath.mpf(payoff[1, 1]) * (k - 1) + mpmath.mpf(payoff[1, 0]) * (players - k)) / (players - 1)
            rests = (mpmath.mpf(payoff[0, 1]) * k + mpmath.mpf(payoff[0, 0]) * (players - k - 1)) / (players - 1)
            log_product -= mpmath.mpf(intensity) * (acts - rests)
            total += mpmath.exp(log_product)
        return float(-mpmath.log(total))


@pytest.mark.parametrize(
    ("players", "intensity"), [(100, 0.1), (1000, 0.1), (100, 1.0), (10_000, 0.1), (2000, 10.0), (2, 3.0)]
)
def test_pairwise_comparison_has_traulsens_closed_form(players, intensity):
    found = fixation_probability(pairwise(STAG_HUNT, players), Process(imitation(intensity)))
    exact = closed_form(players, intensity, STAG_HUNT)
    assert found.log_probability == pytest.approx(exact, rel=1e-11, abs=1e-11)
    assert found.residual < 1e-9


@pytest.mark.parametrize(
    ("players", "intensity", "expected"),
    [(400, 0.1, 3.76e-7), (600, 0.1, 2.07e-9), (1000, 0.1, 7.3e-14), (10_000, 0.1, 4.4e-112), (100, 1.0, 3.7e-13)],
)
def test_stag_hunters_seldom_invade(players, intensity, expected):
    """Values of the product formula in long double."""
    found = fixation_probability(pairwise(STAG_HUNT, players), Process(imitation(intensity)))
    assert found.probability == pytest.approx(expected, rel=0.01)


@pytest.mark.filterwarnings("ignore")
def test_egttools_agrees_until_it_answers_zero():
    egttools = pytest.importorskip("egttools", reason="EGTtools comes with the extra `test`")
    for players in (20, 200):
        holder = egttools.games.Matrix2PlayerGameHolder(2, STAG_HUNT)
        theirs = egttools.analytical.PairwiseComparison(players, holder).calculate_fixation_probability(1, 0, 0.1)
        ours = fixation_probability(pairwise(STAG_HUNT, players), Process(imitation(0.1)))
        assert ours.probability == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("process", [Process(imitation(0.0)), Process(imitation(2.0), keep_prob=0.3)])
def test_a_neutral_mutant_takes_over_as_often_as_any_other_player(process):
    found = fixation_probability(SymmetricGame(np.zeros(50)), process)
    assert found.probability == pytest.approx(1 / 50, rel=1e-12)


def test_holding_changes_no_fixation_probability():
    """A player that keeps its action delays what happens and changes nothing else."""
    game = PublicGoodsGame(30, 0.4, 1.0)
    for choice in (imitation(2.0), replicator(), logit(0.2)):
        fast, slow = (fixation_probability(game, Process(choice, keep_prob=keep)) for keep in (1.0, 0.2))
        np.testing.assert_allclose(slow.log_probability, fast.log_probability, atol=1e-11)


def test_selection_favours_whom_it_should():
    harmful, useful = (SymmetricGame(np.full(20, gain), np.zeros(20)) for gain in (-1.0, 1.0))
    process = Process(imitation(1.0))
    assert fixation_probability(useful, process).favoured
    assert not fixation_probability(harmful, process).favoured
    assert fixation_probability(harmful, process, "rests").favoured
    assert fixation_probability(useful, process).log_probability == pytest.approx(
        fixation_probability(harmful, process, "rests").log_probability, abs=1e-14
    )


def test_what_never_rises_never_takes_over():
    game = SymmetricGame([-1.0, -1.0, 1.0, 1.0])
    for choice in (best_response(), replicator()):
        found = fixation_probability(game, Process(choice))
        assert found.log_probability == -np.inf
        assert found.probability == 0.0
        assert found.residual == 0.0


def test_a_million_players_take_moments_and_leave_the_range_of_floats():
    found = fixation_probability(PublicGoodsGame(10**6, 0.4, 1.0), Process(imitation(1.0)))
    assert found.probability == 0.0
    # -ln phi is near N times the area below 0 of beta d(x): integral of 0.4 - x up to 0.4.
    assert found.log_probability == pytest.approx(-0.08 * 10**6, rel=1e-3)
    assert found.residual < 1e-6


@pytest.mark.parametrize(
    ("process", "mutant", "message"),
    [
        (Process(imitation(1.0), "all"), "acts", "revision 'one'"),
        (Process(imitation(linear(0.0, 1.0))), "acts", "constant parameters"),
        (Process(imitation(1.0)), "both", "mutant: got 'both'"),
    ],
)
def test_wrong_arguments_are_refused(process, mutant, message):
    with pytest.raises(ValueError, match=message):
        fixation_probability(PublicGoodsGame(5, 0.4, 1.0), process, mutant)
