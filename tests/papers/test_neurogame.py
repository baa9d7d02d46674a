"""NEUROGAME (arXiv 2410.12264): what its equations say of the completion used here."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from neurogames.bridge.coalition_filter.coalition_layers import CoalitionFilter
from neurogames.bridge.coalition_filter.neurogame_net import NeuroGameNet, matched_mlp, parameter_count
from neurogames.bridge.coalition_filter.window_energy import to_cells, window_energy, window_values


def test_equation_1_shapley_values_of_a_window_by_all_orders_of_its_units():
    spins = torch.tensor([[1.0, 1.0], [-1.0, 1.0]])
    found = window_values(to_cells(spins, 2), 0.7, 0.4).flatten()
    expected = np.zeros(4)
    for order in itertools.permutations(range(4)):
        present, before = torch.zeros(4), 0.0
        for i in order:
            present[i] = 1.0
            after = -window_energy(to_cells(spins * present.view(2, 2), 2), 0.7, 0.4).item()
            expected[i] += (after - before) / 24
            before = after
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_equation_2_low_energy_is_probable():
    report = CoalitionFilter(2, 0.5, alpha=0.6, beta=0.2, temperature=1.5).explain(
        torch.randn(1, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    )
    energy, gibbs = report.energy.flatten(), report.gibbs.flatten()
    ratio = (gibbs[:, None] / gibbs).log()
    torch.testing.assert_close(ratio, (energy - energy[:, None]) / 1.5)


@pytest.mark.parametrize(("alpha", "beta", "lowest"), [(1.0, 0.1, "all up"), (-1.0, 0.1, "checkerboard")])
def test_equation_4_alpha_orders_neighbours_and_beta_tells_up_from_down(alpha, beta, lowest):
    states = torch.tensor(list(itertools.product([1.0, -1.0], repeat=4))).view(16, 2, 2)
    best = states[window_energy(to_cells(states, 2), alpha, beta).flatten().argmin()]
    checkerboard = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert torch.equal(best, torch.ones(2, 2)) if lowest == "all up" else torch.equal(best.abs(), checkerboard.abs())
    assert (best * checkerboard).sum().abs() == (4 if lowest == "checkerboard" else 0)


@pytest.mark.parametrize(("window", "top_p"), list(itertools.product([2, 3], [0.5, 0.8])))
def test_section_3_b_the_top_share_of_coalitions_wins_and_three_quarters_of_their_units_stay(window, top_p):
    maps = torch.randn(4, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    report = CoalitionFilter(window, top_p).explain(maps)
    windows = (12 // window) ** 2
    won = report.winning.flatten(2).sum(-1)
    assert (won == math.ceil(round(top_p * windows, 6))).all()
    kept = report.mask.flatten(2).sum(-1) / (won * window**2)
    assert (kept >= 0.75).all()
    below = (report.shapley < report.rho[..., None, None]) & report.mask
    assert not below.any()


def test_section_3_c_the_network_of_three_filters_and_the_perceptron_beside_it():
    net = NeuroGameNet((3, 64, 64), 2, rng=torch.Generator().manual_seed(0))  # the size of the paper's gender task
    assert net.convolution.weight.shape == (3, 3, 3, 3)
    mlp = matched_mlp((3, 64, 64), 2, parameter_count(net), rng=torch.Generator().manual_seed(0))
    assert abs(parameter_count(mlp) / parameter_count(net) - 1) < 0.01
