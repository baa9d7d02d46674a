"""Everything the pruning study depends on, and the networks it trains."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import torch
from torch import nn

from neurogames._arguments import integer, invalid_argument, number
from neurogames.lab.studies.settings import StudySettings, one_name

PAPER_CONFIGURATIONS = {
    "Very High Beta": (0.1, 0.0),
    "Extreme Beta": (0.5, 0.0),
    "L1 Sparsity Strong": (0.001, 0.1),
    "L1+L2 Combined": (0.05, 0.05),
}
"""Ridge beta and price gamma of the four configurations of arXiv 2512.22106, table 1."""

HIDDEN = {"mlp": (512, 256), "cnn": (8, 16, 32)}
"""Units of the hidden layers of each architecture, if nothing else is asked for."""

UNIT_BUDGETS = {"mlp": (154, 77, 37, 23, 15, 13), "cnn": (28, 19, 9)}
"""Units kept of each architecture, if nothing else is asked for; the paper's runs keep 37, 15 and 13."""

CONGESTION = {"mlp": 2.0, "cnn": 0.0}
"""How much more the units of fuller layers pay, by architecture, from held-out training rows (one start of the CNN)."""

QUICK_ROWS = 2000
"""Training rows of a first look at MNIST or Fashion-MNIST."""


@dataclass(frozen=True)
class PruningSettings(StudySettings):
    """Settings of one pruning study.

    Args:
        data: images of one channel: "mnist", "fashion_mnist", "digits", or one's own, see
            :func:`neurogames.lab.load_images`.
        architecture: "mlp", Linear layers of ``hidden`` units; or "cnn", two 3 x 3 convolutions of ``hidden[:2]``
            filters with BatchNorm and pooling, and Linear layers of the rest.
        hidden: units of each hidden layer.
        unit_budgets: decreasing numbers of units that the corrected rule keeps, at the price that clears.
        congestion: how much more the units of fuller layers pay, as in ``train_participation``; 0: all pay the same.
        seeds: number of independent repetitions (first weights, order of the rows), at least 2.
        first_seed: seed of the first repetition; the others follow.
        epochs: passes over the rows, for the corrected rule and each of its controls alike.
        paper_epochs: passes for the paper's configurations; it stopped at 20.
        batch_size: rows of a mini-batch.
        learning_rate: Adam's rate at the start of the corrected rule and its controls; it falls linearly to a
            hundredth over the second half of the steps.
        weight_decay: how many times each weight is added to its slope, for the corrected rule and its controls; chosen
            on held-out training rows for small networks from scratch, whose units otherwise die.
        paper_learning_rate: Adam's rate for the paper's configurations, kept constant.
        rows: training rows used; all if ``None``.
        game_rows: training rows on which games are measured.
        profiles: random profiles on which the predicted loss is set against the real one.
    """

    data: str = "mnist"
    architecture: str = "mlp"
    hidden: tuple[int, ...] = HIDDEN["mlp"]
    unit_budgets: tuple[int, ...] = UNIT_BUDGETS["mlp"]
    congestion: float = CONGESTION["mlp"]
    seeds: int = 6
    first_seed: int = 0
    epochs: int = 20
    paper_epochs: int = 60
    batch_size: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    paper_learning_rate: float = 1e-3
    rows: int | None = None
    game_rows: int = 5000
    profiles: int = 50

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        super().__post_init__()
        if self.architecture not in HIDDEN:
            raise invalid_argument("architecture", self.architecture, "'mlp' or 'cnn'")
        fewest = 1 if self.architecture == "mlp" else 3
        if len(self.hidden) < fewest:
            raise invalid_argument("hidden", self.hidden, f"at least {fewest} layers of units")
        for units in self.hidden:
            integer("hidden", units, minimum=1)
        for unit_budget in self.unit_budgets:
            integer("unit_budgets", unit_budget, minimum=len(self.hidden))
        if len(self.unit_budgets) < 2 or not all(
            more > fewer for more, fewer in pairwise((sum(self.hidden), *self.unit_budgets))
        ):
            raise invalid_argument(
                "unit_budgets", self.unit_budgets, f"two or more decreasing numbers below {sum(self.hidden)}, all units"
            )
        for name in ("congestion", "weight_decay"):
            number(name, getattr(self, name), "a number >= 0", lambda value: value >= 0)
        integer("epochs", self.epochs, minimum=2)
        for name in ("paper_epochs", "batch_size", "game_rows"):
            integer(name, getattr(self, name), minimum=1)
        integer("profiles", self.profiles, minimum=3)
        for name in ("learning_rate", "paper_learning_rate"):
            number(name, getattr(self, name), "a number > 0", lambda value: value > 0)
        if self.rows is not None:
            integer("rows", self.rows, minimum=self.batch_size)

    @classmethod
    def for_data(cls, *names: str) -> Self:
        """Return what suits a data set: a convolutional network and few rows for Fashion-MNIST, little for digits.

        >>> PruningSettings.for_data("fashion_mnist").architecture
        'cnn'
        """
        plan = cls(one_name(names))
        if plan.data == "digits":
            return plan.quick()
        return plan.updated(architecture="cnn", rows=3000, batch_size=32) if plan.data == "fashion_mnist" else plan

    def quick(self) -> Self:
        """Return a smaller copy for a first look at the same data: a small network, few rows, two seeds.

        >>> PruningSettings().quick().hidden
        (64, 32)
        """
        hidden = (64, 32) if self.architecture == "mlp" else (8, 8, 16)
        return replace(
            self,
            hidden=hidden,
            unit_budgets=tuple(sum(hidden) // part for part in (2, 4, 8)),
            rows=None if self.data == "digits" else QUICK_ROWS,
            seeds=2,
            batch_size=32,
            epochs=20,
            paper_epochs=40,
            game_rows=1000,
            profiles=30,
        )

    def updated(self, **values: Any) -> Self:
        """Return a copy with other values; another architecture brings its own units, budgets and congestion."""
        architecture = values.get("architecture", self.architecture)
        if architecture == self.architecture or architecture not in HIDDEN:
            return super().updated(**values)
        suiting: dict[str, Any] = {"hidden": HIDDEN, "unit_budgets": UNIT_BUDGETS, "congestion": CONGESTION}
        return super().updated(**{name: table[architecture] for name, table in suiting.items()} | values)


def untrained(
    settings: PruningSettings, shape: tuple[int, int], n_classes: int, hidden: tuple[int, ...]
) -> nn.Sequential:
    """Build the study's architecture with other numbers of units; images are (rows, 1, height, width)."""
    height, width = shape
    layers: list[nn.Module] = []
    channels, rest = 1, hidden
    if settings.architecture == "cnn":
        for filters in hidden[:2]:
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(2)]
            channels, height, width = filters, height // 2, width // 2
        rest = hidden[2:]
    layers.append(nn.Flatten())
    widths = (channels * height * width, *rest)
    for entering, leaving in pairwise(widths):
        layers += [nn.Linear(entering, leaving), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], n_classes))


@torch.no_grad()
def draw_weights(model: nn.Module, rng: torch.Generator) -> nn.Module:
    """Draw the weights of Linear and Conv layers anew by torch's usual law, from a generator; return the model."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            bound = max(1, module.weight[0].numel()) ** -0.5
            module.weight.uniform_(-bound, bound, generator=rng)
            if module.bias is not None:
                module.bias.uniform_(-bound, bound, generator=rng)
    return model
