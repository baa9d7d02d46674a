"""What joint training costs beside plain training of the same network."""

import copy
import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.participation.joint_training import train_participation

ROWS, BATCH, EPOCHS = 128 * 100, 128, 40


@pytest.mark.benchmark
@pytest.mark.parametrize(
    ("rule", "costs"),
    [
        ("equilibrium", {"price": 0.01, "congestion": 2.0}),
        ("paper", {"ridge": 0.05, "price": 0.05}),
        ("paper", {"ridge": 0.05, "price": 0.05, "competition": 0.01}),
    ],
)
def test_epochs_of_joint_training_between_plain_ones(rule, costs):
    """Processor time of 100 steps of a training, and of 100 plain ones right after: the machine's speed drifts."""
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(ROWS, 784, generator=rng), torch.randint(10, (ROWS,), generator=rng)
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    plain = copy.deepcopy(model)
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-3, fused=True)
    marks = [time.thread_time()]

    def train_plainly(*_):
        marks.append(time.thread_time())
        for rows in torch.randperm(ROWS, generator=rng).split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(plain(inputs[rows]), targets[rows]).backward()
            optimizer.step()
        marks.append(time.thread_time())

    result = train_participation(
        model,
        inputs,
        targets,
        rule=rule,
        epochs=EPOCHS,
        batch_size=BATCH,
        check_rows=8,  # the check of each epoch is no part of a step
        rng=rng,
        on_epoch=train_plainly,
        **costs,
    )
    joint, alone = np.diff(marks).reshape(EPOCHS, 2)[1:].T  # set-up falls into the first epoch
    low, middle, high = np.percentile(joint / alone, (25, 50, 75))
    print(f"\n  {rule} {costs}: {middle:.3f} times plain training (quartiles {low:.3f} to {high:.3f})")
    assert result.profile.shape == (1, 768)
