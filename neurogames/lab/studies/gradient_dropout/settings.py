"""Everything the study of gradient dropout depends on, and what was said before its search for annealing was run.

Registered beforehand (28 November 2026, before any network of the search was trained):

- **Question.** Does the noise of the mask let units leave a detour? The law, plain training with the mean of the mask,
  only stretches time. Whatever gradient dropout does beyond its law is the noise.
- **Cells.** Every combination of data, strength of the planted shortcut, optimizer with learning rate, batch size and
  keep probability: the fields below, 192 cells by default. Tables get one feature more, whose correlation with the
  target is the strength; images are averaged down to 8 x 8 and get a tint that shows the class that often.
- **Primary outcome.** The error on test rows whose shortcut is broken, at the end of training: mean squared error in
  variances of the training target, or the share of wrong classes. Gradient dropout minus its law, paired by seed (same
  split, shortcut, first weights, order of rows). Student's t interval (95 %) and t test in each cell; p-values are
  corrected over all cells by Holm's method. A cell with fewer than three quarters of its seeds left, because networks
  diverged, is not decided.
- **What counts as annealing.** In a cell (i) gradient dropout has the lower error, with a corrected p < .05, and (ii)
  this is not a lower fit to the training rows: its error is also below that of the law at equal training loss, with a
  95 % interval that excludes 0. For (ii) the law is taken at the first time its training loss is as low as that of
  gradient dropout's at the end (in proportion between recorded times; at its end if it never is so low).
- **Secondary.** The same difference, averaged over tables and strengths in each seed, for every optimizer, rate, batch
  size and keep probability (Holm over these). Share of units of the last hidden layer that compose, gradient dropout
  minus law. Error with broken shortcut, gradient dropout minus normal gradient noise of the mask's mean and covariance
  (``feedback="gaussian"``): if the noise matters but not its shape, this is 0. These decide nothing about annealing.
- **What would speak against it.** No cell that counts, or as many cells where gradient dropout is worse.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from neurogames._arguments import integer, invalid_argument, number, probability
from neurogames.lab.studies.gradient_dropout.course import Optimizer
from neurogames.lab.studies.settings import StudySettings

TABLES = ("diabetes", "concrete_strength", "yacht_hydrodynamics", "energy_heating", "auto_mpg")
IMAGES = ("cifar10_small",)
IMAGE_SIDE = 8
"""Images are averaged down to about so many pixels a side."""
FIT_TIMES = (0.0, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
"""Shares of training at which errors and training losses are recorded."""
LEAST_LEFT = 0.75
"""Share of seeds that must have come to an end in a cell that is decided."""


class Recipe(NamedTuple):
    """An optimizer with its learning rate."""

    optimizer: Optimizer
    learning_rate: float

    @property
    def name(self) -> str:
        """Return it in words: 'adam 0.001'."""
        return f"{self.optimizer} {self.learning_rate:g}"


@dataclass(frozen=True)
class GradientDropoutSettings(StudySettings):
    """The settings of one study of gradient dropout; the defaults are those that were registered.

    Args:
        data: names or paths of tables, see :func:`neurogames.lab.load_dataset`, and of images, see
            :func:`neurogames.lab.load_images`.
        seeds: number of independent repetitions (split, shortcut, initial weights, draws), at least 2.
        first_seed: seed of the first repetition; the others follow.
        strengths: of the planted shortcut, in [0, 1]; different ones.
        adam_rates: learning rates of Adam in the search.
        sgd_rates: learning rates of SGD in the search.
        batch_sizes: rows of a mini-batch in the search.
        keep_probs: probabilities in (0, 1) that a unit gets its gradient, in the search.
        hidden: units of the hidden layers.
        epochs: passes over the training rows.
        image_rows: training rows, and most test rows, drawn from images in each repetition.
        course_keep: keep probability in (0, 1) of the course of composition (Adam, first rate, first batch size) and of
            the law on chains.
        law_rates: number of learning rates, over a decade down from the first, at which the law is tested on tables
            (the lower the rate, the more epochs); at least 2.
        rate_steps: steps with a tiny learning rate by which the rates of single layers are measured.

    Raises:
        ValueError: naming the first argument that is out of range.

    >>> len(GradientDropoutSettings().recipes), GradientDropoutSettings().n_cells
    (4, 192)
    """

    data: tuple[str, ...] = (*TABLES, *IMAGES)
    seeds: int = 16
    first_seed: int = 0
    strengths: tuple[float, ...] = (0.9, 0.5)
    adam_rates: tuple[float, ...] = (0.001, 0.01)
    sgd_rates: tuple[float, ...] = (0.02, 0.1)
    batch_sizes: tuple[int, ...] = (64, 16)
    keep_probs: tuple[float, ...] = (0.5, 0.1)
    hidden: tuple[int, ...] = (64, 64)
    epochs: int = 40
    image_rows: int = 1000
    course_keep: float = 0.2
    law_rates: int = 3
    rate_steps: int = 2000

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        super().__post_init__()
        data: object = self.data
        if isinstance(data, str):
            raise invalid_argument("data", data, f"a sequence of names, such as ({data!r},)")
        for name in ("data", "strengths", "adam_rates", "sgd_rates", "batch_sizes", "keep_probs", "hidden"):
            values = getattr(self, name)
            if not values or (name != "hidden" and len(set(values)) < len(values)):
                raise invalid_argument(name, values, "at least one, each named once")
        for strength in self.strengths:
            number("strengths", strength, "a strength in [0, 1]", lambda value: 0 <= value <= 1)
        for name in ("adam_rates", "sgd_rates"):
            for rate in getattr(self, name):
                number(name, rate, "a number > 0", lambda value: value > 0)
        for keep_prob in (*self.keep_probs, self.course_keep):
            if probability("keep_probs", keep_prob) == 1:
                raise invalid_argument("keep_probs", keep_prob, "a probability below 1")
        for name in ("hidden", "batch_sizes"):
            for count in getattr(self, name):
                integer(name, count, minimum=1)
        for name, fewest in {"epochs": 1, "image_rows": 20, "law_rates": 2, "rate_steps": 1}.items():
            integer(name, getattr(self, name), minimum=fewest)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """Optimizers with their learning rates, in the search."""
        adam = (Recipe("adam", rate) for rate in self.adam_rates)
        return (*adam, *(Recipe("sgd", rate) for rate in self.sgd_rates))

    @property
    def n_cells(self) -> int:
        """Number of cells over which p-values are corrected."""
        per_data = len(self.recipes) * len(self.batch_sizes) * len(self.keep_probs) * len(self.strengths)
        return len(self.data) * per_data

    @classmethod
    def for_data(cls, *names: str) -> Self:
        """Return the defaults for one or more tables or images."""
        return cls(data=names)

    def quick(self) -> Self:
        """Return a smaller copy for a first look: the first data, few seeds, the noisiest cells.

        >>> GradientDropoutSettings().quick().n_cells
        2
        """
        return replace(
            self,
            data=self.data[:1],
            seeds=min(self.seeds, 3),
            strengths=self.strengths[:1],
            adam_rates=self.adam_rates[-1:],
            sgd_rates=self.sgd_rates[-1:],
            batch_sizes=self.batch_sizes[-1:],
            keep_probs=self.keep_probs[-1:],
            hidden=tuple(min(units, 16) for units in self.hidden),
            epochs=min(self.epochs, 5),
            image_rows=min(self.image_rows, 200),
            law_rates=2,
            rate_steps=min(self.rate_steps, 200),
        )

    def cells(self) -> list[dict[str, Any]]:
        """Return every pair of data and a seed."""
        repetitions = super().cells()
        return [{"dataset": name, **cell} for name in self.data for cell in repetitions]


def law_grid(rates: int, first: float) -> list[float]:
    """Return learning rates over a decade, the first one the largest.

    >>> [round(rate, 4) for rate in law_grid(3, 0.02)]
    [0.02, 0.0063, 0.002]
    """
    return [first * 10 ** (-step / (rates - 1)) for step in range(rates)]
