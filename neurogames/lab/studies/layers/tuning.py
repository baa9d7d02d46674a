"""Use 1, which layer to fine-tune: a network meets shifted rows, and one of its layers, or all, learn from some.

Registered before the run. A network is trained on two thirds of the training rows. Under each of eight shifts (six of
the inputs, two of the classes) it is fine-tuned on few shifted rows with Adam, one layer at a time and all together,
each at two learning rates of which further shifted rows ("check rows") choose by their loss. The layer with the largest
unilateral gain on the adaptation rows is set against the layer with the largest relative gradient norm (Surgical
Fine-Tuning, arXiv 2210.11466), the last, the first, a random one, all, and all with early stopping by the check rows.
The quantity is the accuracy on shifted test rows, mean over shifts and networks; the unit is the repetition. The claim
counts as supported if the 95 % t interval of the paired difference is above 0 against each of these controls. Second,
the same is said of the largest gain on the check rows, and both are set against the layer that the check rows would
choose after fine-tuning all. The gain is that of a search of few steps, the same for every layer: in a trial on a seed
outside of the run the exact best reply of the last layer always gained most, by fitting the adaptation rows.
"""

from __future__ import annotations

import functools
import operator

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from neurogames.bridge.modules.evaluation import copy_module
from neurogames.lab.robustness.perturbations import perturbation
from neurogames.lab.studies.layers.gains import layer_gains
from neurogames.lab.studies.layers.networks import (
    Rows,
    build_network,
    cut,
    loss_and_accuracy,
    study_rows,
    trained_network,
)
from neurogames.lab.studies.layers.settings import ALL_LAYERS, CHOICES, LAYERS, NETWORKS, LayersSettings

_INPUT_SHIFTS = {
    "noise": ("noise", 0.8),
    "blur": ("blur", 1.0),
    "negative": ("contrast", 2.0),
    "quarter turn": ("rotation", 1.0),
    "translation": ("translation", 0.25),
    "occlusion": ("occlusion", 0.4),
}
_CLASS_SHIFTS = ("classes renamed", "classes merged")
SHIFTS = (*_INPUT_SHIFTS, *_CLASS_SHIFTS)


def measure_tuning(seed: int, *, settings: LayersSettings) -> xr.Dataset:
    """Fine-tune every choice of layers under every shift.

    Returns:
        Over (network, shift, choice): ``tuned_accuracy`` and ``stopped_accuracy`` (early stopping) on shifted test
        rows, ``check_loss`` after fine-tuning. Over (network, shift, layer): ``tuning_gain``,
        ``tuning_held_out_gain`` and ``relative_gradient``. Over (network, shift): ``untuned_accuracy``.
    """
    rows = study_rows(settings, seed)
    shape = (len(NETWORKS), len(SHIFTS))
    untuned = np.empty(shape)
    by_choice = np.empty((*shape, len(CHOICES), 3))
    by_layer = np.empty((*shape, LAYERS, 3))
    for place, kind in enumerate(NETWORKS):
        model = trained_network(build_network(kind, rows, seed), rows.training, epochs=settings.epochs, seed=seed)
        for number, shift in enumerate(SHIFTS):
            rng = torch.Generator().manual_seed(1000 * seed + number)
            further, test = (shifted(part, shift, rng, rows.n_classes) for part in (rows.further, rows.test))
            adaptation = cut(further, 0, settings.adaptation_rows)
            check = cut(further, settings.adaptation_rows, settings.check_rows)
            untuned[place, number] = loss_and_accuracy(model, test)[1]
            gains = layer_gains(model, adaptation, check, steps=settings.search_steps)
            by_layer[place, number] = np.stack([gains.gain, gains.held_out_gain, gains.relative_gradient], axis=1)
            for column, choice in enumerate(CHOICES):
                by_choice[place, number, column] = fine_tuned(model, choice, adaptation, check, test, settings, seed)
    values = {
        name: (("network", "shift", "choice"), by_choice[..., column])
        for column, name in enumerate(("tuned_accuracy", "stopped_accuracy", "check_loss"))
    }
    values |= {
        name: (("network", "shift", "layer"), by_layer[..., column])
        for column, name in enumerate(("tuning_gain", "tuning_held_out_gain", "relative_gradient"))
    }
    places = {
        "network": list(NETWORKS),
        "shift": list(SHIFTS),
        "choice": list(CHOICES),
        "layer": np.arange(1, LAYERS + 1),
    }
    return xr.Dataset({**values, "untuned_accuracy": (("network", "shift"), untuned)}, places)


def shifted(rows: Rows, shift: str, rng: torch.Generator, n_classes: int) -> Rows:
    """Rows under a shift: "classes renamed" moves every class on by one, "classes merged" makes each odd class even."""
    inputs, classes = rows
    if shift == "classes renamed":
        return inputs, (classes + 1) % n_classes
    if shift == "classes merged":
        return inputs, classes - classes % 2
    changed: Tensor = perturbation(*_INPUT_SHIFTS[shift])(inputs, classes, rng)
    return changed, classes


def fine_tuned(
    model: nn.Module, choice: str, adaptation: Rows, check: Rows, test: Rows, settings: LayersSettings, seed: int
) -> tuple[float, float, float]:
    """Fine-tune one choice of layers at each rate.

    Returns:
        Accuracy on test rows after all epochs and with early stopping, and the loss on the check rows after all epochs.
    """
    ends, stops = [], []
    for rate in settings.adaptation_rates:
        best = [(loss_and_accuracy(model, check)[0], model)]

        def look(_: int, network: nn.Module, best: list[tuple[float, nn.Module]] = best) -> None:
            loss = loss_and_accuracy(network, check)[0]
            if loss < best[0][0]:
                best[0] = loss, copy_module(network)

        tuned = trained_network(
            model,
            adaptation,
            optimizer=functools.partial(_adam_of, choice=choice, rate=rate),
            epochs=settings.adaptation_epochs,
            seed=seed,
            on_epoch=look,
        )
        ends.append((loss_and_accuracy(tuned, check)[0], tuned))
        stops += best
    (loss, end), (_, stopped) = (min(group, key=operator.itemgetter(0)) for group in (ends, stops))
    return loss_and_accuracy(end, test)[1], loss_and_accuracy(stopped, test)[1], loss


def _adam_of(parameters: list[nn.Parameter], choice: str, rate: float) -> torch.optim.Optimizer:
    """Adam of the parameters of one layer (a weight and a bias each), or of all."""
    layer = slice(None) if choice == ALL_LAYERS else slice(2 * int(choice) - 2, 2 * int(choice))
    return torch.optim.Adam(parameters[layer], lr=rate)
