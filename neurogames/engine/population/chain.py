"""The second view: the exact chain of the number C = 0..N of actors in a finite population.

Revising one at a time it is a birth-death chain, and every quantity costs one pass over its N+1 states, for N up to
10^6. Revising all at once it is a dense chain, for N up to a couple of thousand. Both are solved without subtractions
and in numbers of unlimited range: an escape of 10^100 sweeps has as many correct digits as one of 10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import integer, invalid_argument
from neurogames.engine.population import birth_death, rounds, wide
from neurogames.engine.process import Process, Switching, check_played, switching
from neurogames.engine.solution import CountDistribution, EscapeTime
from neurogames.games.base import TwoActionGame


def population_chain(game: TwoActionGame, process: Process) -> PopulationChain:
    """Exact chain of a process in a finite population.

    Args:
        game: the game.
        process: the process; with schedules in it, only ``transient`` can be asked.

    Returns:
        The chain.

    >>> from neurogames import PublicGoodsGame, logit
    >>> chain = population_chain(PublicGoodsGame(20, 0.4, 1.0), Process(logit(0.08)))
    >>> round(chain.escape_time(0, 14).sweeps)
    729
    >>> float(chain.stationary().mean_share().round(3))
    0.999
    """
    check_played(game, process)
    return PopulationChain(game, process)


@dataclass(frozen=True, eq=False)
class PopulationChain:
    """The chain of the number of actors; see :func:`population_chain`.

    Attributes:
        game: the game.
        process: how players revise.
    """

    game: TwoActionGame
    process: Process

    def stationary(self) -> CountDistribution:
        """Stationary law: the share of time spent at each count in the long run.

        With ``logit`` at keep_prob 1, one at a time, it is Gibbs': binom(N, C) exp(Phi(C) / tau), normalised.

        Returns:
            The law. Where several sets of counts are never left, no law is singled out: the status then names them
            and the probabilities are NaN.

        Raises:
            ValueError: if the process has schedules.
        """
        self._need_constant("a stationary law")
        n = self.game.n_players
        if self.process.revision == "one":
            moves = birth_death.line(self._rates())
            intervals = birth_death.closed_classes(moves)
            classes = [np.arange(first, last + 1) for first, last in intervals]
        else:
            matrix = rounds.log_matrix(self._rates())
            classes = rounds.closed_classes(matrix)
        if len(classes) > 1:
            names = ", ".join(str(c[0]) if c.size == 1 else f"{c[0]}..{c[-1]}" for c in classes[:5])
            status = f"not unique: {len(classes)} sets of counts are never left ({names}{', ...' * (len(classes) > 5)})"
            return CountDistribution(np.full(n + 1, np.nan), float("nan"), status)
        inside = classes[0]
        if self.process.revision == "one":
            log_law, residual = birth_death.stationary(
                moves.log_up[inside[0] : inside[-1]], moves.log_down[inside[0] : inside[-1]]
            )
        else:
            log_law, residual = rounds.stationary(matrix[np.ix_(inside, inside)])
        everywhere = np.full(n + 1, -np.inf)
        everywhere[inside] = log_law
        return CountDistribution(everywhere, float(residual))

    def escape_time(self, start: int, target: int) -> EscapeTime:
        """Expected time from ``start`` actors to the first count >= target (<= target when target < start).

        Args:
            start: number of actors at time 0.
            target: number of actors to be reached or passed.

        Returns:
            The time in sweeps: single revisions over N, or rounds. It is inf when the target may never be reached.

        Raises:
            ValueError: if a count is out of range or the process has schedules.

        Reference: N. van Kampen, Stochastic Processes in Physics and Chemistry, chapter XII.2 (one-step processes).
        """
        self._need_constant("an escape time")
        n = self.game.n_players
        start, target = integer("start", start, minimum=0, maximum=n), integer("target", target, minimum=0, maximum=n)
        if start == target:
            return EscapeTime(-np.inf, 0.0)
        rates = self._rates()
        if self.process.revision == "one":
            up, down = birth_death.line(rates)
            if target < start:
                up, down, start, target = down[::-1], up[::-1], n - start, n - target
            log_steps, log_twin = birth_death.climb(up, down, start, target)
            with np.errstate(over="ignore"):
                residual = 0.0 if np.isinf(log_steps) and log_steps == log_twin else abs(np.expm1(log_twin - log_steps))
            return EscapeTime(float(log_steps - np.log(n)), float(residual))
        counts = np.arange(n + 1)
        goal = counts >= target if target > start else counts <= target
        return EscapeTime(*rounds.passage(rounds.log_matrix(rates), start, goal))

    def transient(self, start: int, sweeps: int | Sequence[int] | NDArray[np.integer]) -> CountDistribution:
        """Exact law after some sweeps, following schedules.

        Sweep s = 0, 1, ... of S is played at progress s / S, as in a simulation of S sweeps.

        Args:
            start: number of actors at time 0.
            sweeps: when to look: S, or an increasing sequence whose last entry is S.

        Returns:
            The law, with log_probability (N+1,), or (T, N+1) for a sequence.

        Raises:
            ValueError: if a count, the times or a schedule are out of range.
        """
        n = self.game.n_players
        start = integer("start", start, minimum=0, maximum=n)
        several = isinstance(sweeps, Sequence | np.ndarray)
        times = [integer("sweeps", time, minimum=0) for time in np.atleast_1d(sweeps)]
        if not times or (np.diff(times) <= 0).any():
            raise invalid_argument("sweeps", sweeps, "a whole number or an increasing sequence of them")
        log_law = np.full(n + 1, -np.inf)
        log_law[start] = 0.0
        seen, now = [], 0
        advance = self._advancing(0.0) if self.process.constant else None
        for time in times:
            if advance is not None:
                log_law = advance(log_law, time - now)
            else:
                for sweep in range(now, time):
                    log_law = self._advancing(sweep / times[-1])(log_law, 1)
            now = time
            seen.append(log_law)
        laws = np.stack(seen)
        residual = float(np.abs(np.expm1(np.logaddexp.reduce(laws, axis=-1))).max())
        return CountDistribution(laws if several else laws[0], residual)

    def transition_matrix(self) -> NDArray[np.float64]:
        """(N+1, N+1) probabilities of one revision, or of one round, dense; rows are where one comes from.

        Raises:
            ValueError: if the process has schedules.
        """
        self._need_constant("a transition matrix")
        rates = self._rates()
        if self.process.revision == "all":
            return np.asarray(np.exp(rounds.log_matrix(rates)))
        up, down = birth_death.line(rates)
        stay = birth_death.log_stay(rates)
        return np.asarray(np.diag(np.exp(up), 1) + np.diag(np.exp(down), -1) + np.diag(np.exp(stay)))

    def _advancing(self, progress: float) -> Callable[[NDArray[np.float64], int], NDArray[np.float64]]:
        """Prepare the chain at one progress: a function of a log law and of how many sweeps to move it on."""
        rates = self._rates(progress)
        if self.process.revision == "all":
            matrix = wide.from_log(rounds.log_matrix(rates))
            return lambda log_law, sweeps: rounds.advance(log_law, matrix, sweeps)
        up, down = (wide.from_log(moves) for moves in birth_death.line(rates))
        stay = wide.from_log(birth_death.log_stay(rates))

        def revise(log_law: NDArray[np.float64], sweeps: int) -> NDArray[np.float64]:
            law = wide.from_log(log_law)
            birth_death.advance(up, down, stay, law, sweeps * self.game.n_players)
            return wide.to_log(law)

        return revise

    def _rates(self, progress: float = 0.0) -> Switching:
        """Switching probabilities, or an error of those whose products are beyond all numbers."""
        rates = switching(self.game, self.process, progress=progress)
        logs = np.concatenate([rates.log_on, rates.log_off])
        least = float(logs[logs > -np.inf].min(initial=0.0))
        most = wide.LEAST_LOG / (self.game.n_players + 1)
        if least < most:
            raise invalid_argument(
                "process", f"a log probability of {least:g}", f"none below {most:g} but -inf, as of best_response()"
            )
        return rates

    def _need_constant(self, what: str) -> None:
        if not self.process.constant:
            raise invalid_argument(
                "process", "a process with schedules", f"constant parameters for {what}; transient follows schedules"
            )
