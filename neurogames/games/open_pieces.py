"""Pieces from which open games are put together: a player, a piece in which nobody chooses, and the identity.

What an open game is, and how two of them compose, stands in ``open``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from neurogames._arguments import instance, invalid_argument
from neurogames.games.open import MOST_PROFILES, Agent, Context, OpenGame, Profile


def player(name: str, actions: Sequence[Any], observations: Sequence[Any] = ((),)) -> OpenGame:
    """One who observes, then acts, and wants the utility that comes back to be great.

    Args:
        name: of the player. A player who decides at two places is two agents here, one for each.
        actions: what it can do.
        observations: what it can observe; the one observation () when left out.

    Returns:
        The game (X, 1) -> (Y, real numbers). A strategy is a tuple with an action for each observation (they are not
        listed where there are more than 2^20); it is a best response iff its action at the present observation is,
        whatever it says elsewhere. So equilibria are Nash equilibria, threats that are never carried out included.

    Raises:
        ValueError: if there is no action or no observation, or they are no sequences.

    >>> game = player("a", ["left", "right"]).close({"left": 1.0, "right": 2.0}.get)
    >>> game.equilibria()
    [(('right',),)]

    Reference: Compositional game theory, arXiv 1603.04641 (decisions as atomic games).
    """
    instance("name", name, str, "a text")
    for what, given in (("actions", actions), ("observations", observations)):
        if not isinstance(given, Sequence):
            raise invalid_argument(what, given, "a sequence, such as a list")
    if not actions or not observations:
        got = f"{len(actions)} actions, {len(observations)} observations"
        raise invalid_argument("actions, observations", got, "at least one of each")
    places = {x: place for place, x in enumerate(observations)}
    listed = len(actions) ** len(observations) <= MOST_PROFILES
    strategies = tuple(product(actions, repeat=len(observations))) if listed else None

    def play(profile: Profile, x: Any) -> Any:
        return profile[0][places[x]]

    def best_response(x: Any, k: Context, profile: Profile, reply: Profile) -> bool:  # noqa: ARG001
        best = max(k(action) for action in actions)
        return bool(k(play(reply, x)) >= best)

    def received(profile: Profile, x: Any, k: Context) -> Profile:
        return (k(play(profile, x)),)

    return OpenGame((Agent(name, strategies),), play, lambda *_: (), best_response, received)


def function(forward: Callable[[Any], Any], backward: Callable[[Any, Any], Any]) -> OpenGame:
    """A piece in which nobody chooses.

    Args:
        forward: X -> Y.
        backward: X x R -> S, what to hand back to the left after observing x and receiving r.

    Returns:
        The game of one strategy, the empty profile, to which every context agrees.

    Raises:
        ValueError: if one of them is no function.

    >>> double = function(lambda x: 2 * x, lambda _, r: r / 2)
    >>> double.play((), 3), double.coplay((), 3, 5.0)
    (6, 2.5)
    """
    for what, given in (("forward", forward), ("backward", backward)):
        if not callable(given):
            raise invalid_argument(what, given, "a function")
    return OpenGame(
        (),
        lambda profile, x: forward(x),  # noqa: ARG005
        lambda profile, x, r: backward(x, r),  # noqa: ARG005
        lambda *_: True,
        lambda *_: (),
    )


# Hands the observation to the right and the utility to the left as they are: the unit of >>.
identity = function(lambda x: x, lambda x, r: r)  # noqa: ARG005
