"""What joint training costs beside plain training of the same network."""

import copy
import functools
import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge.participation.course import Course, Run
from neurogames.bridge.participation.joint_training import train_participation
from tests.benchmarks.timing import medians

ROWS, BATCH = 128 * 40, 128
LONG = 4
TURNS, UNCOUNTED, COUNTED = 200, 2, 8


def on_one_thread():
    """A perceptron and noise to train it on, with one thread for everything that follows."""
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(ROWS, 784, generator=rng), torch.randint(10, (ROWS,), generator=rng)
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    return model, inputs, targets


def plain_step(model, optimiser, inputs, targets):
    """One step of the usual loop."""
    optimiser.zero_grad()
    functional.cross_entropy(model(inputs), targets).backward()
    optimiser.step()


def plainly(model, inputs, targets, rng, epochs):
    """The usual loop, with the fastest Adam of torch."""
    model = copy.deepcopy(model)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs), generator=rng).split(BATCH):
            plain_step(model, optimiser, inputs[rows], targets[rows])
    return model


@pytest.mark.benchmark
def test_a_step_with_participation_beside_a_plain_one():
    """A step is what a longer call takes more than a short one, so that set-up and the last check do not count."""
    model, inputs, targets = on_one_thread()

    def jointly(rule, epochs, runs=1):
        costs = {"ridge": 0.05, "price": 0.05} if rule == "paper" else {"price": [0.01] * runs}
        return train_participation(
            model,
            inputs,
            targets,
            rule=rule,
            epochs=epochs,
            batch_size=BATCH,
            check_rows=128,
            rng=torch.Generator().manual_seed(1),
            **costs,
        )

    calls = {
        "plain": lambda epochs: plainly(model, inputs, targets, torch.Generator().manual_seed(1), epochs),
        "equilibrium": lambda epochs: jointly("equilibrium", epochs),
        "paper": lambda epochs: jointly("paper", epochs),
        "equilibrium, 4 runs at once": lambda epochs: jointly("equilibrium", epochs, runs=4),
    }
    found = medians(
        {f"{name}, {n} epochs": functools.partial(call, n) for name, call in calls.items() for n in (1, LONG)},
        repeats=7,
    )
    steps = (LONG - 1) * ROWS // BATCH
    step = {name: (found[f"{name}, {LONG} epochs"] - found[f"{name}, 1 epochs"]) / steps for name in calls}
    for name, seconds in step.items():
        print(f"  {name:30} {seconds * 1e3:8.2f} ms a step {seconds / step['plain']:6.2f}")
    assert jointly("equilibrium", 1).profile.shape == (1, 768)


@pytest.mark.benchmark
def test_steps_in_turns():
    """Processor time of a few steps each in turns: what else the machine does falls on all alike.

    The first steps of a turn are not counted: they find another network's weights in the cache, as no step of a
    training does.
    """
    model, inputs, targets = on_one_thread()
    plain = copy.deepcopy(model)
    optimiser = torch.optim.Adam(plain.parameters(), lr=1e-3, fused=True)
    costs = {
        "equilibrium": ("equilibrium", 0.01, 0.0, 0.0),
        "paper": ("paper", 0.05, 0.05, 0.0),
        "paper, with competition": ("paper", 0.05, 0.05, 0.01),
    }
    courses = {
        name: Course.opened(
            [Run(model, *charged)], functional.cross_entropy, rule, ("neurons", "filters"), 1e-3, crowding=2.0
        )
        for name, (rule, *charged) in costs.items()
    }
    steps = {"plain": lambda rows, labels, _: plain_step(plain, optimiser, rows, labels)} | {
        name: functools.partial(lambda course, rows, labels, number: course.step(rows, labels, 0.3, number, 1e-3), one)
        for name, one in courses.items()
    }
    seconds = {name: [] for name in steps}
    batches = list(zip(inputs.split(BATCH), targets.split(BATCH), strict=True))
    for turn in range(TURNS):
        for name in list(steps)[:: (-1) ** turn]:
            for number in range(UNCOUNTED + COUNTED):
                if number == UNCOUNTED:
                    start = time.thread_time()
                steps[name](*batches[(turn + number) % len(batches)], number)
            seconds[name].append(time.thread_time() - start)
    for name, taken in seconds.items():
        print(f"  {name:24} {np.median(np.divide(taken, seconds['plain'])):6.3f} times a plain step")
    assert all(course.shares.isfinite().all() for course in courses.values())
