"""Perturbations of inputs: functions of rows, their classes and a generator, with a level that is 0 for no change.

Levels of noise and contrast are in units of the standard deviation of all inputs; those of the others are shares or
angles, as ``perturbation`` says. An attack by gradients is made against one network, and may be tried on any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurogames._arguments import instance, integer, invalid_argument, number, one_of
from neurogames.bridge.modules.hooks import frozen_copy

Perturbation = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""Takes inputs (rows, ...), classes (rows,) and a generator, and gives inputs of the same shape."""

IMAGE_KINDS = ("blur", "rotation", "translation", "occlusion")
KINDS = ("noise", "uniform noise", "missing", "contrast", *IMAGE_KINDS)


def perturbation(kind: str, level: float) -> Perturbation:
    """Return a perturbation of inputs by name.

    Args:
        kind: "noise" (normal) or "uniform noise", with standard deviation ``level`` times that of all inputs;
            "missing", each feature set to the mean with probability ``level``; "contrast", distances from the mean
            times 1 - level, so that 1 leaves nothing and 2 inverts; and for images (rows, channels, height, width)
            "blur", a normal kernel with a standard deviation of ``level`` pixels; "rotation" by ``level`` quarter
            turns; "translation", ``level`` times the width to the right; "occlusion", the upper ``level`` of the
            rows set to the smallest value.
        level: >= 0; at most 1 for "missing", "translation" and "occlusion".

    Returns:
        A function of inputs, classes and a generator; what it is given stays as it is.

    Raises:
        ValueError: for another kind, or a level out of range; when it is called, for inputs that are no images where
            it takes images.

    >>> half = perturbation("occlusion", 0.5)
    >>> half(torch.ones(1, 1, 2, 2) * torch.tensor([1.0, 2.0]), torch.zeros(1), torch.Generator())
    tensor([[[[1., 1.],
              [1., 2.]]]])
    """
    one_of("kind", kind, KINDS)
    share = kind in ("missing", "translation", "occlusion")
    expected = "a share in [0, 1]" if share else "a number >= 0"
    level = number("level", level, expected, lambda value: 0 <= value <= (1 if share else math.inf))

    def changed(inputs: Tensor, _: Tensor, rng: torch.Generator) -> Tensor:
        instance("inputs", inputs, Tensor, "a tensor")
        if kind in IMAGE_KINDS and inputs.ndim != 4:
            raise invalid_argument("inputs", f"shape {tuple(inputs.shape)}", "images (rows, channels, height, width)")
        return _CHANGES[kind](inputs, level, rng) if level > 0 else inputs.clone()

    return changed


def gradient_attack(model: nn.Module, radius: float, *, steps: int = 1) -> Perturbation:
    """Return an attack by gradients on a network: FGSM with one step, PGD with several.

    x_(t + 1) = clip(x_t + a sign(dL/dx_t)) to a cube of half width r around x, with a = r for one step, else
    a = 2.5 r / steps. PGD starts from a random place in the cube.

    Args:
        model: gives logits; a copy of it in evaluation mode is attacked.
        radius: r >= 0, in units of the standard deviation of all inputs.
        steps: of the ascent.

    Returns:
        A function of inputs, classes and a generator.

    Raises:
        ValueError: an argument is out of range.

    >>> model = nn.Linear(1, 2, bias=False)
    >>> _ = model.weight.data.copy_(torch.tensor([[1.0], [-1.0]]))
    >>> attack = gradient_attack(model, 1.0)
    >>> attack(torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1]), torch.Generator())
    tensor([[0.],
            [0.]])

    Reference: I. Goodfellow, J. Shlens and C. Szegedy, Explaining and harnessing adversarial examples, ICLR 2015; A.
    Madry et al., Towards deep learning models resistant to adversarial attacks, ICLR 2018.
    """
    instance("model", model, nn.Module, "a torch module")
    radius = number("radius", radius, "a number >= 0", lambda value: value >= 0)
    steps = integer("steps", steps, minimum=1)
    attacked = frozen_copy(model).eval()

    def changed(inputs: Tensor, classes: Tensor, rng: torch.Generator) -> Tensor:
        instance("inputs", inputs, Tensor, "a tensor")
        far = radius * float(inputs.std(correction=0))
        size = far if steps == 1 else 2.5 * far / steps
        moved = inputs.detach().clone()
        if steps > 1:
            moved += far * _between(inputs, rng)
        for _ in range(steps):
            with torch.enable_grad():
                given = moved.detach().requires_grad_()
                (slope,) = torch.autograd.grad(functional.cross_entropy(attacked(given), classes), given)
            moved = inputs + (moved + size * slope.sign() - inputs).clamp(-far, far)
        return moved.detach()

    return changed


def _between(inputs: Tensor, rng: torch.Generator) -> Tensor:
    """Numbers between -1 and 1, one for each entry."""
    return 2 * torch.rand(inputs.shape, generator=rng, dtype=inputs.dtype, device=rng.device).to(inputs) - 1


def _noise(inputs: Tensor, level: float, rng: torch.Generator) -> Tensor:
    draws = torch.randn(inputs.shape, generator=rng, dtype=inputs.dtype, device=rng.device)
    return inputs + level * inputs.std(correction=0) * draws.to(inputs)


def _uniform_noise(inputs: Tensor, level: float, rng: torch.Generator) -> Tensor:
    return inputs + level * math.sqrt(3) * inputs.std(correction=0) * _between(inputs, rng)


def _missing(inputs: Tensor, level: float, rng: torch.Generator) -> Tensor:
    draws = torch.rand(inputs.shape, generator=rng, device=rng.device).to(inputs.device)
    return torch.where(draws < level, inputs.mean(), inputs)


def _contrast(inputs: Tensor, level: float, _: torch.Generator) -> Tensor:
    return inputs.mean() + (1 - level) * (inputs - inputs.mean())


def _blur(inputs: Tensor, level: float, _: torch.Generator) -> Tensor:
    reach = math.ceil(3 * level)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=inputs.dtype, device=inputs.device) / level) ** 2)
    kernel = (kernel / kernel.sum()).expand(inputs.shape[1], 1, 1, -1)
    padded = functional.pad(inputs, (reach,) * 4, mode="replicate")
    rows = functional.conv2d(padded, kernel, groups=inputs.shape[1])
    return functional.conv2d(rows, kernel.transpose(2, 3), groups=inputs.shape[1])


def _rotation(inputs: Tensor, level: float, _: torch.Generator) -> Tensor:
    if level == int(level):
        return torch.rot90(inputs, int(level), (2, 3))
    angle = level * math.pi / 2
    turn = torch.tensor([[math.cos(angle), -math.sin(angle), 0.0], [math.sin(angle), math.cos(angle), 0.0]])
    grid = functional.affine_grid(turn.to(inputs).expand(len(inputs), 2, 3), list(inputs.shape), align_corners=False)
    return functional.grid_sample(inputs, grid, padding_mode="border", align_corners=False)


def _translation(inputs: Tensor, level: float, _: torch.Generator) -> Tensor:
    width = inputs.shape[3]
    far = round(level * width)
    moved = torch.full_like(inputs, float(inputs.min()))
    moved[..., far:] = inputs[..., : width - far]
    return moved


def _occlusion(inputs: Tensor, level: float, _: torch.Generator) -> Tensor:
    hidden = inputs.clone()
    hidden[:, :, : round(level * inputs.shape[2])] = inputs.min()
    return hidden


_CHANGES: dict[str, Callable[[Tensor, float, torch.Generator], Tensor]] = {
    "noise": _noise,
    "uniform noise": _uniform_noise,
    "missing": _missing,
    "contrast": _contrast,
    "blur": _blur,
    "rotation": _rotation,
    "translation": _translation,
    "occlusion": _occlusion,
}
