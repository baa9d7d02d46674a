"""The mean of gradient dropout without its coins: feedback that always arrives, weakened by the keep probability.

Where gradient dropout multiplies the gradient g at a layer's output by a mask m, its mean-field twin multiplies by the
mean of the mask::

    g' = keep_prob * g

The gradient of a parameter is a sum over paths from the loss to it, and meets each mask at most once on a path; masks
are independent. So the twin's gradient is exactly the mean of the masked gradient over all masks, whatever the graph
(branches, skip connections, shared weights). Training with it under SGD is what gradient dropout does on average; in a
chain it is one learning rate for each layer (``law``). With ``rescale`` it is plain backpropagation.

An optimizer that divides by second moments needs E[masked gradient^2] too (``mean_feedback_adam``). Inside
``second_moment_coins`` the layers draw coins again, not 0 and 1 but::

    c = + sqrt(p) with probability (1 + sqrt(p)) / 2,  - sqrt(p) else:     E[c] = p and E[c^2] = p, as for the mask

As each coin enters the gradient linearly, the square of the gradient has the masked one's mean. And c^2 is p for
certain: the coin of a unit's own mask, common to all that its incoming weights see, is averaged out exactly by one
draw, and no second moment is ever zero because a mask was.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from neurogames._arguments import instance, invalid_argument, number
from neurogames.bridge.feedback.attached import AttachedGradientDropout, attach_layers
from neurogames.bridge.feedback.gradient_dropout import Granularity, coin_shape
from neurogames.bridge.feedback.law import checked_keep

# It is read on the way forward, as the mask of gradient dropout is: backward may run in threads that know no context.
_draw: contextvars.ContextVar[Callable[[list[int], float], Tensor] | None] = contextvars.ContextVar(
    "draw", default=None
)


@contextlib.contextmanager
def second_moment_coins(rng: torch.Generator) -> Iterator[None]:
    """Inside, mean feedback has coins c with E[c] = E[c^2] = keep_prob and c^2 constant, drawn at each forward pass.

    Args:
        rng: generator of the coins.

    Raises:
        ValueError: ``rng`` is no generator.

    >>> layer, x = MeanFeedback(0.25), torch.ones(1, 6, requires_grad=True)
    >>> with second_moment_coins(torch.Generator().manual_seed(0)):
    ...     layer(x).sum().backward()
    >>> x.grad.abs()
    tensor([[0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000]])
    """
    if not isinstance(rng, torch.Generator):
        raise invalid_argument("rng", rng, "a torch.Generator")

    def draw(shape: list[int], keep: float) -> Tensor:
        root = math.sqrt(keep)
        uniform = torch.rand(shape, generator=rng, device=rng.device, dtype=torch.float64)
        return torch.where(uniform < (1 + root) / 2, torch.full_like(uniform, root), -root)

    token = _draw.set(draw)
    try:
        yield
    finally:
        _draw.reset(token)


class MeanFeedback(nn.Module):
    """Identity on the way forward; on the way back the gradient times the mean of gradient dropout's mask.

    Args:
        keep_prob: probability in [0, 1] that feedback would arrive, or a schedule of it: a function of progress in
            [0, 1]; set ``progress`` as training goes on.
        granularity: "unit", "sample" or "layer": whose coins are common, inside ``second_moment_coins``; the mean is
            the same for all three.
        rescale: divide by ``keep_prob``: the mean is then 1, plain backpropagation.
        unit_axis: axis of the input that counts units.

    Raises:
        ValueError: an argument is out of range.

    >>> x = torch.ones(2, 3, requires_grad=True)
    >>> MeanFeedback(0.25)(x).sum().backward()
    >>> bool((x.grad == 0.25).all())
    True
    """

    def __init__(
        self,
        keep_prob: float | Callable[[float], float],
        *,
        granularity: Granularity = "unit",
        rescale: bool = False,
        unit_axis: int = -1,
    ) -> None:
        super().__init__()
        if granularity not in ("unit", "sample", "layer"):
            raise invalid_argument("granularity", granularity, "'unit', 'sample' or 'layer'")
        self.granularity = granularity
        self.rescale = rescale
        instance("unit_axis", unit_axis, int, "the number of an axis")
        self.unit_axis = unit_axis
        self._schedule = keep_prob if callable(keep_prob) else None
        self._keep = 1.0 if callable(keep_prob) else checked_keep(keep_prob, rescale=rescale)
        self.progress = 0.0

    @property
    def keep_prob(self) -> float:
        """Probability that feedback would arrive at the present progress."""
        return self._keep

    @property
    def progress(self) -> float:
        """Progress of training in [0, 1], at which a schedule of ``keep_prob`` is read."""
        return self._progress

    @progress.setter
    def progress(self, value: float) -> None:
        self._progress = number("progress", value, "a number in [0, 1]", lambda part: 0 <= part <= 1)
        if self._schedule is not None:
            self._keep = checked_keep(self._schedule(self._progress), rescale=self.rescale)

    def forward(self, values: Tensor) -> Tensor:
        """Return ``values`` as they are, or a copy where the gradient that comes back to them will be weakened.

        Raises:
            ValueError: ``values`` have no axis ``unit_axis``.
        """
        return self.mask_gradient(values, own=False) if self.training else values

    def mask_gradient(self, values: Tensor, *, own: bool) -> Tensor:
        """As ``GradientDropout.mask_gradient``, with the mean of the mask."""
        shape = coin_shape(values, self.granularity, self.unit_axis)
        if self._keep == 1 or not (values.requires_grad and torch.is_grad_enabled()):
            return values
        draw = _draw.get()
        if draw is None and self.rescale:
            return values
        factor = self._keep if draw is None else draw(shape, self._keep).to(values)
        scale = factor / self._keep if self.rescale else factor
        values = values if own else values.clone()
        values.register_hook(lambda gradient: gradient * scale)
        return values

    def extra_repr(self) -> str:
        """Show the settings in the printed module."""
        return f"keep_prob={self._keep}, granularity={self.granularity!r}, rescale={self.rescale}"


def attach_mean_feedback(
    model: nn.Module,
    keep_prob: float | Callable[[float], float],
    *,
    modules: Sequence[str] | None = None,
    granularity: Granularity = "unit",
    rescale: bool = False,
    unit_axis: int | None = None,
) -> AttachedGradientDropout[MeanFeedback]:
    """Weaken the feedback to some layers of a model to the mean that gradient dropout would let through.

    The layers are those to which ``attach_gradient_dropout`` would attach masks, and so is the handle. Under SGD, with
    or without momentum, the mean over masks of every step's gradient is exact for any network; for Adam take
    ``MeanFeedbackAdam``. In ``eval()`` nothing happens.

    Args:
        model: any module.
        keep_prob: probability in [0, 1] that feedback would arrive, or a schedule of it.
        modules: names as in ``model.named_modules()``; default: every Linear and convolution but the output layer.
        granularity: "unit", "sample" or "layer"; it matters for second moments only.
        rescale: divide by ``keep_prob``: the mean is then plain backpropagation.
        unit_axis: axis of the outputs that counts units, for modules that are neither Linear nor convolution.

    Returns:
        A handle with ``progress``, ``remove()`` and ``layers``; also a context manager.

    Raises:
        ValueError: a module is not there, there is no hidden layer, or an argument is out of range.

    >>> model, inputs = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), torch.ones(2, 3)
    >>> plain = torch.autograd.grad(model(inputs).sum(), list(model.parameters()))
    >>> with attach_mean_feedback(model, 0.5):
    ...     weak = torch.autograd.grad(model(inputs).sum(), list(model.parameters()))
    >>> [bool(torch.allclose(a, factor * b)) for a, b, factor in zip(weak, plain, (0.5, 0.5, 1, 1))]
    [True, True, True, True]
    """

    def layer(axis: int) -> MeanFeedback:
        return MeanFeedback(keep_prob, granularity=granularity, rescale=rescale, unit_axis=axis)

    return attach_layers(model, layer, modules=modules, granularity=granularity, unit_axis=unit_axis)
