"""Annealing beside its exact law; free energy, barrier and Kramers' estimate beside exact stationary laws and times."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammaln

from neurogames.engine import Process, geometric, imitation, linear, logit, population_chain
from neurogames.engine.population.annealing import anneal
from neurogames.engine.population.metastability import free_energy, metastable_escape
from neurogames.games import PublicGoodsGame, SymmetricGame
from tests.laws import CONSTANT, GAMES, SCHEDULED

GAME = PublicGoodsGame(20, 0.4, 1.0)


def rng():
    return np.random.default_rng(2)


@pytest.mark.parametrize("process", [*SCHEDULED.values(), *CONSTANT.values()], ids=[*SCHEDULED, *CONSTANT])
def test_runs_agree_with_the_exact_law(process):
    result = anneal(GAME, process, start=5, sweeps=20, replicas=400, rng=rng(), every=5)
    assert result.law.log_probability.shape == (5, 21)
    np.testing.assert_array_equal(result.path.time, [0, 5, 10, 15, 20])
    assert result.law.residual < 1e-12
    assert result.deviation < 5.0


def test_a_wrong_law_would_be_noticed(monkeypatch):
    """The deviation compares the runs with the law of the process asked for, and nothing else."""
    import neurogames.engine.population.annealing as module

    simulate = module.simulate
    other = Process(logit(0.3))
    monkeypatch.setattr(module, "simulate", lambda game, _, **rest: simulate(game, other, **rest))
    assert anneal(GAME, Process(logit(0.2)), start=5, sweeps=20, replicas=400, rng=rng()).deviation > 6.0


def test_the_law_follows_the_schedule_sweep_by_sweep():
    schedule, sweeps = geometric(0.5, 0.05), 4
    result = anneal(GAME, Process(logit(schedule)), start=3, sweeps=sweeps, rng=rng())
    law = np.eye(21)[3]
    np.testing.assert_array_equal(result.law.probability[0], law)
    for sweep in range(sweeps):
        fixed = Process(logit(float(schedule(sweep / sweeps))))
        law = law @ np.linalg.matrix_power(population_chain(GAME, fixed).transition_matrix(), 20)
        np.testing.assert_allclose(result.law.probability[sweep + 1], law, atol=1e-13)


def test_raising_keep_under_blind_finds_the_better_equilibrium_and_holding_does_not():
    """For c < kappa / 2 a low keep removes the detour state, and raising it again lands in composition."""
    rising = Process(logit(0.08), "one", linear(0.4, 1.0), "blind")
    held = Process(logit(0.08), "one", linear(0.4, 1.0), "hold")
    success = [anneal(GAME, process, start=0, sweeps=60, rng=rng()).success(14) for process in (rising, held)]
    assert success[0] > 0.99
    assert success[1] < 0.1


def test_success_adds_up():
    result = anneal(GAME, Process(logit(0.3)), start=5, sweeps=3, rng=rng())
    assert result.success(0) == pytest.approx(1.0)
    assert result.success(0, 9) + result.success(10) == pytest.approx(1.0)


def test_absorbed_runs_do_not_deviate():
    assert anneal(GAME, Process(imitation(1.0)), start=0, sweeps=3, replicas=5, rng=rng()).deviation == 0.0


@pytest.mark.parametrize("game", GAMES.values(), ids=GAMES)
def test_free_energy_is_gibbs_stationary_law(game):
    temperature = 0.2
    energy = free_energy(game, temperature)
    law = population_chain(game, Process(logit(temperature))).stationary().log_probability
    np.testing.assert_allclose(-energy / temperature - (-energy / temperature)[0], law - law[0], atol=1e-10)
    n, counts = game.n_players, np.arange(game.n_players + 1)
    ways = gammaln(n + 1) - gammaln(counts + 1) - gammaln(n - counts + 1)
    potential = np.concatenate([[0.0], np.cumsum(game.gain)])
    np.testing.assert_allclose(energy, -potential - temperature * ways, atol=1e-11)


def test_kramers_estimate_approaches_the_exact_escape_time():
    """Its error vanishes as valley and ridge grow wide; the barrier grows with N meanwhile."""
    errors = []
    for n in (200, 800, 3200):
        escape = metastable_escape(PublicGoodsGame(n, 0.47, 1.0), 0.18, start=0, target=int(0.7 * n))
        errors.append(abs(escape.ratio - 1))
        assert escape.exact.residual < 1e-9
    assert errors[1] < 0.6 * errors[0]
    assert errors[2] < 0.6 * errors[1]
    assert errors[2] < 0.02


@pytest.mark.parametrize(("cost", "temperature"), [(0.4, 0.08), (0.45, 0.1), (0.3, 0.05)])
def test_at_the_edge_and_for_few_players_the_estimate_has_the_right_size(cost, temperature):
    escape = metastable_escape(PublicGoodsGame(20, cost, 1.0), temperature, start=0, target=14)
    assert escape.valley <= 1
    assert 0.7 < escape.ratio < 1.4


def test_the_barrier_is_about_half_the_cost_squared_over_the_multiplier():
    """Cold, from all-detour: N c^2 / (2 kappa)."""
    n, cost, kappa = 2000, 0.4, 1.3
    escape = metastable_escape(PublicGoodsGame(n, cost, kappa), 1e-4, start=0, target=n)
    assert escape.valley == 0
    assert escape.barrier == pytest.approx(n * cost**2 / (2 * kappa), rel=0.01)
    assert escape.exact.sweeps == np.inf  # beyond the range of floats
    # As cold as that, valley and ridge are single counts, and the estimate has only its leading terms.
    assert escape.log_sweeps == pytest.approx(escape.exact.log_sweeps, rel=1e-4)


def test_falling_mirrors_rising():
    game = PublicGoodsGame(50, 0.55, 1.0)
    mirrored = SymmetricGame(-game.gain[::-1])
    down = metastable_escape(game, 0.15, start=50, target=10)
    up = metastable_escape(mirrored, 0.15, start=0, target=40)
    assert (down.valley, down.ridge) == (50 - up.valley, 50 - up.ridge)
    np.testing.assert_allclose([down.barrier, down.log_sweeps], [up.barrier, up.log_sweeps], rtol=1e-9)
    np.testing.assert_allclose(down.exact.log_sweeps, up.exact.log_sweeps, rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: anneal(GAME, Process(logit(0.1)), start=21, sweeps=3, rng=rng()), "start: got 21"),
        (lambda: anneal(GAME, Process(logit(0.1)), start=1, sweeps=10, every=3, rng=rng()), "a divisor of sweeps"),
        (lambda: anneal(GAME, Process(logit(0.1)), start=1, sweeps=3, rng=rng()).success(3, 2), "most: got 2"),
        (lambda: free_energy(GAME, 0.0), "temperature"),
        (lambda: metastable_escape(GAME, 0.1, start=3, target=3), "another count"),
        (lambda: metastable_escape(GAME, 0.1, start=3, target=21), "target: got 21"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
