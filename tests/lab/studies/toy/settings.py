"""Everything the toy study depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neurogames._arguments import integer, invalid_argument
from neurogames.lab.studies.settings import StudySettings

TAILS = {"light": 30.0, "heavy": 1.5}
"""Degrees of freedom of Student's law, by name of the data."""


@dataclass(frozen=True)
class ToySettings(StudySettings):
    """Settings of the toy study.

    Args:
        data: "light" or "heavy" tails.
        seeds: number of independent repetitions, at least 2.
        first_seed: seed of the first repetition.
        draws: size of each sample.
        center: where the samples lie.
        rounding: decimals of the samples; not rounded if ``None``.
        quantiles: what else is measured.
        bands: pairs of quantiles, whose distance is measured.
        side: which quantiles are drawn.
    """

    data: str = "light"
    draws: int = 100
    center: float = 0.0
    rounding: int | None = None
    quantiles: tuple[float, ...] = (0.1, 0.9)
    bands: tuple[tuple[float, float], ...] = ((0.25, 0.75),)
    side: Literal["lower", "upper"] = "upper"

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        super().__post_init__()
        if self.data not in TAILS:
            raise invalid_argument("data", self.data, f"one of {', '.join(TAILS)}")
        integer("draws", self.draws, minimum=1)
