"""A generated task whose primitives are known, with a planted shortcut.

Each row has P binary primitives c_1, ..., c_P, uniform and independent; its class is their combination,

    class = sum_p c_p 2^(p-1),   2^P classes.

Every primitive is shown by a block of m features, 2 c_p - 1 plus N(0, noise^2) each: to know the class one must find
out every primitive and put them together. The remaining features, m for every class, are *marks*: the row's shortcut
code s lights the marks of class s (``mark`` instead of 0, all plus N(0, mark_noise^2)). The code is the class with
probability ``shortcut``, and else a class drawn at random. Where ``shortcut`` is near 1 a network may read the mark
and need not compose; where it is 0 the mark says nothing. Which of the two a network does is found by intervention
(``scramble``), not taken from how it was trained: networks trained for long beside a mark that is right in 95 of 100
rows come to use both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neurogames._arguments import integer, invalid_argument, number


@dataclass(frozen=True, eq=False)
class PlantedTask:
    """Rows of the planted task.

    Attributes:
        features: (rows, P m + 2^P m) float32; the primitives' blocks first, then the marks.
        classes: (rows,) integers in 0 .. 2^P - 1.
        primitives: (rows, P) integers 0 or 1.
        shortcut: (rows,) integers in 0 .. 2^P - 1, the class that the marks show.
        first_mark: index of the first feature that is a mark.
    """

    features: NDArray[np.float32]
    classes: NDArray[np.int64]
    primitives: NDArray[np.int64]
    shortcut: NDArray[np.int64]
    first_mark: int

    def scramble(self, part: Literal["shortcut", "primitives"], *, rng: np.random.Generator) -> PlantedTask:
        """Intervene: give every row the marks, or the primitive features, of another row.

        Args:
            part: "shortcut" or "primitives".
            rng: generator of the permutation.

        Returns:
            The same classes with features of which one part has come loose from them, so that the loss of accuracy
            shows what a network reads. The codes of the moved part move with it.

        Raises:
            ValueError: ``part`` is another word.

        >>> task = planted_task(1000, shortcut=1.0, rng=np.random.default_rng(0))
        >>> loose = task.scramble("shortcut", rng=np.random.default_rng(1))
        >>> bool(abs((loose.shortcut == loose.classes).mean() - 1 / 8) < 0.05)
        True
        """
        if part not in ("shortcut", "primitives"):
            raise invalid_argument("part", part, "'shortcut' or 'primitives'")
        order = rng.permutation(len(self.classes))
        features = self.features.copy()
        if part == "shortcut":
            features[:, self.first_mark :] = self.features[order, self.first_mark :]
            return replace(self, features=features, shortcut=self.shortcut[order])
        features[:, : self.first_mark] = self.features[order, : self.first_mark]
        return replace(self, features=features, primitives=self.primitives[order])

    def frame(self) -> pd.DataFrame:
        """Return the rows as a table, the class last; what shows a primitive is told from the marks by its name.

        >>> planted_task(5, shortcut=1.0, rng=np.random.default_rng(0)).frame().columns[[0, 12, -1]].tolist()
        ['primitive_0', 'mark_0', 'class']
        """
        marks = self.features.shape[1] - self.first_mark
        names = [f"primitive_{index}" for index in range(self.first_mark)] + [f"mark_{index}" for index in range(marks)]
        table = pd.DataFrame(self.features.astype(np.float64), columns=names)
        return table.assign(**{"class": [f"class_{number}" for number in self.classes]})


def planted_task(
    rows: int,
    *,
    shortcut: float,
    rng: np.random.Generator,
    n_primitives: int = 3,
    block: int = 4,
    noise: float = 1.0,
    mark: float = 5.0,
    mark_noise: float = 0.5,
) -> PlantedTask:
    """Draw rows of the planted task.

    With the defaults the primitives alone allow an accuracy of Phi(sqrt(block) / noise)^P = 0.93.

    Args:
        rows: number of rows, >= 1.
        shortcut: reliability in [0, 1] of the marks.
        rng: generator of everything drawn.
        n_primitives: P, in 2 .. 6.
        block: m, features that show one primitive, and marks of one class, >= 1.
        noise: standard deviation of the noise on the primitives' features, > 0.
        mark: height of a lit mark, > 0; the higher, the easier the shortcut is beside the primitives.
        mark_noise: standard deviation of the noise on the marks, > 0.

    Returns:
        Features, classes and the codes behind them.

    Raises:
        ValueError: an argument is out of range.

    >>> task = planted_task(4, shortcut=1.0, rng=np.random.default_rng(0))
    >>> task.features.shape, task.first_mark, bool((task.shortcut == task.classes).all())
    ((4, 44), 12, True)
    """
    rows, n_primitives = integer("rows", rows, minimum=1), integer("n_primitives", n_primitives, minimum=2, maximum=6)
    block = integer("block", block, minimum=1)
    shortcut = number("shortcut", shortcut, "a reliability in [0, 1]", lambda value: 0 <= value <= 1)
    for name, value in (("noise", noise), ("mark", mark), ("mark_noise", mark_noise)):
        number(name, value, "a finite number > 0", lambda size: size > 0)
    n_classes = 2**n_primitives
    primitives = rng.integers(0, 2, size=(rows, n_primitives))
    classes = primitives @ 2 ** np.arange(n_primitives)
    codes = np.where(rng.random(rows) < shortcut, classes, rng.integers(0, n_classes, size=rows))
    shown = np.repeat(2.0 * primitives - 1, block, axis=1)
    marks = mark * np.repeat(np.eye(n_classes)[codes], block, axis=1)
    features = np.concatenate(
        [
            shown + noise * rng.standard_normal(shown.shape),
            marks + mark_noise * rng.standard_normal(marks.shape),
        ],
        axis=1,
    )
    return PlantedTask(features.astype(np.float32), classes, primitives, codes, shown.shape[1])
