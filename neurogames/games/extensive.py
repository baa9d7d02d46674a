"""Games in extensive form: a tree of moves by players and by chance, with information sets.

Nodes are numbered as they are visited from the root, parents before children and children in the order of the actions.
Every node may carry an outcome; what a player gets is the sum of the outcomes along a path. A player cannot tell the
nodes of an information set apart.

A sequence of a player is what it remembers of its own past: pairs (information set, action), none at first. It has
perfect recall iff each of its information sets is reached by one sequence only. Then a behaviour strategy, a law over
the actions at each information set, is as good as any other strategy, and everything a player does is told by the
probabilities with which it plays its sequences [von Stengel 1996].

Reference: H. Kuhn, Extensive games and the problem of information (1953); B. von Stengel, Efficient computation of
behavior strategies, Games and Economic Behavior 14 (1996).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

import numpy as np

from neurogames._arguments import invalid_argument
from neurogames.games.normal_form import Labels, NormalFormGame

CHANCE, TERMINAL = -1, -2
_MOST_CELLS = 2**22
_MOST_MOVES = 200

Own = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class InformationSet:
    """Nodes that their owner cannot tell apart.

    Attributes:
        owner: number of the player; -1 for chance.
        name: its name.
        actions: names of its actions.
        chance: probabilities of the actions where chance moves, empty otherwise.
    """

    owner: int
    name: str
    actions: tuple[str, ...]
    chance: tuple[float, ...] = ()


@dataclass(frozen=True)
class Node:
    """A node of the tree.

    Attributes:
        parent: number of the parent; -1 for the root.
        action: number of the parent's action that leads here; -1 for the root.
        information_set: number of its information set; -1 for a terminal node.
        payoffs: n payoffs of the outcome at this node; zeros without one.
    """

    parent: int
    action: int
    information_set: int
    payoffs: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ExtensiveGame:
    """A finite game in extensive form, as :func:`~neurogames.games.efg.read_efg` makes it.

    Attributes:
        title: name of the game.
        comment: anything one wants to say about it.
        players: n names.
        information_sets: of all players and of chance.
        nodes: the tree, parents before children.
    """

    title: str
    comment: str
    players: tuple[str, ...]
    information_sets: tuple[InformationSet, ...]
    nodes: tuple[Node, ...]

    @property
    def n_players(self) -> int:
        """Number of players n."""
        return len(self.players)

    @cached_property
    def leaves(self) -> tuple[tuple[float, tuple[float, ...], tuple[Own, ...]], ...]:
        """For each terminal node: probability of chance's moves, n payoffs, and the n sequences that lead there."""
        chance, total = [1.0] * len(self.nodes), [(0.0,) * self.n_players] * len(self.nodes)
        found = []
        for k, node in enumerate(self.nodes):
            before = total[node.parent] if node.parent >= 0 else total[k]
            total[k] = tuple(x + y for x, y in zip(before, node.payoffs, strict=True))
            if node.parent >= 0:
                above = self.information_sets[self.nodes[node.parent].information_set]
                chance[k] = chance[node.parent] * (above.chance[node.action] if above.owner == CHANCE else 1.0)
            if node.information_set < 0:
                found.append((chance[k], total[k], self.histories[k]))
        return tuple(found)

    @cached_property
    def histories(self) -> tuple[tuple[Own, ...], ...]:
        """For each node, the n sequences of the players' own moves before it."""
        found: list[tuple[Own, ...]] = []
        for node in self.nodes:
            if node.parent < 0:
                found.append(((),) * self.n_players)
                continue
            above = self.nodes[node.parent].information_set
            owner = self.information_sets[above].owner
            before = found[node.parent]
            moved = (*before[owner], (above, node.action)) if owner >= 0 else ()
            found.append(tuple(moved if i == owner else own for i, own in enumerate(before)))
        return tuple(found)

    @cached_property
    def remembered(self) -> tuple[Own, ...]:
        """For each information set of a player, the one sequence that reaches it; () for chance.

        Raises:
            ValueError: naming an information set whose owner has forgotten something: imperfect recall.
        """
        reached: list[Own | None] = [None] * len(self.information_sets)
        for node, history in zip(self.nodes, self.histories, strict=True):
            if node.information_set < 0:
                continue
            place = self.information_sets[node.information_set]
            own = history[place.owner] if place.owner >= 0 else ()
            known = reached[node.information_set]
            if known is not None and known != own:
                names = f"{self.players[place.owner]!r} at information set {place.name!r} forgets what it did or knew"
                raise invalid_argument("game", f"imperfect recall: {names}", "a game of perfect recall")
            reached[node.information_set] = own
        return tuple(own or () for own in reached)

    def sequences(self, player: int) -> tuple[Own, ...]:
        """All sequences of a player, the empty one first, each after those that it extends.

        Args:
            player: number of the player.

        Returns:
            The sequences.

        Raises:
            ValueError: if the game has imperfect recall.
        """
        found: list[Own] = [()]
        for h, place in enumerate(self.information_sets):
            if place.owner == player:
                found += [(*self.remembered[h], (h, a)) for a in range(len(place.actions))]
        return tuple(sorted(found, key=len))


def reduced_normal_form(game: ExtensiveGame) -> NormalFormGame:
    """Normal form over reduced strategies: plans that differ only where their own earlier moves never lead are one.

    Args:
        game: a game of perfect recall.

    Returns:
        The game. An action's name lists the moves at the player's information sets, * where it does not come.

    Raises:
        ValueError: if the game has imperfect recall, or the normal form more than 2^22 cells.

    >>> from neurogames.games.efg import parse_efg
    >>> entry = '''EFG 2 R "entry" { "new" "old" } p "" 1 1 "" { "out" "in" } 0 t "" 1 "" { 0, 2 }
    ...     p "" 2 1 "" { "fight" "share" } 0 t "" 2 "" { -1, -1 } t "" 3 "" { 1, 1 }'''
    >>> reduced = reduced_normal_form(parse_efg(entry))
    >>> reduced.payoffs[0].tolist(), reduced.labels.actions
    ([[0.0, 0.0], [-1.0, 1.0]], (('out', 'in'), ('fight', 'share')))

    Reference: H. Kuhn, Extensive games and the problem of information (1953); D. Koller and N. Megiddo, Finding mixed
    strategies with small supports in extensive form games, International Journal of Game Theory 25 (1996).
    """
    check_extensive(game)
    below = _reached_by(game)
    if (deep := max((len(own) for _, own in below), default=0)) > _MOST_MOVES:
        raise invalid_argument("game", f"{deep} moves of one player in a row", f"at most {_MOST_MOVES}")
    sizes = [_number_of_plans(game, below, i, ()) for i in range(game.n_players)]
    if prod(sizes) * game.n_players > _MOST_CELLS:
        got = f"{' x '.join(f'{min(size, 10**12):,}' for size in sizes)} reduced strategies or more"
        raise invalid_argument("game", got, f"at most {_MOST_CELLS} payoffs; solve_sequence_form needs no normal form")
    plans = [_plans(game, below, i, ()) for i in range(game.n_players)]
    plays = [[frozenset(plan) for plan in own] for own in plans]
    tensors = [np.zeros(sizes) for _ in range(game.n_players)]
    for chance, payoffs, histories in game.leaves:
        allowed = [
            np.flatnonzero([set(own) <= plan for plan in mine]) for own, mine in zip(histories, plays, strict=True)
        ]
        for tensor, payoff in zip(tensors, payoffs, strict=True):
            tensor[np.ix_(*allowed)] += chance * payoff
    names = tuple(_names(game, i, own) for i, own in enumerate(plans))
    return NormalFormGame(tensors, Labels(game.title, game.comment, game.players, names))


def check_extensive(game: object) -> None:
    """Refuse what is no game in extensive form."""
    if not isinstance(game, ExtensiveGame):
        raise invalid_argument("game", type(game).__name__, "an ExtensiveGame, such as read_efg makes")


def _reached_by(game: ExtensiveGame) -> dict[tuple[int, Own], list[int]]:
    """Information sets of each player that each of its sequences leads to."""
    found: dict[tuple[int, Own], list[int]] = {}
    for h, (place, own) in enumerate(zip(game.information_sets, game.remembered, strict=True)):
        if place.owner >= 0:
            found.setdefault((place.owner, own), []).append(h)
    return found


def _number_of_plans(game: ExtensiveGame, below: dict[tuple[int, Own], list[int]], player: int, own: Own) -> int:
    return prod(
        sum(_number_of_plans(game, below, player, (*own, (h, a))) for a in range(len(game.information_sets[h].actions)))
        for h in below.get((player, own), [])
    )


def _plans(game: ExtensiveGame, below: dict[tuple[int, Own], list[int]], player: int, own: Own) -> list[Own]:
    """Plans for what comes after a sequence: moves at all information sets that the plan itself reaches."""
    options: list[Sequence[Own]] = [
        [
            ((h, a), *rest)
            for a in range(len(game.information_sets[h].actions))
            for rest in _plans(game, below, player, (*own, (h, a)))
        ]
        for h in below.get((player, own), [])
    ]
    return [tuple(move for part in choice for move in part) for choice in product(*options)]


def _names(game: ExtensiveGame, player: int, plans: list[Own]) -> tuple[str, ...]:
    places = [h for h, place in enumerate(game.information_sets) if place.owner == player]
    moves = [dict(plan) for plan in plans]
    return tuple(
        ", ".join(game.information_sets[h].actions[plan[h]] if h in plan else "*" for h in places) or "no move"
        for plan in moves
    )
