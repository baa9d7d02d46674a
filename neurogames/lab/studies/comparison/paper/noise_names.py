"""Target noises by the names that the paper on gradient dropout gives them, arXiv 2507.19143.

``TDS6`` is uniform noise on table 6, ``Stable6A1.75B0F0.03`` a stable law of alpha 1.75 and beta 0 with the factor
0.03. What a name leaves out is taken from the settings; without a number it is meant for every table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from neurogames._arguments import invalid_argument
from neurogames.bridge.feedback.target_noise import NoNoise, Scale, StableNoise, TargetNoise, UniformNoise

_NUMBER = r"\d+(?:\.\d+)?"
_NAME = re.compile(rf"(?:(NoNoise)|(TDS)|Stable)(\d+)?(?:A({_NUMBER}))?(?:B(-?{_NUMBER}))?(?:F({_NUMBER}))?")


@dataclass(frozen=True)
class NamedNoise:
    """What a name says.

    Attributes:
        table: number of the table in the paper's list, 1 to 10; None for every table.
        noise: the noise.
    """

    table: int | None
    noise: TargetNoise


def parse_noise_name(
    name: str, *, alpha: float = 1.0, beta: float = 0.0, factor: float = 0.03, scale: Scale = "variance"
) -> NamedNoise:
    """Read the name of a target noise: ``NoNoise``, ``TDS``, ``Stable``, a number, then letters with values.

    The letters, for ``Stable`` only, are A (alpha), B (beta) and F (factor)::

        TDS:     y' = y + factor * Var(y) * xi,   xi uniform in (-1, 1)
        Stable:  y' = y + factor * Var(y) * xi,   xi of the stable law S(alpha, beta)

    Args:
        name: such as ``TDS6`` or ``Stable6A1.75B0F0.03``; the number is that of the table, 1 to 10.
        alpha: stability in (0, 2], where the name has no A.
        beta: skewness in [-1, 1], where it has no B.
        factor: size >= 0, where it has no F.
        scale: "variance" (the paper's) or "std", by which the size does not depend on the unit of the target.

    Returns:
        The noise, and the number of the table that it is meant for.

    Raises:
        ValueError: for a name of another form, a number without table, or a value out of range.

    Reference: arXiv 2507.19143 and its public code.

    >>> parse_noise_name("Stable6A1.75B0F0.03")
    NamedNoise(table=6, noise=StableNoise(alpha=1.75, beta=0.0, factor=0.03, scale='variance'))
    >>> parse_noise_name("TDS", scale="std")
    NamedNoise(table=None, noise=UniformNoise(factor=0.03, scale='std'))
    """
    expected = "NoNoise, TDS or Stable, then a table from 1 to 10, such as TDS6 or Stable6A1.75B0F0.03"
    found = _NAME.fullmatch(name)
    if found is None:
        raise invalid_argument("target_noises", name, expected)
    none, uniform, number, *letters = found.groups()
    table = None if number is None else int(number)
    if table is not None and not 1 <= table <= 10:
        raise invalid_argument("target_noises", name, expected)
    if (none or uniform) and any(letter is not None for letter in letters):
        raise invalid_argument("target_noises", name, "the letters A, B and F after Stable only")
    if none:
        return NamedNoise(table, NoNoise())
    if uniform:
        return NamedNoise(table, UniformNoise(factor, scale))
    given = (alpha, beta, factor)
    alpha, beta, factor = (own if text is None else float(text) for text, own in zip(letters, given, strict=True))
    return NamedNoise(table, StableNoise(alpha, beta, factor, scale))
