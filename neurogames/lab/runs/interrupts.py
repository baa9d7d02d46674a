"""Ctrl-C, which is never lost: not in a destructor, and not where a library turns it into an error of its own."""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
from collections.abc import Callable, Iterator

from neurogames._loading import leave

_noted: list[int] = []


@contextlib.contextmanager
def heard_interrupt() -> Iterator[Callable[[], None]]:
    """Lend a check that raises once Ctrl-C was pressed, even if its KeyboardInterrupt got lost.

    Python drops an exception that is raised while a destructor runs, and the readers of files have destructors; what is
    raised while a library is imported may come out as another error. Contexts within this one share what it hears. In
    a process that is the command line, a second Ctrl-C ends it at once.

    >>> with heard_interrupt() as check:
    ...     check()
    """
    usual = signal.getsignal(signal.SIGINT)
    heard = threading.current_thread() is threading.main_thread() and usual in (signal.default_int_handler, leave)
    if heard:
        _noted.clear()
        signal.signal(signal.SIGINT, functools.partial(_note, usual is leave))
    try:
        yield _check
    except Exception:
        _check()
        raise
    finally:
        if heard:
            signal.signal(signal.SIGINT, usual)
            _noted.clear()


def _note(leaves: bool, number: int, _: object) -> None:
    if leaves and _noted:
        leave()
    _noted.append(number)
    raise KeyboardInterrupt


def _check() -> None:
    if _noted:
        raise KeyboardInterrupt
