"""Laws that hold for every game with every process."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.special import expit

from neurogames.engine import (
    Process,
    best_response,
    imitation,
    linear,
    logit,
    mean_field,
    population_chain,
    replicator,
    simulate,
    switching,
)
from neurogames.engine.process import payoff_spread
from neurogames.games import PublicGoodsGame, SymmetricGame
from tests.laws import CONSTANT, GAMES, SCHEDULED

games = pytest.mark.parametrize("game", GAMES.values(), ids=GAMES)
processes = pytest.mark.parametrize("process", CONSTANT.values(), ids=CONSTANT)
scheduled = pytest.mark.parametrize("process", SCHEDULED.values(), ids=SCHEDULED)
all_processes = pytest.mark.parametrize("process", (CONSTANT | SCHEDULED).values(), ids=CONSTANT | SCHEDULED)


@games
@all_processes
def test_switching_probabilities_and_their_complements_sum_to_one(game, process):
    rates = switching(game, process, progress=np.linspace(0, 1, 5))
    for yes, no in ((rates.log_on, rates.log_not_on), (rates.log_off, rates.log_not_off)):
        assert yes.shape == no.shape == (5, game.n_players)
        assert (yes <= 1e-15).all()
        assert (no <= 1e-15).all()
        np.testing.assert_allclose(np.exp(yes) + np.exp(no), 1.0, atol=4e-16)


@games
@all_processes
def test_a_batch_of_progress_equals_its_rows(game, process):
    at = np.array([[0.0, 0.3], [0.7, 1.0]])
    batch = switching(game, process, progress=at)
    for place in np.ndindex(at.shape):
        row = switching(game, process, progress=at[place])
        for name in ("log_on", "log_not_on", "log_off", "log_not_off"):
            np.testing.assert_array_equal(getattr(batch, name)[place], getattr(row, name))


@games
@processes
def test_a_rule_that_copies_never_invents_an_action(game, process):
    rates = switching(game, process)
    assert np.isneginf(rates.log_on[0]) == process.choice.copies or process.choice == best_response()
    if process.choice.copies:
        assert np.isneginf(rates.log_off[-1])


@games
@processes
def test_switching_follows_the_definition_player_by_player(game, process):
    """The probabilities again from payoffs, one player and one encounter at a time, without logarithms."""
    n, keep, rule = game.n_players, process.keep_prob, process.choice
    gain, rests = game.gain, game.baseline
    acts = gain + rests

    def accept(difference: float) -> float:
        if isinstance(rule, type(logit(1.0))):
            return expit(difference / rule.temperature)
        if isinstance(rule, type(best_response())):
            return 0.5 * (1 + np.sign(difference))
        if isinstance(rule, type(imitation(1.0))):
            return expit(rule.intensity * difference)
        return max(difference, 0.0) / payoff_spread(game) if payoff_spread(game) > 0 else 0.0

    def answer(difference: float) -> float:
        without = accept(0.0) if process.masked == "blind" else 0.0
        return keep * accept(difference) + (1 - keep) * without

    for k in range(n):
        if rule.copies:
            on = k / (n - 1) * answer(acts[k - 1] - rests[k]) if k > 0 else 0.0
            off = (n - 1 - k) / (n - 1) * answer(rests[k + 1] - acts[k]) if k < n - 1 else 0.0
        else:
            on, off = answer(gain[k]), answer(-gain[k])
        rates = switching(game, process)
        np.testing.assert_allclose([np.exp(rates.log_on[k]), np.exp(rates.log_off[k])], [on, off], atol=1e-15)


@games
@processes
def test_rows_of_the_chain_are_laws(game, process):
    matrix = population_chain(game, process).transition_matrix()
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-13)


@games
@processes
def test_stationary_law_is_left_unchanged_by_the_chain(game, process):
    chain = population_chain(game, process)
    law, matrix = chain.stationary(), chain.transition_matrix()
    unit_eigenvalues = np.count_nonzero(np.abs(np.linalg.eigvals(matrix) - 1) < 1e-9)
    if law.status != "ok":
        assert unit_eigenvalues > 1
        assert np.isnan(law.probability).all()
        assert np.isnan(law.residual)
    else:
        np.testing.assert_allclose(law.probability.sum(), 1.0, atol=1e-13)
        np.testing.assert_allclose(law.probability @ matrix, law.probability, atol=1e-14)
        assert law.residual < 1e-12


@games
@processes
def test_escape_time_solves_the_first_step_equations(game, process):
    n = game.n_players
    chain = population_chain(game, process)
    matrix = chain.transition_matrix()
    for start, target in ((0, (n + 1) // 2), (n, n // 2), (n // 2, n)):
        goal = np.arange(n + 1) >= target if target > start else np.arange(n + 1) <= target
        time = chain.escape_time(start, target)
        reached = np.linalg.matrix_power(np.where(goal[:, None], np.eye(n + 1), matrix), 2**30)
        certain = reached[start, goal].sum()
        if np.isinf(time.log_sweeps):
            assert certain < 1 - 1e-9
        elif time.sweeps < 1e8:
            others = np.flatnonzero(~goal)
            # Only states that can be reached count; others may be traps that would make the system singular.
            seen = others[np.linalg.matrix_power(np.eye(n + 1) + matrix * ~goal[:, None], n + 1)[start, others] > 0]
            steps = np.linalg.solve(np.eye(seen.size) - matrix[np.ix_(seen, seen)], np.ones(seen.size))
            unit = n if process.revision == "one" else 1
            np.testing.assert_allclose(time.sweeps, steps[list(seen).index(start)] / unit, rtol=1e-7)
            assert time.residual < 1e-11


@games
@all_processes
def test_simulated_counts_follow_the_exact_law(game, process):
    """Chi-square of independent replicas against the transient law, schedules included."""
    sweeps, replicas = 12, 4000
    start = game.n_players // 3
    path = simulate(game, process, start=start, sweeps=sweeps, replicas=replicas, rng=np.random.default_rng(7), every=3)
    exact = population_chain(game, process).transient(start, [3, 6, 9, 12])
    assert exact.residual < 1e-12
    for column, law in enumerate(exact.probability, start=1):
        seen = np.bincount(path.count[:, column], minlength=game.n_players + 1)
        assert seen[law < 1e-30].sum() == 0
        common = law * replicas >= 5
        observed = np.append(seen[common], seen[~common].sum())
        expected = np.append(law[common], law[~common].sum()) * replicas
        filled = expected > 1e-6
        chi = ((observed - expected)[filled] ** 2 / expected[filled]).sum()
        freedom = max(filled.sum() - 1, 1)
        assert chi < freedom + 5 * np.sqrt(2 * freedom) + 15


@games
@pytest.mark.parametrize("process", [*CONSTANT.values(), *SCHEDULED.values()], ids=[*CONSTANT, *SCHEDULED])
def test_nothing_writes_into_its_arguments(game, process):
    before = pickle.dumps((game, process))
    start = np.array([0, 1])
    kept = copy.deepcopy(start)
    simulate(game, process, start=start, sweeps=2, replicas=2, rng=np.random.default_rng(0))
    chain = population_chain(game, process)
    chain.transient(0, 2)
    if process.constant:
        chain.stationary()
        chain.escape_time(0, 1)
        mean_field(game, process).equilibria()
    assert pickle.dumps((game, process)) == before
    np.testing.assert_array_equal(start, kept)
    assert not game.gain.flags.writeable


LARGE = {
    "club": PublicGoodsGame(40_000, cost=0.4, multiplier=1.0),
    "linear": PublicGoodsGame(40_000, cost=0.3, multiplier=12_000.0, good="linear"),
    "sigmoid": PublicGoodsGame(40_000, cost=0.2, multiplier=4_000.0, good="sigmoid"),
    "any": SymmetricGame(np.cos(np.linspace(0, 5, 40_000)), np.linspace(0, 1, 40_000) ** 2),
}


@pytest.mark.parametrize("game", LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("revision", ["one", "all"])
@pytest.mark.parametrize("masked", ["hold", "blind"])
@pytest.mark.parametrize("choice", [logit(0.2), imitation(2.0), replicator()], ids=["logit", "imitation", "replicator"])
def test_a_large_population_follows_the_mean_field(game, revision, masked, choice):
    process = Process(choice, revision, 0.6, masked)
    n, sweeps = game.n_players, 4
    path = simulate(game, process, start=int(0.3 * n), sweeps=sweeps, rng=np.random.default_rng(3))
    law = mean_field(game, process)
    if revision == "one":
        flow = solve_ivp(lambda _, x: law.velocity(x), (0, sweeps), [0.3], t_eval=path.time, rtol=1e-8, atol=1e-8)
        expected = flow.y[0]
    else:
        expected = [0.3]
        for _ in range(sweeps):
            expected.append(float(expected[-1] + law.velocity(expected[-1])))
    np.testing.assert_allclose(path.share[0], expected, atol=5 * 0.5 / np.sqrt(n) * sweeps)


def test_masked_hold_only_stretches_time_one_at_a_time():
    for game in GAMES.values():
        fast = population_chain(game, Process(logit(0.3)))
        slow = population_chain(game, Process(logit(0.3), keep_prob=0.25))
        np.testing.assert_allclose(slow.stationary().log_probability, fast.stationary().log_probability, rtol=1e-11)
        middle = game.n_players // 2
        np.testing.assert_allclose(slow.escape_time(0, middle).sweeps, 4 * fast.escape_time(0, middle).sweeps)


def test_masked_hold_is_no_mere_delay_when_all_revise_at_once():
    fast = population_chain(GAMES["club"], Process(logit(0.3), "all"))
    slow = population_chain(GAMES["club"], Process(logit(0.3), "all", 0.25))
    assert np.abs(slow.stationary().probability - fast.stationary().probability).max() > 1e-3


@scheduled
def test_what_needs_constant_parameters_says_so(process):
    game = GAMES["club"]
    chain = population_chain(game, process)
    for question in (chain.stationary, chain.transition_matrix, lambda: chain.escape_time(0, 1)):
        with pytest.raises(ValueError, match="constant parameters"):
            question()
    with pytest.raises(ValueError, match="constant parameters"):
        mean_field(game, process)


def test_a_schedule_that_leaves_its_range_is_refused():
    process = Process(logit(0.1), keep_prob=linear(1.0, -0.5))
    with pytest.raises(ValueError, match="keep_prob.*expected a probability"):
        simulate(GAMES["club"], process, start=0, sweeps=10, rng=np.random.default_rng(0))
