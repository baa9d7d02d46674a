"""The third view: the share x of actors in a large population moves by a deterministic law.

    v(x) = (1 - x) on(x) - x off(x)

with the switching probabilities of the process at the large-population limit of the game. One at a time, x' = v(x) with
time in sweeps; all at once, x jumps to x + v(x) each round. For logit choice and the club good,

    hold:   v(x) = keep (sigma(f(x)/tau) - x)
    blind:  v(x) = keep sigma(f(x)/tau) + (1 - keep)/2 - x,        f(x) = kappa x - c,

whose turning points, folds and critical keep probability have closed forms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine.display.velocities import plot_velocity
from neurogames.engine.population.logit_folds import fold_costs, logit_club, turning_points
from neurogames.engine.process import Process, check_played, limit_switching
from neurogames.games.base import TwoActionGame

_GRID = 4097
_ROUNDING = 1e-13
_LEAST_KEEP = 1e-9


@dataclass(frozen=True)
class MeanFieldEquilibrium:
    """A share at which a large population stays.

    Attributes:
        share: the share x of actors.
        stable: whether small disturbances die out.
        kind: "crossing"; "tangent" where two equilibria merge; "jump" where v leaps over 0, as best responses do;
            "edge" of a whole interval on which v is 0.
        slope: v'(share), infinite at a jump.
        residual: abs(v(share)); at a jump 0 lies between the two sides and this is how far off the value itself is.
    """

    share: float
    stable: bool
    kind: Literal["crossing", "tangent", "jump", "edge"]
    slope: float
    residual: float


@dataclass(frozen=True, eq=False)
class MeanField:
    """The large-population limit of a process; see :func:`mean_field`.

    Attributes:
        game: the game.
        process: how players revise.
    """

    game: TwoActionGame
    process: Process

    def velocity(self, share: ArrayLike) -> NDArray[np.float64]:
        """Change v(x) of the share per sweep.

        Args:
            share: any shape, in [0, 1].

        Returns:
            Velocities of that shape.
        """
        x = np.asarray(share, dtype=np.float64)
        on, off = self._flows(x.ravel())
        return (on - off).reshape(x.shape)

    def equilibria(self) -> tuple[MeanFieldEquilibrium, ...]:
        """All equilibria in increasing order.

        Between the turning points of v there is at most one each. The turning points are known in closed form for
        logit choice with the club good; otherwise v is scanned on a grid of 4097 shares and every local extremum that
        comes near 0 is refined, so that two equilibria closer than the grid are still found as such.

        Returns:
            The equilibria with their stability: v' < 0 one at a time, abs(1 + v') < 1 all at once.
        """
        turning = turning_points(self.game, self.process)
        knots = self._scan() if turning is None else np.array([0.0, *turning, 1.0])
        sign = self._signs(knots)
        # Beyond the borders there is nothing; NaN equals no sign.
        before, after = np.concatenate([[np.nan], sign[:-1]]), np.concatenate([sign[1:], [np.nan]])
        found = []
        for i in range(knots.size):
            if sign[i] == 0.0:
                if not before[i] == after[i] == 0.0:
                    resting = 0.0 in (before[i], after[i])
                    touching = before[i] == after[i]
                    found.append(
                        self._at(float(knots[i]), "edge" if resting else "tangent" if touching else "crossing")
                    )
            elif sign[i] * after[i] < 0:
                root = _root(lambda x: float(self.velocity(x)), float(knots[i]), float(knots[i + 1]))
                found.append(self._at(root, "crossing"))
        return tuple(found)

    def folds(self) -> tuple[float, ...]:
        """Costs between which logit choice in the club game has three equilibria.

        With u = (1 -/+ sqrt(1 - 4 tau / (keep kappa))) / 2,

            c_fold = kappa (keep u + (1 - keep)/2) - tau ln(u / (1 - u)),

        where keep counts as 1 under "hold", which moves no equilibrium.

        Returns:
            The lower and the upper cost, or nothing when tau >= keep kappa / 4 and there is no fold at any cost.

        Raises:
            ValueError: for other rules and goods, whose folds in the cost have no closed form.
        """
        tau, kappa, _ = self._closed("folds")
        return fold_costs(tau, kappa, self._effective_keep())

    def critical_keep_prob(self) -> float | None:
        """Keep probability at and below which the equilibrium with the fewest actors is gone.

        Under "blind", masking is extra temperature: falling keep_prob lifts the lowest equilibrium until it merges with
        the unstable one above it. For logit choice in the club game this is the root in keep of c_fold(keep) = c, which
        exists for c between the lower fold at keep = 1 and kappa/2; other games are solved on the same condition
        numerically. The keep probability of the process itself plays no part.

        Returns:
            The critical keep probability, or None when there is no other equilibrium to escape to at keep 1, or keep
            never removes the lowest one: always so under "hold" and for rules that copy.
        """
        if self.process.masked == "hold" or self.process.choice.copies:
            return None
        # Whether an equilibrium exists does not depend on who revises; whether rounds overshoot it is another matter.
        full = replace(self.process, keep_prob=1.0, revision="one")
        closed = logit_club(self.game, self.process)
        if closed is not None:
            tau, kappa, cost = closed
            at_one = fold_costs(tau, kappa, 1.0)
            if not at_one or not at_one[0] < cost <= 0.5 * kappa:
                return None
            return _root(lambda keep: (fold_costs(tau, kappa, keep) or (0.5 * kappa,))[0] - cost, 4 * tau / kappa, 1.0)
        first = MeanField(self.game, full).equilibria()[:2]
        if len(first) < 2 or not first[0].stable or first[1].stable:
            return None
        below = np.linspace(0.0, np.nextafter(first[1].share, 0.0), _GRID)

        def lowest(keep: float) -> float:
            """Least velocity below the barrier: negative as long as something holds the lowest equilibrium there."""
            law = MeanField(self.game, replace(full, keep_prob=keep))
            value = law.velocity(below)
            i = int(value.argmin())
            low, high = float(below[max(i - 1, 0)]), float(below[min(i + 1, _GRID - 1)])
            _, least = law._refine(low, high, 1.0, float(value[i]))
            return least

        return None if lowest(_LEAST_KEEP) < 0 else _root(lowest, _LEAST_KEEP, 1.0)

    def plot(self, axis: Any = None) -> Any:
        """Draw the velocity against the share of actors, with the equilibria: filled where they are stable.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.
        """
        found = [(each.share, "stable" if each.stable else "unstable") for each in self.equilibria()]
        return plot_velocity(axis, self.velocity, found, "share acting")

    def _effective_keep(self) -> float:
        keep = self.process.keep_prob
        return float(keep) if self.process.masked == "blind" else 1.0  # type: ignore[arg-type]

    def _closed(self, what: str) -> tuple[float, float, float]:
        """Parameters of the closed form, or the reason why there is none."""
        closed = logit_club(self.game, self.process)
        if closed is None:
            raise invalid_argument(
                "process", f"{self.process.choice!r} in {self.game!r}", f"logit choice in a club game for {what}"
            )
        return closed

    def _scan(self) -> NDArray[np.float64]:
        """Grid over [0, 1] with the extrema added at which v nearly touches 0 between two nodes of one sign."""
        grid = np.linspace(0.0, 1.0, _GRID)
        sign, size = self._signs(grid), np.abs(self.velocity(grid))
        near = (size[1:-1] < size[:-2]) & (size[1:-1] <= size[2:])
        near &= (sign[1:-1] == sign[:-2]) & (sign[1:-1] == sign[2:]) & (sign[1:-1] != 0)
        touching = [
            self._refine(float(grid[i - 1]), float(grid[i + 1]), float(sign[i]), np.inf)[0]
            for i in np.flatnonzero(near) + 1
        ]
        return np.unique(np.concatenate([grid, touching]))

    def _flows(self, share: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Shares (K,) of the population that start and that stop in a sweep."""
        rates = limit_switching(self.game, self.process, share)
        return (1.0 - share) * np.exp(rates.log_on), share * np.exp(rates.log_off)

    def _signs(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Signs (K,) of v, 0 where start and stop agree to rounding."""
        on, off = self._flows(share)
        return np.where(np.abs(on - off) <= _ROUNDING * float((on + off).max()), 0.0, np.sign(on - off))

    def _refine(self, low: float, high: float, sign: float, known: float) -> tuple[float, float]:
        """Share in an interval at which sign * v is least, and that least or ``known``, whichever is lower."""
        from scipy.optimize import minimize_scalar

        found = minimize_scalar(
            lambda x: sign * float(self.velocity(x)), bounds=(low, high), method="bounded", options={"xatol": 1e-13}
        )
        return float(found.x), min(float(found.fun), known)

    def _at(self, share: float, kind: Literal["crossing", "tangent", "edge"]) -> MeanFieldEquilibrium:
        """The equilibrium at a share, with its slope and what that means for disturbances."""
        residual = abs(float(self.velocity(share)))
        leap = self._difference(share, 1e-12)
        if abs(leap) > 1e-3:
            # The steps of a jump are too long for simultaneous revision to settle on it.
            stable = leap < 0 and self.process.revision == "one"
            return MeanFieldEquilibrium(share, stable, "jump", float(np.copysign(np.inf, leap)), residual)
        low, high = max(0.0, share - 1e-7), min(1.0, share + 1e-7)
        slope = self._difference(share, 1e-7) / (high - low)
        contracts = slope < 0 if self.process.revision == "one" else abs(1.0 + slope) < 1
        return MeanFieldEquilibrium(share, kind == "crossing" and contracts, kind, slope, residual)

    def _difference(self, share: float, step: float) -> float:
        """How much v rises from a step left of a share to a step right of it, within [0, 1]."""
        left, right = self.velocity([max(0.0, share - step), min(1.0, share + step)])
        return float(right - left)


def mean_field(game: TwoActionGame, process: Process) -> MeanField:
    """Large-population limit of a process.

    Args:
        game: the game.
        process: the process, with constant parameters.

    Returns:
        The limit, to be asked for its velocity, equilibria, folds and critical keep probability.

    Raises:
        ValueError: if the process has schedules.

    >>> from neurogames import PublicGoodsGame, logit
    >>> game = PublicGoodsGame(20, cost=0.4, multiplier=1.0)
    >>> [(round(e.share, 4), e.stable) for e in mean_field(game, Process(logit(0.08))).equilibria()]
    [(0.0073, True), (0.3507, False), (0.9994, True)]
    >>> round(mean_field(game, Process(logit(0.08), masked="blind")).critical_keep_prob(), 4)
    0.6811

    Reference: gradient-dropout game, arXiv 2507.19143; W. Sandholm, Population Games and Evolutionary Dynamics (2010),
    chapter 10 for the limit.
    """
    check_played(game, process)
    if not process.constant:
        raise invalid_argument("process", "a process with schedules", "constant parameters for a mean field")
    return MeanField(game, process)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Root of a function between two arguments at which its signs differ, to rounding."""
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=1e-15, rtol=4 * np.finfo(float).eps, maxiter=500))
