"""Best replies where several strategies pay the same: which mixtures of them can go on being best.

Populations b = 1..B have the shares z, all in one vector. What strategy i pays is the i-th entry of M z, up to what is
common to a population. Best replies s, a distribution for each population, pull the shares towards q(s):

    z' = r (q(s) - z),    q(s) = a s + (1 - a) / n,

with a rate r, and a weight a < 1 where feedback is masked or strategies mutate. On a tie T payoffs change at the speeds
r (M q(s) - M z), and M z is common to those who tie. So the tied strategies in use go on being best exactly where M
q(s) is greatest among T: s is a Nash equilibrium of the game of the tied strategies alone. Where there is one, the path
goes on in one way. With T all strategies, they are the states q(s) at which a large population rests.

Reference: J. Hofbauer, Stability for the best response dynamics (1995); I. Gilboa and A. Matsui, Social stability and
equilibrium, Econometrica 59 (1991).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

Array = NDArray[np.float64]
Sets = tuple[NDArray[np.intp], ...]

_ROUNDING = 1e-9
_SINGULAR = 1e-9
_SAME = 1e-7
MOST_SETS = 2**14


@dataclass(frozen=True, eq=False)
class LinearReplies:
    """Best replies of populations whose payoffs are linear in the shares.

    Attributes:
        payoffs: M, (D, D), over the strategies of all populations one after the other.
        sizes: number of strategies of each population; they sum to D.
        source: for each population the one on whose shares its payoffs depend, or, where all rates are equal, any.
        rate: r, (B,) > 0, per sweep.
        weight: a, (B,) in (0, 1].
    """

    payoffs: Array
    sizes: tuple[int, ...]
    source: tuple[int, ...]
    rate: Array
    weight: Array

    @cached_property
    def places(self) -> Sets:
        """Numbers of the strategies of each population."""
        return tuple(np.split(np.arange(sum(self.sizes)), np.cumsum(self.sizes)[:-1]))

    @cached_property
    def scale(self) -> float:
        """Range of the payoffs within a population, or 1 if there is none."""
        return max(float(np.ptp(self.payoffs[own], axis=0).max()) for own in self.places) or 1.0

    def target(self, replies: Array) -> Array:
        """q(s), (D,)."""
        weight = np.repeat(self.weight, self.sizes)
        return np.asarray(weight * replies + (1.0 - weight) / np.repeat(self.sizes, self.sizes))

    def coin(self, ties: Sets) -> Array:
        """(D,) each population tosses a coin among those who tie."""
        replies = np.zeros(sum(self.sizes))
        for tie in ties:
            replies[tie] = 1.0 / tie.size
        return replies

    def ties(self, state: Array, tolerance: float) -> Sets:
        """For each population the strategies that pay within a tolerance of the best."""
        payoffs = self.payoffs @ state
        return tuple(own[payoffs[own] >= payoffs[own].max() - tolerance] for own in self.places)

    def goes_on(self, replies: Array, ties: Sets) -> bool:
        """Whether the tied strategies in use pay most among those who tie at q(s), to rounding."""
        payoffs = self.payoffs @ self.target(replies)
        return all(payoffs[tie].max() - payoffs[tie[replies[tie] > 0]].min() <= _ROUNDING * self.scale for tie in ties)

    def equilibria(self, ties: Sets) -> tuple[list[Array], bool]:
        """Isolated equilibria s of the tied strategies, and whether there are no others."""
        slope = self.payoffs * np.repeat(self.weight, self.sizes) / self.scale
        still = self.payoffs @ self.target(np.zeros(len(slope))) / self.scale
        found: list[Array] = []
        complete = True
        for used in product(*map(_subsets, ties)):
            cells = list(chain(*used))
            system, right = _indifference(slope, still, used)
            if np.linalg.svd(system[:, : len(cells)], compute_uv=False)[-1] < _SINGULAR:
                complete &= not _any_inside(slope, still, ties, used)
                continue
            answer = np.linalg.lstsq(system, right, rcond=None)[0]
            if np.abs(system @ answer - right).max() > _ROUNDING or answer[: len(cells)].min() < -_ROUNDING:
                continue
            replies = np.zeros(len(slope))
            replies[cells] = np.maximum(answer[: len(cells)], 0.0)
            for own in self.places:
                replies[own] /= replies[own].sum()
            known = any(np.abs(replies - other).max() < _SAME for other in found)
            if not known and self.goes_on(replies, ties):
                found.append(replies)
        return found, complete


def n_sets(ties: Sets) -> float:
    """How many choices of a set of strategies in each population there are."""
    return float(np.prod([2.0**tie.size - 1 for tie in ties]))


def _indifference(slope: Array, still: Array, used: Sequence[Sequence[int]]) -> tuple[Array, Array]:
    """Linear equations of distributions under which all strategies used pay v, and of each population's v."""
    cells = list(chain(*used))
    size = len(cells)
    system = np.zeros((size + len(used), size + len(used)))
    system[:size, :size] = slope[np.ix_(cells, cells)]
    first = 0
    for group, own in enumerate(used):
        system[first : first + len(own), size + group] = -1.0
        system[size + group, first : first + len(own)] = 1.0
        first += len(own)
    return system, np.concatenate([-still[cells], np.ones(len(used))])


def _any_inside(slope: Array, still: Array, ties: Sets, used: Sequence[Sequence[int]]) -> bool:
    """Whether some distribution that uses all of them is an equilibrium, where the equations have many solutions."""
    system, right = _indifference(slope, still, used)
    cells, size = list(chain(*used)), system.shape[0] - len(used)
    rows = []
    for group, tie in enumerate(ties):
        row = np.zeros((tie.size, size + len(used)))
        row[:, :size] = slope[tie][:, cells]
        row[:, size + group] = -1.0
        rows.append(row)
    below = np.concatenate([-still[tie] for tie in ties])
    bounds = [(_ROUNDING, None)] * size + [(None, None)] * len(used)
    found = linprog(np.zeros(system.shape[1]), np.vstack(rows), below, system, right, bounds)
    return bool(found.status != 2)


def _subsets(tie: NDArray[np.intp]) -> Iterator[tuple[int, ...]]:
    """All sets of tied strategies but the empty one."""
    every = tie.tolist()
    return chain.from_iterable(combinations(every, size) for size in range(1, len(every) + 1))
