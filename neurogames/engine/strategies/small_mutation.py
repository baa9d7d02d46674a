"""The limit of rare mutations: a population is nearly always of one strategy, and moves when a mutant takes over.

Under a rule that copies, a single mutant of j among users of i either takes over, with probability phi_ij, or is lost
before the next mutant comes. What remains is a chain over the n strategies with rates q_ij phi_ij, q being how often
mutants of j arise among users of i. Selection makes phi smaller than any float, so that all is in logarithms.

Reference: D. Fudenberg and L. Imhof, Imitation processes with small mutations, Journal of Economic Theory 131 (2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.engine.display.laws import plot_invasions
from neurogames.engine.display.tables import dataset, shares_in_words, tidy
from neurogames.engine.population import rounds
from neurogames.engine.population.fixation import log_fixation_on_line
from neurogames.engine.process import Process
from neurogames.engine.strategies.switching import check_strategies, log_switching, mutation_matrix, payoff_spread
from neurogames.games.population import PopulationGame


@dataclass(frozen=True, eq=False)
class SmallMutationLimit:
    """The chain over populations of one strategy.

    Attributes:
        log_probability: (n,) log stationary probability of each strategy; NaN where there is no unique law.
        log_fixation: (n, n) log probability that a single mutant of the column takes over users of the row; -inf where
            it cannot, and on the diagonal.
        residual: the greatest relative error of the fixation probabilities, against an independent product, and of what
            leaves and enters each strategy.
        status: "ok", or why there is no unique law.
        n_players: N.
        labels: n names of the strategies.
    """

    log_probability: NDArray[np.float64]
    log_fixation: NDArray[np.float64]
    residual: float
    status: str
    n_players: int
    labels: tuple[str, ...]

    @property
    def probability(self) -> NDArray[np.float64]:
        """(n,) stationary probabilities."""
        return np.asarray(np.exp(self.log_probability))

    @property
    def favoured(self) -> NDArray[np.bool_]:
        """(n, n) whether a mutant of the column does better among users of the row than the 1/N of a neutral one."""
        return np.asarray(self.log_fixation > -np.log(self.n_players) + 1e-12)

    def plot(self, axis: Any = None) -> Any:
        """Draw the invasion diagram: arrows lead from residents to the mutants that selection favours.

        An arrow bears N phi, the fixation probability over that of a neutral mutant; a node bears its stationary
        probability; a dashed line joins strategies that are neutral to each other.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.
        """
        return plot_invasions(axis, self.labels, self.probability, self.log_fixation, self.n_players)

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of the law of strategies, and of fixation by resident and mutant."""
        names = list(self.labels)
        found = {
            "log_probability": (("strategy",), self.log_probability),
            "log_fixation": (("resident", "mutant"), self.log_fixation),
        }
        return dataset(found, {"strategy": names, "resident": names, "mutant": names})

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each resident and mutant."""
        pairs = self.to_xarray()[["log_fixation"]].assign(favoured=(("resident", "mutant"), self.favoured))
        return tidy(pairs)

    def __repr__(self) -> str:
        found = shares_in_words(self.labels, self.probability)
        return f"SmallMutationLimit({found}; {self.n_players} players; residual {self.residual:.2g}; {self.status})"


def small_mutation_limit(game: PopulationGame, process: Process) -> SmallMutationLimit:
    """Stationary law over the strategies as mutations become rare.

    Args:
        game: the game, with any number of strategies; only populations of two strategies are looked at.
        process: a rule that copies (imitation, replicator, moran, death_birth), one at a time. A mutation matrix gives
            the proportions in which mutants arise, its off-diagonal entries; a rate has no influence.

    Returns:
        The law, with the fixation probabilities it is made of.

    Raises:
        ValueError: if the rule does not copy, all revise at once, or the process does not fit the game.

    >>> from neurogames.engine import imitation
    >>> game = PopulationGame.from_matrix([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], 50)
    >>> small_mutation_limit(game, Process(imitation(1.0))).probability.round(6)
    array([0.333333, 0.333333, 0.333333])

    Reference: D. Fudenberg and L. Imhof, Imitation processes with small mutations, Journal of Economic Theory 131
    (2006), theorem 2.
    """
    check_strategies(game, process)
    if not process.choice.copies or process.revision != "one":
        raise invalid_argument("process", process, "a rule that copies, such as imitation(1.0), with revision 'one'")
    n, players = game.n_strategies, game.n_players
    rare = mutation_matrix(process, n) if isinstance(process.mutation, tuple) else np.ones((n, n))
    pure = Process(process.choice, "one", process.keep_prob, process.masked)
    log_fixation = np.full((n, n), -np.inf)
    residual = 0.0
    mutants = np.arange(players + 1)
    spread = payoff_spread(game, process)
    with np.errstate(divide="ignore"):
        log_picked = np.log(mutants / players)
        log_rare = np.log(rare)
    for i in range(n):
        for j in range(i + 1, n):
            pair = PopulationGame(partial(_pair_payoffs, game=game, pair=[i, j]), 2, players)
            log_rule = log_switching(pair, pure, np.stack([players - mutants, mutants], axis=-1), spread)
            up = (log_picked[::-1] + log_rule[:, 0, 1])[1:-1]
            down = (log_picked + log_rule[:, 1, 0])[1:-1]
            for resident, mutant, rise, fall in ((i, j, up, down), (j, i, down[::-1], up[::-1])):
                log_fixation[resident, mutant], error = log_fixation_on_line(rise, fall)
                residual = max(residual, error)
    log_rate = log_rare + log_fixation
    np.fill_diagonal(log_rate, -np.inf)
    classes = rounds.closed_classes(np.where(np.eye(n, dtype=bool), 0.0, log_rate))
    log_law = np.full(n, np.nan)
    if len(classes) > 1:
        names = ", ".join("/".join(game.labels[k] for k in group) for group in classes[:5])
        status = f"not unique: {len(classes)} sets of strategies are never left ({names})"
        return SmallMutationLimit(log_law, log_fixation, residual, status, players, game.labels)
    inside = classes[0]
    log_law[:] = -np.inf
    log_law[inside], error = rounds.stationary(log_rate[np.ix_(inside, inside)])
    return SmallMutationLimit(log_law, log_fixation, max(residual, error), "ok", players, game.labels)


def _pair_payoffs(others: NDArray[np.float64], *, game: PopulationGame, pair: list[int]) -> NDArray[np.float64]:
    """The game among users of two strategies."""
    every = np.zeros((*others.shape[:-1], game.n_strategies))
    every[..., pair] = others
    return game.payoffs(every)[..., pair]
