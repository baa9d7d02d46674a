"""Ctrl-C where the command line cannot unwind plainly: while it loads, a second time, and while Python ends."""

from __future__ import annotations

import os

_words = ["nothing was begun"]


def say_on_leaving(words: str) -> None:
    """Set what an interrupt says; nothing once all has been said."""
    _words[0] = words


def leave(*_: object) -> None:
    """End at once.

    Some libraries turn an exception during their import into another one, or drop it. A second exception breaks the
    unwinding of the first, and one that is raised while Python ends is shown with a traceback.
    """
    if os.isatty(2):
        # A bar hides the cursor.
        os.write(2, b"\x1b[?25h")
    if _words[0]:
        os.write(2, f"neurogames: interrupted; {_words[0]}\n".encode())
    os._exit(130)
