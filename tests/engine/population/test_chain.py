"""The exact chain against dense twins in many digits, and against laws known in closed form."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaln

from neurogames.engine import Process, best_response, imitation, linear, logit, population_chain
from neurogames.games import PublicGoodsGame, SymmetricGame

vectors = st.lists(st.floats(-2, 2, allow_nan=False), min_size=2, max_size=9).map(SymmetricGame)
masks = st.sampled_from(["hold", "blind"])
revisions = st.sampled_from(["one", "all"])
keeps = st.floats(0.05, 1.0)


def precise_matrix(game, temperature, process):
    """Transition matrix of logit choice in mpmath, by the definition."""
    n, tau, keep = game.n_players, mp.mpf(temperature), mp.mpf(process.keep_prob)
    seen = [1 / (1 + mp.exp(-mp.mpf(float(f)) / tau)) for f in game.gain]
    if process.masked == "blind":
        on = [keep * p + (1 - keep) / 2 for p in seen]
        off = [1 - p for p in on]
    else:
        on, off = [keep * p for p in seen], [keep * (1 - p) for p in seen]
    matrix = mp.zeros(n + 1)
    for count in range(n + 1):
        if process.revision == "one":
            up = on[count] * (n - count) / n if count < n else mp.mpf(0)
            down = off[count - 1] * count / n if count > 0 else mp.mpf(0)
            moves = {count + 1: up, count - 1: down, count: 1 - up - down}
        else:
            joining = precise_binomial(n - count, on[min(count, n - 1)])
            staying = precise_binomial(count, 1 - off[max(count - 1, 0)])
            moves = dict.fromkeys(range(n + 1), mp.mpf(0))
            for i, join in enumerate(joining):
                for j, stay in enumerate(staying):
                    moves[i + j] += join * stay
        for end, chance in moves.items():
            if 0 <= end <= n:
                matrix[count, end] = chance
    return matrix


def precise_binomial(trials, chance):
    return [mp.binomial(trials, i) * chance**i * (1 - chance) ** (trials - i) for i in range(trials + 1)]


def precise_solve(rows, right):
    """Gaussian elimination without pivots, which a diagonally dominant system does not need."""
    size = len(rows)
    rows = [[*row, value] for row, value in zip(rows, right, strict=True)]
    for k in range(size):
        for i in range(k + 1, size):
            if rows[i][k] != 0:
                factor = rows[i][k] / rows[k][k]
                rows[i][k:] = [here - factor * there for here, there in zip(rows[i][k:], rows[k][k:], strict=True)]
    result = [mp.mpf(0)] * size
    for k in reversed(range(size)):
        known = mp.fsum(rows[k][j] * result[j] for j in range(k + 1, size))
        result[k] = (rows[k][size] - known) / rows[k][k]
    return result


def precise_passage(matrix, start, goal):
    others = [i for i in range(matrix.rows) if not goal(i)]
    rows = [[(1 if i == j else 0) - matrix[i, j] for j in others] for i in others]
    return precise_solve(rows, [mp.mpf(1)] * len(others))[others.index(start)]


def precise_stationary(matrix):
    """Balance of all counts but the first, whose weight is set to 1."""
    inner = range(1, matrix.rows)
    rows = [[(1 if i == j else 0) - matrix[j, i] for j in inner] for i in inner]
    weights = [mp.mpf(1), *precise_solve(rows, [matrix[0, i] for i in inner])]
    total = mp.fsum(weights)
    return [weight / total for weight in weights]


@pytest.mark.parametrize("revision", ["one", "all"])
@pytest.mark.parametrize(("keep", "masked"), [(1.0, "hold"), (0.3, "hold"), (0.8, "blind")])
@pytest.mark.parametrize("players", [60])
def test_chain_agrees_with_many_digits_to_twelve(revision, keep, masked, players):
    game, process = PublicGoodsGame(players, 0.4, 1.0), Process(logit(0.08), revision, keep, masked)
    chain = population_chain(game, process)
    with mp.workdps(150):
        matrix = precise_matrix(game, 0.08, process)
        unit = players if revision == "one" else 1
        for start, target, goal in ((0, 42, lambda i: i >= 42), (60, 18, lambda i: i <= 18)):
            time = chain.escape_time(start, target)
            exact = precise_passage(matrix, start, goal) / unit
            assert abs(time.sweeps / exact - 1) < 1e-12
            assert time.residual < 1e-12
        law = chain.stationary()
        exact_law = precise_stationary(matrix)
        for count in range(players + 1):
            assert abs(mp.exp(mp.mpf(law.log_probability[count])) / exact_law[count] - 1) < 1e-12
    assert law.residual < 1e-12


@pytest.mark.parametrize(("revision", "digits"), [("one", 700), ("all", 2600)])
def test_escape_times_beyond_floats_have_all_their_digits(revision, digits):
    game, process = PublicGoodsGame(16, 0.6, 1.0), Process(logit(0.002), revision, 0.7, "hold")
    time = population_chain(game, process).escape_time(0, 16)
    with mp.workdps(digits):
        exact = precise_passage(precise_matrix(game, 0.002, process), 0, lambda i: i >= 16)
        exact_log = mp.log(exact / (16 if revision == "one" else 1))
        assert exact_log > 700
        assert abs(time.log_sweeps - exact_log) < 1e-12 * abs(exact_log)
    assert time.sweeps == np.inf


@given(game=vectors, temperature=st.floats(0.05, 5.0))
def test_full_logit_one_at_a_time_is_a_gibbs_measure(game, temperature):
    """Weight binom(N, C) exp(Phi(C) / tau); gradient-dropout game, section on the potential."""
    n, counts = game.n_players, np.arange(game.n_players + 1)
    weight = gammaln(n + 1) - gammaln(counts + 1) - gammaln(n - counts + 1) + game.potential() / temperature
    law = population_chain(game, Process(logit(temperature))).stationary()
    np.testing.assert_allclose(law.log_probability, weight - np.logaddexp.reduce(weight), atol=1e-10)


@given(game=vectors, revision=revisions, masked=masks, keep=keeps)
def test_renaming_the_actions_mirrors_every_result(game, revision, masked, keep):
    n = game.n_players
    mirror = SymmetricGame(-game.gain[::-1])
    process = Process(logit(0.2), revision, keep, masked)
    chain, twin = population_chain(game, process), population_chain(mirror, process)
    np.testing.assert_allclose(chain.stationary().log_probability, twin.stationary().log_probability[::-1], atol=1e-10)
    np.testing.assert_allclose(chain.escape_time(0, n).log_sweeps, twin.escape_time(n, 0).log_sweeps, atol=1e-10)


@given(game=vectors, revision=revisions, masked=masks, keep=keeps, temperature=st.floats(0.02, 2.0))
def test_transient_law_is_the_power_of_the_matrix(game, revision, masked, keep, temperature):
    process = Process(logit(temperature), revision, keep, masked)
    chain = population_chain(game, process)
    steps = game.n_players if revision == "one" else 1
    laws = chain.transient(1, [0, 1, 5])
    for row, sweeps in zip(laws.probability, [0, 1, 5], strict=True):
        power = np.linalg.matrix_power(chain.transition_matrix(), sweeps * steps)
        np.testing.assert_allclose(row, power[1], atol=1e-13)
    np.testing.assert_allclose(chain.transient(1, 5).log_probability, laws.log_probability[-1], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("revision", ["one", "all"])
def test_transient_law_follows_schedules_sweep_by_sweep(revision):
    game, sweeps = PublicGoodsGame(9, 0.4, 1.0), 6
    annealed = Process(logit(0.1), revision, linear(0.2, 1.0), "blind")
    law = np.eye(10)[0]
    for sweep in range(sweeps):
        fixed = Process(logit(0.1), revision, 0.2 + 0.8 * sweep / sweeps, "blind")
        matrix = population_chain(game, fixed).transition_matrix()
        law = law @ np.linalg.matrix_power(matrix, 9 if revision == "one" else 1)
    np.testing.assert_allclose(population_chain(game, annealed).transient(0, sweeps).probability, law, atol=1e-14)


def test_transient_law_reaches_far_below_the_smallest_float():
    game = SymmetricGame(np.full(40, -40.0))
    law = population_chain(game, Process(logit(1.0))).transient(0, 1)
    # 40 revisions in a row must all start an action: 40! / 40^40 sigma(-40)^40.
    expected = gammaln(41) - 40 * np.log(40) - 40 * np.log1p(np.exp(40.0))
    assert expected < -1600
    np.testing.assert_allclose(law.log_probability[-1], expected, rtol=1e-13)


def test_a_million_players_take_one_pass():
    n = 10**6
    game = PublicGoodsGame(n, 0.4, 1.0)
    chain = population_chain(game, Process(logit(0.08)))
    law, counts = chain.stationary(), np.arange(n + 1)
    weight = gammaln(n + 1) - gammaln(counts + 1) - gammaln(n - counts + 1) + game.potential() / 0.08
    # The potential is of order 1e6, so its own rounding is what limits the comparison.
    np.testing.assert_allclose(law.log_probability, weight - np.logaddexp.reduce(weight), atol=2e-6)
    assert law.residual < 1e-12
    time = chain.escape_time(0, 700_000)
    assert 1e5 < time.log_sweeps < 1e6
    assert time.residual < 1e-6


@pytest.mark.parametrize("revision", ["one", "all"])
def test_where_several_counts_are_never_left_the_law_says_so(revision):
    game = PublicGoodsGame(20, 0.4, 1.0)
    for process in (Process(imitation(1.0), revision), Process(best_response(), revision)):
        chain = population_chain(game, process)
        law = chain.stationary()
        assert law.status == "not unique: 2 sets of counts are never left (0, 20)"
        assert np.isnan(law.log_probability).all()
        assert chain.escape_time(0, 14).sweeps == np.inf
        assert chain.escape_time(20, 14).sweeps == np.inf


def test_one_absorbing_count_takes_all():
    game = SymmetricGame(np.full(5, 1.0))
    chain = population_chain(game, Process(best_response()))
    assert chain.stationary().status == "ok"
    np.testing.assert_array_equal(chain.stationary().probability, [0, 0, 0, 0, 0, 1])
    # Nobody ever returns, so each new actor waits for a resting player to be picked: the coupon collector's time.
    np.testing.assert_allclose(chain.escape_time(0, 5).sweeps, sum(1 / i for i in range(1, 6)))
    assert chain.escape_time(5, 0).sweeps == np.inf
    assert chain.escape_time(5, 0).residual == 0.0
    rounds = population_chain(game, Process(best_response(), "all"))
    np.testing.assert_array_equal(rounds.stationary().probability, [0, 0, 0, 0, 0, 1])
    assert rounds.escape_time(0, 5).sweeps == 1.0


def test_a_trap_below_the_start_makes_the_expected_time_infinite():
    trap = SymmetricGame([-1.0, -1.0, 1.0, 1.0, 1.0])
    imitate = Process(imitation(1.0))
    for revision in ("one", "all"):
        assert population_chain(trap, Process(imitate.choice, revision)).escape_time(2, 5).sweeps == np.inf
    # From 3 actors best responses only climb, whatever happens below.
    np.testing.assert_allclose(
        population_chain(trap, Process(best_response())).escape_time(3, 5).sweeps, (5 / 2 + 5) / 5
    )


def test_start_at_the_target_takes_no_time():
    assert population_chain(PublicGoodsGame(5, 0.4, 1.0), Process(logit(0.1))).escape_time(3, 3).sweeps == 0.0


@pytest.mark.parametrize(
    ("start", "target", "message"),
    [(-1, 3, "start: got -1"), (0, 6, "target: got 6"), (0.5, 3, "start: got 0.5")],
)
def test_counts_out_of_range_are_refused(start, target, message):
    with pytest.raises(ValueError, match=message):
        population_chain(PublicGoodsGame(5, 0.4, 1.0), Process(logit(0.1))).escape_time(start, target)


@pytest.mark.parametrize("sweeps", [-1, [3, 2], [], 1.5, [1, 1]])
def test_times_that_do_not_increase_are_refused(sweeps):
    with pytest.raises(ValueError, match="sweeps"):
        population_chain(PublicGoodsGame(5, 0.4, 1.0), Process(logit(0.1))).transient(0, sweeps)


@pytest.mark.parametrize("revision", ["one", "all"])
def test_temperatures_near_zero_are_answered_or_refused(revision):
    game, nearly = PublicGoodsGame(20, 0.4, 1.0), Process(logit(1e-16), revision)
    law = population_chain(game, nearly).stationary()
    assert law.status == "ok"
    assert law.log_probability.argmax() == 20
    assert np.isfinite(population_chain(game, nearly).escape_time(0, 20).log_sweeps)
    with pytest.raises(ValueError, match=r"process: got 'a log probability of -6e\+49'"):
        population_chain(game, Process(logit(1e-50), revision)).stationary()


def test_a_bare_rule_and_what_is_no_game_are_refused():
    with pytest.raises(ValueError, match="process: got Logit"):
        population_chain(PublicGoodsGame(20, 0.4, 1.0), logit(0.1))
    with pytest.raises(ValueError, match="game: got 5, expected a symmetric two-action game"):
        population_chain(5, Process(logit(0.1)))
