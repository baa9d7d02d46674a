"""Maps that say where in an image a network looks, and how two such maps, or a map and the network, agree.

A map gives a number to each pixel, (batch, height, width). Grad-CAM weighs the activations A_k of a layer by the mean
gradient of a class's score, a ``CoalitionFilter`` names the Shapley values of its units. The former asks for a class,
the latter knows of none: it says what counts for the energy of the activations, not for the decision. So their
agreement is a question, answered by the rank correlation of two maps, and by how fast the score of the class falls or
rises when pixels are taken away or put in, in the order of a map.

References: R. Selvaraju et al., Grad-CAM, arXiv 1610.02391; V. Petsiuk, A. Das and K. Saenko, RISE, arXiv 1806.07421
(deletion and insertion); arXiv 2410.12264 (NEUROGAME).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from neurogames._arguments import instance, integer, invalid_argument, number
from neurogames.bridge.coalition_filter.coalition_layers import CoalitionFilter
from neurogames.bridge.coalition_filter.grad_cam import check_classes, check_scores, resized
from neurogames.bridge.modules.data import finite_rows, trial_outputs
from neurogames.bridge.modules.evaluation import evaluating


def shapley_map(
    layer: CoalitionFilter, activations: Tensor, size: tuple[int, int], *, units: Literal["strong", "all"] = "strong"
) -> Tensor:
    """Sum over the channels of the Shapley values of a ``CoalitionFilter``'s units, brought to the size of the images.

    Args:
        layer: the filter.
        activations: what it was given, (batch, channels, h, w).
        size: height and width of the images.
        units: "strong", only the units that pass; "all", the others too.

    Returns:
        Maps (batch, height, width).

    Raises:
        ValueError: ``activations`` are no maps, or smaller than the window.

    >>> maps = torch.tensor([[[[3.0, 4.0, 0.0, 0.0], [5.0, 6.0, 0.0, 1.0]]]])
    >>> shapley_map(CoalitionFilter(), maps, (2, 4))
    tensor([[[2., 2., 0., 0.],
             [2., 2., 0., 0.]]])
    """
    instance("layer", layer, CoalitionFilter, "a CoalitionFilter")
    instance("size", size, Sequence, "(height, width)")
    instance("activations", activations, Tensor, "a tensor")
    if activations.ndim != 4:
        raise invalid_argument("activations", f"shape {tuple(activations.shape)}", "maps (batch, channels, h, w)")
    if units not in ("strong", "all"):
        raise invalid_argument("units", units, "'strong' or 'all'")
    report = layer.explain(activations)
    values = report.shapley * report.mask if units == "strong" else report.shapley
    return resized(values.sum(1).to(activations.dtype), size)


def rank_agreement(first: Tensor, second: Tensor) -> Tensor:
    """Spearman's rank correlation of two maps, image by image; equal entries share their mean rank.

    Args:
        first: (batch, ...) numbers.
        second: numbers of the same shape.

    Returns:
        (batch,) float64 in [-1, 1]; not a number where a map is constant, since it ranks nothing.

    Raises:
        ValueError: the shapes differ.

    >>> rank_agreement(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[9.0, 5.0, 5.0]])).round(decimals=3)
    tensor([-0.8660], dtype=torch.float64)
    """
    instance("first", first, Tensor, "a tensor")
    instance("second", second, Tensor, "a tensor")
    if first.shape != second.shape or first.ndim < 2:
        raise invalid_argument(
            "first, second", (tuple(first.shape), tuple(second.shape)), "two maps (batch, ...) of one shape"
        )
    a, b = (_ranks(maps.detach().flatten(1)) for maps in (first, second))
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    return (a * b).sum(-1) / (a.square().sum(-1) * b.square().sum(-1)).sqrt()


@dataclass(frozen=True, eq=False)
class AttributionCurve:
    """Probability of a class as pixels go or come in the order of a map.

    Attributes:
        shares: (steps + 1,) share of the pixels changed, from 0 to 1.
        scores: (batch, steps + 1) probability of the image's class.
        area: (batch,) area under each image's curve by the trapezoid rule.
    """

    shares: Tensor
    scores: Tensor
    area: Tensor


def deletion_curve(
    model: nn.Module,
    inputs: Tensor,
    maps: Tensor,
    classes: Tensor,
    *,
    steps: int = 28,
    baseline: float = 0.0,
    batch_size: int = 1024,
) -> AttributionCurve:
    """Take pixels away, the highest in the map first; a small area speaks for the map.

    Args:
        model: maps images to scores (batch, classes); run in evaluation mode without gradient, and left as it was.
        inputs: images (batch, channels, height, width).
        maps: (batch, height, width); among equal pixels the first goes first.
        classes: (batch,) class of each image.
        steps: number of changes; after step s, round(s pixels / steps) pixels have changed.
        baseline: value of a pixel taken away.
        batch_size: most images in one pass of the model.

    Returns:
        The curves of all images.

    Raises:
        ValueError: the shapes do not fit, or a number is out of range.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    >>> _ = model[1].weight.data.copy_(torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]]))
    >>> images = torch.ones(1, 1, 2, 2)
    >>> curve = deletion_curve(model, images, model[1].weight[1].reshape(1, 2, 2), torch.tensor([1]), steps=4)
    >>> torch.allclose(curve.scores, torch.tensor([[10.0, 6.0, 3.0, 1.0, 0.0]]).sigmoid())
    True

    Reference: V. Petsiuk, A. Das and K. Saenko, RISE, arXiv 1806.07421, section 4.1.
    """
    instance("model", model, nn.Module, "a torch module")
    instance("inputs", inputs, Tensor, "a tensor")
    instance("maps", maps, Tensor, "a tensor")
    instance("classes", classes, Tensor, "a tensor")
    return _curve(model, inputs, maps, classes, steps, baseline, batch_size, inserting=False)


def insertion_curve(
    model: nn.Module,
    inputs: Tensor,
    maps: Tensor,
    classes: Tensor,
    *,
    steps: int = 28,
    baseline: float = 0.0,
    batch_size: int = 1024,
) -> AttributionCurve:
    """Put pixels into an image of ``baseline``, the highest in the map first; a large area speaks for the map.

    Args:
        model: as for :func:`deletion_curve`.
        inputs: images (batch, channels, height, width).
        maps: (batch, height, width); among equal pixels the first comes first.
        classes: (batch,) class of each image.
        steps: number of changes; after step s, round(s pixels / steps) pixels have come.
        baseline: value of a pixel that has not come yet.
        batch_size: most images in one pass of the model.

    Returns:
        The curves of all images.

    Raises:
        ValueError: the shapes do not fit, or a number is out of range.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    >>> images, maps, classes = torch.ones(1, 1, 2, 2), torch.arange(4.0).reshape(1, 2, 2), torch.tensor([1])
    >>> gone = deletion_curve(model, images, -maps, classes, steps=4)
    >>> come = insertion_curve(model, images, maps, classes, steps=4)
    >>> torch.allclose(come.scores, gone.scores.flip(1))
    True
    """
    instance("model", model, nn.Module, "a torch module")
    instance("inputs", inputs, Tensor, "a tensor")
    instance("maps", maps, Tensor, "a tensor")
    instance("classes", classes, Tensor, "a tensor")
    return _curve(model, inputs, maps, classes, steps, baseline, batch_size, inserting=True)


@torch.no_grad()
def _curve(
    model: nn.Module,
    inputs: Tensor,
    maps: Tensor,
    classes: Tensor,
    steps: int,
    baseline: float,
    batch_size: int,
    *,
    inserting: bool,
) -> AttributionCurve:
    check_classes(inputs, classes)
    inputs = finite_rows(inputs)
    if maps.shape != (len(inputs), *inputs.shape[-2:]):
        raise invalid_argument(
            "maps", f"shape {tuple(maps.shape)}", f"shape {(len(inputs), *inputs.shape[-2:])}, as inputs have"
        )
    if not maps.isfinite().all():
        raise invalid_argument("maps", "entries that are not finite", "finite numbers")
    pixels = maps[0].numel()
    steps = integer("steps", steps, minimum=1, maximum=pixels)
    baseline, batch_size = number("baseline", baseline), integer("batch_size", batch_size, minimum=1)
    order = maps.flatten(1).argsort(dim=-1, descending=True, stable=True)
    place = order.argsort(dim=-1).view(len(inputs), 1, *inputs.shape[-2:])
    changed = (torch.arange(steps + 1, device=inputs.device) * pixels / steps).round().long()
    scores = []
    # All pairs of image and step stand in one line, cut into batches.
    with evaluating(model):
        first = trial_outputs(model, inputs[:1])
        check_scores(first.expand(len(inputs), *first.shape[1:]), classes)
        for part in torch.arange(len(inputs) * (steps + 1), device=inputs.device).split(batch_size):
            image, step = part // (steps + 1), part % (steps + 1)
            touched = place[image] < changed[step, None, None, None]
            images = torch.where(touched == inserting, inputs[image], baseline)
            scores.append(model(images).softmax(-1).gather(1, classes[image, None])[:, 0])
    table = torch.cat(scores).view(len(inputs), steps + 1)
    shares = changed.to(table.dtype) / pixels
    return AttributionCurve(shares, table, torch.trapezoid(table, shares, dim=-1))


def _ranks(rows: Tensor) -> Tensor:
    """Ranks from 0, with the mean rank for equal entries."""
    rows = rows.contiguous()
    ordered = rows.sort(dim=-1).values
    below = torch.searchsorted(ordered, rows, side="left")
    return 0.5 * (below + torch.searchsorted(ordered, rows, side="right") - 1).double()
