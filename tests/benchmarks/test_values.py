"""Exact Shapley values beside shapiq and coopgame-py, and the error of estimates beside the best of shapiq."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from neurogames.engine.coalitions.transforms import coalition_table
from neurogames.engine.coalitions.value_sampling import shapley_by_permutations, shapley_by_strata
from neurogames.engine.coalitions.values import banzhaf, interactions, shapley
from neurogames.games.coalition import TabularCoalitionGame
from neurogames.games.pairwise_energy import PairwiseEnergyGame
from tests.benchmarks.timing import medians
from tests.benchmarks.value_games import digits_masking_game, random_unanimity_game, tabulated

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    shapiq = pytest.importorskip("shapiq", reason="shapiq is not installed")
coopgame = pytest.importorskip("coopgame", reason="coopgame-py is not installed")

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("default")]

SEEDS = 11
BUDGETS = (1000, 5000, 20000)


def energy_game(n):
    rng = np.random.default_rng(n)
    pairs = np.triu(rng.normal(size=(n, n)), 1)
    return PairwiseEnergyGame(rng.normal(size=n), pairs + pairs.T)


@pytest.mark.parametrize("n", [14, 16])
def test_exact_shapley_values_beside_shapiq(n):
    game = energy_game(n)
    medians(
        {
            f"evaluating the game, n = {n}": lambda: coalition_table(game),
            "neurogames": lambda: shapley(game),
            "shapiq ExactComputer": lambda: shapiq.ExactComputer(n_players=n, game=game.value)("SV", order=1),
        },
        repeats=3,
    )
    theirs = shapiq.ExactComputer(n_players=n, game=game.value)("SV", order=1)
    np.testing.assert_allclose(shapley(game).values, [theirs[(i,)] for i in range(n)], atol=1e-10)


@pytest.mark.parametrize("n", [18, 20, 22])
def test_exact_values_from_a_ready_table_beside_coopgame(n):
    table = coalition_table(energy_game(n))
    game, peer = TabularCoalitionGame(table), coopgame.Game(table[1:].tolist())
    medians(
        {
            f"neurogames shapley, n = {n}": lambda: shapley(game),
            "coopgame shapley": lambda: coopgame.shapley(peer),
            "neurogames banzhaf": lambda: banzhaf(game),
            "neurogames interactions": lambda: interactions(game),
            "evaluating the game": lambda: coalition_table(energy_game(n)),
        },
        repeats=3,
    )
    np.testing.assert_allclose(shapley(game).values, coopgame.shapley(peer), atol=1e-10)


def from_shapiq(approximator, **options):
    def estimate(game, budget, seed):
        peer = approximator(n=game.n_players, random_state=seed, **options)
        values = peer.approximate(budget, lambda coalitions: game.value(np.atleast_2d(coalitions)))
        return np.array([values[(i,)] for i in range(game.n_players)])

    return estimate


def ours(method):
    return lambda game, budget, seed: method(game, budget, rng=np.random.default_rng(seed)).values


GAMES = {
    "200 unanimity games": lambda instance: tabulated(
        random_unanimity_game(16, 200, np.random.default_rng(2026 + instance))
    ),
    "digits network": lambda instance: digits_masking_game(hidden=16, seed=instance),
}


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("instance", [0, 1, 2])
def test_error_of_estimates_beside_shapiq(name, instance):
    game = GAMES[name](instance)
    truth = shapley(game).values
    estimators = {
        "neurogames regression": ours(shapley),
        "shapiq SVARM": from_shapiq(shapiq.SVARM),
        "shapiq KernelSHAP, paired": from_shapiq(shapiq.KernelSHAP, pairing_trick=True),
    }
    if instance == 0:
        estimators |= {
            "neurogames strata": ours(shapley_by_strata),
            "neurogames permutations": ours(shapley_by_permutations),
            "shapiq PermutationSamplingSV": from_shapiq(shapiq.PermutationSamplingSV),
        }
    print(f"\n  {name} {instance}: squared error / variance of the values, median of {SEEDS} seeds, at {BUDGETS} calls")
    table = {}
    for label, estimate in estimators.items():
        errors = [
            [np.mean((estimate(game, budget, seed) - truth) ** 2) / truth.var() for seed in range(SEEDS)]
            for budget in BUDGETS
        ]
        table[label] = np.median(errors, axis=1)
        print(f"  {label:<32}" + "".join(f"{value:12.2e}" for value in table[label]))
    best = np.min([errors for label, errors in table.items() if label.startswith("shapiq")], axis=0)
    print(
        f"  {'best of shapiq / regression':<32}" + "".join(f"{x:12.2f}" for x in best / table["neurogames regression"])
    )
    if instance == 0:
        medians(
            {label: (lambda estimate=estimate: estimate(game, 20000, 0)) for label, estimate in estimators.items()},
            repeats=1,
        )
    # more calls give less error, and the errors of the regression are honest
    assert (np.diff(table["neurogames regression"]) < 0).all()
    covered = []
    for seed in range(SEEDS):
        result = shapley(game, 5000, rng=np.random.default_rng(seed))
        covered.append(np.mean(np.abs(result.values - truth) <= 1.96 * result.stderr))
    print(f"  share of values within 1.96 standard errors at 5000 calls: {np.mean(covered):.3f}")
    assert 0.85 < np.mean(covered) <= 1.0
