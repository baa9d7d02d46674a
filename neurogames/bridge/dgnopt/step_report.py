"""What a step of the optimizer did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Skipped = Literal["not finite", "curvature not positive definite"]


@dataclass(frozen=True)
class StepReport:
    """What a step did.

    Attributes:
        taken: False where the step was skipped.
        clamped: share in [0, 1] of rows (times columns and stages) whose quadratic was not convex, so that their
            feedback ends at that stage. Near 1 means that there is no feedback to earlier layers.
        feedback: |K dx| / |k| over all layers, before the learning rate; 0 without feedback.
        alignment: the stage of each layer in this step.
        reward: what the alignment earned; None where none is measured.
        reward_seconds: time that this took.
        skipped: why the step was skipped; None where it was taken.
        alone: pairs of layers that cooperate at a stage, but between which curvature is 0 since their outputs have
            different places.
    """

    taken: bool
    clamped: float
    feedback: float
    alignment: Mapping[str, int]
    reward: float | None = None
    reward_seconds: float = 0.0
    skipped: Skipped | None = None
    alone: tuple[tuple[str, str], ...] = ()
