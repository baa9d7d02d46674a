"""Open games: pieces of a game with ends that fit together.

An open game (X, S) -> (Y, R) takes an observation x in X from the left and hands a move y in Y to the right; utility r
in R comes in from the right, and s in S goes out to the left. It consists of

    strategies  Sigma
    play        P: Sigma x X -> Y
    coplay      C: Sigma x X x R -> S
    response    B: X x (Y -> R) -> relations on Sigma; B(x, k) holds of (sigma, tau) iff tau is a best response to sigma
                when x is observed and the move y would bring k(y)

One after the other, G >> H has the strategies (s, t) and

    P((s, t), x) = P_H(t, P_G(s, x))        C((s, t), x, r) = C_G(s, x, C_H(t, P_G(s, x), r))
    B holds iff B_G holds at x in the context y -> C_H(t, y, k(P_H(t, y))), and B_H holds at P_G(s, x) in k.

Side by side, G | H pairs everything, and each half sees the other's move as fixed. A profile is one flat tuple with an
entry for each agent, whatever the brackets, so that >> is associative and has the identity as its unit on the nose.

Reference: N. Ghani, J. Hedges, V. Winschel and P. Zahn, Compositional game theory, arXiv 1603.04641 (open games, their
two compositions, decisions); J. Hedges, The game semantics of game theory, arXiv 1902.08666.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.games.normal_form import Labels, NormalFormGame

Profile = tuple[Any, ...]
Context = Callable[[Any], Any]

MOST_PROFILES = 2**20


@dataclass(frozen=True)
class Agent:
    """One who chooses a strategy.

    Attributes:
        name: of the agent.
        strategies: what it may choose, or None where the strategies are not listed.

    >>> from neurogames import player
    >>> player("a", ["left", "right"]).agents
    (Agent(name='a', strategies=(('left',), ('right',))),)
    """

    name: str
    strategies: tuple[Any, ...] | None


@dataclass(frozen=True, eq=False)
class OpenGame:
    """An open game; see the module, and :func:`player` and :func:`function` for the pieces most games are made of.

    Attributes:
        agents: who chooses; a profile has one entry for each.
        play: P(profile, x), the move y.
        coplay: C(profile, x, r), what goes back to the left.
        best_response: B(x, k, profile, reply), whether the reply is a best response to the profile.
        received: (profile, x, k) -> for each agent, the utility that comes to it. A closed game's payoffs.
    """

    agents: tuple[Agent, ...]
    play: Callable[[Profile, Any], Any]
    coplay: Callable[[Profile, Any, Any], Any]
    best_response: Callable[[Any, Context, Profile, Profile], bool]
    received: Callable[[Profile, Any, Context], Profile]

    def __rshift__(self, after: OpenGame) -> OpenGame:
        """Sequential composition: this game first, ``after`` next."""
        n = len(self.agents)

        def play(profile: Profile, x: Any) -> Any:
            return after.play(profile[n:], self.play(profile[:n], x))

        def coplay(profile: Profile, x: Any, r: Any) -> Any:
            return self.coplay(profile[:n], x, after.coplay(profile[n:], self.play(profile[:n], x), r))

        def seen(profile: Profile, k: Context) -> Context:
            """Return what a move of this game brings back through the next one."""
            rest = profile[n:]
            return lambda y: after.coplay(rest, y, k(after.play(rest, y)))

        def best_response(x: Any, k: Context, profile: Profile, reply: Profile) -> bool:
            return self.best_response(x, seen(profile, k), profile[:n], reply[:n]) and after.best_response(
                self.play(profile[:n], x), k, profile[n:], reply[n:]
            )

        def received(profile: Profile, x: Any, k: Context) -> Profile:
            own = self.received(profile[:n], x, seen(profile, k))
            return own + after.received(profile[n:], self.play(profile[:n], x), k)

        return OpenGame(self.agents + after.agents, play, coplay, best_response, received)

    def __or__(self, beside: OpenGame) -> OpenGame:
        """Parallel composition: observations, moves and utilities are pairs."""
        return parallel(self, beside)

    def close(self, context: Context, start: Any = ()) -> ClosedGame:
        """Close both ends: fix the observation, and the utility that each move brings.

        Args:
            context: k: Y -> R.
            start: the observation x in X.

        Returns:
            The closed game.
        """
        return ClosedGame(self, context, start)


def parallel(*games: OpenGame) -> OpenGame:
    """Games side by side: observations, moves and utilities are tuples with one entry for each game.

    Args:
        games: G_1, ..., G_k.

    Returns:
        The game whose B holds iff each B_j holds in the context y_j -> k(y_1, ..., y_k)_j, the other moves fixed.

    >>> from neurogames import player
    >>> both = parallel(player("a", [0, 1]), player("b", [0, 1]))
    >>> match = both.close(lambda moves: (float(moves[0] == moves[1]),) * 2, start=((), ()))
    >>> match.equilibria()
    [((0,), (0,)), ((1,), (1,))]

    Reference: Compositional game theory, arXiv 1603.04641 (tensor of two games).
    """
    ends = np.cumsum([0, *(len(game.agents) for game in games)]).tolist()

    def parts(profile: Profile) -> list[Profile]:
        return [profile[a:b] for a, b in pairwise(ends)]

    def play(profile: Profile, x: Any) -> Any:
        return tuple(game.play(s, each) for game, s, each in zip(games, parts(profile), x, strict=True))

    def coplay(profile: Profile, x: Any, r: Any) -> Any:
        halves = zip(games, parts(profile), x, r, strict=True)
        return tuple(game.coplay(s, each, utility) for game, s, each, utility in halves)

    def seen(profile: Profile, x: Any, k: Context) -> Iterator[tuple[OpenGame, Any, Context]]:
        """Yield each game, what it observes, and its context."""
        moves = play(profile, x)
        for j, game in enumerate(games):
            yield game, x[j], partial(_utility_of, j, moves, k)

    def best_response(x: Any, k: Context, profile: Profile, reply: Profile) -> bool:
        halves = zip(seen(profile, x, k), parts(profile), parts(reply), strict=True)
        return all(game.best_response(each, context, s, t) for (game, each, context), s, t in halves)

    def received(profile: Profile, x: Any, k: Context) -> Profile:
        halves = zip(seen(profile, x, k), parts(profile), strict=True)
        return tuple(r for (game, each, context), s in halves for r in game.received(s, each, context))

    return OpenGame(sum((game.agents for game in games), ()), play, coplay, best_response, received)


def _utility_of(j: int, moves: tuple[Any, ...], k: Context, move: Any) -> Any:
    """Utility of game j when it moves otherwise and the rest as they do."""
    return k((*moves[:j], move, *moves[j + 1 :]))[j]


@dataclass(frozen=True, eq=False)
class ClosedGame:
    """An open game with a context: a game of its agents, who can be asked what they would do.

    Attributes:
        game: the open game.
        context: k: Y -> R.
        start: the observation.

    >>> from neurogames import player
    >>> closed = player("a", ["left", "right"]).close({"left": 1.0, "right": 2.0}.get)
    >>> closed.payoffs((("left",),)), closed.is_equilibrium((("left",),)), closed.equilibria()
    ((1.0,), False, [(('right',),)])
    """

    game: OpenGame
    context: Context
    start: Any

    def is_equilibrium(self, profile: Profile) -> bool:
        """Whether the profile is a best response to itself: a fixed point of B(start, context)."""
        return self.game.best_response(self.start, self.context, profile, profile)

    def payoffs(self, profile: Profile) -> Profile:
        """Utility that each agent receives; an agent's regret compares these, so they decide what is an equilibrium."""
        return self.game.received(profile, self.start, self.context)

    def profiles(self) -> Iterator[Profile]:
        """Yield all profiles, the last agent's strategy changing fastest.

        Raises:
            ValueError: if an agent's strategies are not listed, or there are more than 2^20 profiles.
        """
        sets = self._strategies()
        return product(*sets)

    def equilibria(self) -> list[Profile]:
        """All profiles that are best responses to themselves, by trying each.

        Raises:
            ValueError: if the profiles cannot be listed.
        """
        return [profile for profile in self.profiles() if self.is_equilibrium(profile)]

    def to_normal_form(self) -> NormalFormGame:
        """Payoff tensors over the agents' strategies, for the solvers of normal form games.

        Its pure equilibria are the equilibria here if every agent is a :func:`player`: then B compares what an agent
        receives. Strategies are numbered in their order, and named by what they print.

        Raises:
            ValueError: if there is no agent, the profiles cannot be listed, or a utility is no finite number.
        """
        sets = self._strategies()
        if not sets:
            raise invalid_argument("game", "no agent", "at least one agent")
        table = np.array([self.payoffs(profile) for profile in product(*sets)], dtype=np.float64)
        shape = tuple(len(strategies) for strategies in sets)
        tensors: list[NDArray[np.float64]] = [column.reshape(shape) for column in table.T]
        names = tuple(agent.name for agent in self.game.agents)
        return NormalFormGame(tensors, Labels("", "", names, tuple(tuple(map(_name, each)) for each in sets)))

    def _strategies(self) -> list[tuple[Any, ...]]:
        """Each agent's strategies, or an error."""
        sets = [agent.strategies for agent in self.game.agents]
        listed = [strategies for strategies in sets if strategies is not None]
        if len(listed) < len(sets):
            unlisted = [agent.name for agent in self.game.agents if agent.strategies is None]
            raise invalid_argument("game", f"strategies of {unlisted} that are not listed", "finite sets of strategies")
        size = prod(map(len, listed))
        if size > MOST_PROFILES:
            raise invalid_argument("game", f"{size} profiles", f"at most {MOST_PROFILES}")
        return listed


def _name(strategy: Any) -> str:
    """Print a strategy; what a player does at each of its observations is set off by commas."""
    return ", ".join(map(str, strategy)) if isinstance(strategy, tuple) else str(strategy)
