"""A step of DGNOpt against a step of EKFAC at the same refresh: time beside the floor of operations, and memory.

A step of gradient descent is 3 units of work (forward, and back to inputs and weights), one of EKFAC 3 + e. Feedback
needs a second pass forward and a weighted gradient of the weights, so that no step can cost less than
(5 + e) / (3 + e) = 1 + 2 / (3 r) of EKFAC's, r being EKFAC's step in steps of gradient descent.
"""

from __future__ import annotations

import itertools
import statistics
import time
import weakref
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode

from neurogames.bridge import EKFAC, DGNOpt

BATCH, REFRESH, DAMPING = 128, 100, 0.05


def perceptron():
    parts = [part for a, b in itertools.pairwise((784, 256, 256, 10)) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*parts[:-1])


class Pairs(nn.Module):
    """Pairs of layers side by side, as many weights as the perceptron."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(784, 256)
        self.one, self.two = nn.Linear(256, 128), nn.Linear(256, 128)
        self.head = nn.Linear(256, 10)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.head(torch.relu(torch.cat([self.one(x), self.two(x)], dim=1)))


class Residual(nn.Module):
    """A stem, blocks of two convolutions with a projection around them, and a head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        widths = list(itertools.pairwise((16, 32, 64)))
        self.one = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in widths)
        self.two = nn.ModuleList(nn.Conv2d(b, b, 3, padding=1) for _, b in widths)
        self.project = nn.ModuleList(nn.Conv2d(a, b, 1, stride=2) for a, b in widths)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        for one, two, project in zip(self.one, self.two, self.project, strict=True):
            x = torch.relu(two(torch.relu(one(x))) + project(x))
        return self.head(x.mean(dim=(2, 3)))


NETWORKS = {
    "784-256-256-10": (perceptron, (784,)),
    "784-256-(128 | 128)-10": (Pairs, (784,)),
    "residual, 7 convolutions, 16 x 16": (Residual, (3, 16, 16)),
}
KINDS = {
    "SGD": lambda model: torch.optim.SGD(model.parameters(), lr=1e-3),
    "EKFAC": lambda model: EKFAC(model, lr=1e-3, damping=DAMPING, refresh=REFRESH, momentum=0.0),
    "open loop": partial(DGNOpt, lr=1e-3, damping=DAMPING, refresh=REFRESH, feedback=False),
    "feedback": partial(DGNOpt, lr=1e-3, damping=DAMPING, refresh=REFRESH),
}
COOPERATIVE = partial(DGNOpt, lr=1e-3, damping=DAMPING, refresh=REFRESH, cooperative=True)
COOPERATING = {
    "cooperative, kfac": partial(COOPERATIVE, curvature="kfac"),
    "cooperative, gauss-newton": partial(COOPERATIVE, value="gauss-newton"),
    "cooperative": COOPERATIVE,  # slopes of single rows, so that a few steps have to do
}


class Run:
    """A training of one network by one optimizer, step by step."""

    def __init__(self, build, row, kind):
        torch.manual_seed(0)
        self.model = build()
        self.x, self.y = torch.randn(BATCH, *row), torch.randint(10, (BATCH,))
        self.optimizer = kind(self.model)

    def __call__(self):
        def closure():
            self.optimizer.zero_grad()
            loss = functional.cross_entropy(self.model(self.x), self.y)
            loss.backward()
            return loss

        self.optimizer.step(closure)


class PeakMemory(TorchDispatchMode):
    """Most bytes of tensors that were alive at once, of those made while it is open."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self.known = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for each in _pytree.tree_leaves(result):
            if isinstance(each, torch.Tensor):
                self.add(each.untyped_storage())
        return result

    def add(self, storage):
        key = storage._cdata
        if key not in self.known:
            size = storage.nbytes()
            self.known.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.free, key, size)

    def free(self, key, size):
        self.known.discard(key)
        self.now -= size


@pytest.mark.benchmark
@pytest.mark.parametrize("label", NETWORKS)
def test_step(label):
    """Mean processor time of steps in turns: 101 to 200, with one refresh, or 33 to 63 of convolutions, with none.

    Of the last one there are 5 steps.
    """
    torch.set_num_threads(1)
    peaks, runs = {}, {}
    for name, kind in (KINDS if label == "784-256-256-10" else KINDS | COOPERATING).items():
        with PeakMemory() as memory:
            runs[name] = Run(*NETWORKS[label], kind)
            for _ in range(9):  # bases are made in the 1st, 2nd, 3rd, 5th and 9th
                runs[name]()
        peaks[name] = memory.peak
    seconds = {name: [] for name in runs}
    first, last = (33, 63) if "convolutions" in label else (101, 200)
    for step in range(9, last + 1):
        for name, run in runs.items():
            if name == "cooperative" and step <= last - 5:
                continue
            start = time.process_time()
            run()
            if step >= first:
                seconds[name].append(time.process_time() - start)
    mean = {name: statistics.fmean(values) for name, values in seconds.items()}
    floor = 1 + 2 / (3 * mean["EKFAC"] / mean["SGD"])
    print(f"\na step on {label}, batch {BATCH}, refresh {REFRESH}, one thread; floor x {floor:.2f} of EKFAC")
    for name, value in mean.items():
        ratio = value / mean["EKFAC"]
        print(
            f"  {name:<25} {1e3 * value:7.2f} ms  x {value / mean['SGD']:5.2f} of SGD  x {ratio:5.2f} of EKFAC"
            f"  x {ratio / floor:5.2f} of the floor   memory x {peaks[name] / peaks['EKFAC']:5.2f} of EKFAC"
        )
    assert all(each.isfinite().all() for run in runs.values() for each in run.model.parameters())
