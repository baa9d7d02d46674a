"""Everything the NEUROGAME study depends on, and the names of what it trains."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from neurogames._arguments import integer, invalid_argument, number
from neurogames.bridge.coalition_filter.coalition_layers import CoalitionFilter
from neurogames.bridge.coalition_filter.neurogame_net import Gate
from neurogames.engine.schedules import linear
from neurogames.lab.studies.settings import StudySettings, one_name

Variant = tuple[int, float, float, float]
"""Side of the windows, share of the windows that win, and g (the threshold over the first quartile) from and to."""

CONTROLS: dict[str, Gate] = {"no gate": "none", "random mask": "random", "magnitude mask": "magnitude"}
"""Controls with the same trunk."""
MLP = "MLP"
QUICK_ROWS = 1000
"""Training and test rows of a first look at MNIST or Fashion-MNIST."""
VARIANTS: tuple[Variant, ...] = (
    (2, 0.5, 0.0, 1.0),
    (2, 0.8, 0.0, 1.0),
    (3, 0.5, 0.0, 1.0),
    (3, 0.8, 0.0, 1.0),
    (2, 0.5, 0.0, 0.0),
    (2, 0.5, 1.0, 1.0),
)


@dataclass(frozen=True)
class NeurogameSettings(StudySettings):
    """Settings of one NEUROGAME study.

    Args:
        data: images of one channel: "digits", "mnist", "fashion_mnist", or one's own, see
            :func:`neurogames.lab.load_images`.
        variants: coalition filters (window, top_p, g at the start, g at the end), g going straight from one to the
            other. The first one is the filter in question: controls are of its density, and claims are about it.
        seeds: number of independent repetitions (first weights, order of the rows), at least 2.
        first_seed: seed of the first repetition; the others follow.
        epochs: passes over the rows.
        rows: training rows used; all if ``None``.
        test_rows: test rows used; all if ``None``.
        batch_size: rows of a mini-batch.
        learning_rate: Adam's rate, kept constant.
        explained: test rows for which maps are drawn up and compared.
    """

    data: str = "digits"
    variants: tuple[Variant, ...] = VARIANTS
    seeds: int = 5
    first_seed: int = 0
    epochs: int = 40
    rows: int | None = None
    test_rows: int | None = None
    batch_size: int = 64
    learning_rate: float = 2e-3
    explained: int = 100

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        super().__post_init__()
        if not self.variants or len(set(self.variants)) < len(self.variants):
            raise invalid_argument("variants", self.variants, "one or more different filters")
        for variant in self.variants:
            if len(variant) != 4:
                raise invalid_argument("variants", variant, "window, top_p, g at the start and g at the end")
            coalition_filter(variant)
            for level in variant[2:]:
                number("g", level, "a number in [0, 1]", lambda value: 0 <= value <= 1)
        for name in ("epochs", "batch_size", "explained"):
            integer(name, getattr(self, name), minimum=1)
        number("learning_rate", self.learning_rate, "a number > 0", lambda value: value > 0)
        for name, fewest in {"rows": self.batch_size, "test_rows": self.explained}.items():
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), minimum=fewest)

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of all that is trained: the filters, then the controls.

        >>> NeurogameSettings(variants=((2, 0.5, 0.0, 1.0), (3, 0.8, 1.0, 1.0))).arms
        ('2 x 2, top 0.5', '3 x 3, top 0.8, g 1', 'no gate', 'random mask', 'magnitude mask', 'MLP')
        """
        return (*self.filters, *CONTROLS, MLP)

    @property
    def filters(self) -> tuple[str, ...]:
        """Names of the coalition filters, the one in question first."""
        return tuple(map(variant_name, self.variants))

    @classmethod
    def for_data(cls, *names: str) -> Self:
        """Return what suits a data set: all digits, or 5,000 rows of a larger one.

        >>> NeurogameSettings.for_data("mnist").rows
        5000
        """
        plan = cls(one_name(names))
        return plan if plan.data == "digits" else replace(plan, rows=5000, test_rows=5000, epochs=20)

    def quick(self) -> Self:
        """Return a smaller copy for a first look at the same data: two filters, three seeds, few rows.

        >>> NeurogameSettings(data="mnist").quick().rows
        1000
        """
        rows = None if self.data == "digits" else QUICK_ROWS
        return replace(
            self, variants=self.variants[:2], seeds=3, epochs=15, explained=60, rows=rows, test_rows=rows, batch_size=64
        )


def variant_name(variant: Variant) -> str:
    """Name a filter; g is left out where it rises from 0 to 1."""
    window, top_p, start, end = variant
    levels = f", g {start:g}" if start == end else f", g {start:g} to {end:g}"
    return f"{window} x {window}, top {top_p:g}{'' if (start, end) == (0, 1) else levels}"


def coalition_filter(variant: Variant) -> CoalitionFilter:
    """Build the filter of a variant, with Ising energy, alpha = beta = 1."""
    window, top_p, start, end = variant
    return CoalitionFilter(window=window, top_p=top_p, threshold=linear(start, end))
