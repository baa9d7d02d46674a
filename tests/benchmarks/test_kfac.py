"""A step of KFAC and EKFAC against a step of gradient descent and the same from curvlinops and NNGeometry."""

from __future__ import annotations

import itertools
import statistics
import time
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional

from neurogames.bridge import EKFAC, KFAC

BATCH, REFRESH, DAMPING = 128, 100, 0.05


def perceptron():
    parts = [part for a, b in itertools.pairwise((784, 256, 256, 10)) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*parts[:-1])


def convolutions():
    channels = itertools.pairwise((3, 16, 32, 64))
    parts = [part for a, b in channels for part in (nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(576, 10))


NETWORKS = {"784-256-256-10": (perceptron, (784,)), "3 convolutions, 24 x 24": (convolutions, (3, 24, 24))}


class Run:
    """A training of one network by one method, step by step, each at the same refresh of what it knows."""

    def __init__(self, build, row):
        torch.manual_seed(0)
        self.model = build()
        self.x, self.y = torch.randn(BATCH, *row), torch.randint(10, (BATCH,))
        self.descent = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)
        self.steps = 0

    def __call__(self):
        self.descent.zero_grad()
        functional.cross_entropy(self.model(self.x), self.y).backward()
        self.turn()
        self.descent.step()
        self.steps += 1

    def turn(self):
        """Gradient descent takes gradients as they are."""


class Ours(Run):
    def __init__(self, network, kind, **settings):
        super().__init__(*network)
        self.descent = kind(self.model, lr=1e-3, damping=DAMPING, refresh=REFRESH, **settings)


class CurvLinOps(Run):
    def __init__(self, network, kind):
        super().__init__(*network)
        self.kind = kind

    def turn(self):
        import curvlinops

        if self.steps % REFRESH == 0:
            data = [(self.x, self.y)]
            operator = getattr(curvlinops, f"{self.kind}LinearOperator")(
                self.model, nn.CrossEntropyLoss(), list(self.model.parameters()), data, fisher_type="empirical",
                separate_weight_and_bias=False, check_deterministic=False,
            )  # fmt: skip
            how = {"use_exact_damping": True} if self.kind == "EKFAC" else {"use_heuristic_damping": True}
            self.inverse = curvlinops.KFACInverseLinearOperator(operator, damping=DAMPING, **how)
        slopes = [each.grad for each in self.model.parameters()]
        for each, turned in zip(self.model.parameters(), self.inverse @ slopes, strict=True):
            each.grad = turned


class NNGeometry(Run):
    def __init__(self, network, kind):
        super().__init__(*network)
        from nngeometry import backend, layercollection
        from nngeometry import object as matrices

        self.names = [name for name, part in self.model.named_modules() if list(part.parameters(recurse=False))]
        self.matrix, self.vector = getattr(matrices, f"PMat{kind}"), matrices.PVector
        self.layers = layercollection.LayerCollection.from_model(self.model)
        self.generator = backend.TorchHooksJacobianBackend(
            layer_collection=self.layers, model=self.model, function=self.losses
        )

    def losses(self, x, y):
        return functional.cross_entropy(self.model(x), y, reduction="none").unsqueeze(1)

    def turn(self):
        if self.steps % REFRESH == 0:
            slopes = [each.grad for each in self.model.parameters()]
            matrix = self.matrix(generator=self.generator, examples=(self.x, self.y))
            if hasattr(matrix, "update_diag"):
                matrix.update_diag((self.x, self.y))
                self.inverse = matrix
            else:
                self.inverse = matrix.inverse(regul=DAMPING)
            for each, slope in zip(self.model.parameters(), slopes, strict=True):
                each.grad = slope
        slopes = self.vector(self.layers, dict_repr={
            key: tuple(each.grad for each in self.model.get_submodule(name).parameters())
            for key, name in zip(self.layers.layers, self.names, strict=True)
        })  # fmt: skip
        ekfac = hasattr(self.inverse, "update_diag")
        turned = self.inverse.solve(slopes, regul=DAMPING) if ekfac else self.inverse.mv(slopes)
        for each, part in zip(self.model.parameters(), itertools.chain(*turned.to_dict().values()), strict=True):
            each.grad = part


def peers(network):
    """What of the peers is installed."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, make in (("curvlinops", CurvLinOps), ("nngeometry", NNGeometry)):
            try:
                __import__(name)
            except ImportError:
                continue
            found |= {f"{kind}, {name}": make(network, kind) for kind in ("KFAC", "EKFAC")}
    return found


@pytest.mark.benchmark
@pytest.mark.parametrize("label", NETWORKS)
def test_step(label):
    """Mean processor time of 100 steps in turns, behind the 101 first ones: one refresh each."""
    torch.set_num_threads(1)
    network = NETWORKS[label]
    runs = {
        "SGD": Run(*network),
        "KFAC": Ours(network, KFAC),
        "EKFAC": Ours(network, EKFAC),
        "EKFAC, all at refresh": Ours(network, EKFAC, factor_interval=REFRESH, moment_interval=REFRESH),
        **peers(network),
    }
    seconds = {name: [] for name in runs}
    for step in range(201):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if step > 100:
                seconds[name].append(time.process_time() - start)
    base = statistics.fmean(seconds["SGD"])
    print(f"\na step on {label}, batch {BATCH}, refresh {REFRESH}, one thread")
    for name, values in seconds.items():
        mean, median = statistics.fmean(values), statistics.median(values)
        ratio = median / statistics.median(seconds["SGD"])
        print(f"  {name:<32} mean {1e3 * mean:7.2f} ms  x {mean / base:5.2f} of SGD   between refreshes x {ratio:5.2f}")
    assert all(each.isfinite().all() for run in runs.values() for each in run.model.parameters())
