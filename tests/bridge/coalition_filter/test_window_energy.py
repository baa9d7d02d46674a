"""Energies, Gibbs law and values of windows against enumeration and the exact value engine."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from neurogames.bridge.coalition_filter.gibbs_law import (
    log_partition,
    log_partitions,
    partition_cells,
    partition_shares,
)
from neurogames.bridge.coalition_filter.window_energy import (
    count_windows,
    from_cells,
    spins,
    to_cells,
    window_energy,
    window_values,
)
from neurogames.engine.coalitions.values import banzhaf, shapley
from neurogames.games.coalition import FunctionCoalitionGame
from neurogames.games.pairwise_energy import PairwiseEnergyGame, spin_energy_game

strengths = st.floats(-3, 3)
SHAPES = {
    "3 x 3": np.ones((3, 3), bool),
    "2 x 2": np.ones((2, 2), bool),
    "an edge of 3 x 3": np.array([[1, 1, 1], [1, 1, 1], [0, 0, 0]], bool),
    "a broken last row": np.array([[1, 1, 1], [1, 1, 0], [0, 0, 0]], bool),
    "one unit": np.array([[1, 0], [0, 0]], bool),
    "4 x 3": np.ones((4, 3), bool),
}


def edges(present):
    """Adjacency of the units of a window, written anew."""
    places = [tuple(place) for place in np.argwhere(present)]
    return np.array([[abs(a - c) + abs(b - d) == 1 for c, d in places] for a, b in places], dtype=float)


def ising_terms(present, alpha, beta):
    """-E of each state of a window's spins, one by one."""
    near = edges(present)
    states = list(itertools.product([1.0, -1.0], repeat=len(near)))
    return np.array([0.5 * alpha * np.array(s) @ near @ np.array(s) + beta * sum(s) for s in states])


def test_spins_are_up_above_the_lower_median_and_silent_units_are_down():
    assert spins(torch.tensor([[4.0, 3.0, 2.0, 1.0]])).tolist() == [[1.0, 1.0, -1.0, -1.0]]
    assert spins(torch.tensor([[0.0, 0.0, 0.0, 5.0, 7.0]])).tolist() == [[-1.0, -1.0, -1.0, 1.0, 1.0]]


@pytest.mark.parametrize(("height", "width", "window"), [(6, 6, 2), (7, 5, 3), (4, 9, 4), (5, 5, 1)])
def test_cutting_into_windows_and_back_changes_nothing(height, width, window):
    maps = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    before = maps.clone()
    cells = to_cells(maps, window)
    assert torch.equal(from_cells(cells, height, width), maps)
    assert torch.equal(maps, before)
    assert cells[1, 2, 0, 0, -1, 0] == maps[1, 2, 0, cells.shape[-2] * window - window]
    assert count_windows(height * width, (height, width), window) == cells.shape[2] * cells.shape[4]


@given(st.integers(1, 3), st.sampled_from(["ising", "gaussian"]), strengths, strengths, st.integers(0, 10**6))
def test_values_equal_the_exact_engine_and_banzhaf_coincides(window, energy, alpha, beta, seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(window, 8, size=2)
    activations = rng.normal(size=(height, width))
    states = torch.from_numpy(activations)
    if energy == "ising":
        states = spins(states.reshape(1, -1)).reshape(height, width)
    cells = to_cells(states, window)
    values = from_cells(window_values(cells, alpha, beta, energy), height, width).numpy()
    energies = window_energy(cells, alpha, beta, energy).numpy()
    top, left = rng.integers(0, cells.shape[0]), rng.integers(0, cells.shape[2])
    part = (slice(top * window, (top + 1) * window), slice(left * window, (left + 1) * window))
    patch = states.numpy()[part]
    if energy == "ising":
        game = spin_energy_game(patch, alpha=alpha, beta=beta)
    else:
        a = patch.ravel()
        game = PairwiseEnergyGame(-0.5 * beta * a**2, alpha * edges(np.ones_like(patch)) * np.outer(a, a))
    exact = shapley(game).values
    np.testing.assert_allclose(values[part].ravel(), exact, atol=1e-6)
    np.testing.assert_allclose(banzhaf(game).values, exact, atol=1e-9)
    np.testing.assert_allclose(game.value(np.ones(patch.size, bool)), -energies[top, left], atol=1e-9)
    np.testing.assert_allclose(exact.sum(), -energies[top, left], atol=1e-9)


def test_gaussian_energy_is_the_quadratic_form():
    a = torch.randn(9, generator=torch.Generator().manual_seed(1), dtype=torch.float64).numpy()
    expected = 0.5 * (0.7 * a @ a - 0.3 * a @ edges(np.ones((3, 3))) @ a)
    found = window_energy(to_cells(torch.from_numpy(a).reshape(3, 3), 3), 0.3, 0.7, "gaussian")
    np.testing.assert_allclose(found.item(), expected, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("alpha", "beta", "temperature"), [(1.0, 1.0, 1.0), (-0.7, 0.4, 0.5), (2.0, -0.1, 3.0)])
def test_ising_partition_function_equals_the_sum_over_all_states(shape, alpha, beta, temperature):
    terms = ising_terms(SHAPES[shape], alpha, beta) / temperature
    found = log_partition(SHAPES[shape], alpha=alpha, beta=beta, temperature=temperature)
    np.testing.assert_allclose(found, np.logaddexp.reduce(terms), atol=1e-12)


def test_ising_partition_function_of_a_large_window_is_that_of_its_independent_rows():
    # without the field a chain has Z = 2 (2 cosh(alpha / T))^(n - 1), and absent rows cut 12 x 12 into six chains
    rows = np.zeros((12, 12), bool)
    rows[::2] = True
    found = log_partition(rows, alpha=0.8, beta=0.0, temperature=0.5)
    np.testing.assert_allclose(found, 6 * (math.log(2) + 11 * math.log(2 * math.cosh(1.6))), rtol=1e-13)
    square = log_partition(np.ones((12, 12), bool), alpha=0.0, beta=0.3)
    np.testing.assert_allclose(square, 144 * math.log(2 * math.cosh(0.3)), rtol=1e-13)


def test_gaussian_partition_function_equals_the_integral():
    def weight(a, b):
        return math.exp(-(0.5 * 0.9 * (a * a + b * b) - 0.4 * a * b) / 0.7)

    integral, _ = integrate.dblquad(weight, -15, 15, -15, 15)
    found = log_partition([[True, True]], alpha=0.4, beta=0.9, temperature=0.7, energy="gaussian")
    np.testing.assert_allclose(found, math.log(integral), atol=1e-7)


@pytest.mark.parametrize(("n", "largest"), [(2, 2.0), (3, 2 * math.sqrt(2))])
def test_a_gaussian_energy_has_a_gibbs_law_only_above_the_largest_eigenvalue(n, largest):
    full = np.ones((n, n), bool)
    assert math.isfinite(log_partition(full, alpha=1.0, beta=largest + 1e-6, energy="gaussian"))
    assert log_partition(full, alpha=1.0, beta=largest - 1e-6, energy="gaussian") == math.inf


@pytest.mark.parametrize("shape", [name for name, present in SHAPES.items() if present.sum() <= 9])
@pytest.mark.parametrize("energy", ["ising", "gaussian"])
def test_shares_are_the_values_of_the_log_partition_function_of_parts(shape, energy):
    present = SHAPES[shape]
    law = {"alpha": 0.3, "beta": 1.1, "temperature": 0.8, "energy": energy}

    def worth(coalitions):
        results = []
        for members in coalitions:
            part = np.zeros_like(present)
            part[present] = members
            results.append(log_partition(part, **law))
        return results

    exact = shapley(FunctionCoalitionGame(int(present.sum()), worth)).values
    shares = partition_shares(tuple(map(tuple, present.tolist())), *law.values())
    np.testing.assert_allclose(shares[present], exact, atol=1e-9)
    assert not shares[~present].any()
    np.testing.assert_allclose(shares.sum(), log_partition(present, **law), atol=1e-9)


def test_tables_over_a_grid_repeat_those_of_single_windows():
    players = to_cells(torch.ones(5, 4), 3).bool().numpy()
    law = {"alpha": 0.3, "beta": 1.1, "temperature": 0.8, "energy": "ising"}
    shares, sums = partition_cells(players, **law), log_partitions(players, **law)
    assert sums.shape == (2, 2)
    for row, column in itertools.product(range(2), repeat=2):
        window = players[row, :, column]
        np.testing.assert_array_equal(
            shares[row, :, column], partition_shares(tuple(map(tuple, window.tolist())), *law.values())
        )
        np.testing.assert_allclose(sums[row, column], shares[row, :, column].sum(), atol=1e-12)


def test_too_large_windows_and_a_cold_bath_are_refused():
    with pytest.raises(ValueError, match="temperature: got 0"):
        log_partition([[True]], alpha=1.0, beta=1.0, temperature=0.0)
    with pytest.raises(ValueError, match="at most 16"):
        log_partition(np.ones((1, 17), bool), alpha=1.0, beta=1.0)
    with pytest.raises(ValueError, match="at most 9 units"):
        partition_shares(((True,) * 4,) * 4, 1.0, 1.0, 1.0, "ising")
    with pytest.raises(ValueError, match="positive definite"):
        partition_shares(((True,) * 2,) * 2, 1.0, 1.0, 1.0, "gaussian")
