"""Extraction and equilibrium of a trained network of 768 units, and its parts side by side."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.curvature.gate_curvature import gate_curvature
from neurogames.bridge.extraction.participation_game import loss_game, participation_game
from neurogames.bridge.gates.gates import insert_gates, present_gates
from neurogames.engine.participation.complementarity import solve_participation
from neurogames.lab.data.images import load_images
from tests.benchmarks.timing import medians

pytestmark = pytest.mark.benchmark


def trained():
    """MLP 784-512-256-10 after one epoch on 60,000 digits, and 10,000 of them."""
    images = load_images("mnist")
    inputs, targets = images.inputs.flatten(1), images.targets
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for rows in torch.randperm(len(inputs)).split(128):
        optimizer.zero_grad()
        functional.cross_entropy(model(inputs[rows]), targets[rows]).backward()
        optimizer.step()
    return model, (inputs[:10_000], targets[:10_000])


def test_taylor_game_and_equilibrium_of_the_mnist_network():
    model, data = trained()
    found = {}

    def extract():
        found["game"] = participation_game(model, functional.cross_entropy, data, price=1e-3)

    def solve():
        found["solution"] = solve_participation(found["game"])

    def epoch():
        for inputs, targets in zip(data[0].split(512), data[1].split(512), strict=True):
            functional.cross_entropy(model(inputs), targets).backward()

    times = medians({"extraction (taylor)": extract, "equilibrium": solve, "one pass with gradients": epoch}, repeats=3)
    print(f"  together {times['extraction (taylor)'] + times['equilibrium']:.2f} s; {found['solution'].status}")
    assert found["game"].residual(found["solution"].profile) < 1e-8
    assert present_gates(model) is None


def test_rank_correlation_of_predicted_and_real_loss_of_pruned_networks():
    model, data = trained()
    curvature = gate_curvature(model, functional.cross_entropy, data)
    game = loss_game(curvature)
    gates = insert_gates(model)
    n, rng, everybody = gates.n_players, np.random.default_rng(0), np.ones(gates.n_players)

    def real(profile):
        gates.assign(profile)
        with torch.no_grad():
            return float(functional.cross_entropy(model(data[0]), data[1]))

    def ranks(values):
        return np.argsort(np.argsort(values))

    print()
    found = {}
    for least, most in ((10, 10), (1, 38), (77, 77), (154, 154), (384, 384), (614, 614), (77, 691)):
        profiles = np.ones((50, n))
        for profile, size in zip(profiles, rng.integers(least, most + 1, 50), strict=True):
            profile[rng.choice(n, size, replace=False)] = 0.0
        losses = [real(profile) for profile in profiles]
        predicted = curvature.loss + game.potential(everybody) - game.potential(profiles)
        found[most] = np.corrcoef(ranks(losses), ranks(predicted))[0, 1]
        print(
            f"  {least:3d} to {most:3d} of {n} units removed: Spearman {found[most]:5.2f}, "
            f"real loss up to {max(losses):.3f}, predicted up to {max(predicted):.3f}"
        )
    assert found[38] > 0.8
