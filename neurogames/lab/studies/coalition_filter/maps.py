"""Do the Shapley values of a filter's units say where a network looks? Maps of test rows, held against each other.

Maps are of the size of the images: "Shapley", the values of strong units, "magnitude", |a|, both summed over the
filters' activations before the gate; "Grad-CAM" of the class that the network predicts, at the same activations; and
"random" numbers. Grad-CAM is the one that knows of a class. Agreement is Spearman's correlation over the pixels of an
image, with Grad-CAM. Deletion takes pixels away in the order of a map (they get the background's value) and
insertion puts them into an empty image; both look at the probability of the class that the network predicts.
"""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from neurogames._arguments import invalid_argument
from neurogames.bridge.coalition_filter.attribution import (
    deletion_curve,
    insertion_curve,
    rank_agreement,
    shapley_map,
)
from neurogames.bridge.coalition_filter.coalition_layers import CoalitionFilter
from neurogames.bridge.coalition_filter.grad_cam import grad_cam
from neurogames.bridge.coalition_filter.neurogame_net import NeuroGameNet
from neurogames.lab.data.images import Images

GRAD_CAM = "Grad-CAM"
MAPS = ("Shapley", GRAD_CAM, "magnitude", "random")
CURVES = {"deletion": deletion_curve, "insertion": insertion_curve}
STEPS, EXAMPLES = 28, 4


def measure_maps(model: NeuroGameNet, images: Images, explained: int, seed: int) -> xr.Dataset:
    """Compare the maps of the first test rows.

    Returns:
        ``agreement`` with Grad-CAM over map (mean over images; NaN for Grad-CAM itself), ``agreed`` the number of
        images it could be computed for (a map without any difference ranks nothing); ``area`` over (curve, map) and
        ``score`` over (curve, map, share), means over images.
    """
    model.eval()
    inputs = images.test_inputs[:explained]
    classes = _predicted_classes(model, inputs)
    rng = torch.Generator().manual_seed(seed)
    maps = maps_of(model, inputs, classes) | {"random": torch.rand(len(inputs), *images.shape, generator=rng)}
    agreement = {name: rank_agreement(maps[name], maps[GRAD_CAM]) for name in MAPS}
    means = [np.nan if name == GRAD_CAM else float(agreement[name].nanmean()) for name in MAPS]
    background = float(images.inputs.min())
    areas, scores = [], []
    for curve in CURVES.values():
        drawn = [curve(model, inputs, maps[name], classes, steps=STEPS, baseline=background) for name in MAPS]
        areas.append([float(one.area.mean()) for one in drawn])
        scores.append([one.scores.mean(dim=0).numpy() for one in drawn])
        shares = drawn[0].shares.numpy()
    return xr.Dataset(
        {
            "agreement": ("map", means),
            "agreed": ("map", [int(agreement[name].isfinite().sum()) for name in MAPS]),
            "area": (("curve", "map"), areas),
            "score": (("curve", "map", "share"), np.array(scores)),
        },
        {"map": list(MAPS), "curve": list(CURVES), "share": shares},
    )


def measure_examples(model: NeuroGameNet, images: Images) -> xr.Dataset:
    """Keep the maps of a few test rows for the eye.

    Returns:
        ``example`` over (panel, image, y, x) with the panels "image", "energy" (of each unit's window, summed over
        filters), "Shapley" (all units), "strong" (number of filters whose unit is strong there), and "Grad-CAM";
        ``example_class``, the class that the network predicts.
    """
    model.eval()
    inputs = images.test_inputs[:EXAMPLES]
    classes = _predicted_classes(model, inputs)
    with torch.no_grad():
        activations = model.activation(model.convolution(inputs))
    gate = _filter_of(model)
    report, window = gate.explain(activations), gate.window
    height, width = images.shape
    energy = report.energy.sum(1).repeat_interleave(window, 1).repeat_interleave(window, 2)[:, :height, :width]
    panels = {
        "image": inputs[:, 0],
        "energy": energy,
        "Shapley": report.shapley.sum(1),
        "strong": report.mask.sum(1),
        GRAD_CAM: grad_cam(model, model.activation, inputs, classes),
    }
    stacked = np.stack([panel.double().numpy() for panel in panels.values()])
    return xr.Dataset(
        {"example": (("panel", "image", "y", "x"), stacked), "example_class": ("image", classes.numpy())},
        {"panel": list(panels)},
    )


def maps_of(model: NeuroGameNet, inputs: Tensor, classes: Tensor) -> dict[str, Tensor]:
    """Maps (rows, height, width) of images by name: "Shapley", "Grad-CAM", "magnitude"."""
    with torch.no_grad():
        activations = model.activation(model.convolution(inputs))
    return {
        "Shapley": shapley_map(_filter_of(model), activations, (inputs.shape[-2], inputs.shape[-1])),
        GRAD_CAM: grad_cam(model, model.activation, inputs, classes),
        "magnitude": activations.abs().sum(1),
    }


def _filter_of(model: NeuroGameNet) -> CoalitionFilter:
    """The filter of a network that has one."""
    if not isinstance(model.gate, CoalitionFilter):
        raise invalid_argument("model", f"a network with {type(model.gate).__name__}", "one with a CoalitionFilter")
    return model.gate


@torch.no_grad()
def _predicted_classes(model: NeuroGameNet, inputs: Tensor) -> Tensor:
    """(rows,) classes that a network predicts."""
    scores: Tensor = model(inputs)
    return scores.argmax(dim=1)
