"""What joint training costs beside plain training of the same network."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.participation_training import train_participation
from tests.benchmarks.timing import medians

ROWS, BATCH = 128 * 40, 128


def plainly(model, inputs, targets, rng):
    """The usual loop, with the fastest Adam of torch."""
    model = copy.deepcopy(model)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    order = torch.randperm(len(inputs), generator=rng)
    for rows in order.split(BATCH):
        optimiser.zero_grad()
        functional.cross_entropy(model(inputs[rows]), targets[rows]).backward()
        optimiser.step()
    return model


@pytest.mark.benchmark
def test_a_step_with_participation_beside_a_plain_one():
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(ROWS, 784, generator=rng), torch.randint(10, (ROWS,), generator=rng)
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))

    def jointly(rule, runs=1):
        costs = {"ridge": 0.05, "price": 0.05} if rule == "paper" else {"price": [0.01] * runs}
        return train_participation(
            model,
            inputs,
            targets,
            rule=rule,
            epochs=1,
            batch_size=BATCH,
            check_rows=128,
            rng=torch.Generator().manual_seed(1),
            **costs,
        )

    found = medians(
        {
            "plain": lambda: plainly(model, inputs, targets, torch.Generator().manual_seed(1)),
            "equilibrium": lambda: jointly("equilibrium"),
            "paper": lambda: jointly("paper"),
            "equilibrium, 4 runs at once": lambda: jointly("equilibrium", 4),
        },
        repeats=9,
    )
    for name, seconds in found.items():
        print(f"{name:30} {seconds / (ROWS // BATCH) * 1e3:8.2f} ms a step {seconds / found['plain']:6.2f}")
    assert jointly("equilibrium").profile.shape == (1, 768)
