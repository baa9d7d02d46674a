"""Games of a population in which everybody has the same n strategies.

N players each use one of n strategies. What a strategy pays depends on what the OTHERS do, of whom there are N - 1:
``payoffs(others)`` takes their composition, how many of them use each strategy, and gives the payoff of every strategy.
In a large population only shares matter, and ``limit_payoffs(share)`` takes their place.

Three kinds are made here: a two-player game played with a random other player (:meth:`PopulationGame.from_matrix`), a
game played in random groups (:meth:`PopulationGame.from_groups`), and any function of the composition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurogames._arguments import finite_array, fits_in_memory, integer, invalid_argument
from neurogames.games.base import TwoActionGame
from neurogames.games.compositions import compositions, n_compositions
from neurogames.games.normal_form import NormalFormGame, check_game

Payoffs = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_MOST_COMPOSITIONS = 2**22


@dataclass(frozen=True, eq=False)
class PopulationGame:
    """A game of N >= 2 players who all have the same n >= 2 strategies.

    Args:
        function: takes (..., n) numbers of the OTHERS who use each strategy, which sum to N - 1, and returns
            (..., n) what each strategy pays beside them. Numbers are whole, but in a mean field.
        n_strategies: n.
        n_players: N.
        labels: n names of the strategies; numbers from 1 on when left out.
        matrix: (n, n) payoffs of a strategy (row) against another player's (column), as ``from_matrix`` sets it.
        limit_function: takes (..., n) shares of a large population and returns payoffs; when left out the function is
            asked at shares times N - 1.

    Raises:
        ValueError: if a number is out of range, or the function answers in another shape or with what is not finite.

    >>> snowdrift = PopulationGame(lambda others: np.stack([others[..., 1], 2 + 0 * others[..., 0]], -1), 2, 5)
    >>> snowdrift.payoffs([1, 3])
    array([3., 2.])
    """

    function: Payoffs
    n_strategies: int
    n_players: int
    labels: tuple[str, ...] = ()
    matrix: NDArray[np.float64] | None = None
    limit_function: Payoffs | None = None

    def __post_init__(self) -> None:
        n = integer("n_strategies", self.n_strategies, minimum=2)
        fits_in_memory("n_strategies", n, n * n)
        players = integer("n_players", self.n_players, minimum=2)
        if not callable(self.function):
            raise invalid_argument("function", self.function, "a function of (..., n_strategies) numbers of others")
        labels = tuple(self.labels) or tuple(str(k + 1) for k in range(n))
        if len(labels) != n:
            raise invalid_argument("labels", f"{len(labels)} names", f"{n}, one for each strategy")
        for name, value in (("n_strategies", n), ("n_players", players), ("labels", labels)):
            object.__setattr__(self, name, value)
        self.payoffs((players - 1) * np.eye(n))

    @classmethod
    def from_matrix(cls, matrix: ArrayLike, n_players: int, labels: tuple[str, ...] = ()) -> PopulationGame:
        """Everybody plays a symmetric two-player game with every other player; payoffs are averages.

        With C_j of the N - 1 others using strategy j, strategy i pays sum_j A_ij C_j / (N - 1).

        Args:
            matrix: A, (n, n) what the strategy of the row pays against that of the column.
            n_players: N >= 2.
            labels: n names of the strategies.

        Returns:
            The game.

        Raises:
            ValueError: if the matrix is not square or not finite.

        >>> PopulationGame.from_matrix([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], 9).payoffs([4, 4, 0])
        array([-0.5,  0.5,  0. ])
        """
        array = finite_array("matrix", matrix, ndim=2)
        if array.shape[0] != array.shape[1] or len(array) < 2:
            raise invalid_argument("matrix", f"shape {array.shape}", "a square matrix, a row for each strategy")
        players = integer("n_players", n_players, minimum=2)
        mean = partial(_mean_payoffs, matrix=array, others=players - 1)
        return cls(mean, len(array), players, labels, array, partial(_mean_payoffs, matrix=array, others=1))

    @classmethod
    def from_normal_form(cls, game: NormalFormGame, n_players: int) -> PopulationGame:
        """Everybody plays a symmetric two-player game in normal form; as :meth:`from_matrix`, labels kept.

        Args:
            game: two players, payoffs[1] the transpose of payoffs[0].
            n_players: N >= 2.

        Returns:
            The game.

        Raises:
            ValueError: if the game is not symmetric.

        >>> PopulationGame.from_normal_form(NormalFormGame.symmetric([[1, 0], [2, 1]]), 3).labels
        ('1', '2')
        """
        check_game(game, 2)
        if not np.array_equal(game.payoffs[0], game.payoffs[1].T):
            raise invalid_argument("game", "payoffs that differ between the players", "payoffs[1] = payoffs[0].T")
        return cls.from_matrix(game.payoffs[0], n_players, game.labels.actions[0])

    @classmethod
    def from_two_actions(cls, game: TwoActionGame, labels: tuple[str, ...] = ("rests", "acts")) -> PopulationGame:
        """A symmetric game of two actions as one of two strategies, so that all rules and mutation can be used.

        Args:
            game: the game, such as a ``PublicGoodsGame``.
            labels: names of resting and of acting.

        Returns:
            The game: beside k others who act, resting pays baseline[k] and acting pays gain[k] on top of it.

        Raises:
            ValueError: if it is no such game.

        >>> from neurogames.games.symmetric import SymmetricGame
        >>> PopulationGame.from_two_actions(SymmetricGame([-1.0, 2.0])).payoffs([[1, 0], [0, 1]])
        array([[ 0., -1.],
               [ 0.,  2.]])
        """
        if not (hasattr(game, "gain") and hasattr(game, "baseline")):
            raise invalid_argument("game", game, "a symmetric two-action game, such as a PublicGoodsGame")
        limit = partial(_limit_two_payoffs, game=game)
        return cls(partial(_two_payoffs, game=game), 2, game.n_players, labels, limit_function=limit)

    @classmethod
    def from_groups(
        cls, payoff: Payoffs, group_size: int, n_strategies: int, n_players: int, labels: tuple[str, ...] = ()
    ) -> PopulationGame:
        """Everybody plays in groups of d drawn at random from the population; payoffs are averages over the groups.

        A strategy i pays sum_c H(c) payoff_i(c + e_i): the d - 1 co-players have the composition c with probability
        H(c), hypergeometric in a finite population and multinomial in a large one.

        Args:
            payoff: takes (K, n) compositions of whole groups, each with the sum d, and returns (K, n) what every
                strategy gets in that group; entries of strategies that are absent are not used.
            group_size: d, from 2 to N.
            n_strategies: n.
            n_players: N.
            labels: n names of the strategies.

        Returns:
            The game.

        Raises:
            ValueError: if a size is out of range, there are more than 2^22 groups, or a payoff is not finite.

        >>> def public_good(group):  # contributors pay 1, which is multiplied by 3 and shared
        ...     share = 3 * group[:, 0] / group.sum(axis=1)
        ...     return np.stack([share - 1, share], axis=1)
        >>> game = PopulationGame.from_groups(public_good, 4, 2, 10, ("contributes", "does not"))
        >>> game.payoffs([3, 6])
        array([0.5 , 0.75])

        Reference: C. Hauert, F. Michor, M. Nowak and M. Doebeli, Synergy and discounting of cooperation in social
        dilemmas, Journal of Theoretical Biology 239 (2006), for the averages over random groups.
        """
        n = integer("n_strategies", n_strategies, minimum=2)
        players = integer("n_players", n_players, minimum=2)
        fits_in_memory("n_players", players, players)
        size = integer("group_size", group_size, minimum=2, maximum=players)
        if n_compositions(size - 1, n) > _MOST_COMPOSITIONS:
            got = f"{n_compositions(size - 1, n)} compositions of {size - 1} co-players"
            raise invalid_argument("group_size", got, f"at most {_MOST_COMPOSITIONS}")
        mates = compositions(size - 1, n)
        table = np.empty(mates.shape)
        for i in range(n):
            answer = np.asarray(payoff(mates + np.eye(n, dtype=np.int64)[i]), dtype=np.float64)
            if answer.shape != mates.shape or not np.isfinite(answer[:, i]).all():
                raise invalid_argument("payoff", f"shape {answer.shape}", f"finite payoffs of shape {mates.shape}")
            table[:, i] = answer[:, i]
        drawn = partial(_group_payoffs, mates=mates, table=table)
        limit = partial(_limit_group_payoffs, mates=mates, table=table)
        return cls(drawn, n, players, labels, limit_function=limit)

    def __repr__(self) -> str:
        names = ", ".join(self.labels[:6]) + ", ..." * (self.n_strategies > 6)
        return f"PopulationGame({self.n_players} players, {self.n_strategies} strategies: {names})"

    def payoffs(self, others: ArrayLike) -> NDArray[np.float64]:
        """What every strategy pays beside others.

        Args:
            others: (..., n) how many of the N - 1 others use each strategy.

        Returns:
            (..., n) payoffs.

        Raises:
            ValueError: if the shape is another, or the game's function answers what is not finite.
        """
        return self._ask(self.function, "others", others)

    def limit_payoffs(self, share: ArrayLike) -> NDArray[np.float64]:
        """What every strategy pays in a large population.

        Args:
            share: (..., n) share of the population with each strategy. A game given by a function of counts is asked at
                share * (N - 1).

        Returns:
            (..., n) payoffs.

        Raises:
            ValueError: if the shape is another, or the game's function answers what is not finite.
        """
        if self.limit_function is not None:
            return self._ask(self.limit_function, "share", share)
        return self._ask(self.function, "share", np.asarray(share, dtype=np.float64) * (self.n_players - 1))

    def payoff_range(self) -> tuple[float, float]:
        """Least and greatest payoff beside any composition of the others.

        Raises:
            ValueError: if a game that is given by a function has more than 2^22 compositions.
        """
        if self.matrix is not None:
            return float(self.matrix.min()), float(self.matrix.max())
        size = n_compositions(self.n_players - 1, self.n_strategies)
        if size > _MOST_COMPOSITIONS:
            expected = f"at most {_MOST_COMPOSITIONS}, or a game made by from_matrix"
            raise invalid_argument("game", f"{size} compositions of the others", expected)
        every = self.payoffs(compositions(self.n_players - 1, self.n_strategies))
        return float(every.min()), float(every.max())

    def _ask(self, function: Payoffs, name: str, argument: ArrayLike) -> NDArray[np.float64]:
        given = np.array(argument, dtype=np.float64)
        if given.ndim == 0 or given.shape[-1] != self.n_strategies:
            raise invalid_argument(name, f"shape {given.shape}", f"shape (..., {self.n_strategies})")
        answer = np.asarray(function(given), dtype=np.float64)
        if answer.shape != given.shape or not np.isfinite(answer).all():
            got = f"a function whose answer has shape {answer.shape}" if answer.shape != given.shape else "inf or NaN"
            raise invalid_argument("function", got, f"finite payoffs of shape {given.shape}")
        return answer


def _two_payoffs(others: NDArray[np.float64], *, game: TwoActionGame) -> NDArray[np.float64]:
    """What resting and acting pay; linear between whole numbers of others."""
    rests, more = (np.interp(others[..., 1], np.arange(game.n_players), each) for each in (game.baseline, game.gain))
    return np.stack([rests, rests + more], axis=-1)


def _limit_two_payoffs(share: NDArray[np.float64], *, game: TwoActionGame) -> NDArray[np.float64]:
    rests = np.interp(share[..., 1], np.linspace(0.0, 1.0, game.n_players), game.baseline)
    return np.stack([rests, rests + game.limit_gain(share[..., 1])], axis=-1)


def _mean_payoffs(counts: NDArray[np.float64], *, matrix: NDArray[np.float64], others: int) -> NDArray[np.float64]:
    return np.asarray(counts @ matrix.T / others)


def _group_payoffs(
    others: NDArray[np.float64], *, mates: NDArray[np.int64], table: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean payoffs over co-players drawn without replacement."""
    counts = np.round(others).astype(np.int64)[..., None, :]
    left = counts - mates
    log_factorial = _log_factorials(int(counts.max()))
    ways = log_factorial[counts] - log_factorial[np.minimum(mates, counts)] - log_factorial[np.maximum(left, 0)]
    log_weight = np.where((left >= 0).all(axis=-1), ways.sum(axis=-1), -np.inf)
    return _weighted(log_weight, table)


def _limit_group_payoffs(
    share: NDArray[np.float64], *, mates: NDArray[np.int64], table: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean payoffs over co-players drawn from a large population."""
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.where(mates > 0, mates * np.log(share)[..., None, :], 0.0)
    log_weight = (drawn - _log_factorials(int(mates.max()))[mates]).sum(axis=-1)
    return _weighted(log_weight, table)


def _log_factorials(most: int) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most + 1)))])


def _weighted(log_weight: NDArray[np.float64], table: NDArray[np.float64]) -> NDArray[np.float64]:
    weight = np.exp(log_weight - log_weight.max(axis=-1, keepdims=True))
    return np.asarray(weight @ table / weight.sum(axis=-1, keepdims=True))
