"""Training 64 networks (11-64-64-1, 1,500 rows, batch 64): ours beside plain torch, in time and memory."""

from __future__ import annotations

import ctypes
import multiprocessing
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from neurogames.bridge.ensembles import ensemble as ensemble_module
from neurogames.bridge.ensembles import stacked_steps
from neurogames.bridge.ensembles.ensemble import train_ensemble
from neurogames.bridge.ensembles.networks import initial_ensemble
from neurogames.bridge.feedback.target_noise import GaussianNoise
from tests.benchmarks.timing import medians

NETWORKS, ROWS, FEATURES, HIDDEN, BATCH, EPOCHS = 64, 1500, 11, (64, 64), 64, 5
SEQUENTIAL = 8  # networks the slow peers train; their time is reported for as many as ours


def table() -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(ROWS, FEATURES, generator=torch.Generator().manual_seed(0))
    return inputs, inputs[:, :1].square() + inputs[:, 1:2]


def sequential(networks: int, fused: bool) -> float:
    """Train plain models one after the other, and return the last loss."""
    inputs, targets = table()
    for seed in range(networks):
        model = initial_ensemble((FEATURES, *HIDDEN, 1), [seed]).network(0)
        descent = torch.optim.Adam(model.parameters(), fused=True if fused else None)
        for _ in range(EPOCHS):
            order = torch.randperm(ROWS)
            for start in range(0, ROWS, BATCH):
                chosen = order[start : start + BATCH]
                descent.zero_grad()
                cost = nn.functional.mse_loss(model(inputs[chosen]), targets[chosen])
                cost.backward()
                descent.step()
    return cost.item()


def stacked_autograd() -> float:
    """Train all networks by batched products, autograd and fused Adam: the best plain torch we know of."""
    inputs, targets = table()
    start = initial_ensemble((FEATURES, *HIDDEN, 1), range(NETWORKS))
    parameters = [tensor.clone().requires_grad_() for tensor in start.weights + start.biases]
    descent = torch.optim.Adam(parameters, fused=True)
    for _ in range(EPOCHS):
        order = torch.rand(NETWORKS, ROWS).argsort(dim=1)
        for begin in range(0, ROWS, BATCH):
            chosen = order[:, begin : begin + BATCH]
            values = inputs[chosen]
            for layer in range(3):
                values = torch.baddbmm(parameters[3 + layer], values, parameters[layer])
                values = values.relu() if layer < 2 else values
            descent.zero_grad()
            cost = (values - targets[chosen]).square().mean(dim=(1, 2)).sum()
            cost.backward()
            descent.step()
    return cost.item() / NETWORKS


def ours(threads: int = 1, **settings) -> float:
    """Mean loss of the last epoch."""
    torch.set_num_threads(threads)
    try:
        trained = train_ensemble(*table(), seeds=range(NETWORKS), hidden=HIDDEN, epochs=EPOCHS, **settings)
    finally:
        torch.set_num_threads(1)
    return float(trained.train_loss[:, -1].mean())


def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.benchmark
def test_one_thread_beside_the_sequential_loop_and_stacked_autograd(monkeypatch):
    torch.set_num_threads(1)
    seconds = medians(
        {
            "ours, 64 networks": ours,
            "ours, 64 networks, keep 0.5": lambda: ours(keep_prob=0.5),
            "ours, 64 networks, keep 0.5, normal label noise": lambda: ours(
                keep_prob=0.5, target_noise=GaussianNoise(0.1)
            ),
            "ours, 64 networks, keep 0.5 per sample": lambda: ours(keep_prob=0.5, granularity="sample"),
            f"plain loop, Adam, {SEQUENTIAL} networks": lambda: sequential(SEQUENTIAL, fused=False),
            f"plain loop, fused Adam, {SEQUENTIAL} networks": lambda: sequential(SEQUENTIAL, fused=True),
            "stacked, autograd, fused Adam, 64 networks": stacked_autograd,
        },
        repeats=3,
    )
    times = list(seconds.values())
    loop, fused = (time * NETWORKS / SEQUENTIAL / times[0] for time in times[4:6])
    print(f"  per network: plain loop {loop:.1f}, with fused Adam {fused:.1f}, stacked {times[6] / times[0]:.1f} times")
    monkeypatch.setattr(ensemble_module, "backend", lambda *_: stacked_steps.take_steps)
    assert ours() == pytest.approx(ours(), rel=1e-3)


@pytest.mark.benchmark
def test_both_cores_beside_two_sequential_processes():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context, initializer=one_thread) as pool:
        seconds = medians(
            {
                "ours, 2 threads, 64 networks": lambda: ours(threads=2),
                "ours, 1 thread, 64 networks": ours,
                f"two processes, fused Adam, 2 x {SEQUENTIAL} networks": lambda: list(
                    pool.map(sequential, [SEQUENTIAL] * 2, [True] * 2)
                ),
            },
            repeats=3,
        )
    two, _, processes = seconds.values()
    print(f"  per network: two processes {processes * NETWORKS / (2 * SEQUENTIAL) / two:.1f} times ours")
    assert ours(threads=2) == ours(threads=1)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def memory_report() -> None:
    """Run in a process of its own: growth of resident memory while training, beside the sum allowed."""
    torch.set_num_threads(1)
    settings = {"hidden": HIDDEN, "keep_prob": 0.5, "target_noise": GaussianNoise(0.1)}
    train_ensemble(*(part[:BATCH] for part in table()), seeds=[0], epochs=1, **settings)  # loads the kernels
    data = table()
    ctypes.CDLL(None).malloc_trim(0)
    before, peak, stop = resident_bytes(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(2e-4):
            peak = max(peak, resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    trained = train_ensemble(*data, seeds=range(NETWORKS), epochs=EPOCHS, **settings)
    stop.set()
    watcher.join()
    parameters = 4 * sum(tensor.numel() for tensor in trained.ensemble.weights + trained.ensemble.biases)
    activations = 4 * NETWORKS * BATCH * sum(trained.ensemble.widths)
    allowed = 3 * parameters + activations
    print(f"{(peak - before) / 1e6:.1f} {allowed / 1e6:.1f}")


@pytest.mark.benchmark
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_peak_memory_beside_parameters_memory_of_the_optimizer_and_one_batch():
    code = "from tests.benchmarks.test_ensemble import memory_report; memory_report()"
    root = Path(__file__).parents[2]
    runs = [
        subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
        for _ in range(3)
    ]
    grown, allowed = np.median([[float(value) for value in run.split()] for run in runs], axis=0)
    print(f"\n  resident memory grows by {grown:.1f} MB, x {grown / allowed:.2f} of the {allowed:.1f} MB of the state")
    assert grown > 0
