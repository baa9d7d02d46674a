"""Gradient dropout: feedback that reaches each unit of a network only with some probability.

The player is the unit (neuron, or channel of a convolution), its action the weights that lead into it. A mask
stands on the gradient g = dL/dz at the output z of a layer (before the activation function) and multiplies it::

    g'_j = g_j * m_j,   m_j ~ Bernoulli(keep_prob), drawn anew for every layer and every forward pass

so that a silenced unit learns nothing and passes nothing to earlier layers, while its outgoing weights, which see
the layer above, still learn. Values on the way forward are the same to the bit. The mean of g' is keep_prob * g; with
``rescale`` it is g. Granularity: ``"unit"``, one coin per unit shared by the mini-batch (the paper's);
``"sample"``, one per unit and sample (and token); ``"layer"``, one coin for the whole layer.

A silenced unit stands still under plain gradient descent only. An optimizer with memory (Adam, momentum) or with
weight decay moves it even so: the coin silences feedback, it does not freeze the player.

The mask is drawn on the way forward and kept for the way back: a graph that is run backward twice, or
differentiated twice, sees one and the same mask. The draw is an operator of its own that looks up its layer's
generator when it runs. So compiled code calls it (``fullgraph=True`` holds) instead of freezing its result, a
schedule of ``keep_prob`` causes no recompilation, eager and compiled training see the same masks, and
``torch.func.vmap`` shares one draw among all that it maps over.

Reference: the gradient-dropout game, arXiv 2507.19143, whose headline p is the probability of DROPPING feedback.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from neurogames._arguments import instance, invalid_argument, number, probability

Granularity = Literal["unit", "sample", "layer"]

_numbers = itertools.count()
_players: weakref.WeakValueDictionary[int, GradientDropout] = weakref.WeakValueDictionary()


class GradientDropout(nn.Module):
    """Identity on the way forward; a random mask on the gradient on the way back.

    Args:
        keep_prob: probability in (0, 1] that feedback arrives, or a schedule of it: a function of progress in
            [0, 1]; set ``progress`` as training goes on. 1 is plain backpropagation.
        rng: generator from which this layer's own seed is taken; masks are then drawn on the device of the input.
        granularity: "unit", "sample" or "layer".
        rescale: divide what arrives by ``keep_prob``, so that the mean gradient is the true one (the paper does not).
        unit_axis: axis of the input that counts units: -1 for (..., features), -3 for the channels of images.
            Entries that differ in later axes only (space) share a coin.

    Raises:
        ValueError: an argument is out of range.

    >>> layer = GradientDropout(0.5, rng=torch.Generator().manual_seed(0))
    >>> x = torch.ones(3, 6, requires_grad=True)
    >>> layer(x).sum().backward()
    >>> bool((x.grad == x.grad[0]).all() and ((x.grad == 0) | (x.grad == 1)).all())
    True
    """

    _stock: list[Tensor]
    _stock_size: int
    _stock_like: tuple[tuple[int, ...], torch.dtype, torch.device] | None

    def __init__(
        self,
        keep_prob: float | Callable[[float], float],
        *,
        rng: torch.Generator,
        granularity: Granularity = "unit",
        rescale: bool = False,
        unit_axis: int = -1,
    ) -> None:
        super().__init__()
        if granularity not in ("unit", "sample", "layer"):
            raise invalid_argument("granularity", granularity, "'unit', 'sample' or 'layer'")
        if not isinstance(rng, torch.Generator):
            raise invalid_argument("rng", rng, "a torch.Generator")
        self._schedule = keep_prob if callable(keep_prob) else None
        self._keep = 1.0 if callable(keep_prob) else probability("keep_prob", keep_prob)
        self.granularity = granularity
        self.rescale = rescale
        instance("unit_axis", unit_axis, int, "the number of an axis")
        self.unit_axis = unit_axis
        self._seed = int(torch.randint(2**63 - 1, (), generator=rng, device=rng.device))
        self._generators: dict[torch.device, torch.Generator] = {}
        self._discard()
        self.progress = 0.0
        self._register()

    @property
    def keep_prob(self) -> float:
        """Probability that feedback arrives at the present progress."""
        return self._keep

    @property
    def progress(self) -> float:
        """Progress of training in [0, 1], at which a schedule of ``keep_prob`` is read."""
        return self._progress

    @progress.setter
    def progress(self, value: float) -> None:
        self._progress = number("progress", value, "a number in [0, 1]", lambda part: 0 <= part <= 1)
        keep = self._keep if self._schedule is None else probability("keep_prob", self._schedule(self._progress))
        if keep != self._keep:
            self._discard()
        self._keep, self._silences = keep, keep < 1

    def forward(self, values: Tensor) -> Tensor:
        """Return ``values`` as they are, or a copy where the gradient that comes back to them will be masked.

        Raises:
            ValueError: ``values`` have no axis ``unit_axis``.
        """
        return self.mask_gradient(values, own=False) if self.training else values

    def mask_gradient(self, values: Tensor, *, own: bool) -> Tensor:
        """Mask the gradient that comes back to ``values``: to themselves if they are the caller's ``own``, or a copy.

        A hook on the values would reach whoever else holds them; one on a view is lost when the next layer works in
        place. So ``own`` means that nobody else holds them and that they are no view.
        """
        if not (self._silences and values.requires_grad and torch.is_grad_enabled()):
            return values
        shape = coin_shape(values, self.granularity, self.unit_axis)
        like = (tuple(shape), values.dtype, values.device)
        if not torch.compiler.is_compiling() and self._stock and like == self._stock_like:
            factor = self._stock.pop()  # passes by the operator, whose call costs more than the mask
        else:
            factor = torch.ops.neurogames.feedback(self._number, shape, values.dtype, values.device)
        values = values if own else values.clone()
        # A hook on the tensor costs a third of an autograd.Function, and functorch and compilers know it.
        values.register_hook(factor.mul)
        return values

    def extra_repr(self) -> str:
        """Show the settings in the printed module."""
        return f"keep_prob={self._keep}, granularity={self.granularity!r}, rescale={self.rescale}"

    def draw(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Factors for one forward pass: 0, or 1, or 1 / keep_prob with rescaling; small ones are drawn in advance.

        A call of a generator costs more than the few numbers it is called for. While nothing changes, the stock is
        doubled at every refill, so that a schedule that moves at every step wastes nothing.
        """
        generator = self._generators.get(device)
        if generator is None:
            generator = self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        count = math.prod(shape)
        if count > 4096:
            if device.type == "cpu":
                factor = _coins_from_bytes(shape, self._keep, dtype, generator)
            else:
                factor = torch.empty(shape, dtype=dtype, device=device).bernoulli_(self._keep, generator=generator)
            return factor.div_(self._keep) if self.rescale else factor
        like = (tuple(shape), dtype, device)
        if like != self._stock_like:
            self._discard()
            self._stock_like = like
        if not self._stock:
            block = torch.empty((self._stock_size, *shape), dtype=dtype, device=device)
            block.bernoulli_(self._keep, generator=generator)
            self._stock = list((block.div_(self._keep) if self.rescale else block).unbind())
            self._stock_size = min(2 * self._stock_size, 32)
        return self._stock.pop()

    def draw_state(self) -> dict[str, Any]:
        """From where the draws go on: plain tensors, numbers and strings, shared with nobody."""
        stock = None
        if self._stock_like is not None:
            shape, dtype, device = self._stock_like
            stock = torch.stack(self._stock) if self._stock else torch.empty((0, *shape), dtype=dtype, device=device)
        return {
            "seed": self._seed,
            "generators": {str(device): generator.get_state() for device, generator in self._generators.items()},
            "stock": stock,  # its shape says what for, also when it is used up
            "stock_size": self._stock_size,
            "device": None if self._stock_like is None else str(self._stock_like[2]),
        }

    def load_draw_state(self, state: Mapping[str, Any]) -> None:
        """Go on drawing from where ``draw_state`` was taken; ``progress`` is to be set before."""
        self._seed = state["seed"]
        states = {torch.device(name): held.cpu() for name, held in state["generators"].items()}
        self._generators = {device: torch.Generator(device).set_state(held) for device, held in states.items()}
        self._discard()
        self._stock_size = state["stock_size"]
        if state["stock"] is not None:
            device = torch.device(state["device"])
            stock = state["stock"].to(device).clone()
            self._stock = list(stock.unbind())
            self._stock_like = (tuple(stock.shape[1:]), stock.dtype, device)

    def _discard(self) -> None:
        """Forget the masks drawn in advance."""
        self._stock = []
        self._stock_size = 1
        self._stock_like = None

    def _register(self) -> None:
        """Make the masks of this layer known to the drawing operator."""
        self._number = next(_numbers)
        _players[self._number] = self

    def __getstate__(self) -> dict[str, Any]:
        states = {device: generator.get_state() for device, generator in self._generators.items()}
        return {**self.__dict__, "_generators": states}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy: the same generator state, but draws of its own from then on."""
        states: dict[torch.device, Tensor] = state["_generators"]
        nn.Module.__setstate__(self, {**state, "_generators": {}})
        for device, generator_state in states.items():
            self._generators[device] = torch.Generator(device).set_state(generator_state)
        self._register()


def coin_shape(values: Tensor, granularity: str, unit_axis: int) -> list[int]:
    """Shape of a layer's coins, which the gradient that comes back to ``values`` is multiplied by.

    Raises:
        ValueError: ``values`` have no axis ``unit_axis``.

    >>> coin_shape(torch.zeros(2, 3, 8, 8), "unit", -3)
    [1, 3, 1, 1]
    """
    shape = [1] * values.ndim
    if granularity != "layer":
        if not -values.ndim <= unit_axis < values.ndim:
            raise invalid_argument("unit_axis", unit_axis, f"an axis of values of shape {tuple(values.shape)}")
        axis = unit_axis % values.ndim
        shape[axis] = values.shape[axis]
        if granularity == "sample":
            shape[:axis] = values.shape[:axis]
    return shape


def _feedback(player: int, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Let the layer with this number draw."""
    return _players[player].draw(shape, dtype, device)


def _coins_from_bytes(shape: Sequence[int], keep_prob: float, dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    """Bernoulli coins (1 or 0) from one random byte each; only a byte at the threshold asks for a second draw.

    With keep_prob * 256 = T + f: a byte below T is heads, a byte equal to T is heads with probability f. So the coin
    is exact and independent of the others, although a byte alone knows multiples of 1 / 256 only.
    """
    count = math.prod(shape)
    words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(-(2**63), None, generator=generator)
    draws = words.view(torch.uint8).view(-1, 8)
    threshold, part = divmod(keep_prob * 256, 1)
    # Comparing into the wanted type is several times faster than by way of a boolean tensor.
    heads = torch.lt(draws, int(threshold), out=torch.empty(draws.shape, dtype=dtype))
    if part:
        border = torch.eq(draws, int(threshold), out=torch.empty_like(draws))
        (rows,) = torch.nonzero(border.view(torch.int64)[:, 0], as_tuple=True)
        again = torch.rand((len(rows), 8), dtype=torch.float64, generator=generator) < part
        heads[rows] += border[rows] * again
    return heads.view(-1)[:count].view(tuple(shape))


def _blank(player: int, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:  # noqa: ARG001
    """What a compiler needs to know of ``_feedback``."""
    return torch.empty(shape, dtype=dtype, device=device)


# The tag keeps compilers from merging two draws, and from drawing again instead of storing the mask; in a CUDA graph
# the draw would be frozen.
_tags = [torch.Tag.nondeterministic_seeded] + [
    getattr(torch.Tag, name) for name in ("cudagraph_unsafe",) if hasattr(torch.Tag, name)
]
_library = torch.library.Library("neurogames", "FRAGMENT")
_library.define("feedback(int player, SymInt[] shape, ScalarType dtype, Device device) -> Tensor", tags=tuple(_tags))
_library.impl("feedback", _feedback, "CompositeExplicitAutograd")
_library.impl("feedback", _feedback, "BackendSelect")
torch.library.register_fake("neurogames::feedback", _blank, lib=_library)
