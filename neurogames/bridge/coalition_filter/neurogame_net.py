"""The three-filter network of NEUROGAME for images of any size, and the controls it has to be compared with.

    image -> convolution (3 filters, 3 x 3) -> ReLU -> gate -> fully connected -> ReLU -> fully connected -> classes

The gate is what differs: a ``CoalitionFilter``, or one of its controls with the same trunk. Two networks drawn from
generators in the same state start from the same weights, whatever their gates. The masks of equal density keep, in
every map of every sample, as many units as the ``CoalitionFilter`` inside them would keep of these very activations:
they ask whether it matters which units pass, beyond how many. Of a multilayer perceptron of as many parameters one
learns what the convolution is worth.

Reference: Game Theory Meets Statistical Mechanics in Deep Learning Design, arXiv 2410.12264, section III and figure of
the architecture. Sizes of layers and initial weights are not published; the latter are torch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from neurogames._arguments import MOST_ENTRIES, instance, integer, invalid_argument
from neurogames.bridge.coalition_filter.coalition_layers import CoalitionFilter

Gate = Literal["coalition", "none", "random", "magnitude"]

_MOST_CLASSES = 10**6


class MagnitudeMask(nn.Module):
    """Keeps the units of largest |a| in each map, as many as a ``CoalitionFilter`` would keep; among equals the first.

    Args:
        coalitions: the filter whose density is matched.

    >>> layer = MagnitudeMask(CoalitionFilter(window=2, top_p=0.5))
    >>> layer(torch.tensor([[[[3.0, 4.0, 9.0, 0.0], [5.0, 6.0, 0.0, 1.0]]]]))
    tensor([[[[0., 4., 9., 0.],
              [5., 6., 0., 0.]]]])
    """

    def __init__(self, coalitions: CoalitionFilter) -> None:
        super().__init__()
        self.coalitions = _filter(coalitions)

    def forward(self, values: Tensor) -> Tensor:
        """Return the units of largest magnitude, and 0 for the others; refusals as for ``CoalitionFilter``."""
        return values * _largest(values.detach().abs(), self.coalitions.mask(values))


class RandomMask(nn.Module):
    """Keeps random units of each map, as many as a ``CoalitionFilter`` would keep, drawn anew at every pass.

    It draws in ``eval()`` too: a network that has learnt with some units missing is asked with as many missing.

    Args:
        coalitions: the filter whose density is matched.
        rng: generator from which this layer's own seed is taken.

    >>> layer = RandomMask(CoalitionFilter(window=2, top_p=0.5), rng=torch.Generator().manual_seed(0))
    >>> int(layer(torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)).count_nonzero())
    8
    """

    def __init__(self, coalitions: CoalitionFilter, *, rng: torch.Generator) -> None:
        super().__init__()
        self.coalitions = _filter(coalitions)
        self._seed = int(torch.randint(2**62, (), generator=_generator(rng), device=rng.device))
        self._passes = 0  # a number instead of a generator, so that the layer can be copied and pickled

    def forward(self, values: Tensor) -> Tensor:
        """Return random units, and 0 for the others; refusals as for ``CoalitionFilter``."""
        rng = torch.Generator().manual_seed(self._seed + self._passes)
        self._passes += 1
        scores = torch.rand(values.shape, generator=rng).to(values.device)
        return values * _largest(scores, self.coalitions.mask(values))


class NeuroGameNet(nn.Module):
    """The paper's network: three filters, a gate of strong coalitions, fully connected layers.

    Args:
        image_shape: (channels, height, width), or (height, width) of images given with one channel.
        n_classes: number of classes, at least 2.
        rng: source of the initial weights, and of the random mask's seed.
        coalitions: the filter, or the one whose density the masks match; left out, ``CoalitionFilter()``.
        gate: "coalition", or a control: "none" lets everything pass, "random" and "magnitude" keep other units.
        filters: number of filters.
        hidden: units of the fully connected hidden layer.

    Raises:
        ValueError: a size is no positive number, the image is smaller than the window, or the gate is unknown.

    >>> net = NeuroGameNet((28, 28), 10, rng=torch.Generator().manual_seed(0))
    >>> net(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 10])
    >>> parameter_count(net)
    151272
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        n_classes: int,
        *,
        rng: torch.Generator,
        coalitions: CoalitionFilter | None = None,
        gate: Gate = "coalition",
        filters: int = 3,
        hidden: int = 64,
    ) -> None:
        super().__init__()
        channels, height, width = _image_shape(image_shape)
        n_classes = integer("n_classes", n_classes, minimum=2, maximum=_MOST_CLASSES)
        filters, hidden = integer("filters", filters, minimum=1), integer("hidden", hidden, minimum=1)
        if gate not in get_args(Gate):
            raise invalid_argument("gate", gate, "'coalition', 'none', 'random' or 'magnitude'")
        coalitions = CoalitionFilter() if coalitions is None else _filter(coalitions)
        if coalitions.window > min(height, width):
            expected = f"images of at least {coalitions.window} x {coalitions.window}, the window of the filter"
            raise invalid_argument("image_shape", tuple(image_shape), expected)
        units = filters * height * width
        self.convolution = _drawn(nn.utils.skip_init(nn.Conv2d, channels, filters, 3, padding=1), _generator(rng))
        self.activation = nn.ReLU()
        first = _drawn(nn.utils.skip_init(nn.Linear, units, hidden), rng)
        last = _drawn(nn.utils.skip_init(nn.Linear, hidden, n_classes), rng)
        self.classifier = nn.Sequential(nn.Flatten(), first, nn.ReLU(), last)
        gates: dict[str, Callable[[], nn.Module]] = {
            "coalition": lambda: coalitions,
            "none": nn.Identity,
            "random": lambda: RandomMask(coalitions, rng=rng),
            "magnitude": lambda: MagnitudeMask(coalitions),
        }
        self.gate = gates[gate]()

    def forward(self, images: Tensor) -> Tensor:
        """Scores (batch, classes) of images (batch, channels, height, width)."""
        scores: Tensor = self.classifier(self.gate(self.activation(self.convolution(images))))
        return scores


def matched_mlp(image_shape: Sequence[int], n_classes: int, parameters: int, *, rng: torch.Generator) -> nn.Sequential:
    """Multilayer perceptron with one hidden layer and as nearly as possible a given number of parameters.

    With d inputs and c classes, h hidden units cost h (d + 1 + c) + c parameters.

    Args:
        image_shape: (channels, height, width), or (height, width) of images given with one channel.
        n_classes: number of classes, at least 2.
        parameters: number to be matched, such as ``parameter_count`` of a ``NeuroGameNet``.
        rng: source of the initial weights.

    Returns:
        Flatten, Linear, ReLU, Linear; the number is off by at most half a hidden unit's cost, unless fewer than one
        hidden unit would be right.

    Raises:
        ValueError: a size is no positive number.

    >>> net = matched_mlp((28, 28), 10, 151272, rng=torch.Generator().manual_seed(0))
    >>> parameter_count(net)
    151060
    """
    inputs = math.prod(_image_shape(image_shape))
    n_classes = integer("n_classes", n_classes, minimum=2, maximum=_MOST_CLASSES)
    parameters = integer("parameters", parameters, minimum=1, maximum=MOST_ENTRIES)
    hidden = max(1, round((parameters - n_classes) / (inputs + 1 + n_classes)))
    first = _drawn(nn.utils.skip_init(nn.Linear, inputs, hidden), _generator(rng))
    last = _drawn(nn.utils.skip_init(nn.Linear, hidden, n_classes), rng)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), last)


def parameter_count(model: nn.Module) -> int:
    """Number of learnable parameters of a model.

    >>> parameter_count(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _largest(scores: Tensor, like: Tensor) -> Tensor:
    """Mask of the largest scores of each map, as many as ``like`` keeps there; 1 or 0 in the type of ``scores``."""
    axes = 2 if scores.ndim == 4 else 1
    rows = scores.flatten(axes)
    kept = like.flatten(axes).sum(-1, keepdim=True)
    places = torch.arange(rows.shape[-1], device=rows.device).expand(rows.shape)
    order = rows.argsort(dim=-1, descending=True, stable=True)
    return (places < kept).to(rows.dtype).gather(-1, order.argsort(dim=-1)).view(scores.shape)


def _drawn(layer: Any, rng: torch.Generator) -> Any:
    """The layer with weights and biases uniform in +-1 / sqrt(fan_in), the law that torch itself draws from."""
    bound = 1.0 / math.sqrt(layer.weight[0].numel())
    with torch.no_grad():
        for parameter in (layer.weight, layer.bias):
            parameter.uniform_(-bound, bound, generator=rng)
    return layer


def _image_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """Channels, height and width."""
    instance("image_shape", image_shape, Sequence, "(channels, height, width) or (height, width)")
    shape = [integer("image_shape", size, minimum=1) for size in image_shape]
    if len(shape) not in (2, 3):
        raise invalid_argument("image_shape", tuple(image_shape), "(channels, height, width) or (height, width)")
    channels, height, width = [1, *shape] if len(shape) == 2 else shape
    return channels, height, width


def _filter(coalitions: object) -> CoalitionFilter:
    if not isinstance(coalitions, CoalitionFilter):
        raise invalid_argument("coalitions", coalitions, "a CoalitionFilter")
    return coalitions


def _generator(rng: object) -> torch.Generator:
    if not isinstance(rng, torch.Generator):
        raise invalid_argument("rng", rng, "a torch.Generator")
    return rng
