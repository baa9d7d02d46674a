"""Target noise: random disturbances of regression labels, drawn afresh for every label of every batch.

A noise turns two independent uniforms in (0, 1) into one *unit* draw xi by an elementwise ``transform``, and
says by ``amplitude`` how large the disturbance is beside labels y of standard deviation s::

    y' = y + amplitude(s) * xi,   amplitude = factor * s (scale="std") or factor * s**2 (scale="variance")

``scale="variance"`` is the rule of the gradient-dropout game (arXiv 2507.19143), whose noise therefore
depends on the unit in which the target is written; ``scale="std"`` does not and is the default. Every noise
consumes the same two uniforms, so that several noises can be compared on common draws.

Stable laws are in Nolan's parametrisation S1, the default of ``scipy.stats.levy_stable``: the logarithm of
the characteristic function at t is -abs(t)^alpha (1 - i beta sign(t) tan(pi alpha / 2)), so alpha = 2 is
the normal law N(0, 2) and alpha = 1, beta = 0 is Cauchy's. Two warnings. For alpha < 2 the variance of the
labels, hence under squared error the variance of every gradient, is infinite: report medians over runs
beside means, and clip gradients. For beta != 0 the centre of S1 sits near beta tan(pi alpha / 2), which has
a pole at alpha = 1 (the law at alpha = 1 itself is finite): close to 1 such a noise is mostly a shift of
all labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from neurogames._arguments import instance, integer, invalid_argument, number

Scale = Literal["std", "variance"]


class TargetNoise(Protocol):
    """What training asks of a target noise."""

    def transform(self, first: Tensor, second: Tensor) -> Tensor:
        """Turn two tensors of independent uniforms into one of unit noise."""
        ...

    def amplitude(self, deviation: float) -> float:
        """Size of the disturbance of labels with this standard deviation."""
        ...


@dataclass(frozen=True)
class NoNoise:
    """Labels as they are: transform = 0, amplitude = 0.

    >>> sample_noise(NoNoise(), (2,), deviation=1.0, rng=torch.Generator())
    tensor([0., 0.])
    """

    def transform(self, first: Tensor, second: Tensor) -> Tensor:  # noqa: ARG002  (every noise has this form)
        """Return zeros of the shape of ``first``."""
        return torch.zeros_like(first)

    def amplitude(self, deviation: float) -> float:
        """Return 0, whatever the deviation (a finite number >= 0) of the labels."""
        return 0.0 * _amplitude(1.0, "std", deviation)


@dataclass(frozen=True)
class UniformNoise:
    """Uniform(-1, 1) times the amplitude: the noise "TDS" of the gradient-dropout game, arXiv 2507.19143.

    Args:
        factor: size relative to the labels' deviation or variance, >= 0.
        scale: "std" (invariant to the unit of the labels) or "variance" (the paper's).

    Raises:
        ValueError: an argument is out of range.

    >>> UniformNoise().transform(torch.tensor([0.25, 1.0]), torch.tensor([0.5, 0.5]))
    tensor([-0.5000,  1.0000])
    """

    factor: float = 0.03
    scale: Scale = "std"

    def __post_init__(self) -> None:
        _check(self.factor, self.scale)

    def transform(self, first: Tensor, second: Tensor) -> Tensor:  # noqa: ARG002  (every noise has this form)
        """Return 2 first - 1."""
        return 2 * first - 1

    def amplitude(self, deviation: float) -> float:
        """Return factor * deviation, or factor * deviation**2 for scale "variance"."""
        return _amplitude(self.factor, self.scale, deviation)


@dataclass(frozen=True)
class GaussianNoise:
    """N(0, 1) times the amplitude, by the Box-Muller transform.

    Args:
        factor: size relative to the labels' deviation or variance, >= 0.
        scale: "std" (invariant to the unit of the labels) or "variance" (the paper's rule).

    Raises:
        ValueError: an argument is out of range.

    >>> noise = GaussianNoise(factor=0.1)
    >>> bool(abs(sample_noise(noise, (10_000,), deviation=2.0, rng=torch.Generator()).std() - 0.2) < 0.01)
    True
    """

    factor: float = 0.03
    scale: Scale = "std"

    def __post_init__(self) -> None:
        _check(self.factor, self.scale)

    def transform(self, first: Tensor, second: Tensor) -> Tensor:
        """Return sqrt(-2 ln second) sin(pi (first - 1/2)); half a turn has the sine's law of a whole."""
        angle, exponential, _ = _angle_and_exponential(first, second)
        return ((2 * exponential).sqrt_() * angle.sin_()).to(first.dtype)

    def amplitude(self, deviation: float) -> float:
        """Return factor * deviation, or factor * deviation**2 for scale "variance"."""
        return _amplitude(self.factor, self.scale, deviation)


@dataclass(frozen=True)
class StableNoise:
    """The stable law S1(alpha, beta) times the amplitude, by the method of Chambers, Mallows and Stuck.

    Args:
        alpha: stability in (0, 2]; tails fall like x^-alpha, 2 is normal with variance 2.
        beta: skewness in [-1, 1]; without effect at alpha = 2.
        factor: size relative to the labels' deviation or variance, >= 0.
        scale: "std" (invariant to the unit of the labels) or "variance" (the paper's).

    Raises:
        ValueError: an argument is out of range.

    References:
        J. M. Chambers, C. L. Mallows, B. W. Stuck, A method for simulating stable random variables, JASA 71
        (1976); for S1 with skewness R. Weron, Statistics & Probability Letters 28 (1996).

    >>> cauchy = StableNoise(alpha=1.0)
    >>> cauchy.transform(torch.tensor([0.5, 0.75]), torch.tensor([0.3, 0.3])).numpy().round(4)
    array([0., 1.], dtype=float32)
    """

    alpha: float
    beta: float = 0.0
    factor: float = 0.03
    scale: Scale = "std"

    def __post_init__(self) -> None:
        number("alpha", self.alpha, "a stability in (0, 2]", lambda value: 0 < value <= 2)
        number("beta", self.beta, "a skewness in [-1, 1]", lambda value: -1 <= value <= 1)
        _check(self.factor, self.scale)

    def transform(self, first: Tensor, second: Tensor) -> Tensor:
        """Map uniforms to S1(alpha, beta).

        With V = pi (first - 1/2), W = -ln second, e = 1 - alpha and t = tan(pi alpha / 2)::

            X = (sin aV + beta t cos aV) / cos V * [(cos eV + beta t sin eV) / (W cos V)]^(e / alpha)

        and at alpha = 1, with b = 1 + 2 beta V / pi:  X = b tan V - (2 / pi) beta ln(W cos V / b).

        Args:
            first: uniforms in the open interval (0, 1), any shape, dtype, device; 0 and 1 are moved inside.
            second: as ``first``, independent of it.

        Returns:
            Unit noise of the shape and dtype of ``first``. Always finite: what exceeds the range of the
            dtype, as happens for small alpha, is set to its largest number.
        """
        alpha, beta = float(self.alpha), 0.0 if self.alpha == 2 else float(self.beta)
        rest = 1 - alpha
        angle, exponential, inside = _angle_and_exponential(first, second)
        outside = 1 - inside
        # cos V taken as the sine of the distance to the nearer pole: relative precision survives in the tail.
        cosine = torch.minimum(inside, outside).mul_(math.pi).sin_()
        if alpha == 1:
            skew = (1 + beta) * inside + (1 - beta) * outside
            unit = skew * angle.sin_() / cosine
            if beta:
                unit -= (2 * beta / math.pi) * (exponential * cosine / skew).log_()
            return _inside(unit, first.dtype)
        if beta:
            # Brackets of the formula as sums that do not cancel at the poles when |beta| = 1.
            norm = 1 / (2 * math.sin(math.pi * rest / 2))
            up, down = (1 + beta) * norm, (1 - beta) * norm
            high, low = math.pi * inside, math.pi * outside
            head = (alpha * high).sin_().mul_(up) - (alpha * low).sin_().mul_(down)
            body = (rest * high).sin_().mul_(up) + (rest * low).sin_().mul_(down)
        else:
            norm = 0.5
            head, body = (alpha * angle).sin_(), (rest * angle).cos_()
        head /= cosine
        limits = torch.finfo(head.dtype)
        bound = math.log(limits.max) - math.log(8 * max(1.0, abs(norm)) / limits.eps)  # of |head| / cos V
        power = (body / exponential.mul_(cosine)).clamp_(min=limits.tiny).log_().mul_(rest / alpha)
        return _inside(head.mul_(power.clamp_(max=bound).exp_()), first.dtype)

    def amplitude(self, deviation: float) -> float:
        """Return factor * deviation, or factor * deviation**2 for scale "variance"."""
        return _amplitude(self.factor, self.scale, deviation)


def sample_noise(
    noise: TargetNoise,
    shape: Sequence[int],
    *,
    deviation: float,
    rng: torch.Generator,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw label disturbances: amplitude(deviation) * transform(u, v) with independent uniforms u and v.

    Args:
        noise: any target noise.
        shape: shape of the result.
        deviation: standard deviation of the labels, a finite number >= 0.
        rng: generator; it draws on its own device, so that a seed gives the same numbers on every ``device``.
        dtype: type of the result.
        device: where the result lives.

    Returns:
        Finite label disturbances.

    Raises:
        ValueError: the deviation is negative or not finite.

    >>> sample_noise(GaussianNoise(0.1), (3, 2), deviation=2.0, rng=torch.Generator()).shape
    torch.Size([3, 2])
    """
    instance("shape", shape, Sequence, "a sequence of sizes")
    sizes = [integer("shape", length, minimum=0) for length in shape]
    if not hasattr(noise, "amplitude"):
        raise invalid_argument("noise", noise, "a noise on targets, such as GaussianNoise(0.1)")
    instance("rng", rng, torch.Generator, "a torch.Generator")
    size = noise.amplitude(deviation)
    work = torch.promote_types(dtype, torch.float32)
    first, second = torch.rand((2, *sizes), generator=rng, dtype=work, device=rng.device)
    return _inside(noise.transform(first, second) * size, dtype).to(device)


def _check(factor: float, scale: str) -> None:
    """Refuse a factor or scale out of range."""
    number("factor", factor, "a finite number >= 0", lambda value: value >= 0)
    if scale not in ("std", "variance"):
        raise invalid_argument("scale", scale, "'std' or 'variance'")


def _amplitude(factor: float, scale: str, deviation: float) -> float:
    """Amplitude of a noise with this factor and scale."""
    number("deviation", deviation, "a finite number >= 0", lambda value: value >= 0)
    return factor * deviation if scale == "std" else factor * deviation**2


def _angle_and_exponential(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """V = pi (first - 1/2), W = -ln second, and ``first`` itself, kept inside (0, 1), in 32 bits at least."""
    work = torch.promote_types(first.dtype, torch.float32)
    eps = torch.finfo(work).eps
    inside = first.to(work).clamp(eps / 4, 1 - eps / 2)
    exponential = second.to(work).clamp(eps / 4, 1 - eps / 2).log_().neg_()
    return (inside - 0.5).mul_(math.pi), exponential, inside


def _inside(unit: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert to ``dtype``; what it cannot hold becomes its largest number."""
    largest = torch.finfo(dtype).max
    return unit.clamp_(-largest, largest).to(dtype)
