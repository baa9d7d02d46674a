"""Functions that numba compiles, and what it keeps of them for later runs.

numba finds a kept function valid while the file is the same in which it is written. But what it calls is compiled into
it, and may stand in other files: after an upgrade, a function whose own file has not changed would compute what its
callees computed before. Here a kept function is valid while the files of all that it calls, and the constants that it
reads, are the same.

Reference: numba's documentation, "Notes on caching", limitations.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeVar, overload

import numba
import numpy as np
from numba.core.caching import FunctionCache
from numba.core.registry import CPUDispatcher

Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def compiled(function: Function) -> Function: ...
@overload
def compiled(function: None = None, **options: Any) -> Callable[[Function], Function]: ...
def compiled(function: Any = None, **options: Any) -> Any:
    """Compile a function by numba; other threads run beside it, and later runs find it compiled.

    Where nothing can be written beside the file, or in the user's folder for caches (``NUMBA_CACHE_DIR`` names another
    one), each process compiles anew.

    Args:
        function: what to compile when it is first called.
        **options: further options of ``numba.njit``.

    >>> @compiled
    ... def double(x):
    ...     return 2 * x
    >>> double(3)
    6
    """
    if function is None:
        return lambda function: compiled(function, **options)
    dispatcher = numba.njit(nogil=True, **options)(function)
    with suppress(RuntimeError, OSError):  # no place for a cache, or no file
        dispatcher._cache = _Cache(function)
    return dispatcher


class _Cache(FunctionCache):
    """numba's cache of one function, which is valid for its sources alone and never ends a call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file._source_stamp = stamp(function)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function; None if there is none, or a damaged one."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever unpickling meets
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function, unless the disk is full."""
        with suppress(OSError):
            super().save_overload(sig, data)


def stamp(function: Callable[..., Any]) -> str:
    """Hash of all that is compiled into a function: the files of what it calls, and the constants that it reads."""
    files: set[Path] = set()
    constants: set[str] = set()
    waiting, seen = [function], set()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        files.add(Path(inspect.getfile(one)))
        for name, value in _read(one):
            if isinstance(value, CPUDispatcher):
                waiting.append(value.py_func)
            elif isinstance(value, FunctionType):
                waiting.append(value)
            elif isinstance(value, np.ndarray):
                constants.add(f"{name} = {value.dtype} {value.tolist()}")  # its repr leaves entries out
            elif not isinstance(value, ModuleType):
                constants.add(f"{name} = {value!r}")
    whole = hashlib.sha256(repr(sorted(constants)).encode())
    for path in sorted(files):
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def _read(function: Any) -> Iterator[tuple[str, Any]]:
    """Names and values that a function reads from its module, and from modules of its package."""
    names, package = _names(function.__code__), function.__module__.partition(".")[0]
    found = {name: function.__globals__[name] for name in names if name in function.__globals__}
    yield from found.items()
    for module in found.values():
        if isinstance(module, ModuleType) and module.__name__.startswith(f"{package}."):
            yield from ((name, vars(module)[name]) for name in names if name in vars(module))


def _names(code: CodeType) -> set[str]:
    """Names that code reads, and the code within it, such as that of a comprehension."""
    within = (_names(part) for part in code.co_consts if isinstance(part, CodeType))
    return set(code.co_names).union(*within)
