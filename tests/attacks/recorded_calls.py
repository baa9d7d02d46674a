"""One good call of every public function and class, recorded while its own example runs.

Every public name has an example in its docstring, so there is nothing to write down twice: the arguments of the first
call that an example makes are the good ones, from which an attack changes one at a time.
"""

from __future__ import annotations

import contextlib
import copy
import doctest
import inspect
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np


@dataclass(frozen=True)
class RecordedCall:
    """A public function or class and the arguments of one good call."""

    function: Callable[..., Any]
    arguments: dict[str, Any]

    def __call__(self, **changed: Any) -> Any:
        """Call again with some arguments changed."""
        bound = inspect.signature(self.function).bind_partial()
        bound.arguments.update({**self.arguments, **changed})
        return self.function(*bound.args, **bound.kwargs)

    def again(self, **changed: Any) -> Any:
        """Call again with draws of its own, so that every such call answers the same."""
        return RecordedCall(self.function, copied(self.arguments))(**changed)


def recorded_call(function: Callable[..., Any]) -> RecordedCall | None:
    """The first good call in the example of a function, or None if it shows none."""
    found: list[RecordedCall] = []
    signature = inspect.signature(function)

    def recording(*words: Any, **options: Any) -> Any:
        bound = signature.bind(*words, **options)
        result = function(*words, **options)
        found.append(RecordedCall(function, dict(bound.arguments)))
        return result

    module = inspect.getmodule(function)
    assert isinstance(module, ModuleType)
    for test in doctest.DocTestFinder(recurse=False).find(function, function.__name__, globs={**vars(module)}):
        test.globs[function.__name__] = recording
        with contextlib.redirect_stdout(io.StringIO()):
            doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE).run(test, clear_globs=False)
    return found[0] if found else None


def recorded_calls(floors: Iterable[ModuleType], folder: Path) -> dict[str, RecordedCall]:
    """Good calls of all public functions and classes of some floors; the examples run in a folder."""
    found = {}
    with contextlib.chdir(folder):
        for floor in floors:
            for name in floor.__all__:
                value = getattr(floor, name)
                if inspect.isfunction(value) or inspect.isclass(value):
                    found[name] = recorded_call(value)
    return {name: call for name, call in found.items() if call is not None}


def copied(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments that a call may use up, such as generators of draws, of their own for each call."""
    fresh = {name: copy.deepcopy(each) for name, each in arguments.items() if isinstance(each, np.random.Generator)}
    return {**arguments, **fresh}
