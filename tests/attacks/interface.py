"""What callers rely on without naming it: the default of each argument, and which small numbers it takes.

``python -m tests.attacks.interface`` writes both to ``interface.txt``, which a person reads when it changes: a line

    best_keep_prob.learning_rate takes 0.5 1 1.5 2 3

says that -1 and 0 are refused. The other arguments of a call are those of the example of the function.
"""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neurogames import bridge, engine, games
from tests.attacks.recorded_calls import copied, recorded_call

PAGE = Path(__file__).with_name("interface.txt")
SMALL = (-1, 0, 0.5, 1, 1.5, 2, 3)
"""Where ranges of arguments begin and end."""
LONG = {"shapley_until", "train", "train_participation"}
"""What trains or samples for seconds with some of these numbers."""
PUBLIC: dict[str, Any] = {
    name: getattr(floor, name)
    for floor in (games, engine, bridge)
    for name in floor.__all__
    if inspect.isfunction(getattr(floor, name)) or inspect.isclass(getattr(floor, name))
}


def defaults(name: str) -> list[str]:
    """The defaults of a public function, or of a class and its public methods."""
    value = PUBLIC[name]
    functions: dict[str, Callable[..., Any]] = {name: value}
    if inspect.isclass(value):
        own = inspect.getmembers(value, inspect.isroutine)
        functions |= {f"{name}.{each}": method for each, method in own if _is_ours(each, method)}
    return [
        f"{place}.{argument.name} = {_shown(argument.default)}"
        for place, function in functions.items()
        for argument in inspect.signature(function).parameters.values()
        if argument.default is not inspect.Parameter.empty
    ]


def _is_ours(name: str, method: Any) -> bool:
    return not name.startswith("_") and str(getattr(method, "__module__", None)).startswith("neurogames")


def _shown(default: object) -> str:
    """A default as it is written: a function or a member of an enumeration by its name."""
    if isinstance(default, enum.Enum) or not callable(default):
        return repr(default)
    return getattr(default, "__name__", type(default).__name__)


def taken_numbers(name: str) -> list[str]:
    """Which small numbers each argument takes that may be a number; of none there is no line."""
    recorded = None if name in LONG else recorded_call(PUBLIC[name])
    if recorded is None:
        return []
    lines = []
    for argument in inspect.signature(PUBLIC[name]).parameters.values():
        values = (argument.default, recorded.arguments.get(argument.name))
        if re.search(r"\b(int|float)\b", str(argument.annotation)) or any(map(_is_number, values)):
            again = type(recorded)(recorded.function, copied(recorded.arguments))
            taken = [f"{number:g}" for number in SMALL if _takes(again, argument.name, number)]
            lines += [f"{name}.{argument.name} takes {' '.join(taken)}"] if taken else []
    return lines


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _takes(call: Callable[..., Any], argument: str, number: float) -> bool:
    try:
        call(**{argument: number})
    except Exception:  # how an argument is refused is a matter of other tests
        return False
    return True


def interface(name: str) -> list[str]:
    """All lines of a public name."""
    return defaults(name) + taken_numbers(name)


if __name__ == "__main__":
    PAGE.write_text("".join(f"{line}\n" for name in sorted(PUBLIC) for line in interface(name)), encoding="utf-8")
