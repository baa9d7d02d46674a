"""Grad-CAM: the activations of a layer, weighed by the mean gradient of a class's score."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from neurogames._arguments import instance, invalid_argument
from neurogames.bridge.modules.adapted_model import Forward, adapted
from neurogames.bridge.modules.data import REFUSALS
from neurogames.bridge.modules.evaluation import check_weights, evaluating
from neurogames.bridge.modules.graph import LAYERS
from neurogames.bridge.modules.units import find_unit_axis, unit_count


def grad_cam(
    model: nn.Module,
    layer: nn.Module,
    inputs: Any,
    classes: Tensor,
    *,
    unit_axis: int | None = None,
    forward: Forward | None = None,
) -> Tensor:
    """Grad-CAM of one class for each image.

    L = ReLU(sum_k w_k A_k),  w_k the mean over space of d score / d A_k

    brought to the size of the images by bilinear interpolation.

    Args:
        model: maps images to scores (batch, classes), or does so by ``forward``; it is run in evaluation mode and left
            as it was.
        layer: module inside the model whose output is maps (batch, channels, h, w), or (batch, h, w, channels).
        inputs: images (batch, channels, height, width); with ``forward`` also a tuple or dictionary of tensors, the
            first with four axes of which are the images.
        classes: (batch,) class of each image to be explained.
        unit_axis: axis of the layer's output on which channels stand. Default: what the model's graph tells, as for
            ``coalition_game``, or else the only axis as long as the last Linear or convolution before has units.
        forward: calls the model with the inputs and returns scores (batch, classes), such as
            ``lambda model, images: model(images)["out"].mean((-2, -1))`` for a segmentation.

    Returns:
        Maps (batch, height, width) >= 0, without gradient.

    Raises:
        ValueError: the shapes do not fit, a class is none of the model's, ``layer`` is not in the model, not used, or
            gives no maps, or the axis of its channels cannot be told.

    >>> model = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(4, 2, bias=False))
    >>> _ = nn.init.ones_(model[2].weight)
    >>> grad_cam(model, model[0], torch.arange(4.0).reshape(1, 1, 2, 2), torch.tensor([1]), unit_axis=1)
    tensor([[[0., 1.],
             [2., 3.]]])

    Reference: R. Selvaraju et al., Grad-CAM, arXiv 1610.02391, equations 1 and 2.
    """
    instance("classes", classes, Tensor, "a tensor")
    own, images, given = _adapted_images(model, inputs, forward)
    check_classes(images, classes)
    names = [name for name, module in own.named_modules() if module is layer]
    if not names:
        raise invalid_argument("layer", type(layer).__name__, "a module of the model")
    seen: list[Any] = []

    def keep(_module: nn.Module, _inputs: object, output: Any) -> Any:
        if not isinstance(output, Tensor):
            seen.append(output)
            return output
        # Frozen networks have no graph of their own; a later layer that works in place must not change what is kept.
        seen.append(output if output.requires_grad else output.detach().requires_grad_())
        return seen[-1].clone()

    ran: list[nn.Module] = []
    layers = [module for module in own.modules() if isinstance(module, LAYERS)]
    handles = [
        module.register_forward_hook(lambda *call: ran.append(call[0]) if not seen else None) for module in layers
    ]
    handles.append(layer.register_forward_hook(keep))
    try:
        with evaluating(own), torch.inference_mode(False), torch.enable_grad():
            # What was made in inference mode has no gradient, a copy of it has.
            scores = _scores(own, given.clone())
            maps = _one_map(seen)
            axis = _channel_axis(own, names[0], unit_axis, ran, maps.shape)
            check_scores(scores, classes)
            chosen = scores.gather(1, classes.clone()[:, None]).sum()
            (slope,) = torch.autograd.grad(chosen, [maps], allow_unused=True)
    finally:
        for handle in handles:
            handle.remove()
    if slope is None:
        raise invalid_argument("layer", names[0], "a module whose output the scores depend on")
    slope, maps = slope.movedim(axis, 1), maps.detach().movedim(axis, 1)
    return resized((slope.mean((-2, -1), keepdim=True) * maps).sum(1).relu(), tuple(images.shape[-2:]))


def resized(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Maps (batch, h, w) at another size, bilinearly.

    >>> resized(torch.ones(2, 3, 3), (6, 5)).shape
    torch.Size([2, 6, 5])
    """
    if maps.shape[-2:] == tuple(size):
        return maps
    return nn.functional.interpolate(maps[:, None], size=tuple(size), mode="bilinear", align_corners=False)[:, 0]


def check_classes(inputs: Tensor, classes: Tensor) -> None:
    """Refuse inputs that are no images, or classes that do not belong to them."""
    if inputs.ndim != 4 or len(inputs) == 0:
        raise invalid_argument(
            "inputs", f"shape {tuple(inputs.shape)}", "at least one image (batch, channels, height, width)"
        )
    if classes.shape != (len(inputs),) or classes.dtype != torch.int64:
        raise invalid_argument(
            "classes", f"{classes.dtype} of shape {tuple(classes.shape)}", f"{len(inputs)} int64 class ids"
        )


def _adapted_images(model: nn.Module, inputs: Any, forward: Forward | None) -> tuple[nn.Module, Tensor, Tensor]:
    """A model that takes one tensor, the images among its inputs, and that tensor."""
    with torch.inference_mode(False):
        own, given = adapted(model, inputs, forward)
    check_weights(own)
    images = [part for part in tree_leaves(inputs) if isinstance(part, (Tensor, np.ndarray)) and part.ndim == 4]
    if not images:
        shapes = [tuple(part.shape) for part in tree_leaves(inputs) if hasattr(part, "shape")]
        raise invalid_argument("inputs", f"shapes {shapes}", "at least one image (batch, channels, height, width)")
    return own, given if given.ndim == 4 else torch.as_tensor(images[0]), given


def _scores(model: nn.Module, given: Tensor) -> Any:
    """What the model gives, or an error that says what it says."""
    try:
        return model(given)
    except REFUSALS as error:
        got = f"shape {tuple(given.shape)} ({given.dtype})"
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise invalid_argument("inputs", got, f"images that the model takes; it says: {why}") from error


def _one_map(seen: list[Any]) -> Tensor:
    """The one output of a layer, if it is maps."""
    if len(seen) != 1 or not isinstance(seen[0], Tensor) or seen[0].ndim != 4:
        got = f"{len(seen)} outputs"
        if len(seen) == 1:
            got = f"shape {tuple(seen[0].shape)}" if isinstance(seen[0], Tensor) else type(seen[0]).__name__
        raise invalid_argument("output of layer", got, "one output (batch, channels, h, w)")
    maps: Tensor = seen[0]
    return maps


def _channel_axis(model: nn.Module, name: str, given: int | None, ran: list[nn.Module], shape: torch.Size) -> int:
    """Axis of channels in the output of a layer; where no graph tells it, by the units of the last layer before."""
    try:
        return find_unit_axis(model, name, given=given, ndim=4)
    except ValueError:
        counts = {unit_count(module) for module in ran[-1:]}
        axes = [axis for axis in range(1, 4) if shape[axis] in counts]
        if given is not None or len(axes) != 1:
            raise
        return axes[0] - 4


def check_scores(scores: Any, classes: Tensor) -> None:
    """Refuse outputs that are not one score for each class, and classes without a score."""
    if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != len(classes):
        got = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else f"a {type(scores).__name__}"
        raise invalid_argument(
            "model", f"outputs of {got}", "scores (batch, classes), or forward= that makes such of them"
        )
    if int(classes.min()) < 0 or int(classes.max()) >= scores.shape[1]:
        got = f"ids {int(classes.min())} to {int(classes.max())}"
        raise invalid_argument("classes", got, f"ids in [0, {scores.shape[1] - 1}]")
