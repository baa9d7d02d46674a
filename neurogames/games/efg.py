"""Gambit's text format of games in extensive form, read.

A file says ``EFG 2 R``, a quoted title, the quoted names of the players in braces, perhaps a quoted comment, then the
nodes of the tree, each before its children:

- chance: ``c "name" number "name of the set" { "action" probability ... } outcome``,
- a player: ``p "name" player number "name of the set" { "action" ... } outcome``,
- an end: ``t "name" outcome``.

Name and actions of an information set are given where it comes first. An outcome is a number, 0 for none, and where it
comes first a quoted name and the n payoffs in braces.

Reference: Gambit, File formats for game representations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import fsum, lcm
from pathlib import Path

from neurogames.games.extensive import CHANCE, ExtensiveGame, InformationSet, Node
from neurogames.games.gambit_text import Reader, quoted_names, read_text, tokens

_MOST = 10**9
_LONGEST_DENOMINATOR = 2**12
"""Bits."""


@dataclass
class _Tree:
    """What has been read so far."""

    players: int
    nodes: list[Node] = field(default_factory=list)
    information_sets: list[InformationSet] = field(default_factory=list)
    numbers: dict[tuple[int, int], int] = field(default_factory=dict)
    outcomes: dict[int, tuple[float, ...]] = field(default_factory=dict)
    nothing: tuple[float, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Hold what everybody gets without an outcome once, and not at every node."""
        self.nothing = (0.0,) * self.players


def parse_efg(text: str) -> ExtensiveGame:
    """Read a game from text in Gambit's .efg format.

    Args:
        text: the contents of a file.

    Returns:
        The game.

    Raises:
        ValueError: with the number of the line at which the text stops making sense.

    >>> game = parse_efg('EFG 2 R "coin" { "Ann" } c "" 1 "" { "H" 1/2 "T" 1/2 } 0 t "" 1 "" { 1 } t "" 2 "" { 0 }')
    >>> game.players, len(game.nodes), game.leaves[0][:2]
    (('Ann',), 3, (0.5, (1.0,)))
    """
    reader = Reader(tokens(text, "efg"), "efg")
    for word in ("EFG", "2"):
        reader.take("word", f"{word}, since a file starts with EFG 2 R", word)
    if not (reader.at("word", "R") or reader.at("word", "D")):
        raise reader.wrong("R, since a file starts with EFG 2 R")
    reader.place += 1
    title = reader.text("the title in quotes")
    players = quoted_names(reader, "the name of a player in quotes")
    if not players:
        raise reader.wrong("at least one player")
    comment = reader.text("a comment") if reader.at("text") else ""
    tree = _Tree(len(players))
    # Places of the tree that are still to be filled, the next one last: (parent, action).
    waiting = [(-1, -1)]
    while waiting:
        parent, action = waiting.pop()
        number = len(tree.nodes)
        children = _node(reader, tree, parent, action)
        # A node takes three words at least, so that what is declared is bounded by what is there.
        if 3 * (len(waiting) + children) > reader.left:
            reader.place += reader.left
            raise reader.wrong(f"a node: c, p or t, and so {len(waiting) + children} times")
        waiting += [(number, a) for a in reversed(range(children))]
    if not reader.at("end"):
        raise reader.wrong("nothing after the last node of the tree")
    return ExtensiveGame(title, comment, tuple(players), tuple(tree.information_sets), tuple(tree.nodes))


def read_efg(path: str | Path) -> ExtensiveGame:
    """Read a game from a file in Gambit's .efg format.

    Args:
        path: the file: UTF-8, with or without a byte order mark, or else Latin-1, in which old files have their names.

    Returns:
        The game; see :func:`~neurogames.games.extensive.reduced_normal_form` for its normal form.

    Raises:
        ValueError: with the number of the line at which the file stops making sense.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "choice.efg")
    ...     _ = path.write_text('EFG 2 R "" { "one" } p "" 1 1 "" { "a" "b" } 0 t "" 1 "" { 3 } t "" 1')
    ...     game = read_efg(path)
    >>> [payoffs for _, payoffs, _ in game.leaves]
    [(3.0,), (3.0,)]
    """
    return parse_efg(read_text(path))


def _node(reader: Reader, tree: _Tree, parent: int, action: int) -> int:
    """Read one node; returns how many children it has."""
    kind = reader.take("word", "a node: c, p or t")
    if kind not in ("c", "p", "t"):
        reader.place -= 1
        raise reader.wrong("a node: c, p or t")
    reader.text("the name of the node in quotes")
    place, children = -1, 0
    if kind != "t":
        owner = CHANCE
        if kind == "p":
            owner = reader.index(tree.players, f"the number of a player, 1 to {tree.players}") - 1
            if owner < 0:
                reader.place -= 1
                raise reader.wrong(f"the number of a player, 1 to {tree.players}")
        place = _information_set(reader, tree, owner)
        children = len(tree.information_sets[place].actions)
    payoffs = _outcome(reader, tree)
    tree.nodes.append(Node(parent, action, place, payoffs))
    return children


def _information_set(reader: Reader, tree: _Tree, owner: int) -> int:
    """Number of an information set of a player or of chance, read in full where it comes first."""
    key = owner, reader.index(_MOST, "the number of an information set")
    name = reader.text("a name") if reader.at("text") else None
    known = tree.numbers.get(key)
    if not reader.at("brace", "{"):
        if known is None:
            raise reader.wrong("the actions of this information set in braces, since it comes first here")
        return known
    begin = reader.place
    reader.place += 1
    actions: list[str] = []
    chance: list[Fraction] = []
    while not reader.at("brace", "}"):
        actions.append(reader.text("the name of an action in quotes or }"))
        if owner == CHANCE:
            chance.append(reader.fraction())
    reader.place += 1
    if not actions:
        reader.place = begin
        raise reader.wrong("at least one action")
    total = _sum(chance)
    if owner == CHANCE and (min(chance) < 0 or abs(total - 1) > Fraction(1, 10**6)):
        reader.place = begin
        raise reader.wrong(f"probabilities that sum to 1, and not to {float(total):g}")
    # What is off by rounding in the file is spread over all of them.
    laws = tuple(float(part / total) for part in chance)
    if known is None:
        tree.numbers[key] = len(tree.information_sets)
        tree.information_sets.append(InformationSet(owner, name or str(key[1]), tuple(actions), laws))
        return tree.numbers[key]
    before = tree.information_sets[known]
    if len(before.actions) != len(actions) or before.chance != laws:
        reader.place = begin
        raise reader.wrong(f"the {len(before.actions)} actions that this information set had before")
    return known


def _sum(parts: list[Fraction]) -> Fraction:
    """Sum of fractions, rounded where their common denominator is too long to be worked with."""
    common = 1
    for part in parts:
        common = lcm(common, part.denominator)
        if common.bit_length() > _LONGEST_DENOMINATOR:
            return Fraction(fsum(map(float, parts)))
    return Fraction(sum(part.numerator * (common // part.denominator) for part in parts), common)


def _outcome(reader: Reader, tree: _Tree) -> tuple[float, ...]:
    """Payoffs of the outcome that is named here."""
    number = reader.index(_MOST, "the number of an outcome")
    if reader.at("text"):
        reader.text("the name of an outcome")
    if reader.at("brace", "{"):
        begin = reader.place
        reader.place += 1
        payoffs = tuple(reader.number() for _ in range(tree.players))
        reader.take("brace", f"}} after {tree.players} payoffs", "}")
        if number == 0 or tree.outcomes.setdefault(number, payoffs) != payoffs:
            reader.place = begin
            raise reader.wrong("no payoffs for outcome 0" if number == 0 else "the payoffs this outcome had before")
    if number == 0:
        return tree.nothing
    if number not in tree.outcomes:
        raise reader.wrong("the payoffs of this outcome in braces, since it comes first here")
    return tree.outcomes[number]
