"""Use 2, is a layer finished: layers are frozen during a training, by the certificate or by controls.

Registered before the run. All trainings start from the same weights and see the same mini-batches, under SGD with
momentum and a cosine rate. At equal distances a layer is frozen for good when the gain of its best deviation, found on
some training rows, is on held-out rows below its standard error. Controls: FreezeOut (arXiv 1706.04983; cubic, t0 = .8,
scaled rates), a layer frozen once its gradient norm is below a tenth of that at the start, and as many layers frozen at
the same times as the certificate froze, but random ones. Seconds are processor time of the training with all that the
rule computes. The quantity is the accuracy on test rows, mean over networks; the unit is the repetition. The claim
counts as supported if the accuracy minus that without freezing has a 95 % t interval above -.2 points, and the interval
of the mean logarithm of the seconds' ratio is below 0.
"""

from __future__ import annotations

import math
import time

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn
from torch.nn import functional

from neurogames.bridge.modules.evaluation import copy_module
from neurogames.lab.studies.layers.gains import layer_gains
from neurogames.lab.studies.layers.networks import (
    StudyRows,
    build_network,
    cut,
    loss_and_accuracy,
    study_rows,
)
from neurogames.lab.studies.layers.settings import (
    CERTIFICATE,
    FREEZING,
    LAYERS,
    NETWORKS,
    NO_FREEZING,
    LayersSettings,
)

_RATE, _MOMENTUM, _BATCH = 0.05, 0.9, 64
_GRADIENT_SHARE = 0.1
_FIRST_END = 0.8  # of FreezeOut, before it is cubed


def measure_freezing(seed: int, *, settings: LayersSettings) -> xr.Dataset:
    """Train with each rule of freezing.

    Returns:
        Over (network, rule): ``freezing_accuracy`` and ``freezing_loss`` on test rows, ``freezing_seconds``, of which
        ``rule_seconds`` for the rule itself. Over (network, rule, layer): ``frozen_at``, the share of training after
        which it was frozen; 1 if never.
    """
    rows = study_rows(settings, seed)
    numbers = np.empty((len(NETWORKS), len(FREEZING), 4))
    frozen = np.empty((len(NETWORKS), len(FREEZING), LAYERS))
    for place, kind in enumerate(NETWORKS):
        model = build_network(kind, rows, seed)
        _Training(model, rows, settings, seed, NO_FREEZING).run(most_steps=20)  # the first steps of a process are slow
        for column, rule in enumerate(FREEZING):
            training = _Training(model, rows, settings, seed, rule)
            if rule == "random order":
                training.wanted = np.sort(frozen[place, FREEZING.index(CERTIFICATE)])
            began = time.process_time()
            training.run()
            seconds = time.process_time() - began
            loss, accuracy = loss_and_accuracy(training.model, rows.test)
            numbers[place, column] = accuracy, loss, seconds, training.rule_seconds
            frozen[place, column] = training.frozen_at
    names = ("freezing_accuracy", "freezing_loss", "freezing_seconds", "rule_seconds")
    values = {name: (("network", "rule"), numbers[..., column]) for column, name in enumerate(names)}
    places = {"network": list(NETWORKS), "rule": list(FREEZING), "layer": np.arange(1, LAYERS + 1)}
    return xr.Dataset({**values, "frozen_at": (("network", "rule", "layer"), frozen)}, places)


class _Training:
    """One training in which layers may be frozen."""

    def __init__(self, model: nn.Sequential, rows: StudyRows, settings: LayersSettings, seed: int, rule: str) -> None:
        self.model = copy_module(model)
        self.layers = [list(part.parameters()) for part in self.model if any(True for _ in part.parameters())]
        self.rows, self.settings, self.rule = rows.training, settings, rule
        self.seed = seed
        self.fit = cut(rows.training, 0, settings.certificate_rows)
        self.held_out = cut(rows.further, 0, settings.certificate_rows)
        self.frozen_at = np.ones(LAYERS)
        self.wanted = np.ones(LAYERS)
        self.first_norms: list[float] = []
        self.rule_seconds = 0.0

    @property
    def open_layers(self) -> list[int]:
        """Layers that still learn."""
        return [place for place in range(LAYERS) if self.frozen_at[place] == 1]

    def run(self, most_steps: int | None = None) -> None:
        """Train until the end, or until every layer is frozen."""
        rng = torch.Generator().manual_seed(self.seed)
        optimizer = torch.optim.SGD(
            [{"params": layer} for layer in self.layers], lr=_RATE, momentum=_MOMENTUM, nesterov=True
        )
        inputs, targets = self.rows
        per_epoch = math.ceil(len(inputs) / _BATCH)
        steps, step = self.settings.freezing_epochs * per_epoch, 0
        checks = {
            round(steps * k / (self.settings.freezing_checks + 1)) for k in range(self.settings.freezing_checks + 1)
        }
        for _ in range(self.settings.freezing_epochs):
            for batch in torch.randperm(len(inputs), generator=rng).split(_BATCH):
                if not self.open_layers or step == most_steps:
                    return
                began = time.process_time()
                if self.rule == "FreezeOut":
                    self._anneal_each(optimizer, step / steps)
                else:
                    for group in optimizer.param_groups:
                        group["lr"] = 0.5 * _RATE * (1 + math.cos(math.pi * step / steps))
                    if step in checks and self.rule != NO_FREEZING:
                        self._freeze(step / steps)
                self.rule_seconds += time.process_time() - began
                optimizer.zero_grad()
                if self.open_layers:
                    functional.cross_entropy(self.model(inputs[batch]), targets[batch]).backward()
                    optimizer.step()
                step += 1

    def _anneal_each(self, optimizer: torch.optim.Optimizer, progress: float) -> None:
        """FreezeOut: the rate of layer l falls to 0 at its own time, and starts the higher the earlier that is."""
        for place, group in enumerate(optimizer.param_groups):
            end = (_FIRST_END + (1 - _FIRST_END) * place / (LAYERS - 1)) ** 3
            if progress < end:
                group["lr"] = 0.5 * _RATE / end * (1 + math.cos(math.pi * progress / end))
            elif self.frozen_at[place] == 1:
                self._stop(place, progress)

    def _freeze(self, progress: float) -> None:
        if self.rule == CERTIFICATE and progress > 0:
            found = layer_gains(
                self.model, self.fit, self.held_out, steps=self.settings.certificate_steps, layers=self.open_layers
            )
            for place in self.open_layers:
                if found.held_out_gain[place] < found.held_out_stderr[place]:
                    self._stop(place, progress)
        elif self.rule == "gradient norm":
            norms = self._gradient_norms()
            self.first_norms = self.first_norms or norms
            for place in self.open_layers:
                if norms[place] < _GRADIENT_SHARE * self.first_norms[place]:
                    self._stop(place, progress)
        elif self.rule == "random order":
            count = int((self.wanted <= progress).sum()) - (LAYERS - len(self.open_layers))
            order = np.random.default_rng([self.seed, round(1e6 * progress)]).permutation(self.open_layers)
            for place in order[:count].tolist():
                self._stop(place, progress)

    def _gradient_norms(self) -> list[float]:
        loss = functional.cross_entropy(self.model(self.fit[0]), self.fit[1])
        every = [self.layers[place] for place in self.open_layers]
        slopes: list[Tensor] = list(torch.autograd.grad(loss, [part for layer in every for part in layer]))
        norms = [math.inf] * LAYERS
        for place, layer in zip(self.open_layers, every, strict=True):
            parts = [slopes.pop(0) for _ in layer]
            norms[place] = math.sqrt(sum(float(part.square().sum()) for part in parts))
        return norms

    def _stop(self, place: int, progress: float) -> None:
        self.frozen_at[place] = progress
        for part in self.layers[place]:
            part.requires_grad = False
