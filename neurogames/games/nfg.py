"""Gambit's text format of normal form games, read and written.

A file says, in this order: ``NFG 1 R``, a quoted title, the quoted names of the players in braces, then either their
numbers of actions in braces or, within one pair of braces, a pair for each player with the quoted names of his actions,
then perhaps a quoted comment. What follows is one of two versions.

- payoff version: n payoffs for each pure profile, the action of player 1 running fastest;
- outcome version: in braces a list of outcomes, each ``{ "name" payoff, ..., payoff }``, then for each pure profile, in
  the same order, the number of its outcome, counted from 1; 0 is the outcome in which everybody gets 0.

Numbers are integers, decimals or fractions p/q. Commas count as blanks.

Reference: Gambit, File formats for game representations.
"""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurogames._arguments import invalid_argument
from neurogames.games.gambit_text import Reader, check_path, quoted_names, read_text, tokens
from neurogames.games.normal_form import Labels, NormalFormGame, check_game

_MOST_PLAYERS = 32
"""Axes that every version of numpy can hold."""


def parse_nfg(text: str) -> NormalFormGame:
    r"""Read a game from text in Gambit's .nfg format.

    Args:
        text: the contents of a file, payoff or outcome version.

    Returns:
        The game, with its labels.

    Raises:
        ValueError: with the number of the line at which the text stops making sense.

    >>> game = parse_nfg('NFG 1 R "coin" { "odd" "even" } { 2 2 }\n1 -1  -1 1  -1 1  1/2 -1/2')
    >>> game.labels.title, game.payoffs[0].tolist()
    ('coin', [[1.0, -1.0], [-1.0, 0.5]])
    """
    reader = Reader(tokens(text, "nfg"), "nfg")
    for word in ("NFG", "1"):
        reader.take("word", f"{word}, since a file starts with NFG 1 R", word)
    if not (reader.at("word", "R") or reader.at("word", "D")):
        raise reader.wrong("R, since a file starts with NFG 1 R")
    reader.place += 1
    title = reader.text("the title in quotes")
    players = quoted_names(reader, "the name of a player in quotes")
    if not players:
        raise reader.wrong("at least one player")
    sizes, actions = _actions(reader, len(players))
    comment = reader.text("a comment") if reader.at("text") else ""
    if len(sizes) > _MOST_PLAYERS:
        raise reader.wrong(f"at most {_MOST_PLAYERS} players, one axis for each, and not {len(sizes)}")
    values = _outcomes(reader, sizes) if reader.at("brace", "{") else _payoffs(reader, sizes)
    if not reader.at("end"):
        raise reader.wrong("nothing after the last profile")
    tensors = [values[:, i].reshape(sizes, order="F") for i in range(len(sizes))]
    return NormalFormGame(tensors, Labels(title, comment, tuple(players), actions))


def format_nfg(game: NormalFormGame, *, outcomes: bool = False) -> str:
    r"""Write a game as text in Gambit's .nfg format; every payoff is read back to the last bit.

    Args:
        game: the game.
        outcomes: True for the outcome version (equal payoff vectors share an outcome), False for the payoff version.

    Returns:
        The text.

    Raises:
        ValueError: if a label has a backslash, which the format cannot hold.

    >>> print(format_nfg(NormalFormGame.zero_sum([[1, -0.5]])))
    NFG 1 R "" { "1" "2" }
    { { "1" } { "1" "2" } }
    ""
    <BLANKLINE>
    1 -1
    -0.5 0.5
    <BLANKLINE>
    """
    check_game(game)
    labels = game.labels
    head = f"NFG 1 R {_quoted(labels.title)} {_braced(labels.players)}\n"
    head += "{ " + " ".join(_braced(names) for names in labels.actions) + " }\n" + _quoted(labels.comment) + "\n\n"
    rows = np.stack([tensor.ravel(order="F") for tensor in game.payoffs], axis=1)
    if not outcomes:
        return head + "".join(" ".join(map(_decimal, row)) + "\n" for row in rows)
    distinct, number = np.unique(rows, axis=0, return_inverse=True)
    listed = "".join(f'{{ "{k + 1}" ' + ", ".join(map(_decimal, row)) + " }\n" for k, row in enumerate(distinct))
    return head + "{\n" + listed + "}\n" + " ".join(str(k + 1) for k in number.ravel()) + "\n"


def read_nfg(path: str | Path) -> NormalFormGame:
    """Read a game from a file in Gambit's .nfg format.

    Args:
        path: the file: UTF-8, with or without a byte order mark, or else Latin-1, in which old files have their names.

    Returns:
        The game, with its labels.

    Raises:
        ValueError: with the number of the line at which the file stops making sense.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "coordination.nfg")
    ...     _ = path.write_text('NFG 1 R "Coordination" { "Row" "Column" } { 2 2 }  2 2 0 0 0 0 1 1')
    ...     game = read_nfg(path)
    >>> game.labels.players, game.payoffs[0]
    (('Row', 'Column'), array([[2., 0.],
           [0., 1.]]))
    """
    return parse_nfg(read_text(path))


def write_nfg(game: NormalFormGame, path: str | Path, *, outcomes: bool = False) -> None:
    """Write a game to a file in Gambit's .nfg format.

    Args:
        game: the game.
        path: the file.
        outcomes: True for the outcome version, False for the payoff version.

    Raises:
        ValueError: if a label has a backslash, which the format cannot hold.

    >>> from tempfile import TemporaryDirectory
    >>> game = NormalFormGame.zero_sum([[1.0, -1.0], [-1.0, 1.0]])
    >>> with TemporaryDirectory() as folder:
    ...     write_nfg(game, Path(folder, "pennies.nfg"))
    ...     again = read_nfg(Path(folder, "pennies.nfg"))
    >>> bool((again.payoffs[0] == game.payoffs[0]).all())
    True
    """
    check_path(path)
    Path(path).write_text(format_nfg(game, outcomes=outcomes), encoding="utf-8")


def _actions(reader: Reader, n: int) -> tuple[tuple[int, ...], tuple[tuple[str, ...], ...]]:
    """Numbers and names of the actions of n players."""
    reader.take("brace", "{", "{")
    names: list[tuple[str, ...]] = []
    profiles = 1
    for _ in range(n):
        if reader.at("brace", "{"):
            names.append(tuple(quoted_names(reader, "the name of an action in quotes")))
        else:
            what = "a number of actions for which there are payoffs, or names of actions in braces"
            size = reader.index(len(reader.tokens) // profiles, what)
            names.append(tuple(str(k + 1) for k in range(size)))
        # A number follows for each profile, so that what is declared is bounded by what is there.
        profiles *= max(1, len(names[-1]))
        if profiles > len(reader.tokens):
            reader.place -= 1
            raise reader.wrong("actions whose profiles all have payoffs, and no more profiles than words in the file")
        if not names[-1]:
            reader.place -= 1
            raise reader.wrong("at least one action for each player")
    reader.take("brace", f"}} after the actions of {n} players", "}")
    return tuple(map(len, names)), tuple(names)


def _payoffs(reader: Reader, sizes: tuple[int, ...]) -> NDArray[np.float64]:
    """(profiles, n) payoffs of the payoff version."""
    needed = prod(sizes) * len(sizes)
    left = reader.left
    if left < needed:
        reader.place += left
        raise reader.wrong(f"{needed} payoffs and not {left}")
    return np.array([reader.number() for _ in range(needed)]).reshape(-1, len(sizes))


def _outcomes(reader: Reader, sizes: tuple[int, ...]) -> NDArray[np.float64]:
    """(profiles, n) payoffs of the outcome version."""
    reader.take("brace", "{", "{")
    table = [[0.0] * len(sizes)]
    while reader.at("brace", "{"):
        reader.place += 1
        reader.text("the name of an outcome in quotes")
        table.append([reader.number() for _ in sizes])
        reader.take("brace", f"}} after {len(sizes)} payoffs", "}")
    reader.take("brace", "an outcome in braces, or }", "}")
    left = reader.left
    if left < prod(sizes):
        reader.place += left
        raise reader.wrong(f"{prod(sizes)} outcomes and not {left}")
    what = f"the number of one of {len(table) - 1} outcomes, or 0"
    return np.array(table)[[reader.index(len(table) - 1, what) for _ in range(prod(sizes))]]


def _quoted(name: str) -> str:
    """A label in quotes."""
    if "\\" in name:
        raise invalid_argument("labels", name, "names without a backslash, which the nfg format cannot hold")
    return '"' + name.replace('"', '\\"') + '"'


def _braced(names: tuple[str, ...]) -> str:
    """Quoted labels in braces."""
    return "{ " + " ".join(map(_quoted, names)) + " }"


def _decimal(value: float) -> str:
    """Shortest decimal that is read back as the same float, without an exponent."""
    return np.format_float_positional(value + 0.0, trim="-")
