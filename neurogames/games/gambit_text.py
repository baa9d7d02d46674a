"""Words of Gambit's text formats: quoted texts, braces, numbers and names, each with its line.

Files may be hostile: what is read takes time and memory in proportion to the size of the file, and an error quotes at
most ``_QUOTED`` characters of it.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from pathlib import Path

from neurogames._arguments import invalid_argument

_TOKEN = re.compile(r'[\s,]+|(?P<text>"(?:[^"\\]|\\"|\\(?!"))*+")|(?P<brace>[{}])|(?P<word>[^\s,{}"]+)|(?P<open>")')
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_FRACTION = re.compile(r"[+-]?\d+/\d+")
_QUOTED = 80
_LONGEST_NUMBER = 4000
"""Characters of a number; Python reads no longer integers."""
_LARGEST_EXPONENT = 400
"""Of ten: beyond it a number of the other sign is 0, and its fraction has as many digits."""


@dataclass
class Reader:
    """Tokens with their lines, a place among them, and the name of the format for errors."""

    tokens: list[tuple[str, str, int]]
    form: str
    place: int = 0

    def wrong(self, expected: str) -> ValueError:
        """Error at the present token."""
        _, token, line = self.tokens[self.place]
        token = " ".join(token[: 2 * _QUOTED].split())
        if len(token) > _QUOTED:
            token = f"{token[:_QUOTED]} ..."
        return ValueError(f"{self.form}, line {line}: got {token or 'the end of the file'}, expected {expected}")

    def at(self, kind: str, token: str | None = None) -> bool:
        """Tell whether the present token is of this kind (and this very one)."""
        return self.tokens[self.place][0] == kind and token in (None, self.tokens[self.place][1])

    def take(self, kind: str, expected: str, token: str | None = None) -> str:
        """Return the present token and step on."""
        if not self.at(kind, token):
            raise self.wrong(expected)
        self.place += 1
        return self.tokens[self.place - 1][1]

    def text(self, expected: str) -> str:
        """Return a quoted text without its quotes."""
        return self.take("text", expected)[1:-1].replace('\\"', '"')

    def number(self) -> float:
        """Return a payoff."""
        word = self.take("word", "a number")
        value = float("nan")
        if len(word) <= _LONGEST_NUMBER:
            if _NUMBER.fullmatch(word):
                value = float(word)
            elif _FRACTION.fullmatch(word) and int(word.split("/")[1]) != 0:
                with contextlib.suppress(OverflowError):
                    value = float(Fraction(word))
        if not isfinite(value):
            self.place -= 1
            raise self.wrong("a finite number such as 2, -0.5 or 1/3")
        return value

    def fraction(self) -> Fraction:
        """Return a number as it is written."""
        value = self.number()
        word = self.tokens[self.place - 1][1]
        exponent = word.lower().partition("e")[2]
        return Fraction(value if exponent and abs(int(exponent)) > _LARGEST_EXPONENT else word)

    @property
    def left(self) -> int:
        """How many tokens are still to be read."""
        return len(self.tokens) - 1 - self.place

    def index(self, most: int, what: str) -> int:
        """Return an integer in [0, most]."""
        word = self.take("word", what)
        if not word.isascii() or not word.isdigit() or len(word) > 18 or int(word) > most:
            self.place -= 1
            raise self.wrong(what)
        return int(word)


def tokens(text: str, form: str) -> list[tuple[str, str, int]]:
    """Kind, text and line of every token, an end token last."""
    found, line, place = [], 1, 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        assert match is not None, "the pattern matches any character"
        if match.lastgroup == "open":
            raise ValueError(f"{form}, line {line}: got an opening quote without an end, expected a quoted text")
        if match.lastgroup is not None:
            found.append((match.lastgroup, match.group(), line))
        line += match.group().count("\n")
        place = match.end()
    return [*found, ("end", "", line)]


def quoted_names(reader: Reader, expected: str) -> list[str]:
    """Quoted names in braces."""
    reader.take("brace", "{", "{")
    found = []
    while not reader.at("brace", "}"):
        found.append(reader.text(expected + " or }"))
    reader.place += 1
    return found


def check_path(path: object) -> None:
    """Refuse what names no file."""
    if not isinstance(path, str | os.PathLike):
        raise invalid_argument("path", path, "the path of a file")


def read_text(path: str | Path) -> str:
    """Text of a file: UTF-8, with or without a byte order mark, or else Latin-1, as in old files."""
    check_path(path)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise invalid_argument("path", f"{path} ({error.strerror})", "a file that can be read") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
