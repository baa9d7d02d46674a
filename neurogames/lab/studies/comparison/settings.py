"""Everything a comparison depends on, checked before any work is done.

A *setting* in the statistical sense is a pair (dataset, keep probability). For each of them four ways of
training are set side by side:

- ``law``: plain backpropagation with the mean of the mask, which is what gradient dropout is on average; trained and
  stored before the others, as their prediction;
- ``dropout``: gradient dropout at the keep probability, full epochs and learning rate;
- ``reduced epochs``: plain backpropagation for epochs * keep, the same amount of feedback per unit;
- ``reduced learning rate``: plain backpropagation with learning rate * keep.

The last two are older controls of equal work. At keep = 1 all are one and the same network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

from neurogames._arguments import integer, invalid_argument, number, probability
from neurogames.lab.data.tables import TASKS, Task
from neurogames.lab.studies.settings import StudySettings

DROPOUT, REDUCED_EPOCHS, REDUCED_RATE = "dropout", "reduced epochs", "reduced learning rate"
TRAININGS = (DROPOUT, REDUCED_EPOCHS, REDUCED_RATE)
LAW, LAW_AND_NOISE = "law", "law with noise"
PREDICTIONS = (LAW, LAW_AND_NOISE)
"""What is trained before the others: the mean of the mask, and the mean with normal noise of the mask's covariance."""
SHOWN = (DROPOUT, LAW, REDUCED_EPOCHS, REDUCED_RATE)
"""What is set side by side in figures and tables."""
TARGET_NOISES = ("none", "uniform", "gaussian", "stable")


@dataclass(frozen=True)
class ComparisonSettings(StudySettings):
    """The settings of one comparison; the defaults are those of the command ``neurogames compare``.

    Args:
        data: names or paths of tables, see :func:`neurogames.lab.load_dataset`.
        target: target column, for a file of one's own.
        task: ``"regression"`` or ``"classification"``; ``None`` infers it from the target.
        keep_probs: increasing grid of probabilities of keeping feedback, in (0, 1]; the last must be 1.
        target_noises: some of ``none``, ``uniform``, ``gaussian``, ``stable``; classification uses ``none``.
        noise_factor: target noise in standard deviations of the training target.
        stable_alpha: tail index of the stable target noise, in (0, 2].
        seeds: number of independent repetitions (split, initial weights, draws), at least 2.
        first_seed: seed of the first repetition; the others follow.
        hidden: units of each hidden layer.
        epochs: passes over the training split of the plain network.
        batch_size: rows of a mini-batch.
        learning_rate: step size of Adam.
        levels: input noise in standard deviations of each feature, from 0 upward.
        noise_repeats: draws of the input noise at each level.
        snapshots: shares of a network's own training at which composition is measured, from 0 to 1.
        n_players: players of the simulated public goods game.
        cost: what composing costs, c.
        multiplier: what full composition yields, kappa.
        temperature: temperature of the logit choice, tau.
        sweeps: length of the simulation; one round of revisions stands for one optimizer step.
        replicas: independent simulations.

    Raises:
        ValueError: naming the first argument that is out of range.

    >>> ComparisonSettings(seeds=1)
    Traceback (most recent call last):
    ...
    ValueError: seeds: got 1, expected an integer in [2, 100000]
    """

    data: tuple[str, ...] = ("diabetes",)
    target: str | None = None
    task: Task | None = None
    keep_probs: tuple[float, ...] = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    target_noises: tuple[str, ...] = TARGET_NOISES
    noise_factor: float = 0.3
    stable_alpha: float = 1.5
    seeds: int = 6
    first_seed: int = 0
    hidden: tuple[int, ...] = (32, 32)
    epochs: int = 40
    batch_size: int = 32
    learning_rate: float = 2e-3
    levels: tuple[float, ...] = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0)
    noise_repeats: int = 8
    snapshots: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
    n_players: int = 20
    cost: float = 0.4
    multiplier: float = 1.0
    temperature: float = 0.08
    sweeps: int = 500
    replicas: int = 2000

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        super().__post_init__()
        data: object = self.data
        if isinstance(data, str):
            raise invalid_argument("data", data, f"a sequence of names, such as ({data!r},)")
        if not self.data or len(set(self.data)) != len(self.data):
            raise invalid_argument("data", self.data, "at least one dataset, each named once")
        if self.task not in (None, *TASKS):
            raise invalid_argument("task", self.task, "'regression' or 'classification'")
        for keep_prob in self.keep_probs:
            probability("keep_probs", keep_prob)
        if len(self.keep_probs) < 2 or self.keep_probs[-1] != 1.0 or not increasing(self.keep_probs):
            raise invalid_argument("keep_probs", self.keep_probs, "two or more increasing probabilities that end at 1")
        if not self.target_noises or not set(self.target_noises) <= set(TARGET_NOISES):
            raise invalid_argument("target_noises", self.target_noises, f"some of {', '.join(TARGET_NOISES)}")
        if len(set(self.target_noises)) != len(self.target_noises):
            raise invalid_argument("target_noises", self.target_noises, "each noise named once")
        number("noise_factor", self.noise_factor, "a number > 0", lambda value: value > 0)
        number("stable_alpha", self.stable_alpha, "a number in (0, 2]", lambda value: 0 < value <= 2)
        if not self.hidden:
            raise invalid_argument("hidden", self.hidden, "at least one hidden layer")
        for units in self.hidden:
            integer("hidden", units, minimum=1)
        for name in ("epochs", "batch_size", "noise_repeats", "sweeps", "replicas"):
            integer(name, getattr(self, name), minimum=1)
        for name in ("learning_rate", "cost", "multiplier", "temperature"):
            number(name, getattr(self, name), "a number > 0", lambda value: value > 0)
        if len(self.levels) < 2 or self.levels[0] != 0.0 or not increasing(self.levels):
            raise invalid_argument("levels", self.levels, "at least two increasing noise levels that start at 0")
        if len(self.snapshots) < 2 or not increasing(self.snapshots):
            raise invalid_argument("snapshots", self.snapshots, "at least two increasing shares of training")
        if self.snapshots[0] < 0.0 or self.snapshots[-1] != 1.0:
            raise invalid_argument("snapshots", self.snapshots, "shares in [0, 1] that end at 1")
        integer("n_players", self.n_players, minimum=2)

    @classmethod
    def for_data(cls, *names: str) -> Self:
        """Return the defaults for one or more tables."""
        return cls(data=names)

    def quick(self) -> Self:
        """Return a smaller copy for a first look: fewer seeds, noises, epochs and draws, the same grid.

        >>> ComparisonSettings().quick().seeds
        5
        """
        return replace(
            self,
            target_noises=tuple(n for n in self.target_noises if n in ("none", "stable")) or self.target_noises[:1],
            seeds=min(self.seeds, 5),
            epochs=min(self.epochs, 10),
            noise_repeats=min(self.noise_repeats, 2),
            snapshots=(0.0, 0.5, 1.0),
            replicas=min(self.replicas, 500),
        )

    def cells(self) -> list[dict[str, Any]]:
        """Return every pair of a table and a seed."""
        repetitions = super().cells()
        return [{"dataset": name, **cell} for name in self.data for cell in repetitions]


def increasing(values: tuple[float, ...]) -> bool:
    """Tell whether every value is above the one before it."""
    return all(low < high for low, high in pairwise(values))
