"""What strategies earn against each other when a game is repeated, exactly.

Two automata are a finite Markov chain over the pairs of their states. With the share m(s, t) of all rounds that the
chain spends in a pair, actions a and b meet in a share

    F(a, b) = sum_st m(s, t) x_s(a) y_t(b)

of the rounds, x and y being what is carried out, errors included, and a round pays sum_ab F(a, b) u(a, b) on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array

from neurogames._arguments import finite_array, fits_in_memory, integer, invalid_argument, number
from neurogames.engine.display.tables import dataset, tidy
from neurogames.engine.display.tournaments import plot_tournament
from neurogames.engine.repeated.long_run import discounted_law, first_rounds_law, mean_law
from neurogames.games.normal_form import Labels, NormalFormGame
from neurogames.games.population import PopulationGame
from neurogames.games.repeated import RepeatedStrategy

Array = NDArray[np.float64]

_MOST_STATES = 3000
_MOST_ROUNDS = 10**6


@dataclass(frozen=True, eq=False)
class RepeatedPlay:
    """What k strategies do and earn against each other.

    Attributes:
        payoffs: (k, k) mean payoff of a round of the strategy of the row against that of the column.
        frequency: (k, k, A, A) share of the rounds with each pair of actions.
        labels: k names.
        residual: the greatest error left in the balance of what enters and leaves a pair of states.
    """

    payoffs: Array
    frequency: Array
    labels: tuple[str, ...]
    residual: float

    @property
    def scores(self) -> Array:
        """(k,) mean payoff over all opponents, the strategy itself among them: a round-robin tournament."""
        return np.asarray(self.payoffs.mean(axis=1))

    @property
    def cooperation(self) -> Array:
        """(k, k) share of the rounds in which the strategy of the row plays action 0."""
        return np.asarray(self.frequency[:, :, 0].sum(axis=-1))

    def game(self) -> NormalFormGame:
        """The game of choosing a strategy, for two players."""
        names = self.labels
        players = ("1", "2")
        return NormalFormGame((self.payoffs, self.payoffs.T), Labels("repeated game", "", players, (names, names)))

    def population(self, n_players: int) -> PopulationGame:
        """The game of choosing a strategy in a population where everybody meets everybody.

        Args:
            n_players: N >= 2.

        Raises:
            ValueError: if there is one strategy only, or the number is out of range.
        """
        return PopulationGame.from_matrix(self.payoffs, n_players, self.labels)

    def plot(self, axis: Any = None) -> Any:
        """Draw the payoffs as a matrix, the strategy with the highest score first.

        Args:
            axis: where to draw; a new figure for None.

        Returns:
            The matplotlib ``Axes``.
        """
        return plot_tournament(axis, self.payoffs, self.scores, self.labels, "strategy and its score")

    def to_xarray(self) -> Any:
        """An ``xarray.Dataset`` of payoffs and frequencies by strategy and opponent, and of scores by strategy."""
        pair = ("strategy", "opponent")
        found = {
            "payoff": (pair, self.payoffs),
            "cooperation": (pair, self.cooperation),
            "frequency": ((*pair, "action", "opponent_action"), self.frequency),
            "score": (("strategy",), self.scores),
        }
        return dataset(found, {"strategy": list(self.labels), "opponent": list(self.labels)})

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each strategy and opponent: payoff, and share of action 0."""
        return tidy(self.to_xarray()[["payoff", "cooperation"]])

    def __repr__(self) -> str:
        best = int(self.scores.argmax())
        return f"RepeatedPlay({len(self.labels)} strategies, best score {self.scores[best]:.4g}: {self.labels[best]!r})"


def repeated_play(
    stage: ArrayLike,
    strategies: Sequence[RepeatedStrategy],
    *,
    discount: float = 1.0,
    rounds: int | None = None,
    error: float = 0.0,
    misperception: float = 0.0,
) -> RepeatedPlay:
    """Let every strategy play a repeated symmetric game against every strategy, and work out the means exactly.

    Args:
        stage: u, (A, A) payoffs of a round, own action (row) against the other's action (column).
        strategies: k of them.
        discount: weight of a round relative to the one before, in [0, 1]; 1 for the limit of time averages.
        rounds: number of rounds, at most 10^6; None for a game without end. Not together with a discount < 1.
        error: probability in [0, 1] that another action is carried out than was meant, each alike. Both players see it.
        misperception: probability in [0, 1] that a player sees another action of the other, each alike.

    Returns:
        Mean payoffs of a round, which are a matrix game, and the frequencies of actions they come from.

    Raises:
        ValueError: if an argument is out of range, or two strategies together reach more than 3000 pairs of states in
            a game without end.

    >>> from neurogames import classic_strategy
    >>> players = [classic_strategy(name) for name in ("tit for tat", "win stay lose shift", "all defect")]
    >>> play = repeated_play([[3, 0], [5, 1]], players, error=1e-9)
    >>> play.payoffs.round(6)
    array([[2.25, 2.25, 1.  ],
           [2.25, 3.  , 0.5 ],
           [1.  , 3.  , 1.  ]])
    >>> play
    RepeatedPlay(3 strategies, best score 1.917: 'win stay lose shift')

    Reference: M. Nowak, K. Sigmund and E. El-Sedy, Automata, repeated games and noise, Journal of Mathematical Biology
    33 (1995).
    """
    table = finite_array("stage", stage, ndim=2)
    actions = len(table)
    if table.shape != (actions, actions) or actions < 2:
        raise invalid_argument("stage", f"shape {table.shape}", "a square matrix of payoffs of 2 or more actions")
    players = _checked(strategies, actions)
    discount = number("discount", discount, "a weight in [0, 1]", lambda value: 0 <= value <= 1)
    if rounds is not None:
        rounds = integer("rounds", rounds, minimum=1, maximum=_MOST_ROUNDS)
        if discount < 1.0:
            raise invalid_argument("rounds", rounds, "None where there is a discount")
    share = "a probability in [0, 1]"
    error = number("error", error, share, lambda value: 0 <= value <= 1)
    misperception = number("misperception", misperception, share, lambda value: 0 <= value <= 1)
    frequency = np.empty((len(players), len(players), actions, actions))
    worst = 0.0
    for i, first in enumerate(players):
        for j, second in enumerate(players[: i + 1]):
            law, residual = _frequency(first, second, discount, rounds, error, misperception)
            frequency[j, i], frequency[i, j] = law.T, law
            worst = max(worst, residual)
    payoffs = np.einsum("ijab,ab->ij", frequency, table)
    return RepeatedPlay(payoffs, frequency, tuple(each.label for each in players), worst)


def _checked(strategies: object, actions: int) -> tuple[RepeatedStrategy, ...]:
    """The strategies, or the refusal of what is none or plays another game."""
    expected = "strategies such as classic_strategy('tit for tat')"
    if not isinstance(strategies, Sequence) or isinstance(strategies, str) or not strategies:
        raise invalid_argument("strategies", strategies, expected)
    for each in strategies:
        if not isinstance(each, RepeatedStrategy):
            raise invalid_argument("strategies", each, expected)
        if each.n_actions != actions:
            raise invalid_argument("strategies", each, f"{actions} actions, as the stage has")
    return tuple(strategies)


def _frequency(
    first: RepeatedStrategy,
    second: RepeatedStrategy,
    discount: float,
    rounds: int | None,
    error: float,
    misperception: float,
) -> tuple[Array, float]:
    """(A, A) share of the rounds with each pair of actions, and the error left in the balance."""
    slips, sees = _mixed_up(first.n_actions, error), _mixed_up(first.n_actions, misperception)
    x, y = first.play @ slips, second.play @ slips
    chain, pairs = _chain(first, second, x, y, sees)
    if rounds is None and chain.shape[0] > _MOST_STATES:
        got = f"{chain.shape[0]} pairs of states of {first.label!r} and {second.label!r}"
        raise invalid_argument("strategies", got, f"at most {_MOST_STATES}, or a number of rounds")
    start = np.zeros(chain.shape[0])
    start[0] = 1.0
    if rounds is not None:
        law = first_rounds_law(chain, rounds)
        residual = 0.0
    else:
        law = mean_law(chain) if discount == 1.0 else discounted_law(chain, discount)
        residual = float(np.abs(discount * (law @ chain) + (1.0 - discount) * start - law).max())
    s, t = pairs // second.n_states, pairs % second.n_states
    frequency = np.einsum("p,pa,pb->ab", law, x[s], y[t])
    return np.asarray(frequency / frequency.sum()), residual


def _mixed_up(actions: int, chance: float) -> Array:
    """(A, A) probability of each action in the place of another."""
    return np.asarray(np.where(np.eye(actions) > 0, 1.0 - chance, chance / (actions - 1)))


def _chain(
    first: RepeatedStrategy, second: RepeatedStrategy, x: Array, y: Array, sees: Array
) -> tuple[csr_array, NDArray[np.intp]]:
    """Transitions between the pairs of states that are reached, the first pair first, and their numbers."""
    width, actions = second.n_states, len(sees)
    # What is carried out, and what the first sees of b and the second of a, as far as it happens.
    meetings = [each for each in np.ndindex((actions,) * 4) if sees[each[1], each[2]] * sees[each[0], each[3]] > 0]
    fits_in_memory("strategies", [first, second], first.n_states * width)
    number = np.full(first.n_states * width, -1, dtype=np.int64)
    front = np.array([first.start * width + second.start])
    number[front] = 0
    found, source, target, chance = [front], [], [], []
    while front.size:
        s, t = front // width, front % width
        reached = []
        for a, b, seen_b, seen_a in meetings:
            weight = x[s, a] * y[t, b] * (sees[b, seen_b] * sees[a, seen_a])
            kept = weight > 0
            reached.append(first.after[s[kept], a, seen_b] * width + second.after[t[kept], b, seen_a])
            source.append(front[kept])
            chance.append(weight[kept])
        target += reached
        ahead = np.concatenate(reached)
        front = np.unique(ahead[number[ahead] < 0])
        number[front] = sum(map(len, found)) + np.arange(front.size)
        found.append(front)
    pairs = np.concatenate(found)
    edges = number[np.concatenate(source)], number[np.concatenate(target)]
    return csr_array(coo_array((np.concatenate(chance), edges), shape=(pairs.size,) * 2)), pairs
