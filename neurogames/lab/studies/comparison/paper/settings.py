"""Everything that a run of the paper's protocol depends on; the defaults are those of its public code.

Features and targets stay in their own units. Networks have Xavier-uniform weights and biases 0.01, and are trained by
Adam. Input noise has the same size for every feature, whatever its unit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from neurogames._arguments import integer, invalid_argument, number, probability
from neurogames.bridge.feedback.target_noise import Scale
from neurogames.lab.data.tables import TASKS, Task, short_name
from neurogames.lab.studies.comparison.paper.noise_names import NamedNoise, parse_noise_name
from neurogames.lab.studies.comparison.paper.published import TABLES
from neurogames.lab.studies.comparison.settings import increasing
from neurogames.lab.studies.settings import StudySettings


@dataclass(frozen=True)
class PaperSettings(StudySettings):
    """The settings of ``neurogames compare --protocol paper``.

    Args:
        data: names or paths of tables; the ten of the paper by default.
        target: target column, for files of one's own.
        task: ``"regression"`` or ``"classification"`` for tables that are not the paper's; ``None`` infers it.
        keep_probs: increasing grid of probabilities of keeping feedback, in (0, 1]; the last must be 1.
        target_noises: names, see :func:`.noise_names.parse_noise_name`; classification has ``NoNoise`` only.
        noise_factor: size of the target noise, where its name does not say it.
        noise_scale: ``"variance"`` (the paper's) or ``"std"``: of what the factor is a multiple.
        stable_alpha: tail index in (0, 2], where the name does not say it.
        stable_beta: skewness in [-1, 1], where the name does not say it.
        seeds: number of independent repetitions, at least 2.
        first_seed: seed of the first repetition; the others follow.
        networks: units of the hidden layers of each network.
        epochs: passes over the training split.
        batch_size: rows of a mini-batch.
        learning_rate: step size of Adam.
        levels: standard deviations of the input noise in the units of the features, from 0 upward.
        noise_repeats: draws of the input noise at each level.

    Raises:
        ValueError: naming the first argument that is out of range.

    >>> PaperSettings(seeds=1)
    Traceback (most recent call last):
    ...
    ValueError: seeds: got 1, expected an integer in [2, 100000]
    """

    data: tuple[str, ...] = tuple(TABLES)
    target: str | None = None
    task: Task | None = None
    keep_probs: tuple[float, ...] = (0.1, 0.5, 1.0)
    target_noises: tuple[str, ...] = ("NoNoise", "TDS", "StableA1B0")
    noise_factor: float = 0.03
    noise_scale: Scale = "variance"
    stable_alpha: float = 1.0
    stable_beta: float = 0.0
    seeds: int = 10
    first_seed: int = 0
    networks: tuple[tuple[int, ...], ...] = ((150,) * 5, (1024, 1024))
    epochs: int = 10
    batch_size: int = 12
    learning_rate: float = 1.1e-4
    levels: tuple[float, ...] = tuple(round(0.04 * step, 2) for step in range(50))
    noise_repeats: int = 1

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
        if not self.target_noises or len(set(self.target_noises)) != len(self.target_noises):
            raise invalid_argument("target_noises", self.target_noises, "at least one noise, each named once")
        numbers = {TABLES[short_name(name)][0] for name in self.data if short_name(name) in TABLES}
        for name in self.target_noises:
            table = self.named_noise(name).table
            if table is not None and table not in numbers:
                meant = next(known for known, (place, _) in TABLES.items() if place == table)
                raise invalid_argument("target_noises", name, f"{meant}, the paper's table {table}, among the data")
        if not self.networks or len(set(self.networks)) != len(self.networks) or not all(self.networks):
            raise invalid_argument("networks", self.networks, "at least one network with hidden layers, each once")
        for units in (units for hidden in self.networks for units in hidden):
            integer("networks", units, minimum=1)
        for name in ("epochs", "batch_size", "noise_repeats"):
            integer(name, getattr(self, name), minimum=1)
        number("learning_rate", self.learning_rate, "a number > 0", lambda value: value > 0)
        if len(self.levels) < 2 or self.levels[0] != 0.0 or not increasing(self.levels):
            raise invalid_argument("levels", self.levels, "at least two increasing noise levels that start at 0")

    @classmethod
    def for_data(cls, *names: str) -> Self:
        """Return the defaults for one or more tables."""
        return cls(data=names)

    def quick(self) -> Self:
        """Return a smaller copy for a first look: two seeds of the first network, one epoch, the first noise.

        >>> PaperSettings().quick().networks
        ((150, 150, 150, 150, 150),)
        """
        return replace(self, seeds=2, networks=self.networks[:1], epochs=1, target_noises=self.target_noises[:1])

    def cells(self) -> list[dict[str, Any]]:
        """Return every combination of a table, a network and a seed."""
        seeds = super().cells()
        return [
            {"dataset": name, "network": network_label(hidden), **cell}
            for name in self.data
            for hidden in self.networks
            for cell in seeds
        ]

    def hidden(self, label: str) -> tuple[int, ...]:
        """Return the units of the hidden layers of a network by its label."""
        return next(hidden for hidden in self.networks if network_label(hidden) == label)

    def named_noise(self, name: str) -> NamedNoise:
        """Return the noise of a name, completed by these settings."""
        own = {"alpha": self.stable_alpha, "beta": self.stable_beta, "factor": self.noise_factor}
        return parse_noise_name(name, **own, scale=self.noise_scale)

    def task_of(self, dataset: str) -> Task | None:
        """Return the task of a table: the paper's, or that of these settings."""
        return TABLES[short_name(dataset)][1] if short_name(dataset) in TABLES else self.task


def network_label(hidden: tuple[int, ...]) -> str:
    """Return how a network is called, after its hidden layers.

    >>> network_label((150, 150, 150)), network_label((64, 32))
    ('3x150', '64-32')
    """
    return f"{len(hidden)}x{hidden[0]}" if len(set(hidden)) == 1 else "-".join(map(str, hidden))
