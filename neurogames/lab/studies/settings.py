"""What the settings of all studies share: plain values for a file, single values from a command line, changed copies.

Settings have one form in memory, a frozen dataclass, and one on disk, the plain values that TOML can hold.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from neurogames._arguments import integer, invalid_argument

SEPARATORS = (",", ":")
"""What stands between the values of a list, and between those of a list within a list, on a command line."""
LARGEST_COUNT = 10**9
"""No count of a study is larger: it would never end."""
LARGEST_SEED = 2**53
_MOST_SEEDS = 100_000
_NUMBERS = {int: "an integer", float: "a number"}


@dataclass(frozen=True)
class StudySettings:
    """Base of the settings of a study, which add fields with defaults and check them in ``__post_init__``.

    Args:
        data: name of the data, or names; none by default.
        seeds: number of independent repetitions, at least 2.
        first_seed: seed of the first repetition; the others follow.

    Raises:
        ValueError: naming the first argument that is out of range.

    >>> StudySettings("wine", seeds=1)
    Traceback (most recent call last):
    ...
    ValueError: seeds: got 1, expected an integer in [2, 100000]
    """

    data: str | tuple[str, ...] = ()
    seeds: int = 5
    first_seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        integer("seeds", self.seeds, minimum=2, maximum=_MOST_SEEDS)
        integer("first_seed", self.first_seed, minimum=0, maximum=LARGEST_SEED)
        for field in fields(self):
            if field.name != "first_seed":
                _refuse_endless(field.name, getattr(self, field.name))

    @classmethod
    def for_data(cls, *names: str) -> Self:
        """Return the settings that suit data of these names."""
        return cls(one_name(names))

    def quick(self) -> Self:
        """Return a smaller copy for a first look at the same data."""
        return replace(self, seeds=2)

    def cells(self) -> list[dict[str, Any]]:
        """Return what tells one repetition from the others, for all of them: the cells of a sweep.

        >>> StudySettings("wine", seeds=2, first_seed=7).cells()
        [{'seed': 7}, {'seed': 8}]
        """
        return [{"seed": seed} for seed in range(self.first_seed, self.first_seed + self.seeds)]

    def of_one_repetition(self) -> Self:
        """Return the settings without how many repetitions there are: what a single one may depend on."""
        return replace(self, seeds=StudySettings.seeds, first_seed=StudySettings.first_seed)

    def updated(self, **values: Any) -> Self:
        """Return a copy with other values.

        Raises:
            ValueError: for a name that is no setting, or a value out of range.

        >>> StudySettings("wine").updated(seed=3)
        Traceback (most recent call last):
        ...
        ValueError: seed: got 3, expected one of the settings data, seeds, first_seed
        """
        _refuse_unknown(type(self), values)
        return replace(self, **values)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values that TOML can hold; what is ``None`` is left out."""
        plain = {field.name: _lists(getattr(self, field.name)) for field in fields(self)}
        return {name: value for name, value in plain.items() if value is not None}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` returned.

        Raises:
            ValueError: for a name that is no setting, or a value out of range.

        >>> StudySettings.from_dict(StudySettings(("wine", "iris")).to_dict())
        StudySettings(data=('wine', 'iris'), seeds=5, first_seed=0)
        """
        _refuse_unknown(cls, plain)
        return cls(**{name: _tuples(value) for name, value in plain.items()})


def parse_setting(kind: type[StudySettings], name: str, text: str) -> Any:
    """Read the value of a setting as it is typed at a command line.

    Args:
        kind: class of the settings.
        name: name of the setting.
        text: the value; items of a list are separated by commas, and those of a list within a list by colons. An
            empty text is ``None`` where the setting may be that.

    Raises:
        ValueError: for a name that is no setting (those there are are named), or a text of another kind.

    >>> parse_setting(StudySettings, "seeds", "12")
    12
    >>> parse_setting(StudySettings, "seeds", "a dozen")
    Traceback (most recent call last):
    ...
    ValueError: seeds: got 'a dozen', expected an integer
    """
    _refuse_unknown(kind, {name: text})
    return _parsed(name, text, typing.get_type_hints(kind)[name], SEPARATORS)


def one_name(names: Sequence[str]) -> str:
    """The one name of data that a study takes, or an error.

    >>> one_name(["digits"])
    'digits'
    """
    if len(names) != 1:
        raise invalid_argument("data", ", ".join(names), "one name")
    return names[0]


def _refuse_endless(name: str, value: object) -> None:
    """Refuse counts that no machine comes to the end of, also within lists."""
    if isinstance(value, tuple):
        for item in value:
            _refuse_endless(name, item)
    elif isinstance(value, int) and value > LARGEST_COUNT:
        raise invalid_argument(name, value, f"at most {LARGEST_COUNT}")


def _refuse_unknown(kind: type[StudySettings], values: Mapping[str, object]) -> None:
    known = [field.name for field in fields(kind)]
    for name, value in values.items():
        if name not in known:
            raise invalid_argument(name, value, f"one of the settings {', '.join(known)}")


def _parsed(name: str, text: str, kind: Any, separators: tuple[str, ...]) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if types.NoneType in inner and not text:
            return None
        kind = next(one for one in inner if one is not types.NoneType)
        return _parsed(name, text, kind, separators)
    if origin is tuple:
        items = text.split(separators[0])
        kinds = [inner[0]] * len(items) if inner[-1] is Ellipsis else list(inner)
        if len(items) != len(kinds):
            raise invalid_argument(name, text, f"{len(kinds)} values with {separators[0]!r} between them")
        return tuple(_parsed(name, item, one, separators[1:]) for item, one in zip(items, kinds, strict=True))
    if origin is typing.Literal:
        if text not in inner:
            raise invalid_argument(name, text, f"one of {', '.join(inner)}")
        return text
    try:
        return kind(text) if kind in _NUMBERS else text
    except ValueError:
        raise invalid_argument(name, text, _NUMBERS[kind]) from None


def _lists(value: Any) -> Any:
    return [_lists(item) for item in value] if isinstance(value, tuple) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
