"""Everything the study of layers as players depends on, and the names of what it compares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from neurogames._arguments import integer, invalid_argument, number
from neurogames.lab.studies.settings import StudySettings, one_name

NETWORKS = ("MLP", "CNN")
LAYERS = 4
"""Of either network."""
ALL_LAYERS = "all"
CHOICES = (*(str(layer) for layer in range(1, LAYERS + 1)), ALL_LAYERS)
"""What is fine-tuned: one layer, from the input on, or all."""
NO_FREEZING, CERTIFICATE = "no freezing", "held-out gain"
FREEZING = (NO_FREEZING, CERTIFICATE, "FreezeOut", "gradient norm", "random order")
WAYS = ("SGD", "Adam", "gradient dropout", "mean feedback")
"""Trainings whose course is followed; the last two with SGD. Mean feedback is the twin of gradient dropout."""


@dataclass(frozen=True)
class LayersSettings(StudySettings):
    """Settings of the study of layers as players.

    Args:
        data: images of one channel: "digits", "mnist", "fashion_mnist" or one's own.
        seeds: number of independent repetitions (first weights, splits, shifts), at least 2.
        first_seed: seed of the first repetition; the others follow.
        rows: training rows used; all if ``None``.
        test_rows: test rows used; all if ``None``.
        epochs: of the trainings that are fine-tuned, followed, or attacked.
        adaptation_rows: shifted rows on which a network is fine-tuned.
        check_rows: further shifted rows, for early stopping and held-out gains.
        adaptation_epochs: passes over the adaptation rows.
        adaptation_rates: learning rates (Adam) tried for each choice of layers; the check rows choose.
        search_steps: most steps of L-BFGS for the deviation of a layer.
        freezing_epochs: of the trainings in which layers are frozen.
        freezing_checks: how often in such a training layers may be frozen.
        certificate_rows: training rows, and held-out rows, of a certificate.
        certificate_steps: most steps of L-BFGS for the deviation of a layer that may be finished.
        curvature_rows: rows on which curvature, step sizes and the course of the gap are measured.
        checkpoints: epochs after which step sizes and the course are measured; 0 is the start.
        keep_prob: of gradient dropout.
    """

    data: str = "digits"
    seeds: int = 4
    first_seed: int = 0
    rows: int | None = None
    test_rows: int | None = None
    epochs: int = 20
    adaptation_rows: int = 100
    check_rows: int = 100
    adaptation_epochs: int = 15
    adaptation_rates: tuple[float, ...] = (1e-3, 1e-2)
    search_steps: int = 10
    freezing_epochs: int = 60
    freezing_checks: int = 6
    certificate_rows: int = 400
    certificate_steps: int = 10
    curvature_rows: int = 200
    checkpoints: tuple[int, ...] = (0, 1, 5, 20)
    keep_prob: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        super().__post_init__()
        for name in ("rows", "test_rows"):
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), minimum=10)
        for name in ("epochs", "adaptation_epochs", "search_steps", "certificate_steps", "freezing_checks"):
            integer(name, getattr(self, name), minimum=1)
        for name in ("adaptation_rows", "check_rows", "certificate_rows", "curvature_rows"):
            integer(name, getattr(self, name), minimum=10)
        integer("freezing_epochs", self.freezing_epochs, minimum=self.freezing_checks + 1)
        number("keep_prob", self.keep_prob, "a probability in (0, 1]", lambda value: 0 < value <= 1)
        if not self.adaptation_rates or not all(rate > 0 for rate in self.adaptation_rates):
            raise invalid_argument("adaptation_rates", self.adaptation_rates, "one or more rates > 0")
        points = self.checkpoints
        if list(points) != sorted(set(points)) or not points or points[0] != 0 or points[-1] > self.epochs:
            raise invalid_argument("checkpoints", points, f"increasing epochs from 0 to at most {self.epochs}")

    @classmethod
    def for_data(cls, *names: str) -> Self:
        """Return what suits a data set: all digits, or 3,000 rows of a larger one.

        >>> LayersSettings.for_data("fashion_mnist").rows
        3000
        """
        plan = cls(one_name(names))
        if plan.data == "digits":
            return plan
        return replace(plan, rows=3000, test_rows=2000, freezing_epochs=30)

    def quick(self) -> Self:
        """Return a smaller copy for a first look at the same data.

        >>> LayersSettings().quick().seeds
        2
        """
        return replace(
            self,
            seeds=2,
            rows=700,
            test_rows=300,
            epochs=6,
            adaptation_rows=60,
            check_rows=60,
            adaptation_epochs=5,
            adaptation_rates=self.adaptation_rates[-1:],
            search_steps=5,
            freezing_epochs=8,
            freezing_checks=2,
            certificate_rows=60,
            certificate_steps=5,
            curvature_rows=60,
            checkpoints=(0, 6),
        )
